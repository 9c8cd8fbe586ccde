//! What a block is made with besides the PIN: account number, card key, old PIN, pad, sequence number.

use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::block::{pack, xor};
use crate::error::{AccountError, ContextError};
use crate::layout::Mask;
use crate::pin::Pin;

/// Everything besides the PIN that a format may need. What a format does not use, it ignores.
///
/// ```
/// use hsm_pinblock::{Account12, Context, Pad};
///
/// let context = Context::account(Account12::from_digits(b"400000123456")?);
/// let context = Context::default().with_pad(Pad::from_hex_digit(b'D').ok_or("no hex digit")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    account: Option<Account>,
    udk: Option<&'a UdkA>,
    old_pin: Option<&'a Pin>,
    pub(crate) pad: Option<Pad>,
    pub(crate) sequence: Option<u16>,
}

impl<'a> Context<'a> {
    /// A context with an account number, for the ISO-0, ISO-3, PLUS and Pay Now formats.
    pub fn account(account: impl Into<Account>) -> Context<'a> {
        Context { account: Some(account.into()), ..Context::default() }
    }

    /// A context with the card's UDK-A, for the Visa PIN change formats (41, 42).
    pub fn udk(udk: &'a UdkA) -> Context<'a> {
        Context { udk: Some(udk), ..Context::default() }
    }

    /// Adds the account number.
    pub fn with_account(self, account: impl Into<Account>) -> Context<'a> {
        Context { account: Some(account.into()), ..self }
    }

    /// Adds the card's UDK-A (41, 42).
    pub fn with_udk(self, udk: &'a UdkA) -> Context<'a> {
        Context { udk: Some(udk), ..self }
    }

    /// Adds the PIN being replaced (42).
    pub fn with_old_pin(self, old_pin: &'a Pin) -> Context<'a> {
        Context { old_pin: Some(old_pin), ..self }
    }

    /// Sets the pad of VISA-3, OEM-1, IBM 3624 and IBM 3621; without it encoders pad with `F`.
    pub fn with_pad(self, pad: Pad) -> Context<'a> {
        Context { pad: Some(pad), ..self }
    }

    /// Sets the sequence number that IBM 3621 blocks (all 16 bits) and IBM 4704-EPP blocks (the low 8 bits) carry;
    /// without it encoders write a random one. Decoders do not look at it.
    pub fn with_sequence(self, sequence: u16) -> Context<'a> {
        Context { sequence: Some(sequence), ..self }
    }

    /// What `mask` xors over a block.
    pub(crate) fn mask(&self, mask: Mask) -> Result<Zeroizing<[u8; 8]>, ContextError> {
        let mut bytes = Zeroizing::new([0; 8]);
        match mask {
            Mask::None => {}
            Mask::Rightmost12 => {
                let account = self.account.ok_or(ContextError::NoAccount)?;
                bytes[2..].copy_from_slice(&pack::<6>(&account.rightmost12()));
            }
            Mask::Leftmost12 => {
                let account = self.account.ok_or(ContextError::NoAccount)?;
                let digits = account.leftmost12().ok_or(ContextError::NoLeftmostDigits)?;
                bytes[2..].copy_from_slice(&pack::<6>(&digits));
            }
            Mask::Udk => {
                let udk = self.udk.ok_or(ContextError::NoUdk)?;
                bytes[4..].copy_from_slice(&udk.0[4..]);
            }
            Mask::UdkAndOldPin => {
                *bytes = *self.mask(Mask::Udk)?;
                let old_pin = self.old_pin.ok_or(ContextError::NoOldPin)?;
                xor(&mut bytes, &Zeroizing::new(pack(old_pin.digits())));
            }
        }
        Ok(bytes)
    }
}

/// An account number, in one of the shapes a host command carries it.
#[derive(Clone, Copy, Debug)]
pub enum Account {
    /// The 12-digit field.
    Twelve(Account12),
    /// The whole account number.
    Pan(Pan),
    /// The 18-character field of format 04.
    Plus(PlusField),
}

impl Account {
    /// The 12 ASCII digits that PIN verification takes of an account number: the rightmost ones without the check digit, zero filled on
    /// the left.
    pub fn twelve_digits(&self) -> [u8; 12] {
        self.rightmost12().map(|digit| b'0' + digit)
    }

    /// The 12 rightmost digits without the check digit, zero filled on the left.
    fn rightmost12(&self) -> [u8; 12] {
        match self {
            Account::Twelve(account) => account.0,
            Account::Pan(pan) => rightmost12(pan.without_check_digit()),
            Account::Plus(field) => rightmost12(field.0.as_slice()),
        }
    }

