//! RC: verify the check value of a PIN solicitation mailer.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Account number | 12N | |
//! | Reference number check value | 12N | as OB gave it |
//!
//! Errors: 01 the check value is wrong, 15. Source: pins.md 2.35.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "RC",
    title: "Verify solicitation mailer cryptography",
    run: verify,
}

fn verify<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let account = req.account_12("Account number")?;
    let check_value = req.digit_array("Reference number check value")?;
    req.end()?;

    if !hsm.print_solicitation_verify(account, check_value)? {
        return Err(ErrorCode::VERIFICATION_FAILED.into());
    }
    Ok(hsm.response())
}
