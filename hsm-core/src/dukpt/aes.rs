//! AES DUKPT (X9.24-3).

use super::{AesKsn, DukptError};
use crate::cipher::{BlockCipher, CipherError};
use crate::clear_key::{Algorithm, ClearKey};
use zeroize::Zeroizing;

/// The kinds of working keys of AES DUKPT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AesKeyType {
    /// Two-key TDES, 16 bytes.
    Tdes2,
    /// Three-key TDES, 24 bytes.
    Tdes3,
    /// AES-128.
    Aes128,
    /// AES-192.
    Aes192,
    /// AES-256.
    Aes256,
    /// HMAC with 16 bytes of key.
    Hmac128,
    /// HMAC with 24 bytes of key.
    Hmac192,
    /// HMAC with 32 bytes of key.
    Hmac256,
}

impl AesKeyType {
    fn algorithm(self) -> Algorithm {
        match self {
            Self::Tdes2 | Self::Tdes3 => Algorithm::Des,
            Self::Aes128 | Self::Aes192 | Self::Aes256 => Algorithm::Aes,
            Self::Hmac128 | Self::Hmac192 | Self::Hmac256 => Algorithm::Hmac,
        }
    }

    /// The algorithm indicator of the derivation data.
    fn indicator(self) -> u8 {
        match self {
            Self::Tdes2 => 0,
            Self::Tdes3 => 1,
            Self::Aes128 => 2,
            Self::Aes192 => 3,
            Self::Aes256 => 4,
            Self::Hmac128 | Self::Hmac192 | Self::Hmac256 => 5,
        }
    }

    /// Key length in bytes.
    #[must_use]
    pub fn key_len(self) -> usize {
        match self {
            Self::Tdes2 | Self::Aes128 | Self::Hmac128 => 16,
            Self::Tdes3 | Self::Aes192 | Self::Hmac192 => 24,
            Self::Aes256 | Self::Hmac256 => 32,
        }
    }

    /// The AES key type with keys of `len` bytes; the strongest for lengths that AES does not have.
    #[must_use]
    pub fn aes(len: usize) -> Self {
        match len {
            16 => Self::Aes128,
            24 => Self::Aes192,
            _ => Self::Aes256,
        }
    }

    /// Bytes an AES key needs to be as strong.
    fn strength(self) -> usize {
        if self.algorithm() == Algorithm::Des { 16 } else { self.key_len() }
    }
}

/// What an AES DUKPT working key is used for, with the usage number of X9.24-3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AesUse {
    /// Key encipherment (0002).
    KeyEncryption,
    /// PIN encipherment (1000).
    Pin,
    /// MAC generation, terminal to host (2000).
    MacGeneration,
    /// MAC verification, host to terminal (2001).
    MacVerification,
    /// MAC in both directions (2002).
    MacBoth,
    /// Data encipherment, terminal to host (3000).
    DataEncryption,
    /// Data decipherment, host to terminal (3001).
    DataDecryption,
    /// Data encipherment in both directions (3002).
    DataBoth,
}

impl AesUse {
    /// Whether X9.24-3 has working keys of a type for this use: HMAC keys are for MACs alone.
    #[must_use]
    pub fn takes(self, key_type: AesKeyType) -> bool {
        let mac = matches!(self, Self::MacGeneration | Self::MacVerification | Self::MacBoth);
        mac || key_type.algorithm() != Algorithm::Hmac
    }

    fn number(self) -> u16 {
        match self {
            Self::KeyEncryption => 0x0002,
            Self::Pin => 0x1000,
            Self::MacGeneration => 0x2000,
            Self::MacVerification => 0x2001,
            Self::MacBoth => 0x2002,
            Self::DataEncryption => 0x3000,
            Self::DataDecryption => 0x3001,
            Self::DataBoth => 0x3002,
        }
    }
}

const KEY_DERIVATION: u16 = 0x8000;
const INITIAL_KEY_DERIVATION: u16 = 0x8001;

/// The initial key of a device, as long as the AES BDK.
///
/// # Errors
/// [`CipherError::KeyLength`] for a BDK that is not an AES key.
pub fn aes_initial_key(bdk: &ClearKey, initial_key_id: &[u8; 8]) -> Result<ClearKey, DukptError> {
    let cipher = aes_cipher(bdk)?;
    derive(&cipher, AesKeyType::aes(bdk.len()), INITIAL_KEY_DERIVATION, initial_key_id)
}

