//! What PIN commands share: verification, generation and translation (pins.md section 2).

use hsm_plugin_sdk::prelude::*;

/// A response with 00, or with 02 where a PVK is longer than the IBM method needs.
#[must_use]
pub fn ibm_response<'h>(hsm: &Hsm<'h>, long_pvk: bool) -> Response<'h> {
    let mut resp = hsm.response();
    if long_pvk {
        resp.advice(ErrorCode::KEY_LENGTH_WARNING);
    }
    resp
}

/// Opens a PVK pair as the second key of a request.
///
/// # Errors
/// 11 parity, 27 if it is not of double length, and as [`Hsm::key_open`].
pub fn open_pvk_pair(hsm: &Hsm<'_>, pvk: &KeyField<'_>) -> Result<KeyHandle> {
    let pvk = hsm.open_destination(pvk)?;
    hsm.pvk_pair_check(pvk)?;
    Ok(pvk)
}

/// Refuses with 01 what was not verified.
///
/// # Errors
/// 01.
pub fn verified(verified: bool) -> Result<()> {
    if verified { Ok(()) } else { Err(ErrorCode::VERIFICATION_FAILED.into()) }
}

/// BC and BE: verify a PIN by comparison with one under the LMK (pins.md 2.3).
///
/// # Errors
/// The codes of the command's page.
pub fn verify_by_comparison<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>, pin_key: KeyPurpose) -> Result<Response<'h>> {
    hsm.pin_verification_allowed()?;
    let key = req.key("PIN key", pin_key)?;
    let block = req.pin_block("PIN block", &key)?;
    let format = req.digit_array("PIN block format")?;
    let account = req.account("Account number", &[format])?;
    let stored = req.lmk_pin("PIN under the LMK")?;
    req.end()?;

    let key = hsm.open_source(&key)?;
    hsm.pin_format(key, format)?;
    let stored = hsm.lmk_pin_decrypt(stored, account)?;
    let pin = hsm.pin_decode(key, format, &block, account)?;
    verified(hsm.pin_matches(pin, stored)?)?;
    Ok(hsm.response())
}

/// CG and EG: verify a PIN with the Diebold method (pins.md 2.11).
///
/// # Errors
/// The codes of the command's page.
pub fn verify_diebold<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>, pin_key: KeyPurpose) -> Result<Response<'h>> {
    hsm.pin_verification_allowed()?;
    let key = req.key("PIN key", pin_key)?;
    let table = req.diebold_table()?;
    let block = req.pin_block("PIN block", &key)?;
    let format = req.digit_array("PIN block format")?;
    let account = req.account("Account number", &[format])?;
    let validation_data = req.diebold_validation_data()?;
    let diebold = DieboldFields { table, account, validation_data };
    let offset = req.secret_digit_array("Offset")?;
    req.end()?;

    let key = hsm.open_source(&key)?;
    hsm.pin_format(key, format)?;
    hsm.diebold_check(table)?;
    let pin = hsm.pin_decode(key, format, &block, account)?;
    verified(hsm.diebold_verify(pin, diebold, offset)?)?;
    Ok(hsm.response())
}

/// DA and EA: verify a PIN with the IBM method (pins.md 2.18).
///
/// # Errors
/// The codes of the command's page.
pub fn verify_ibm<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>, pin_key: KeyPurpose) -> Result<Response<'h>> {
    hsm.pin_verification_allowed()?;
    req.leave_accounts_to_host();
    let key = req.key("PIN key", pin_key)?;
    let pvk = req.key("PVK", KeyPurpose::PVK)?;
    req.maximum_pin_length()?;
    let block = req.pin_block("PIN block", &key)?;
    let format = req.digit_array("PIN block format")?;
    let ibm = req.ibm_fields(&[format])?;
    let offset = req.pin_offset()?;
    req.end()?;

    let key = hsm.open_source(&key)?;
    let pvk = hsm.open_destination(&pvk)?;
    hsm.pin_format(key, format)?;
    let (natural, long_pvk) = hsm.ibm_natural_pin(pvk, ibm)?;
    let pin = hsm.pin_decode(key, format, &block, ibm.account)?;
    verified(hsm.ibm_verify(pin, natural, offset)?)?;
    Ok(ibm_response(hsm, long_pvk))
}

