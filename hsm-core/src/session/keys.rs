//! Operations on keys: opening, generating, wrapping, importing and exporting them.

mod attributes;
mod component;
mod derive;
mod hmac;
mod modify;
mod transport;
mod usage;

pub(super) use hmac::hash_of_usage;
pub(super) use transport::with_usual_parity;
pub(super) use usage::KeyUse;

use super::Session;
use crate::cipher::BlockCipher;
use crate::clear_key::{Algorithm, ClearKey};
use crate::key_block::header::{Attributes, BlockAlgorithm, Scope};
use crate::key_block::optional::OptionalBlocks;
use crate::key_block::{OpenedBlock, rules, thales};
use crate::key_type::KeyType;
use crate::lmk::{Lmk, LmkId, LmkScheme};
use crate::mac::HashAlgorithm;
use crate::purpose;
use crate::scheme::{KeyField, KeyScheme, Untagged};
use crate::variant::{self, AtallaVariant, LmkUse};
use crate::{hex, kcv};
use hsm_plugin_sdk::abi::{ErrorCode, KeyAttributes, KeyHandle, KeyOps, KeyPurpose};
use std::collections::HashMap;
use std::sync::Arc;

/// An opened key, ready for use.
pub(super) struct OpenKey {
    key: ClearKey,
    cipher: Option<BlockCipher>,
    pub(super) purpose: KeyPurpose,
    /// What the header of the key block says that the key came from.
    attributes: Option<Attributes>,
    /// The optional blocks of that key block.
    optional: OptionalBlocks,
    /// Whether it is a component, of no use but to form a key.
    component: bool,
    /// Whether it was derived for one transaction or transport, and goes nowhere itself.
    transient: bool,
    /// Whether it was generated for a key block, whose attributes the request may still give.
    generated: bool,
    /// The hash function of an HMAC key that no key block describes.
    hash: Option<HashAlgorithm>,
}

impl OpenKey {
    pub(super) fn new(key: ClearKey, purpose: KeyPurpose, attributes: Option<Attributes>) -> Self {
        let optional = OptionalBlocks::NONE;
        Self {
            cipher: key.cipher().ok(),
            key,
            purpose,
            attributes,
            optional,
            component: false,
            transient: false,
            generated: false,
            hash: None,
        }
    }

    pub(super) fn with_optional(self, optional: OptionalBlocks) -> Self {
        Self { optional, ..self }
    }

    pub(super) fn with_hash(self, hash: HashAlgorithm) -> Self {
        Self { hash: Some(hash), ..self }
    }

    fn into_component(self) -> Self {
        Self { component: true, ..self }
    }

    pub(super) fn into_transient(self) -> Self {
        Self { transient: true, ..self }
    }

    pub(super) fn key(&self) -> &ClearKey {
        &self.key
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    /// What the key block says of the key; `None` for a key that was no key block.
    pub(super) fn attributes(&self) -> Option<&Attributes> {
        self.attributes.as_ref()
    }

    /// The optional blocks of the key block that the key came from.
    pub(super) fn optional(&self) -> &OptionalBlocks {
        &self.optional
    }

    pub(super) fn cipher(&self) -> Result<&BlockCipher, ErrorCode> {
        self.cipher.as_ref().ok_or(ErrorCode::ALGORITHM)
    }

    /// The hash function of an HMAC key, which its usage says if it has one.
    pub(super) fn hash(&self) -> Option<HashAlgorithm> {
        let Some(attributes) = self.attributes else { return self.hash };
        hash_of_usage(attributes.usage.id())
    }

    /// Whether the key may be used as a key of `purpose`: it was opened for it, or its key block says that it is one.
    fn serves(&self, purpose: KeyPurpose) -> bool {
        if self.component {
            return false;
        }
        let usage = self.attributes.as_ref().map(|attributes| attributes.usage.id());
        let usage = usage.as_ref().and_then(|usage| core::str::from_utf8(usage).ok());
        self.purpose == purpose
            || usage.is_some_and(|usage| purpose::rule(purpose, false).is_ok_and(|rule| rule.allows(usage)))
    }
}

/// Keys that were opened before, by LMK, purpose and key field: unwrapping costs several times what using a key does.
///
/// Bounded by two generations of [`KeyCache::GENERATION`] keys; what is not used for a while is erased.
#[derive(Default)]
pub(super) struct KeyCache {
    recent: HashMap<Vec<u8>, Arc<OpenKey>>,
    older: HashMap<Vec<u8>, Arc<OpenKey>>,
    name: Vec<u8>,
}

impl KeyCache {
    const GENERATION: usize = 2048;

