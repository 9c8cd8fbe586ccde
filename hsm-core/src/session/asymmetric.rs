//! Operations on RSA and elliptic-curve keys (keys.md 5 and 7, card-emv-mac.md 7 and 8).

use super::Session;
use super::keys::OpenKey;
use crate::asymmetric::{
    AsymmetricError, CryptoSource, Curve, Digest, EcPrivate, EcPublic, EncryptionPadding, RsaPrivate, RsaPublic,
    SignaturePadding, object_identifier,
};
use crate::clear_key::{Algorithm, ClearKey};
use crate::key_block::header::{
    Attributes, BlockAlgorithm, Exportability, Family, KeyVersion, ModeOfUse, Scope, Usage,
};
use crate::key_block::optional::OptionalBlocks;
use crate::key_block::{KeyBlockError, rules, thales};
use crate::lmk::{Lmk, LmkAlgorithm, LmkId, LmkPair, LmkScheme};
use crate::mac::{HashAlgorithm, mac_matches};
use crate::module::ChangeRole;
use crate::rsa_encoding::{self, BIT_STRING, INTEGER, OCTET_STRING, PublicKeyEncoding, SEQUENCE, element, put_element};
use hsm_plugin_sdk::abi::{
    AsymmetricOps, CertificateParts, ErrorCode, ImportedKey, KeyAttributes, KeyHandle, KeyOps, KeyPurpose, RsaPadding,
    SignatureAlgorithm, SignatureMethod,
};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Highest index of EK.
const MAX_STORED_KEY: u8 = 20;

/// Most optional blocks that a request may give a key.
const MAX_OPTIONAL_BLOCKS: usize = 8;

/// Usage and mode of the key types of EI: signature, key management, both, ICC, PIN translation.
const RSA_KEY_TYPES: [([u8; 2], ModeOfUse); 5] = [
    (*b"03", ModeOfUse::Sign),
    (*b"03", ModeOfUse::Decrypt),
    (*b"03", ModeOfUse::Any),
    (*b"04", ModeOfUse::Any),
    (*b"05", ModeOfUse::Any),
];

