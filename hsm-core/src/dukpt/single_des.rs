//! Single-DES DUKPT (X9.24-1998).

use super::{DukptError, Ksn, des_bytes};
use crate::cipher::{BlockCipher, CipherError, xor_in_place};
use crate::clear_key::ClearKey;
use zeroize::Zeroizing;

/// The key of a single-DES DUKPT transaction from the device's 8-byte initial key (X9.24-1998).
///
/// # Errors
/// [`CipherError::KeyLength`] for an initial key that is not a single-length DES key.
pub fn single_des_transaction_key(initial: &ClearKey, ksn: &Ksn) -> Result<ClearKey, DukptError> {
    let mut key = single_length(initial)?;
    for register in ksn.registers() {
        key = whitened(&key, register, BlockCipher::ecb_encrypt)?;
    }
    Ok(ClearKey::des(key.as_slice())?)
}

/// One step of [`single_des_transaction_key`]: the key of a counter from the key of the same counter without its lowest one bit.
///
/// # Errors
/// [`CipherError::KeyLength`] for a key that is not a single-length DES key.
pub fn single_des_child_key(parent: &ClearKey, ksn: &Ksn) -> Result<ClearKey, DukptError> {
    let key = whitened(&*single_length(parent)?, ksn.counted_register(), BlockCipher::ecb_encrypt)?;
    Ok(ClearKey::des(key.as_slice())?)
}

/// Enciphers a PIN block with a single-DES transaction key: the PIN variant of the key is added before and after DES.
///
/// # Errors
/// [`CipherError::KeyLength`] for a key that is not a single-length DES key.
pub fn single_des_encrypt_pin_block(transaction: &ClearKey, block: [u8; 8]) -> Result<Zeroizing<[u8; 8]>, DukptError> {
    let key = single_des_pin_key(transaction)?;
    whitened(&key, block, BlockCipher::ecb_encrypt)
}

/// Deciphers a PIN block that [`single_des_encrypt_pin_block`] enciphered.
///
/// # Errors
/// As [`single_des_encrypt_pin_block`].
pub fn single_des_decrypt_pin_block(transaction: &ClearKey, block: [u8; 8]) -> Result<Zeroizing<[u8; 8]>, DukptError> {
    let key = single_des_pin_key(transaction)?;
    whitened(&key, block, BlockCipher::ecb_decrypt)
}

fn single_des_pin_key(transaction: &ClearKey) -> Result<Zeroizing<[u8; 8]>, DukptError> {
    let mut key = single_length(transaction)?;
    key[7] ^= 0xFF;
    Ok(key)
}

fn whitened(
    key: &[u8; 8],
    block: [u8; 8],
    apply: fn(&BlockCipher, &mut [u8]) -> Result<(), CipherError>,
) -> Result<Zeroizing<[u8; 8]>, DukptError> {
    let mut block = Zeroizing::new(block);
    xor_in_place(block.as_mut_slice(), key);
    apply(&BlockCipher::des(key)?, block.as_mut_slice())?;
    xor_in_place(block.as_mut_slice(), key);
    Ok(block)
}

fn single_length(key: &ClearKey) -> Result<Zeroizing<[u8; 8]>, DukptError> {
    des_bytes(key, "single-length DES")
}