    fn get(&mut self, lmk: u8, purpose: KeyPurpose, field: &[u8]) -> Option<Arc<OpenKey>> {
        self.name.clear();
        self.name.push(lmk);
        self.name.extend_from_slice(&purpose.code());
        self.name.extend_from_slice(field);
        if let Some(key) = self.recent.get(self.name.as_slice()) {
            return Some(key.clone());
        }
        let (name, key) = self.older.remove_entry(self.name.as_slice())?;
        self.insert(name, key.clone());
        Some(key)
    }

    /// Remembers a key under the name of the last [`KeyCache::get`].
    fn put(&mut self, key: Arc<OpenKey>) {
        let name = self.name.clone();
        self.insert(name, key);
    }

    fn insert(&mut self, name: Vec<u8>, key: Arc<OpenKey>) {
        if self.recent.len() >= Self::GENERATION {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(name, key);
    }
}

impl KeyOps for Session {
    fn key_open(&mut self, purpose: KeyPurpose, field: &[u8]) -> Result<KeyHandle, ErrorCode> {
        // Not a reference is remembered but what it stands for: user storage changes.
        let field = &*self.key_field(field)?;
        if let Some(key) = self.cache.get(self.lmk_id, purpose, field) {
            return self.hold_key(key);
        }
        let key = Arc::new(self.unwrap_under_lmk(purpose, field)?);
        self.cache.put(key.clone());
        self.hold_key(key)
    }

    fn key_type_fits(&mut self, purpose: KeyPurpose) -> Result<(), ErrorCode> {
        self.rule(purpose)?;
        let key_block = self.lmk()?.scheme() == LmkScheme::KeyBlock;
        if key_block != (purpose == KeyPurpose::KEY_BLOCK) {
            return self
                .refuse(ErrorCode::KEY_TYPE, "key type FFF goes with key-block LMKs, the others with variant LMKs");
        }
        Ok(())
    }

    fn key_may_generate(&mut self, purpose: KeyPurpose) -> Result<(), ErrorCode> {
        self.known_rule(purpose)?;
        self.require("generate", purpose)
    }

    fn key_may_import(&mut self, purpose: KeyPurpose) -> Result<(), ErrorCode> {
        self.may_import(purpose)
    }

    fn key_may_export(&mut self, purpose: KeyPurpose) -> Result<(), ErrorCode> {
        self.may_export_type(purpose)
    }

    fn key_may_form(&mut self, purpose: KeyPurpose) -> Result<(), ErrorCode> {
        self.known_rule(purpose)?;
        self.require("component", purpose)
    }

    fn key_may_show_check_value(&mut self, key: KeyHandle) -> Result<(), ErrorCode> {
        let key = self.key(key)?.clone();
        match key.attributes {
            Some(attributes) => self.require_activity("generate", &attributes.usage.to_string()),
            None => self.require("generate", key.purpose),
        }
    }

    fn key_generate(&mut self, purpose: KeyPurpose, scheme: u8) -> Result<KeyHandle, ErrorCode> {
        self.key_may_generate(purpose)?;
        self.generated(purpose, scheme)
    }

    fn key_generate_block(&mut self, given: KeyAttributes<'_>) -> Result<KeyHandle, ErrorCode> {
        let new = self.generated_attributes(&given)?;
        self.require_activity("generate", &new.1.usage.to_string())?;
        self.generated_block(&given, new)
    }

