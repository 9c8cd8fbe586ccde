//! EU: translate the MAC of a public key from the old LMK to the new one.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | MAC | 4B | under the old LMK, if it is a variant LMK |
//! | Public key | nB | DER; a public key block if the old LMK is a key-block LMK |
//! | Authentication data | nA | optional, variant LMK |
//! | `~` | 1A | end of the authentication data, where more follows |
//! | `#` mode, key version number, exportability, optional blocks | 1A, 2A, 1A, 2N, nA | from a variant LMK to a key-block LMK |
//!
//! Response: MAC 4B, or public key block. Errors: 01 MAC, 04 public key, 33 nothing in key change storage, A1 to BE.
//! Source: keys.md 7 (EU), 5.3.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::asymmetric::{PublicKeyField, end_with_optional_attributes};

command! {
    code: "EU",
    title: "Translate a public key MAC from the old LMK to the new LMK",
    run: translate,
}

fn translate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let key = PublicKeyField::read(req, hsm)?;
    req.accept(b'~');
    let attributes = end_with_optional_attributes(req, &AttributeGroup::MODE)?;

    let protected = hsm.public_key_translate(key.mac, key.field, key.authentication_data, attributes)?;
    let mut resp = hsm.response();
    if hsm.is_key_block_lmk()? {
        resp.key("Public key", protected);
    } else {
        resp.bytes("MAC of the public key", protected);
    }
    Ok(resp)
}
