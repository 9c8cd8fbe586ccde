//! What can be wrong. No error holds a PIN digit or a nibble of a block: only places and kinds.

use core::fmt;

use crate::format::Format;

/// What a failure means to the caller of an HSM: one host command error code each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// 15: an input the format needs, other than the account, is missing or unfit.
    Input,
    /// 20: the PIN block is not one of this format; usually the wrong key or account.
    Structure,
    /// 22: the account number is missing or unfit.
    Account,
    /// 23: the format cannot be used here.
    Format,
    /// 24: the PIN has fewer than 4 digits, or more than 12 or than the format holds.
    Length,
    /// 69: the format is disabled.
    FormatDisabled,
}

impl ErrorClass {
    /// The two-character host command error code.
    pub fn host_error(self) -> &'static str {
        match self {
            ErrorClass::Input => "15",
            ErrorClass::Structure => "20",
            ErrorClass::Account => "22",
            ErrorClass::Format => "23",
            ErrorClass::Length => "24",
            ErrorClass::FormatDisabled => "69",
        }
    }
}

/// Why some digits are not a [`Pin`](crate::Pin).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinError {
    /// There are not 4 to 12 of them.
    Length,
    /// The character at `position` (from 0) is not a decimal digit.
    NotDigit {
        /// Index into the input.
        position: usize,
    },
}

impl PinError {
    /// What the HSM reports: [`ErrorClass::Length`], or [`ErrorClass::Input`] for a character that is no digit.
    pub fn class(self) -> ErrorClass {
        match self {
            PinError::Length => ErrorClass::Length,
            PinError::NotDigit { .. } => ErrorClass::Input,
        }
    }
}

impl fmt::Display for PinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PinError::Length => f.write_str("a PIN has 4 to 12 digits"),
            PinError::NotDigit { position } => write!(f, "PIN character {position} is not a decimal digit"),
        }
    }
}

impl core::error::Error for PinError {}

/// Why some characters are not an account number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountError {
    /// The number of characters is wrong.
    Length {
        /// The fewest allowed.
        min: usize,
        /// The most allowed.
        max: usize,
        /// The number given.
        actual: usize,
    },
    /// The character at `position` (from 0) is not a decimal digit.
    NotDigit {
        /// Index into the input.
        position: usize,
    },
    /// An 18-character field holds nothing but fill.
    Empty,
}

impl AccountError {
    /// What the HSM reports: always [`ErrorClass::Account`].
    pub fn class(self) -> ErrorClass {
        ErrorClass::Account
    }
}

impl fmt::Display for AccountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AccountError::Length { min, max, actual } if min == max => {
                write!(f, "the account number has {actual} characters, not {min}")
            }
            AccountError::Length { min, max, actual } => {
                write!(f, "the account number has {actual} characters, not {min} to {max}")
            }
            AccountError::NotDigit { position } => {
                write!(f, "account number character {position} is not a decimal digit")
            }
            AccountError::Empty => f.write_str("the account number field has no digits"),
        }
    }
}

impl core::error::Error for AccountError {}

/// What a format needs and the [`Context`](crate::Context) does not give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextError {
    /// The format needs an account number.
    NoAccount,
    /// The format needs the leftmost account digits, which the 12 rightmost do not tell.
    NoLeftmostDigits,
    /// The format needs the left half of the card's UDK-A.
    NoUdk,
    /// The format needs the old PIN.
    NoOldPin,
    /// The pad is one of the PIN's digits, so nobody could tell where the PIN ends.
    PadIsPinDigit,
}

impl ContextError {
    /// What the HSM reports: [`ErrorClass::Account`] if it is about the account, otherwise [`ErrorClass::Input`].
    pub fn class(self) -> ErrorClass {
        match self {
            ContextError::NoAccount | ContextError::NoLeftmostDigits => ErrorClass::Account,
            ContextError::NoUdk | ContextError::NoOldPin | ContextError::PadIsPinDigit => ErrorClass::Input,
        }
    }
}

impl fmt::Display for ContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ContextError::NoAccount => "the format needs an account number",
            ContextError::NoLeftmostDigits => {
                "the format needs the leftmost account digits: a PAN or an 18-character field"
            }
            ContextError::NoUdk => "the format needs the left half of the card's UDK-A",
            ContextError::NoOldPin => "the format needs the old PIN",
            ContextError::PadIsPinDigit => "the pad is a digit of the PIN",
        })
    }
}