    /// The 12 leftmost digits of the account number without its check digit. Shorter ones are zero filled on the left.
    fn leftmost12(&self) -> Option<[u8; 12]> {
        let digits = match self {
            Account::Twelve(_) => return None,
            Account::Pan(pan) => pan.without_check_digit(),
            Account::Plus(field) => field.0.as_slice(),
        };
        Some(rightmost12(&digits[..digits.len().min(12)]))
    }
}

fn rightmost12(digits: &[u8]) -> [u8; 12] {
    let mut twelve = [0; 12];
    for (out, digit) in twelve.iter_mut().rev().zip(digits.iter().rev()) {
        *out = *digit;
    }
    twelve
}

impl From<Account12> for Account {
    fn from(account: Account12) -> Account {
        Account::Twelve(account)
    }
}

impl From<Pan> for Account {
    fn from(pan: Pan) -> Account {
        Account::Pan(pan)
    }
}

impl From<PlusField> for Account {
    fn from(field: PlusField) -> Account {
        Account::Plus(field)
    }
}

/// The account field of most host commands: the 12 rightmost digits of the account number without the check digit.
#[derive(Clone, Copy)]
pub struct Account12([u8; 12]);

impl Account12 {
    /// Reads the field from ASCII digits, e.g. `b"400000123456"`.
    ///
    /// # Errors
    /// [`AccountError::Length`] unless there are 12; [`AccountError::NotDigit`] if one is not `0`-`9`.
    pub fn from_digits(ascii: &[u8]) -> Result<Account12, AccountError> {
        let digits = Digits::<12>::read(ascii, 12)?;
        Ok(Account12(digits.values))
    }
}

impl fmt::Debug for Account12 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Account12(****)")
    }
}

/// A primary account number with its check digit: 1 to 19 digits. The check digit is not verified.
#[derive(Clone, Copy)]
pub struct Pan(Digits<19>);

impl Pan {
    /// Reads an account number from ASCII digits, e.g. `b"5432101234567891"`.
    ///
    /// # Errors
    /// [`AccountError::Length`] unless there are 1 to 19; [`AccountError::NotDigit`] if one is not `0`-`9`.
    pub fn from_digits(ascii: &[u8]) -> Result<Pan, AccountError> {
        Digits::read(ascii, 1).map(Pan)
    }

    /// The digits as values 0 to 9, check digit last.
    pub fn digits(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// The 12-digit field of this account number: its rightmost digits without the check digit, zero filled on the left.
    pub fn account12(&self) -> Account12 {
        Account12(rightmost12(self.without_check_digit()))
    }

    fn without_check_digit(&self) -> &[u8] {
        self.digits().split_last().map_or(&[], |(_, rest)| rest)
    }
}

impl fmt::Debug for Pan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pan(****)")
    }
}

/// The account field that format 04 (PLUS) makes 18 characters long: the account number without its check digit,
/// right-justified, filled on the left with `F`.
///
/// One command has one such field for both its blocks: PLUS takes the 12 leftmost digits, the other format the 12
/// rightmost.
#[derive(Clone, Copy)]
pub struct PlusField(Digits<18>);

impl PlusField {
    /// Reads the field, e.g. `b"FF2283400000123456"`. The fill may be in either case.
    ///
    /// # Errors
    /// [`AccountError::Length`] unless there are 18 characters; [`AccountError::NotDigit`] if one after the fill is not
    /// `0`-`9`; [`AccountError::Empty`] if all is fill.
    pub fn from_field(ascii: &[u8]) -> Result<PlusField, AccountError> {
        if ascii.len() != 18 {
            return Err(AccountError::Length { min: 18, max: 18, actual: ascii.len() });
        }
        let fill = ascii.iter().take_while(|byte| byte.eq_ignore_ascii_case(&b'F')).count();
        match Digits::read(&ascii[fill..], 1) {
            Ok(digits) => Ok(PlusField(digits)),
            Err(AccountError::NotDigit { position }) => Err(AccountError::NotDigit { position: position + fill }),
            Err(_) => Err(AccountError::Empty),
        }
    }
}

impl fmt::Debug for PlusField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlusField(****)")
    }
}

/// Up to `MAX` digit values, left-justified.
#[derive(Clone, Copy)]
struct Digits<const MAX: usize> {
    values: [u8; MAX],
    len: usize,
}