    fn key_dukpt_initial(
        &mut self,
        bdk: KeyHandle,
        ksn: &[u8],
        attributes: Option<KeyAttributes<'_>>,
    ) -> Result<KeyHandle, ErrorCode> {
        self.dukpt_initial(bdk, ksn, attributes.as_ref())
    }

    fn key_dukpt_update(&mut self, bdk: KeyHandle, initial_key_id: &[u8]) -> Result<KeyHandle, ErrorCode> {
        self.dukpt_update(bdk, initial_key_id)
    }

    fn key_zka_session(
        &mut self,
        master: KeyHandle,
        purpose: KeyPurpose,
        random: Option<[u8; 16]>,
        attributes: Option<KeyAttributes<'_>>,
    ) -> Result<(KeyHandle, [u8; 16]), ErrorCode> {
        self.zka_session(master, purpose, random, attributes.as_ref())
    }

    fn key_component_open(&mut self, purpose: KeyPurpose, field: &[u8]) -> Result<KeyHandle, ErrorCode> {
        let field = self.key_field(field)?;
        self.open_component(purpose, &field)
    }

    fn key_form(
        &mut self,
        purpose: KeyPurpose,
        components: Vec<KeyHandle>,
        attributes: Option<KeyAttributes<'_>>,
    ) -> Result<KeyHandle, ErrorCode> {
        self.form(purpose, &components, attributes.as_ref())
    }

    fn key_describe(&mut self, key: KeyHandle, attributes: KeyAttributes<'_>) -> Result<KeyHandle, ErrorCode> {
        let key = self.key(key)?.clone();
        let described = self.describe(&key, &attributes)?;
        self.hold_key(described)
    }

    fn key_wrap(&mut self, key: KeyHandle, scheme: u8) -> Result<Vec<u8>, ErrorCode> {
        let key = self.key(key)?.clone();
        self.may_leave(&key)?;
        let lmk = self.lmk()?.clone();
        self.allow_strength(&lmk, key.key())?;
        if lmk.scheme() == LmkScheme::KeyBlock {
            return self.wrap_in_block(&lmk, &key, scheme);
        }
        if key.attributes.is_some() {
            return self
                .refuse(ErrorCode::LMK_SCHEMES, "a key from a key block goes under a variant LMK by import only");
        }
        let scheme = self.fitting_scheme(&key, scheme)?;
        let rule = self.rule(key.purpose)?;
        let Some(key_type) = rule.key_type else {
            return self.refuse(ErrorCode::KEY_TYPE, "a variant LMK needs a key type");
        };
        match variant::encrypt_under_lmk(&lmk, LmkUse::from(key_type), scheme, key.key()) {
            Ok(cryptogram) => Ok(scheme.write(&cryptogram).into_bytes()),
            Err(error) => self.refuse(ErrorCode::new(error.code()), error.to_string()),
        }
    }

    fn hmac_key_open(&mut self, hash: [u8; 2], field: &[u8]) -> Result<KeyHandle, ErrorCode> {
        let lmk = self.lmk()?.clone();
        let key = self.unwrap_hmac(&lmk, field, hash)?;
        self.hold_key(Arc::new(key))
    }

    fn hmac_key_wrap(&mut self, key: KeyHandle) -> Result<Vec<u8>, ErrorCode> {
        let key = self.key(key)?.clone();
        self.may_leave(&key)?;
        let lmk = self.lmk()?.clone();
        self.wrap_hmac(&lmk, &key)
    }

    fn key_export(
        &mut self,
        key: KeyHandle,
        wrapping_key: KeyHandle,
        scheme: u8,
        atalla: u8,
    ) -> Result<Vec<u8>, ErrorCode> {
        self.export(key, wrapping_key, scheme, atalla, &KeyAttributes::default(), None)
    }

    fn key_export_block(
        &mut self,
        key: KeyHandle,
        wrapping_key: KeyHandle,
        scheme: u8,
        atalla: u8,
        attributes: KeyAttributes<'_>,
        version: Option<u8>,
    ) -> Result<Vec<u8>, ErrorCode> {
        self.export(key, wrapping_key, scheme, atalla, &attributes, version)
    }

