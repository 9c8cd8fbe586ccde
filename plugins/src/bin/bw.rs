//! BW: translate a key from the old LMK to the new one, and migrate its key type.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Key type code | 2A | variant and pair code; `FF`: the type follows; `F2`: a 002 key becomes one of the type that follows |
//! | Key length flag | 1A | 0 single, 1 double, 2 or 3 triple, `F` key block |
//! | Key under the old LMK | key | code `0C`: as EM, `1C`: hash identifier 2N, length 4N, key nB, `;`; the length flag has no meaning then |
//! | `;` key type | 3H | with codes `FF` and `F2`; else ignored, and only if a second group follows |
//! | `;` reserved, key scheme (LMK), reserved | 1A, 1A, 1A | optional group |
//! | `%` LMK identifier | 2N | optional |
//! | `#` attributes | 8A, nA | from variant to key-block LMK: usage, mode, version, exportability, optional blocks |
//! | `!` check value flag, type | 1N, 1N | optional: flag 1 answers a check value; type 0 16H, 1 6H |
//!
//! Response: key under the new LMK (codes `0C` and `1C`: length 4N or `FFFF` first), check value if asked for; RSA keys have none. Errors: 04 key type, 05 length flag, 10 parity, 26, 33 key
//! change storage is empty, 44 migration although key type 002 is not separated, 45 destination type, A1 from key-block to
//! variant LMK, A3 to BE. Source: keys.md 7 (BW).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::asymmetric::{put_private_field, put_sized_key, read_hash, read_private_key};
use hsm_plugins::legacy;
use hsm_plugins::length_flag::{FlaggedKey, read_flag};
use hsm_plugins::transport;

command! {
    code: "BW",
    title: "Translate a key from the old LMK to the new one, and migrate its type",
    run: translate,
}

fn translate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let at = req.offset();
    let code = req.text("Key type code", 2)?.first_chunk::<2>().unwrap_or(b"??");
    let code = code.map(|c| c.to_ascii_uppercase());
    let (source, named) = match code {
        [b'F', b'F'] => (KeyPurpose::KEY_BLOCK, true),
        [b'F', b'2'] => (KeyPurpose::PVK, true),
        [variant @ b'0'..=b'9', pair @ (b'0'..=b'9' | b'A'..=b'E')] => {
            (KeyPurpose::from_code([variant, b'0', pair]), false)
        }
        _ => return Err(req.refuse_with(ErrorCode::KEY_TYPE_CODE, "Key type code", at, "must be an LMK pair code")),
    };
    match &code {
        b"0C" => return translate_rsa(req, hsm),
        b"1C" => return translate_hmac(req, hsm),
        _ => {}
    }
    let flagged = FlaggedKey::read(req, "Key under the old LMK", source, b"23")?;
    let key = flagged.key;
    let mut destination = source;
    let type_at = req.offset() + 1;
    if named {
        req.delimiter("Delimiter before the key type", b';')?;
        destination = req.key_type("Key type")?;
    } else if req.rest().first() == Some(&b';') && req.rest().get(4) == Some(&b';') {
        req.accept(b';');
        req.key_type("Key type")?;
    }
    let (options, attributes, check_value) = end(req)?;

    let is_block = matches!(key.scheme(), Some(b'S' | b'R'));
    if is_block && code != *b"F2" && destination != KeyPurpose::KEY_BLOCK {
        return Err(req.refuse_with(
            ErrorCode::KEY_TYPE_CODE,
            "Key type",
            type_at,
            "must be FF and FFF for a key block",
        ));
    }
    let (purpose, migrated_to) = if code == *b"F2" { (source, Some(destination)) } else { (destination, None) };
    let scheme = legacy::translated_scheme(&key, options, attributes);
    let translated = hsm.old_lmk_translate(purpose, migrated_to, key.bytes(), scheme, attributes);
    let (translated, key) = translated.map_err(|code| match code {
        ErrorCode::KEY_TYPE => ErrorCode::KEY_TYPE_CODE,
        other => other,
    })?;
    flagged.check(req, hsm, key)?;
    let mut resp = hsm.response();
    resp.key("Key under the new LMK", translated);
    if flagged.key.is_asymmetric() && check_value.is_some() {
        resp.hex("Key check value", transport::check_value(hsm, &flagged.key, key)?);
    } else {
        put_check_value(&mut resp, hsm, key, check_value)?;
    }
    Ok(resp)
}

/// An RSA private key, which has a form of its own.
fn translate_rsa<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    read_flag(req, b"23")?;
    let key = read_private_key(req)?;
    let at = req.offset();
    let (_, attributes, check_value) = end(req)?;
    if check_value.is_some() {
        return Err(req.refuse("Check value flag", at, "must be 0, as an RSA key has no check value"));
    }
    let (is_block, field) = hsm.private_key_translate(key, attributes)?;
    let mut resp = hsm.response();
    put_private_field(&mut resp, is_block, &field);
    Ok(resp)
}

/// An HMAC key, likewise.
fn translate_hmac<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    read_flag(req, b"23")?;
    let hash = read_hash(req, false)?;
    let len = req.number("Key length", 4)?;
    let key = req.key_bytes("Key under the old LMK", len)?;
    req.delimiter("Delimiter after the key", b';')?;
    let (_, attributes, check_value) = end(req)?;
    let (field, key) = hsm.old_lmk_translate_hmac(hash, key, attributes)?;
    let mut resp = hsm.response();
    put_sized_key(&mut resp, ["Key length", "Key under the new LMK"], attributes.is_some(), &field);
    put_check_value(&mut resp, hsm, key, check_value)?;
    Ok(resp)
}

/// The groups that may follow the key: options, attributes, and how many bytes of check value to answer.
type End<'h> = (LegacyOptions, Option<KeyAttributes<'h>>, Option<usize>);

/// Reads what follows the key, and ends the request.
fn end<'h>(req: &mut Request<'h>) -> Result<End<'h>> {
    let options = req.legacy_options()?;
    let attributes = legacy::attributes(req)?;
    let check_value = if req.accept(b'!') { returned_check_value(req)? } else { None };
    req.end()?;
    Ok((options, attributes, check_value))
}

fn put_check_value(resp: &mut Response<'_>, hsm: &Hsm<'_>, key: KeyHandle, shown: Option<usize>) -> Result<()> {
    if let Some(shown) = shown {
        resp.hex("Key check value", &hsm.key_check_value(key)?[..shown]);
    }
    Ok(())
}

/// Reads the group after `!`: how many bytes of check value to answer, if any.
fn returned_check_value(req: &mut Request<'_>) -> Result<Option<usize>> {
    let digit = |c: &u8| matches!(c, b'0' | b'1');
    let returned = req.chars("Check value flag", 1, digit, "must be 0 or 1")? == b"1";
    let bytes = if req.chars("Check value type", 1, digit, "must be 0 or 1")? == b"1" { 3 } else { 8 };
    Ok(returned.then_some(bytes))
}
