//! JG: translate a PIN from the LMK to encryption under a ZPK.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | ZPK | key | |
//! | PIN block format | 2N | |
//! | Account number | 12N | 18 characters with format 04; PAN and `;` with format 48 |
//! | PIN under the LMK | LN | `J` + 32H under an AES LMK |
//!
//! Response: PIN block 16H, 32H under an AES key. Errors: 11 ZPK parity, 14, 15, 23, 24 the PIN does not fit the format, 46,
//! 69. Source: pins.md 2.33.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "JG",
    title: "Translate a PIN from the LMK to encryption under a ZPK",
    run: translate,
}

fn translate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let zpk = req.key("ZPK", KeyPurpose::ZPK)?;
    let format = req.digit_array("PIN block format")?;
    let account = req.account("Account number", &[format])?;
    let pin = req.lmk_pin("PIN under the LMK")?;
    req.end()?;

    let zpk = hsm.open_destination(&zpk)?;
    hsm.pin_output_format(zpk, format)?;
    let pin = hsm.lmk_pin_decrypt(pin, account)?;
    let mut resp = hsm.response();
    resp.pin_block("PIN block", hsm.pin_encode(pin, zpk, format, account)?);
    Ok(resp)
}
