//! Reading a request field by field.

mod attributes;
mod dukpt;
mod pins;
mod print;
mod storage;

pub use attributes::{Attribute, AttributeGroup};

use crate::{AccountField, AccountForm, Hsm, KeyPurpose, KsnField, Refusal, Result, abi::ErrorCode, abi::FieldKind};

mod asymmetric;

/// The delimiter that starts a message trailer.
const TRAILER: u8 = 0x19;

/// The format of 16-byte PIN blocks; those of the others are of 8 bytes.
const FORMAT_48: &[u8; 2] = b"48";

/// Longest trailer text, without its delimiter (host.md 1.4).
const MAX_TRAILER: usize = 32;

/// The body of a request: everything after the command code.
///
/// Fields are read in order. Each read names the field as the manual does; the name is what a trace shows and what an
/// explanation of a refusal begins with. A field that is missing or has wrong characters is refused with 15.
pub struct Request<'h> {
    hsm: Hsm<'h>,
    body: &'h [u8],
    pos: usize,
    trailer: &'h [u8],
    /// Name of the first key that was read as 32 hexadecimal digits without a tag, as [`Request::double_key`] takes them.
    bare_pair: Option<&'static str>,
    /// Whether a field was longer than what was left.
    ran_out: bool,
    blocks: BlockWidth,
    progress: Progress,
    accounts: AccountCheck,
}

/// Who checks the characters of account fields, and thus when and with which code (pins.md 1.4).
#[derive(Clone, Copy, PartialEq, Eq)]
enum AccountCheck {
    /// The reader: 15, in the order of the fields.
    Reader,
    /// The host, once the keys are open: 22.
    Host,
}

/// What says how long the PIN blocks of a request are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BlockWidth {
    /// The key that they are under.
    Key,
    /// The format behind the first one, which does not suit the key.
    Format,
}

/// How far a request has been read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// No PIN block yet.
    Fields,
    /// A PIN block at least.
    PinBlock,
    /// To its end.
    Ended,
}

