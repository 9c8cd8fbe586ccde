//! HC: generate a TMK, TPK or PVK under another TMK, TPK or PVK.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Current key | key | LMK pair 14-15 |
//! | `;` key scheme (TMK), key scheme (LMK), reserved | 1A, 1A, 1A | optional group |
//! | `#` attributes | 8A, nA | optional, key-block LMK: usage, mode, version, exportability, optional blocks |
//!
//! Response: new key under the current key, new key under the LMK. No check value. Errors: 10 current key parity, 15 schemes
//! of different lengths, 26, 68 where key type 002 is separated. Source: keys.md 7 (HA, HC).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::legacy;

command! {
    code: "HC",
    title: "Generate a TMK, TPK or PVK",
    run: generate,
}

fn generate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    legacy::generate_for_terminal(req, hsm, KeyPurpose::TERMINAL, &legacy::TERMINAL)
}