impl<const MAX: usize> Digits<MAX> {
    fn read(ascii: &[u8], min: usize) -> Result<Digits<MAX>, AccountError> {
        if !(min..=MAX).contains(&ascii.len()) {
            return Err(AccountError::Length { min, max: MAX, actual: ascii.len() });
        }
        if let Some(position) = ascii.iter().position(|byte| !byte.is_ascii_digit()) {
            return Err(AccountError::NotDigit { position });
        }
        let mut values = [0; MAX];
        for (value, byte) in values.iter_mut().zip(ascii) {
            *value = byte - b'0';
        }
        Ok(Digits { values, len: ascii.len() })
    }

    fn as_slice(&self) -> &[u8] {
        &self.values[..self.len]
    }
}

/// The left half (8 bytes) of a card's unique derivation key A, with which Visa and Amex mask a PIN change block.
///
/// It is key material: wiped when dropped, and not printed.
#[derive(Clone)]
pub struct UdkA([u8; 8]);

impl UdkA {
    /// Takes the left half of the key. Its last 4 bytes are what the formats use.
    pub fn from_left_half(left_half: [u8; 8]) -> UdkA {
        UdkA(left_half)
    }
}

impl fmt::Debug for UdkA {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UdkA(****)")
    }
}

impl Drop for UdkA {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for UdkA {}

/// The pad nibble of a format that lets the user choose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pad(u8);

impl Pad {
    /// Pads with `F`, the usual choice.
    pub const F: Pad = Pad(0xF);

    /// The pad written as a hex digit, e.g. `b'F'`; either case. `None` if it is not one.
    pub fn from_hex_digit(ascii: u8) -> Option<Pad> {
        char::from(ascii).to_digit(16).map(|value| Pad(value as u8))
    }

    pub(crate) fn nibble(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::format;

    use super::*;

    #[test]
    fn twelve_digits_are_the_same_in_every_form_of_a_field() {
        let pan = Account::from(Pan::from_digits(b"2283400001234562").unwrap());
        let plus = Account::from(PlusField::from_field(b"FFF228340000123456").unwrap());
        let twelve = Account::from(Account12::from_digits(b"340000123456").unwrap());
        for account in [pan, plus, twelve] {
            assert_eq!(&account.twelve_digits(), b"340000123456");
        }
        assert_eq!(&Account::from(Pan::from_digits(b"12345").unwrap()).twelve_digits(), b"000000001234");
    }

    #[test]
    fn account_fields_say_what_is_wrong_and_where() {
        assert_eq!(
            Account12::from_digits(b"12345678901").unwrap_err(),
            AccountError::Length { min: 12, max: 12, actual: 11 }
        );
        assert_eq!(Account12::from_digits(b"12345678901F").unwrap_err(), AccountError::NotDigit { position: 11 });
        assert_eq!(Pan::from_digits(b"").unwrap_err(), AccountError::Length { min: 1, max: 19, actual: 0 });
        assert_eq!(Pan::from_digits(&[b'1'; 20]).unwrap_err(), AccountError::Length { min: 1, max: 19, actual: 20 });
        assert_eq!(PlusField::from_field(&[b'F'; 18]).unwrap_err(), AccountError::Empty);
        assert_eq!(
            PlusField::from_field(b"FF22834000F0123456").unwrap_err(),
            AccountError::NotDigit { position: 10 },
            "F is fill on the left only"
        );
        assert_eq!(
            PlusField::from_field(b"2283400000123456").unwrap_err(),
            AccountError::Length { min: 18, max: 18, actual: 16 }
        );
    }

    #[test]
    fn short_account_numbers_are_zero_filled_on_the_left() {
        assert_eq!(Pan::from_digits(b"12345").unwrap().account12().0, [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
        let field = Account::from(PlusField::from_field(b"FFFFFFFFFFFFFF1234").unwrap());
        assert_eq!(field.rightmost12(), [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
        assert_eq!(field.leftmost12(), Some(field.rightmost12()));
        // Of 12 digits the last is the check digit, which neither end takes.
        let pan = Account::from(Pan::from_digits(b"123456789019").unwrap());
        assert_eq!(pan.leftmost12(), Some([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]));
    }

    #[test]
    fn debug_shows_no_account_and_no_key() {
        let udk = UdkA::from_left_half([0x5A; 8]);
        let old_pin = Pin::from_digits(b"7777").unwrap();
        for account in [
            Account::from(Account12::from_digits(&[b'7'; 12]).unwrap()),
            Account::from(Pan::from_digits(&[b'7'; 16]).unwrap()),
            Account::from(PlusField::from_field(&[b'7'; 18]).unwrap()),
        ] {
            let shown = format!("{:?}", Context::account(account).with_udk(&udk).with_old_pin(&old_pin));
            assert!(!shown.contains(['7', '9', '5']), "{shown}");
        }
    }
}
