//! EY: verify a signature.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Hash identifier | 2N | as EW |
//! | Signature identifier | 2N | 01 RSA, 02 ECDSA |
//! | Pad mode identifier | 2N | 01 PKCS#1 v1.5, 04 PSS; without meaning for ECDSA |
//! | Signature length, signature, `;` | 4N, nB, 1A | |
//! | Data length, data, `;` | 4N, nB, 1A | |
//! | MAC, public key, authentication data | 4B, nB, nA | a public key block under a key-block LMK |
//!
//! Response: nothing more. Errors: 01 MAC of the public key, 02 signature, 04 public key, 05 hash, 06 signature identifier, 07 pad
//! mode, 74 DigestInfo, 76 signature length, 80 data length, A1 to BE. Source: card-emv-mac.md 8.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::asymmetric::{PublicKeyField, read_data, read_signature_method};

command! {
    code: "EY",
    title: "Verify a signature",
    run: verify,
}

const SIGNATURE_WRONG: ErrorCode = ErrorCode::KEY_LENGTH_WARNING;

fn verify<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let method = read_signature_method(req)?;
    let signature = read_data(req, "Signature")?;
    req.delimiter("Delimiter after the signature", b';')?;
    let data = read_data(req, "Data")?;
    req.delimiter("Delimiter after the data", b';')?;
    let key = PublicKeyField::read(req, hsm)?;
    req.end()?;

    if !hsm.signature_verify(key.open(hsm)?, method, data, signature)? {
        return Err(SIGNATURE_WRONG.into());
    }
    Ok(hsm.response())
}
