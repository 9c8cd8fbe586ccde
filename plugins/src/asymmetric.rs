//! What the commands on RSA and elliptic-curve keys share (keys.md 5 and 7, card-emv-mac.md 8).

use hsm_plugin_sdk::prelude::*;
use hsm_plugin_sdk::{RsaPadding, SignatureAlgorithm, SignatureMethod};

/// Hash identifier refused.
const HASH: ErrorCode = ErrorCode::KEY_LENGTH_FLAG;
/// Signature or encryption identifier refused.
const ALGORITHM: ErrorCode = ErrorCode::COMMAND_06;
/// Pad mode identifier refused.
const PAD_MODE: ErrorCode = ErrorCode::COMMAND_07;

/// Flag that a private key is in the message.
const IN_MESSAGE: usize = 99;
/// Highest index of a private key that EK stored.
const MAX_INDEX: usize = 20;

/// A private key as a request gives it.
#[derive(Debug, Clone, Copy)]
pub enum PrivateKeyField<'h> {
    /// Stored by EK at an index.
    Stored(u8),
    /// In the message, as the LMK protects it.
    Given(&'h [u8]),
}

impl<'h> PrivateKeyField<'h> {
    /// Reads the private-key flag (2N: 00 to 20, or 99), and with 99 the key. `code` refuses the flag.
    ///
    /// # Errors
    /// `code`; 15 for the key.
    pub fn read(req: &mut Request<'h>, code: ErrorCode) -> Result<Self> {
        let at = req.offset();
        match req.number("Private key flag", 2)? {
            IN_MESSAGE => read_private_key(req).map(Self::Given),
            index @ 0..=MAX_INDEX => Ok(Self::Stored(index as u8)),
            _ => Err(req.refuse_with(code, "Private key flag", at, "must be 00 to 20 or 99")),
        }
    }

    /// Opens the key.
    ///
    /// # Errors
    /// 49, 78, A1 to BE.
    pub fn open(&self, hsm: &Hsm<'_>) -> Result<KeyHandle> {
        Ok(match self {
            Self::Stored(index) => hsm.private_key_loaded(*index)?,
            Self::Given(field) => hsm.private_key_open(field)?,
        })
    }
}

/// Reads a private key: 4N length and bytes, or `FFFF` and a key block.
///
/// # Errors
/// 15.
pub fn read_private_key<'h>(req: &mut Request<'h>) -> Result<&'h [u8]> {
    if req.rest().starts_with(b"FFFF") {
        req.text("Private key length", 4)?;
        return Ok(req.key("Private key", KeyPurpose::RSA_PRIVATE)?.bytes());
    }
    let len = req.number("Private key length", 4)?;
    req.key_bytes("Private key", len)
}

/// Writes a private key as [`read_private_key`] reads it.
///
/// # Errors
/// As the operations that wrap keys.
pub fn put_private_key(
    resp: &mut Response<'_>,
    hsm: &Hsm<'_>,
    key: KeyHandle,
    attributes: Option<KeyAttributes<'_>>,
) -> Result<()> {
    let (is_block, field) = match attributes {
        Some(attributes) => (true, hsm.key_block_wrap(key, attributes)?),
        None => (false, hsm.private_key_wrap(key)?),
    };
    put_private_field(resp, is_block, &field);
    Ok(())
}

/// Writes a private key's length and field.
pub fn put_private_field(resp: &mut Response<'_>, is_block: bool, field: &[u8]) {
    put_sized_key(resp, ["Private key length", "Private key"], is_block, field);
}

/// Writes the length and the field of a key that is binary under a variant LMK: 4N, or `FFFF` for a key block. `names` are those of the two.
pub fn put_sized_key(resp: &mut Response<'_>, names: [&str; 2], is_block: bool, field: &[u8]) {
    let [length, name] = names;
    if is_block {
        resp.text(length, "FFFF");
    } else {
        resp.number(length, field.len(), 4);
    }
    resp.key(name, field);
}

/// A public key as the LMK protects it: MAC and DER, or a key block.
#[derive(Debug, Clone, Copy)]
pub struct PublicKeyField<'h> {
    /// The MAC under a variant LMK; `None` for a key block.
    pub mac: Option<[u8; 4]>,
    /// DER, or key block with its tag.
    pub field: &'h [u8],
    /// Data that the MAC covers too.
    pub authentication_data: &'h [u8],
}

