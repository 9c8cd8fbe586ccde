//! Private keys: under a variant LMK, and out of their encodings (keys.md 5.2).

use super::super::Session;
use super::super::keys::OpenKey;
use super::attributes;
use crate::asymmetric::{AsymmetricError, EcPrivate, MAX_RSA_BITS, MIN_RSA_BITS, RsaPrivate};
use crate::clear_key::{Algorithm, ClearKey};
use crate::key_block::KeyBlockError;
use crate::key_block::header::{BlockAlgorithm, ModeOfUse};
use crate::lmk::{Lmk, LmkPair};
use crate::mac::{HashAlgorithm, mac_matches};
use crate::rsa_encoding;
use hsm_plugin_sdk::abi::{ErrorCode, KeyPurpose};
use zeroize::Zeroizing;

/// Usage and mode of the key types of EI: signature, key management, both, ICC, PIN translation.
pub(super) const RSA_KEY_TYPES: [([u8; 2], ModeOfUse); 5] = [
    (*b"03", ModeOfUse::Sign),
    (*b"03", ModeOfUse::Decrypt),
    (*b"03", ModeOfUse::Any),
    (*b"04", ModeOfUse::Any),
    (*b"05", ModeOfUse::Any),
];

/// A private key that an operation has taken out of its encoding.
pub(super) enum PrivateKey {
    Rsa(Box<RsaPrivate>),
    Ec(EcPrivate),
}

impl Session {
    pub(super) fn private_key(&mut self, key: &OpenKey) -> Result<PrivateKey, ErrorCode> {
        private_key(key).or_else(|error| self.refuse(ErrorCode::PRIVATE_KEY, error.to_string()))
    }

    /// An RSA private key under a variant LMK.
    ///
    /// The layout is this emulator's: the device's is not public, only its length (keys.md 5.2). Encrypted under LMK pair 34-35 in CBC
    /// mode with a zero initial vector: `01`, the key type of EI, the modulus length in bits (2 bytes), 4 random bytes, the first
    /// 8 bytes of SHA-256 over these 8 bytes and the numbers, then p, q, dp, dq and qinv of half the modulus length each, then
    /// random fill to 8 bytes.
    pub(super) fn wrap_private(&mut self, lmk: &Lmk, key: &OpenKey) -> Result<Vec<u8>, ErrorCode> {
        let Some(pair) = lmk.pair(LmkPair::RSA_PRIVATE) else {
            return self.refuse(ErrorCode::LMK_SCHEMES, "under a key-block LMK a private key is a key block");
        };
        let PrivateKey::Rsa(private) = self.private_key(key)? else { return self.refuse_kind() };
        let attributes = key.attributes().map(|attributes| (attributes.usage.id(), attributes.mode));
        let Some(key_type) = RSA_KEY_TYPES.iter().position(|known| Some(*known) == attributes) else {
            return self.refuse(ErrorCode::KEY_USAGE, "a variant LMK has no type for keys of this usage and mode");
        };
        let crt = private.to_crt().map_err(|_| ErrorCode::INTERNAL)?;
        let bits = private.public().numbers().map_err(|_| ErrorCode::INTERNAL)?.modulus_bits();
        let half = bits.div_ceil(16);
        let mut data = Zeroizing::new(Vec::with_capacity(private_len(bits)));
        data.extend_from_slice(&[1, key_type as u8]);
        data.extend_from_slice(&(bits as u16).to_be_bytes());
        let mut random = [0; 4];
        self.random.fill_bytes(&mut random);
        data.extend_from_slice(&random);
        data.extend_from_slice(&[0; 8]);
        for number in [&crt.p, &crt.q, &crt.dp, &crt.dq, &crt.qinv] {
            let padded = data.len() + half.saturating_sub(number.len());
            data.resize(padded, 0);
            data.extend_from_slice(number);
        }
        let check = private_check(&data).ok_or(ErrorCode::INTERNAL)?;
        data.get_mut(8..16).ok_or(ErrorCode::INTERNAL)?.copy_from_slice(&check);
        let filled = data.len();
        data.resize(private_len(bits), 0);
        self.random.fill_bytes(data.get_mut(filled..).ok_or(ErrorCode::INTERNAL)?);
        let cipher = pair.cipher().map_err(|_| ErrorCode::DES_FAILURE)?;
        cipher.cbc_encrypt(&mut [0; 8], &mut data).map_err(|_| ErrorCode::DES_FAILURE)?;
        Ok(core::mem::take(&mut *data))
    }