    fn key_import(
        &mut self,
        purpose: KeyPurpose,
        wrapping_key: KeyHandle,
        field: &[u8],
        atalla: u8,
    ) -> Result<(KeyHandle, bool), ErrorCode> {
        self.import(purpose, wrapping_key, field, atalla, None)
    }

    fn key_import_block(
        &mut self,
        purpose: KeyPurpose,
        wrapping_key: KeyHandle,
        field: &[u8],
        atalla: u8,
        attributes: Option<KeyAttributes<'_>>,
    ) -> Result<(KeyHandle, bool), ErrorCode> {
        self.import(purpose, wrapping_key, field, atalla, attributes.as_ref())
    }

    fn key_translate_scheme(
        &mut self,
        purpose: KeyPurpose,
        field: &[u8],
        scheme: u8,
        attributes: Option<KeyAttributes<'_>>,
    ) -> Result<Vec<u8>, ErrorCode> {
        self.require_activity("command", "b0")?;
        let field = &*self.key_field(field)?;
        let Some(given) = attributes else {
            let (from, _) = self.cryptogram_field(field)?;
            let to = self.scheme(purpose, scheme)?;
            if !derive::may_translate(from, to, self.state.settings.scheme_downgrade) {
                return self.refuse(ErrorCode::KEY_SCHEME, format!("a key may not go from scheme {from:?} to {to:?}"));
            }
            let key = self.key_open(purpose, field)?;
            return self.key_wrap(key, scheme);
        };
        let selected = std::mem::replace(&mut self.lmk_id, self.home_lmk);
        let opened = match self.lmk().map(|lmk| lmk.scheme()) {
            Ok(LmkScheme::Variant) => self.key_open(purpose, field),
            Ok(LmkScheme::KeyBlock) => self.refuse(ErrorCode::LMK_SCHEMES, "the key must be under a variant LMK"),
            Err(code) => Err(code),
        };
        self.lmk_id = selected;
        self.key_block_lmk_only()?;
        let described = self.key_describe(opened?, given)?;
        self.key_wrap(described, scheme)
    }

    fn key_block_modify(&mut self, block: &[u8], field: u8, old: &[u8], new: &[u8]) -> Result<Vec<u8>, ErrorCode> {
        let block = self.key_field(block)?;
        self.modify_block(&block, field, old, new)
    }

    fn key_check_value(&mut self, key: KeyHandle) -> Result<[u8; 8], ErrorCode> {
        let lmk_scheme = self.lmk()?.scheme();
        let key = self.key(key)?;
        let check = match (key.algorithm(), key.hash()) {
            (Algorithm::Hmac, Some(hash)) => kcv::hmac_check_value(hash, key.key()),
            _ => kcv::check_value(key.key()),
        };
        let check = check.map_err(|_| ErrorCode::ALGORITHM)?;
        // Of a key in a key block only 6 digits are meaningful (keys.md 3).
        let in_block = key.attributes.is_some() || lmk_scheme == LmkScheme::KeyBlock;
        let long = key.algorithm() == Algorithm::Des && !in_block && !self.state.settings.restrict_kcv;
        let mut value = [0u8; 8];
        for (to, from) in value.iter_mut().zip(check).take(if long { 8 } else { 3 }) {
            *to = from;
        }
        Ok(value)
    }

    fn key_length(&mut self, key: KeyHandle) -> Result<u16, ErrorCode> {
        Ok(self.key(key)?.key().len() as u16)
    }
}

impl Session {
    /// A new DES key, whoever asks for it; as [`KeyOps::key_generate`] otherwise.
    pub(super) fn generated(&mut self, purpose: KeyPurpose, scheme: u8) -> Result<KeyHandle, ErrorCode> {
        self.known_rule(purpose)?;
        let lmk = self.lmk()?.clone();
        let for_block = lmk.scheme() == LmkScheme::KeyBlock;
        let len = match scheme {
            b'S' | b'0' if for_block => 16,
            _ => self.scheme(purpose, scheme)?.key_len().ok_or(ErrorCode::KEY_SCHEME)?,
        };
        self.allow_length(len)?;
        let key = self.random_key(Algorithm::Des, len)?;
        self.allow_strength(&lmk, &key)?;
        let key = OpenKey::new(key, purpose, None);
        self.hold_key(Arc::new(OpenKey { generated: for_block, ..key }))
    }