/// Public key encoding of a certificate request refused.
const CSR_ENCODING: ErrorCode = ErrorCode::new("E2");
/// Public key of a certificate request refused.
const CSR_PUBLIC_KEY: ErrorCode = ErrorCode::new("E4");
/// Subject of a certificate request refused.
const CSR_SUBJECT: ErrorCode = ErrorCode::new("E8");

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
                let stored = self.stored_field(field)?;
                self.unwrap_private(&lmk, stored.as_deref().unwrap_or(field))?
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
        let key = self.unwrap_private(&old, field)?;
        match self.translated_attributes(&old, &new, &key, given)? {
            Some(given) => Ok((true, self.wrap_block(&new, &key, &given)?)),
            None => Ok((false, self.wrap_private(&new, &key)?)),
        }
    }

    fn private_key_load(&mut self, index: u8, field: &[u8]) -> Result<(), ErrorCode> {
        if index > MAX_STORED_KEY {
            return self.refuse(ErrorCode::COMPONENT_COUNT, "a private key is stored at an index from 00 to 20");
        }
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
        let key = self.key_for(key, &[KeyPurpose::RSA_PRIVATE])?;
        self.may(&key, ModeOfUse::Sign, ErrorCode::COMPONENT_COUNT)?;
        let digest = self.digest(method, data)?;
        let random = &mut CryptoSource(&mut *self.random);
        let signature = match (private_key(&key), rsa_signature_padding(method)) {
            (Ok(PrivateKey::Rsa(key)), Some(padding)) => key.sign(random, padding, &digest),
            (Ok(PrivateKey::Ec(key)), None) => key.sign(&digest),
            (Ok(_), _) => return self.refuse_kind(),
            (Err(error), _) => Err(error),
        };
        signature.or_else(|error| {
            let code = match error {
                AsymmetricError::DataLength => ErrorCode::PUBLIC_KEY_LENGTH,
                AsymmetricError::DigestInfo => ErrorCode::DIGEST_INFO,
                _ => ErrorCode::PRIVATE_KEY,
            };
            self.refuse(code, error.to_string())
        })
    }

    fn signature_verify(
        &mut self,
        key: KeyHandle,
        method: SignatureMethod,
        data: &[u8],
        signature: &[u8],
    ) -> Result<bool, ErrorCode> {
        let key = self.key_for(key, &[KeyPurpose::RSA_PUBLIC])?;
        self.may(&key, ModeOfUse::Verify, ErrorCode::KEY_FUNCTION)?;
        let digest = self.digest(method, data)?;
        match (self.public_key(&key)?, rsa_signature_padding(method)) {
            (PublicKey::Rsa(key), Some(padding)) => {
                if signature.len() != key.modulus_len() {
                    return self.refuse(ErrorCode::PUBLIC_KEY_LENGTH, "a signature is as long as the modulus");
                }
                Ok(key.verify(padding, &digest, signature))
            }
            (PublicKey::Ec(key), None) => Ok(key.verify(&digest, signature)),
            _ => self.refuse_kind(),
        }
    }

    fn certificate_request(
        &mut self,
        key: KeyHandle,
        encoding: [u8; 2],
        public: &[u8],
        method: SignatureMethod,
        subject: &[u8],
    ) -> Result<Vec<u8>, ErrorCode> {
        let private = self.key_for(key, &[KeyPurpose::RSA_PRIVATE])?;
        let key_info = match (self.private_key(&private)?, PublicKeyEncoding::parse(&encoding)) {
            (PrivateKey::Rsa(key), Ok(encoding)) => {
                let numbers = key.public().numbers().map_err(|_| ErrorCode::INTERNAL)?;
                (numbers.encode(encoding) == public).then(|| rsa_encoding::subject_public_key_info(&numbers))
            }
            (PrivateKey::Ec(key), Err(_)) if encoding == *b"03" => {
                let info = key.public().map_err(|_| ErrorCode::INTERNAL)?.encode();
                (info == public).then_some(info)
            }
            _ => return self.refuse(CSR_ENCODING, "this kind of key does not have this encoding"),
        };
        let Some(key_info) = key_info else {
            return self.refuse(CSR_PUBLIC_KEY, "the public key is not that of the private key");
        };
        if rsa_encoding::der_len(subject) != Ok(subject.len()) {
            return self.refuse(CSR_SUBJECT, "the subject is not a DER SEQUENCE");
        }
        let Some(algorithm) = signature_identifier(method) else {
            return self.refuse(ErrorCode::KEY_LENGTH_FLAG, "there is no signature algorithm with this hash");
        };
        let mut info = vec![INTEGER, 1, 0];
        info.extend_from_slice(subject);
        info.extend_from_slice(&key_info);
        // No attributes.
        info.extend_from_slice(&[0xA0, 0]);
        let mut request = Vec::new();
        put_element(&mut request, SEQUENCE, &info);
        let signature = self.signature_generate(key, method, &request)?;
        request.extend_from_slice(&algorithm);
        put_element(&mut request, BIT_STRING, &[&[0], signature.as_slice()].concat());
        let mut out = Vec::new();
        put_element(&mut out, SEQUENCE, &request);
        Ok(out)
    }

    fn key_encrypt(
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
            Some(attributes) if attributes.exportability == Exportability::Sensitive => {}
            Some(_) => {
                return self.refuse(ErrorCode::EXPORTABILITY, "only keys of exportability S may leave their key block");
            }
        }
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

    fn key_decrypt(
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
        if clear.algorithm() == Algorithm::Des && clear.len() == 8 && !self.state.settings.single_des {
            return self.refuse(ErrorCode::NOT_AUTHORISED, "single-length DES keys are disabled");
        }
        let clear = clear.with_odd_parity();
        let iv = iv.to_vec();
        let opened = match key.attributes {
            None => OpenKey::new(clear, key.purpose, None),
            Some((usage, mode)) => {
                let algorithm = match clear.algorithm() {
                    Algorithm::Des if clear.len() == 8 => BlockAlgorithm::Des,
                    Algorithm::Des => BlockAlgorithm::Tdes,
                    Algorithm::Aes => BlockAlgorithm::Aes,
                    _ => BlockAlgorithm::Hmac,
                };
                let mode = ModeOfUse::from_id(Family::Thales, mode)
                    .or_else(|error| self.refuse_block("the key block", error))?;
                OpenKey::new(clear, KeyPurpose::NEW_KEY, Some(attributes(usage, algorithm, mode)?))
            }
        };
        Ok((self.hold_key(Arc::new(opened))?, iv))
    }
}

