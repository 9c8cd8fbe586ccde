//! FY: generate an elliptic-curve key pair.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Algorithm | 2N | 01 |
//! | Curve reference | 2N | 00 P-256, 01 P-384, 02 P-521 |
//! | Public key encoding | 2N | 03 SubjectPublicKeyInfo |
//! | `#` mode, key version number, exportability, optional blocks | 1A, 2A, 1A, 2N, nA | mode S, X or N; key-block LMK only |
//!
//! Response: public key length 4N, public key nB, private key block. Errors: 17, A1 variant LMK, A7 algorithm, A8 mode, A9, AA, B3
//! to BE, D2 curve, D3 encoding. Source: keys.md 7 (EI, related 10K command).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::asymmetric::end_with_optional_attributes;

command! {
    code: "FY",
    title: "Generate an elliptic-curve key pair",
    run: generate,
}

fn generate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let at = req.offset();
    if req.digits("Algorithm", 2)? != b"01" {
        return Err(req.refuse_with(ErrorCode::ALGORITHM, "Algorithm", at, "must be 01"));
    }
    let at = req.offset();
    let curve = match req.number("Curve reference", 2)? {
        curve @ 0..=2 => curve as u8,
        _ => return Err(req.refuse_with(ErrorCode::CURVE, "Curve reference", at, "must be 00, 01 or 02")),
    };
    let at = req.offset();
    let encoding = *b"03";
    if req.digit_array("Public key encoding")? != encoding {
        return Err(req.refuse_with(ErrorCode::KEY_ENCODING, "Public key encoding", at, "must be 03"));
    }
    let at = req.offset();
    let attributes = end_with_optional_attributes(req, &AttributeGroup::MODE)?;
    if !hsm.is_key_block_lmk()? {
        return Err(ErrorCode::LMK_SCHEMES.into());
    }
    let Some(attributes) = attributes else {
        return Err(req.refuse("Key block attributes", at, "are needed under a key-block LMK"));
    };

    let key = hsm.ec_generate(curve, attributes.mode.unwrap_or(b'N'))?;
    let public = hsm.public_key_of(key, encoding)?;
    let mut resp = hsm.response();
    resp.number("Public key length", public.len(), 4);
    resp.bytes("Public key", public);
    resp.key("Private key", hsm.key_block_wrap(key, attributes)?);
    Ok(resp)
}
