//! AU: translate a CVK pair from LMK to ZMK encryption.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | ZMK | key | untagged length is a setting |
//! | CVK pair under the LMK | key | untagged 32H |
//! | Atalla variant | 1–2N | optional |
//! | `;` key scheme (ZMK), reserved, check value type | 1A, 1A, 1A | optional group |
//!
//! Response: CVK pair under the ZMK, check values of both halves 6H each, or (type 1) of the whole 6H. Errors: 10 ZMK parity,
//! 11 CVK parity, 26, 27 not of double length. Source: keys.md 7 (AU).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::legacy;

command! {
    code: "AU",
    title: "Translate a CVK pair from LMK to ZMK encryption",
    run: export,
}

fn export<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    legacy::export(req, hsm, &legacy::CVK_PAIR)
}