/// DC and EC: verify a PIN with the Visa PVV method (pins.md 2.19).
///
/// # Errors
/// The codes of the command's page.
pub fn verify_pvv<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>, pin_key: KeyPurpose) -> Result<Response<'h>> {
    hsm.pin_verification_allowed()?;
    req.leave_accounts_to_host();
    let key = req.key("PIN key", pin_key)?;
    let pvk = req.double_key("PVK pair", KeyPurpose::PVK)?;
    let block = req.pin_block("PIN block", &key)?;
    let format = req.digit_array("PIN block format")?;
    let account = req.account("Account number", &[format])?;
    let verification_account = req.verification_account(account)?;
    let pvki = req.digits("PVKI", 1)?[0];
    let pvv = req.secret_digit_array("PVV")?;
    req.end()?;

    let key = hsm.open_source(&key)?;
    let pvk = open_pvk_pair(hsm, &pvk)?;
    hsm.pin_format(key, format)?;
    hsm.account_check(account)?;
    hsm.account_check(verification_account)?;
    let pin = hsm.pin_decode(key, format, &block, account)?;
    verified(hsm.pvv_verify(pin, pvk, verification_account, pvki, pvv)?)?;
    Ok(hsm.response())
}

/// JC and JE: translate a PIN block to a PIN under the LMK (pins.md 2.32).
///
/// # Errors
/// The codes of the command's page.
pub fn translate_to_lmk<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>, pin_key: KeyPurpose) -> Result<Response<'h>> {
    req.leave_accounts_to_host();
    let key = req.key("PIN key", pin_key)?;
    let block = req.pin_block("PIN block", &key)?;
    let format = req.digit_array("PIN block format")?;
    let account = req.account("Account number", &[format])?;
    req.end()?;

    let key = hsm.open_source(&key)?;
    hsm.pin_format(key, format)?;
    hsm.account_check(account)?;
    let pin = hsm.pin_decode(key, format, &block, account)?;
    lmk_pin_response(hsm, pin, account)
}

/// A response that carries a PIN under the LMK.
///
/// # Errors
/// 15 if the PIN is longer than the device's PIN length.
pub fn lmk_pin_response<'h>(hsm: &Hsm<'h>, pin: PinHandle, account: AccountField<'_>) -> Result<Response<'h>> {
    let mut resp = hsm.response();
    resp.lmk_pin("PIN under the LMK", hsm.lmk_pin_encrypt(pin, account)?);
    Ok(resp)
}

/// CA and CC: what is left of a PIN block translation once the keys are read (pins.md 2.8, 2.9).
///
/// # Errors
/// The codes of the command's page.
pub fn translate_block<'h>(
    req: &mut Request<'h>,
    hsm: &Hsm<'h>,
    source: &KeyField<'h>,
    destination: &PinDestination<'h>,
) -> Result<Response<'h>> {
    req.leave_accounts_to_host();
    req.maximum_pin_length()?;
    let block = req.pin_block("Source PIN block", source)?;
    let from = req.digit_array("Source PIN block format")?;
    let to = req.digit_array("Destination PIN block format")?;
    let account = req.account("Account number", &[from, to])?;
    let destination_account = req.destination_account(account, to)?;
    req.end()?;

    let source = hsm.open_source(source)?;
    let ksn = destination.ksn;
    let destination = hsm.open_pin_destination(destination)?;
    hsm.pin_translation(source, from, destination, to)?;
    if ksn.is_some() {
        crate::dukpt::terminal_format(to)?;
    }
    hsm.account_check(account)?;
    if destination_account != account {
        hsm.pin_account_change(from, account, to, destination_account)?;
    }
    let pin = hsm.pin_decode(source, from, &block, account)?;

    let mut resp = hsm.response();
    resp.number("PIN length", hsm.pin_length(pin)?.into(), 2);
    resp.pin_block("Destination PIN block", hsm.pin_encode(pin, destination, to, destination_account)?);
    resp.digits("Destination PIN block format", to);
    Ok(resp)
}
