//! Keys encrypted under a variant LMK, or under a ZMK, TMK or KEK in the variant and X9.17 schemes (keys.md 1).
//!
//! Every 8-byte part of a key is encrypted by itself with the encrypting key, of which one or two bytes are changed first:
//! - byte 0 by the key type's variant, and `FF` more for a component (LMK only);
//! - byte 8 by the part's scheme variant (schemes `U` and `T`);
//! - byte 0 of every 8-byte block by eight times the Atalla variant (ZMK only).
//!
//! For encrypting keys of 24 bytes, three-key LMK pairs and triple-length ZMKs alike, byte 8 is the first byte of the middle block.

use crate::cipher::{BlockCipher, CipherError};
use crate::clear_key::{Algorithm, ClearKey};
use crate::key_type::KeyType;
use crate::lmk::{Lmk, LmkPair, LmkVariant};
use crate::scheme::KeyScheme;
use zeroize::Zeroizing;

/// What of an LMK set a key is encrypted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LmkUse {
    /// The pair.
    pub pair: LmkPair,
    /// Its variant.
    pub variant: LmkVariant,
    /// Whether the key is a component, which is kept apart from whole keys.
    pub component: bool,
}

impl LmkUse {
    /// For components of keys of a type (keys.md 1.1 item 2).
    #[must_use]
    pub fn component_of(key_type: KeyType) -> Self {
        Self { component: true, ..Self::from(key_type) }
    }
}

impl From<KeyType> for LmkUse {
    fn from(key_type: KeyType) -> Self {
        Self { pair: key_type.pair(), variant: key_type.variant(), component: false }
    }
}

/// A decrypted key, and whether all its bytes have odd parity. A wrong type, LMK or ZMK shows as wrong parity.
#[derive(Debug, Clone, PartialEq)]
pub struct DecryptedKey {
    /// The key as it came out, parity unchanged.
    pub key: ClearKey,
    /// Whether every byte has odd parity.
    pub odd_parity: bool,
}

/// Encrypts a DES or TDES key under a variant LMK. Returns the cryptogram, as long as the key.
///
/// # Errors
/// [`VariantError`]: a key-block LMK, a scheme that is not variant or X9.17, a key that does not fit the scheme.
pub fn encrypt_under_lmk(lmk: &Lmk, under: LmkUse, scheme: KeyScheme, key: &ClearKey) -> Result<Vec<u8>, VariantError> {
    encrypt(&lmk_base(lmk, under)?, scheme, key)
}

/// Decrypts a cryptogram under a variant LMK.
///
/// # Errors
/// As [`encrypt_under_lmk`], for the cryptogram instead of the key.
pub fn decrypt_under_lmk(
    lmk: &Lmk,
    under: LmkUse,
    scheme: KeyScheme,
    cryptogram: &[u8],
) -> Result<DecryptedKey, VariantError> {
    decrypt(&lmk_base(lmk, under)?, scheme, cryptogram)
}

/// Encrypts a DES or TDES key under a ZMK, TMK or KEK of 8, 16 or 24 bytes (keys.md 1.2). Returns the cryptogram.
///
/// # Errors
/// [`VariantError`]: a ZMK that is not TDES, a scheme that is not variant or X9.17, a key that does not fit the scheme.
pub fn encrypt_under_zmk(
    zmk: &ClearKey,
    atalla: AtallaVariant,
    scheme: KeyScheme,
    key: &ClearKey,
) -> Result<Vec<u8>, VariantError> {
    encrypt(&zmk_base(zmk, atalla)?, scheme, key)
}

/// Decrypts a cryptogram under a ZMK, TMK or KEK.
///
/// # Errors
/// As [`encrypt_under_zmk`], for the cryptogram instead of the key.
pub fn decrypt_under_zmk(
    zmk: &ClearKey,
    atalla: AtallaVariant,
    scheme: KeyScheme,
    cryptogram: &[u8],
) -> Result<DecryptedKey, VariantError> {
    decrypt(&zmk_base(zmk, atalla)?, scheme, cryptogram)
}

/// An Atalla variant of a ZMK, 0 to 31. 0 is the ZMK itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct AtallaVariant(u8);

impl AtallaVariant {
    /// The ZMK itself.
    pub const NONE: Self = Self(0);

    /// One or two decimal digits.
    ///
    /// # Errors
    /// [`VariantError::Atalla`] (15): other text, or a number above 31, whose eightfold is no byte.
    pub fn parse(digits: &[u8]) -> Result<Self, VariantError> {
        if !matches!(digits.len(), 1 | 2) || !digits.iter().all(u8::is_ascii_digit) {
            return Err(VariantError::Atalla);
        }
        match digits.iter().fold(0, |n, d| 10 * n + (d - b'0')) {
            number @ 0..=31 => Ok(Self(number)),
            _ => Err(VariantError::Atalla),
        }
    }

    /// Its number, 0 to 31.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }

    /// Changes byte 0 of every 8-byte block of `key`.
    pub fn apply(self, key: &mut [u8]) {
        for block in key.chunks_mut(8) {
            if let Some(first) = block.first_mut() {
                *first ^= self.0 << 3;
            }
        }
    }
}

