//! DG: generate the Visa PVV of a PIN under the LMK.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | PVK pair | 32H or key | type 002, double length |
//! | PIN under the LMK | LN | `J` + 32H under an AES LMK |
//! | Account number | 12N | |
//! | PVKI | 1N | |
//! | `*` count, PIN length, excluded PINs | 2N, 2N, nN | optional |
//!
//! Response: PVV 4N. Errors: 03, 10 PVK parity, 14, 15, 27 PVK not of double length, 46, 81, 86 the PIN is excluded. Source:
//! pins.md 2.21.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "DG",
    title: "Generate a Visa PVV of an LMK-encrypted PIN",
    run: generate,
}

fn generate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let pvk = req.double_key("PVK pair", KeyPurpose::PVK)?;
    let pin = req.lmk_pin("PIN under the LMK")?;
    let account = req.account_12("Account number")?;
    let pvki = req.digits("PVKI", 1)?[0];
    let excluded = req.excluded_pins()?;
    req.end()?;

    let pvk = hsm.open_source(&pvk)?;
    hsm.pvk_pair_check(pvk)?;
    let pin = hsm.lmk_pin_decrypt(pin, account)?;
    hsm.pin_may_be_chosen(pin, excluded)?;
    let mut resp = hsm.response();
    resp.secret("PVV", hsm.pvv(pin, pvk, account, pvki)?);
    Ok(resp)
}
