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

/// What A2 and NE ask for: a new key or component, printed in clear.
#[derive(Debug)]
pub struct NewKey<'h> {
    /// Type of the key.
    pub purpose: KeyPurpose,
    /// Scheme under the LMK.
    pub scheme: u8,
    /// Attributes, under a key-block LMK.
    pub attributes: Option<KeyAttributes<'h>>,
    /// Print fields.
    pub fields: &'h [u8],
    with_check_value: bool,
}

impl<'h> NewKey<'h> {
    /// Reads the whole request: key type, optional check value flag (1 without, 2 with a check value), scheme, print fields,
    /// attributes.
    ///
    /// # Errors
    /// 15, 28 for a key type of the other kind of LMK.
    pub fn read(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Self> {
        let purpose = req.key_type("Key type")?;
        let flag = match req.peek() {
            Some(b'1' | b'2') => req.digit("Check value flag")?,
            _ => 1,
        };
        let scheme = req.scheme("Key scheme (LMK)")?;
        let fields = req.print_fields(&[])?;
        req.lmk_identifier()?;
        let at = req.offset();
        let attributes = req.attributes(&AttributeGroup::GENERATE)?;
        req.end()?;

        hsm.key_type_fits(purpose)?;
        if purpose == KeyPurpose::KEY_BLOCK && attributes.is_none() {
            return Err(req.refuse("Key block attributes", at, "are missing"));
        }
        Ok(Self { purpose, scheme, attributes, fields, with_check_value: flag == 2 })
    }

    /// The response: the key, and its check value if that was asked for.
    #[must_use]
    pub fn response(
        &self,
        hsm: &Hsm<'h>,
        names: [&'static str; 2],
        key: Vec<u8>,
        check_value: &[u8; 8],
    ) -> Response<'h> {
        let [key_name, check_value_name] = names;
        let mut resp = hsm.response();
        resp.key(key_name, key);
        if self.with_check_value {
            resp.hex(check_value_name, &check_value[..3]);
        }
        resp
    }
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
