//! Key fields, and what goes with them (keys.md 0.3, 0.4).

use super::{Request, nibble};
use crate::{KeyPurpose, KsnField, Result, abi::ErrorCode, abi::FieldKind};

/// Schemes of keys, and `0` for keys without a tag.
const SCHEMES: &[u8] = b"0ZUTXYSRVPQW";

/// A key field as it stands in the message, and what it is to be opened for.
#[derive(Clone, Copy)]
pub struct KeyField<'h> {
    purpose: KeyPurpose,
    bytes: &'h [u8],
    /// The first characters of the key, also of one in user storage: tag, version, length, usage and algorithm of a key block.
    start: [u8; 9],
}

impl core::fmt::Debug for KeyField<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "KeyField {{ {:?}, {} bytes }}", self.purpose, self.bytes.len())
    }
}

impl<'h> KeyField<'h> {
    /// What the key is for.
    #[must_use]
    pub fn purpose(&self) -> KeyPurpose {
        self.purpose
    }

    /// The field: optional scheme letter and key.
    #[must_use]
    pub fn bytes(&self) -> &'h [u8] {
        self.bytes
    }

    /// The scheme letter, or `None` for an untagged key. A reference into user storage has that of the key there.
    #[must_use]
    pub fn scheme(&self) -> Option<u8> {
        let tag = |field: &[u8]| field.first().copied().filter(|c| !c.is_ascii_hexdigit());
        // A single-length key is stored without its tag Z.
        tag(&self.start).or_else(|| tag(self.bytes).filter(|c| *c != b'K'))
    }

    /// Whether the field is a reference into user storage, and no tag there or in the reference says how long the key is: only the opened
    /// key does.
    #[must_use]
    pub fn is_untagged_reference(&self) -> bool {
        self.bytes.first() == Some(&b'K') && self.scheme().is_none()
    }

    fn is_key_block(&self) -> bool {
        matches!(self.start.first(), Some(b'S' | b'R'))
    }

    /// Whether the field is a key block with an AES key.
    #[must_use]
    pub fn is_aes(&self) -> bool {
        self.is_key_block() && self.start.get(8) == Some(&b'A')
    }

    /// Whether the field is a key block with an RSA or elliptic-curve key.
    #[must_use]
    pub fn is_asymmetric(&self) -> bool {
        self.is_key_block() && matches!(self.start.get(8), Some(b'R' | b'E'))
    }

    /// Whether the field is a key block with a base derivation key.
    #[must_use]
    pub fn is_bdk(&self) -> bool {
        self.is_key_block() && matches!(self.start.get(6..8), Some(b"B0" | b"41" | b"42" | b"43" | b"44"))
    }

    /// The same field for another purpose, where a later field decides what the key is.
    #[must_use]
    pub fn with_purpose(self, purpose: KeyPurpose) -> Self {
        Self { purpose, ..self }
    }
}

/// Where a translated PIN goes: under a ZPK, or under the key that a BDK and a KSN give.
#[derive(Debug, Clone, Copy)]
pub struct PinDestination<'h> {
    /// The ZPK or BDK.
    pub key: KeyField<'h>,
    /// The key serial number, for a BDK.
    pub ksn: Option<KsnField<'h>>,
}

/// The legacy option group `;` + key scheme (ZMK) + key scheme (LMK) + check value type (keys.md 0.4). Without the group each
/// value is `0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegacyOptions {
    /// Key scheme for the key under the ZMK or TMK.
    pub scheme_zmk: u8,
    /// Key scheme for the key under the LMK.
    pub scheme_lmk: u8,
    /// Check value type.
    pub kcv_type: u8,
    /// Whether the group was there.
    pub given: bool,
}

