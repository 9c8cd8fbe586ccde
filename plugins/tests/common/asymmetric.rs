//! Requests of the commands on RSA and elliptic-curve keys.

use hsm_core::{SecurityModule, Session};

/// Slot 00 variant, 01 AES key blocks, 02 TDES key blocks.
pub fn module() -> SecurityModule {
    SecurityModule::with_test_lmks()
}

pub fn answer(module: &SecurityModule, code: &str, body: &[u8]) -> Vec<u8> {
    let code: [u8; 2] = code.as_bytes().try_into().unwrap();
    let command = hsm_plugins::COMMANDS.iter().find(|command| command.code == code).unwrap();
    let mut session = Session::new(module.clone());
    session.begin(code, None);
    command.respond(body, &mut session, false)
}

/// The fields of a response with 00.
#[track_caller]
pub fn good(module: &SecurityModule, code: &str, body: &[u8]) -> Vec<u8> {
    let answer = answer(module, code, body);
    assert!(answer.starts_with(b"00"), "{code} answered {}", answer.escape_ascii());
    answer[2..].to_vec()
}

#[track_caller]
pub fn refused(module: &SecurityModule, code: &str, body: &[u8], error: &str) {
    let answer = answer(module, code, body);
    // A byte 19 near the end of an unread binary field is taken for the beginning of a message trailer.
    let (fields, trailer) = answer.split_at(error.len().min(answer.len()));
    assert_eq!(fields.escape_ascii().to_string(), error, "{code} {}", body.escape_ascii());
    assert!(trailer.is_empty() || trailer[0] == 0x19 && body.ends_with(trailer));
}

pub fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

pub fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

pub fn der_len(der: &[u8]) -> usize {
    hsm_core::rsa_encoding::der_len(der).unwrap()
}

/// A key pair from EI: public key, and the private key with its length field.
#[derive(Clone)]
pub struct Pair {
    pub public: Vec<u8>,
    pub private: Vec<u8>,
}

pub fn generate(module: &SecurityModule, fields: &str) -> Pair {
    let response = good(module, "EI", fields.as_bytes());
    let (public, private) = response.split_at(der_len(&response));
    Pair { public: public.to_vec(), private: private.to_vec() }
}
