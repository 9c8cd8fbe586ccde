//! Making LMKs: at random, or from the components of several people (host.md 7.5).

use crate::cipher::CipherError;
use crate::clear_key::ClearKey;
use crate::key_block::derivation::cmac;
use crate::lmk::{Lmk, LmkAlgorithm, LmkError, LmkPair, LmkScheme};
use crate::module::{Randomness, system_random};
use hmac::{Hmac, KeyInit, Mac};
use rand_core::Rng;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Scheme and algorithm of an LMK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum LmkKind {
    /// A variant LMK of two-key pairs.
    Variant2 = 0,
    /// A variant LMK of three-key pairs.
    Variant3 = 1,
    /// A key-block LMK of three-key TDES.
    KeyBlockTdes = 2,
    /// A key-block LMK of AES-256.
    KeyBlockAes = 3,
}

impl LmkKind {
    /// All kinds.
    pub const ALL: &[Self] = &[Self::Variant2, Self::Variant3, Self::KeyBlockTdes, Self::KeyBlockAes];

    /// Its name on the command line: `variant-2des`, `variant-3des`, `keyblock-3des`, `keyblock-aes`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Variant2 => "variant-2des",
            Self::Variant3 => "variant-3des",
            Self::KeyBlockTdes => "keyblock-3des",
            Self::KeyBlockAes => "keyblock-aes",
        }
    }

    /// The kind of an LMK.
    #[must_use]
    pub fn of(lmk: &Lmk) -> Self {
        match (lmk.scheme(), lmk.algorithm()) {
            (LmkScheme::Variant, LmkAlgorithm::Tdes3) => Self::Variant3,
            (LmkScheme::Variant, _) => Self::Variant2,
            (LmkScheme::KeyBlock, LmkAlgorithm::Aes256) => Self::KeyBlockAes,
            (LmkScheme::KeyBlock, _) => Self::KeyBlockTdes,
        }
    }

    /// Its scheme.
    #[must_use]
    pub const fn scheme(self) -> LmkScheme {
        if self.is_variant() { LmkScheme::Variant } else { LmkScheme::KeyBlock }
    }

    /// Whether it is a variant LMK.
    #[must_use]
    pub const fn is_variant(self) -> bool {
        matches!(self, Self::Variant2 | Self::Variant3)
    }

    /// Length in bytes of a pair, of the key-block key, and of a component.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Variant2 => 16,
            Self::Variant3 | Self::KeyBlockTdes => 24,
            Self::KeyBlockAes => 32,
        }
    }

    /// Makes a random LMK from the operating system's randomness.
    ///
    /// # Errors
    /// [`LmkError`] if a cipher refuses its key, which does not happen.
    pub fn generate(self) -> Result<Lmk, LmkError> {
        let mut random = system_random();
        if self.is_variant() {
            let pairs =
                LmkPair::all().map(|_| random_key(&mut random, self.key_len())).collect::<Result<Vec<_>, _>>()?;
            return Lmk::variant(pairs);
        }
        match self {
            Self::KeyBlockAes => {
                let mut key = Zeroizing::new([0u8; 32]);
                random.fill_bytes(&mut *key);
                Lmk::key_block(ClearKey::aes(&*key)?)
            }
            _ => Lmk::key_block(random_key(&mut random, self.key_len())?),
        }
    }
}

/// A random TDES key of 16 or 24 bytes with odd parity and different parts.
fn random_key(random: &mut Randomness, len: usize) -> Result<ClearKey, CipherError> {
    loop {
        let mut bytes = Zeroizing::new([0u8; 24]);
        random.fill_bytes(&mut *bytes);
        let key = ClearKey::des(bytes.get(..len).unwrap_or_default())?.with_odd_parity();
        if has_different_parts(&key) {
            return Ok(key);
        }
    }
}

fn has_different_parts(key: &ClearKey) -> bool {
    key.bytes().chunks(8).zip(key.bytes().chunks(8).skip(1)).all(|(a, b)| a != b)
}