    pub(super) fn unwrap_private(&mut self, lmk: &Lmk, field: &[u8]) -> Result<OpenKey, ErrorCode> {
        let Some(pair) = lmk.pair(LmkPair::RSA_PRIVATE) else {
            let rule = self.rule(KeyPurpose::RSA_PRIVATE)?;
            return self.unwrap_key_block(KeyPurpose::RSA_PRIVATE, rule, lmk, field);
        };
        if is_key_block(field) {
            return self.refuse_block("the key block", KeyBlockError::LmkScheme);
        }
        let lengths = private_len(MIN_RSA_BITS.into())..=private_len(MAX_RSA_BITS.into());
        if !lengths.contains(&field.len()) || !field.len().is_multiple_of(8) {
            return self.refuse(ErrorCode::PRIVATE_KEY_LENGTH, "no RSA private key under the LMK has this length");
        }
        let mut data = Zeroizing::new(field.to_vec());
        let cipher = pair.cipher().map_err(|_| ErrorCode::DES_FAILURE)?;
        cipher.cbc_decrypt(&mut [0; 8], &mut data).map_err(|_| ErrorCode::DES_FAILURE)?;
        let opened = || {
            let (&[version, key_type, high, low, ..], _) = data.split_first_chunk::<8>()?;
            let bits = usize::from(u16::from_be_bytes([high, low]));
            let half = bits.div_ceil(16);
            if version != 1 || bits == 0 || private_len(bits) != data.len() {
                return None;
            }
            let kept = data.get(..16 + 5 * half)?;
            if !mac_matches(&private_check(kept)?, kept.get(8..16)?) {
                return None;
            }
            let mut numbers = kept.get(16..)?.chunks(half).map(|number| Zeroizing::new(number.to_vec()));
            let mut next = || numbers.next();
            let crt = rsa_encoding::RsaPrivateKey { p: next()?, q: next()?, dp: next()?, dq: next()?, qinv: next()? };
            let (usage, mode) = *RSA_KEY_TYPES.get(usize::from(key_type))?;
            let key = ClearKey::new(Algorithm::Rsa, &crt.encode()).ok()?;
            let attributes = attributes(usage, BlockAlgorithm::Rsa, mode).ok()?;
            Some(OpenKey::new(key, KeyPurpose::RSA_PRIVATE, Some(attributes)))
        };
        match opened() {
            Some(key) => Ok(key),
            None => self.refuse(ErrorCode::PRIVATE_KEY, "the field is not an RSA private key under this LMK"),
        }
    }
}

pub(super) fn private_key(key: &OpenKey) -> Result<PrivateKey, AsymmetricError> {
    let der = key.key().bytes();
    match key.algorithm() {
        Algorithm::Rsa => {
            let (crt, _) = rsa_encoding::RsaPrivateKey::decode(der).map_err(|_| AsymmetricError::PrivateKey)?;
            RsaPrivate::from_crt(&crt).map(Box::new).map(PrivateKey::Rsa)
        }
        Algorithm::Ec => EcPrivate::decode(der).map(PrivateKey::Ec),
        _ => Err(AsymmetricError::PrivateKey),
    }
}

/// Length of a private key under a variant LMK (keys.md 5.2).
fn private_len(modulus_bits: usize) -> usize {
    (16 + 5 * modulus_bits.div_ceil(16)).next_multiple_of(8)
}

/// The check over a private key's first 8 bytes and its numbers.
fn private_check(data: &[u8]) -> Option<[u8; 8]> {
    let input = Zeroizing::new([data.get(..8)?, data.get(16..)?].concat());
    HashAlgorithm::Sha256.digest(&input).first_chunk().copied()
}

/// Whether a field is a key block with its tag, to judge by its header's length.
fn is_key_block(field: &[u8]) -> bool {
    let length = field.get(2..6).and_then(|digits| core::str::from_utf8(digits).ok()).and_then(|d| d.parse().ok());
    field.first() == Some(&b'S') && length == field.len().checked_sub(1)
}
