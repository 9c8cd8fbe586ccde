//! AE: translate a TMK, TPK or PVK from the LMK to encryption under another TMK, TPK or PVK.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Current key | key | LMK pair 14-15 |
//! | Stored key | key | LMK pair 14-15 |
//! | `;` key scheme (TMK), reserved, reserved | 1A, 1A, 1A | optional group |
//!
//! Response: stored key under the current key. No check value. Errors: 10 current key parity, 11 stored key parity, 26, 68
//! where key type 002 is separated. Source: keys.md 7 (AE).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::legacy;

command! {
    code: "AE",
    title: "Translate a TMK, TPK or PVK from LMK to TMK encryption",
    run: translate,
}

fn translate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    legacy::under_terminal_key(req, hsm, KeyPurpose::TERMINAL, &legacy::TERMINAL)
}
