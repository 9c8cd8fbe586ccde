//! Key blocks: Thales 'S' and TR-31 / X9.143 'R' (keys.md 4).
//!
//! Functions here take and give blocks **without** the tag letter `S` or `R`, which is outside of them.

pub mod derivation;
pub mod header;
pub mod optional;
pub mod rules;
pub mod thales;
pub mod tr31;

use crate::cipher::CipherError;
use crate::clear_key::{Algorithm, ClearKey};
use header::{BlockAlgorithm, Header, Scope, Version};
use optional::OptionalBlocks;
use zeroize::Zeroizing;

/// Bytes that are or become key material.
type Bytes = Zeroizing<Vec<u8>>;

/// A key block whose MAC was good.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenedBlock {
    /// What the header says of the key.
    pub header: Header,
    /// Optional blocks, padding included.
    pub optional: OptionalBlocks,
    /// The key.
    pub key: ClearKey,
}

/// Reads header and optional blocks of a block without checking its MAC. For display, or to choose the key that opens it.
///
/// # Errors
/// [`KeyBlockError`]: anything malformed.
pub fn inspect(family: header::Family, block: &[u8]) -> Result<(Header, OptionalBlocks), KeyBlockError> {
    let frame = Frame::split(family, block)?;
    Ok((frame.header()?, frame.optional()?))
}

/// A key block cannot be read, opened or made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyBlockError {
    /// Shorter than a header and a MAC.
    #[error("a key block cannot be {0} bytes long")]
    Short(usize),
    /// Not a version of the family.
    #[error("there is no key block version {:?}", char::from(*.0))]
    Version(u8),
    /// The length in the header is not four digits or not that of the block.
    #[error("the key block's length field is wrong")]
    Length,
    /// A character of the encrypted key or the MAC is no hex digit, or the key is not a whole number of cipher blocks.
    #[error("the key block's encrypted key is malformed")]
    Body,
    /// The last two characters of the header are neither an LMK identifier nor `FF`; in an R block, not `00`.
    #[error("bytes 14 and 15 of the header are wrong")]
    Scope,
    /// The version needs a protection key of another cipher, or the LMK is a variant LMK.
    #[error("the block's version does not suit the LMK or wrapping key")]
    LmkScheme,
    /// The block is under another LMK, or not in the place it says.
    #[error("the block is not under this LMK")]
    LmkId,
    /// The MAC is wrong.
    #[error("key block authentication failed")]
    Authentication,
    /// The key's length does not suit its algorithm, or does not fit into a block.
    #[error("the key's length does not suit its algorithm")]
    KeyLength,
    /// Unknown usage, or one without equivalent.
    #[error("the key usage is not known or not possible")]
    Usage,
    /// Unknown algorithm, or one the usage does not permit.
    #[error("the algorithm is not known or not permitted for the usage")]
    Algorithm,
    /// Unknown mode of use, or one the usage and algorithm do not permit.
    #[error("the mode of use is not known or not permitted for the usage")]
    Mode,
    /// Version number is not two printable characters.
    #[error("the key version number is malformed")]
    KeyVersion,
    /// Unknown exportability, or it does not allow what is asked.
    #[error("the exportability is not known or does not allow this")]
    Exportability,
    /// More optional blocks than the header can count.
    #[error("too many optional blocks")]
    TooManyOptional,
    /// The number of optional blocks is not two digits.
    #[error("the number of optional blocks is malformed")]
    OptionalCount,
    /// An optional block's identifier or length is malformed or leads out of the block.
    #[error("an optional block's header is malformed")]
    OptionalHeader,
    /// An optional block's contents are not what its identifier wants.
    #[error("an optional block's data is malformed")]
    OptionalData,
    /// An identifier occurs twice.
    #[error("an optional block is repeated")]
    OptionalRepeated,
    /// An identifier that is unknown or not allowed there, such as padding from a host.
    #[error("an optional block's identifier is not allowed")]
    OptionalId,
    /// Block 00 is not E, L, P, R or T.
    #[error("the key status is malformed")]
    KeyStatus,
    /// Block 03 is no date and hour.
    #[error("the start of validity is malformed")]
    StartDate,
    /// Block 04 is no date and hour.
    #[error("the end of validity is malformed")]
    EndDate,
    /// Block 01 is not `00`.
    #[error("the encryption method is not known")]
    EncryptionMethod,
    /// Block 02 is not `00`.
    #[error("the authentication method is not known")]
    AuthenticationMethod,
    /// The MAC is good, but the decrypted data does not hold a key.
    #[error("the decrypted key data is inconsistent")]
    Plaintext,
    /// The wrapping key is of an algorithm or length that cannot wrap.
    #[error("the wrapping key cannot protect key blocks")]
    ProtectionKey,
}

