//! B0: translate the scheme of a key under the LMK.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Key type | 3H | that of the key under the variant LMK |
//! | Key | 32H or key | |
//! | Key scheme (LMK) | 1A | `U` for 32H or `X`, `T` for `Y`; `S` for a key-block LMK |
//! | `%` LMK identifier | 2N | optional; with `#`, the key-block LMK that the key goes to |
//! | `#` usage, mode, version, exportability, optional blocks | | variant to key-block LMK |
//!
//! Response: the key. Errors: 10 parity, 17 not authorised, 26 scheme, A1 LMK, BD usage. Source: keys.md 7 (B0).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "B0",
    title: "Translate a key scheme",
    run: translate,
}

fn translate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let purpose = req.key_type("Key type")?;
    let key = req.double_key("Key", purpose)?;
    let scheme = req.scheme("Key scheme (LMK)")?;
    req.lmk_identifier()?;
    let at = req.offset();
    let attributes = match scheme {
        b'S' => Some(
            req.attributes(&AttributeGroup::DESCRIBE)?
                .ok_or_else(|| req.refuse("Key block attributes", at, "are missing"))?,
        ),
        _ => None,
    };
    req.end()?;

    let mut resp = hsm.response();
    resp.key("Key", hsm.key_translate_scheme(purpose, key.bytes(), scheme, attributes)?);
    Ok(resp)
}
