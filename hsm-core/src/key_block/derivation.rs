//! Encryption and authentication keys of key blocks, derived from the protection key (keys.md 4.2, 4.8).

use crate::cipher::CipherError;
use crate::clear_key::{Algorithm, ClearKey};
use aes::{Aes128, Aes192, Aes256};
use cmac::{Cmac, KeyInit, Mac};
use des::{TdesEde2, TdesEde3};
use zeroize::Zeroizing;

/// Key Block Encryption Key and Key Block Authentication Key.
#[derive(Debug, Clone, PartialEq)]
pub struct DerivedKeys {
    /// KBEK.
    pub encryption: ClearKey,
    /// KBAK.
    pub authentication: ClearKey,
}

/// The variant method of S blocks version 0 and TR-31 A and C: every byte XORed with `45` or `4D`.
///
/// # Errors
/// [`CipherError::KeyLength`] if the protection key is not DES or TDES.
pub fn variant_method(protection: &ClearKey) -> Result<DerivedKeys, CipherError> {
    if protection.algorithm() != Algorithm::Des {
        return Err(CipherError::KeyLength { algorithm: "DES", len: protection.len() });
    }
    let masked = |mask: u8| {
        let bytes: Zeroizing<Vec<u8>> = Zeroizing::new(protection.bytes().iter().map(|b| b ^ mask).collect());
        ClearKey::des(&bytes)
    };
    Ok(DerivedKeys { encryption: masked(0x45)?, authentication: masked(0x4D)? })
}

/// How a block derived by CMAC encrypts the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncryptionUse {
    /// CBC: S block version 1, TR-31 B and D.
    Cbc,
    /// Counter mode: TR-31 E.
    Ctr,
}

/// The derivation method of S blocks version 1 and TR-31 B, D and E: CMAC as key derivation function.
///
/// # Errors
/// [`CipherError::KeyLength`] if the protection key is neither TDES nor AES.
pub fn cmac_method(protection: &ClearKey, encryption: EncryptionUse) -> Result<DerivedKeys, CipherError> {
    let usage = match encryption {
        EncryptionUse::Cbc => 0x0000,
        EncryptionUse::Ctr => 0x0002,
    };
    Ok(DerivedKeys { encryption: derive(protection, usage)?, authentication: derive(protection, 0x0001)? })
}

/// The key for one usage (a 16-bit number), as long as the protection key.
pub(crate) fn derive(protection: &ClearKey, usage: u16) -> Result<ClearKey, CipherError> {
    let (algorithm, len) = (protection.algorithm(), protection.len());
    let indicator: u16 = match (algorithm, len) {
        (Algorithm::Des, 16) => 0x0000,
        (Algorithm::Des, 24) => 0x0001,
        (Algorithm::Aes, 16) => 0x0002,
        (Algorithm::Aes, 24) => 0x0003,
        (Algorithm::Aes, 32) => 0x0004,
        _ => return Err(CipherError::KeyLength { algorithm: "CMAC", len }),
    };
    let [u1, u0] = usage.to_be_bytes();
    let [a1, a0] = indicator.to_be_bytes();
    let [b1, b0] = (8 * len as u16).to_be_bytes();
    // At most 24 bytes in blocks of 8 or 32 in blocks of 16.
    let mut derived = Zeroizing::new(Vec::with_capacity(48));
    for counter in 1.. {
        derived.extend_from_slice(&cmac(protection, &[&[counter, u1, u0, 0, a1, a0, b1, b0]])?);
        if derived.len() >= len {
            break;
        }
    }
    ClearKey::new(algorithm, derived.get(..len).unwrap_or_default())
}

/// CMAC over the concatenation of `parts`: 8 bytes with a TDES key, 16 with an AES key.
///
/// # Errors
/// [`CipherError::KeyLength`] if the key is neither TDES nor AES.
pub(crate) fn cmac(key: &ClearKey, parts: &[&[u8]]) -> Result<Zeroizing<Vec<u8>>, CipherError> {
    fn mac<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Option<Zeroizing<Vec<u8>>> {
        let mut mac = <M as KeyInit>::new_from_slice(key).ok()?;
        parts.iter().for_each(|part| mac.update(part));
        Some(Zeroizing::new(mac.finalize().into_bytes().to_vec()))
    }
    let bytes = key.bytes();
    match (key.algorithm(), bytes.len()) {
        (Algorithm::Des, 16) => mac::<Cmac<TdesEde2>>(bytes, parts),
        (Algorithm::Des, 24) => mac::<Cmac<TdesEde3>>(bytes, parts),
        (Algorithm::Aes, 16) => mac::<Cmac<Aes128>>(bytes, parts),
        (Algorithm::Aes, 24) => mac::<Cmac<Aes192>>(bytes, parts),
        (Algorithm::Aes, 32) => mac::<Cmac<Aes256>>(bytes, parts),
        _ => None,
    }
    .ok_or(CipherError::KeyLength { algorithm: "CMAC", len: bytes.len() })
}
