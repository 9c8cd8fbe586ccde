//! New key components (keys.md 7, A2 and OC).

use super::{OpenKey, Session};
use crate::clear_key::{Algorithm, ClearKey};
use crate::key_block::header::{BlockAlgorithm, KeyVersion};
use crate::lmk::LmkScheme;
use crate::scheme::KeyScheme;
use crate::variant::{self, LmkUse};
use hsm_plugin_sdk::abi::{ErrorCode, KeyAttributes, KeyPurpose};

impl Session {
    /// A random component of a key of a purpose, and that component under the selected LMK as a key field of the scheme. In a key
    /// block it has the version number `c1` unless the attributes name another component.
    pub(in crate::session) fn new_component(
        &mut self,
        purpose: KeyPurpose,
        scheme: u8,
        given: Option<&KeyAttributes<'_>>,
    ) -> Result<(ClearKey, Vec<u8>), ErrorCode> {
        let lmk = self.lmk()?.clone();
        if lmk.scheme() == LmkScheme::Variant {
            if given.is_some() {
                return self.refuse(ErrorCode::LMK_SCHEMES, "key block attributes need a key-block LMK");
            }
            return self.new_variant_component(purpose, scheme);
        }
        let first = KeyVersion::of_component(1).ok_or(ErrorCode::INTERNAL)?;
        let (key, mut attributes, optional) = match given {
            Some(given) => {
                let (block_algorithm, len) = self.algorithm_field(given.algorithm)?;
                let version = given.key_version.and_then(|id| KeyVersion::new(id).ok());
                let component = version.filter(|version| version.component().is_some());
                let whole =
                    KeyAttributes { key_version: component.map_or(given.key_version, |_| Some(*b"00")), ..*given };
                let mut attributes = self.given_attributes(&whole, block_algorithm)?;
                attributes.key_version = component.unwrap_or(first);
                self.allow_length(len)?;
                let algorithm = if block_algorithm == BlockAlgorithm::Aes { Algorithm::Aes } else { Algorithm::Des };
                (self.random_key(algorithm, len)?, attributes, self.given_optional(given)?)
            }
            None => {
                let key = self.random_key(Algorithm::Des, 16)?;
                let attributes = self.usual_attributes(purpose, &key)?;
                (key, attributes, super::OptionalBlocks::NONE)
            }
        };
        if attributes.key_version.component().is_none() {
            attributes.key_version = first;
        }
        self.allow_strength(&lmk, &key)?;
        let component = OpenKey::new(key.clone(), purpose, Some(attributes)).with_optional(optional);
        let wrapped = self.wrap_in_block(&lmk, &component, scheme)?;
        Ok((key, wrapped))
    }

    fn new_variant_component(&mut self, purpose: KeyPurpose, scheme: u8) -> Result<(ClearKey, Vec<u8>), ErrorCode> {
        let Some(key_type) = self.known_rule(purpose)?.key_type else {
            return self.refuse(ErrorCode::KEY_TYPE, "a variant LMK needs a key type");
        };
        let scheme = match scheme {
            b'0' if purpose == KeyPurpose::ZMK && self.state.settings.double_length_zmk => KeyScheme::Double,
            scheme => self.scheme(purpose, scheme)?,
        };
        let len = scheme.key_len().ok_or(ErrorCode::KEY_SCHEME)?;
        self.allow_length(len)?;
        let key = self.random_key(Algorithm::Des, len)?;
        let lmk = self.lmk()?.clone();
        self.allow_strength(&lmk, &key)?;
        let under = LmkUse { component: self.state.settings.component_variant, ..LmkUse::from(key_type) };
        match variant::encrypt_under_lmk(&lmk, under, scheme, &key) {
            Ok(cryptogram) => Ok((key, scheme.write(&cryptogram).into_bytes())),
            Err(error) => self.refuse(ErrorCode::new(error.code()), error.to_string()),
        }
    }
}
