//! Local Master Keys: variant sets of 20 TDES pairs and key-block LMKs (keys.md 1.3, host.md 7).

use crate::cipher::{BlockCipher, CipherError};
use crate::clear_key::{Algorithm, ClearKey};
use crate::key_block::KeyBlockError;
use crate::key_block::derivation::{cmac, derive};
use crate::key_block::thales::ProtectionKeys;
use std::sync::OnceLock;
use zeroize::Zeroizing;

/// Pairs in a variant LMK set.
pub const LMK_PAIRS: usize = 20;

/// A Local Master Key: what every other key is stored under.
///
/// Key material is erased on drop and absent from `Debug`.
#[derive(Clone)]
pub struct Lmk {
    kind: Kind,
    check_value: [u8; 8],
}

#[derive(Clone)]
enum Kind {
    Variant(Box<[ClearKey; LMK_PAIRS]>),
    KeyBlock { key: ClearKey, derived: Box<OnceLock<ProtectionKeys>> },
}

impl Lmk {
    /// A variant LMK of 20 pairs, 00-01 first: all two-key (16 bytes) or all three-key (24 bytes) TDES (host.md 7.1).
    ///
    /// # Errors
    /// [`LmkError::PairCount`], or [`LmkError::Pair`] for the first pair that is not TDES or differs in length from pair 00-01.
    pub fn variant(pairs: Vec<ClearKey>) -> Result<Self, LmkError> {
        let pairs: Box<[ClearKey; LMK_PAIRS]> =
            pairs.try_into().map_err(|pairs: Vec<ClearKey>| LmkError::PairCount(pairs.len()))?;
        let len = pairs[0].len();
        for (pair, key) in LmkPair::all().zip(pairs.iter()) {
            if key.algorithm() != Algorithm::Des || key.len() != len || len == 8 {
                return Err(LmkError::Pair { pair, len: key.len() });
            }
        }
        let check_value = if *pairs == test_pairs() { TEST_VARIANT_CHECK } else { variant_check_value(&pairs)? };
        Ok(Self { kind: Kind::Variant(pairs), check_value })
    }

    /// A key-block LMK: three-key TDES (24 bytes) or AES-256 (32 bytes) (host.md 7.1).
    ///
    /// # Errors
    /// [`LmkError::KeyBlockKey`] for any other key.
    pub fn key_block(key: ClearKey) -> Result<Self, LmkError> {
        match (key.algorithm(), key.len()) {
            (Algorithm::Des, 24) | (Algorithm::Aes, 32) => {}
            (algorithm, len) => return Err(LmkError::KeyBlockKey { algorithm, len }),
        }
        let check_value = key_block_check_value(&key)?;
        Ok(Self::key_block_with_check(key, check_value))
    }

    fn key_block_with_check(key: ClearKey, check_value: [u8; 8]) -> Self {
        Self { kind: Kind::KeyBlock { key, derived: Box::default() }, check_value }
    }

    /// The published variant test LMK set of two-key pairs (keys.md 1.3).
    #[must_use]
    pub fn test_variant() -> Self {
        Self { kind: Kind::Variant(Box::new(test_pairs())), check_value: TEST_VARIANT_CHECK }
    }

    /// The published three-key TDES key-block test LMK (keys.md 1.3).
    #[must_use]
    pub fn test_keyblock_tdes() -> Self {
        Self::key_block_with_check(ClearKey::tdes3(TEST_TDES), TEST_TDES_CHECK)
    }

    /// The published AES-256 key-block test LMK (keys.md 1.3).
    #[must_use]
    pub fn test_keyblock_aes() -> Self {
        Self::key_block_with_check(ClearKey::aes256(TEST_AES), TEST_AES_CHECK)
    }

    /// Whether keys are stored as variant cryptograms or as key blocks.
    #[must_use]
    pub fn scheme(&self) -> LmkScheme {
        match self.kind {
            Kind::Variant(_) => LmkScheme::Variant,
            Kind::KeyBlock { .. } => LmkScheme::KeyBlock,
        }
    }

