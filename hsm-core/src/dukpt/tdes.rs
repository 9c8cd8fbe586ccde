//! TDES DUKPT (X9.24-1:2009).

use super::{DukptError, Ksn, des_bytes, single_des_transaction_key};
use crate::cipher::{BlockCipher, CipherError, xor_in_place};
use crate::clear_key::{Algorithm, ClearKey};
use zeroize::Zeroizing;

/// A TDES base derivation key, expanded once for any number of devices.
#[derive(Debug, Clone)]
pub struct TdesBdk {
    plain: BlockCipher,
    masked: BlockCipher,
}

impl TdesBdk {
    /// Takes a double- or triple-length DES key. X9.24-1 knows only double length; a triple-length key is masked alike.
    ///
    /// # Errors
    /// [`CipherError::KeyLength`] for any other key.
    pub fn new(bdk: &ClearKey) -> Result<Self, DukptError> {
        if bdk.algorithm() != Algorithm::Des || bdk.len() < 16 {
            return Err(CipherError::KeyLength { algorithm: "BDK", len: bdk.len() }.into());
        }
        let mut masked = Zeroizing::new(bdk.bytes().to_vec());
        masked.chunks_exact_mut(8).for_each(|part| xor_in_place(part, &MASK));
        Ok(Self { plain: bdk.cipher()?, masked: BlockCipher::des(&masked)? })
    }

    /// The initial key (IPEK, IKEY) of a device, 16 bytes. The counter of `ksn` does not matter.
    ///
    /// # Errors
    /// None for keys made with [`TdesBdk::new`].
    pub fn initial_key(&self, ksn: &Ksn) -> Result<ClearKey, DukptError> {
        let mut key = Zeroizing::new([0u8; 16]);
        let (left, right) = key.split_at_mut(8);
        left.copy_from_slice(&ksn.initial_block());
        right.copy_from_slice(&ksn.initial_block());
        self.plain.ecb_encrypt(left)?;
        self.masked.ecb_encrypt(right)?;
        Ok(ClearKey::des(key.as_slice())?)
    }

    /// The key of a transaction, from the initial key down.
    ///
    /// # Errors
    /// As [`TdesBdk::initial_key`].
    pub fn transaction_key(&self, ksn: &Ksn) -> Result<ClearKey, DukptError> {
        tdes_transaction_key(&self.initial_key(ksn)?, ksn)
    }

    /// The initial key of single-DES DUKPT (X9.24-1998), 8 bytes: the left half of the TDES one.
    ///
    /// # Errors
    /// As [`TdesBdk::initial_key`].
    pub fn single_des_initial_key(&self, ksn: &Ksn) -> Result<ClearKey, DukptError> {
        let mut key = Zeroizing::new(ksn.initial_block());
        self.plain.ecb_encrypt(key.as_mut_slice())?;
        Ok(ClearKey::des(key.as_slice())?)
    }

    /// The key of a single-DES DUKPT transaction, 8 bytes.
    ///
    /// # Errors
    /// As [`TdesBdk::initial_key`].
    pub fn single_des_transaction_key(&self, ksn: &Ksn) -> Result<ClearKey, DukptError> {
        single_des_transaction_key(&self.single_des_initial_key(ksn)?, ksn)
    }
}

const MASK: [u8; 8] = [0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0];

/// The key of a transaction from the device's initial key (X9.24-1:2009): one step of the non-reversible key generation
/// for each one bit of the counter. With counter 0 it is the initial key itself.
///
/// # Errors
/// [`CipherError::KeyLength`] for an initial key that is not a double-length DES key.
pub fn tdes_transaction_key(initial: &ClearKey, ksn: &Ksn) -> Result<ClearKey, DukptError> {
    let mut key = double_length(initial)?;
    for register in ksn.registers() {
        tdes_step(&mut key, &register)?;
    }
    Ok(ClearKey::des(key.as_slice())?)
}

/// One step of [`tdes_transaction_key`]: the key of a counter from the key of the same counter without its lowest one bit.
///
/// # Errors
/// [`CipherError::KeyLength`] for a key that is not a double-length DES key.
pub fn tdes_child_key(parent: &ClearKey, ksn: &Ksn) -> Result<ClearKey, DukptError> {
    let mut key = double_length(parent)?;
    tdes_step(&mut key, &ksn.counted_register())?;
    Ok(ClearKey::des(key.as_slice())?)
}

fn tdes_step(key: &mut [u8; 16], register: &[u8; 8]) -> Result<(), DukptError> {
    let right = non_reversible(key, register)?;
    key.chunks_exact_mut(8).for_each(|half| xor_in_place(half, &MASK));
    let left = non_reversible(key, register)?;
    key[..8].copy_from_slice(left.as_slice());
    key[8..].copy_from_slice(right.as_slice());
    Ok(())
}

/// DES under the left half between two additions of the right half.
fn non_reversible(key: &[u8; 16], register: &[u8; 8]) -> Result<Zeroizing<[u8; 8]>, DukptError> {
    let (left, right) = key.split_at(8);
    let mut block = Zeroizing::new(*register);
    xor_in_place(block.as_mut_slice(), right);
    BlockCipher::des(left)?.ecb_encrypt(block.as_mut_slice())?;
    xor_in_place(block.as_mut_slice(), right);
    Ok(block)
}

/// What a TDES transaction key is used for. Requests go from the terminal to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TdesUse {
    /// PIN encipherment.
    Pin,
    /// MAC of a request, or in both directions.
    MacRequest,
    /// MAC of a response.
    MacResponse,
    /// Data encipherment of a request, or in both directions.
    DataRequest,
    /// Data encipherment of a response.
    DataResponse,
}

/// The working key of one use, 16 bytes: the variant of the transaction key; data keys are besides enciphered under
/// themselves, half by half.
///
/// # Errors
/// [`CipherError::KeyLength`] for a transaction key that is not a double-length DES key.
pub fn tdes_working_key(transaction: &ClearKey, usage: TdesUse) -> Result<ClearKey, DukptError> {
    let byte = match usage {
        TdesUse::Pin => 7,
        TdesUse::MacRequest => 6,
        TdesUse::DataRequest => 5,
        TdesUse::MacResponse => 4,
        TdesUse::DataResponse => 3,
    };
    let mut key = double_length(transaction)?;
    key[byte] ^= 0xFF;
    key[byte + 8] ^= 0xFF;
    if matches!(usage, TdesUse::DataRequest | TdesUse::DataResponse) {
        BlockCipher::des(key.as_slice())?.ecb_encrypt(key.as_mut_slice())?;
    }
    Ok(ClearKey::des(key.as_slice())?)
}

fn double_length(key: &ClearKey) -> Result<Zeroizing<[u8; 16]>, DukptError> {
    des_bytes(key, "double-length DES")
}
