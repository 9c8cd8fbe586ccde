//! A6: import a key.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Key type | 3H | `FFF` for a key-block LMK |
//! | ZMK | key | |
//! | Key under the ZMK | key | any scheme, `S` and `R` too |
//! | Key scheme (LMK) | 1A | |
//! | Atalla variant | 1–2N | optional |
//! | `%` LMK identifier | 2N | optional |
//! | `#` usage, optional blocks | | TR-31 block to a key-block LMK, optional |
//! | `#` usage, mode, version, exportability, optional blocks | | another scheme than `S` and `R` to a key-block LMK |
//!
//! Response: key under the LMK, check value 6H; both also with advice 01, parity was forced odd. Errors: 10 ZMK parity, 11 the key is
//! all zero, 17, 26 scheme, 28 key type, A4 to A9 for key blocks, BB wrapping key, BD key types. Source: keys.md 7 (A6).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::transport::{check_value, goes_into_block};

command! {
    code: "A6",
    title: "Import a key",
    run: import,
}

fn import<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let purpose = req.key_type("Key type")?;
    let zmk = req.zmk("ZMK")?;
    let key = req.wrapped_key("Key under the ZMK", 16)?;
    let scheme = req.scheme("Key scheme (LMK)")?;
    let variant = req.atalla_variant()?;
    req.lmk_identifier()?;
    let attributes = match (goes_into_block(hsm, purpose, scheme)?, key.scheme()) {
        (true, Some(b'R')) => req.attributes(&AttributeGroup::MODIFY)?,
        (true, Some(b'S')) | (false, _) => None,
        (true, _) => req.attributes(&AttributeGroup::DESCRIBE)?,
    };
    req.end()?;

    hsm.key_type_fits(purpose)?;
    if purpose != KeyPurpose::KEY_BLOCK {
        hsm.key_may_import(purpose)?;
    }
    let zmk = hsm.open_source(&zmk)?;
    let (imported, forced) = hsm.key_import_block(purpose, zmk, key.bytes(), variant, attributes)?;
    let mut resp = hsm.response();
    if forced {
        resp.advice(ErrorCode::VERIFICATION_FAILED);
    }
    resp.key("Key under the LMK", hsm.key_wrap(imported, scheme)?);
    resp.hex("Key check value", check_value(hsm, &key, imported)?);
    Ok(resp)
}
