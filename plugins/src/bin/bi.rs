//! BI: generate a BDK.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | `;` reserved, key scheme (LMK), reserved | 1A, 1A, 1A | optional group |
//! | `#` attributes | 8A, nA | optional, key-block LMK: usage, mode, version, exportability, optional blocks |
//!
//! Response: BDK under the LMK, untagged 32H without the group. No check value. Errors: 26. Source: keys.md 7 (BI).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::legacy;

command! {
    code: "BI",
    title: "Generate a BDK",
    run: generate,
}

fn generate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    legacy::generate(req, hsm, &legacy::BDK, false)
}