    /// The cipher of the LMK.
    #[must_use]
    pub fn algorithm(&self) -> LmkAlgorithm {
        let key = match &self.kind {
            Kind::Variant(pairs) => &pairs[0],
            Kind::KeyBlock { key, .. } => key,
        };
        match (key.algorithm(), key.len()) {
            (Algorithm::Aes, _) => LmkAlgorithm::Aes256,
            (_, 24) => LmkAlgorithm::Tdes3,
            _ => LmkAlgorithm::Tdes2,
        }
    }

    /// Whether the LMK is strong enough for a key; the device answers 48 if not.
    ///
    /// A TDES key-block LMK protects no AES keys, an LMK of two-key pairs triple-length keys only where the setting
    /// `strong_keys_under_weak_lmk` allows it.
    #[must_use]
    pub fn may_protect(&self, key: &ClearKey, strong_keys_under_weak_lmk: bool) -> bool {
        match (self.algorithm(), key.algorithm()) {
            (LmkAlgorithm::Tdes2, Algorithm::Des) => key.len() <= 16 || strong_keys_under_weak_lmk,
            (LmkAlgorithm::Tdes2 | LmkAlgorithm::Tdes3, Algorithm::Aes) => self.scheme() == LmkScheme::Variant,
            _ => true,
        }
    }

    /// A pair of a variant LMK, 16 or 24 bytes; `None` if this is a key-block LMK.
    #[must_use]
    pub fn pair(&self, pair: LmkPair) -> Option<&ClearKey> {
        match &self.kind {
            Kind::Variant(pairs) => pairs.get(usize::from(pair.0)),
            Kind::KeyBlock { .. } => None,
        }
    }

    /// The key of a key-block LMK, 24 or 32 bytes; `None` if this is a variant LMK.
    #[must_use]
    pub fn key_block_key(&self) -> Option<&ClearKey> {
        match &self.kind {
            Kind::Variant(_) => None,
            Kind::KeyBlock { key, .. } => Some(key),
        }
    }

    /// What key blocks under this LMK are encrypted and authenticated with, derived once.
    ///
    /// # Errors
    /// [`KeyBlockError::LmkScheme`] (A1) for a variant LMK.
    pub fn protection_keys(&self) -> Result<&ProtectionKeys, KeyBlockError> {
        match &self.kind {
            Kind::Variant(_) => Err(KeyBlockError::LmkScheme),
            Kind::KeyBlock { key, derived } => match derived.get() {
                Some(keys) => Ok(keys),
                None => {
                    let keys = ProtectionKeys::derive(key)?;
                    Ok(derived.get_or_init(|| keys))
                }
            },
        }
    }

    /// The cipher for data other than keys: a variant of a pair of a variant LMK; of a key-block LMK a key that follows from a letter, as it is
    /// known for decimalisation tables (`T`, pins.md 4): TDES with the letter XORed onto every byte, AES derived with usage `80` and the letter.
    ///
    /// # Errors
    /// [`CipherError`], which no LMK gives.
    pub(crate) fn data_cipher(
        &self,
        pair: LmkPair,
        variant: LmkVariant,
        letter: u8,
    ) -> Result<BlockCipher, CipherError> {
        match &self.kind {
            Kind::Variant(pairs) => {
                let key = pairs.get(usize::from(pair.0)).ok_or(CipherError::KeyLength { algorithm: "LMK", len: 0 })?;
                let mut bytes = Zeroizing::new(key.bytes().to_vec());
                if let Some(first) = bytes.first_mut() {
                    *first ^= variant.mask();
                }
                BlockCipher::des(&bytes)
            }
            Kind::KeyBlock { key, .. } if key.algorithm() == Algorithm::Aes => {
                derive(key, u16::from_be_bytes([0x80, letter]))?.cipher()
            }
            Kind::KeyBlock { key, .. } => {
                BlockCipher::des(&Zeroizing::new(key.bytes().iter().map(|b| b ^ letter).collect::<Vec<u8>>()))
            }
        }
    }

