//! HMAC keys under a variant LMK (card-emv-mac.md 7 `L0`).

use super::{OpenKey, Session};
use crate::cipher::BlockCipher;
use crate::clear_key::{Algorithm, ClearKey};
use crate::key_type::KeyType;
use crate::lmk::Lmk;
use crate::mac::{HashAlgorithm, mac_matches};
use crate::scheme::KeyScheme;
use crate::session::asymmetric::hash_algorithm;
use crate::variant::{self, LmkUse};
use hsm_plugin_sdk::abi::{ErrorCode, KeyPurpose};
use zeroize::Zeroizing;

/// Longest HMAC key in bytes: a block of the hashes with the longest blocks. What is longer is hashed before use anyway.
const MAX_LEN: usize = 128;
/// Length and check before the key.
const HEAD: usize = 8;

/// The hash function of HMAC keys of a key usage (keys.md 4.4).
pub(in crate::session) fn hash_of_usage(usage: [u8; 2]) -> Option<HashAlgorithm> {
    match &usage {
        b"61" => Some(HashAlgorithm::Sha1),
        b"62" => Some(HashAlgorithm::Sha224),
        b"63" => Some(HashAlgorithm::Sha256),
        b"64" => Some(HashAlgorithm::Sha384),
        b"65" => Some(HashAlgorithm::Sha512),
        _ => None,
    }
}

impl Session {
    /// An HMAC key under a variant LMK.
    ///
    /// The layout is this emulator's, as the device's is not public. Encrypted under variant 1 of LMK pair 34-35 in CBC mode with a zero initial
    /// vector: the key's length in bytes (2 bytes), the first 6 bytes of SHA-256 over length and key, the key, random fill to 8 bytes.
    pub(in crate::session) fn wrap_hmac(&mut self, lmk: &Lmk, key: &OpenKey) -> Result<Vec<u8>, ErrorCode> {
        let key = key.key();
        if key.algorithm() != Algorithm::Hmac {
            return self.refuse(ErrorCode::KEY_FUNCTION, "the key is no HMAC key");
        }
        if key.len() > MAX_LEN {
            return self.refuse(ErrorCode::KEY_LENGTH, "an HMAC key has up to 128 bytes");
        }
        let cipher = self.hmac_cipher(lmk)?;
        let mut data = Zeroizing::new(vec![0; (HEAD + key.len()).next_multiple_of(8)]);
        let (head, rest) = data.split_at_mut(HEAD);
        let (bytes, fill) = rest.split_at_mut(key.len());
        head.copy_from_slice(&head_of(key.bytes()).ok_or(ErrorCode::INTERNAL)?);
        bytes.copy_from_slice(key.bytes());
        self.random.fill_bytes(fill);
        cipher.cbc_encrypt(&mut [0; 8], &mut data).map_err(|_| ErrorCode::DES_FAILURE)?;
        Ok(core::mem::take(&mut *data))
    }

    /// The key of a field that [`Session::wrap_hmac`] made, for the hash with this identifier: 05 if there is no such hash, 80 for the
    /// field's length, 10 if it is no key.
    pub(in crate::session) fn unwrap_hmac(
        &mut self,
        lmk: &Lmk,
        field: &[u8],
        hash: [u8; 2],
    ) -> Result<OpenKey, ErrorCode> {
        let Some(hash) = hash_algorithm(hash) else {
            return self.refuse(ErrorCode::KEY_LENGTH_FLAG, "there is no hash with this identifier");
        };
        let cipher = self.hmac_cipher(lmk)?;
        if !(HEAD + 1..=HEAD + MAX_LEN).contains(&field.len()) || !field.len().is_multiple_of(8) {
            return self.refuse(ErrorCode::DATA_LENGTH, "no HMAC key under the LMK has this length");
        }
        let mut data = Zeroizing::new(field.to_vec());
        cipher.cbc_decrypt(&mut [0; 8], &mut data).map_err(|_| ErrorCode::DES_FAILURE)?;
        let opened = || {
            let (head, rest) = data.split_first_chunk::<HEAD>()?;
            let len = usize::from(u16::from_be_bytes([head[0], head[1]]));
            let bytes = rest.get(..len)?;
            let whole = (HEAD + len).next_multiple_of(8) == data.len();
            let good = mac_matches(&head_of(bytes)?, head) && whole;
            ClearKey::new(Algorithm::Hmac, bytes).ok().filter(|_| good)
        };
        match opened() {
            Some(key) => Ok(OpenKey::new(key, KeyPurpose::HMAC, None).with_hash(hash)),
            None => self.refuse(ErrorCode::SOURCE_KEY_PARITY, "the field is not an HMAC key under this LMK"),
        }
    }

    fn hmac_cipher(&mut self, lmk: &Lmk) -> Result<BlockCipher, ErrorCode> {
        let ciphers = variant::lmk_part_ciphers(lmk, LmkUse::from(KeyType::HMAC), KeyScheme::Single);
        match ciphers.map(|ciphers| ciphers.into_iter().next()) {
            Ok(Some(cipher)) => Ok(cipher),
            _ => self.refuse(ErrorCode::LMK_SCHEMES, "under a key-block LMK an HMAC key is a key block"),
        }
    }
}

/// Length of a key and the check over length and key.
fn head_of(key: &[u8]) -> Option<[u8; HEAD]> {
    let len = u16::try_from(key.len()).ok()?.to_be_bytes();
    let input = Zeroizing::new([&len, key].concat());
    let check = HashAlgorithm::Sha256.digest(&input);
    let mut head = [0; HEAD];
    let (first, rest) = head.split_at_mut(len.len());
    first.copy_from_slice(&len);
    rest.copy_from_slice(check.get(..HEAD - len.len())?);
    Some(head)
}
