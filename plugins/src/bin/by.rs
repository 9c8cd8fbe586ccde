//! BY: translate a ZMK from encryption under another ZMK to LMK encryption.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | ZMKi | key | untagged length is a setting |
//! | ZMK under ZMKi | key | untagged length is a setting |
//! | Atalla variant | 1–2N | optional |
//! | `;` reserved, key scheme (LMK), check value type | 1A, 1A, 1A | optional group |
//! | `#` attributes | 8A, nA | optional, key-block LMK: usage, mode, version, exportability, optional blocks |
//!
//! Response: ZMK under the LMK, check value, 16H or (type 1) 6H; both also with advice 01, parity was forced odd. Errors: 10
//! ZMKi parity, 11 the ZMK is all zero, 17 authorised state, or the command is not enabled by the security settings, 26.
//! Source: keys.md 7 (BY), host.md 6.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::legacy;

command! {
    code: "BY",
    title: "Translate a ZMK from ZMK to LMK encryption",
    run: import,
}

fn import<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    legacy::import(req, hsm, &legacy::ZMK)
}
