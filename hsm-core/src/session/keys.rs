//! Operations on keys: opening, generating, wrapping, importing and exporting them.

use super::Session;
use crate::cipher::BlockCipher;
use crate::clear_key::{Algorithm, ClearKey};

use crate::key_block::header::{Attributes, Scope};
use crate::key_block::thales;
use crate::lmk::{Lmk, LmkId, LmkScheme};
use crate::purpose;
use crate::scheme::{KeyField, KeyScheme, Untagged};
use crate::variant::{self, AtallaVariant, LmkUse};
use crate::{hex, kcv};
use hsm_plugin_sdk::abi::{ErrorCode, KeyHandle, KeyOps, KeyPurpose};
use std::collections::HashMap;
use std::sync::Arc;
use zeroize::Zeroizing;

/// An opened key, ready for use.
pub(super) struct OpenKey {
    key: ClearKey,
    cipher: Option<BlockCipher>,
    purpose: KeyPurpose,
    /// What the header of the key block says that the key came from.
    attributes: Option<Attributes>,
}

impl OpenKey {
    pub(super) fn new(key: ClearKey, purpose: KeyPurpose, attributes: Option<Attributes>) -> Self {
        Self { cipher: key.cipher().ok(), key, purpose, attributes }
    }

    pub(super) fn key(&self) -> &ClearKey {
        &self.key
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    pub(super) fn cipher(&self) -> Result<&BlockCipher, ErrorCode> {
        self.cipher.as_ref().ok_or(ErrorCode::ALGORITHM)
    }

    /// Whether the key may be used as a key of `purpose`: it was opened for it, or its key block says that it is one.
    fn serves(&self, purpose: KeyPurpose) -> bool {
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

/// What may wrap and unwrap keys for transport.
const WRAPPING_KEYS: &[KeyPurpose] = &[KeyPurpose::ZMK, KeyPurpose::TMK, KeyPurpose::TERMINAL];

impl KeyOps for Session {
    fn key_open(&mut self, purpose: KeyPurpose, field: &[u8]) -> Result<KeyHandle, ErrorCode> {
        if let Some(key) = self.cache.get(self.lmk_id, purpose, field) {
            return self.hold_key(key);
        }
        let key = Arc::new(self.unwrap_under_lmk(purpose, field)?);
        self.cache.put(key.clone());
        self.hold_key(key)
    }

    fn key_may_generate(&mut self, purpose: KeyPurpose) -> Result<(), ErrorCode> {
        self.rule(purpose)?;
        self.require("generate", purpose)
    }

    fn key_may_import(&mut self, purpose: KeyPurpose) -> Result<(), ErrorCode> {
        self.rule(purpose)?;
        self.require("import", purpose)
    }

    fn key_may_export(&mut self, purpose: KeyPurpose) -> Result<(), ErrorCode> {
        if !self.rule(purpose)?.exportable() {
            return self.refuse(ErrorCode::KEY_FUNCTION, format!("keys of type {purpose:?} may not be exported"));
        }
        self.require("export", purpose)
    }

    fn key_generate(&mut self, purpose: KeyPurpose, scheme: u8) -> Result<KeyHandle, ErrorCode> {
        self.key_may_generate(purpose)?;
        let len = self.scheme(purpose, scheme)?.key_len().ok_or(ErrorCode::KEY_SCHEME)?;
        self.allow_length(len)?;
        let key = loop {
            let mut bytes = Zeroizing::new([0u8; 24]);
            self.random.fill_bytes(&mut bytes[..len]);
            let key = ClearKey::des(&bytes[..len]).map_err(|_| ErrorCode::INTERNAL)?.with_odd_parity();
            // Equal parts would make a double- or triple-length key a shorter one.
            let parts: Vec<&[u8]> = key.bytes().chunks(8).collect();
            if parts.windows(2).all(|pair| pair[0] != pair[1]) {
                break key;
            }
        };
        self.hold_key(Arc::new(OpenKey::new(key, purpose, None)))
    }

    fn key_wrap(&mut self, key: KeyHandle, scheme: u8) -> Result<Vec<u8>, ErrorCode> {
        let key = self.key(key)?.clone();
        let scheme = self.fitting_scheme(&key, scheme)?;
        let rule = self.rule(key.purpose)?;
        let key_type = rule.key_type.ok_or(ErrorCode::KEY_TYPE)?;
        let lmk = self.lmk()?.clone();
        match variant::encrypt_under_lmk(&lmk, LmkUse::from(key_type), scheme, key.key()) {
            Ok(cryptogram) => Ok(scheme.write(&cryptogram).into_bytes()),
            Err(error) => self.refuse(ErrorCode::new(error.code()), error.to_string()),
        }
    }

    fn key_export(
        &mut self,
        key: KeyHandle,
        wrapping_key: KeyHandle,
        scheme: u8,
        atalla: u8,
    ) -> Result<Vec<u8>, ErrorCode> {
        let wrapping_key = self.key_for(wrapping_key, WRAPPING_KEYS)?;
        let key = self.key(key)?.clone();
        self.key_may_export(key.purpose)?;
        let scheme = self.fitting_scheme(&key, scheme)?;
        if !self.state.settings.x917_export && !matches!(scheme, KeyScheme::U | KeyScheme::T) {
            return self.refuse(ErrorCode::KEY_SCHEME, "export in X9.17 schemes is disabled");
        }
        let atalla = self.atalla(atalla)?;
        match variant::encrypt_under_zmk(wrapping_key.key(), atalla, scheme, key.key()) {
            Ok(cryptogram) => Ok(scheme.write(&cryptogram).into_bytes()),
            Err(error) => self.refuse(ErrorCode::new(error.code()), error.to_string()),
        }
    }

    fn key_import(
        &mut self,
        purpose: KeyPurpose,
        wrapping_key: KeyHandle,
        field: &[u8],
        atalla: u8,
    ) -> Result<(KeyHandle, bool), ErrorCode> {
        self.key_may_import(purpose)?;
        let wrapping_key = self.key_for(wrapping_key, WRAPPING_KEYS)?;
        let (scheme, cryptogram) = self.cryptogram_field(field)?;
        if !self.state.settings.x917_import && !matches!(scheme, KeyScheme::U | KeyScheme::T) {
            return self.refuse(ErrorCode::KEY_SCHEME, "import in X9.17 schemes is disabled");
        }
        self.allow_length(cryptogram.len())?;
        let atalla = self.atalla(atalla)?;
        let decrypted = match variant::decrypt_under_zmk(wrapping_key.key(), atalla, scheme, &cryptogram) {
            Ok(decrypted) => decrypted,
            Err(error) => return self.refuse(ErrorCode::new(error.code()), error.to_string()),
        };
        if decrypted.key.bytes().iter().all(|b| b & 0xFE == 0) {
            return self.refuse(ErrorCode::DESTINATION_KEY_PARITY, "the imported key is all zero");
        }
        let key = decrypted.key.with_odd_parity();
        let handle = self.hold_key(Arc::new(OpenKey::new(key, purpose, None)))?;
        Ok((handle, !decrypted.odd_parity))
    }

    fn key_check_value(&mut self, key: KeyHandle) -> Result<[u8; 8], ErrorCode> {
        let key = self.key(key)?;
        let mut value = [0u8; 8];
        let check = kcv::check_value(key.key()).map_err(|_| ErrorCode::ALGORITHM)?;
        let shown = if self.state.settings.restrict_kcv { 3 } else { 8 };
        for (to, from) in value.iter_mut().zip(check).take(shown) {
            *to = from;
        }
        Ok(value)
    }

    fn key_length(&mut self, key: KeyHandle) -> Result<u16, ErrorCode> {
        Ok(self.key(key)?.key().len() as u16)
    }
}

impl Session {
    /// A key that an operation may use as one of `purposes`.
    pub(super) fn key_for(&mut self, handle: KeyHandle, purposes: &[KeyPurpose]) -> Result<Arc<OpenKey>, ErrorCode> {
        let key = self.key(handle)?.clone();
        if purposes.iter().any(|purpose| key.serves(*purpose)) {
            return Ok(key);
        }
        let why = format!("a key opened as {:?} was used as {purposes:?}", key.purpose);
        self.refuse(ErrorCode::KEY_FUNCTION, why)
    }

    /// Whether an activity is authorised.
    pub(super) fn authorised(&self, activity: &str) -> bool {
        let state = &self.state;
        state.authorisation.check(self.lmk_id, activity, &state.settings, self.module.now())
    }

    fn require(&mut self, category: &str, purpose: KeyPurpose) -> Result<(), ErrorCode> {
        let activity = format!("{category}.{}.host", purpose.as_str().to_ascii_lowercase());
        if self.authorised(&activity) {
            return Ok(());
        }
        self.refuse(ErrorCode::NOT_AUTHORISED, format!("the activity {activity} is not authorised"))
    }

    fn rule(&mut self, purpose: KeyPurpose) -> Result<purpose::PurposeRule, ErrorCode> {
        purpose::rule(purpose, self.state.settings.separate_002)
            .or_else(|code| self.refuse(code, format!("key type {purpose:?} does not exist here")))
    }

    fn unwrap_under_lmk(&mut self, purpose: KeyPurpose, field: &[u8]) -> Result<OpenKey, ErrorCode> {
        let rule = self.rule(purpose)?;
        let lmk = self.lmk()?.clone();
        if matches!(field.first(), Some(b'S' | b'R')) || lmk.scheme() == LmkScheme::KeyBlock {
            return self.unwrap_key_block(purpose, rule, &lmk, field);
        }
        let Some(key_type) = rule.key_type else {
            return self.refuse(ErrorCode::KEY_TYPE, format!("key type {purpose:?} needs a key block"));
        };
        let (scheme, cryptogram) = self.cryptogram_field(field)?;
        match variant::decrypt_under_lmk(&lmk, LmkUse::from(key_type), scheme, &cryptogram) {
            Ok(decrypted) if decrypted.odd_parity => Ok(OpenKey::new(decrypted.key, purpose, None)),
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

    fn unwrap_key_block(
        &mut self,
        purpose: KeyPurpose,
        rule: purpose::PurposeRule,
        lmk: &Lmk,
        field: &[u8],
    ) -> Result<OpenKey, ErrorCode> {
        let Some((b'S', block)) = field.split_first() else {
            return self.refuse(ErrorCode::LMK_SCHEMES, "under a key-block LMK, a key must be a Thales key block");
        };
        let scope = LmkId::new(self.lmk_id).map(Scope::Lmk);
        let opened = lmk.protection_keys().and_then(|keys| thales::unwrap(keys, scope, block));
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => return self.refuse(ErrorCode::new(error.code()), format!("LMK {:02}: {error}", self.lmk_id)),
        };
        let attributes = opened.header.attributes;
        if !rule.allows(core::str::from_utf8(&attributes.usage.id()).unwrap_or_default()) {
            let why = format!("key usage {} is not for a key of type {purpose:?}", attributes.usage);
            return self.refuse(ErrorCode::KEY_USAGE, why);
        }
        Ok(OpenKey::new(opened.key, purpose, Some(attributes)))
    }

    /// Reads a key field that is a cryptogram; a reference into user storage is followed.
    fn cryptogram_field(&mut self, field: &[u8]) -> Result<(KeyScheme, Vec<u8>), ErrorCode> {
        let untagged = if field.len() == 32 { Untagged::Double } else { Untagged::Single };
        match KeyField::parse(field, untagged) {
            Ok((KeyField::Cryptogram { scheme, digits }, len)) if len == field.len() => {
                let cryptogram = hex::decode(digits).ok_or(ErrorCode::INPUT_DATA)?;
                Ok((scheme, cryptogram.to_vec()))
            }
            Ok((KeyField::Stored { .. }, _)) => {
                self.refuse(ErrorCode::USER_STORAGE_EMPTY, "nothing has been loaded into user storage")
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

    fn allow_length(&mut self, len: usize) -> Result<(), ErrorCode> {
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