/// A private key that an operation has taken out of its encoding.
enum PrivateKey {
    Rsa(Box<RsaPrivate>),
    Ec(EcPrivate),
}

/// A public key that an operation has taken out of its encoding.
enum PublicKey {
    Rsa(Box<RsaPublic>),
    Ec(EcPublic),
}

impl Session {
    fn refuse_data_block<T>(&mut self) -> Result<T, ErrorCode> {
        self.refuse(ErrorCode::CLEAR_DATA_BLOCK, "the encrypted data does not hold a key")
    }

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
        let private = matches!(wanted, ModeOfUse::Sign | ModeOfUse::Decrypt);
        let (code, why) = if private && attributes.usage.id() != *b"03" {
            (ErrorCode::KEY_USAGE, format!("key usage {} is not for signatures or key management", attributes.usage))
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

    /// The public key that `der` begins with.
    fn hold_public(&mut self, encoding: Option<[u8; 2]>, der: &[u8]) -> Result<KeyHandle, ErrorCode> {
        let (key, len) = self.read_public(encoding, der)?;
        let der = der.get(..len).ok_or(ErrorCode::INTERNAL)?;
        let key = public_open_key(&key, der, KeyPurpose::NEW_KEY)?;
        self.hold_key(Arc::new(key))
    }

    fn private_key(&mut self, key: &OpenKey) -> Result<PrivateKey, ErrorCode> {
        private_key(key).or_else(|error| self.refuse(ErrorCode::PRIVATE_KEY, error.to_string()))
    }

    fn public_key(&mut self, key: &OpenKey) -> Result<PublicKey, ErrorCode> {
        Ok(self.read_public(None, key.key().bytes())?.0)
    }

    /// Reads the public key that `field` begins with, and its length.
    fn read_public(&mut self, encoding: Option<[u8; 2]>, field: &[u8]) -> Result<(PublicKey, usize), ErrorCode> {
        let ec = || EcPublic::decode(field).map(|(key, len)| (PublicKey::Ec(key), len));
        let rsa = |encoding| {
            let (numbers, len) = rsa_encoding::RsaPublicKey::decode(encoding, field).ok()?;
            RsaPublic::new(&numbers).ok().map(|key| (PublicKey::Rsa(Box::new(key)), len))
        };
        let read = match encoding {
            Some([b'0', b'3']) => ec().ok(),
            Some(id) => match PublicKeyEncoding::parse(&id) {
                Ok(encoding) => rsa(encoding),
                Err(error) => return self.refuse(ErrorCode::new(error.code()), "there is no such encoding"),
            },
            // The unsigned encoding takes two's-complement numbers too.
            None => rsa(PublicKeyEncoding::UnsignedDer).or_else(|| ec().ok()),
        };
        match read {
            Some(read) => Ok(read),
            None => self.refuse(ErrorCode::KEY_TYPE_CODE, "the public key is not one, or not in this encoding"),
        }
    }

    fn digest(&mut self, method: SignatureMethod, data: &[u8]) -> Result<Digest, ErrorCode> {
        match (hash_algorithm(method.hash), &method.hash) {
            (Some(hash), _) => Ok(Digest::of(hash, data)),
            (None, b"04") if method.algorithm == SignatureAlgorithm::RsaPkcs1 => {
                Digest::from_info(data).or_else(|error| self.refuse(ErrorCode::DIGEST_INFO, error.to_string()))
            }
            _ => self.refuse(ErrorCode::KEY_LENGTH_FLAG, "there is no hash with this identifier for such signatures"),
        }
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
                self.require_named(&format!("import.{usage}.host").to_ascii_lowercase())?;
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
                self.key_may_import(key.purpose)?;
                let symmetric =
                    !matches!(key.purpose, KeyPurpose::RSA_PRIVATE | KeyPurpose::RSA_PUBLIC | KeyPurpose::HMAC);
                if key.aes || !symmetric {
                    return self.refuse(ErrorCode::KEY_FUNCTION, "only DES keys are imported under a variant LMK here");
                }
                Ok(Algorithm::Des)
            }
            (true, None) => self.refuse(ErrorCode::INPUT_DATA, "a key-block LMK needs key block attributes"),
            (false, Some(_)) => self.refuse(ErrorCode::INPUT_DATA, "a variant LMK has no key block attributes"),
        }
    }

    /// The LMKs that a key is translated from and to: the one in the slot, and the one in its key change storage.
    fn translation(&mut self) -> Result<(Arc<Lmk>, Arc<Lmk>), ErrorCode> {
        let live = self.lmk()?.clone();
        match self.state.lmks.change_storage.get(&self.lmk_id) {
            Some(entry) => Ok(match entry.role {
                ChangeRole::Old => (entry.lmk.clone(), live),
                ChangeRole::New => (live, entry.lmk.clone()),
            }),
            None => {
                let why = format!("key change storage of slot {:02} is empty", self.lmk_id);
                self.refuse(ErrorCode::KEY_CHANGE_STORAGE, why)
            }
        }
    }

    /// The attributes that a translated key gets: `None` under a variant LMK.
    fn translated_attributes<'a>(
        &mut self,
        old: &Lmk,
        new: &Lmk,
        key: &OpenKey,
        given: Option<KeyAttributes<'a>>,
    ) -> Result<Option<KeyAttributes<'a>>, ErrorCode> {
        match (old.scheme(), new.scheme(), given) {
            (LmkScheme::Variant, LmkScheme::Variant, None) => Ok(None),
            (LmkScheme::Variant, LmkScheme::KeyBlock, Some(given)) => Ok(Some(given)),
            (LmkScheme::KeyBlock, LmkScheme::KeyBlock, None) => {
                let version = key.attributes().ok_or(ErrorCode::INTERNAL)?.key_version.id();
                Ok(Some(KeyAttributes { key_version: Some(version), ..KeyAttributes::default() }))
            }
            (LmkScheme::KeyBlock, LmkScheme::Variant, _) => {
                self.refuse(ErrorCode::LMK_SCHEMES, "a key cannot go from a key-block LMK to a variant LMK")
            }
            _ => self
                .refuse(ErrorCode::INPUT_DATA, "key block attributes are for keys from a variant to a key-block LMK"),
        }
    }

    fn wrap_block(&mut self, lmk: &Lmk, key: &OpenKey, given: &KeyAttributes<'_>) -> Result<Vec<u8>, ErrorCode> {
        let Some(mut attributes) = key.attributes().copied() else { return Err(ErrorCode::INTERNAL) };
        let scope = LmkId::new(self.lmk_id).map(Scope::Lmk).ok_or(ErrorCode::INTERNAL)?;
        let random = &mut *self.random;
        let wrapped = (|| {
            if given.usage.is_some_and(|usage| usage != attributes.usage.id()) {
                return Err(KeyBlockError::Usage);
            }
            if let Some(mode) = given.mode {
                let mode = ModeOfUse::from_id(Family::Thales, mode)?;
                if mode != attributes.mode && attributes.usage.id() != *b"02" {
                    return Err(KeyBlockError::Mode);
                }
                attributes.mode = mode;
            }
            attributes.key_version = KeyVersion::new(given.key_version.unwrap_or(KeyVersion::NONE.id()))?;
            if let Some(id) = given.exportability {
                attributes.exportability = rules::narrow(attributes.exportability, Exportability::from_id(id)?)?;
            } else if key.purpose == KeyPurpose::NEW_KEY {
                attributes.exportability = Exportability::Sensitive;
            }
            rules::check(&attributes)?;
            let count = format!("{:02}", given.optional_count);
            let (optional, len) =
                OptionalBlocks::parse_host(count.as_bytes(), given.optional_blocks, MAX_OPTIONAL_BLOCKS)?;
            if len != given.optional_blocks.len() {
                return Err(KeyBlockError::OptionalHeader);
            }
            let keys = lmk.protection_keys()?;
            let mut fill = |bytes: &mut [u8]| random.fill_bytes(bytes);
            let mut block = thales::wrap(keys, scope, attributes, &optional, key.key(), &mut fill)?;
            block.insert(0, b'S');
            Ok(block)
        })();
        wrapped.or_else(|error| self.refuse_block("the key block", error))
    }

    /// An RSA private key under a variant LMK.
    ///
    /// The layout is this emulator's: the device's is not public, only its length (keys.md 5.2). Encrypted under LMK pair 34-35 in CBC
    /// mode with a zero initial vector: `01`, the key type of EI, the modulus length in bits (2 bytes), 4 random bytes, the first
    /// 8 bytes of SHA-256 over these 8 bytes and the numbers, then p, q, dp, dq and qinv of half the modulus length each, then
    /// random fill to 8 bytes.
    fn wrap_private(&mut self, lmk: &Lmk, key: &OpenKey) -> Result<Vec<u8>, ErrorCode> {
        let Some(pair) = lmk.pair(LmkPair::RSA_PRIVATE) else {
            return self.refuse(ErrorCode::LMK_SCHEMES, "under a key-block LMK a private key is a key block");
        };
        let PrivateKey::Rsa(private) = self.private_key(key)? else { return self.refuse_kind() };
        let attributes = key.attributes().map(|attributes| (attributes.usage.id(), attributes.mode));
        let Some(key_type) = RSA_KEY_TYPES.iter().position(|known| Some(*known) == attributes) else {
            return self.refuse(ErrorCode::KEY_USAGE, "a variant LMK has no type for keys of this usage and mode");
        };
        let crt = private.to_crt().map_err(|_| ErrorCode::INTERNAL)?;
        let bits = private.public().numbers().map_err(|_| ErrorCode::INTERNAL)?.modulus_bits();
        let half = bits.div_ceil(16);
        let mut data = Zeroizing::new(Vec::with_capacity(private_len(bits)));
        data.extend_from_slice(&[1, key_type as u8]);
        data.extend_from_slice(&(bits as u16).to_be_bytes());
        let mut random = [0; 4];
        self.random.fill_bytes(&mut random);
        data.extend_from_slice(&random);
        data.extend_from_slice(&[0; 8]);
        for number in [&crt.p, &crt.q, &crt.dp, &crt.dq, &crt.qinv] {
            let padded = data.len() + half.saturating_sub(number.len());
            data.resize(padded, 0);
            data.extend_from_slice(number);
        }
        let check = private_check(&data).ok_or(ErrorCode::INTERNAL)?;
        data.get_mut(8..16).ok_or(ErrorCode::INTERNAL)?.copy_from_slice(&check);
        let filled = data.len();
        data.resize(private_len(bits), 0);
        self.random.fill_bytes(data.get_mut(filled..).ok_or(ErrorCode::INTERNAL)?);
        let cipher = pair.cipher().map_err(|_| ErrorCode::DES_FAILURE)?;
        cipher.cbc_encrypt(&mut [0; 8], &mut data).map_err(|_| ErrorCode::DES_FAILURE)?;
        Ok(core::mem::take(&mut *data))
    }

    fn unwrap_private(&mut self, lmk: &Lmk, field: &[u8]) -> Result<OpenKey, ErrorCode> {
        let Some(pair) = lmk.pair(LmkPair::RSA_PRIVATE) else {
            let rule = self.rule(KeyPurpose::RSA_PRIVATE)?;
            return self.unwrap_key_block(KeyPurpose::RSA_PRIVATE, rule, lmk, field);
        };
        if is_key_block(field) {
            return self.refuse_block("the key block", KeyBlockError::LmkScheme);
        }
        let lengths =
            private_len(crate::asymmetric::MIN_RSA_BITS.into())..=private_len(crate::asymmetric::MAX_RSA_BITS.into());
        if !lengths.contains(&field.len()) || !field.len().is_multiple_of(8) {
            return self.refuse(ErrorCode::PRIVATE_KEY_LENGTH, "no RSA private key under the LMK has this length");
        }
        let mut data = Zeroizing::new(field.to_vec());
        let cipher = pair.cipher().map_err(|_| ErrorCode::DES_FAILURE)?;
        cipher.cbc_decrypt(&mut [0; 8], &mut data).map_err(|_| ErrorCode::DES_FAILURE)?;
        let opened = || {
            let (&[version, key_type, high, low, ..], _) = data.split_first_chunk::<8>()?;
            let bits = usize::from(u16::from_be_bytes([high, low]));
            let half = bits.div_ceil(16);
            if version != 1 || bits == 0 || private_len(bits) != data.len() {
                return None;
            }
            let kept = data.get(..16 + 5 * half)?;
            if !mac_matches(&private_check(kept)?, kept.get(8..16)?) {
                return None;
            }
            let mut numbers = kept.get(16..)?.chunks(half).map(|number| Zeroizing::new(number.to_vec()));
            let mut next = || numbers.next();
            let crt = rsa_encoding::RsaPrivateKey { p: next()?, q: next()?, dp: next()?, dq: next()?, qinv: next()? };
            let (usage, mode) = *RSA_KEY_TYPES.get(usize::from(key_type))?;
            let key = ClearKey::new(Algorithm::Rsa, &crt.encode()).ok()?;
            let attributes = attributes(usage, BlockAlgorithm::Rsa, mode).ok()?;
            Some(OpenKey::new(key, KeyPurpose::RSA_PRIVATE, Some(attributes)))
        };
        match opened() {
            Some(key) => Ok(key),
            None => self.refuse(ErrorCode::PRIVATE_KEY, "the field is not an RSA private key under this LMK"),
        }
    }

    fn unwrap_public(
        &mut self,
        lmk: &Lmk,
        mac: Option<[u8; 4]>,
        field: &[u8],
        authentication_data: &[u8],
    ) -> Result<OpenKey, ErrorCode> {
        let Some(mac) = mac else {
            let rule = self.rule(KeyPurpose::RSA_PUBLIC)?;
            return self.unwrap_key_block(KeyPurpose::RSA_PUBLIC, rule, lmk, field);
        };
        let (key, len) = self.read_public(None, field)?;
        if len != field.len() {
            return self.refuse(ErrorCode::KEY_TYPE_CODE, "bytes follow the public key");
        }
        if lmk.scheme() == LmkScheme::KeyBlock {
            return self.refuse_block("the key block", KeyBlockError::LmkScheme);
        }
        if !mac_matches(&public_mac(lmk, field, authentication_data)?, &mac) {
            return self.refuse(ErrorCode::VERIFICATION_FAILED, "the MAC of the public key is wrong");
        }
        public_open_key(&key, field, KeyPurpose::RSA_PUBLIC)
    }
}

