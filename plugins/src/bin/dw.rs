//! DW: translate a BDK from ZMK to LMK encryption.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | ZMK | key | untagged length is a setting |
//! | BDK under the ZMK | key | untagged 32H |
//! | Atalla variant | 1–2N | optional |
//! | `;` reserved, key scheme (LMK), check value type | 1A, 1A, 1A | optional group |
//! | `#` attributes | 8A, nA | optional, key-block LMK: usage, mode, version, exportability, optional blocks |
//!
//! Response: BDK under the LMK, check value 8H or (type 1) 6H; both also with advice 01, parity was forced odd. Errors: 10
//! ZMK parity, 11 the BDK is all zero, 26, 27 of single length. Source: keys.md 7 (DW).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::legacy;

command! {
    code: "DW",
    title: "Translate a BDK from ZMK to LMK encryption",
    run: import,
}

fn import<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    legacy::import(req, hsm, &legacy::BDK)
}
