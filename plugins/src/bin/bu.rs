//! BU: generate a key check value.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Key type code | 2A | LMK pair code; `10` and `42` with a variant; `FF`: the type follows |
//! | Key length flag | 1A | 0 single, 1 double, 2 triple, `F` key block |
//! | Key | key | |
//! | `;` key type | 3H | with code `FF` |
//! | `;` reserved, check value type | 2A, 1N | optional group: 0 16H, 1 6H |
//!
//! Response: check value, 16H without the group. Errors: 04 type code, 05 length flag, 10 parity, 17 for a long check value, 28
//! key type. Source: keys.md 7 (BU).
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
    let untagged = match req.chars("Key length flag", 1, |_| true, "")? {
        b"0" | b"F" => 16,
        b"1" => 32,
        b"2" => 48,
        _ => return Err(req.refuse_with(ErrorCode::KEY_LENGTH_FLAG, "Key length flag", at, "must be 0, 1, 2 or F")),
    };
    let mut key = req.sized_key("Key", purpose.unwrap_or(KeyPurpose::KEY_BLOCK), untagged)?;
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

    let key = hsm.open_source(&key).map_err(|code| match code {
        ErrorCode::KEY_TYPE_CODE => ErrorCode::KEY_TYPE,
        other => other,
    })?;
    let kcv = hsm.key_check_value(key)?;
    let mut resp = hsm.response();
    resp.hex("Key check value", if long { &kcv[..] } else { &kcv[..3] });
    Ok(resp)
}
