//! Operations on RSA and elliptic-curve keys (keys.md 5 and 7, card-emv-mac.md 7 and 8).

mod agreement;
mod block;
mod private;
mod public;
mod signature;
mod tr34;
mod transport;

use super::Session;
use super::keys::OpenKey;
use crate::asymmetric::{AsymmetricError, CryptoSource, Curve, EcPrivate, RsaPrivate};
use crate::clear_key::{Algorithm, ClearKey};
use crate::key_block::header::{Attributes, BlockAlgorithm, Exportability, Family, KeyVersion, ModeOfUse, Usage};
use crate::key_block::rules;
use crate::lmk::{LmkAlgorithm, LmkScheme};
use crate::rsa_encoding::PublicKeyEncoding;
use hsm_plugin_sdk::abi::{
    Agreement, AsymmetricOps, CertificateParts, ErrorCode, ImportedKey, KeyAttributes, KeyHandle, KeyOps, KeyPurpose,
    RsaPadding, SignatureMethod, Tr34Exchange, Tr34Token,
};
use private::{PrivateKey, RSA_KEY_TYPES};
use public::public_mac;
pub(super) use signature::hash_algorithm;
use std::sync::Arc;

/// Highest index of EK.
const MAX_STORED_KEY: u8 = 20;

/// Moduli longer than this need an AES LMK.
const MAX_BITS_UNDER_TDES: u16 = 2048;

impl AsymmetricOps for Session {
    fn hash(&mut self, id: [u8; 2], data: &[u8]) -> Result<Vec<u8>, ErrorCode> {
        match hash_algorithm(id) {
            Some(hash) => Ok(hash.digest(data)),
            None => self.refuse(ErrorCode::KEY_LENGTH_FLAG, "there is no hash with this identifier"),
        }
    }

    fn rsa_generate(&mut self, key_type: u8, modulus_bits: u16, exponent: &[u8]) -> Result<KeyHandle, ErrorCode> {
        let Some((usage, mode)) = RSA_KEY_TYPES.get(usize::from(key_type)).copied() else {
            return self.refuse(ErrorCode::KEY_LENGTH_FLAG, "an RSA key type is 0 to 4");
        };
        self.require_named("generate.rsa.host")?;
        if exponent.last().is_some_and(|last| last % 2 == 0) {
            return self.refuse(ErrorCode::COMMAND_08, "the public exponent is even");
        }
        if modulus_bits > MAX_BITS_UNDER_TDES && self.lmk()?.algorithm() != LmkAlgorithm::Aes256 {
            return self.refuse(ErrorCode::KEY_TOO_STRONG, "RSA keys of more than 2048 bits need an AES LMK");
        }
        let key = RsaPrivate::generate(&mut CryptoSource(&mut *self.random), modulus_bits, exponent);
        let der = match key.and_then(|key| key.to_crt()) {
            Ok(crt) => crt.encode(),
            Err(error) => {
                let code = match error {
                    AsymmetricError::ModulusLength => ErrorCode::KEY_TYPE_CODE,
                    AsymmetricError::Exponent => ErrorCode::COMMAND_06,
                    _ => ErrorCode::RSA_GENERATION,
                };
                return self.refuse(code, error.to_string());
            }
        };
        self.hold_new(Algorithm::Rsa, &der, attributes(usage, BlockAlgorithm::Rsa, mode)?)
    }

    fn ec_generate(&mut self, curve: u8, mode: u8) -> Result<KeyHandle, ErrorCode> {
        let Some(curve) = Curve::ALL.get(usize::from(curve)).copied() else {
            return self.refuse(ErrorCode::CURVE, "the curve references are 00 to 02");
        };
        self.require_named("generate.ecc.host")?;
        if self.lmk()?.scheme() == LmkScheme::Variant {
            return self.refuse(ErrorCode::LMK_SCHEMES, "elliptic-curve keys need a key-block LMK");
        }
        let mode =
            ModeOfUse::from_id(Family::Thales, mode).or_else(|error| self.refuse_block("the key block", error))?;
        let attributes = attributes(*b"03", BlockAlgorithm::Ec, mode)?;
        rules::check(&attributes).or_else(|error| self.refuse_block("the key block", error))?;
        let key = EcPrivate::generate(&mut CryptoSource(&mut *self.random), curve);
        let der = key.encode().map_err(|_| ErrorCode::INTERNAL)?;
        self.hold_new(Algorithm::Ec, &der, attributes)
    }

