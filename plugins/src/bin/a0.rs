//! A0: generate a key, and optionally export it.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Mode | 1H | 0 generate, 1 generate and export |
//! | Key type | 3H | keys.md section 2 |
//! | Key scheme (LMK) | 1A | decides the key length |
//! | `;` ZMK/TMK flag | 1N | mode 1, optional: 0 ZMK, 1 TMK |
//! | ZMK or TMK | key | mode 1 |
//! | Key scheme (ZMK) | 1A | mode 1 |
//! | Atalla variant | 1–2N | mode 1, optional |
//!
//! Response: key under the LMK, key under the ZMK or TMK (mode 1), check value 6H. Errors: 04 key type, 10 ZMK parity, 17, 26
//! scheme, 29 not permitted for the key type. Source: keys.md 7 (A0).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "A0",
    title: "Generate a key",
    run: generate,
}

fn generate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let exports = req.chars("Mode", 1, |c| matches!(c, b'0' | b'1'), "must be 0 or 1")? == b"1";
    let purpose = req.key_type("Key type")?;
    let scheme = req.scheme("Key scheme (LMK)")?;
    let export = if exports { Some(Export::read(req)?) } else { None };
    req.end()?;

    hsm.key_may_generate(purpose)?;
    if exports {
        hsm.key_may_export(purpose)?;
    }
    let export = match export {
        Some(Export { zmk, scheme, variant }) => Some((hsm.open_source(&zmk)?, scheme, variant)),
        None => None,
    };
    let key = hsm.key_generate(purpose, scheme)?;

    let mut resp = hsm.response();
    resp.key("Key under the LMK", hsm.key_wrap(key, scheme)?);
    if let Some((zmk, scheme, variant)) = export {
        resp.key("Key under the ZMK", hsm.key_export(key, zmk, scheme, variant)?);
    }
    resp.hex("Key check value", &hsm.key_check_value(key)?[..3]);
    Ok(resp)
}

struct Export<'h> {
    zmk: KeyField<'h>,
    scheme: u8,
    variant: u8,
}

impl<'h> Export<'h> {
    fn read(req: &mut Request<'h>) -> Result<Self> {
        let terminal =
            req.accept(b';') && req.chars("ZMK/TMK flag", 1, |c| matches!(c, b'0' | b'1'), "must be 0 or 1")? == b"1";
        let zmk = if terminal { req.key("TMK", KeyPurpose::TMK)? } else { req.zmk("ZMK")? };
        let scheme = req.scheme("Key scheme (ZMK)")?;
        let variant = req.atalla_variant()?;
        Ok(Self { zmk, scheme, variant })
    }
}