    /// A new key with these attributes, whoever asks for it; as [`KeyOps::key_generate_block`] otherwise. Its length and attributes are
    /// those that [`Session::generated_attributes`] gives.
    pub(super) fn generated_block(
        &mut self,
        given: &KeyAttributes<'_>,
        (len, attributes): (usize, Attributes),
    ) -> Result<KeyHandle, ErrorCode> {
        let optional = self.given_optional(given)?;
        self.allow_length(len)?;
        let algorithm = if attributes.algorithm == BlockAlgorithm::Aes { Algorithm::Aes } else { Algorithm::Des };
        let key = self.random_key(algorithm, len)?;
        let lmk = self.lmk()?.clone();
        self.allow_strength(&lmk, &key)?;
        self.hold_key(Arc::new(OpenKey::new(key, KeyPurpose::KEY_BLOCK, Some(attributes)).with_optional(optional)))
    }

    /// Length in bytes and attributes of a key to generate, which only a key-block LMK takes.
    pub(super) fn generated_attributes(&mut self, given: &KeyAttributes<'_>) -> Result<(usize, Attributes), ErrorCode> {
        self.key_block_lmk_only()?;
        let (algorithm, len) = self.algorithm_field(given.algorithm)?;
        Ok((len, self.given_attributes(given, algorithm)?))
    }

    /// Whether an activity is authorised.
    pub(super) fn authorised(&self, activity: &str) -> bool {
        let state = &self.state;
        state.authorisation.check(self.lmk_id, activity, &state.settings, self.module.now())
    }

    fn require(&mut self, category: &str, purpose: KeyPurpose) -> Result<(), ErrorCode> {
        let subject = self.activity_subject(purpose);
        self.require_activity(category, &subject)
    }

    /// What activities on keys of a purpose are named after: the key type, which roles such as TPK have too.
    pub(super) fn activity_subject(&self, purpose: KeyPurpose) -> String {
        match purpose::rule(purpose, self.state.settings.separate_002) {
            Ok(purpose::PurposeRule { key_type: Some(key_type), .. }) => key_type.to_string(),
            _ => purpose.as_str().to_owned(),
        }
    }

    /// Refuses with 17 unless an activity is authorised: `subject` is a key type, a key usage or a command.
    fn require_activity(&mut self, category: &str, subject: &str) -> Result<(), ErrorCode> {
        if let Some(permission) = self.page_permission() {
            return permission;
        }
        self.require_named(&format!("{category}.{}.host", subject.to_ascii_lowercase()))
    }

    /// Refuses with 17 unless the activity, `category.sub.interface`, is authorised.
    pub(super) fn require_named(&mut self, activity: &str) -> Result<(), ErrorCode> {
        if self.authorised(activity) {
            return Ok(());
        }
        self.refuse(ErrorCode::NOT_AUTHORISED, format!("the activity {activity} is not authorised"))
    }

    pub(super) fn rule(&mut self, purpose: KeyPurpose) -> Result<purpose::PurposeRule, ErrorCode> {
        purpose::rule(purpose, self.state.settings.separate_002)
            .or_else(|code| self.refuse(code, format!("key type {purpose:?} does not exist here")))
    }

    /// The rule of a purpose that keys may be made for: 29 for a key type that no key has.
    fn known_rule(&mut self, purpose: KeyPurpose) -> Result<purpose::PurposeRule, ErrorCode> {
        let rule = self.rule(purpose)?;
        if rule.key_type.is_some_and(|key_type| key_type.info().is_none()) {
            return self.refuse(ErrorCode::KEY_FUNCTION, format!("key type {purpose:?} is not in use"));
        }
        self.only_des_key(purpose)?;
        Ok(rule)
    }