impl<'h> PublicKeyField<'h> {
    /// Reads MAC 4B, public key and authentication data, or a key block.
    ///
    /// # Errors
    /// 04 for bytes that are no public key, 15.
    pub fn read(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Self> {
        if is_public_block(req.rest()) {
            let field = req.key("Public key", KeyPurpose::RSA_PUBLIC)?.bytes();
            return Ok(Self { mac: None, field, authentication_data: &[] });
        }
        let mac = Some(req.byte_array("MAC of the public key")?);
        let field = read_public_key(req, hsm, None)?;
        Ok(Self { mac, field, authentication_data: authentication_data(req)? })
    }

    /// Opens the key.
    ///
    /// # Errors
    /// 01, 04, A1 to BE.
    pub fn open(&self, hsm: &Hsm<'_>) -> Result<KeyHandle> {
        Ok(hsm.public_key_open(self.mac, self.field, self.authentication_data)?)
    }
}

/// Whether a key block with a public key comes next. Four bytes of MAC and the beginning of a DER structure never look like one.
fn is_public_block(rest: &[u8]) -> bool {
    rest.first() == Some(&b'S')
        && rest.get(1..6).is_some_and(|header| header.iter().all(u8::is_ascii_digit))
        && rest.get(6..8).is_some_and(|usage| usage.iter().all(u8::is_ascii_alphanumeric))
}

/// Reads a public key in clear, whose DER says where it ends.
///
/// # Errors
/// 03 for an unknown encoding, 04 for bytes that are no public key in it.
pub fn read_public_key<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>, encoding: Option<[u8; 2]>) -> Result<&'h [u8]> {
    let len = hsm.public_key_length(encoding, req.rest())?;
    req.bytes("Public key", len.into())
}

/// Length of the DER SEQUENCE that `rest` begins with; `None` if there is none, or not all of it.
#[must_use]
pub fn der_length(rest: &[u8]) -> Option<usize> {
    let (len, header) = match rest {
        [0x30, len @ 0..=0x7F, ..] => (usize::from(*len), 2),
        [0x30, 0x81, len, ..] => (usize::from(*len), 3),
        [0x30, 0x82, high, low, ..] => (usize::from(u16::from_be_bytes([*high, *low])), 4),
        _ => return None,
    };
    Some(header + len).filter(|len| *len <= rest.len())
}

/// Reads authentication data: what comes before `;`, `~`, an LMK identifier at the end, or the end of the message.
///
/// # Errors
/// 15 for characters that are not printable.
pub fn authentication_data<'h>(req: &mut Request<'h>) -> Result<&'h [u8]> {
    let rest = req.rest();
    let len = rest.iter().position(|c| matches!(c, b';' | b'~' | 0x19)).unwrap_or(rest.len());
    let delimited = matches!(rest.get(len), Some(b';' | b'~'));
    let len = if delimited { len } else { crate::without_lmk_identifier(&rest[..len]).len() };
    req.text("Authentication data", len)
}

/// Reads the LMK identifier and the key block attributes, ends the request, and checks that there are attributes if and only if the
/// selected LMK is a key-block LMK.
///
/// # Errors
/// 15; as [`end_with_optional_attributes`].
pub fn end_with_attributes<'h>(
    req: &mut Request<'h>,
    hsm: &Hsm<'h>,
    group: &AttributeGroup,
) -> Result<Option<KeyAttributes<'h>>> {
    let at = req.offset();
    let attributes = end_with_optional_attributes(req, group)?;
    match (hsm.is_key_block_lmk()?, &attributes) {
        (true, None) => Err(req.refuse("Key block attributes", at, "are needed under a key-block LMK")),
        (false, Some(_)) => Err(req.refuse("Key block attributes", at, "do not go with a variant LMK")),
        _ => Ok(attributes),
    }
}

/// Reads the LMK identifier and the key block attributes, if they are there, and ends the request. Where the group does not have the
/// exportability, `&` may follow.
///
/// # Errors
/// As [`Request::lmk_identifier`] and [`Request::attributes`].
pub fn end_with_optional_attributes<'h>(
    req: &mut Request<'h>,
    group: &AttributeGroup,
) -> Result<Option<KeyAttributes<'h>>> {
    req.lmk_identifier()?;
    let mut attributes = req.attributes(group)?;
    if let Some(attributes) = attributes.as_mut().filter(|given| given.exportability.is_none())
        && let Some(narrowed) = req.attributes(&AttributeGroup::NARROW)?
    {
        attributes.exportability = narrowed.exportability;
    }
    req.end()?;
    Ok(attributes)
}

/// Reads a hash identifier. `04`, no hash, is for data that is a `DigestInfo`.
///
/// # Errors
/// 05.
pub fn read_hash(req: &mut Request<'_>, digest_info: bool) -> Result<[u8; 2]> {
    let at = req.offset();
    match req.digit_array("Hash identifier")? {
        hash @ [b'0', b'1' | b'2' | b'5'..=b'8'] => Ok(hash),
        hash @ [b'0', b'4'] if digest_info => Ok(hash),
        _ => Err(req.refuse_with(HASH, "Hash identifier", at, "must name a hash")),
    }
}

/// Reads hash, signature and pad mode identifiers of EW and EY. With ECDSA the pad mode has no meaning.
///
/// # Errors
/// 05, 06, 07.
pub fn read_signature_method(req: &mut Request<'_>) -> Result<SignatureMethod> {
    let hash = read_hash(req, true)?;
    let at = req.offset();
    let rsa = match req.digits("Signature identifier", 2)? {
        b"01" => true,
        b"02" => false,
        _ => return Err(req.refuse_with(ALGORITHM, "Signature identifier", at, "must be 01 or 02")),
    };
    let at = req.offset();
    let algorithm = match (rsa, req.digits("Pad mode identifier", 2)?) {
        (false, _) => SignatureAlgorithm::Ecdsa,
        (true, b"01") => SignatureAlgorithm::RsaPkcs1,
        (true, b"04") => SignatureAlgorithm::RsaPss,
        (true, _) => return Err(req.refuse_with(PAD_MODE, "Pad mode identifier", at, "must be 01 or 04")),
    };
    Ok(SignatureMethod { hash, algorithm })
}

