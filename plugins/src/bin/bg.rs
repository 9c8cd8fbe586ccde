//! BG: translate a PIN from the LMK in key change storage to the current one, and to the current PIN length.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Account number | 12N | |
//! | PIN under the old LMK | nN | of the old PIN length; `J` + 32H under an AES LMK |
//!
//! Response: PIN under the current LMK LN, `J` + 32H under an AES LMK. Errors: 14, 15 also for a PIN longer than the device's PIN
//! length, 33 no old LMK, 46. Source: pins.md 2.4.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "BG",
    title: "Translate a PIN and PIN length",
    run: translate,
}

fn translate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let account = req.account_12("Account number")?;
    let pin = req.old_lmk_pin("PIN under the old LMK")?;
    req.end()?;

    let pin = hsm.old_lmk_pin_decrypt(pin, account)?;
    hsm_plugins::pins::lmk_pin_response(hsm, pin, account)
}
