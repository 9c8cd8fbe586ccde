//! NG: decrypt a PIN under the LMK.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Account number | 12N | |
//! | PIN under the LMK | LN | `J` + 32H under an AES LMK |
//!
//! Response: PIN LH filled with `F`, reference number of the account 12N. Errors: 14, 15, 17 not authorised or clear PINs disabled,
//! 46. Source: pins.md 2.2.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "NG",
    title: "Decrypt an encrypted PIN",
    run: decrypt,
}

fn decrypt<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let account = req.account_12("Account number")?;
    let pin = req.lmk_pin("PIN under the LMK")?;
    req.end()?;

    hsm.clear_pins_allowed()?;
    let pin = hsm.lmk_pin_decrypt(pin, account)?;
    let mut resp = hsm.response();
    resp.secret("PIN", hsm.pin_to_clear(pin)?);
    resp.digits("Reference number", hsm.reference_number(account)?);
    Ok(resp)
}