impl core::error::Error for ContextError {}

/// Why [`encode`](crate::encode()) made no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// The PIN does not fit the format.
    PinLength {
        /// The fewest digits it holds.
        min: usize,
        /// The most digits it holds.
        max: usize,
    },
    /// An input is missing or unfit.
    Context(ContextError),
    /// ISO format 4 has no clear block: use [`encipher_iso4`](crate::encipher_iso4).
    NeedsCipher,
    /// The format's layout is not public.
    Unsupported(Format),
}

impl EncodeError {
    /// What the HSM reports.
    pub fn class(self) -> ErrorClass {
        match self {
            EncodeError::PinLength { .. } => ErrorClass::Length,
            EncodeError::Context(error) => error.class(),
            EncodeError::NeedsCipher => ErrorClass::Format,
            EncodeError::Unsupported(_) => ErrorClass::FormatDisabled,
        }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::PinLength { min, max } if min == max => {
                write!(f, "the format holds PINs of {min} digits only")
            }
            EncodeError::PinLength { min, max } => write!(f, "the format holds PINs of {min} to {max} digits"),
            EncodeError::Context(error) => error.fmt(f),
            EncodeError::NeedsCipher => f.write_str(NEEDS_CIPHER),
            EncodeError::Unsupported(format) => write!(f, "the layout of PIN block format {format} is not public"),
        }
    }
}

impl core::error::Error for EncodeError {}

impl From<ContextError> for EncodeError {
    fn from(error: ContextError) -> EncodeError {
        EncodeError::Context(error)
    }
}

/// Why [`decode`](crate::decode()) found no PIN. Positions count nibbles from 0, the leftmost of the clear block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The block has the wrong number of bytes.
    BlockLength {
        /// What the format has.
        expected: usize,
        /// What was given.
        actual: usize,
    },
    /// The first nibble is not the format's.
    ControlNibble {
        /// What the format has.
        expected: u8,
    },
    /// The length nibble, or the number of digits before the pad, is not one the format allows.
    PinLength {
        /// The fewest digits it holds.
        min: usize,
        /// The most digits it holds.
        max: usize,
    },
    /// A nibble where the format has a decimal digit is above 9.
    PinDigit {
        /// Which nibble.
        position: usize,
    },
    /// A nibble after the PIN is not the format's fill.
    Fill {
        /// Which nibble.
        position: usize,
    },
    /// An input is missing or unfit.
    Context(ContextError),
    /// ISO format 4 has no clear block: use [`decipher_iso4`](crate::decipher_iso4).
    NeedsCipher,
    /// The format's layout is not public.
    Unsupported(Format),
}

impl DecodeError {
    /// What the HSM reports.
    pub fn class(self) -> ErrorClass {
        match self {
            DecodeError::BlockLength { .. }
            | DecodeError::ControlNibble { .. }
            | DecodeError::PinDigit { .. }
            | DecodeError::Fill { .. } => ErrorClass::Structure,
            DecodeError::PinLength { .. } => ErrorClass::Length,
            DecodeError::Context(error) => error.class(),
            DecodeError::NeedsCipher => ErrorClass::Format,
            DecodeError::Unsupported(_) => ErrorClass::FormatDisabled,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::BlockLength { expected, actual } => {
                write!(f, "the PIN block has {actual} bytes, not {expected}")
            }
            DecodeError::ControlNibble { expected } => write!(f, "the control nibble is not {expected}"),
            DecodeError::PinLength { min, max } => write!(f, "the PIN length is not {min} to {max}"),
            DecodeError::PinDigit { position } => write!(f, "nibble {position}, a PIN digit, is not decimal"),
            DecodeError::Fill { position } => write!(f, "nibble {position}, after the PIN, is not the fill"),
            DecodeError::Context(error) => error.fmt(f),
            DecodeError::NeedsCipher => f.write_str(NEEDS_CIPHER),
            DecodeError::Unsupported(format) => write!(f, "the layout of PIN block format {format} is not public"),
        }
    }
}

impl core::error::Error for DecodeError {}

impl From<ContextError> for DecodeError {
    fn from(error: ContextError) -> DecodeError {
        DecodeError::Context(error)
    }
}

const NEEDS_CIPHER: &str = "ISO format 4 exists only enciphered: it needs the AES key";
