//! LO: translate a decimalisation table from the LMK in key change storage to the current one.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Decimalisation table | 16H | `L` + 32H under an AES LMK |
//!
//! Response: decimalisation table under the current LMK. Errors: 13, 15, 25 not a decimal table or too regular, 33 no old LMK.
//! Source: pins.md 2.34.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "LO",
    title: "Translate a decimalisation table from old to new LMK",
    run: translate,
}

fn translate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let table = req.decimalisation_table("Decimalisation table")?;
    req.end()?;

    let mut resp = hsm.response();
    resp.secret("Decimalisation table", hsm.decimalisation_table_translate(table)?);
    Ok(resp)
}
