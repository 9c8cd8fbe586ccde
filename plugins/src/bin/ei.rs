//! EI: generate an RSA key pair.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Key type | 1N | 0 signature, 1 key management, 2 both, 3 ICC, 4 PIN translation |
//! | Modulus length | 4N | bits, 0320 to 4096; above 2048 under an AES LMK only |
//! | Public key encoding | 2N | 01 unsigned DER, 02 PKCS#1 DER |
//! | Exponent length, exponent | 4N, nB | bits; optional, else 65537 |
//! | `#` key version number, optional blocks | 2A, 2N, nA | key-block LMK |
//! | `&` exportability | 1A | key-block LMK, optional, else S |
//!
//! Response: public key nB, private key length 4N or `FFFF`, private key nB or key block. Errors: 03 encoding, 04 modulus length, 05
//! key type, 06 exponent length, 08 exponent even, 17, 43 generation failed, 48 the LMK is too weak, A9, AA, B3 to BE.
//! Source: keys.md 7 (EI).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::asymmetric::{end_with_attributes, put_private_key};

command! {
    code: "EI",
    title: "Generate an RSA key pair",
    run: generate,
}

const ENCODING: ErrorCode = ErrorCode::COMPONENT_COUNT;
const MODULUS_LENGTH: ErrorCode = ErrorCode::KEY_TYPE_CODE;
const KEY_TYPE: ErrorCode = ErrorCode::KEY_LENGTH_FLAG;
const EXPONENT_LENGTH: ErrorCode = ErrorCode::COMMAND_06;

const DEFAULT_EXPONENT: &[u8] = &[1, 0, 1];

fn generate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let at = req.offset();
    let key_type = match req.digit("Key type")? {
        key_type @ 0..=4 => key_type,
        _ => return Err(req.refuse_with(KEY_TYPE, "Key type", at, "must be 0 to 4")),
    };
    let at = req.offset();
    let bits = match req.number("Modulus length", 4)? {
        bits @ 320..=4096 => bits as u16,
        _ => return Err(req.refuse_with(MODULUS_LENGTH, "Modulus length", at, "must be 0320 to 4096")),
    };
    let at = req.offset();
    let encoding = match req.digit_array("Public key encoding")? {
        encoding @ ([b'0', b'1'] | [b'0', b'2']) => encoding,
        _ => return Err(req.refuse_with(ENCODING, "Public key encoding", at, "must be 01 or 02")),
    };
    let exponent = match req.peek() {
        Some(b'0'..=b'9') => read_exponent(req, bits)?,
        _ => DEFAULT_EXPONENT,
    };
    let attributes = end_with_attributes(req, hsm, &AttributeGroup::VERSION)?;

    let key = hsm.rsa_generate(key_type, bits, exponent)?;
    let mut resp = hsm.response();
    resp.bytes("Public key", hsm.public_key_of(key, encoding)?);
    put_private_key(&mut resp, hsm, key, attributes)?;
    Ok(resp)
}

fn read_exponent<'h>(req: &mut Request<'h>, modulus_bits: u16) -> Result<&'h [u8]> {
    let at = req.offset();
    let wrong = |req: &Request<'h>, rule| req.refuse_with(EXPONENT_LENGTH, "Exponent length", at, rule);
    let bits = req.number("Exponent length", 4)?;
    if bits < 2 || bits >= usize::from(modulus_bits / 2) {
        return Err(wrong(req, "must be shorter than half the modulus"));
    }
    let exponent = req.bytes("Exponent", bits.div_ceil(8))?;
    let unused = 8 * exponent.len() - bits;
    match exponent.first() {
        Some(first) if first.leading_zeros() as usize >= unused => Ok(exponent),
        _ => Err(wrong(req, "must be the length of the exponent")),
    }
}