impl<'h> Request<'h> {
    /// Reads a key field whose untagged form is a single-length key of 16 hexadecimal digits.
    ///
    /// # Errors
    /// 15 for a short field or a character that is not hexadecimal, 26 for an unknown scheme letter. For a reference into user storage 12
    /// if there is no key, 21 for a wrong index, 15 or 26 if it does not fit what is stored.
    pub fn key(&mut self, name: &'static str, purpose: KeyPurpose) -> Result<KeyField<'h>> {
        self.key_field(name, purpose, 16)
    }

    /// Reads a key field whose untagged form is a double-length key of 32 hexadecimal digits, as for CVK and PVK pairs and BDKs.
    ///
    /// # Errors
    /// As [`Request::key`].
    pub fn double_key(&mut self, name: &'static str, purpose: KeyPurpose) -> Result<KeyField<'h>> {
        if self.peek().is_some_and(|c| c.is_ascii_hexdigit()) {
            self.bare_pair.get_or_insert(name);
        }
        self.key_field(name, purpose, 32)
    }

    /// Reads a key field whose untagged form has the given number of hexadecimal digits, as an earlier field said.
    ///
    /// # Errors
    /// As [`Request::key`].
    pub fn sized_key(&mut self, name: &'static str, purpose: KeyPurpose, untagged: usize) -> Result<KeyField<'h>> {
        self.key_field(name, purpose, untagged)
    }

    /// Reads a ZMK, whose untagged length is a security setting of the device.
    ///
    /// # Errors
    /// As [`Request::key`].
    pub fn zmk(&mut self, name: &'static str) -> Result<KeyField<'h>> {
        let untagged = self.peek().is_some_and(|c| c.is_ascii_hexdigit() || c == b'K');
        let len = if untagged && self.hsm.double_length_zmk()? { 32 } else { 16 };
        self.key_field(name, KeyPurpose::ZMK, len)
    }

    /// Reads a key under a ZMK or TMK: not opened by itself but by [`key_import`](crate::abi::KeyOps::key_import).
    /// `untagged` is the number of hexadecimal digits of the untagged form.
    ///
    /// # Errors
    /// As [`Request::key`].
    pub fn wrapped_key(&mut self, name: &'static str, untagged: usize) -> Result<KeyField<'h>> {
        self.key_field(name, KeyPurpose::KEY_BLOCK, untagged)
    }

    /// Reads the destination of a PIN translation: key as [`Request::pin_destination_key`], and for a BDK the KSN descriptor and KSN
    /// (pins.md 2.8).
    ///
    /// # Errors
    /// As [`Request::key`]; 15 for the KSN part.
    pub fn pin_destination(&mut self) -> Result<PinDestination<'h>> {
        let (key, is_bdk) = self.pin_destination_key()?;
        let ksn = if is_bdk { Some(self.ksn(&key)?) } else { None };
        Ok(PinDestination { key, ksn })
    }

    /// Reads a KSN descriptor (3 hexadecimal digits) and the key serial number it describes: the sum of its digits and 5 more, or 24
    /// digits for an AES BDK (pins.md 7.1).
    ///
    /// # Errors
    /// 15 if the descriptor does not give 12 to 20 digits, or for a short or non-hexadecimal field; 12 or 21 for a reference.
    pub fn ksn(&mut self, bdk: &KeyField<'_>) -> Result<KsnField<'h>> {
        let at = self.pos;
        let descriptor = self.hex_digits("KSN descriptor", 3)?;
        let descriptor: [u8; 3] = self.array("KSN descriptor", at, descriptor)?;
        let described = descriptor.iter().map(|d| usize::from(nibble(*d))).sum::<usize>() + 5;
        let len = match described {
            _ if bdk.is_aes() => 24,
            12..=20 => described,
            _ => return Err(self.refuse("KSN descriptor", at, "must describe 12 to 20 digits")),
        };
        if self.peek() == Some(b'K') {
            let digits = self.storage_reference("Key serial number", len)?;
            return Ok(KsnField { descriptor, digits });
        }
        Ok(KsnField { descriptor, digits: self.hex_digits("Key serial number", len)? })
    }

    /// Reads a key type field of three hexadecimal digits (keys.md section 2). The host judges whether such a type exists.
    ///
    /// # Errors
    /// 15 for a short field, 04 for another character: roles without a code (`KeyPurpose::TPK`) are the commands' own.
    pub fn key_type(&mut self, name: &'static str) -> Result<KeyPurpose> {
        self.key_type_or(name, ErrorCode::KEY_TYPE_CODE)
    }

    /// As [`Request::key_type`], for commands that have a code of their own for a character that is no hexadecimal digit.
    ///
    /// # Errors
    /// 15 for a short field, `code` for another character.
    pub fn key_type_or(&mut self, name: &'static str, code: ErrorCode) -> Result<KeyPurpose> {
        let at = self.pos;
        let digits = self.take(name, FieldKind::Text, 3)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(self.refuse_with(code, name, at, "must be hexadecimal digits"));
        }
        self.array(name, at, digits).map(KeyPurpose::from_code)
    }

    /// Reads the legacy option group, if it is there.
    ///
    /// # Errors
    /// 15 if `;` is not followed by three characters.
    pub fn legacy_options(&mut self) -> Result<LegacyOptions> {
        if !self.accept(b';') {
            return Ok(LegacyOptions { scheme_zmk: b'0', scheme_lmk: b'0', kcv_type: b'0', given: false });
        }
        let scheme_zmk = self.text("Key scheme (ZMK)", 1)?[0];
        let scheme_lmk = self.text("Key scheme (LMK)", 1)?[0];
        let kcv_type = self.text("Key check value type", 1)?[0];
        Ok(LegacyOptions { scheme_zmk, scheme_lmk, kcv_type, given: true })
    }

    /// Reads a key scheme letter, or `0` for the untagged form.
    ///
    /// # Errors
    /// 15 for a missing field, 26 for what is no scheme (keys.md 0.3). Whether the scheme suits the key is for the host.
    pub fn scheme(&mut self, name: &'static str) -> Result<u8> {
        let at = self.pos;
        let scheme = self.take(name, FieldKind::Text, 1)?[0];
        if !SCHEMES.contains(&scheme) {
            return Err(self.refuse_with(ErrorCode::KEY_SCHEME, name, at, "must be a key scheme"));
        }
        Ok(scheme)
    }

    /// Reads an optional Atalla variant of one or two digits; 0 if there is none.
    ///
    /// # Errors
    /// 15 never: what is not a digit belongs to the next field.
    pub fn atalla_variant(&mut self) -> Result<u8> {
        let len = self.rest().iter().take(2).take_while(|c| c.is_ascii_digit()).count();
        if len == 0 { Ok(0) } else { self.number("Atalla variant", len).map(|n| n as u8) }
    }

    fn key_field(&mut self, name: &'static str, purpose: KeyPurpose, untagged: usize) -> Result<KeyField<'h>> {
        let rest = self.rest();
        // Length of the field, and which of its characters must be hexadecimal digits.
        let (len, digits) = match rest.first() {
            Some(c) if c.is_ascii_hexdigit() => (untagged, [0..untagged, 0..0]),
            // Where slots are of single length, an untagged double-length key is two references.
            Some(b'K') if untagged == 32 && rest.get(4) == Some(&b'K') && self.hsm.storage_slot()? == 8 => {
                (8, [1..4, 5..8])
            }
            Some(b'K') => (4, [1..4, 0..0]),
            Some(b'U' | b'X' | b'T' | b'Y' | b'Z' | b'S' | b'R') if rest.get(1) == Some(&b'K') => (5, [2..5, 0..0]),
            Some(b'Z') => (17, [1..17, 0..0]),
            Some(b'U' | b'X') => (33, [1..33, 0..0]),
            Some(b'T' | b'Y') => (49, [1..49, 0..0]),
            Some(b'S' | b'R') => match rest.get(2..6).map(|d| (d, d.iter().all(u8::is_ascii_digit))) {
                Some((length, true)) => {
                    let len = length.iter().fold(0usize, |n, d| n * 10 + usize::from(d - b'0'));
                    // What is in the block is the host's to judge: an RSA key is binary.
                    (1 + len.max(16), [0..0, 0..0])
                }
                _ => return Err(self.refuse(name, self.pos, "must be a key block with a decimal length")),
            },
            Some(_) => {
                return Err(self.refuse_with(
                    ErrorCode::KEY_SCHEME,
                    name,
                    self.pos,
                    "must begin with a key scheme or a hex digit",
                ));
            }
            None => return Err(self.refuse(name, self.pos, "is missing")),
        };
        let hexadecimal =
            |part: core::ops::Range<usize>| rest.get(part).is_some_and(|part| part.iter().all(u8::is_ascii_hexdigit));
        if rest.len() < len || !digits.into_iter().all(hexadecimal) {
            self.ran_out = rest.len() < len;
            return Err(self.refuse(name, self.pos, "is short or not hexadecimal"));
        }
        let bytes = self.take(name, FieldKind::Key, len)?;
        let start = match bytes {
            [b'K', ..] | [_, b'K', ..] => self.hsm.stored_key_start(bytes)?,
            _ => bytes.first_chunk().copied().unwrap_or_default(),
        };
        Ok(KeyField { purpose, bytes, start })
    }
}