impl KeyBlockError {
    /// The payShield error code (keys.md 4.2, 8).
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Short(_) | Self::Body => "15",
            Self::Version(_) | Self::Length => "83",
            Self::LmkScheme => "A1",
            Self::LmkId => "A3",
            Self::Authentication => "A4",
            Self::KeyLength => "A5",
            Self::Usage => "A6",
            Self::Algorithm => "A7",
            Self::Mode => "A8",
            Self::KeyVersion => "A9",
            Self::Exportability => "AA",
            Self::TooManyOptional => "AB",
            Self::OptionalHeader => "AC",
            Self::KeyStatus => "AD",
            Self::StartDate => "AE",
            Self::EndDate => "AF",
            Self::EncryptionMethod => "B0",
            Self::AuthenticationMethod => "B1",
            Self::Scope | Self::Plaintext => "B2",
            Self::OptionalCount => "B3",
            Self::OptionalData => "B4",
            Self::ProtectionKey => "BB",
            Self::OptionalRepeated => "BC",
            Self::OptionalId => "BE",
        }
    }
}

/// A protection key always has a length its cipher takes, and data is whole blocks: this cannot be the caller's data.
impl From<CipherError> for KeyBlockError {
    fn from(error: CipherError) -> Self {
        match error {
            CipherError::KeyLength { .. } => Self::ProtectionKey,
            CipherError::BlockLength { .. } => Self::Body,
        }
    }
}

/// A block taken apart, before its MAC is checked. Header fields other than these are not looked at until it is.
struct Frame<'a> {
    version: Version,
    header: &'a [u8; 16],
    /// Header and optional blocks: the authenticated clear text.
    clear: &'a [u8],
    optional_count: usize,
    /// Encrypted key and MAC.
    body: &'a [u8],
}

impl<'a> Frame<'a> {
    fn split(family: header::Family, block: &'a [u8]) -> Result<Self, KeyBlockError> {
        let short = KeyBlockError::Short(block.len());
        let header: &[u8; 16] = block.first_chunk().ok_or(short)?;
        let version = Version::from_id(family, header[0])?;
        if header::decimal(&header[1..5]).ok_or(KeyBlockError::Length)? != block.len() {
            return Err(KeyBlockError::Length);
        }
        let optional_count = header::decimal(&header[12..14]).ok_or(KeyBlockError::OptionalCount)?;
        let rest = block.get(16..).ok_or(short)?;
        let optional_len = optional::measure(rest, optional_count)?;
        let (clear, body) = block.split_at_checked(16 + optional_len).ok_or(KeyBlockError::OptionalHeader)?;
        Ok(Self { version, header, clear, optional_count, body })
    }

    fn header(&self) -> Result<Header, KeyBlockError> {
        Ok(Header::parse(self.version.family(), self.header)?.header)
    }

    fn optional(&self) -> Result<OptionalBlocks, KeyBlockError> {
        OptionalBlocks::parse(self.clear.get(16..).unwrap_or_default(), self.optional_count)
    }

    fn scope(&self) -> Result<Option<Scope>, KeyBlockError> {
        Scope::parse(self.version.family(), [self.header[14], self.header[15]])
    }

