//! The 16-character header of S and R blocks (keys.md 4.1, 4.3, 4.8).

use super::KeyBlockError;
use crate::clear_key::{Algorithm, ClearKey};
use crate::lmk::LmkId;

/// The header of a key block, without the length and the number of optional blocks, which follow from the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Version: family, cipher and method.
    pub version: Version,
    /// What the key may be used for.
    pub attributes: Attributes,
    /// What protects an S block; `None` in R blocks.
    pub scope: Option<Scope>,
}

/// A header and the two numbers in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParsedHeader {
    /// The header.
    pub header: Header,
    /// Length of the whole block in bytes, without tag, 0 to 9999.
    pub length: usize,
    /// Number of optional blocks, 0 to 99.
    pub optional_blocks: usize,
}

impl Header {
    /// Reads a header.
    ///
    /// # Errors
    /// [`KeyBlockError`] for the first field, in the order of the header, that is malformed or unknown.
    pub fn parse(family: Family, bytes: &[u8; 16]) -> Result<ParsedHeader, KeyBlockError> {
        let &[version, l3, l2, l1, l0, u1, u0, algorithm, mode, k1, k0, exportability, n1, n0, s1, s0] = bytes;
        let version = Version::from_id(family, version)?;
        let length = decimal(&[l3, l2, l1, l0]).ok_or(KeyBlockError::Length)?;
        let attributes = Attributes {
            usage: Usage::new([u1, u0])?,
            algorithm: BlockAlgorithm::from_id(algorithm)?,
            mode: ModeOfUse::from_id(family, mode)?,
            key_version: KeyVersion::new([k1, k0])?,
            exportability: Exportability::from_id(exportability)?,
        };
        let optional_blocks = decimal(&[n1, n0]).ok_or(KeyBlockError::OptionalCount)?;
        let scope = Scope::parse(family, [s1, s0])?;
        Ok(ParsedHeader { header: Self { version, attributes, scope }, length, optional_blocks })
    }

    /// The header's characters, for a block of `length` bytes with `optional_blocks` optional blocks.
    ///
    /// # Errors
    /// [`KeyBlockError::KeyLength`] above 9999 bytes, [`KeyBlockError::TooManyOptional`] above 99 optional blocks.
    pub fn to_bytes(&self, length: usize, optional_blocks: usize) -> Result<[u8; 16], KeyBlockError> {
        if length > 9999 {
            return Err(KeyBlockError::KeyLength);
        }
        if optional_blocks > 99 {
            return Err(KeyBlockError::TooManyOptional);
        }
        let digit = |n: usize, place: usize| b'0' + (n / place % 10) as u8;
        let Attributes { usage, algorithm, mode, key_version, exportability } = self.attributes;
        let [s1, s0] = match self.scope {
            Some(Scope::Lmk(id)) => [digit(usize::from(id.number()), 10), digit(usize::from(id.number()), 1)],
            Some(Scope::Transport) => *b"FF",
            None => *b"00",
        };
        Ok([
            self.version.id(),
            digit(length, 1000),
            digit(length, 100),
            digit(length, 10),
            digit(length, 1),
            usage.0[0],
            usage.0[1],
            algorithm.id(),
            mode.id(),
            key_version.0[0],
            key_version.0[1],
            exportability.id(),
            digit(optional_blocks, 10),
            digit(optional_blocks, 1),
            s1,
            s0,
        ])
    }
}

/// What a header says of the key: what stays when a key moves to another block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Key usage.
    pub usage: Usage,
    /// Algorithm.
    pub algorithm: BlockAlgorithm,
    /// Mode of use.
    pub mode: ModeOfUse,
    /// Key version number.
    pub key_version: KeyVersion,
    /// Exportability.
    pub exportability: Exportability,
}

impl Family {
    /// The tag that key fields have in front of a block.
    #[must_use]
    pub const fn tag(self) -> char {
        match self {
            Self::Thales => 'S',
            Self::X9143 => 'R',
        }
    }

