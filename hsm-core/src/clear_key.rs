//! Clear key material, erased when dropped and never printed.

use crate::cipher::{BlockCipher, CipherError};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What a key's bytes are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// DES or TDES: 8, 16 or 24 bytes.
    Des,
    /// AES: 16, 24 or 32 bytes.
    Aes,
    /// HMAC, any length.
    Hmac,
    /// An RSA private key (DER).
    Rsa,
    /// An elliptic-curve private key (DER).
    Ec,
}

impl core::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

impl Algorithm {
    const fn name(self) -> &'static str {
        match self {
            Self::Des => "DES",
            Self::Aes => "AES",
            Self::Hmac => "HMAC",
            Self::Rsa => "RSA",
            Self::Ec => "EC",
        }
    }
}

/// A clear key: bytes that are erased on drop, compared in constant time and absent from `Debug`.
#[derive(Clone)]
pub struct ClearKey {
    algorithm: Algorithm,
    bytes: Zeroizing<Vec<u8>>,
}

impl core::fmt::Debug for ClearKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ClearKey {{ {:?}, {} bytes }}", self.algorithm, self.bytes.len())
    }
}

impl PartialEq for ClearKey {
    fn eq(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && bool::from(self.bytes.ct_eq(&other.bytes))
    }
}

impl ClearKey {
    /// Takes `bytes` as a key of `algorithm`.
    ///
    /// # Errors
    /// [`CipherError::KeyLength`] if no DES, TDES or AES key has that length.
    pub fn new(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, CipherError> {
        let fits = match algorithm {
            Algorithm::Des => matches!(bytes.len(), 8 | 16 | 24),
            Algorithm::Aes => matches!(bytes.len(), 16 | 24 | 32),
            Algorithm::Hmac | Algorithm::Rsa | Algorithm::Ec => !bytes.is_empty(),
        };
        if !fits {
            return Err(CipherError::KeyLength { algorithm: algorithm.name(), len: bytes.len() });
        }
        Ok(Self { algorithm, bytes: Zeroizing::new(bytes.to_vec()) })
    }

    /// A DES or TDES key of 8, 16 or 24 bytes.
    ///
    /// # Errors
    /// As [`ClearKey::new`].
    pub fn des(bytes: &[u8]) -> Result<Self, CipherError> {
        Self::new(Algorithm::Des, bytes)
    }

    /// An AES key of 16, 24 or 32 bytes.
    ///
    /// # Errors
    /// As [`ClearKey::new`].
    pub fn aes(bytes: &[u8]) -> Result<Self, CipherError> {
        Self::new(Algorithm::Aes, bytes)
    }

    /// A two-key TDES key.
    #[must_use]
    pub fn tdes2(bytes: [u8; 16]) -> Self {
        Self { algorithm: Algorithm::Des, bytes: Zeroizing::new(Zeroizing::new(bytes).to_vec()) }
    }

    /// A three-key TDES key.
    #[must_use]
    pub fn tdes3(bytes: [u8; 24]) -> Self {
        Self { algorithm: Algorithm::Des, bytes: Zeroizing::new(Zeroizing::new(bytes).to_vec()) }
    }

    /// An AES-256 key.
    #[must_use]
    pub fn aes256(bytes: [u8; 32]) -> Self {
        Self { algorithm: Algorithm::Aes, bytes: Zeroizing::new(Zeroizing::new(bytes).to_vec()) }
    }

    /// The algorithm the key is for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key bytes. Whoever copies them must erase the copy.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Length in bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a key is never empty")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Expands the key for use.
    ///
    /// # Errors
    /// [`CipherError::KeyLength`] for keys that are not block-cipher keys.
    pub fn cipher(&self) -> Result<BlockCipher, CipherError> {
        match self.algorithm {
            Algorithm::Des => BlockCipher::des(&self.bytes),
            Algorithm::Aes => BlockCipher::aes(&self.bytes),
            _ => Err(CipherError::KeyLength { algorithm: "block cipher", len: self.bytes.len() }),
        }
    }

    /// Whether every byte has odd parity, as a DES key under a variant LMK must (keys.md 1.5). Always true for other keys.
    #[must_use]
    pub fn has_odd_parity(&self) -> bool {
        self.algorithm != Algorithm::Des || self.bytes.iter().fold(1, |all, b| all & (b.count_ones() & 1)) == 1
    }

    /// The same DES key with odd parity in every byte; other keys unchanged.
    #[must_use]
    pub fn with_odd_parity(mut self) -> Self {
        if self.algorithm == Algorithm::Des {
            force_odd_parity(&mut self.bytes);
        }
        self
    }
}

/// Sets the lowest bit of each byte so that the byte has an odd number of one bits.
pub fn force_odd_parity(bytes: &mut [u8]) {
    for b in bytes {
        *b = (*b & 0xFE) | u8::from((*b >> 1).count_ones() % 2 == 0);
    }
}
