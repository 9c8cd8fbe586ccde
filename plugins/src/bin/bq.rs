//! BQ: translate a PIN under the LMK from algorithm A (Visa) to algorithm B (Racal).
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Account number | 12N | |
//! | PIN, algorithm A | LN | |
//!
//! Response: PIN, algorithm B LH. Errors: 13, 14, 15, 17 not authorised or algorithm B not set, 46. Source: pins.md 2.7.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "BQ",
    title: "Translate PIN algorithm",
    run: translate,
}

fn translate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let account = req.account_12("Account number")?;
    let pin = req.lmk_pin("PIN, algorithm A")?;
    req.end()?;

    let mut resp = hsm.response();
    resp.lmk_pin("PIN, algorithm B", hsm.lmk_pin_to_algorithm_b(pin, account)?);
    Ok(resp)
}
