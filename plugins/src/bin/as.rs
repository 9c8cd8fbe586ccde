//! AS: generate a CVK pair.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | `;` reserved, key scheme (LMK) 0, U or X, check value type | 1A, 1A, 1A | optional group |
//! | `#` attributes | 8A, nA | optional, key-block LMK: usage, mode, version, exportability, optional blocks |
//!
//! Response: CVK pair under the LMK, check values of both halves 6H each, or (type 1) of the whole 6H. Errors: 26. Source:
//! keys.md 7 (AS).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::legacy;

command! {
    code: "AS",
    title: "Generate a CVK pair",
    run: generate,
}

fn generate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    legacy::generate(req, hsm, &legacy::CVK_PAIR, true)
}
