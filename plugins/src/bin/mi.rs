//! MI: translate a TAK from ZMK to LMK encryption.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | ZMK | key | untagged length is a setting |
//! | TAK under the ZMK | key | |
//! | Atalla variant | 1–2N | optional |
//! | `;` reserved, key scheme (LMK), check value type | 1A, 1A, 1A | optional group |
//! | `#` attributes | 8A, nA | optional, key-block LMK: usage, mode, version, exportability, optional blocks |
//!
//! Response: TAK under the LMK, check value, 16H or (type 1) 6H; both also with advice 01, parity was forced odd. Errors: 10
//! ZMK parity, 11 the TAK is all zero, 26. Source: keys.md 7 (MI).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::legacy;

command! {
    code: "MI",
    title: "Translate a TAK from ZMK to LMK encryption",
    run: import,
}

fn import<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    legacy::import(req, hsm, &legacy::TAK)
}
