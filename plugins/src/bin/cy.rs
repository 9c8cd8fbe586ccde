//! CY: verify a card verification value (CVV, CVC, CVV2, iCVV; CAVV by its fields).
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | CVK A/B | 32H or key | type 402 |
//! | CVV | 3N | |
//! | Primary account number | 1–19N | ended by `;` |
//! | Expiration date | 4N | order is the host's choice |
//! | Service code | 3N | 000 for CVV2, 999 for iCVV |
//!
//! Errors: 01 the CVV is wrong, 10 CVK parity, 27 CVK not of double length. Source: card-emv-mac.md 1.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "CY",
    title: "Verify a card verification value",
    run: verify_cvv,
}

fn verify_cvv<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let cvk = req.double_key("CVK A/B", KeyPurpose::CVK)?;
    let cvv = req.secret_digit_array("CVV")?;
    let pan = req.account_until("Primary account number", 19, b';')?;
    let expiry = req.digit_array("Expiration date")?;
    let service_code = req.digit_array("Service code")?;
    req.end()?;

    let cvk = hsm.open_source(&cvk)?;
    if !hsm.cvv_verify(cvk, pan, expiry, service_code, cvv)? {
        return Err(ErrorCode::VERIFICATION_FAILED.into());
    }
    Ok(hsm.response())
}
