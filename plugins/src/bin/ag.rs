//! AG: translate a TAK from LMK to TMK encryption.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | TMK | key | 002, or 80D where key type 002 is separated |
//! | TAK | key | |
//! | `;` key scheme (TMK), reserved, reserved | 1A, 1A, 1A | optional group |
//!
//! Response: TAK under the TMK. No check value. Errors: 10 TMK parity, 11 TAK parity, 26. Source: keys.md 7 (AG).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::legacy;

command! {
    code: "AG",
    title: "Translate a TAK from LMK to TMK encryption",
    run: translate,
}

fn translate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    legacy::under_terminal_key(req, hsm, KeyPurpose::TMK, &legacy::TAK)
}