/// Components that make no LMK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ComponentError {
    /// A component has the wrong length.
    #[error("a component of this LMK has {wanted} bytes, not {len}")]
    Length {
        /// Its length in bytes.
        len: usize,
        /// What it should have.
        wanted: usize,
    },
    /// One component is no shared secret.
    #[error("an LMK is made of at least two components")]
    TooFew,
    /// The components cancel out, or make a key with equal parts.
    #[error("the components make no usable key: are two of them the same?")]
    Unusable,
    /// The key is refused.
    #[error(transparent)]
    Lmk(#[from] LmkError),
}

/// Components of one LMK, combined by exclusive or as they come in.
#[derive(Debug)]
pub struct Components {
    kind: LmkKind,
    combined: Zeroizing<Vec<u8>>,
    count: usize,
}

impl Components {
    /// No component yet.
    #[must_use]
    pub fn new(kind: LmkKind) -> Self {
        Self { kind, combined: Zeroizing::new(vec![0; kind.key_len()]), count: 0 }
    }

    /// Adds a component and returns its check value: three bytes of CMAC over the empty message, as for key-block LMKs.
    ///
    /// # Errors
    /// [`ComponentError::Length`].
    pub fn add(&mut self, component: &[u8]) -> Result<[u8; 3], ComponentError> {
        let wanted = self.kind.key_len();
        if component.len() != wanted {
            return Err(ComponentError::Length { len: component.len(), wanted });
        }
        crate::cipher::xor_in_place(&mut self.combined, component);
        self.count += 1;
        let key = self.key(component)?;
        let mac = cmac(&key, &[]).map_err(LmkError::from)?;
        Ok(mac.first_chunk().copied().unwrap_or_default())
    }

    /// The LMK that the components make.
    ///
    /// A key-block LMK is the exclusive or itself, TDES with odd parity. How a payShield makes the pairs of a variant LMK
    /// from its components is not public. The **substitute** of this emulator: the exclusive or is pair 12-13, where devices
    /// keep their initial secret; every other pair is HMAC-SHA-256 under it of `variant LMK pair`, the number of the pair's first
    /// key and a counter, one byte each, with odd parity. The counter starts at 0 and makes the parts of a pair differ.
    ///
    /// # Errors
    /// [`ComponentError::TooFew`], [`ComponentError::Unusable`].
    pub fn combine(self) -> Result<Lmk, ComponentError> {
        if self.count < 2 {
            return Err(ComponentError::TooFew);
        }
        if self.combined.iter().all(|b| *b == 0) {
            return Err(ComponentError::Unusable);
        }
        let secret = self.key(&self.combined)?.with_odd_parity();
        if self.kind != LmkKind::KeyBlockAes && !has_different_parts(&secret) {
            return Err(ComponentError::Unusable);
        }
        if !self.kind.is_variant() {
            return Ok(Lmk::key_block(secret)?);
        }
        let pairs =
            LmkPair::all().map(|pair| if pair.first() == 12 { Ok(secret.clone()) } else { derive(&secret, pair) });
        Ok(Lmk::variant(pairs.collect::<Result<Vec<_>, _>>()?)?)
    }

    fn key(&self, bytes: &[u8]) -> Result<ClearKey, LmkError> {
        Ok(if self.kind == LmkKind::KeyBlockAes { ClearKey::aes(bytes) } else { ClearKey::des(bytes) }?)
    }
}

fn derive(secret: &ClearKey, pair: LmkPair) -> Result<ClearKey, LmkError> {
    let mut key = None;
    for counter in 0..=u8::MAX {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.bytes())
            .map_err(|_| CipherError::KeyLength { algorithm: "HMAC", len: secret.len() })?;
        mac.update(b"variant LMK pair");
        mac.update(&[pair.first(), counter]);
        let bytes = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
        let made = ClearKey::des(bytes.get(..secret.len()).unwrap_or_default())?.with_odd_parity();
        let good = has_different_parts(&made);
        key = Some(made);
        if good {
            break;
        }
    }
    key.ok_or(LmkError::PairCount(0))
}
