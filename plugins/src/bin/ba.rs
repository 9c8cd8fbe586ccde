//! BA: encrypt a clear PIN.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | PIN | LH | L is the PIN length and one; filled with `F` |
//! | Account number | 12N | |
//!
//! Response: PIN under the LMK LN, `J` + 32H under an AES LMK. Errors: 15, 17 not authorised or clear PINs disabled, 24.
//! Source: pins.md 2.1.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "BA",
    title: "Encrypt a clear PIN",
    run: encrypt,
}

fn encrypt<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let at = req.offset();
    let pin = req.secret_hex_digits("PIN", hsm.lmk_pin_digits()?.into())?;
    let account = req.account_12("Account number")?;
    req.end()?;

    hsm.clear_pins_allowed()?;
    let pin = hsm.pin_from_clear(pin)?;
    if hsm.pin_length(pin)? >= hsm.lmk_pin_digits()? {
        return Err(req.refuse("PIN", at, "must be shorter than the field"));
    }
    hsm_plugins::pins::lmk_pin_response(hsm, pin, account)
}
