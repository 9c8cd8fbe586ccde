//! Reading a request field by field.

mod asymmetric;
mod attributes;
mod dukpt;
mod keys;
mod pins;
mod print;
mod storage;

pub use attributes::{Attribute, AttributeGroup};
pub use keys::{KeyField, LegacyOptions, PinDestination};

use crate::{AccountField, AccountForm, Hsm, Refusal, Result, abi::ErrorCode, abi::FieldKind};

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
    pub(crate) fn with_blocks_by_format(&self, code: ErrorCode, hsm: Hsm<'h>) -> Option<Self> {
        let doubtful =
            self.progress == Progress::PinBlock && self.blocks == BlockWidth::Key && code == ErrorCode::INPUT_DATA;
        doubtful.then(|| Self { blocks: BlockWidth::Format, ..Self::new(self.body, hsm) })
    }

    /// The request from its beginning, to be read in the same way.
    pub(crate) fn again(&self, hsm: Hsm<'h>) -> Self {
        Self { blocks: self.blocks, ..Self::new(self.body, hsm) }
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