    fn public_key_of(&mut self, key: KeyHandle, encoding: [u8; 2]) -> Result<Vec<u8>, ErrorCode> {
        let key = self.key_for(key, &[KeyPurpose::RSA_PRIVATE])?;
        match (self.private_key(&key)?, PublicKeyEncoding::parse(&encoding)) {
            (PrivateKey::Rsa(key), Ok(encoding)) => {
                let numbers = key.public().numbers().map_err(|_| ErrorCode::INTERNAL)?;
                Ok(numbers.encode(encoding))
            }
            (PrivateKey::Ec(key), Err(_)) if encoding == *b"03" => {
                Ok(key.public().map_err(|_| ErrorCode::INTERNAL)?.encode())
            }
            _ => self.refuse(ErrorCode::KEY_ENCODING, "this kind of key does not have this encoding"),
        }
    }

    fn private_key_wrap(&mut self, key: KeyHandle) -> Result<Vec<u8>, ErrorCode> {
        let key = self.key_for(key, &[KeyPurpose::RSA_PRIVATE])?;
        let lmk = self.lmk()?.clone();
        self.wrap_private(&lmk, &key)
    }

    fn key_block_wrap(&mut self, key: KeyHandle, given: KeyAttributes<'_>) -> Result<Vec<u8>, ErrorCode> {
        // What is in a block already must stay in it, with its optional blocks.
        let key = self.key_for(key, &[KeyPurpose::NEW_KEY])?;
        let lmk = self.lmk()?.clone();
        self.wrap_block(&lmk, &key, &given)
    }

    fn private_key_open(&mut self, field: &[u8]) -> Result<KeyHandle, ErrorCode> {
        let lmk = self.lmk()?.clone();
        let key = match lmk.scheme() {
            LmkScheme::KeyBlock => return self.key_open(KeyPurpose::RSA_PRIVATE, field),
            LmkScheme::Variant => {
                let field = self.key_field(field)?;
                self.unwrap_private(&lmk, &field)?
            }
        };
        self.hold_key(Arc::new(key))
    }

    fn private_key_translate(
        &mut self,
        field: &[u8],
        given: Option<KeyAttributes<'_>>,
    ) -> Result<(bool, Vec<u8>), ErrorCode> {
        let (old, new) = self.translation()?;
        let field = self.key_field(field)?;
        let key = self.unwrap_private(&old, &field)?;
        match self.translated_attributes(&old, &new, &key, given)? {
            Some(given) => Ok((true, self.wrap_block(&new, &key, &given)?)),
            None => Ok((false, self.wrap_private(&new, &key)?)),
        }
    }

    fn private_key_load(&mut self, index: u8, field: &[u8]) -> Result<(), ErrorCode> {
        if index > MAX_STORED_KEY {
            return self.refuse(ErrorCode::COMPONENT_COUNT, "a private key is stored at an index from 00 to 20");
        }
        let field = &*self.key_field(field)?;
        let key = self.private_key_open(field)?;
        let key = self.key_for(key, &[KeyPurpose::RSA_PRIVATE])?;
        self.private_key(&key)?;
        self.module.store_private_key(index, field);
        Ok(())
    }

    fn private_key_loaded(&mut self, index: u8) -> Result<KeyHandle, ErrorCode> {
        match self.module.private_key(index) {
            Some(field) => self.private_key_open(&field),
            None => self.refuse(ErrorCode::PRIVATE_KEY, format!("no private key is stored at index {index:02}")),
        }
    }

