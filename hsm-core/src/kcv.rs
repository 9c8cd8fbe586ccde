//! Key check values (keys.md section 3). A command shows the leftmost 3, 4 or 8 bytes of what is computed here.

use crate::cipher::CipherError;
use crate::clear_key::{Algorithm, ClearKey};
use crate::mac::{HashAlgorithm, MacAlgorithm, MacError, MacKey, Padding};

/// Why a key has no check value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KcvError {
    /// The key does not fit its cipher.
    #[error(transparent)]
    Cipher(#[from] CipherError),
    /// The CMAC or HMAC could not be computed.
    #[error(transparent)]
    Mac(#[from] MacError),
    /// Keys of this algorithm have no check value, or need a rule of their own.
    #[error("no check value is defined for {0} keys here")]
    NoRule(Algorithm),
}

/// The full check value of a DES, TDES or AES key: E_K(zeros), 8 bytes, or CMAC_K(16 zero bytes), 16 bytes.
///
/// # Errors
/// [`KcvError::NoRule`] for other keys; see [`hmac_check_value`].
pub fn check_value(key: &ClearKey) -> Result<Vec<u8>, KcvError> {
    match key.algorithm() {
        Algorithm::Des => Ok(des_check_value(key)?.to_vec()),
        Algorithm::Aes => Ok(aes_cmac(key, &[0; 16])?),
        other => Err(KcvError::NoRule(other)),
    }
}

/// The check value of a DES or TDES key: a zero block enciphered with it.
///
/// # Errors
/// [`KcvError::NoRule`] for other keys.
pub fn des_check_value(key: &ClearKey) -> Result<[u8; 8], KcvError> {
    if key.algorithm() != Algorithm::Des {
        return Err(KcvError::NoRule(key.algorithm()));
    }
    let mut block = [0; 8];
    key.cipher()?.ecb_encrypt(&mut block)?;
    Ok(block)
}

/// The check values of every 8-byte part of a DES key taken by itself: CVK and PVK pairs, KCV type 0.
///
/// # Errors
/// As [`des_check_value`].
pub fn des_part_check_values(key: &ClearKey) -> Result<Vec<[u8; 8]>, KcvError> {
    if key.algorithm() != Algorithm::Des {
        return Err(KcvError::NoRule(key.algorithm()));
    }
    key.bytes().chunks_exact(8).map(|part| des_check_value(&ClearKey::des(part)?)).collect()
}

/// The check value of an HMAC key: HMAC_K of the empty message, full length. The rule of other vendors; what the
/// payShield does is not known.
///
/// # Errors
/// [`KcvError::NoRule`] for keys that are not HMAC keys.
pub fn hmac_check_value(hash: HashAlgorithm, key: &ClearKey) -> Result<Vec<u8>, KcvError> {
    if key.algorithm() != Algorithm::Hmac {
        return Err(KcvError::NoRule(key.algorithm()));
    }
    Ok(hash.hmac(key.bytes(), &[])?.to_vec())
}

/// The check value of an AES key-block LMK: CMAC of the empty message, 16 bytes (the test LMK shows 9D04A0).
///
/// # Errors
/// [`KcvError::NoRule`] for keys that are not AES keys.
pub fn aes_lmk_check_value(lmk: &ClearKey) -> Result<Vec<u8>, KcvError> {
    match lmk.algorithm() {
        Algorithm::Aes => Ok(aes_cmac(lmk, &[])?),
        other => Err(KcvError::NoRule(other)),
    }
}

fn aes_cmac(key: &ClearKey, message: &[u8]) -> Result<Vec<u8>, MacError> {
    Ok(MacKey::new(MacAlgorithm::Cmac, key)?.mac(Padding::None, message)?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_key_has_its_own_rule() {
        let des = ClearKey::des(&[1; 16]).unwrap();
        let aes = ClearKey::aes(&[1; 16]).unwrap();
        let hmac = ClearKey::new(Algorithm::Hmac, b"key").unwrap();
        assert_eq!(check_value(&des).unwrap().len(), 8);
        assert_eq!(check_value(&aes).unwrap().len(), 16);
        assert_eq!(check_value(&hmac), Err(KcvError::NoRule(Algorithm::Hmac)));
        assert_eq!(des_check_value(&aes), Err(KcvError::NoRule(Algorithm::Aes)));
        assert_eq!(des_part_check_values(&hmac), Err(KcvError::NoRule(Algorithm::Hmac)));
        assert_eq!(aes_lmk_check_value(&des), Err(KcvError::NoRule(Algorithm::Des)));
        assert_eq!(hmac_check_value(HashAlgorithm::Sha256, &aes), Err(KcvError::NoRule(Algorithm::Aes)));
        assert_eq!(hmac_check_value(HashAlgorithm::Sha256, &hmac).unwrap().len(), 32);
    }

    #[test]
    fn the_parts_of_a_cvk_pair_are_checked_as_single_des_keys() {
        // keys.md section 3: the pair 0123456789ABCDEF FEDCBA9876543210 shows D5D44F and A68CDC, as one key 08D7B4.
        let pair = ClearKey::des(b"\x01\x23\x45\x67\x89\xAB\xCD\xEF\xFE\xDC\xBA\x98\x76\x54\x32\x10").unwrap();
        let parts = des_part_check_values(&pair).unwrap();
        assert_eq!(parts.iter().map(|p| &p[..3]).collect::<Vec<_>>(), [b"\xD5\xD4\x4F", b"\xA6\x8C\xDC"]);
        assert_eq!(des_check_value(&pair).unwrap()[..3], *b"\x08\xD7\xB4");
    }
}
