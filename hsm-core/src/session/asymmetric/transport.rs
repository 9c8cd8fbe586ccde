//! Symmetric keys under RSA public keys (keys.md 7 `GI`, `GK`).

use super::super::Session;
use super::super::keys::{OpenKey, with_usual_parity};
use super::attributes;
use super::private::PrivateKey;
use super::public::PublicKey;
use super::signature::hash_algorithm;
use crate::asymmetric::{AsymmetricError, CryptoSource, EncryptionPadding};
use crate::clear_key::{Algorithm, ClearKey};
use crate::key_block::header::{Attributes, BlockAlgorithm, Exportability, Family, ModeOfUse, Usage};
use crate::key_block::rules;
use crate::lmk::LmkScheme;
use crate::mac::HashAlgorithm;
use crate::rsa_encoding::{OCTET_STRING, SEQUENCE, element, put_element};
use hsm_plugin_sdk::abi::{ErrorCode, ImportedKey, KeyHandle, KeyOps, KeyPurpose, RsaPadding};
use std::sync::Arc;
use zeroize::Zeroizing;

impl Session {
    pub(super) fn encrypt_key(
        &mut self,
        key: KeyHandle,
        public: KeyHandle,
        padding: RsaPadding<'_>,
        der: bool,
    ) -> Result<(Vec<u8>, Vec<u8>), ErrorCode> {
        let public = self.key_for(public, &[KeyPurpose::RSA_PUBLIC])?;
        self.may(&public, ModeOfUse::Encrypt, ErrorCode::KEY_FUNCTION)?;
        let key = self.key(key)?.clone();
        self.may_leave(&key)?;
        self.in_force(key.optional())?;
        let iv_len = match key.algorithm() {
            Algorithm::Des | Algorithm::Hmac => 8,
            Algorithm::Aes => 16,
            Algorithm::Rsa | Algorithm::Ec => {
                return self.refuse(ErrorCode::KEY_FUNCTION, "only symmetric keys are exported under a public key");
            }
        };
        // Outside of a key block nothing keeps the attributes, so E (key blocks only) is not enough.
        match key.attributes() {
            None => self.key_type_leaves(key.purpose)?,
            Some(attributes) if attributes.exportability == Exportability::Sensitive => {
                let usage = attributes.usage;
                self.usage_leaves(usage)?;
                if !self.state.settings.sensitive_export {
                    return self.refuse(ErrorCode::EXPORTABILITY, "export of keys of exportability S is disabled");
                }
                self.may_leave_without_key_block()?;
            }
            Some(_) => {
                return self.refuse(ErrorCode::EXPORTABILITY, "only keys of exportability S may leave their key block");
            }
        }
        self.allow_length_of(key.key())?;
        let PublicKey::Rsa(public) = self.public_key(&public)? else { return self.refuse_kind() };
        let padding = self.encryption_padding(padding)?;
        let mut iv = vec![0; if der { iv_len } else { 0 }];
        self.random.fill_bytes(&mut iv);
        let block = if der { data_block(key.key(), &iv) } else { Zeroizing::new(key.key().bytes().to_vec()) };
        match public.encrypt(&mut CryptoSource(&mut *self.random), padding, &block) {
            Ok(encrypted) => Ok((encrypted, iv)),
            Err(error) => self.refuse(ErrorCode::PUBLIC_KEY_LENGTH, error.to_string()),
        }
    }

    pub(super) fn decrypt_key(
        &mut self,
        private: KeyHandle,
        padding: RsaPadding<'_>,
        data: &[u8],
        key: ImportedKey,
    ) -> Result<(KeyHandle, Vec<u8>), ErrorCode> {
        let private = self.key_for(private, &[KeyPurpose::RSA_PRIVATE])?;
        self.may(&private, ModeOfUse::Decrypt, ErrorCode::KEY_FUNCTION)?;
        let algorithm = self.may_import_under_rsa(&key)?;
        let PrivateKey::Rsa(private) = self.private_key(&private)? else { return self.refuse_kind() };
        let padding = self.encryption_padding(padding)?;
        let block = match private.decrypt(&mut CryptoSource(&mut *self.random), padding, data) {
            Ok(block) => block,
            Err(AsymmetricError::DataLength) => {
                return self.refuse(ErrorCode::PUBLIC_KEY_LENGTH, "encrypted data is as long as the modulus");
            }
            Err(_) => return self.refuse_data_block(),
        };
        let parts = if key.der { data_block_parts(&block) } else { Some((block.as_slice(), [].as_slice())) };
        // A key of an impossible length is not told from wrong padding, which would help to decrypt.
        let opened = parts.and_then(|(bytes, iv)| Some((ClearKey::new(algorithm, bytes).ok()?, iv)));
        let Some((clear, iv)) = opened else { return self.refuse_data_block() };
        self.allow_length_of(&clear)?;
        let (clear, _) = with_usual_parity(clear, key.purpose, key.attributes.map(|(usage, _)| usage));
        self.allow_value(&clear)?;
        let lmk = self.lmk()?.clone();
        self.allow_strength(&lmk, &clear)?;
        let iv = iv.to_vec();
        let opened = match key.attributes {
            // GI names no hash function; SHA-1 is the one that all firmware has.
            None => OpenKey::new(clear, key.purpose, None).with_hash(HashAlgorithm::Sha1),
            Some((usage, mode)) => {
                let algorithm = match clear.algorithm() {
                    Algorithm::Des if clear.len() == 8 => BlockAlgorithm::Des,
                    Algorithm::Des => BlockAlgorithm::Tdes,
                    Algorithm::Aes => BlockAlgorithm::Aes,
                    _ => BlockAlgorithm::Hmac,
                };
                let mode = ModeOfUse::from_id(Family::Thales, mode)
                    .or_else(|error| self.refuse_block("the key block", error))?;
                let own = attributes(usage, algorithm, mode)?;
                // It did not come in a trusted form.
                let own = Attributes { exportability: Exportability::Sensitive, ..own };
                OpenKey::new(clear, KeyPurpose::NEW_KEY, Some(own))
            }
        };
        Ok((self.hold_key(Arc::new(opened))?, iv))
    }

