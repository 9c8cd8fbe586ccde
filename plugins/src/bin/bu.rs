//! BU: generate a key check value.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Key type code | 2A | LMK pair code; `10` and `42` with a variant; `FF`: the type follows |
//! | Key length flag | 1A | 0 single, 1 double, 2 triple, `F` key block |
//! | Key | key | code `1C`: hash identifier 2N, length 4N, HMAC key nB, `;`; the length flag has no meaning then |
//! | `;` key type | 3H | with code `FF`; `FFF` for a key block; else ignored, and only if a second group follows |
//! | `;` reserved, check value type | 2A, 1N | optional group: 0 16H, 1 6H |
//! | `%` LMK identifier | 2N | optional |
//!
//! Response: check value, 16H without the group. Only 6 digits are significant under a key-block LMK. Errors: 04 type code, 05
//! length flag, 10 parity, 17 for a long check value, 28 key type, A4 to A9 for key blocks. Source: keys.md 7 (BU).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::asymmetric::read_hash;
use hsm_plugins::length_flag::{FlaggedKey, read_flag};

command! {
    code: "BU",
    title: "Generate a key check value",
    run: check_value,
}

fn check_value<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let at = req.offset();
    let code = req.chars("Key type code", 2, |_| true, "")?.first_chunk::<2>().unwrap_or(b"??");
    let code = code.map(|c| c.to_ascii_uppercase());
    let purpose = match &code {
        b"FF" => None,
        b"10" => Some(KeyPurpose::ZMK_COMPONENT),
        b"42" => Some(KeyPurpose::CVK),
        b"1C" => Some(KeyPurpose::HMAC),
        [b'0', b'0'..=b'9' | b'A'..=b'E'] => Some(KeyPurpose::from_code([b'0', code[0], code[1]])),
        _ => return Err(req.refuse_with(ErrorCode::KEY_TYPE_CODE, "Key type code", at, "must be an LMK pair code")),
    };
    if code == *b"1C" {
        return hmac_check_value(req, hsm);
    }
    let mut flagged = FlaggedKey::read(req, "Key", purpose.unwrap_or(KeyPurpose::KEY_BLOCK), b"2")?;
    if purpose.is_none() {
        req.delimiter("Delimiter before the key type", b';')?;
        let key_type = req.key_type_or("Key type", ErrorCode::KEY_TYPE)?;
        flagged.key = flagged.key.with_purpose(key_type);
    } else if req.rest().first() == Some(&b';') && req.rest().get(4) == Some(&b';') {
        req.accept(b';');
        req.key_type("Key type")?;
    }
    let long = read_check_value_type(req)?;
    req.end()?;

    // 28 is for the type of three characters, 04 for the code (keys.md 9, point 21).
    hsm.key_type_fits(flagged.key.purpose()).map_err(|error| match error {
        ErrorCode::KEY_TYPE_CODE | ErrorCode::KEY_TYPE if code == *b"FF" => ErrorCode::KEY_TYPE,
        ErrorCode::KEY_TYPE => ErrorCode::KEY_TYPE_CODE,
        other => other,
    })?;
    let key = hsm.open_source(&flagged.key)?;
    flagged.check(req, hsm, key)?;
    put_check_value(hsm, key, long)
}

/// Reads the check value group: whether 16 digits are asked for.
fn read_check_value_type(req: &mut Request<'_>) -> Result<bool> {
    if !req.accept(b';') {
        return Ok(true);
    }
    req.text("Reserved", 2)?;
    Ok(req.chars("Check value type", 1, |c| matches!(c, b'0' | b'1'), "must be 0 or 1")? == b"0")
}

/// An HMAC key, which has a form of its own under a variant LMK.
fn hmac_check_value<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    read_flag(req, b"2")?;
    let hash = read_hash(req, false)?;
    let len = req.number("Key length", 4)?;
    let key = req.key_bytes("Key", len)?;
    req.delimiter("Delimiter after the key", b';')?;
    let long = read_check_value_type(req)?;
    req.end()?;

    let key = hsm.hmac_key_open(hash, key)?;
    put_check_value(hsm, key, long)
}

fn put_check_value<'h>(hsm: &Hsm<'h>, key: KeyHandle, long: bool) -> Result<Response<'h>> {
    if long {
        hsm.key_may_show_check_value(key)?;
    }
    let kcv = hsm.key_check_value(key)?;
    let mut resp = hsm.response();
    resp.hex("Key check value", if long { &kcv[..] } else { &kcv[..3] });
    Ok(resp)
}