    /// Who defined a block that stands without its tag; `None` for text that does not look like a key block.
    ///
    /// The header must be well-formed. Hexadecimal digits may be a cryptogram or a clear key as well: of those the length must agree, too.
    #[must_use]
    pub fn of_untagged(text: &[u8]) -> Option<Self> {
        let header = text.first_chunk::<16>()?;
        let family = if header[0].is_ascii_digit() { Self::Thales } else { Self::X9143 };
        let parsed = Header::parse(family, header).ok()?;
        (parsed.length == text.len() || !header.iter().all(u8::is_ascii_hexdigit)).then_some(family)
    }
}

/// Who defined a block: the tag in front of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// `S`: Thales key block.
    Thales,
    /// `R`: TR-31 / X9.143 key block.
    X9143,
}

/// Version of a key block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// S block `0`: TDES, key variants.
    Thales0,
    /// S block `1`: AES, CMAC derivation.
    Thales1,
    /// TR-31 `A`: TDES, key variants, obsolete.
    A,
    /// TR-31 `B`: TDES, CMAC derivation.
    B,
    /// TR-31 `C`: as A.
    C,
    /// TR-31 `D`: AES in CBC mode.
    D,
    /// TR-31 `E`: AES in counter mode. payShield does not make it.
    E,
}

impl Version {
    /// The version of a header's first character.
    ///
    /// # Errors
    /// [`KeyBlockError::Version`].
    pub fn from_id(family: Family, id: u8) -> Result<Self, KeyBlockError> {
        match (family, id) {
            (Family::Thales, b'0') => Ok(Self::Thales0),
            (Family::Thales, b'1') => Ok(Self::Thales1),
            (Family::X9143, b'A') => Ok(Self::A),
            (Family::X9143, b'B') => Ok(Self::B),
            (Family::X9143, b'C') => Ok(Self::C),
            (Family::X9143, b'D') => Ok(Self::D),
            (Family::X9143, b'E') => Ok(Self::E),
            _ => Err(KeyBlockError::Version(id)),
        }
    }

    /// The header's first character.
    #[must_use]
    pub fn id(self) -> u8 {
        match self {
            Self::Thales0 => b'0',
            Self::Thales1 => b'1',
            Self::A => b'A',
            Self::B => b'B',
            Self::C => b'C',
            Self::D => b'D',
            Self::E => b'E',
        }
    }

    /// The family.
    #[must_use]
    pub fn family(self) -> Family {
        match self {
            Self::Thales0 | Self::Thales1 => Family::Thales,
            _ => Family::X9143,
        }
    }

    /// Whether the protection key is AES; else it is TDES.
    #[must_use]
    pub fn is_aes(self) -> bool {
        matches!(self, Self::Thales1 | Self::D | Self::E)
    }

    /// Cipher block in bytes, of which header, optional blocks and plaintext are multiples: 8 or 16.
    #[must_use]
    pub fn block_len(self) -> usize {
        if self.is_aes() { 16 } else { 8 }
    }

    /// Length of the MAC in bytes; the block has twice as many hex digits.
    #[must_use]
    pub fn mac_len(self) -> usize {
        match self {
            Self::Thales0 | Self::A | Self::C => 4,
            Self::Thales1 | Self::B => 8,
            Self::D | Self::E => 16,
        }
    }

    /// Whether the plaintext needs no fill.
    pub(super) fn encrypts_streams(self) -> bool {
        self == Self::E
    }
}

/// Key usage: two upper-case letters or digits, known to the [rules](super::rules) or not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usage([u8; 2]);

impl Usage {
    /// DUKPT initial keys.
    pub const INITIAL_KEY: Self = Self(*b"B1");

    /// A usage from its two characters.
    ///
    /// # Errors
    /// [`KeyBlockError::Usage`] (A6) for other characters.
    pub const fn new(id: [u8; 2]) -> Result<Self, KeyBlockError> {
        if is_upper_alphanumeric(id[0]) && is_upper_alphanumeric(id[1]) {
            Ok(Self(id))
        } else {
            Err(KeyBlockError::Usage)
        }
    }

    /// Its two characters.
    #[must_use]
    pub const fn id(self) -> [u8; 2] {
        self.0
    }

