//! EW: generate a signature.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Hash identifier | 2N | as GM; 04: the data is a DigestInfo, for PKCS#1 v1.5 |
//! | Signature identifier | 2N | 01 RSA, 02 ECDSA |
//! | Pad mode identifier | 2N | 01 PKCS#1 v1.5, 04 PSS; without meaning for ECDSA |
//! | Data length, data, `;` | 4N, nB, 1A | |
//! | Private key flag | 2N | 00 to 20 loaded by EK, 99 in the message |
//! | Private key length, private key | 4N, nB | flag 99; `FFFF` and a key block under a key-block LMK; or `0004` `K` 3H, `FFFF` `SK` 3H |
//!
//! Response: signature length 4N, signature nB (ECDSA: DER). Errors: 03 the private key may not sign, 04 flag, 05 hash, 06 signature
//! identifier, 07 pad mode, 49 private key, 74 DigestInfo, 76 the modulus is too short for the hash, 78 private key length, 80 data
//! length, A1 to BE. Source: card-emv-mac.md 8.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::asymmetric::{PrivateKeyField, read_data, read_signature_method};

command! {
    code: "EW",
    title: "Generate a signature",
    run: sign,
}

const FLAG: ErrorCode = ErrorCode::KEY_TYPE_CODE;

fn sign<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let method = read_signature_method(req)?;
    let data = read_data(req, "Data")?;
    req.delimiter("Delimiter after the data", b';')?;
    let key = PrivateKeyField::read(req, FLAG)?;
    req.end()?;

    let signature = hsm.signature_generate(key.open(hsm)?, method, data)?;
    let mut resp = hsm.response();
    resp.number("Signature length", signature.len(), 4);
    resp.bytes("Signature", signature);
    Ok(resp)
}