    /// RSA and HMAC keys have forms of their own under a variant LMK: no part of one is taken for a DES key, nor the reverse.
    fn only_des_key(&mut self, purpose: KeyPurpose) -> Result<(), ErrorCode> {
        let key_type = self.rule(purpose)?.key_type;
        if matches!(key_type, Some(KeyType::RSA_PRIVATE | KeyType::RSA_PUBLIC | KeyType::HMAC)) {
            return self.refuse(ErrorCode::KEY_FUNCTION, format!("keys of type {purpose:?} are no DES keys"));
        }
        Ok(())
    }

    pub(super) fn unwrap_under_lmk(&mut self, purpose: KeyPurpose, field: &[u8]) -> Result<OpenKey, ErrorCode> {
        let rule = self.rule(purpose)?;
        let lmk = self.lmk()?.clone();
        if matches!(field.first(), Some(b'S' | b'R')) || lmk.scheme() == LmkScheme::KeyBlock {
            return self.unwrap_key_block(purpose, rule, &lmk, field);
        }
        let Some(key_type) = rule.key_type else {
            return self.refuse(ErrorCode::KEY_TYPE, format!("key type {purpose:?} needs a key block"));
        };
        self.only_des_key(purpose)?;
        let (scheme, cryptogram) = self.cryptogram_field(field)?;
        match variant::decrypt_under_lmk(&lmk, LmkUse::from(key_type), scheme, &cryptogram) {
            // A DUKPT initial key has the parity that its derivation gave it.
            Ok(decrypted) if decrypted.odd_parity || key_type == KeyType::IKEY => {
                self.allow_posing(&decrypted.key)?;
                Ok(OpenKey::new(decrypted.key, purpose, None))
            }
            Ok(_) => {
                let why = format!(
                    "the key does not have odd parity under LMK {:02} as key type {key_type}: wrong key type, scheme or LMK?",
                    self.lmk_id
                );
                self.refuse(ErrorCode::SOURCE_KEY_PARITY, why)
            }
            Err(error) => self.refuse(ErrorCode::new(error.code()), error.to_string()),
        }
    }

    pub(super) fn unwrap_key_block(
        &mut self,
        purpose: KeyPurpose,
        rule: purpose::PurposeRule,
        lmk: &Lmk,
        field: &[u8],
    ) -> Result<OpenKey, ErrorCode> {
        let opened = self.open_block(lmk, field)?;
        let attributes = opened.header.attributes;
        if !rule.allows(core::str::from_utf8(&attributes.usage.id()).unwrap_or_default()) {
            let is_wrapping = matches!(purpose, KeyPurpose::ZMK | KeyPurpose::TMK | KeyPurpose::WRAPPING_KEY);
            let code = if is_wrapping { ErrorCode::WRAPPING_KEY } else { ErrorCode::KEY_USAGE };
            return self.refuse(code, format!("key usage {} is not for a key of type {purpose:?}", attributes.usage));
        }
        if let Err(error) = rules::check(&attributes) {
            return self.refuse_block("the key block's header", error);
        }
        if attributes.key_version.component().is_some() {
            return self.refuse(ErrorCode::KEY_VERSION, "the key block holds a component, not a key");
        }
        self.allow_posing(&opened.key)?;
        Ok(OpenKey::new(opened.key, purpose, Some(attributes)).with_optional(opened.optional))
    }

    /// Opens a key block under an LMK, whatever is in it.
    pub(super) fn open_block(&mut self, lmk: &Lmk, field: &[u8]) -> Result<OpenedBlock, ErrorCode> {
        let Some((b'S', block)) = field.split_first() else {
            return self.refuse(ErrorCode::LMK_SCHEMES, "under a key-block LMK, a key must be a Thales key block");
        };
        let own = LmkId::new(self.lmk_id).map(Scope::Lmk);
        let scope = if self.state.settings.ignore_block_lmk_id { None } else { own };
        let opened = lmk.protection_keys().and_then(|keys| thales::unwrap(keys, scope, block));
        opened.or_else(|error| self.refuse(ErrorCode::new(error.code()), format!("LMK {:02}: {error}", self.lmk_id)))
    }

