//! Key schemes and the key fields of host commands (keys.md 0.3).

/// How a key is written and encrypted: the tag in front of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyScheme {
    /// No tag, 16 digits: single length.
    Single,
    /// No tag, 32 digits: double length, as `X`.
    Double,
    /// `Z`: single length. A host may send the tag; the HSM answers without it.
    Z,
    /// `U`: double length, variant method.
    U,
    /// `T`: triple length, variant method.
    T,
    /// `X`: double length, ANSI X9.17.
    X,
    /// `Y`: triple length, ANSI X9.17.
    Y,
    /// `S`: Thales key block.
    S,
    /// `R`: TR-31 / X9.143 key block.
    R,
    /// `V`: Verifone/GISKE block. Export only.
    V,
    /// `P`: CBC transport form of 32 digits. Known, not supported.
    P,
    /// `Q`: CBC transport form of 48 digits. Known, not supported.
    Q,
    /// `W`: CBC transport form of 64 digits. Known, not supported.
    W,
}

impl KeyScheme {
    /// The scheme of a tag letter.
    ///
    /// # Errors
    /// [`KeyFieldError::UnknownScheme`] (26). A `0` in an option group is the command's to interpret.
    pub fn from_tag(tag: u8) -> Result<Self, KeyFieldError> {
        Ok(match tag {
            b'Z' => Self::Z,
            b'U' => Self::U,
            b'T' => Self::T,
            b'X' => Self::X,
            b'Y' => Self::Y,
            b'S' => Self::S,
            b'R' => Self::R,
            b'V' => Self::V,
            b'P' => Self::P,
            b'Q' => Self::Q,
            b'W' => Self::W,
            _ => return Err(KeyFieldError::UnknownScheme(tag)),
        })
    }

    /// The tag letter; `None` for the untagged forms.
    #[must_use]
    pub fn tag(self) -> Option<u8> {
        Some(match self {
            Self::Single | Self::Double => return None,
            Self::Z => b'Z',
            Self::U => b'U',
            Self::T => b'T',
            Self::X => b'X',
            Self::Y => b'Y',
            Self::S => b'S',
            Self::R => b'R',
            Self::V => b'V',
            Self::P => b'P',
            Self::Q => b'Q',
            Self::W => b'W',
        })
    }

    /// Length of the cryptogram in bytes: 8, 16 or 24 (32 for `W`). `None` for key blocks, which say so themselves.
    #[must_use]
    pub fn key_len(self) -> Option<usize> {
        match self {
            Self::Single | Self::Z => Some(8),
            Self::Double | Self::U | Self::X | Self::P => Some(16),
            Self::T | Self::Y | Self::Q => Some(24),
            Self::W => Some(32),
            Self::S | Self::R | Self::V => None,
        }
    }

    /// Whether keys of this scheme are cryptograms of separately encrypted parts, under LMK pairs or a ZMK (keys.md 1).
    #[must_use]
    pub fn is_variant_or_x917(self) -> bool {
        matches!(self, Self::Single | Self::Double | Self::Z | Self::U | Self::T | Self::X | Self::Y)
    }

    /// A cryptogram as the HSM writes it: tag, except for `Z` and the untagged forms, then upper-case hex digits.
    #[must_use]
    pub fn write(self, cryptogram: &[u8]) -> String {
        let mut field = String::with_capacity(1 + 2 * cryptogram.len());
        if let Some(tag) = self.tag().filter(|tag| *tag != b'Z') {
            field.push(tag as char);
        }
        field.push_str(&crate::hex::encode(cryptogram));
        field
    }
}

/// Which length a key field without tag has. The command and the field decide, not the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Untagged {
    /// 16 digits.
    Single,
    /// 32 digits.
    Double,
}

