//! PG: verify the check value of a PIN mailer.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Account number | 12N | |
//! | PIN under the LMK | L | `J` and 32H under an AES LMK |
//! | Check value | L + 12 digits | as PF gave it |
//!
//! Errors: 01 the check value is wrong, 14, 15. Source: pins.md 2.35.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "PG",
    title: "Verify PIN mailer cryptography",
    run: verify,
}

fn verify<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let account = req.account_12("Account number")?;
    let pin = req.lmk_pin("PIN under the LMK")?;
    let check_value = req.digits("Check value", usize::from(hsm.lmk_pin_digits()?) + 12)?;
    req.end()?;

    if !hsm.print_pin_verify(account, pin, check_value)? {
        return Err(ErrorCode::VERIFICATION_FAILED.into());
    }
    Ok(hsm.response())
}
