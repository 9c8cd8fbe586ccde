//! B8: export a key in the parts of a TR-34 key token.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | TR-34 version | 1A | 0: 2012 |
//! | Key type | 3H | 000 ZMK; `FFF` for a key block |
//! | Key under the LMK | key | |
//! | KDH credential | nB | DER: issuer and serial number |
//! | Constant | 6A | `000001` |
//! | KRD credential | nB | likewise |
//! | KRD public key | nB | DER, encoding 02 |
//! | Constant | 2A | `00` |
//! | Private key flag | 2N | 00 to 20 loaded by EK, 99 in the message |
//! | KDH private key length, KDH private key | 4N, nB | flag 99; `FFFF` and a key block under a key-block LMK |
//! | Constant | 3A | `010` |
//! | Nonce length, nonce | 2H, nB | 08 to 10: the random number of the KRD |
//! | `%` LMK identifier | 2N | optional |
//! | `&` exportability | 1A | key-block LMK, optional |
//! | `&` usage, mode, version, exportability, optional blocks | | variant LMK |
//! | `!` version of the key block header | 1A | optional: A to E, else B |
//!
//! Response: signed attributes nB (DER), check value 3B, EnvelopedData nB (DER), signature length 4N, signature nB. The host makes
//! `SignedData` of them. Errors: 03 the private key may not sign, or its flag, 04 key type or public key, 10 key parity, 17, 27, 29,
//! 49 and 78 private key, 76 public key too short, A1 to BE. Source: keys.md 7 (B8), a public 10K client.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::Tr34Exchange;
use hsm_plugin_sdk::prelude::*;
use hsm_plugins::asymmetric::{PrivateKeyField, constant, der_length, read_public_key};

command! {
    code: "B8",
    title: "Export a key in a TR-34 key token",
    run: export,
}

const FLAG: ErrorCode = ErrorCode::COMPONENT_COUNT;

fn export<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    constant(req, "TR-34 version", b"0")?;
    let at = req.offset();
    let purpose = req.key_type("Key type")?;
    if !matches!(purpose, KeyPurpose::ZMK | KeyPurpose::KEY_BLOCK) {
        return Err(req.refuse_with(ErrorCode::KEY_TYPE_CODE, "Key type", at, "must be 000 or FFF"));
    }
    let name = "Key under the LMK";
    let key = if purpose == KeyPurpose::ZMK { req.zmk(name)? } else { req.key(name, purpose)? };
    let kdh_credential = credential(req, "KDH credential")?;
    constant(req, "Constant after the KDH credential", b"000001")?;
    let krd_credential = credential(req, "KRD credential")?;
    let krd_public_key = read_public_key(req, hsm, Some(*b"02"))?;
    constant(req, "Constant after the KRD public key", b"00")?;
    let private = PrivateKeyField::read(req, FLAG)?;
    constant(req, "Constant after the KDH private key", b"010")?;
    let len = req.hex_number("Nonce length", 2)?;
    let nonce = req.bytes("Nonce", len)?;
    req.lmk_identifier()?;
    let group = if key.scheme() == Some(b'S') { AttributeGroup::NARROW } else { AttributeGroup::TRANSPORT };
    let attributes = req.attributes(&group)?.unwrap_or_default();
    let version = req.block_version()?.unwrap_or(b'B');
    req.end()?;

    hsm.key_type_fits(purpose)?;
    let key = hsm.open_source(&key)?;
    let private = private.open(hsm)?;
    let exchange = Tr34Exchange { kdh_credential, krd_credential, krd_public_key, nonce };
    let token = hsm.tr34_export(key, private, exchange, attributes, version)?;
    let mut resp = hsm.response();
    resp.bytes("Signed attributes", token.attributes);
    resp.bytes("Key check value", &hsm.key_check_value(key)?[..3]);
    resp.bytes("EnvelopedData", token.envelope);
    resp.number("Signature length", token.signature.len(), 4);
    resp.bytes("Signature", token.signature);
    Ok(resp)
}

/// Reads a credential, whose DER says where it ends.
fn credential<'h>(req: &mut Request<'h>, name: &'static str) -> Result<&'h [u8]> {
    match der_length(req.rest()) {
        Some(len) => req.bytes(name, len),
        None => Err(req.refuse(name, req.offset(), "must be a DER SEQUENCE")),
    }
}
