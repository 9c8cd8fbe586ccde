//! TR-31 / X9.143 key blocks, versions A to E (keys.md 4.8).

use super::derivation::{DerivedKeys, EncryptionUse, cmac, cmac_method, variant_method};
use super::header::{Attributes, Family, Header, Version};
use super::optional::OptionalBlocks;
use super::thales::cbc_mac;
use super::{Bytes, Frame, KeyBlockError, OpenedBlock, check_key, clear_key, length_prefixed, length_prefixed_key};
use crate::cipher::{BlockCipher, xor_in_place};
use crate::clear_key::{Algorithm, ClearKey};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Makes an R block of a key, without the tag. `fill` gives the random fill after the key; optional blocks are padded as needed.
///
/// To hide the key's length, `mask_to` says how many bytes a key is padded to at least; 0 pads to the cipher block only.
///
/// # Errors
/// [`KeyBlockError`]: A1 if `version` is a Thales version or the protection key is of the wrong cipher, BB if it is too short,
/// A7 if the key is not of the attributes' algorithm, A5 if its length is wrong or too great, AB.
pub fn wrap(
    protection: &ClearKey,
    version: Version,
    attributes: Attributes,
    optional: &OptionalBlocks,
    key: &ClearKey,
    mask_to: usize,
    fill: &mut dyn FnMut(&mut [u8]),
) -> Result<Vec<u8>, KeyBlockError> {
    let keys = derive(protection, version)?;
    check_key(attributes.algorithm, key)?;
    let unit = if version.encrypts_streams() { 1 } else { version.block_len() };
    let mut data = length_prefixed(key, mask_to.saturating_add(2).min(usize::from(u16::MAX)), unit, fill)?;
    let optional = optional.padded(version)?;
    let mut block = optional.to_bytes();
    let length = 16 + block.len() + 2 * data.len() + 2 * version.mac_len();
    let header = Header { version, attributes, scope: None }.to_bytes(length, optional.count())?;
    block.splice(0..0, header);
    let cipher = keys.encryption.cipher()?;
    let mac = match method(version) {
        Method::EncryptThenMac => {
            cipher.cbc_encrypt(&mut header_iv(&header), &mut data)?;
            truncated_cbc_mac(&keys, &block, &data)?
        }
        Method::MacThenCbc => {
            let mac = cmac(&keys.authentication, &[&block, &data])?;
            cipher.cbc_encrypt(&mut mac.clone(), &mut data)?;
            mac
        }
        Method::MacThenCtr => {
            let mac = cmac(&keys.authentication, &[&block, &data])?;
            counter_mode(&cipher, &mac, &mut data)?;
            mac
        }
    };
    block.extend_from_slice(crate::hex::encode(&data).as_bytes());
    block.extend_from_slice(crate::hex::encode(&mac).as_bytes());
    Ok(block)
}

/// Opens an R block, given without the tag.
///
/// Checks are made in the order format, version, MAC, header fields, key. A single DES key is accepted under algorithm T.
///
/// # Errors
/// [`KeyBlockError`].
pub fn unwrap(protection: &ClearKey, block: &[u8]) -> Result<OpenedBlock, KeyBlockError> {
    let frame = Frame::split(Family::X9143, block)?;
    let keys = derive(protection, frame.version)?;
    let (mut data, mac) = frame.ciphertext_and_mac(false)?;
    let cipher = keys.encryption.cipher()?;
    let computed = match method(frame.version) {
        Method::EncryptThenMac => {
            let computed = truncated_cbc_mac(&keys, frame.clear, &data)?;
            cipher.cbc_decrypt(&mut header_iv(frame.header), &mut data)?;
            computed
        }
        Method::MacThenCbc => {
            cipher.cbc_decrypt(&mut mac.clone(), &mut data)?;
            cmac(&keys.authentication, &[frame.clear, &data])?
        }
        Method::MacThenCtr => {
            counter_mode(&cipher, &mac, &mut data)?;
            cmac(&keys.authentication, &[frame.clear, &data])?
        }
    };
    if !bool::from(computed.ct_eq(&mac)) {
        return Err(KeyBlockError::Authentication);
    }
    let (header, optional) = (frame.header()?, frame.optional()?);
    let key = clear_key(header.attributes.algorithm, length_prefixed_key(&data)?)?;
    check_key(header.attributes.algorithm, &key)?;
    Ok(OpenedBlock { header, optional, key })
}

/// How a version combines encryption and MAC.
enum Method {
    /// A and C: CBC with header characters as initial vector, then CBC-MAC over the ciphertext.
    EncryptThenMac,
    /// B and D: CMAC over the plaintext, then CBC with the MAC as initial vector.
    MacThenCbc,
    /// E: CMAC over the plaintext, then counter mode from the MAC.
    MacThenCtr,
}

fn method(version: Version) -> Method {
    match version {
        Version::Thales0 | Version::A | Version::C => Method::EncryptThenMac,
        Version::Thales1 | Version::B | Version::D => Method::MacThenCbc,
        Version::E => Method::MacThenCtr,
    }
}

fn derive(protection: &ClearKey, version: Version) -> Result<DerivedKeys, KeyBlockError> {
    let algorithm = if version.is_aes() { Algorithm::Aes } else { Algorithm::Des };
    if version.family() != Family::X9143 || protection.algorithm() != algorithm {
        return Err(KeyBlockError::LmkScheme);
    }
    Ok(match method(version) {
        Method::EncryptThenMac => variant_method(protection)?,
        Method::MacThenCbc => cmac_method(protection, EncryptionUse::Cbc)?,
        Method::MacThenCtr => cmac_method(protection, EncryptionUse::Ctr)?,
    })
}

fn header_iv(header: &[u8; 16]) -> [u8; 8] {
    core::array::from_fn(|i| header[i])
}

fn truncated_cbc_mac(keys: &DerivedKeys, clear: &[u8], ciphertext: &[u8]) -> Result<Bytes, KeyBlockError> {
    let [a, b, c, d, ..] = cbc_mac(&keys.authentication.cipher()?, clear, ciphertext)?;
    Ok(Zeroizing::new(vec![a, b, c, d]))
}

/// AES in counter mode, whose first counter block is the 16-byte MAC.
fn counter_mode(cipher: &BlockCipher, mac: &[u8], data: &mut [u8]) -> Result<(), KeyBlockError> {
    let start = u128::from_be_bytes(mac.try_into().map_err(|_| KeyBlockError::Body)?);
    for (n, chunk) in (0u128..).zip(data.chunks_mut(16)) {
        let mut keystream = Zeroizing::new(start.wrapping_add(n).to_be_bytes());
        cipher.ecb_encrypt(&mut *keystream)?;
        xor_in_place(chunk, &*keystream);
    }
    Ok(())
}
