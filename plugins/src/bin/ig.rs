//! IG: derive a key by elliptic-curve key agreement.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Constant | 2A | `21` |
//! | Public key encoding | 2N | 03 SubjectPublicKeyInfo |
//! | Public key of the other party | nB | DER |
//! | Private key | key block | usage 03, mode X or N |
//! | Key derivation function | 1N | 1 NIST SP 800-56A, 2 ANSI X9.63 |
//! | Hash identifier | 2N | as GM |
//! | Constant | 1A | `1` |
//! | Shared information length, shared information | 4N, nH | length in digits |
//! | `;` number of keys | 2N | 01 |
//! | Key length | 5N | in bits |
//! | Usage, algorithm, mode, key version number, exportability, optional blocks | 2A, 2A, 1A, 2A, 1A, 2N, nA | |
//! | `;:` | 2A | |
//! | `%` LMK identifier | 2N | optional |
//!
//! Response: derived key block, check value 3B. Errors: 04 public key, 05 hash, 06 derivation function, 17 (`eckai.{usage}.host`), 48, A1
//! variant LMK, A3 to BE, D2 the keys are of different curves, D3 encoding. Source: a public 10K client; keys.md does not have it.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::Agreement;
use hsm_plugin_sdk::prelude::*;
use hsm_plugins::asymmetric::{constant, read_hash, read_public_key};

command! {
    code: "IG",
    title: "Derive a key by elliptic-curve key agreement",
    run: derive,
}

fn derive<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    constant(req, "Constant before the public key encoding", b"21")?;
    let at = req.offset();
    let encoding = *b"03";
    if req.digit_array("Public key encoding")? != encoding {
        return Err(req.refuse_with(ErrorCode::KEY_ENCODING, "Public key encoding", at, "must be 03"));
    }
    let public = read_public_key(req, hsm, Some(encoding))?;
    let private = req.key("Private key", KeyPurpose::RSA_PRIVATE)?;
    let derivation = req.digit("Key derivation function")?;
    let hash = read_hash(req, false)?;
    constant(req, "Constant before the shared information", b"1")?;
    let at = req.offset();
    let digits = req.number("Shared information length", 4)?;
    if digits % 2 == 1 {
        return Err(req.refuse("Shared information length", at, "must be even"));
    }
    let information = req.hex("Shared information", digits / 2)?;
    req.delimiter("Delimiter after the shared information", b';')?;
    constant(req, "Number of keys", b"01")?;
    let at = req.offset();
    let bits = req.number("Key length", 5)?;
    let bits = u16::try_from(bits).map_err(|_| req.refuse("Key length", at, "must be that of a key"))?;
    let attributes = req.attribute_fields(&AttributeGroup::GENERATE)?;
    constant(req, "End of the keys", b";:")?;
    req.lmk_identifier()?;
    req.end()?;

    let private = hsm.private_key_open(private.bytes())?;
    let agreement = Agreement { public, derivation, hash, information: &information, bits };
    let key = hsm.key_agree(private, agreement, attributes)?;
    let mut resp = hsm.response();
    resp.key("Derived key", hsm.key_wrap(key, b'S')?);
    resp.bytes("Key check value", &hsm.key_check_value(key)?[..3]);
    Ok(resp)
}