/// The derivation key of a transaction from the device's initial key: one derivation for each one bit of the counter.
/// With counter 0 it is the initial key itself.
///
/// # Errors
/// [`CipherError::KeyLength`] for an initial key that is not an AES key.
pub fn aes_transaction_key(initial: &ClearKey, ksn: &AesKsn) -> Result<ClearKey, DukptError> {
    let key_type = AesKeyType::aes(initial.len());
    let mut cipher = aes_cipher(initial)?;
    let mut key = initial.clone();
    for bit in (0..u32::BITS).rev().filter(|bit| ksn.counter() >> bit & 1 == 1) {
        let counter = ksn.counter() >> bit << bit;
        key = derive(&cipher, key_type, KEY_DERIVATION, &context(ksn.initial_key_id(), counter))?;
        cipher = key.cipher()?;
    }
    Ok(key)
}

/// One step of [`aes_transaction_key`]: the key of a counter from the key of the same counter without its lowest one bit.
///
/// # Errors
/// [`CipherError::KeyLength`] for a key that is not an AES key.
pub fn aes_child_key(parent: &ClearKey, ksn: &AesKsn) -> Result<ClearKey, DukptError> {
    let context = context(ksn.initial_key_id(), ksn.counter());
    derive(&aes_cipher(parent)?, AesKeyType::aes(parent.len()), KEY_DERIVATION, &context)
}

/// A working key from the derivation key of the transaction. `ksn` must be the one the derivation key was made for.
///
/// # Errors
/// [`CipherError::KeyLength`] for a derivation key that is not an AES key; [`DukptError::TooStrong`] for a working key
/// that is longer than it (TDES keys count as AES-128).
pub fn aes_working_key(
    transaction: &ClearKey,
    usage: AesUse,
    key_type: AesKeyType,
    ksn: &AesKsn,
) -> Result<ClearKey, DukptError> {
    let cipher = aes_cipher(transaction)?;
    if key_type.strength() > transaction.len() {
        return Err(DukptError::TooStrong);
    }
    derive(&cipher, key_type, usage.number(), &context(ksn.initial_key_id(), ksn.counter()))
}

/// The update key of a device: the key encipherment key of counter FFFFFFFF, under which a new initial key travels.
///
/// # Errors
/// As [`aes_working_key`].
pub fn aes_update_key(
    initial: &ClearKey,
    initial_key_id: &[u8; 8],
    key_type: AesKeyType,
) -> Result<ClearKey, DukptError> {
    let ksn = AesKsn::new(*initial_key_id, u32::MAX);
    aes_working_key(&aes_transaction_key(initial, &ksn)?, AesUse::KeyEncryption, key_type, &ksn)
}

/// The last 8 bytes of the derivation data of all but initial keys.
fn context(initial_key_id: &[u8; 8], counter: u32) -> [u8; 8] {
    let [_, _, _, _, id0, id1, id2, id3] = *initial_key_id;
    let [c0, c1, c2, c3] = counter.to_be_bytes();
    [id0, id1, id2, id3, c0, c1, c2, c3]
}

/// Enciphers as many blocks of derivation data as the key takes.
fn derive(cipher: &BlockCipher, key_type: AesKeyType, usage: u16, context: &[u8; 8]) -> Result<ClearKey, DukptError> {
    let [usage_high, usage_low] = usage.to_be_bytes();
    let bits = (key_type.key_len() * 8) as u16;
    let [bits_high, bits_low] = bits.to_be_bytes();
    let mut key = Zeroizing::new([0u8; 32]);
    for (number, block) in (1..).zip(key.chunks_exact_mut(16)) {
        let (head, tail) = block.split_at_mut(8);
        head.copy_from_slice(&[1, number, usage_high, usage_low, 0, key_type.indicator(), bits_high, bits_low]);
        tail.copy_from_slice(context);
    }
    let used = &mut key[..key_type.key_len().next_multiple_of(16)];
    cipher.ecb_encrypt(used)?;
    Ok(ClearKey::new(key_type.algorithm(), &used[..key_type.key_len()])?)
}

fn aes_cipher(key: &ClearKey) -> Result<BlockCipher, DukptError> {
    match key.algorithm() {
        Algorithm::Aes => Ok(key.cipher()?),
        _ => Err(CipherError::KeyLength { algorithm: "AES", len: key.len() }.into()),
    }
}