/// A key as a request carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyField<'a> {
    /// A cryptogram.
    Cryptogram {
        /// Its scheme, one of those with [`KeyScheme::is_variant_or_x917`].
        scheme: KeyScheme,
        /// Its 16, 32 or 48 hex digits, without tag.
        digits: &'a [u8],
    },
    /// A Thales key block, without the tag `S`. May contain binary data.
    ThalesBlock(&'a [u8]),
    /// A TR-31 key block, without the tag `R`.
    Tr31Block(&'a [u8]),
    /// A reference into user storage.
    Stored {
        /// The scheme of the stored key, if the field has a tag before the `K`.
        scheme: Option<KeyScheme>,
        /// Index, 000 to FFF.
        index: u16,
    },
}

impl<'a> KeyField<'a> {
    /// Reads the key field that `input` begins with. Returns it and the number of bytes it takes, tag included.
    ///
    /// Only the frame of a key block is looked at, for its length.
    ///
    /// # Errors
    /// [`KeyFieldError`]: unknown or unsupported tag (26), too few bytes or a character that is no hex digit (15).
    pub fn parse(input: &'a [u8], untagged: Untagged) -> Result<(Self, usize), KeyFieldError> {
        let (&tag, rest) = input.split_first().ok_or(KeyFieldError::Short { needed: 1, available: 0 })?;
        if tag.is_ascii_hexdigit() {
            let scheme = match untagged {
                Untagged::Single => KeyScheme::Single,
                Untagged::Double => KeyScheme::Double,
            };
            return cryptogram(scheme, input, 0);
        }
        if tag == b'K' {
            return stored(None, rest, 1);
        }
        let scheme = KeyScheme::from_tag(tag)?;
        match scheme {
            // No key block has a version K.
            KeyScheme::S | KeyScheme::R if rest.first() == Some(&b'K') => {
                stored(Some(scheme), rest.get(1..).unwrap_or_default(), 2)
            }
            KeyScheme::S => block(rest).map(|(block, len)| (Self::ThalesBlock(block), len)),
            KeyScheme::R => block(rest).map(|(block, len)| (Self::Tr31Block(block), len)),
            KeyScheme::V | KeyScheme::P | KeyScheme::Q | KeyScheme::W => Err(KeyFieldError::Unsupported(scheme)),
            _ => match rest.split_first() {
                Some((b'K', rest)) => stored(Some(scheme), rest, 2),
                _ => cryptogram(scheme, rest, 1),
            },
        }
    }

    /// The scheme the field is written in; `None` for user storage without tag.
    #[must_use]
    pub fn scheme(&self) -> Option<KeyScheme> {
        match self {
            Self::Cryptogram { scheme, .. } => Some(*scheme),
            Self::ThalesBlock(_) => Some(KeyScheme::S),
            Self::Tr31Block(_) => Some(KeyScheme::R),
            Self::Stored { scheme, .. } => *scheme,
        }
    }
}

/// A key field that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFieldError {
    /// No scheme has this tag.
    #[error("{:?} is not a key scheme", char::from(*.0))]
    UnknownScheme(u8),
    /// The scheme exists but is not accepted here.
    #[error("key scheme {0:?} is not supported")]
    Unsupported(KeyScheme),
    /// The input ends before the field does.
    #[error("a key field of {needed} characters has only {available}")]
    Short {
        /// Bytes the field takes, as far as known.
        needed: usize,
        /// Bytes there are.
        available: usize,
    },
    /// A character is no hex digit.
    #[error("character {0} of the key is not a hex digit")]
    NotHex(usize),
    /// The length in a key block's header is not four digits or shorter than a header.
    #[error("a key block begins with a version and a length of four digits")]
    BlockLength,
}

impl KeyFieldError {
    /// The payShield error code (keys.md 8).
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownScheme(_) | Self::Unsupported(_) => "26",
            Self::Short { .. } | Self::NotHex(_) | Self::BlockLength => "15",
        }
    }
}

/// `tag_len` is what precedes `digits`.
fn cryptogram(scheme: KeyScheme, digits: &[u8], tag_len: usize) -> Result<(KeyField<'_>, usize), KeyFieldError> {
    let needed = 2 * scheme.key_len().unwrap_or_default();
    let digits = hex_digits(digits, needed, tag_len)?;
    Ok((KeyField::Cryptogram { scheme, digits }, tag_len + needed))
}

fn stored(scheme: Option<KeyScheme>, index: &[u8], tag_len: usize) -> Result<(KeyField<'_>, usize), KeyFieldError> {
    let digits = hex_digits(index, 3, tag_len)?;
    let index = digits.iter().fold(0, |n, d| n << 4 | (*d as char).to_digit(16).unwrap_or_default() as u16);
    Ok((KeyField::Stored { scheme, index }, tag_len + 3))
}

/// `rest` follows the tag.
fn block(rest: &[u8]) -> Result<(&[u8], usize), KeyFieldError> {
    let Some(digits) = rest.get(1..5) else {
        return Err(KeyFieldError::Short { needed: 1 + 16, available: 1 + rest.len() });
    };
    let mut len = 0;
    for digit in digits {
        len = 10 * len + (*digit as char).to_digit(10).ok_or(KeyFieldError::BlockLength)? as usize;
    }
    if len < 16 {
        return Err(KeyFieldError::BlockLength);
    }
    let block = rest.get(..len).ok_or(KeyFieldError::Short { needed: 1 + len, available: 1 + rest.len() })?;
    Ok((block, 1 + len))
}

fn hex_digits(input: &[u8], count: usize, tag_len: usize) -> Result<&[u8], KeyFieldError> {
    let short = KeyFieldError::Short { needed: tag_len + count, available: tag_len + input.len() };
    let digits = input.get(..count).ok_or(short)?;
    match digits.iter().position(|d| !d.is_ascii_hexdigit()) {
        Some(at) => Err(KeyFieldError::NotHex(tag_len + at)),
        None => Ok(digits),
    }
}
