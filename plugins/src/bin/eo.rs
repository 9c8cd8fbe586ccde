//! EO: import a public key, so that the HSM knows it again.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Public key encoding | 2N | 01 unsigned DER, 02 PKCS#1 DER, 03 SubjectPublicKeyInfo (elliptic curve) |
//! | Public key | nB | |
//! | Authentication data | nA | optional, without `;` and `~` |
//! | `~` | 1A | end of the authentication data, where more follows |
//! | `#` mode, key version number, exportability, optional blocks | 1A, 2A, 1A, 2N, nA | key-block LMK |
//!
//! Response: MAC 4B and public key nB, or public key block. Errors: 03 encoding, 04 public key, 17, A8 mode, A9, AA, B3 to BE.
//! Source: keys.md 7 (EO), 5.3.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::asymmetric::{authentication_data, end_with_attributes, read_public_key};

command! {
    code: "EO",
    title: "Import a public key",
    run: import,
}

fn import<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let encoding = req.digit_array("Public key encoding")?;
    let public = read_public_key(req, hsm, Some(encoding))?;
    // Under a key-block LMK nothing but the delimiter tells authentication data from the attributes.
    let authentication = match req.peek() {
        Some(b'#' | b'%') => &[],
        _ => authentication_data(req)?,
    };
    req.accept(b'~');
    let attributes = end_with_attributes(req, hsm, &AttributeGroup::MODE)?;

    let key = hsm.public_key_import(encoding, public)?;
    let mut resp = hsm.response();
    match attributes {
        Some(attributes) => resp.key("Public key", hsm.key_block_wrap(key, attributes)?),
        None => {
            resp.bytes("MAC of the public key", hsm.public_key_mac(key, authentication)?);
            resp.bytes("Public key", public);
        }
    }
    Ok(resp)
}
