//! BM: load the table of PINs that may not be chosen. It replaces the device's table for PINs of this length.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Count | 2N | |
//! | PIN length | 2N | |
//! | Excluded PINs | nN | count times length digits |
//!
//! Errors: 03 the count is wrong, 15, 17 not authorised, 81 the length is not 4 to 12. Source: pins.md 2.6.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "BM",
    title: "Load the excluded PIN table",
    run: load,
}

fn load<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let excluded = req.excluded_pin_table()?;
    req.end()?;

    hsm.excluded_pins_load(excluded)?;
    Ok(hsm.response())
}
