//! QK: translate a PIN under the LMK to another account number.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | PIN under the LMK | LN | `J` + 32H under an AES LMK |
//! | Old account number | 12N | 18 characters if the new one has 18 |
//! | New account number | 12N | 18 characters as with PIN block format 04 |
//!
//! Response: PIN under the LMK LN, `J` + 32H under an AES LMK. Errors: 14, 15, 17 disabled by a setting, 46. Source: pins.md
//! 2.36.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "QK",
    title: "Translate account number for an LMK-encrypted PIN",
    run: translate,
}

fn translate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let pin = req.lmk_pin("PIN under the LMK")?;
    // Nothing says which form the accounts have but their length.
    let characters = req.rest().iter().take_while(|c| c.is_ascii_digit() || **c == b'F').count();
    let format = if characters >= 36 { *b"04" } else { *b"01" };
    let old = req.account("Old account number", &[format])?;
    let new = req.account("New account number", &[format])?;
    req.end()?;

    hsm.lmk_pin_account_change_allowed()?;
    let pin = hsm.lmk_pin_decrypt(pin, old)?;
    hsm_plugins::pins::lmk_pin_response(hsm, pin, new)
}