    /// Encrypted key and MAC as bytes, of a body that is hex throughout or binary with a hex MAC.
    fn ciphertext_and_mac(&self, binary: bool) -> Result<(Bytes, Bytes), KeyBlockError> {
        let at = self.body.len().checked_sub(2 * self.version.mac_len()).ok_or(KeyBlockError::Body)?;
        let (key, mac) = self.body.split_at(at);
        let hex = |digits| crate::hex::decode(digits).ok_or(KeyBlockError::Body);
        let key = if binary { Zeroizing::new(key.to_vec()) } else { hex(key)? };
        let whole = self.version.encrypts_streams() || key.len().is_multiple_of(self.version.block_len());
        if key.is_empty() || !whole {
            return Err(KeyBlockError::Body);
        }
        Ok((key, hex(mac)?))
    }
}

/// What kind of [`ClearKey`] a block of an algorithm holds, if the key can have this length.
fn clear_key(algorithm: BlockAlgorithm, bytes: &[u8]) -> Result<ClearKey, KeyBlockError> {
    let algorithm = match algorithm {
        BlockAlgorithm::Des | BlockAlgorithm::Tdes => Algorithm::Des,
        BlockAlgorithm::Aes => Algorithm::Aes,
        BlockAlgorithm::Hmac => Algorithm::Hmac,
        BlockAlgorithm::Rsa => Algorithm::Rsa,
        BlockAlgorithm::Ec => Algorithm::Ec,
        BlockAlgorithm::Dsa => return Err(KeyBlockError::Algorithm),
    };
    ClearKey::new(algorithm, bytes).map_err(|_| KeyBlockError::KeyLength)
}

/// Whether a key is one that a header of the algorithm may describe.
fn check_key(algorithm: BlockAlgorithm, key: &ClearKey) -> Result<(), KeyBlockError> {
    match (algorithm, key.algorithm()) {
        (BlockAlgorithm::Des, Algorithm::Des) if key.len() != 8 => Err(KeyBlockError::KeyLength),
        (BlockAlgorithm::Des | BlockAlgorithm::Tdes, Algorithm::Des)
        | (BlockAlgorithm::Aes, Algorithm::Aes)
        | (BlockAlgorithm::Hmac, Algorithm::Hmac)
        | (BlockAlgorithm::Rsa, Algorithm::Rsa)
        | (BlockAlgorithm::Ec, Algorithm::Ec) => Ok(()),
        _ => Err(KeyBlockError::Algorithm),
    }
}

/// Bit length, key and random fill, up to at least `len` bytes and a whole number of `block_len` bytes.
fn length_prefixed(
    key: &ClearKey,
    len: usize,
    block_len: usize,
    fill: &mut dyn FnMut(&mut [u8]),
) -> Result<Bytes, KeyBlockError> {
    let bits = u16::try_from(8 * key.len()).map_err(|_| KeyBlockError::KeyLength)?;
    let used = 2 + key.len();
    let mut plaintext = Zeroizing::new(vec![0u8; used.max(len).next_multiple_of(block_len)]);
    let (prefix, rest) = plaintext.split_at_mut(2);
    let (key_bytes, filler) = rest.split_at_mut(key.len());
    prefix.copy_from_slice(&bits.to_be_bytes());
    key_bytes.copy_from_slice(key.bytes());
    if !filler.is_empty() {
        fill(filler);
    }
    Ok(plaintext)
}

/// The key in data that [`length_prefixed`] made.
fn length_prefixed_key(plaintext: &[u8]) -> Result<&[u8], KeyBlockError> {
    let (prefix, rest) = plaintext.split_first_chunk().ok_or(KeyBlockError::Plaintext)?;
    let bits = usize::from(u16::from_be_bytes(*prefix));
    if bits == 0 || !bits.is_multiple_of(8) {
        return Err(KeyBlockError::Plaintext);
    }
    rest.get(..bits / 8).ok_or(KeyBlockError::Plaintext)
}
