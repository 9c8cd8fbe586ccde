//! AW: translate a CVK pair from ZMK to LMK encryption.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | ZMK | key | untagged length is a setting |
//! | CVK pair under the ZMK | key | untagged 32H |
//! | Atalla variant | 1–2N | optional |
//! | `;` reserved, key scheme (LMK), check value type | 1A, 1A, 1A | optional group |
//! | `#` attributes | 8A, nA | optional, key-block LMK: usage, mode, version, exportability, optional blocks |
//!
//! Response: CVK pair under the LMK, check values of both halves 6H each, or (type 1) of the whole 6H; both also with advice
//! 01, parity was forced odd. Errors: 10 ZMK parity, 11 the CVK is all zero, 26, 27 not of double length. Source: keys.md 7
//! (AW).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::legacy;

command! {
    code: "AW",
    title: "Translate a CVK pair from ZMK to LMK encryption",
    run: import,
}

fn import<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    legacy::import(req, hsm, &legacy::CVK_PAIR)
}