    /// The LMK's check value as `NC` reports it, 8 bytes; consoles show the first three (keys.md 1.3, host.md 7.2 and 7.3).
    ///
    /// - Variant test set: the published `2686047444912422`. Its algorithm is not public.
    /// - Other variant sets: a **substitute** of this emulator, not what a payShield shows: the XOR over the pairs 00-01 … 38-39
    ///   of the encryption, under the pair, of a zero block whose last byte is the pair's position 0 … 19.
    /// - Key-block LMKs: three bytes of CMAC over the empty message, then zeros. Found on a device for AES, by analogy for TDES.
    #[must_use]
    pub fn check_value(&self) -> [u8; 8] {
        self.check_value
    }

    /// Whether it is one of the published test LMKs.
    #[must_use]
    pub fn is_published(&self) -> bool {
        [Self::test_variant(), Self::test_keyblock_aes(), Self::test_keyblock_tdes()].contains(self)
    }
}

impl core::fmt::Debug for Lmk {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let [a, b, c, ..] = self.check_value;
        write!(f, "Lmk {{ {:?}, {:?}, check value {a:02X}{b:02X}{c:02X} }}", self.scheme(), self.algorithm())
    }
}

impl PartialEq for Lmk {
    fn eq(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Variant(a), Kind::Variant(b)) => a == b,
            (Kind::KeyBlock { key: a, .. }, Kind::KeyBlock { key: b, .. }) => a == b,
            _ => false,
        }
    }
}

/// How an LMK protects keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LmkScheme {
    /// Cryptograms under variants of LMK pairs (keys.md 1).
    Variant,
    /// Thales key blocks (keys.md 4).
    KeyBlock,
}

/// The cipher of an LMK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LmkAlgorithm {
    /// Pairs of 16 bytes.
    Tdes2,
    /// Pairs, or a key-block LMK, of 24 bytes.
    Tdes3,
    /// A key-block LMK of 32 bytes.
    Aes256,
}

/// One of the 20 pairs of a variant LMK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LmkPair(u8);

impl LmkPair {
    /// PINs for host storage, 02-03.
    pub const STORED_PIN: Self = Self(1);
    /// ZMKs, 04-05.
    pub const ZMK: Self = Self(2);
    /// Decimalisation tables (variant 1), 18-19.
    pub const DECIMALISATION: Self = Self(9);
    /// RSA private keys, 34-35.
    pub const RSA_PRIVATE: Self = Self(17);
    /// MACs of RSA public keys, 36-37.
    pub const RSA_PUBLIC_MAC: Self = Self(18);

    /// The pair whose first key has this number: 0 for 00-01, 2 for 02-03 … 38 for 38-39.
    #[must_use]
    pub const fn from_first(first: u8) -> Option<Self> {
        if first.is_multiple_of(2) && first < 2 * LMK_PAIRS as u8 { Some(Self(first / 2)) } else { None }
    }

    /// Number of the pair's first key, 0 to 38.
    #[must_use]
    pub const fn first(self) -> u8 {
        2 * self.0
    }

    /// All pairs, 00-01 first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..LMK_PAIRS as u8).map(Self)
    }
}

impl core::fmt::Display for LmkPair {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:02}-{:02}", self.first(), self.first() + 1)
    }
}

/// A variant of an LMK pair, 0 to 9 (keys.md 1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LmkVariant(u8);

impl LmkVariant {
    /// The pair itself.
    pub const ZERO: Self = Self(0);

    /// A variant from its number 0 to 9.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number <= 9 { Some(Self(number)) } else { None }
    }

    /// Its number, 0 to 9.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The byte XORed onto the first byte of the pair.
    #[must_use]
    pub const fn mask(self) -> u8 {
        match self.0 {
            1 => 0xA6,
            2 => 0x5A,
            3 => 0x6A,
            4 => 0xDE,
            5 => 0x2B,
            6 => 0x50,
            7 => 0x74,
            8 => 0x9C,
            9 => 0xFA,
            _ => 0,
        }
    }
}

/// Identifier of an LMK, 00 to 19 (keys.md 4.1, host.md 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LmkId(u8);

