//! QE: generate a certificate signing request.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Request type | 1N | 0 PKCS#10 |
//! | Output format | 1N | 0 PEM, 1 hexadecimal DER |
//! | Signature identifier | 2N | 01 RSA, 02 ECDSA |
//! | Public key encoding | 2N | 01 unsigned DER, 02 PKCS#1 DER, 03 SubjectPublicKeyInfo (elliptic curve) |
//! | Public key | nB | that of the private key |
//! | Private key | key block | |
//! | Pad mode identifier | 2N | 01 PKCS#1 v1.5, 04 PSS; without meaning for ECDSA |
//! | Hash identifier | 2N | as GM |
//! | Subject data type | 1N | 0 DER, 1 fields |
//! | Subject length, subject, `;` | 4N, nH, 1A | type 0: length in bytes |
//! | Common name, organization, unit, locality, state, country | nA each, `;` after each | type 1: an empty field is left out; country 2A |
//!
//! Response: request length 4N in characters, request nA. Errors: 05 hash, 06 signature identifier, 07 pad mode, E0 request type, E1 output
//! format, E2 encoding, E4 public key, E5 private key (two more characters say why), E7 subject data type, E8 subject.
//! Source: layout as the public client payshield-crypto-client sends it to a payShield 10K; attributes (`=`) are not known: 15.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugin_sdk::{SignatureAlgorithm, SignatureMethod};
use hsm_plugins::asymmetric::{der_length, read_hash};

command! {
    code: "QE",
    title: "Generate a certificate signing request",
    run: request,
}

const SIGNATURE: ErrorCode = ErrorCode::COMMAND_06;
const PAD_MODE: ErrorCode = ErrorCode::COMMAND_07;
const REQUEST_TYPE: ErrorCode = ErrorCode::COMMAND_VERSION;
const OUTPUT_FORMAT: ErrorCode = ErrorCode::new("E1");
const ENCODING: ErrorCode = ErrorCode::new("E2");
const PUBLIC_KEY: ErrorCode = ErrorCode::new("E4");
const PRIVATE_KEY: ErrorCode = ErrorCode::new("E5");
const SUBJECT_TYPE: ErrorCode = ErrorCode::new("E7");
const SUBJECT: ErrorCode = ErrorCode::new("E8");

/// Attribute types under 2.5.4 in the order of the fields, and the string type of each: UTF8String, PrintableString for a country.
const SUBJECT_FIELDS: [(&str, u8, u8); 6] = [
    ("Common name", 3, 0x0C),
    ("Organization", 10, 0x0C),
    ("Organizational unit", 11, 0x0C),
    ("Locality", 7, 0x0C),
    ("State", 8, 0x0C),
    ("Country", 6, 0x13),
];

/// Most characters of a subject field (RFC 5280, upper bounds).
const MAX_FIELD: usize = 64;

fn request<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let at = req.offset();
    if req.digits("Request type", 1)? != b"0" {
        return Err(req.refuse_with(REQUEST_TYPE, "Request type", at, "must be 0"));
    }
    let at = req.offset();
    let pem = match req.digits("Output format", 1)? {
        b"0" => true,
        b"1" => false,
        _ => return Err(req.refuse_with(OUTPUT_FORMAT, "Output format", at, "must be 0 or 1")),
    };
    let at = req.offset();
    let rsa = match req.digits("Signature identifier", 2)? {
        b"01" => true,
        b"02" => false,
        _ => return Err(req.refuse_with(SIGNATURE, "Signature identifier", at, "must be 01 or 02")),
    };
    let at = req.offset();
    let encoding = match req.digit_array("Public key encoding")? {
        encoding @ [b'0', b'1'..=b'3'] => encoding,
        _ => return Err(req.refuse_with(ENCODING, "Public key encoding", at, "must be 01, 02 or 03")),
    };
    let at = req.offset();
    let len = der_length(req.rest()).ok_or_else(|| req.refuse_with(PUBLIC_KEY, "Public key", at, "must be DER"))?;
    let public = req.bytes("Public key", len)?;
    let private = req.key("Private key", KeyPurpose::RSA_PRIVATE)?;
    let at = req.offset();
    let pad_mode = req.digits("Pad mode identifier", 2)?;
    let algorithm = match (rsa, pad_mode) {
        (false, _) => SignatureAlgorithm::Ecdsa,
        (true, b"01") => SignatureAlgorithm::RsaPkcs1,
        (true, b"04") => SignatureAlgorithm::RsaPss,
        (true, _) => return Err(req.refuse_with(PAD_MODE, "Pad mode identifier", at, "must be 01 or 04")),
    };
    let method = SignatureMethod { hash: read_hash(req, false)?, algorithm };
    let at = req.offset();
    let subject = match req.digits("Subject data type", 1)? {
        b"0" => {
            let len = req.number("Subject length", 4)?;
            let subject = req.hex("Subject", len)?;
            req.delimiter("Delimiter after the subject", b';')?;
            subject
        }
        b"1" => read_subject(req)?,
        _ => return Err(req.refuse_with(SUBJECT_TYPE, "Subject data type", at, "must be 0 or 1")),
    };
    req.end()?;

    let mut resp = hsm.response();
    let key = match hsm.private_key_open(private.bytes()) {
        Ok(key) => key,
        Err(code) => {
            resp.advice(PRIVATE_KEY);
            resp.text("Additional error code", code.as_bytes());
            return Ok(resp);
        }
    };
    let der = hsm.certificate_request(key, encoding, public, method, &subject)?;
    let text = if pem { armour(&der) } else { hex(&der) };
    resp.number("Request length", text.len(), 4);
    resp.text("Request", text);
    Ok(resp)
}

/// The subject's name from its fields, each an RDN of its own.
fn read_subject(req: &mut Request<'_>) -> Result<Vec<u8>> {
    let mut name = Vec::new();
    for (field, attribute, string) in SUBJECT_FIELDS {
        let at = req.offset();
        let max = if field == "Country" { 2 } else { MAX_FIELD };
        let len = req.rest().iter().take(max + 1).position(|c| *c == b';');
        let len = len.ok_or_else(|| req.refuse(field, at, "must be short enough and ended by ;"))?;
        let value = req.text(field, len)?;
        req.delimiter("Delimiter after a subject field", b';')?;
        if field == "Country" && !value.is_empty() && !(len == 2 && value.iter().all(u8::is_ascii_alphabetic)) {
            return Err(req.refuse_with(SUBJECT, field, at, "must be two letters"));
        }
        if !value.is_empty() {
            let mut pair = vec![0x06, 3, 0x55, 4, attribute];
            pair.extend(element(string, value));
            name.extend(element(0x31, &element(0x30, &pair)));
        }
    }
    Ok(element(0x30, &name))
}

/// A DER element of less than 64 KiB.
fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let [high, low] = (contents.len() as u16).to_be_bytes();
    match contents.len() {
        0..=0x7F => out.push(low),
        0x80..=0xFF => out.extend([0x81, low]),
        _ => out.extend([0x82, high, low]),
    }
    out.extend_from_slice(contents);
    out
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).collect()
}

/// PEM, with lines of 64 characters.
fn armour(der: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = b"-----BEGIN CERTIFICATE REQUEST-----\n".to_vec();
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            let bits = group.iter().fold(0u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - group.len()));
            for place in 0..4 {
                let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
                out.push(if place <= group.len() { digit } else { b'=' });
            }
        }
        out.push(b'\n');
    }
    out.extend_from_slice(b"-----END CERTIFICATE REQUEST-----\n");
    out
}
