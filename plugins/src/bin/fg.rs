//! FG: generate a pair of PVKs under a ZMK.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | ZMK | key | untagged length is a setting |
//! | Atalla variant | 1–2N | optional |
//! | `;` key scheme (ZMK) 0, U or X, key scheme (LMK) 0, U or X, check value type | 1A, 1A, 1A | optional group |
//! | `#` attributes | 8A, nA | optional, key-block LMK: usage, mode, version, exportability, optional blocks |
//!
//! Response: PVK pair under the LMK, PVK pair under the ZMK, check values of both halves 16H each or (type 2) 6H each, or
//! (type 1) of the whole 6H. Errors: 10 ZMK parity, 17 authorised state, 26. Source: keys.md 7 (FG) and 3.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::legacy;

command! {
    code: "FG",
    title: "Generate a pair of PVKs",
    run: generate,
}

fn generate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    legacy::generate_for_zone(req, hsm, &legacy::PVK_PAIR, true)
}