    /// Whether keys of this usage serve as ZMKs.
    #[must_use]
    pub const fn is_zmk(self) -> bool {
        matches!(&self.0, b"52" | b"K0")
    }
}

/// Algorithm a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlockAlgorithm {
    /// `A`
    Aes,
    /// `D`: single DES.
    Des,
    /// `E`: elliptic curve.
    Ec,
    /// `H`
    Hmac,
    /// `R`
    Rsa,
    /// `S`: DSA, reserved.
    Dsa,
    /// `T`
    Tdes,
}

impl BlockAlgorithm {
    /// The algorithm of a key.
    #[must_use]
    pub fn of(key: &ClearKey) -> Self {
        match (key.algorithm(), key.len()) {
            (Algorithm::Des, 8) => Self::Des,
            (Algorithm::Des, _) => Self::Tdes,
            (Algorithm::Aes, _) => Self::Aes,
            (Algorithm::Hmac, _) => Self::Hmac,
            (Algorithm::Rsa, _) => Self::Rsa,
            (Algorithm::Ec, _) => Self::Ec,
        }
    }

    /// The algorithm of a header character.
    ///
    /// # Errors
    /// [`KeyBlockError::Algorithm`] (A7).
    pub fn from_id(id: u8) -> Result<Self, KeyBlockError> {
        Ok(match id {
            b'A' => Self::Aes,
            b'D' => Self::Des,
            b'E' => Self::Ec,
            b'H' => Self::Hmac,
            b'R' => Self::Rsa,
            b'S' => Self::Dsa,
            b'T' => Self::Tdes,
            _ => return Err(KeyBlockError::Algorithm),
        })
    }

    /// The header character.
    #[must_use]
    pub fn id(self) -> u8 {
        match self {
            Self::Aes => b'A',
            Self::Des => b'D',
            Self::Ec => b'E',
            Self::Hmac => b'H',
            Self::Rsa => b'R',
            Self::Dsa => b'S',
            Self::Tdes => b'T',
        }
    }
}

/// Mode of use (keys.md 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ModeOfUse {
    /// `B`: encrypt and decrypt.
    EncryptDecrypt,
    /// `C`: generate and verify MACs.
    GenerateVerify,
    /// `D`: decrypt only.
    Decrypt,
    /// `E`: encrypt only.
    Encrypt,
    /// `G`: generate MACs only.
    Generate,
    /// `N`: no restriction.
    Any,
    /// `S`: sign only.
    Sign,
    /// `V`: verify only.
    Verify,
    /// `X`: derive other keys.
    Derive,
    /// `T`: sign and decrypt; R blocks only.
    SignDecrypt,
    /// `Y`: derive key variants; R blocks only.
    DeriveVariants,
}

impl ModeOfUse {
    /// The mode of a header character.
    ///
    /// # Errors
    /// [`KeyBlockError::Mode`] (A8).
    pub fn from_id(family: Family, id: u8) -> Result<Self, KeyBlockError> {
        Ok(match (id, family) {
            (b'B', _) => Self::EncryptDecrypt,
            (b'C', _) => Self::GenerateVerify,
            (b'D', _) => Self::Decrypt,
            (b'E', _) => Self::Encrypt,
            (b'G', _) => Self::Generate,
            (b'N', _) => Self::Any,
            (b'S', _) => Self::Sign,
            (b'V', _) => Self::Verify,
            (b'X', _) => Self::Derive,
            (b'T', Family::X9143) => Self::SignDecrypt,
            (b'Y', Family::X9143) => Self::DeriveVariants,
            _ => return Err(KeyBlockError::Mode),
        })
    }

    /// The header character.
    #[must_use]
    pub fn id(self) -> u8 {
        match self {
            Self::EncryptDecrypt => b'B',
            Self::GenerateVerify => b'C',
            Self::Decrypt => b'D',
            Self::Encrypt => b'E',
            Self::Generate => b'G',
            Self::Any => b'N',
            Self::Sign => b'S',
            Self::Verify => b'V',
            Self::Derive => b'X',
            Self::SignDecrypt => b'T',
            Self::DeriveVariants => b'Y',
        }
    }
}