/// Reads a mask generation function and its hash.
///
/// # Errors
/// 85, 86.
pub fn read_mask_hash(req: &mut Request<'_>) -> Result<[u8; 2]> {
    let at = req.offset();
    if req.digits("Mask generation function", 2)? != b"01" {
        let rule = "must be 01, MGF1";
        return Err(req.refuse_with(ErrorCode::OAEP_MGF, "Mask generation function", at, rule));
    }
    let at = req.offset();
    read_hash(req, false).map_err(|_| req.refuse_with(ErrorCode::OAEP_HASH, "MGF hash", at, "must name a hash"))
}

/// Reads encryption identifier and pad mode of GI and GK, with the OAEP fields.
///
/// # Errors
/// 06, 07, 85, 86, 87.
pub fn read_encryption<'h>(req: &mut Request<'h>) -> Result<RsaPadding<'h>> {
    let at = req.offset();
    if req.digits("Encryption identifier", 2)? != b"01" {
        return Err(req.refuse_with(ALGORITHM, "Encryption identifier", at, "must be 01, RSA"));
    }
    let at = req.offset();
    match req.digits("Pad mode identifier", 2)? {
        b"01" => Ok(RsaPadding::Pkcs1),
        b"02" => {
            let hash = read_mask_hash(req)?;
            let at = req.offset();
            let wrong = ErrorCode::OAEP_PARAMETERS;
            let len = req.number("OAEP parameters length", 2).map_err(|refusal| Refusal { code: wrong, ..refusal })?;
            let parameters = req.bytes("OAEP parameters", len);
            let parameters = parameters.map_err(|refusal| Refusal { code: wrong, ..refusal })?;
            if !req.accept(b';') {
                return Err(req.refuse_with(wrong, "OAEP parameters", at, "must be ended by ;"));
            }
            Ok(RsaPadding::Oaep { hash, parameters })
        }
        _ => Err(req.refuse_with(PAD_MODE, "Pad mode identifier", at, "must be 01 or 02")),
    }
}

/// Reads the key type of GI and GK: LMK pair and variant (4N), or `FFFF` for a key block.
///
/// # Errors
/// 04.
pub fn read_pair_and_variant(req: &mut Request<'_>) -> Result<KeyPurpose> {
    let at = req.offset();
    let purpose = match req.text("Key type", 4)? {
        b"FFFF" => Some(KeyPurpose::KEY_BLOCK),
        [pair @ .., b'0', variant @ b'0'..=b'9'] => PAIRS
            .iter()
            .position(|known| known == pair)
            .and_then(|code| b"0123456789ABCDE".get(code))
            .map(|code| KeyPurpose::from_code([*variant, b'0', *code])),
        _ => None,
    };
    purpose.ok_or_else(|| {
        req.refuse_with(ErrorCode::KEY_TYPE_CODE, "Key type", at, "must be an LMK pair and a variant, or FFFF")
    })
}

/// First numbers of the LMK pairs in the order of their key type codes (keys.md 2).
const PAIRS: [[u8; 2]; 15] = [
    *b"04", *b"06", *b"14", *b"16", *b"18", *b"20", *b"22", *b"24", *b"26", *b"28", *b"30", *b"32", *b"34", *b"36",
    *b"38",
];

/// Reads the key data block type of GI and GK after its delimiter: whether the block is DER with an initial vector, as without the field.
///
/// # Errors
/// 15.
pub fn read_data_block_type(req: &mut Request<'_>, delimiter: u8) -> Result<bool> {
    if !req.accept(delimiter) {
        return Ok(true);
    }
    let at = req.offset();
    match req.digits("Key data block type", 2)? {
        b"01" => Ok(true),
        b"03" => Ok(false),
        _ => Err(req.refuse("Key data block type", at, "must be 01 or 03")),
    }
}

/// Reads a field that has one value only, as far as is known.
///
/// # Errors
/// 15 for another value.
pub fn constant(req: &mut Request<'_>, name: &'static str, value: &'static [u8]) -> Result<()> {
    let at = req.offset();
    if req.text(name, value.len())? == value { Ok(()) } else { Err(req.refuse(name, at, "has an unknown value")) }
}

/// Reads 4N length and that many bytes. 80 for no data or data that ends early.
///
/// # Errors
/// 15 for the length field, 80.
pub fn read_data<'h>(req: &mut Request<'h>, name: &'static str) -> Result<&'h [u8]> {
    let at = req.offset();
    match req.number("Data length", 4)? {
        0 => Err(req.refuse_with(ErrorCode::DATA_LENGTH, "Data length", at, "must not be zero")),
        len => req.bytes(name, len).map_err(|refusal| Refusal { code: ErrorCode::DATA_LENGTH, ..refusal }),
    }
}
