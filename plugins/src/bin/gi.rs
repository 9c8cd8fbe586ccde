//! GI: import a key under an RSA public key.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Encryption identifier | 2N | 01 RSA |
//! | Pad mode identifier | 2N | 01 PKCS#1 v1.5, 02 OAEP |
//! | Mask generation function, its hash, parameters length, parameters, `;` | 2N, 2N, 2N, nB, 1A | OAEP |
//! | Key type | 4N | LMK pair and variant; `FFFF` for a key block |
//! | `=` hash, signature and pad mode identifiers | 2N, 2N, 2N | optional: the data block is signed; as EW |
//! | Encrypted key offset, encrypted key length | 4N, 4N | with `=`: where in the data block |
//! | Signature length, signature, `;` | 4N, nB, 1A | with `=` |
//! | MAC, public key, authentication data, `;` | 4B, nB, nA, 1A | with `=`: of the signer; a public key block under a key-block LMK |
//! | Data block length, data block, `;` | 4N, nB, 1A | the encrypted key, or what is signed around it |
//! | Private key flag | 2N | 00 to 20 loaded by EK, 99 in the message |
//! | Private key length, private key | 4N, nB | flag 99; `FFFF` and a key block under a key-block LMK |
//! | `;` import key type, key scheme (LMK), check value type | 1N, 1A, 1N | optional: 0 DES, 1 AES |
//! | `=` key data block type | 2N | optional: 01 DER with initial vector, 03 the bare key |
//! | `#` usage, mode, key version number, exportability, optional blocks | 2A, 1A, 2A, 1A, 2N, nA | key-block LMK |
//!
//! Response: initial vector 16H or 32H (type 01), key under the LMK (an HMAC key under a variant LMK: length 4N, key nB), check value 16H or 6H. Errors: 01 signature or MAC, 03 private key
//! flag, 04 key type or public key, 05 hash, 06 encryption or signature identifier, 07 pad mode, 17, 26, 29 the private key may not
//! decrypt, 49 private key, 76 data length, 77 the data block is wrong, 78 private key length, 80 the encrypted key is not in the data
//! block, 85, 86, 87 OAEP, A1 to BE. Source: keys.md 7 (GI).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugin_sdk::{ImportedKey, SignatureMethod};
use hsm_plugins::asymmetric::{
    PrivateKeyField, PublicKeyField, end_with_attributes, put_sized_key, read_data_block_type, read_encryption,
    read_pair_and_variant, read_signature_method,
};

command! {
    code: "GI",
    title: "Import a key under an RSA public key",
    run: import,
}

const FLAG: ErrorCode = ErrorCode::COMPONENT_COUNT;

/// The optional group of newer firmware.
struct Options {
    aes: bool,
    scheme: u8,
    long_check_value: bool,
}

/// The signature over the data block, and where in it the encrypted key is.
struct Signed<'h> {
    method: SignatureMethod,
    offset: usize,
    len: usize,
    signature: &'h [u8],
    public: PublicKeyField<'h>,
}

impl<'h> Signed<'h> {
    fn read(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Self> {
        let method = read_signature_method(req)?;
        let offset = req.number("Encrypted key offset", 4)?;
        let len = req.number("Encrypted key length", 4)?;
        let signature_len = req.number("Signature length", 4)?;
        let signature = req.bytes("Signature", signature_len)?;
        req.delimiter("Delimiter after the signature", b';')?;
        let public = PublicKeyField::read(req, hsm)?;
        req.delimiter("Delimiter after the public key", b';')?;
        Ok(Self { method, offset, len, signature, public })
    }

    /// The encrypted key, if the signature over the data block is right.
    fn verified(&self, hsm: &Hsm<'_>, data: &'h [u8]) -> Result<&'h [u8]> {
        let encrypted = data.get(self.offset..).and_then(|rest| rest.get(..self.len));
        let Some(encrypted) = encrypted else { return Err(ErrorCode::DATA_LENGTH.into()) };
        if !hsm.signature_verify(self.public.open(hsm)?, self.method, data, self.signature)? {
            return Err(ErrorCode::VERIFICATION_FAILED.into());
        }
        Ok(encrypted)
    }
}

fn import<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let padding = read_encryption(req)?;
    let type_at = req.offset();
    let purpose = read_pair_and_variant(req)?;
    let signed = if req.accept(b'=') { Some(Signed::read(req, hsm)?) } else { None };
    let len = req.number("Data block length", 4)?;
    let data = req.bytes("Data block", len)?;
    req.delimiter("Delimiter after the data block", b';')?;
    let private = PrivateKeyField::read(req, FLAG)?;
    let options = if req.accept(b';') { Some(read_options(req)?) } else { None };
    let der = read_data_block_type(req, b'=')?;
    let attributes = end_with_attributes(req, hsm, &AttributeGroup::DESCRIBE)?;
    if attributes.is_some() != (purpose == KeyPurpose::KEY_BLOCK) {
        let rule = "must be FFFF under a key-block LMK, and only there";
        return Err(req.refuse_with(ErrorCode::KEY_TYPE_CODE, "Key type", type_at, rule));
    }
    if let Some(Options { scheme, .. }) = options
        && (scheme == b'S') != attributes.is_some()
    {
        return Err(ErrorCode::KEY_SCHEME.into());
    }

    let encrypted = match &signed {
        Some(signed) => signed.verified(hsm, data)?,
        None => data,
    };
    let aes = options.as_ref().is_some_and(|options| options.aes);
    let imported =
        ImportedKey { purpose, attributes: attributes.and_then(|given| Some((given.usage?, given.mode?))), aes, der };
    let (key, iv) = hsm.key_decrypt(private.open(hsm)?, padding, encrypted, imported)?;
    let hmac = purpose == KeyPurpose::HMAC;
    let wrapped = match (attributes, &options) {
        _ if hmac => hsm.hmac_key_wrap(key)?,
        (Some(attributes), _) => hsm.key_block_wrap(key, attributes)?,
        (None, Some(options)) => hsm.key_wrap(key, options.scheme)?,
        (None, None) => hsm.key_wrap(key, if hsm.key_length(key)? == 24 { b'T' } else { b'0' })?,
    };
    let long = options.map_or(attributes.is_none(), |options| options.long_check_value);
    let kcv = hsm.key_check_value(key)?;
    let mut resp = hsm.response();
    resp.hex("Initial vector", iv);
    if hmac {
        put_sized_key(&mut resp, ["Key length", "Key under the LMK"], false, &wrapped);
    } else {
        resp.key("Key under the LMK", wrapped);
    }
    resp.hex("Key check value", if long { &kcv[..] } else { &kcv[..3] });
    Ok(resp)
}

fn read_options(req: &mut Request<'_>) -> Result<Options> {
    let binary = |c: &u8| matches!(c, b'0' | b'1');
    let aes = req.chars("Import key type", 1, binary, "must be 0 or 1")? == b"1";
    let scheme = req.scheme("Key scheme (LMK)")?;
    let long_check_value = req.chars("Check value type", 1, binary, "must be 0 or 1")? == b"0";
    Ok(Options { aes, scheme, long_check_value })
}
