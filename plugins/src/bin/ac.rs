//! AC: translate a TAK from encryption under the old LMK to the new one.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | TAK under the old LMK | key | |
//! | `;` reserved, key scheme (LMK), reserved | 1A, 1A, 1A | optional group |
//! | `#` attributes | 8A, nA | from variant to key-block LMK: usage, mode, version, exportability, optional blocks |
//!
//! Response: TAK under the new LMK, and no check value. Errors: 10 parity, 13 key change storage is empty, 26, A1 from
//! key-block to variant LMK. Source: keys.md 7 (AA, AC, AY, GE, KC).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::legacy;

command! {
    code: "AC",
    title: "Translate a TAK from the old LMK to the new one",
    run: translate,
}

fn translate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    legacy::from_old_lmk(req, hsm, &legacy::TAK)
}
