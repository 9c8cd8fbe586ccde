//! A8: export a key.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Key type | 3H | `FFF` for a key-block LMK |
//! | `;` ZMK/TMK flag | 1N | optional: 0 ZMK, 1 TMK |
//! | ZMK or TMK | key | |
//! | Key under the LMK | key | |
//! | Key scheme (ZMK) | 1A | `Z` `U` `T` `X` `Y` `S` `R` |
//! | Atalla variant | 1–2N | optional |
//! | `%` LMK identifier | 2N | optional |
//! | `&` exportability | 1A | key-block LMK, scheme `S` or `R`, optional |
//! | `&` usage, mode, version, exportability, optional blocks | | variant LMK, scheme `R` |
//! | `!` TR-31 version | 1A | scheme `R`, optional |
//!
//! Response: key under the ZMK or TMK, check value 6H. Errors: 10 parity of ZMK or TMK, 11 key parity, 17, 26 scheme, 29 not
//! permitted for the key type, A4 to A9 for key blocks, AA exportability, BB wrapping key, BD usage. Source: keys.md 7 (A8).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::transport::{check_value, read_terminal_flag};

command! {
    code: "A8",
    title: "Export a key",
    run: export,
}

fn export<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let purpose = req.key_type("Key type")?;
    let terminal = read_terminal_flag(req, purpose)?;
    let wrapping_key = if terminal { req.key("TMK", KeyPurpose::TMK)? } else { req.zmk("ZMK")? };
    let is_block = wrapping_key.scheme() == Some(b'S');
    let wrapping_key = if is_block { wrapping_key.with_purpose(KeyPurpose::WRAPPING_KEY) } else { wrapping_key };
    let key = req.key("Key under the LMK", purpose)?;
    let scheme = req.scheme("Key scheme (ZMK)")?;
    let variant = req.atalla_variant()?;
    req.lmk_identifier()?;
    let attributes = match (scheme, key.scheme()) {
        (b'S' | b'R', Some(b'S')) => req.attributes(&AttributeGroup::NARROW)?,
        (b'R', _) => req.attributes(&AttributeGroup::TRANSPORT)?,
        _ => None,
    };
    let version = if scheme == b'R' { req.block_version()? } else { None };
    req.end()?;

    hsm.key_type_fits(purpose)?;
    if purpose != KeyPurpose::KEY_BLOCK {
        hsm.key_may_export(purpose)?;
    }
    let wrapping_key = hsm.open_source(&wrapping_key)?;
    let opened = hsm.open_destination(&key)?;
    let attributes = attributes.unwrap_or_default();
    let mut resp = hsm.response();
    let exported = hsm.key_export_block(opened, wrapping_key, scheme, variant, attributes, version)?;
    resp.key("Key under the ZMK", exported);
    resp.hex("Key check value", check_value(hsm, &key, opened)?);
    Ok(resp)
}