impl core::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Request {{ {} bytes, at {} }}", self.body.len(), self.pos)
    }
}

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
        self.start.first().copied().filter(|c| !c.is_ascii_hexdigit())
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
    pub(crate) fn new(body: &'h [u8], hsm: Hsm<'h>) -> Self {
        Self {
            hsm,
            body,
            pos: 0,
            trailer: &[],
            bare_pair: None,
            ran_out: false,
            blocks: BlockWidth::Key,
            progress: Progress::Fields,
            accounts: AccountCheck::Reader,
        }
    }

    /// The request from its beginning, with PIN blocks as long as their format has them where that is not what the key says. `None` unless
    /// a PIN block has been read and then a field was refused with `code`: in what can be read as the key says, nothing is in doubt.
    pub(crate) fn with_blocks_by_format(&self, code: ErrorCode) -> Option<Self> {
        let doubtful =
            self.progress == Progress::PinBlock && self.blocks == BlockWidth::Key && code == ErrorCode::INPUT_DATA;
        doubtful.then(|| Self { blocks: BlockWidth::Format, ..Self::new(self.body, self.hsm) })
    }

    /// Whether [`Request::end`] has succeeded.
    pub(crate) fn has_ended(&self) -> bool {
        self.progress == Progress::Ended
    }

    /// Reads `len` decimal digits.
    ///
    /// # Errors
    /// 15 for a short field or another character.
    pub fn digits(&mut self, name: &'static str, len: usize) -> Result<&'h [u8]> {
        self.checked(name, FieldKind::Digits, len, u8::is_ascii_digit, "must be decimal digits")
    }

    /// Reads `N` decimal digits as an array.
    ///
    /// # Errors
    /// 15 for a short field or another character.
    pub fn digit_array<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N]> {
        let at = self.pos;
        let digits = self.digits(name, N)?;
        self.array(name, at, digits)
    }

    /// Reads `len` decimal digits (9 at most) as a number.
    ///
    /// # Errors
    /// 15 for a short field or another character.
    pub fn number(&mut self, name: &'static str, len: usize) -> Result<usize> {
        Ok(self.digits(name, len)?.iter().fold(0usize, |n, d| n.wrapping_mul(10).wrapping_add(usize::from(d - b'0'))))
    }

    /// Reads one decimal digit as a number.
    ///
    /// # Errors
    /// 15 for a missing field or another character.
    pub fn digit(&mut self, name: &'static str) -> Result<u8> {
        self.number(name, 1).map(|n| n as u8)
    }

    /// Reads `len` hexadecimal digits (8 at most) as a number.
    ///
    /// # Errors
    /// 15 for a short field or another character.
    pub fn hex_number(&mut self, name: &'static str, len: usize) -> Result<usize> {
        let digits = self.hex_digits(name, len)?;
        Ok(digits.iter().fold(0usize, |n, d| n.wrapping_mul(16).wrapping_add(usize::from(nibble(*d)))))
    }

    /// Reads `len` hexadecimal digits as they stand.
    ///
    /// # Errors
    /// 15 for a short field or another character.
    pub fn hex_digits(&mut self, name: &'static str, len: usize) -> Result<&'h [u8]> {
        self.checked(name, FieldKind::Hex, len, u8::is_ascii_hexdigit, "must be hexadecimal digits")
    }

    /// Reads `len` bytes that no trace may show.
    ///
    /// # Errors
    /// 15 for a short field.
    pub fn secret_bytes(&mut self, name: &'static str, len: usize) -> Result<&'h [u8]> {
        self.take(name, FieldKind::Secret, len)
    }

    /// Reads `2 * len` hexadecimal digits as `len` bytes.
    ///
    /// # Errors
    /// 15 for a short field or another character.
    pub fn hex(&mut self, name: &'static str, len: usize) -> Result<Vec<u8>> {
        self.hex_digits(name, 2 * len).map(unhex)
    }

    /// Reads a PIN block under `key`, in hexadecimal digits: 16 bytes under an AES key, else 8 bytes. It may be a reference into user
    /// storage (`K` + 3 digits).
    ///
    /// Where that makes no sense of the message, but the length that the format behind the block has does, [`respond`](crate::respond) has
    /// it read so: the host then refuses the format, 23.
    ///
    /// # Errors
    /// 15 for a short field or another character; 12 or 21 for a reference.
    pub fn pin_block(&mut self, name: &'static str, key: &KeyField<'_>) -> Result<Vec<u8>> {
        let len = match (key.is_aes(), self.blocks) {
            (true, BlockWidth::Key) | (false, BlockWidth::Format) => 16,
            (false, BlockWidth::Key) | (true, BlockWidth::Format) => 8,
        };
        let first = core::mem::replace(&mut self.progress, Progress::PinBlock) == Progress::Fields;
        // Later blocks of a request have the format of the first, which stands behind that one only.
        if first && self.blocks == BlockWidth::Format && self.peek() != Some(b'K') {
            let is_format_48 = self.rest().get(2 * len..).is_some_and(|rest| rest.starts_with(FORMAT_48));
            if is_format_48 != (len == 16) {
                return Err(self.refuse(name, self.pos, "must be as long as its format has it"));
            }
        }
        self.pin_block_of(name, len)
    }

    /// Reads a PIN block of 8 bytes whatever the key, in commands that know no other format. It may be a reference into user storage.
    ///
    /// # Errors
    /// As [`Request::pin_block`].
    pub fn des_pin_block(&mut self, name: &'static str) -> Result<[u8; 8]> {
        let at = self.pos;
        let block = self.pin_block_of(name, 8)?;
        self.array(name, at, &block)
    }

    /// Reads `len` printable characters.
    ///
    /// # Errors
    /// 15 for a short field or a control character.
    pub fn text(&mut self, name: &'static str, len: usize) -> Result<&'h [u8]> {
        self.checked(name, FieldKind::Text, len, |c| (0x20..0x7F).contains(c), "must be printable characters")
    }

    /// Reads `len` characters that satisfy `rule`, which `allowed` puts in words: "must be 0 or 1".
    ///
    /// # Errors
    /// 15 for a short field or another character.
    pub fn chars(
        &mut self,
        name: &'static str,
        len: usize,
        rule: impl Fn(&u8) -> bool,
        allowed: &'static str,
    ) -> Result<&'h [u8]> {
        self.checked(name, FieldKind::Text, len, rule, allowed)
    }

    /// Reads `len` bytes of any value.
    ///
    /// # Errors
    /// 15 for a short field.
    pub fn bytes(&mut self, name: &'static str, len: usize) -> Result<&'h [u8]> {
        self.checked(name, FieldKind::Binary, len, |_| true, "")
    }

    /// Reads `N` bytes of any value as an array.
    ///
    /// # Errors
    /// 15 for a short field.
    pub fn byte_array<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N]> {
        let at = self.pos;
        let bytes = self.bytes(name, N)?;
        self.array(name, at, bytes)
    }

    /// Reads `N` bytes that hold an account number, which traces do not show.
    ///
    /// # Errors
    /// 15 for a short field.
    pub fn account_bytes<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N]> {
        let at = self.pos;
        let bytes = self.take(name, FieldKind::Account, N)?;
        self.array(name, at, bytes)
    }

    /// Reads a length of two hexadecimal digits and that many bytes. `code` refuses data that ends early.
    ///
    /// # Errors
    /// 15 for a bad length field, `code` for short data.
    pub fn short_data(&mut self, name: &'static str, code: ErrorCode) -> Result<&'h [u8]> {
        let len = self.hex_number(name, 2)?;
        self.bytes(name, len).map_err(|refusal| Refusal { code, ..refusal })
    }

    /// Reads `len` secret decimal digits, such as a PVV, a CVV or a clear PIN.
    ///
    /// # Errors
    /// 15 for a short field or another character.
    pub fn secret_digits(&mut self, name: &'static str, len: usize) -> Result<&'h [u8]> {
        self.checked(name, FieldKind::Secret, len, u8::is_ascii_digit, "must be decimal digits")
    }

    /// Reads `N` secret decimal digits as an array.
    ///
    /// # Errors
    /// 15 for a short field or another character.
    pub fn secret_digit_array<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N]> {
        let at = self.pos;
        let digits = self.secret_digits(name, N)?;
        self.array(name, at, digits)
    }

    /// Reads a variable number of decimal digits, at least one and at most `max`, up to a delimiter, and the delimiter.
    ///
    /// # Errors
    /// 15 if there is no digit, another character, or no delimiter after `max` digits.
    pub fn account_until(&mut self, name: &'static str, max: usize, delimiter: u8) -> Result<&'h [u8]> {
        let rest = self.rest();
        let len = rest.iter().take_while(|c| c.is_ascii_digit()).count();
        if len == 0 || len > max || rest.get(len) != Some(&delimiter) {
            return Err(self.refuse(name, self.pos, "must be decimal digits ended by its delimiter"));
        }
        let digits = self.take(name, FieldKind::Account, len)?;
        self.pos += 1;
        Ok(digits)
    }

    /// Leaves the characters of account fields to [`account_check`](crate::abi::PinOps::account_check) and the operations that take the
    /// field, which refuse them with 22 after the keys: for commands whose page lists 22. In others the reader refuses them with 15.
    pub fn leave_accounts_to_host(&mut self) {
        self.accounts = AccountCheck::Host;
    }

    /// Reads the account field that goes with PIN blocks of these formats (pins.md 1.4): 18 characters with format 04, the whole
    /// PAN up to `;` with format 48 (12 digits if there is no `;`), else 12 digits.
    ///
    /// # Errors
    /// 15 for a short field, and for what is no account unless [`Request::leave_accounts_to_host`] was called.
    pub fn account(&mut self, name: &'static str, formats: &[[u8; 2]]) -> Result<AccountField<'h>> {
        if formats.contains(FORMAT_48)
            && let Some(len) = self.rest().iter().take(20).position(|c| *c == b';')
        {
            let account = self.account_field(name, AccountForm::Pan, len)?;
            self.pos += 1;
            return Ok(account);
        }
        let (form, len) = if formats.contains(b"04") { (AccountForm::Plus, 18) } else { (AccountForm::Twelve, 12) };
        self.account_field(name, form, len)
    }

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

    /// Reads the maximum PIN length, which must be 12.
    ///
    /// # Errors
    /// 15 for anything else.
    pub fn maximum_pin_length(&mut self) -> Result<()> {
        let at = self.pos;
        match self.digits("Maximum PIN length", 2)? {
            b"12" => Ok(()),
            _ => Err(self.refuse("Maximum PIN length", at, "must be 12")),
        }
    }

    /// Reads a key type field of three hexadecimal digits (keys.md section 2). The host judges whether such a type exists.
    ///
    /// # Errors
    /// 15 for a short field, 04 for another character: roles without a code (`KeyPurpose::TPK`) are the commands' own.
    pub fn key_type(&mut self, name: &'static str) -> Result<KeyPurpose> {
        let at = self.pos;
        let code = self.take(name, FieldKind::Text, 3)?;
        if !code.iter().all(u8::is_ascii_hexdigit) {
            return Err(self.refuse_with(ErrorCode::KEY_TYPE_CODE, name, at, "must be hexadecimal digits"));
        }
        self.array(name, at, code).map(KeyPurpose::from_code)
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

    /// Reads a key scheme letter.
    ///
    /// # Errors
    /// 15 for a missing field. The host refuses letters it does not know.
    pub fn scheme(&mut self, name: &'static str) -> Result<u8> {
        self.take(name, FieldKind::Text, 1).map(|c| c[0])
    }

    /// Reads an optional Atalla variant of one or two digits; 0 if there is none.
    ///
    /// # Errors
    /// 15 never: what is not a digit belongs to the next field.
    pub fn atalla_variant(&mut self) -> Result<u8> {
        let len = self.rest().iter().take(2).take_while(|c| c.is_ascii_digit()).count();
        if len == 0 { Ok(0) } else { self.number("Atalla variant", len).map(|n| n as u8) }
    }

    /// The next byte, unread.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    /// Reads `byte` if it comes next, and says whether it did.
    pub fn accept(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.pos += usize::from(there);
        there
    }

    /// Reads a delimiter that must come next.
    ///
    /// # Errors
    /// 15 if something else comes.
    pub fn delimiter(&mut self, name: &'static str, byte: u8) -> Result<()> {
        if self.accept(byte) { Ok(()) } else { Err(self.refuse(name, self.pos, "is missing")) }
    }

    /// The bytes not yet read, tail and trailer included.
    #[must_use]
    pub fn rest(&self) -> &'h [u8] {
        self.body.get(self.pos..).unwrap_or_default()
    }

    /// Offset of the next byte in the body.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.pos
    }

    /// Reads the optional LMK identifier (`%` + 2 digits) and selects that LMK for the request.
    ///
    /// # Errors
    /// 15 if the identifier is not two digits, 13 if there is no such LMK.
    pub fn lmk_identifier(&mut self) -> Result<()> {
        if self.accept(b'%') {
            let at = self.pos;
            let id = self.number("LMK identifier", 2)?;
            self.hsm.select_lmk(id as u8).map_err(|code| Refusal {
                code,
                field: "LMK identifier",
                offset: at,
                rule: "must name a loaded LMK",
            })?;
        }
        Ok(())
    }

    /// Ends the command's fields: LMK identifier, trailer, and nothing else.
    ///
    /// # Errors
    /// 15 for surplus bytes or a trailer of more than 32 characters, 13 as [`Request::lmk_identifier`].
    pub fn end(&mut self) -> Result<()> {
        self.lmk_identifier()?;
        let rest = self.rest();
        match rest.first() {
            None => {}
            Some(&TRAILER) if rest.len() <= 1 + MAX_TRAILER => {
                self.trace("Message trailer", FieldKind::Text, self.pos, rest.len());
                self.pos = self.body.len();
                self.trailer = rest;
            }
            Some(&TRAILER) => return Err(self.refuse("Message trailer", self.pos, "must have at most 32 characters")),
            Some(_) => return Err(self.refuse("Message", self.pos, "must end after the last field")),
        }
        self.progress = Progress::Ended;
        Ok(())
    }

    /// A refusal of a field with 15.
    #[must_use]
    pub fn refuse(&self, field: &'static str, offset: usize, rule: &'static str) -> Refusal {
        self.refuse_with(ErrorCode::INPUT_DATA, field, offset, rule)
    }

    /// A refusal of a field with another code.
    #[must_use]
    pub fn refuse_with(&self, code: ErrorCode, field: &'static str, offset: usize, rule: &'static str) -> Refusal {
        Refusal { code, field, offset, rule }
    }

    /// What may be behind the refusal of a field with 15, for the operator: a key of 16 digits where a pair has 32 takes digits of what
    /// follows, and in the end there are too few, or the tail is taken for a field.
    pub(crate) fn hint(&self, refusal: &Refusal) -> Option<String> {
        let pair = self.bare_pair.filter(|_| refusal.code == ErrorCode::INPUT_DATA)?;
        let refused = self.body.get(refusal.offset..self.pos).unwrap_or_default();
        let ran_out = self.ran_out || refused.iter().any(|c| matches!(c, b'%' | &TRAILER));
        ran_out.then(|| ["; is the ", pair, " too short? It is 32 digits, or U and 32 digits"].concat())
    }

    pub(crate) fn trailer(&self) -> &'h [u8] {
        self.trailer
    }

    /// The trailer of a request that was not read to its end.
    pub(crate) fn trailer_after_refusal(&self) -> &'h [u8] {
        if self.trailer.is_empty() { likely_trailer(self.rest()) } else { self.trailer }
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

    fn account_field(&mut self, name: &'static str, form: AccountForm, len: usize) -> Result<AccountField<'h>> {
        let at = self.pos;
        let field = AccountField { form, digits: self.take(name, FieldKind::Account, len)? };
        if self.accounts == AccountCheck::Host {
            return Ok(field);
        }
        match self.hsm.account_check(field) {
            Err(ErrorCode::ACCOUNT_NUMBER) => Err(self.refuse(name, at, "must be an account number")),
            checked => Ok(checked.map(|()| field)?),
        }
    }

    fn pin_block_of(&mut self, name: &'static str, len: usize) -> Result<Vec<u8>> {
        if self.peek() == Some(b'K') {
            return self.stored_hex(name, len);
        }
        self.checked(name, FieldKind::PinBlock, 2 * len, u8::is_ascii_hexdigit, "must be hexadecimal digits").map(unhex)
    }

    fn checked(
        &mut self,
        name: &'static str,
        kind: FieldKind,
        len: usize,
        rule: impl Fn(&u8) -> bool,
        words: &'static str,
    ) -> Result<&'h [u8]> {
        let at = self.pos;
        let field = self.take(name, kind, len)?;
        if field.iter().all(rule) { Ok(field) } else { Err(self.refuse(name, at, words)) }
    }

    fn take(&mut self, name: &'static str, kind: FieldKind, len: usize) -> Result<&'h [u8]> {
        let Some(field) = self.rest().get(..len) else {
            self.ran_out = true;
            return Err(self.refuse(name, self.pos, "is short"));
        };
        self.trace(name, kind, self.pos, len);
        self.pos += len;
        Ok(field)
    }

    fn array<const N: usize>(&self, name: &'static str, at: usize, field: &[u8]) -> Result<[u8; N]> {
        field.try_into().map_err(|_| self.refuse(name, at, "is short"))
    }

    fn trace(&self, name: &str, kind: FieldKind, at: usize, len: usize) {
        if self.hsm.traces() {
            // A trace is a courtesy: a host that does not take it changes nothing.
            let _ = self.hsm.trace_field(false, name, at as u32, len as u32, kind as u8);
        }
    }
}

/// The trailer of bytes whose fields nobody has read: the first delimiter with nothing but printable characters behind it, no more than a
/// trailer has. In binary data the delimiter is a byte like any other.
#[must_use]
pub fn likely_trailer(unread: &[u8]) -> &[u8] {
    let window = unread.get(unread.len().saturating_sub(1 + MAX_TRAILER)..).unwrap_or_default();
    let printable = |rest: &[u8]| rest.iter().skip(1).all(|c| (0x20..0x7F).contains(c));
    let starts = window.iter().enumerate().filter(|(_, c)| **c == TRAILER);
    starts.map(|(at, _)| window.get(at..).unwrap_or_default()).find(|rest| printable(rest)).unwrap_or_default()
}

fn unhex(digits: &[u8]) -> Vec<u8> {
    digits.chunks_exact(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect()
}

/// The value of a character that is known to be a hexadecimal digit.
fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20).wrapping_sub(b'a' - 10) & 15,
    }
}