/// The hash of an identifier (card-emv-mac.md 7). 03, ISO 10118-2, leaves open which block cipher it means, and is not here.
fn hash_algorithm(id: [u8; 2]) -> Option<HashAlgorithm> {
    Some(match &id {
        b"01" => HashAlgorithm::Sha1,
        b"02" => HashAlgorithm::Md5,
        b"05" => HashAlgorithm::Sha224,
        b"06" => HashAlgorithm::Sha256,
        b"07" => HashAlgorithm::Sha384,
        b"08" => HashAlgorithm::Sha512,
        _ => return None,
    })
}

/// The AlgorithmIdentifier of a signature (RFC 4055, RFC 5758).
fn signature_identifier(method: SignatureMethod) -> Option<Vec<u8>> {
    const RSA: &[u8] = &[6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1];
    const ECDSA: &[u8] = &[6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3];
    let hash = hash_algorithm(method.hash)?;
    let contents = match method.algorithm {
        SignatureAlgorithm::RsaPkcs1 => {
            let arc = match hash {
                HashAlgorithm::Md5 => 4,
                HashAlgorithm::Sha1 => 5,
                HashAlgorithm::Sha256 => 11,
                HashAlgorithm::Sha384 => 12,
                HashAlgorithm::Sha512 => 13,
                HashAlgorithm::Sha224 => 14,
            };
            [RSA, &[arc, 5, 0]].concat()
        }
        SignatureAlgorithm::RsaPss => {
            let mut identifier = Vec::new();
            put_element(&mut identifier, SEQUENCE, &[object_identifier(hash), &[5, 0]].concat());
            let mut mask = Vec::new();
            put_element(&mut mask, SEQUENCE, &[RSA, &[8], &identifier].concat());
            let mut fields = Vec::new();
            put_element(&mut fields, 0xA0, &identifier);
            put_element(&mut fields, 0xA1, &mask);
            put_element(&mut fields, 0xA2, &[INTEGER, 1, hash.output_len() as u8]);
            let mut parameters = Vec::new();
            put_element(&mut parameters, SEQUENCE, &fields);
            [RSA, &[10], &parameters].concat()
        }
        SignatureAlgorithm::Ecdsa => match hash {
            HashAlgorithm::Md5 => return None,
            HashAlgorithm::Sha1 => vec![6, 7, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 1],
            HashAlgorithm::Sha224 => [ECDSA, &[1]].concat(),
            HashAlgorithm::Sha256 => [ECDSA, &[2]].concat(),
            HashAlgorithm::Sha384 => [ECDSA, &[3]].concat(),
            HashAlgorithm::Sha512 => [ECDSA, &[4]].concat(),
        },
    };
    let mut out = Vec::new();
    put_element(&mut out, SEQUENCE, &contents);
    Some(out)
}