    fn public_key_length(&mut self, encoding: Option<[u8; 2]>, field: &[u8]) -> Result<u16, ErrorCode> {
        let (_, len) = self.read_public(encoding, field)?;
        u16::try_from(len).map_err(|_| ErrorCode::INTERNAL)
    }

    fn public_key_import(&mut self, encoding: [u8; 2], der: &[u8]) -> Result<KeyHandle, ErrorCode> {
        self.require_named("import.rsa.host")?;
        self.hold_public(Some(encoding), der)
    }

    fn public_key_open(
        &mut self,
        mac: Option<[u8; 4]>,
        field: &[u8],
        authentication_data: &[u8],
    ) -> Result<KeyHandle, ErrorCode> {
        let lmk = self.lmk()?.clone();
        let key = self.unwrap_public(&lmk, mac, field, authentication_data)?;
        self.hold_key(Arc::new(key))
    }

    fn public_key_translate(
        &mut self,
        mac: Option<[u8; 4]>,
        field: &[u8],
        authentication_data: &[u8],
        given: Option<KeyAttributes<'_>>,
    ) -> Result<Vec<u8>, ErrorCode> {
        let (old, new) = self.translation()?;
        let key = self.unwrap_public(&old, mac, field, authentication_data)?;
        match self.translated_attributes(&old, &new, &key, given)? {
            Some(given) => self.wrap_block(&new, &key, &given),
            None => Ok(public_mac(&new, key.key().bytes(), authentication_data)?.to_vec()),
        }
    }

    fn public_key_certified(
        &mut self,
        authority: KeyHandle,
        method: SignatureMethod,
        certificate: &[u8],
        parts: CertificateParts,
        encoding: [u8; 2],
    ) -> Result<KeyHandle, ErrorCode> {
        let part = |(at, len): (u16, u16)| certificate.get(usize::from(at)..)?.get(..usize::from(len));
        let (Some(signed), Some(signature), Some(key)) =
            (part(parts.signed), part(parts.signature), certificate.get(usize::from(parts.key)..))
        else {
            return self.refuse(ErrorCode::DATA_LENGTH, "a part of the certificate is not in the certificate");
        };
        if !self.signature_verify(authority, method, signed, signature)? {
            return self.refuse(ErrorCode::KEY_LENGTH_WARNING, "the certificate's signature is wrong");
        }
        let at = usize::from(parts.key);
        let (from, len) = (usize::from(parts.signed.0), usize::from(parts.signed.1));
        let (_, key_len) = self.read_public(Some(encoding), key)?;
        if at < from || at + key_len > from + len {
            return self.refuse(ErrorCode::DATA_LENGTH, "the signature does not cover the public key");
        }
        self.hold_public(Some(encoding), key)
    }

    fn public_key_encoding(&mut self, key: KeyHandle) -> Result<Vec<u8>, ErrorCode> {
        Ok(self.key_for(key, &[KeyPurpose::RSA_PUBLIC])?.key().bytes().to_vec())
    }

    fn public_key_mac(&mut self, key: KeyHandle, authentication_data: &[u8]) -> Result<[u8; 4], ErrorCode> {
        let key = self.key_for(key, &[KeyPurpose::RSA_PUBLIC])?;
        public_mac(self.lmk()?, key.key().bytes(), authentication_data)
    }

    fn signature_generate(
        &mut self,
        key: KeyHandle,
        method: SignatureMethod,
        data: &[u8],
    ) -> Result<Vec<u8>, ErrorCode> {
        self.sign(key, method, data)
    }

    fn signature_verify(
        &mut self,
        key: KeyHandle,
        method: SignatureMethod,
        data: &[u8],
        signature: &[u8],
    ) -> Result<bool, ErrorCode> {
        self.verify(key, method, data, signature)
    }

