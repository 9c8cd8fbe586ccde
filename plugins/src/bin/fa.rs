//! FA: translate a ZPK from ZMK to LMK encryption.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | ZMK | key | untagged length is a setting |
//! | ZPK under the ZMK | key | |
//! | Atalla variant | 1–2N | optional |
//! | `;` reserved, key scheme (LMK), check value type | 1A, 1A, 1A | optional group |
//!
//! Response: ZPK under the LMK, check value 16H or (type 1) 6H; both also with advice 01, parity was forced odd. Errors: 10 ZMK
//! parity, 11 the ZPK is all zero, 26. Source: keys.md 7 (FA).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "FA",
    title: "Translate a ZPK from ZMK to LMK encryption",
    run: import_zpk,
}

fn import_zpk<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let zmk = req.zmk("ZMK")?;
    let zpk = req.wrapped_key("ZPK under the ZMK", 16)?;
    let variant = req.atalla_variant()?;
    let options = req.legacy_options()?;
    req.end()?;

    let zmk = hsm.open_source(&zmk)?;
    let (key, forced) = hsm.key_import(KeyPurpose::ZPK, zmk, zpk.bytes(), variant)?;
    let mut resp = hsm.response();
    if forced {
        resp.advice(ErrorCode::VERIFICATION_FAILED);
    }
    let scheme = if options.given { options.scheme_lmk } else { zpk.scheme().unwrap_or(b'0') };
    resp.key("ZPK under the LMK", hsm.key_wrap(key, scheme)?);
    resp.legacy_check_value(options, hsm.key_check_value(key)?);
    Ok(resp)
}