/// The padding of an RSA signature; `None` for ECDSA.
fn rsa_signature_padding(method: SignatureMethod) -> Option<SignaturePadding> {
    match method.algorithm {
        SignatureAlgorithm::RsaPkcs1 => Some(SignaturePadding::Pkcs1),
        SignatureAlgorithm::RsaPss => Some(SignaturePadding::Pss),
        SignatureAlgorithm::Ecdsa => None,
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

fn private_key(key: &OpenKey) -> Result<PrivateKey, AsymmetricError> {
    let der = key.key().bytes();
    match key.algorithm() {
        Algorithm::Rsa => {
            let (crt, _) = rsa_encoding::RsaPrivateKey::decode(der).map_err(|_| AsymmetricError::PrivateKey)?;
            RsaPrivate::from_crt(&crt).map(Box::new).map(PrivateKey::Rsa)
        }
        Algorithm::Ec => EcPrivate::decode(der).map(PrivateKey::Ec),
        _ => Err(AsymmetricError::PrivateKey),
    }
}

fn public_open_key(key: &PublicKey, der: &[u8], purpose: KeyPurpose) -> Result<OpenKey, ErrorCode> {
    let (algorithm, block) = match key {
        PublicKey::Rsa(_) => (Algorithm::Rsa, BlockAlgorithm::Rsa),
        PublicKey::Ec(_) => (Algorithm::Ec, BlockAlgorithm::Ec),
    };
    let clear = ClearKey::new(algorithm, der).map_err(|_| ErrorCode::INTERNAL)?;
    Ok(OpenKey::new(clear, purpose, Some(attributes(*b"02", block, ModeOfUse::Any)?)))
}

fn public_mac(lmk: &Lmk, der: &[u8], authentication_data: &[u8]) -> Result<[u8; 4], ErrorCode> {
    let pair = lmk.pair(LmkPair::RSA_PUBLIC_MAC).ok_or(ErrorCode::LMK_SCHEMES)?;
    rsa_encoding::public_key_mac(pair, der, authentication_data).map_err(|error| ErrorCode::new(error.code()))
}

/// Length of a private key under a variant LMK (keys.md 5.2).
fn private_len(modulus_bits: usize) -> usize {
    (16 + 5 * modulus_bits.div_ceil(16)).next_multiple_of(8)
}

/// The check over a private key's first 8 bytes and its numbers.
fn private_check(data: &[u8]) -> Option<[u8; 8]> {
    let input = Zeroizing::new([data.get(..8)?, data.get(16..)?].concat());
    HashAlgorithm::Sha256.digest(&input).first_chunk().copied()
}

/// Whether a field is a key block with its tag, to judge by its header's length.
fn is_key_block(field: &[u8]) -> bool {
    let length = field.get(2..6).and_then(|digits| core::str::from_utf8(digits).ok()).and_then(|d| d.parse().ok());
    field.first() == Some(&b'S') && length == field.len().checked_sub(1)
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
