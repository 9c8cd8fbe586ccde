//! Keys in TR-34 key tokens (keys.md 7 `B8`).

use super::super::Session;
use super::public::PublicKey;
use crate::asymmetric::{CryptoSource, EncryptionPadding};
use crate::clear_key::Algorithm;
use crate::key_block::header::{Family, Header, Version};
use crate::mac::HashAlgorithm;
use crate::tr34::{self, Credential, Encoding, Envelope};
use hsm_plugin_sdk::abi::{
    ErrorCode, KeyAttributes, KeyHandle, KeyPurpose, SignatureAlgorithm, SignatureMethod, Tr34Exchange, Tr34Token,
};

/// Usages of the keys that TR-34 is for: those that wrap other keys.
const USAGES: [[u8; 2]; 4] = [*b"K0", *b"K1", *b"51", *b"52"];

/// The length field of the key block header. It has no meaning here; the samples of the standard have this.
const HEADER_LENGTH: usize = 256;

const SIGNATURE: SignatureMethod = SignatureMethod { hash: *b"06", algorithm: SignatureAlgorithm::RsaPkcs1 };

impl Session {
    pub(super) fn export_tr34(
        &mut self,
        key: KeyHandle,
        private: KeyHandle,
        exchange: Tr34Exchange<'_>,
        given: &KeyAttributes<'_>,
        version: u8,
    ) -> Result<Tr34Token, ErrorCode> {
        let (Some(kdh), Some(krd)) =
            (Credential::parse(exchange.kdh_credential), Credential::parse(exchange.krd_credential))
        else {
            return self.refuse(ErrorCode::INPUT_DATA, "a credential is not an issuer and a serial number in DER");
        };
        if !(tr34::MIN_NONCE..=tr34::MAX_NONCE).contains(&exchange.nonce.len()) {
            return self.refuse(ErrorCode::INPUT_DATA, "the receiver's random number has 8 to 16 bytes");
        }
        // The version has no meaning here; clients ask for B or D.
        let version = Version::from_id(Family::X9143, version)
            .or_else(|error| self.refuse_block("the key block header", error))?;
        let header = self.tr34_header(key, given, version)?;
        let key = self.key(key)?.clone();
        let (PublicKey::Rsa(public), used) = self.read_public(Some(*b"02"), exchange.krd_public_key)? else {
            return Err(ErrorCode::INTERNAL);
        };
        if used != exchange.krd_public_key.len() {
            return self.refuse(ErrorCode::KEY_TYPE_CODE, "bytes follow the public key");
        }

        let ephemeral = self.random_key(Algorithm::Des, 24)?;
        let mut iv = [0; 8];
        self.random.fill_bytes(&mut iv);
        let mut content = tr34::padded(&tr34::key_block(&kdh, key.key(), &header), iv.len());
        let cipher = ephemeral.cipher().map_err(|_| ErrorCode::DES_FAILURE)?;
        cipher.cbc_encrypt(&mut iv.clone(), &mut content).map_err(|_| ErrorCode::DES_FAILURE)?;
        let padding = EncryptionPadding::Oaep { hash: HashAlgorithm::Sha256, label: b"" };
        let encrypted_key = public
            .encrypt(&mut CryptoSource(&mut *self.random), padding, ephemeral.bytes())
            .or_else(|error| self.refuse(ErrorCode::PUBLIC_KEY_LENGTH, error.to_string()))?;
        let encoding = if self.state.settings.tr34_sample_encoding { Encoding::Samples } else { Encoding::Cms };
        let envelope = Envelope { krd, encrypted_key: &encrypted_key, iv, content: &content }.encode(encoding);
        let attributes =
            tr34::signed_attributes(exchange.nonce, &header, &envelope, encoding).ok_or(ErrorCode::INTERNAL)?;
        let signature = self.sign(private, SIGNATURE, &attributes)?;
        Ok(Tr34Token { attributes, envelope, signature })
    }

    /// Checks that a key may be sent, and describes it in a TR-31 header.
    fn tr34_header(
        &mut self,
        key: KeyHandle,
        given: &KeyAttributes<'_>,
        version: Version,
    ) -> Result<Vec<u8>, ErrorCode> {
        let key = self.key(key)?.clone();
        self.may_leave(&key)?;
        let attributes = key.attributes().copied();
        match attributes {
            Some(attributes) if !USAGES.contains(&attributes.usage.id()) => {
                let why = format!("key usage {} is not that of a key that wraps keys", attributes.usage);
                return self.refuse(ErrorCode::KEY_USAGE, why);
            }
            None if key.purpose != KeyPurpose::ZMK => {
                return self.refuse(ErrorCode::KEY_FUNCTION, "under a variant LMK, a ZMK is sent");
            }
            _ => {}
        }
        self.may_export(&key, attributes.as_ref())?;
        match (key.algorithm(), key.key().len()) {
            (Algorithm::Des, 16 | 24) => {}
            (Algorithm::Des, _) => return self.refuse(ErrorCode::KEY_LENGTH, "a single-length key is not sent"),
            _ => return self.refuse(ErrorCode::ALGORITHM, "under a TDES key, a TDES key is sent"),
        }
        let (attributes, optional) = self.x9143_attributes(&key, attributes, given)?;
        let header = Header { version, attributes, scope: None };
        let described = optional.padded(version).and_then(|optional| {
            let header = header.to_bytes(HEADER_LENGTH, optional.count())?;
            Ok([&header[..], &optional.to_bytes()].concat())
        });
        described.or_else(|error| self.refuse_block("the key block header", error))
    }
}
