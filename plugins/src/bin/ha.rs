//! HA: generate a TAK under a TMK.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | TMK | key | 002, or 80D where key type 002 is separated |
//! | `;` key scheme (TMK), key scheme (LMK), reserved | 1A, 1A, 1A | optional group |
//! | `#` attributes | 8A, nA | optional, key-block LMK: usage, mode, version, exportability, optional blocks |
//!
//! Response: TAK under the TMK, TAK under the LMK. No check value. Errors: 10 TMK parity, 15 schemes of different lengths,
//! 26. Source: keys.md 7 (HA, HC).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::legacy;

command! {
    code: "HA",
    title: "Generate a TAK",
    run: generate,
}

fn generate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    legacy::generate_for_terminal(req, hsm, KeyPurpose::TMK, &legacy::TAK)
}
