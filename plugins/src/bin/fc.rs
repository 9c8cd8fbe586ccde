//! FC: translate a TMK, TPK or PVK from ZMK to LMK encryption.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | ZMK | key | untagged length is a setting |
//! | TMK, TPK or PVK under the ZMK | key | LMK pair 14-15 |
//! | Atalla variant | 1–2N | optional |
//! | `;` reserved, key scheme (LMK), check value type | 1A, 1A, 1A | optional group |
//! | `#` attributes | 8A, nA | optional, key-block LMK: usage, mode, version, exportability, optional blocks |
//!
//! Response: TMK, TPK or PVK under the LMK, check value, 16H or (type 1) 6H; both also with advice 01, parity was forced odd.
//! Errors: 10 ZMK parity, 11 the key is all zero, 17 authorised state, 26, 68 where key type 002 is separated. Source:
//! keys.md 7 (FC).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::legacy;

command! {
    code: "FC",
    title: "Translate a TMK, TPK or PVK from ZMK to LMK encryption",
    run: import,
}

fn import<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    legacy::import(req, hsm, &legacy::TERMINAL)
}