impl LmkId {
    /// An identifier from its number 0 to 19.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number <= 19 { Some(Self(number)) } else { None }
    }

    /// Its number, 0 to 19.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// Keys that do not make an LMK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LmkError {
    /// A variant LMK has 20 pairs.
    #[error("a variant LMK has {LMK_PAIRS} pairs, not {0}")]
    PairCount(usize),
    /// A pair is not TDES of 16 or 24 bytes, or differs in length from the others.
    #[error("LMK pair {pair} cannot be {len} bytes long")]
    Pair {
        /// The pair.
        pair: LmkPair,
        /// Its length in bytes.
        len: usize,
    },
    /// A key-block LMK is three-key TDES or AES-256.
    #[error("a key-block LMK cannot be {algorithm} of {len} bytes")]
    KeyBlockKey {
        /// Algorithm of the key.
        algorithm: Algorithm,
        /// Its length in bytes.
        len: usize,
    },
    /// The check value cannot be computed.
    #[error(transparent)]
    Cipher(#[from] CipherError),
}

impl LmkError {
    /// The payShield error code, "LMK error" (keys.md 8).
    #[must_use]
    pub fn code(&self) -> &'static str {
        "13"
    }
}

/// Published for the test set; nobody knows how it is computed.
const TEST_VARIANT_CHECK: [u8; 8] = 0x2686_0474_4491_2422_u64.to_be_bytes();
const TEST_TDES_CHECK: [u8; 8] = 0xAE4E_1900_0000_0000_u64.to_be_bytes();
const TEST_AES_CHECK: [u8; 8] = 0x9D04_A000_0000_0000_u64.to_be_bytes();

const TEST_PAIRS: [u128; LMK_PAIRS] = [
    0x0101010101010101_7902CD1FD36EF8BA,
    0x2020202020202020_3131313131313131,
    0x4040404040404040_5151515151515151,
    0x6161616161616161_7070707070707070,
    0x8080808080808080_9191919191919191,
    0xA1A1A1A1A1A1A1A1_B0B0B0B0B0B0B0B0,
    0xC1C1010101010101_D0D0010101010101,
    0xE0E0010101010101_F1F1010101010101,
    0x1C587F1C13924FEF_0101010101010101,
    0x0101010101010101_0101010101010101,
    0x0202020202020202_0404040404040404,
    0x0707070707070707_1010101010101010,
    0x1313131313131313_1515151515151515,
    0x1616161616161616_1919191919191919,
    0x1A1A1A1A1A1A1A1A_1C1C1C1C1C1C1C1C,
    0x2323232323232323_2525252525252525,
    0x2626262626262626_2929292929292929,
    0x2A2A2A2A2A2A2A2A_2C2C2C2C2C2C2C2C,
    0x2F2F2F2F2F2F2F2F_3131313131313131,
    0x0101010101010101_0101010101010101,
];

const TEST_TDES: [u8; 24] = [
    0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0xFE, 0xDC, 0xBA,
    0x98, 0x76, 0x54, 0x32, 0x10,
];

const TEST_AES: [u8; 32] = [
    0x9B, 0x71, 0x33, 0x3A, 0x13, 0xF9, 0xFA, 0xE7, 0x2F, 0x9D, 0x0E, 0x2D, 0xAB, 0x4A, 0xD6, 0x78, 0x47, 0x18, 0x01,
    0x2F, 0x92, 0x44, 0x03, 0x3F, 0x3F, 0x26, 0xA2, 0xDE, 0x0C, 0x8A, 0xA1, 0x1A,
];

fn test_pairs() -> [ClearKey; LMK_PAIRS] {
    TEST_PAIRS.map(|pair| ClearKey::tdes2(pair.to_be_bytes()))
}

fn variant_check_value(pairs: &[ClearKey; LMK_PAIRS]) -> Result<[u8; 8], CipherError> {
    let mut check = [0u8; 8];
    for (position, pair) in (0u8..).zip(pairs) {
        // Equal pairs must not cancel out.
        let mut block = [0, 0, 0, 0, 0, 0, 0, position];
        pair.cipher()?.ecb_encrypt(&mut block)?;
        crate::cipher::xor_in_place(&mut check, &block);
    }
    Ok(check)
}

fn key_block_check_value(key: &ClearKey) -> Result<[u8; 8], CipherError> {
    let mut check = [0u8; 8];
    for (to, from) in check.iter_mut().zip(cmac(key, &[])?.iter().take(3)) {
        *to = *from;
    }
    Ok(check)
}
