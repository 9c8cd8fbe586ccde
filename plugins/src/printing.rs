//! What the printing commands share (pins.md 2.35, keys.md 7): print fields, and the second response that follows printing.

use hsm_plugin_sdk::prelude::*;

/// Announces the response that goes out when the document has been printed: 00, or 16 if the printer failed. It carries the request's
/// trailer too.
///
/// # Errors
/// None that a client can cause.
pub fn then_printed(req: &Request<'_>, hsm: &Hsm<'_>, code: &[u8; 2], printed: bool) -> Result<()> {
    let error = if printed { ErrorCode::OK } else { ErrorCode::DEVICE_NOT_READY };
    let body = [error.as_bytes(), req.message_trailer()].concat();
    Ok(hsm.also_respond(*code, &body)?)
}

/// Reads the document type of a PIN mailer: `A` or `B` for the first or second mailer of a two-up form, `C` for a one-up form.
///
/// # Errors
/// 15 for anything else.
pub fn document_type(req: &mut Request<'_>) -> Result<u8> {
    Ok(req.chars("Document type", 1, |c| matches!(c, b'A'..=b'C'), "must be A, B or C")?[0])
}

/// Reads the scheme for the key under the LMK from the option group of OC and OE: `|`, scheme (ZMK), scheme (LMK), check value type;
/// `0` without the group.
///
/// # Errors
/// 15 for a short group.
pub fn lmk_scheme(req: &mut Request<'_>) -> Result<u8> {
    if !req.accept(b'|') {
        return Ok(b'0');
    }
    req.scheme("Key scheme (ZMK)")?;
    let scheme = req.scheme("Key scheme (LMK)")?;
    req.text("Key check value type", 1)?;
    Ok(scheme)
}

/// Reads the key type, the optional check value flag (1 without, 2 with a check value) and the scheme of A2 and NE; also says whether a
/// check value is asked for.
///
/// # Errors
/// 15 for a short field.
pub fn key_type_and_scheme(req: &mut Request<'_>) -> Result<(KeyPurpose, u8, bool)> {
    let purpose = req.key_type("Key type")?;
    let flag = match req.peek() {
        Some(b'1' | b'2') => req.digit("Check value flag")?,
        _ => 1,
    };
    Ok((purpose, req.scheme("Key scheme (LMK)")?, flag == 2))
}

/// PA and PC: load a print format or continue it.
///
/// # Errors
/// 15.
pub fn load_format<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>, append: bool) -> Result<Response<'h>> {
    // The format holds every printable character; only the LMK identifier at its end and the trailer end it.
    let len = req.rest().iter().position(|c| *c == 0x19).unwrap_or(req.rest().len());
    let len = crate::without_lmk_identifier(&req.rest()[..len]).len();
    let text = req.text("Data", len)?;
    req.end()?;

    hsm.print_format_load(text, append)?;
    Ok(hsm.response())
}