    /// Reads a key field that is a cryptogram.
    fn cryptogram_field(&mut self, field: &[u8]) -> Result<(KeyScheme, Vec<u8>), ErrorCode> {
        let untagged = if field.len() == 32 { Untagged::Double } else { Untagged::Single };
        match KeyField::parse(field, untagged) {
            Ok((KeyField::Cryptogram { scheme, digits }, len)) if len == field.len() => {
                let cryptogram = hex::decode(digits).ok_or(ErrorCode::INPUT_DATA)?;
                Ok((scheme, cryptogram.to_vec()))
            }
            Ok((KeyField::ThalesBlock(_) | KeyField::Tr31Block(_), _)) => {
                self.refuse(ErrorCode::LMK_SCHEMES, "a key block where the LMK or ZMK uses variants")
            }
            Ok(_) => self.refuse(ErrorCode::INPUT_DATA, "the key field has another length than its scheme says"),
            Err(error) => self.refuse(ErrorCode::new(error.code()), error.to_string()),
        }
    }

    /// The scheme of a letter, where a key of `purpose` is generated. `0` is the untagged form.
    fn scheme(&mut self, purpose: KeyPurpose, letter: u8) -> Result<KeyScheme, ErrorCode> {
        let pair = matches!(purpose, KeyPurpose::CVK | KeyPurpose::BDK_1);
        match letter {
            b'0' if pair => Ok(KeyScheme::Double),
            b'0' => Ok(KeyScheme::Single),
            _ => match KeyScheme::from_tag(letter) {
                Ok(scheme) if scheme.is_variant_or_x917() => Ok(scheme),
                _ => self.refuse(
                    ErrorCode::KEY_SCHEME,
                    format!("key scheme {:?} is not a variant or X9.17 scheme", char::from(letter)),
                ),
            },
        }
    }

    /// The scheme of a letter for a key that exists: its length must fit. A single-length key is written without a tag.
    fn fitting_scheme(&mut self, key: &OpenKey, letter: u8) -> Result<KeyScheme, ErrorCode> {
        let scheme = match (letter, key.key().len()) {
            (b'0' | b'Z', 8) => KeyScheme::Single,
            (b'0', 16) => KeyScheme::Double,
            _ => self.scheme(key.purpose, letter)?,
        };
        if scheme.key_len() != Some(key.key().len()) {
            return self.refuse(
                ErrorCode::KEY_SCHEME,
                format!("key scheme {:?} does not fit a key of {} bytes", char::from(letter), key.key().len()),
            );
        }
        Ok(scheme)
    }

    /// Whether the settings allow a key of this length: 17 for single-length DES keys.
    pub(in crate::session) fn allow_length_of(&mut self, key: &ClearKey) -> Result<(), ErrorCode> {
        if key.algorithm() == Algorithm::Des { self.allow_length(key.len()) } else { Ok(()) }
    }

    /// As [`Session::allow_length_of`], for a DES key that is not there yet.
    pub(super) fn allow_length(&mut self, len: usize) -> Result<(), ErrorCode> {
        if len == 8 && !self.state.settings.single_des {
            return self.refuse(ErrorCode::NOT_AUTHORISED, "single-length DES keys are disabled");
        }
        Ok(())
    }

    fn atalla(&mut self, variant: u8) -> Result<AtallaVariant, ErrorCode> {
        if variant != 0 && !self.state.settings.atalla_variants {
            return self.refuse(ErrorCode::INPUT_DATA, "Atalla variants are disabled");
        }
        AtallaVariant::parse(variant.to_string().as_bytes())
            .or_else(|error| self.refuse(ErrorCode::new(error.code()), error.to_string()))
    }
}
