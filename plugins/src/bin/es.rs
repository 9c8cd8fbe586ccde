//! ES: validate a certificate and import its public key.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | MAC, public key of the CA, authentication data | 4B, nB, nA | or a public key block |
//! | `;` | 1A | |
//! | Certificate length | 4N | |
//! | Hash data offset, length | 4N, 4N | what the signature is over |
//! | Signature offset, length | 4N, 4N | |
//! | Certificate, `;` | nB, 1A | |
//! | Hash identifier | 2N | |
//! | Signature identifier | 2N | 01 RSA, 02 ECDSA |
//! | Pad mode identifier | 2N | 01 PKCS#1 v1.5; 02 PSS |
//! | Mask generation function, its hash | 2N, 2N | pad mode 02: 01, and the hash identifier again |
//! | Public key encoding | 2N | as EO |
//! | Public key offset | 4N | |
//! | `;` authentication data | 1A, nA | optional, for the new MAC |
//! | `~` | 1A | where more follows |
//! | `#` mode, key version number, exportability, optional blocks | 1A, 2A, 1A, 2N, nA | key-block LMK |
//!
//! No source has the fields after the pad mode: their order is this emulator's. The public key must lie in what is signed.
//! Response: MAC 4B and public key nB, or public key block. Errors: 01 MAC of the CA's key, 02 signature of the certificate, 03
//! encoding, 04 public key, 05 hash, 06 signature identifier, 07 pad mode, 76 signature length, 80 offsets and lengths, 85, 86, A1 to
//! BE. Source: keys.md 7 (ES).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugin_sdk::{CertificateParts, SignatureAlgorithm, SignatureMethod};
use hsm_plugins::asymmetric::{PublicKeyField, authentication_data, end_with_attributes, read_hash, read_mask_hash};

command! {
    code: "ES",
    title: "Validate a certificate and import its public key",
    run: import,
}

const SIGNATURE: ErrorCode = ErrorCode::COMMAND_06;
const PAD_MODE: ErrorCode = ErrorCode::COMMAND_07;

fn import<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let authority = PublicKeyField::read(req, hsm)?;
    req.delimiter("Delimiter after the public key", b';')?;
    let len = req.number("Certificate length", 4)?;
    let signed = (offset(req, "Hash data offset")?, offset(req, "Hash data length")?);
    let signature = (offset(req, "Signature offset")?, offset(req, "Signature length")?);
    let certificate =
        req.bytes("Certificate", len).map_err(|refusal| Refusal { code: ErrorCode::DATA_LENGTH, ..refusal })?;
    req.delimiter("Delimiter after the certificate", b';')?;
    let method = read_method(req)?;
    let encoding = req.digit_array("Public key encoding")?;
    let parts = CertificateParts { signed, signature, key: offset(req, "Public key offset")? };
    let authentication = if req.accept(b';') { authentication_data(req)? } else { &[] };
    req.accept(b'~');
    let attributes = end_with_attributes(req, hsm, &AttributeGroup::MODE)?;

    let authority = authority.open(hsm)?;
    let key = hsm.public_key_certified(authority, method, certificate, parts, encoding)?;
    let mut resp = hsm.response();
    match attributes {
        Some(attributes) => resp.key("Public key", hsm.key_block_wrap(key, attributes)?),
        None => {
            resp.bytes("MAC of the public key", hsm.public_key_mac(key, authentication)?);
            resp.bytes("Public key", hsm.public_key_encoding(key)?);
        }
    }
    Ok(resp)
}

fn offset(req: &mut Request<'_>, name: &'static str) -> Result<u16> {
    req.number(name, 4).map(|n| n as u16)
}

fn read_method(req: &mut Request<'_>) -> Result<SignatureMethod> {
    let hash = read_hash(req, false)?;
    let at = req.offset();
    let rsa = match req.digits("Signature identifier", 2)? {
        b"01" => true,
        b"02" => false,
        _ => return Err(req.refuse_with(SIGNATURE, "Signature identifier", at, "must be 01 or 02")),
    };
    let at = req.offset();
    let algorithm = match req.digits("Pad mode identifier", 2)? {
        b"01" => SignatureAlgorithm::RsaPkcs1,
        b"02" => {
            let at = req.offset();
            if read_mask_hash(req)? != hash {
                let rule = "must be the hash of the signature";
                return Err(req.refuse_with(ErrorCode::OAEP_HASH, "Mask generation function", at, rule));
            }
            SignatureAlgorithm::RsaPss
        }
        _ => return Err(req.refuse_with(PAD_MODE, "Pad mode identifier", at, "must be 01 or 02")),
    };
    Ok(SignatureMethod { hash, algorithm: if rsa { algorithm } else { SignatureAlgorithm::Ecdsa } })
}
