//! Thales key blocks, versions 0 and 1 (keys.md 4.2, 4.6).

use super::derivation::{EncryptionUse, cmac, cmac_method, variant_method};
use super::header::{Attributes, BlockAlgorithm, Family, Header, Scope, Version};
use super::optional::OptionalBlocks;
use super::rules::is_asymmetric;
use super::{Bytes, Frame, KeyBlockError, OpenedBlock, check_key, clear_key, length_prefixed, length_prefixed_key};
use crate::cipher::BlockCipher;
use crate::clear_key::{Algorithm, ClearKey};
use crate::rsa_encoding::der_len;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What S blocks are encrypted and authenticated with, derived from an LMK, ZMK or TMK.
///
/// TDES makes blocks of version 0, AES of version 1.
#[derive(Debug, Clone)]
pub struct ProtectionKeys {
    encryption: BlockCipher,
    authentication: Authentication,
}

#[derive(Debug, Clone)]
enum Authentication {
    /// CBC-MAC, version 0.
    CbcMac(BlockCipher),
    /// CMAC, version 1.
    Cmac(ClearKey),
}

impl ProtectionKeys {
    /// Derives them from a DES, TDES or AES key.
    ///
    /// # Errors
    /// [`KeyBlockError::ProtectionKey`] (BB) for any other key.
    pub fn derive(protection: &ClearKey) -> Result<Self, KeyBlockError> {
        match protection.algorithm() {
            Algorithm::Des => {
                let keys = variant_method(protection)?;
                let authentication = Authentication::CbcMac(keys.authentication.cipher()?);
                Ok(Self { encryption: keys.encryption.cipher()?, authentication })
            }
            Algorithm::Aes => {
                let keys = cmac_method(protection, EncryptionUse::Cbc)?;
                let authentication = Authentication::Cmac(keys.authentication);
                Ok(Self { encryption: keys.encryption.cipher()?, authentication })
            }
            Algorithm::Hmac | Algorithm::Rsa | Algorithm::Ec => Err(KeyBlockError::ProtectionKey),
        }
    }

    /// The version of blocks under these keys.
    #[must_use]
    pub fn version(&self) -> Version {
        match self.authentication {
            Authentication::CbcMac(_) => Version::Thales0,
            Authentication::Cmac(_) => Version::Thales1,
        }
    }

    /// `clear` is header and optional blocks. Returns 4 or 8 bytes.
    fn mac(&self, clear: &[u8], ciphertext: &[u8]) -> Result<Bytes, KeyBlockError> {
        let mut mac = match &self.authentication {
            Authentication::CbcMac(cipher) => Zeroizing::new(cbc_mac(cipher, clear, ciphertext)?.to_vec()),
            Authentication::Cmac(key) => cmac(key, &[clear, ciphertext])?,
        };
        mac.truncate(self.version().mac_len());
        Ok(mac)
    }

    /// The initial vector: as many header characters as the cipher block has bytes.
    fn iv(&self, header: &[u8; 16]) -> Vec<u8> {
        header.iter().copied().take(self.encryption.block_len()).collect()
    }
}

/// Makes an S block of a key, without the tag. `fill` gives the random fill after the key; optional blocks are padded as needed.
///
/// Whether the attributes go together is for [`rules::check`](super::rules::check) to say.
///
/// # Errors
/// [`KeyBlockError`]: A7 if the key is not of the attributes' algorithm, A5 if its length is wrong or too great, AB.
pub fn wrap(
    keys: &ProtectionKeys,
    scope: Scope,
    attributes: Attributes,
    optional: &OptionalBlocks,
    key: &ClearKey,
    fill: &mut dyn FnMut(&mut [u8]),
) -> Result<Vec<u8>, KeyBlockError> {
    let version = keys.version();
    check_tdes_length(attributes.algorithm, key)?;
    check_key(attributes.algorithm, key)?;
    let binary = is_binary(attributes.algorithm);
    let mut data = if is_asymmetric(attributes.algorithm) {
        der_and_fill(key, version.block_len(), fill)?
    } else {
        length_prefixed(key, 0, version.block_len(), fill)?
    };
    let optional = optional.padded(version)?;
    let mut block = optional.to_bytes();
    let body_len = if binary { data.len() } else { 2 * data.len() };
    let length = 16 + block.len() + body_len + 2 * version.mac_len();
    let header = Header { version, attributes, scope: Some(scope) }.to_bytes(length, optional.count())?;
    block.splice(0..0, header);
    keys.encryption.cbc_encrypt(&mut keys.iv(&header), &mut data)?;
    let mac = keys.mac(&block, &data)?;
    if binary {
        block.extend_from_slice(&data);
    } else {
        block.extend_from_slice(crate::hex::encode(&data).as_bytes());
    }
    block.extend_from_slice(crate::hex::encode(&mac).as_bytes());
    Ok(block)
}