    fn refuse_data_block<T>(&mut self) -> Result<T, ErrorCode> {
        self.refuse(ErrorCode::CLEAR_DATA_BLOCK, "the encrypted data does not hold a key")
    }

    fn encryption_padding<'a>(&mut self, padding: RsaPadding<'a>) -> Result<EncryptionPadding<'a>, ErrorCode> {
        let RsaPadding::Oaep { hash, parameters } = padding else { return Ok(EncryptionPadding::Pkcs1) };
        match hash_algorithm(hash) {
            Some(hash) => Ok(EncryptionPadding::Oaep { hash, label: parameters }),
            None => self.refuse(ErrorCode::OAEP_HASH, "there is no hash with this identifier"),
        }
    }

    /// Checks that a key may be imported, and says of what kind it is.
    fn may_import_under_rsa(&mut self, key: &ImportedKey) -> Result<Algorithm, ErrorCode> {
        let key_block = self.lmk()?.scheme() == LmkScheme::KeyBlock;
        match (key_block, key.attributes) {
            (true, Some((id, mode))) => {
                let usage = Usage::new(id).or_else(|error| self.refuse_block("the key block", error))?;
                self.may_come_without_key_block()?;
                self.usage_comes(usage)?;
                if self.state.settings.rsa_import_authorised {
                    self.require_named(&format!("import.{usage}.host").to_ascii_lowercase())?;
                }
                let (algorithm, block) = match id {
                    [b'6', b'1'..=b'5'] => (Algorithm::Hmac, BlockAlgorithm::Hmac),
                    _ if key.aes => (Algorithm::Aes, BlockAlgorithm::Aes),
                    _ => (Algorithm::Des, BlockAlgorithm::Tdes),
                };
                let mode = ModeOfUse::from_id(Family::Thales, mode)
                    .or_else(|error| self.refuse_block("the key block", error))?;
                // Whether the key is of single length is not known before it is decrypted; wrapping it checks again.
                rules::check(&attributes(id, block, mode)?)
                    .or_else(|error| self.refuse_block("the key block", error))?;
                Ok(algorithm)
            }
            (false, None) => {
                if key.aes {
                    return self.refuse(ErrorCode::KEY_FUNCTION, "a variant LMK has no AES keys here");
                }
                if key.purpose == KeyPurpose::HMAC {
                    // Not listed among the activities (keys.md 2).
                    return Ok(Algorithm::Hmac);
                }
                if self.state.settings.rsa_import_authorised {
                    self.key_may_import(key.purpose)?;
                } else {
                    self.key_type_comes(key.purpose)?;
                }
                Ok(Algorithm::Des)
            }
            (true, None) => self.refuse(ErrorCode::INPUT_DATA, "a key-block LMK needs key block attributes"),
            (false, Some(_)) => self.refuse(ErrorCode::INPUT_DATA, "a variant LMK has no key block attributes"),
        }
    }
}

/// The data block of GI and GK, type 01: `SEQUENCE{key, initial vector}`, both OCTET STRINGs.
fn data_block(key: &ClearKey, iv: &[u8]) -> Zeroizing<Vec<u8>> {
    let capacity = key.len() + iv.len() + 16;
    let mut body = Zeroizing::new(Vec::with_capacity(capacity));
    put_element(&mut body, OCTET_STRING, key.bytes());
    put_element(&mut body, OCTET_STRING, iv);
    let mut block = Zeroizing::new(Vec::with_capacity(capacity + 4));
    put_element(&mut block, SEQUENCE, &body);
    block
}

/// Key and initial vector of a block that [`data_block`] made.
fn data_block_parts(block: &[u8]) -> Option<(&[u8], &[u8])> {
    let (body, used) = element(SEQUENCE, block).ok()?;
    let (key, key_len) = element(OCTET_STRING, body).ok()?;
    let rest = body.get(key_len..)?;
    let (iv, iv_len) = element(OCTET_STRING, rest).ok()?;
    (used == block.len() && iv_len == rest.len() && matches!(iv.len(), 8 | 16)).then_some((key, iv))
}
