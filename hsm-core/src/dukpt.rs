//! Derived unique key per transaction: TDES (X9.24-1:2009), single DES (X9.24-1998) and AES (X9.24-3). Source: pins.md
//! section 7, card-emv-mac.md section 4, keys.md A0.
//!
//! Derived keys carry no parity adjustment: the standards use them as they come.

mod aes;
mod ksn;
mod single_des;
mod tdes;

#[cfg(test)]
mod tests;

pub use aes::{
    AesKeyType, AesUse, aes_child_key, aes_initial_key, aes_transaction_key, aes_update_key, aes_working_key,
};
pub use ksn::{AES_MAX_ONES, AesKsn, Ksn, KsnDescriptor, KsnParts, TDES_MAX_ONES};
pub use single_des::{
    single_des_child_key, single_des_decrypt_pin_block, single_des_encrypt_pin_block, single_des_transaction_key,
};
pub use tdes::{TdesBdk, TdesUse, tdes_child_key, tdes_transaction_key, tdes_working_key};

use crate::cipher::CipherError;
use crate::clear_key::{Algorithm, ClearKey};
use zeroize::Zeroizing;

/// Why a DUKPT key cannot be derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DukptError {
    /// The key does not fit the algorithm.
    #[error(transparent)]
    Cipher(#[from] CipherError),
    /// The key serial number has a character that is not a hexadecimal digit.
    #[error("the key serial number has a character that is not a hexadecimal digit")]
    NotHex,
    /// The key serial number has a length that is not possible.
    #[error("a key serial number cannot have {0} digits")]
    KsnLength(usize),
    /// The descriptor is not three hexadecimal digits, or stands for a serial number of less than 12 or more than 20
    /// digits.
    #[error("the descriptor of the key serial number is not valid")]
    Descriptor,
    /// X9.24-3 does not allow a working key that is stronger than the key it comes from.
    #[error("a working key cannot be stronger than the key it is derived from")]
    TooStrong,
}

fn des_bytes<const N: usize>(key: &ClearKey, algorithm: &'static str) -> Result<Zeroizing<[u8; N]>, DukptError>
where
    [u8; N]: zeroize::Zeroize,
{
    match (key.algorithm(), key.bytes().try_into()) {
        (Algorithm::Des, Ok(bytes)) => Ok(Zeroizing::new(bytes)),
        _ => Err(CipherError::KeyLength { algorithm, len: key.len() }.into()),
    }
}