/// Opens an S block, given without the tag. If `expected` is given, the block must name it.
///
/// Checks are made in the order format, version, scope, MAC, header fields, key. RSA and EC keys are returned as their DER.
///
/// # Errors
/// [`KeyBlockError`].
pub fn unwrap(keys: &ProtectionKeys, expected: Option<Scope>, block: &[u8]) -> Result<OpenedBlock, KeyBlockError> {
    let frame = Frame::split(Family::Thales, block)?;
    if frame.version != keys.version() {
        return Err(KeyBlockError::LmkScheme);
    }
    let scope = frame.scope()?;
    if expected.is_some() && expected != scope {
        return Err(KeyBlockError::LmkId);
    }
    let algorithm = BlockAlgorithm::from_id(frame.header[7]);
    let (mut data, mac) = frame.ciphertext_and_mac(algorithm.as_ref().is_ok_and(|algorithm| is_binary(*algorithm)))?;
    if !bool::from(keys.mac(frame.clear, &data)?.ct_eq(&mac)) {
        return Err(KeyBlockError::Authentication);
    }
    let (header, optional) = (frame.header()?, frame.optional()?);
    keys.encryption.cbc_decrypt(&mut keys.iv(frame.header), &mut data)?;
    let bytes = if algorithm.is_ok_and(is_asymmetric) {
        let len = der_len(&data).map_err(|_| KeyBlockError::Plaintext)?;
        data.get(..len).ok_or(KeyBlockError::Plaintext)?
    } else {
        length_prefixed_key(&data)?
    };
    let key = clear_key(header.attributes.algorithm, bytes)?;
    check_tdes_length(header.attributes.algorithm, &key)?;
    check_key(header.attributes.algorithm, &key)?;
    Ok(OpenedBlock { header, optional, key })
}

/// Whether the encrypted key is binary, not hex: RSA keys, as samples of devices have them (keys.md 4.6). Of elliptic-curve keys no sample
/// is public, but a public client takes their blocks for text.
fn is_binary(algorithm: BlockAlgorithm) -> bool {
    algorithm == BlockAlgorithm::Rsa
}

/// DER and random fill up to a whole number of cipher blocks; its own length ends it.
fn der_and_fill(key: &ClearKey, block_len: usize, fill: &mut dyn FnMut(&mut [u8])) -> Result<Bytes, KeyBlockError> {
    if der_len(key.bytes()) != Ok(key.len()) {
        return Err(KeyBlockError::KeyLength);
    }
    let mut data = Zeroizing::new(vec![0u8; key.len().next_multiple_of(block_len)]);
    let (der, filler) = data.split_at_mut(key.len());
    der.copy_from_slice(key.bytes());
    if !filler.is_empty() {
        fill(filler);
    }
    Ok(data)
}

/// Single DES is algorithm D in S blocks, never T.
fn check_tdes_length(algorithm: BlockAlgorithm, key: &ClearKey) -> Result<(), KeyBlockError> {
    if algorithm == BlockAlgorithm::Tdes && key.len() == 8 { Err(KeyBlockError::KeyLength) } else { Ok(()) }
}

/// CBC-MAC with a zero initial vector and no padding.
pub(super) fn cbc_mac(cipher: &BlockCipher, clear: &[u8], ciphertext: &[u8]) -> Result<[u8; 8], KeyBlockError> {
    let mut mac = [0u8; 8];
    if !clear.len().is_multiple_of(8) {
        return Err(KeyBlockError::OptionalHeader);
    }
    cipher.cbc_encrypt(&mut mac, &mut clear.to_vec())?;
    cipher.cbc_encrypt(&mut mac, &mut ciphertext.to_vec())?;
    Ok(mac)
}
