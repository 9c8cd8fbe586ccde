//! BU: generate a key check value.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Key type code | 2A | LMK pair code; `10` and `42` with a variant; `FF`: the type follows |
//! | Key length flag | 1A | 0 single, 1 double, 2 triple, `F` key block |
//! | Key | key | |
//! | `;` key type | 3H | with code `FF`; `FFF` for a key block |
//! | `;` reserved, check value type | 2A, 1N | optional group: 0 16H, 1 6H |
//! | `%` LMK identifier | 2N | optional |
//!
//! Response: check value, 16H without the group. Only 6 digits are significant under a key-block LMK. Errors: 04 type code, 05
//! length flag, 10 parity, 17 for a long check value, 28 key type, A4 to A9 for key blocks. Source: keys.md 7 (BU).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "BU",
    title: "Generate a key check value",
    run: check_value,
}

fn check_value<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let at = req.offset();
    let code = *req.chars("Key type code", 2, |_| true, "")?.first_chunk().unwrap_or(b"??");
    let purpose = match &code {
        b"FF" => None,
        b"10" => Some(KeyPurpose::ZMK_COMPONENT),
        b"42" => Some(KeyPurpose::CVK),
        [b'0', b'0'..=b'9' | b'A'..=b'E'] => Some(KeyPurpose::from_code([b'0', code[0], code[1]])),
        _ => return Err(req.refuse_with(ErrorCode::KEY_TYPE_CODE, "Key type code", at, "must be an LMK pair code")),
    };
    let at = req.offset();
    // The number of hexadecimal digits without a scheme, and the schemes of that length.
    let (untagged, schemes): (_, &[u8]) = match req.chars("Key length flag", 1, |_| true, "")? {
        b"0" => (16, b"Z"),
        b"1" => (32, b"UX"),
        b"2" => (48, b"TY"),
        b"F" => (16, b"S"),
        _ => return Err(req.refuse_with(ErrorCode::KEY_LENGTH_FLAG, "Key length flag", at, "must be 0, 1, 2 or F")),
    };
    let mut key = req.sized_key("Key", purpose.unwrap_or(KeyPurpose::KEY_BLOCK), untagged)?;
    // User storage (`K`) tells the length only when it is read.
    if key.scheme().is_some_and(|scheme| scheme != b'K' && !schemes.contains(&scheme)) {
        return Err(req.refuse_with(ErrorCode::KEY_LENGTH_FLAG, "Key length flag", at, "must be that of the key"));
    }
    if purpose.is_none() {
        req.delimiter("Delimiter before the key type", b';')?;
        key = key.with_purpose(req.key_type("Key type")?);
    }
    let long = match req.accept(b';') {
        true => {
            req.text("Reserved", 2)?;
            req.chars("Check value type", 1, |c| matches!(c, b'0' | b'1'), "must be 0 or 1")? == b"0"
        }
        false => true,
    };
    req.end()?;

    hsm.key_type_fits(key.purpose()).map_err(|code| match code {
        ErrorCode::KEY_TYPE_CODE => ErrorCode::KEY_TYPE,
        other => other,
    })?;
    let key = hsm.open_source(&key)?;
    if long {
        hsm.key_may_show_check_value(key)?;
    }
    let kcv = hsm.key_check_value(key)?;
    let mut resp = hsm.response();
    resp.hex("Key check value", if long { &kcv[..] } else { &kcv[..3] });
    Ok(resp)
}