/// Key version number: two printable characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyVersion([u8; 2]);

impl KeyVersion {
    /// `00`: not used.
    pub const NONE: Self = Self(*b"00");

    /// A version number from its two characters.
    ///
    /// # Errors
    /// [`KeyBlockError::KeyVersion`] (A9) for characters that are not printable ASCII, or a space.
    pub const fn new(id: [u8; 2]) -> Result<Self, KeyBlockError> {
        if id[0].is_ascii_graphic() && id[1].is_ascii_graphic() { Ok(Self(id)) } else { Err(KeyBlockError::KeyVersion) }
    }

    /// The version number `c1` … `c9` of a key component; `None` for other numbers.
    #[must_use]
    pub const fn of_component(number: u8) -> Option<Self> {
        if number >= 1 && number <= 9 { Some(Self([b'c', b'0' + number])) } else { None }
    }

    /// Which component the key is, 1 to 9; `None` if it is a whole key.
    #[must_use]
    pub const fn component(self) -> Option<u8> {
        match self.0 {
            [b'c', digit @ b'1'..=b'9'] => Some(digit - b'0'),
            _ => None,
        }
    }

    /// Its two characters.
    #[must_use]
    pub const fn id(self) -> [u8; 2] {
        self.0
    }
}

/// Whether a key may leave its block, from the widest right to the narrowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exportability {
    /// `E`: only inside a trusted key block.
    Exportable,
    /// `S`: sensitive, by other methods as well if enabled.
    Sensitive,
    /// `N`: never.
    NonExportable,
}

impl Exportability {
    /// The exportability of a header character.
    ///
    /// # Errors
    /// [`KeyBlockError::Exportability`] (AA).
    pub fn from_id(id: u8) -> Result<Self, KeyBlockError> {
        match id {
            b'E' => Ok(Self::Exportable),
            b'S' => Ok(Self::Sensitive),
            b'N' => Ok(Self::NonExportable),
            _ => Err(KeyBlockError::Exportability),
        }
    }

    /// The header character.
    #[must_use]
    pub fn id(self) -> u8 {
        match self {
            Self::Exportable => b'E',
            Self::Sensitive => b'S',
            Self::NonExportable => b'N',
        }
    }
}

/// What protects an S block: the last two characters of its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// `00` to `19`: the LMK of that identifier.
    Lmk(LmkId),
    /// `FF`: a ZMK or TMK.
    Transport,
}

impl Scope {
    /// The scope of a header's last two characters; `None` in R blocks, which have `00` there.
    ///
    /// # Errors
    /// [`KeyBlockError::Scope`] (B2).
    pub fn parse(family: Family, id: [u8; 2]) -> Result<Option<Self>, KeyBlockError> {
        match (family, &id) {
            (Family::X9143, b"00") => Ok(None),
            (Family::X9143, _) => Err(KeyBlockError::Scope),
            (Family::Thales, b"FF") => Ok(Some(Self::Transport)),
            (Family::Thales, digits) => decimal(digits)
                .and_then(|n| LmkId::new(n as u8))
                .map(|id| Some(Self::Lmk(id)))
                .ok_or(KeyBlockError::Scope),
        }
    }
}

impl core::fmt::Debug for Usage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Usage({self})")
    }
}

impl core::fmt::Display for Usage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}{}", char::from(self.0[0]), char::from(self.0[1]))
    }
}

impl core::fmt::Debug for KeyVersion {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "KeyVersion({}{})", char::from(self.0[0]), char::from(self.0[1]))
    }
}

/// The number that decimal digits write; `None` for other characters. For at most four digits.
pub(super) fn decimal(digits: &[u8]) -> Option<usize> {
    digits.iter().try_fold(0, |n, d| Some(10 * n + (*d as char).to_digit(10)? as usize))
}

pub(super) const fn is_upper_alphanumeric(c: u8) -> bool {
    c.is_ascii_uppercase() || c.is_ascii_digit()
}
