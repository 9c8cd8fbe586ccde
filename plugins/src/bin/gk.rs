//! GK: export a key under an RSA public key.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Encryption identifier | 2N | 01 RSA |
//! | Pad mode identifier | 2N | 01 PKCS#1 v1.5, 02 OAEP |
//! | Mask generation function, its hash, parameters length, parameters, `;` | 2N, 2N, 2N, nB, 1A | OAEP |
//! | Key type | 4N | LMK pair and variant; `FFFF` for a key block |
//! | `=` hash, signature and pad mode identifiers | 2N, 2N, 2N | optional: the key is sent signed; as EW |
//! | Header length, header, `;`, footer length, footer, `;` | 4N, nB, 1A, 4N, nB, 1A | with `=`: signed before and after the encrypted key |
//! | Private key flag | 2N | with `=`: 00 to 20 loaded by EK, 99 in the message |
//! | Private key length, private key | 4N, nB | flag 99; `FFFF` and a key block under a key-block LMK |
//! | Key length flag | 1A | 0 single, 1 double, 2 triple, `F` key block |
//! | Key | key | |
//! | Check value | 16H or 6H | of the key |
//! | MAC, public key, authentication data | 4B, nB, nA | a public key block under a key-block LMK |
//! | `;` key data block type | 2N | optional: 01 DER with initial vector, 03 the bare key |
//!
//! Response: initial vector 16H or 32H (type 01), length 4N, encrypted key nB, with `=` signature length 4N, signature nB. Errors: 01 MAC or
//! check value, 03 private key flag, or it may not sign, 04 key type or public key, 05 length flag or hash, 06 encryption or signature
//! identifier, 07 pad mode, 10 key parity, 49, 76 the modulus is too short, 78, 85, 86, 87 OAEP, A1 to BE, AA unless the key's
//! exportability is S. Source: keys.md 7 (GK).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::SignatureMethod;
use hsm_plugin_sdk::prelude::*;
use hsm_plugins::asymmetric::{
    PrivateKeyField, PublicKeyField, read_data_block_type, read_encryption, read_pair_and_variant,
    read_signature_method,
};
use hsm_plugins::length_flag::FlaggedKey;

command! {
    code: "GK",
    title: "Export a key under an RSA public key",
    run: export,
}

fn export<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let padding = read_encryption(req)?;
    let type_at = req.offset();
    let purpose = read_pair_and_variant(req)?;
    let signing = if req.accept(b'=') { Some(Signing::read(req)?) } else { None };
    let flagged = FlaggedKey::read(req, "Key", purpose, b"2")?;
    let is_block = matches!(flagged.key.scheme(), Some(b'S' | b'R'));
    let check_value = read_check_value(req)?;
    let public = PublicKeyField::read(req, hsm)?;
    let der = read_data_block_type(req, b';')?;
    req.end()?;

    if is_block != (purpose == KeyPurpose::KEY_BLOCK) && !flagged.key.is_untagged_reference() {
        let rule = "must be FFFF for a key block, and for nothing else";
        return Err(req.refuse_with(ErrorCode::KEY_TYPE_CODE, "Key type", type_at, rule));
    }
    let key = hsm.open_source(&flagged.key).map_err(|code| match code {
        ErrorCode::KEY_TYPE => ErrorCode::KEY_TYPE_CODE,
        other => other,
    })?;
    flagged.check(req, hsm, key)?;
    let public = public.open(hsm)?;
    if !hsm.key_check_value(key)?.starts_with(&check_value) {
        return Err(ErrorCode::VERIFICATION_FAILED.into());
    }
    let (encrypted, iv) = hsm.key_encrypt(key, public, padding, der)?;
    let signature = match signing {
        Some(signing) => Some(signing.sign(hsm, &encrypted)?),
        None => None,
    };
    let mut resp = hsm.response();
    resp.hex("Initial vector", iv);
    resp.number("Encrypted key length", encrypted.len(), 4);
    resp.bytes("Encrypted key", encrypted);
    if let Some(signature) = signature {
        resp.number("Signature length", signature.len(), 4);
        resp.bytes("Signature", signature);
    }
    Ok(resp)
}

/// How the encrypted key is signed, and what is signed with it.
struct Signing<'h> {
    method: SignatureMethod,
    header: &'h [u8],
    footer: &'h [u8],
    private: PrivateKeyField<'h>,
}

impl<'h> Signing<'h> {
    fn read(req: &mut Request<'h>) -> Result<Self> {
        let method = read_signature_method(req)?;
        let mut part = |length, name, delimiter| -> Result<&'h [u8]> {
            let len = req.number(length, 4)?;
            let part = req.bytes(name, len)?;
            req.delimiter(delimiter, b';')?;
            Ok(part)
        };
        let header = part("Header length", "Header", "Delimiter after the header")?;
        let footer = part("Footer length", "Footer", "Delimiter after the footer")?;
        Ok(Self { method, header, footer, private: PrivateKeyField::read(req, ErrorCode::COMPONENT_COUNT)? })
    }

    fn sign(&self, hsm: &Hsm<'_>, encrypted: &[u8]) -> Result<Vec<u8>> {
        let data = [self.header, encrypted, self.footer].concat();
        Ok(hsm.signature_generate(self.private.open(hsm)?, self.method, &data)?)
    }
}

/// 16 digits, or 6: neither a DER public key behind a MAC nor a key block continues with ten more.
fn read_check_value(req: &mut Request<'_>) -> Result<Vec<u8>> {
    let long = req.rest().get(..16).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    req.hex("Check value", if long { 8 } else { 3 })
}