    fn certificate_request(
        &mut self,
        key: KeyHandle,
        encoding: [u8; 2],
        public: &[u8],
        method: SignatureMethod,
        subject: &[u8],
    ) -> Result<Vec<u8>, ErrorCode> {
        self.request_certificate(key, encoding, public, method, subject)
    }

    fn key_encrypt(
        &mut self,
        key: KeyHandle,
        public: KeyHandle,
        padding: RsaPadding<'_>,
        der: bool,
    ) -> Result<(Vec<u8>, Vec<u8>), ErrorCode> {
        self.encrypt_key(key, public, padding, der)
    }

    fn key_decrypt(
        &mut self,
        private: KeyHandle,
        padding: RsaPadding<'_>,
        data: &[u8],
        key: ImportedKey,
    ) -> Result<(KeyHandle, Vec<u8>), ErrorCode> {
        self.decrypt_key(private, padding, data, key)
    }

    fn tr34_export(
        &mut self,
        key: KeyHandle,
        private: KeyHandle,
        exchange: Tr34Exchange<'_>,
        attributes: KeyAttributes<'_>,
        version: u8,
    ) -> Result<Tr34Token, ErrorCode> {
        self.export_tr34(key, private, exchange, &attributes, version)
    }

    fn key_agree(
        &mut self,
        private: KeyHandle,
        agreement: Agreement<'_>,
        attributes: KeyAttributes<'_>,
    ) -> Result<KeyHandle, ErrorCode> {
        self.agree(private, agreement, &attributes)
    }
}

impl Session {
    /// Refuses an RSA key where an elliptic-curve key is needed, or the reverse.
    fn refuse_kind<T>(&mut self) -> Result<T, ErrorCode> {
        let code = match self.lmk()?.scheme() {
            LmkScheme::KeyBlock => ErrorCode::ALGORITHM,
            LmkScheme::Variant => ErrorCode::COMMAND_06,
        };
        self.refuse(code, "the key is not for this algorithm")
    }

    /// Checks that a key's mode allows something. Under a variant LMK, where the type of the key says it, `otherwise` refuses.
    fn may(&mut self, key: &OpenKey, wanted: ModeOfUse, otherwise: ErrorCode) -> Result<(), ErrorCode> {
        let Some(attributes) = key.attributes().copied() else {
            return self.refuse(ErrorCode::KEY_FUNCTION, "the key is not an RSA or elliptic-curve key");
        };
        let private = matches!(wanted, ModeOfUse::Sign | ModeOfUse::Decrypt | ModeOfUse::Derive);
        let (code, why) = if private && attributes.usage.id() != *b"03" {
            (
                ErrorCode::KEY_USAGE,
                format!("key usage {} is not for signatures, key management or key agreement", attributes.usage),
            )
        } else if attributes.mode != wanted && attributes.mode != ModeOfUse::Any {
            let mode = char::from(attributes.mode.id());
            (ErrorCode::MODE_OF_USE, format!("mode of use {mode} does not allow this"))
        } else {
            return Ok(());
        };
        let code = if self.lmk()?.scheme() == LmkScheme::Variant { otherwise } else { code };
        self.refuse(code, why)
    }

    fn hold_new(&mut self, algorithm: Algorithm, der: &[u8], attributes: Attributes) -> Result<KeyHandle, ErrorCode> {
        let key = ClearKey::new(algorithm, der).map_err(|_| ErrorCode::INTERNAL)?;
        self.hold_key(Arc::new(OpenKey::new(key, KeyPurpose::NEW_KEY, Some(attributes))))
    }
}

/// Attributes of a new key, with the widest exportability; the key block it goes into may narrow it.
fn attributes(usage: [u8; 2], algorithm: BlockAlgorithm, mode: ModeOfUse) -> Result<Attributes, ErrorCode> {
    Ok(Attributes {
        usage: Usage::new(usage).map_err(|error| ErrorCode::new(error.code()))?,
        algorithm,
        mode,
        key_version: KeyVersion::NONE,
        exportability: Exportability::Exportable,
    })
}