/// A key cannot be encrypted or decrypted in these schemes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VariantError {
    /// A key-block LMK has no pairs.
    #[error("the LMK is a key-block LMK")]
    NotVariantLmk,
    /// The scheme is a key block or a CBC form.
    #[error("scheme {0:?} is neither variant nor X9.17")]
    Scheme(KeyScheme),
    /// The key or cryptogram has another length than the scheme.
    #[error("{len} bytes do not fit scheme {scheme:?}")]
    Length {
        /// The scheme.
        scheme: KeyScheme,
        /// Length of the key or cryptogram in bytes.
        len: usize,
    },
    /// A key is not DES or TDES.
    #[error("{0} keys cannot be used in variant and X9.17 schemes")]
    NotTdes(Algorithm),
    /// Not an Atalla variant.
    #[error("an Atalla variant is a number from 0 to 31")]
    Atalla,
    /// The encrypting key is unusable.
    #[error(transparent)]
    Cipher(#[from] CipherError),
}

impl VariantError {
    /// The payShield error code (keys.md 8).
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotVariantLmk => "A1",
            Self::Scheme(_) => "26",
            Self::Length { .. } | Self::NotTdes(_) => "27",
            Self::Atalla => "15",
            Self::Cipher(_) => "42",
        }
    }
}

fn encrypt(base: &[u8], scheme: KeyScheme, key: &ClearKey) -> Result<Vec<u8>, VariantError> {
    if key.algorithm() != Algorithm::Des {
        return Err(VariantError::NotTdes(key.algorithm()));
    }
    // Erased on failure; on success it is ciphertext.
    let mut parts = Zeroizing::new(key.bytes().to_vec());
    each_part(base, scheme, &mut parts, BlockCipher::ecb_encrypt)?;
    Ok(core::mem::take(&mut *parts))
}

fn decrypt(base: &[u8], scheme: KeyScheme, cryptogram: &[u8]) -> Result<DecryptedKey, VariantError> {
    let mut parts = Zeroizing::new(cryptogram.to_vec());
    each_part(base, scheme, &mut parts, BlockCipher::ecb_decrypt)?;
    let key = ClearKey::des(&parts)?;
    let odd_parity = key.has_odd_parity();
    Ok(DecryptedKey { key, odd_parity })
}

fn each_part(
    base: &[u8],
    scheme: KeyScheme,
    parts: &mut [u8],
    transform: fn(&BlockCipher, &mut [u8]) -> Result<(), CipherError>,
) -> Result<(), VariantError> {
    let masks = scheme_variants(scheme)?;
    if scheme.key_len() != Some(parts.len()) {
        return Err(VariantError::Length { scheme, len: parts.len() });
    }
    if masks.is_empty() {
        return Ok(transform(&BlockCipher::des(base)?, parts)?);
    }
    let mut varied = Zeroizing::new(base.to_vec());
    for (part, mask) in parts.chunks_exact_mut(8).zip(masks) {
        varied.copy_from_slice(base);
        if let Some(byte) = varied.get_mut(8) {
            *byte ^= mask;
        }
        transform(&BlockCipher::des(&varied)?, part)?;
    }
    Ok(())
}

/// What byte 8 of the encrypting key is XORed with, part by part; empty for no variants.
fn scheme_variants(scheme: KeyScheme) -> Result<&'static [u8], VariantError> {
    match scheme {
        KeyScheme::U => Ok(&[0xA6, 0x5A]),
        KeyScheme::T => Ok(&[0x6A, 0xDE, 0x2B]),
        _ if scheme.is_variant_or_x917() => Ok(&[]),
        _ => Err(VariantError::Scheme(scheme)),
    }
}

/// The ciphers that the parts of a key are under, in order, for whoever tries many cryptograms.
///
/// # Errors
/// As [`decrypt_under_lmk`].
pub(crate) fn lmk_part_ciphers(lmk: &Lmk, under: LmkUse, scheme: KeyScheme) -> Result<Vec<BlockCipher>, VariantError> {
    part_ciphers(&lmk_base(lmk, under)?, scheme)
}

/// As [`lmk_part_ciphers`], for keys under a ZMK.
///
/// # Errors
/// As [`decrypt_under_zmk`].
pub(crate) fn zmk_part_ciphers(
    zmk: &ClearKey,
    atalla: AtallaVariant,
    scheme: KeyScheme,
) -> Result<Vec<BlockCipher>, VariantError> {
    part_ciphers(&zmk_base(zmk, atalla)?, scheme)
}

fn part_ciphers(base: &[u8], scheme: KeyScheme) -> Result<Vec<BlockCipher>, VariantError> {
    let masks = scheme_variants(scheme)?;
    let parts = scheme.key_len().unwrap_or_default() / 8;
    let mut varied = Zeroizing::new(base.to_vec());
    (0..parts)
        .map(|part| {
            varied.copy_from_slice(base);
            if let (Some(byte), Some(mask)) = (varied.get_mut(8), masks.get(part)) {
                *byte ^= mask;
            }
            Ok(BlockCipher::des(&varied)?)
        })
        .collect()
}

fn lmk_base(lmk: &Lmk, under: LmkUse) -> Result<Zeroizing<Vec<u8>>, VariantError> {
    let pair = lmk.pair(under.pair).ok_or(VariantError::NotVariantLmk)?;
    let mut base = Zeroizing::new(pair.bytes().to_vec());
    if let Some(first) = base.first_mut() {
        *first ^= under.variant.mask() ^ if under.component { 0xFF } else { 0 };
    }
    Ok(base)
}

fn zmk_base(zmk: &ClearKey, atalla: AtallaVariant) -> Result<Zeroizing<Vec<u8>>, VariantError> {
    if zmk.algorithm() != Algorithm::Des {
        return Err(VariantError::NotTdes(zmk.algorithm()));
    }
    // A single-length ZMK is used as K‖K, the same cipher, so that scheme variants have their byte 8.
    let copies = if zmk.len() == 8 { 2 } else { 1 };
    let mut base = Zeroizing::new(zmk.bytes().repeat(copies));
    atalla.apply(&mut base);
    Ok(base)
}
