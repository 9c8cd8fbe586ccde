//! Keys that two parties derive from elliptic-curve keys (keys.md 7, related 10K command `IG`).

use super::super::Session;
use super::super::keys::OpenKey;
use super::private::PrivateKey;
use super::public::PublicKey;
use super::signature::hash_algorithm;
use crate::asymmetric::{KeyDerivation, shared_secret};
use crate::clear_key::{Algorithm, ClearKey};
use crate::key_block::header::{BlockAlgorithm, ModeOfUse};
use crate::lmk::LmkScheme;
use hsm_plugin_sdk::abi::{Agreement, ErrorCode, KeyAttributes, KeyHandle, KeyPurpose};
use std::sync::Arc;

impl Session {
    pub(super) fn agree(
        &mut self,
        private: KeyHandle,
        agreement: Agreement<'_>,
        given: &KeyAttributes<'_>,
    ) -> Result<KeyHandle, ErrorCode> {
        let private = self.key_for(private, &[KeyPurpose::RSA_PRIVATE])?;
        if self.lmk()?.scheme() == LmkScheme::Variant {
            return self.refuse(ErrorCode::LMK_SCHEMES, "key agreement needs a key-block LMK");
        }
        let (block_algorithm, len) = self.algorithm_field(given.algorithm)?;
        let attributes = self.given_attributes(given, block_algorithm)?;
        let optional = self.given_optional(given)?;
        self.require_named(&format!("eckai.{}.host", attributes.usage).to_ascii_lowercase())?;
        if usize::from(agreement.bits) != 8 * len {
            return self.refuse(ErrorCode::KEY_BLOCK_KEY_LENGTH, "the length is not that of the algorithm");
        }
        self.allow_length(len)?;
        self.may(&private, ModeOfUse::Derive, ErrorCode::KEY_FUNCTION)?;
        let PrivateKey::Ec(private) = self.private_key(&private)? else { return self.refuse_kind() };
        let (PublicKey::Ec(public), used) = self.read_public(Some(*b"03"), agreement.public)? else {
            return Err(ErrorCode::INTERNAL);
        };
        if used != agreement.public.len() {
            return self.refuse(ErrorCode::KEY_TYPE_CODE, "bytes follow the public key");
        }
        let Some(secret) = shared_secret(&private, &public) else {
            return self.refuse(ErrorCode::CURVE, "the two keys are of different curves");
        };
        let derivation = match agreement.derivation {
            1 => KeyDerivation::Sp800_56a,
            2 => KeyDerivation::X963,
            _ => return self.refuse(ErrorCode::COMMAND_06, "the key derivation function is 1 or 2"),
        };
        let Some(hash) = hash_algorithm(agreement.hash) else {
            return self.refuse(ErrorCode::KEY_LENGTH_FLAG, "there is no hash with this identifier");
        };
        let bytes = derivation.derive(hash, &secret, agreement.information, len);
        let algorithm = if block_algorithm == BlockAlgorithm::Aes { Algorithm::Aes } else { Algorithm::Des };
        let key = ClearKey::new(algorithm, &bytes).map_err(|_| ErrorCode::INTERNAL)?.with_odd_parity();
        let lmk = self.lmk()?.clone();
        self.allow_strength(&lmk, &key)?;
        let opened = OpenKey::new(key, KeyPurpose::KEY_BLOCK, Some(attributes)).with_optional(optional);
        self.hold_key(Arc::new(opened))
    }
}
