//! The PIN itself.

use core::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::PinError;

/// A PIN: 4 to 12 decimal digits (ISO 9564-1).
///
/// It is wiped when dropped, prints as `Pin(****)`, and compares in a time that does not depend on the digits.
#[derive(Clone)]
pub struct Pin {
    /// Values 0..=9, left-justified. Unused positions stay 0, which lets equality look at all of them.
    digits: [u8; Pin::MAX_LEN],
    len: u8,
}

impl Pin {
    /// The fewest digits a PIN has.
    pub const MIN_LEN: usize = 4;
    /// The most digits a PIN has.
    pub const MAX_LEN: usize = 12;

    /// Reads a PIN from ASCII digits, e.g. `b"1234"`.
    ///
    /// # Errors
    /// [`PinError::Length`] if there are not 4 to 12 characters; [`PinError::NotDigit`] if one is not `0`-`9`.
    pub fn from_digits(ascii: &[u8]) -> Result<Pin, PinError> {
        // An ASCII digit minus '0' is its value, and any other byte wraps to something above 9.
        Pin::build(ascii, |byte| byte.wrapping_sub(b'0'))
    }

    /// Reads a PIN from digit values, e.g. `&[1, 2, 3, 4]`.
    ///
    /// # Errors
    /// [`PinError::Length`] if there are not 4 to 12 values; [`PinError::NotDigit`] if one is above 9.
    pub fn from_values(values: &[u8]) -> Result<Pin, PinError> {
        Pin::build(values, |value| value)
    }

    fn build(source: &[u8], value_of: fn(u8) -> u8) -> Result<Pin, PinError> {
        if !(Pin::MIN_LEN..=Pin::MAX_LEN).contains(&source.len()) {
            return Err(PinError::Length);
        }
        let mut pin = Pin { digits: [0; Pin::MAX_LEN], len: source.len() as u8 };
        for (position, (digit, &byte)) in pin.digits.iter_mut().zip(source).enumerate() {
            *digit = value_of(byte);
            if *digit > 9 {
                return Err(PinError::NotDigit { position });
            }
        }
        Ok(pin)
    }

    /// The number of digits, 4 to 12.
    #[expect(clippy::len_without_is_empty, reason = "a PIN is never empty")]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// The digits as values 0 to 9, most significant first.
    pub fn digits(&self) -> &[u8] {
        &self.digits[..self.len()]
    }

    /// Writes the digits as ASCII into `buffer` and returns the part written. The caller wipes the buffer.
    pub fn write_ascii<'b>(&self, buffer: &'b mut [u8; Pin::MAX_LEN]) -> &'b [u8] {
        for (out, digit) in buffer.iter_mut().zip(self.digits()) {
            *out = b'0' + digit;
        }
        &buffer[..self.len()]
    }
}

impl ConstantTimeEq for Pin {
    fn ct_eq(&self, other: &Pin) -> Choice {
        self.digits.ct_eq(&other.digits) & self.len.ct_eq(&other.len)
    }
}

impl PartialEq for Pin {
    fn eq(&self, other: &Pin) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for Pin {}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A fixed number of stars: the length is worth hiding too.
        f.write_str("Pin(****)")
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.digits.zeroize();
        self.len.zeroize();
    }
}

impl ZeroizeOnDrop for Pin {}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::format;

    use super::*;

    #[test]
    fn takes_4_to_12_ascii_digits_only() {
        for text in ["1234", "123456789012"] {
            let pin = Pin::from_digits(text.as_bytes()).unwrap();
            assert_eq!(pin.write_ascii(&mut [0; 12]), text.as_bytes());
        }
        for text in ["", "123", "1234567890123"] {
            assert_eq!(Pin::from_digits(text.as_bytes()), Err(PinError::Length), "{text}");
        }
        assert_eq!(Pin::from_digits(b"12:4"), Err(PinError::NotDigit { position: 2 }));
        assert_eq!(Pin::from_digits(b"/234"), Err(PinError::NotDigit { position: 0 }));
        assert_eq!(Pin::from_values(b"\x01\x02\x03\x0A"), Err(PinError::NotDigit { position: 3 }));
    }

    #[test]
    fn equality_sees_every_digit_and_the_length() {
        let pin = |text: &str| Pin::from_digits(text.as_bytes()).unwrap();
        assert_eq!(pin("0000"), pin("0000"));
        assert_ne!(pin("0000"), pin("00000"));
        assert_ne!(pin("123456789012"), pin("123456789013"));
        assert_ne!(pin("1234"), pin("9234"));
    }

    #[test]
    fn debug_shows_neither_digits_nor_length() {
        let shown = |text: &str| format!("{:?}", Pin::from_digits(text.as_bytes()).unwrap());
        assert_eq!(shown("9876"), shown("123456789012"));
        assert!(!shown("9876").contains("9876"));
    }
}
