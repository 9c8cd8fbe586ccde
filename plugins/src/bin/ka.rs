//! KA: generate a check value of a ZMK, ZPK, TMK, TPK, PVK or TAK. BU does more.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Key | key | untagged 16H |
//! | Key type code | 2N | 00 ZMK, 01 ZPK, 02 TMK, TPK or PVK, 03 TAK |
//! | `;` reserved, reserved, check value type | 1A, 1A, 1A | optional group |
//!
//! Response: check value, 16H or (type 1) 6H. Errors: 04 key type code, 10 parity, 68 where key type 002 is separated.
//! Source: keys.md 7 (KA).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::legacy;

command! {
    code: "KA",
    title: "Generate a key check value (not double-length ZMK)",
    run: check_value,
}

fn check_value<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let key = req.key("Key", KeyPurpose::ZMK)?;
    let at = req.offset();
    let purpose = match req.digits("Key type code", 2)? {
        b"00" => KeyPurpose::ZMK,
        b"01" => KeyPurpose::ZPK,
        b"02" => KeyPurpose::TERMINAL,
        b"03" => KeyPurpose::TAK,
        _ => return Err(req.refuse_with(ErrorCode::KEY_TYPE_CODE, "Key type code", at, "must be 00 to 03")),
    };
    let options = legacy::ZMK.options(req)?;
    req.end()?;

    hsm.command_permitted()?;
    let key = hsm.open_source(&key.with_purpose(purpose))?;
    let mut resp = hsm.response();
    resp.legacy_check_value(options, hsm.key_check_value(key)?);
    Ok(resp)
}
