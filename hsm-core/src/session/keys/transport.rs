//! Keys under ZMKs, TMKs and KEKs: export and import in every scheme (keys.md 1.2, 4.8, 7 `A6` and `A8`).

use super::attributes::tagged;
use super::{OpenKey, Session};
use crate::clear_key::{Algorithm, ClearKey};
use crate::key_block::header::{Attributes, BlockAlgorithm, Exportability, Family, Scope, Usage, Version};
use crate::key_block::optional::{OptionalBlock, OptionalBlocks};
use crate::key_block::rules::{self, ExportForm};
use crate::key_block::thales::{self, ProtectionKeys};
use crate::key_block::{KeyBlockError, OpenedBlock, tr31};
use crate::key_type::{KeyType, Listing};
use crate::lmk::LmkScheme;
use crate::scheme::KeyScheme;
use crate::variant;
use hsm_plugin_sdk::abi::{ErrorCode, KeyAttributes, KeyHandle, KeyPurpose};
use std::sync::Arc;

/// What may wrap and unwrap keys for transport.
const WRAPPING_KEYS: &[KeyPurpose] =
    &[KeyPurpose::ZMK, KeyPurpose::TMK, KeyPurpose::TERMINAL, KeyPurpose::WRAPPING_KEY];

/// Usage of keys that encrypt keys. In TR-31 blocks such a key may be one that protects key blocks, too.
const KEY_ENCRYPTION: &str = "K0";
const BLOCK_PROTECTION: &str = "K1";

impl Session {
    pub(super) fn export(
        &mut self,
        key: KeyHandle,
        wrapping_key: KeyHandle,
        scheme: u8,
        atalla: u8,
        given: &KeyAttributes<'_>,
        version: Option<u8>,
    ) -> Result<Vec<u8>, ErrorCode> {
        let wrapping_key = self.wrapping_key(wrapping_key, true)?;
        let key = self.key(key)?.clone();
        self.may_leave(&key)?;
        self.in_force(&key.optional)?;
        let attributes = self.effective_attributes(&key)?;
        self.may_export(&key, attributes.as_ref())?;
        self.allow_length_of(key.key())?;
        match (scheme, attributes) {
            (b'S', Some(attributes)) => {
                let attributes = self.narrowed(attributes, given, ExportForm::KeyBlock)?;
                self.export_thales(&wrapping_key, attributes, &key)
            }
            (b'R', attributes) => {
                let (attributes, optional) = self.x9143_attributes(&key, attributes, given)?;
                self.export_tr31(&wrapping_key, attributes, &optional, key.key(), version)
            }
            (_, attributes) => {
                if let Some(attributes) = attributes {
                    self.narrowed(attributes, given, ExportForm::VariantOrX917)?;
                    self.may_leave_without_key_block()?;
                    if key.algorithm() != Algorithm::Des {
                        return self.refuse(ErrorCode::ALGORITHM, "only DES keys can be exported without key block");
                    }
                }
                self.export_cryptogram(&wrapping_key, &key, scheme, atalla)
            }
        }
    }

    pub(super) fn import(
        &mut self,
        purpose: KeyPurpose,
        wrapping_key: KeyHandle,
        field: &[u8],
        atalla: u8,
        given: Option<&KeyAttributes<'_>>,
    ) -> Result<(KeyHandle, bool), ErrorCode> {
        let to_key_block = self.lmk()?.scheme() == LmkScheme::KeyBlock;
        if purpose != KeyPurpose::KEY_BLOCK {
            self.may_import(purpose)?;
        } else if !to_key_block {
            return self.refuse(ErrorCode::KEY_TYPE, "a variant LMK needs a key type");
        }
        let wrapping_key = self.wrapping_key(wrapping_key, false)?;
        let field = &*self.key_field(field)?;
        let (key, forced) = match field.split_first() {
            Some((b'S', block)) => {
                let opened = ProtectionKeys::derive(wrapping_key.key())
                    .and_then(|keys| thales::unwrap(&keys, Some(Scope::Transport), block));
                self.opened(opened, purpose, to_key_block, None)?
            }
            Some((b'R', block)) => {
                let opened = tr31::unwrap(wrapping_key.key(), block).map(without_posing);
                self.opened(opened, purpose, to_key_block, given)?
            }
            _ => {
                let key = self.decrypt_transported(&wrapping_key, field, atalla)?;
                let (key, forced) = with_usual_parity(key, purpose, given.and_then(|given| given.usage));
                let key = OpenKey::new(key, purpose, None);
                let key = match given {
                    Some(given) if to_key_block => self.describe(&key, given)?,
                    None if to_key_block && purpose == KeyPurpose::KEY_BLOCK => {
                        return self.refuse(ErrorCode::INPUT_DATA, "key block attributes are missing");
                    }
                    _ => Arc::new(key),
                };
                (key, forced)
            }
        };
        if let (KeyPurpose::KEY_BLOCK, Some(attributes)) = (purpose, key.attributes) {
            self.may_import_block(&attributes)?;
        }
        self.allow_value(key.key())?;
        let lmk = self.lmk()?.clone();
        self.allow_strength(&lmk, key.key())?;
        Ok((self.hold_key(key)?, forced))
    }

    /// A key that may wrap (`export`) or unwrap keys: BB for another usage or mode.
    fn wrapping_key(&mut self, handle: KeyHandle, export: bool) -> Result<Arc<OpenKey>, ErrorCode> {
        let key = self.key_for(handle, WRAPPING_KEYS)?;
        if let Some(attributes) = &key.attributes {
            if let Err(error) = rules::check_wrapping_key(attributes, export) {
                return self.refuse(ErrorCode::WRAPPING_KEY, format!("the wrapping key: {error}"));
            }
            self.in_force(&key.optional)?;
        } else if key.transient && !export {
            return self.refuse(ErrorCode::WRAPPING_KEY, "a DUKPT update key wraps keys for a device, not from one");
        }
        Ok(key)
    }

    /// Whether keys of a type may be imported now: 17. Types that are not listed among the activities need no authorisation.
    pub(super) fn may_import(&mut self, purpose: KeyPurpose) -> Result<(), ErrorCode> {
        let key_type = self.key_type_comes(purpose)?;
        if key_type.and_then(KeyType::info).is_some_and(|info| info.payshield_import == Listing::NotListed) {
            return Ok(());
        }
        self.require("import", purpose)
    }

    /// Whether keys of a type may be imported at all: 29, and 17 for ZMKs where a setting forbids it.
    pub(in crate::session) fn key_type_comes(&mut self, purpose: KeyPurpose) -> Result<Option<KeyType>, ErrorCode> {
        let key_type = self.known_rule(purpose)?.key_type;
        // BY has a setting of its own.
        if key_type == Some(KeyType::ZMK) && !self.state.settings.zmk_import && self.command != *b"BY" {
            return self.refuse(ErrorCode::NOT_AUTHORISED, "import of ZMKs is disabled");
        }
        Ok(key_type)
    }

    /// Whether keys of a type may be exported now: 17, 29.
    pub(super) fn may_export_type(&mut self, purpose: KeyPurpose) -> Result<(), ErrorCode> {
        self.key_type_leaves(purpose)?;
        self.require("export", purpose)
    }

    /// Whether keys of a type may be exported at all: 29, and 17 for ZMKs where a setting forbids it.
    pub(in crate::session) fn key_type_leaves(&mut self, purpose: KeyPurpose) -> Result<(), ErrorCode> {
        let rule = self.known_rule(purpose)?;
        let is_zmk = rule.key_type == Some(KeyType::ZMK);
        if is_zmk && !self.state.settings.zmk_export {
            return self.refuse(ErrorCode::NOT_AUTHORISED, "export of ZMKs is disabled");
        }
        if !is_zmk && !rule.exportable() {
            return self.refuse(ErrorCode::KEY_FUNCTION, format!("keys of type {purpose:?} may not be exported"));
        }
        Ok(())
    }

    /// Whether keys may leave a key-block LMK in another form than a key block: 17.
    pub(in crate::session) fn may_leave_without_key_block(&mut self) -> Result<(), ErrorCode> {
        if self.state.settings.trusted_export_only {
            return self.refuse(ErrorCode::NOT_AUTHORISED, "keys may be exported in key blocks only");
        }
        Ok(())
    }

    /// Whether keys may come to a key-block LMK in another form than a key block: 17.
    pub(in crate::session) fn may_come_without_key_block(&mut self) -> Result<(), ErrorCode> {
        if self.state.settings.trusted_import_only {
            return self.refuse(ErrorCode::NOT_AUTHORISED, "keys may be imported in key blocks only");
        }
        Ok(())
    }

    /// Whether keys of a usage may be imported at all: 17 for ZMKs where a setting forbids it.
    pub(in crate::session) fn usage_comes(&mut self, usage: Usage) -> Result<(), ErrorCode> {
        if usage.is_zmk() && !self.state.settings.zmk_import {
            return self.refuse(ErrorCode::NOT_AUTHORISED, "import of ZMKs is disabled");
        }
        Ok(())
    }

    /// Whether keys of a usage may be exported at all: 17 for ZMKs where a setting forbids it.
    pub(in crate::session) fn usage_leaves(&mut self, usage: Usage) -> Result<(), ErrorCode> {
        if usage.is_zmk() && !self.state.settings.zmk_export {
            return self.refuse(ErrorCode::NOT_AUTHORISED, "export of ZMKs is disabled");
        }
        Ok(())
    }

    fn may_import_block(&mut self, attributes: &Attributes) -> Result<(), ErrorCode> {
        self.usage_comes(attributes.usage)?;
        if is_private(attributes) && !self.state.settings.private_key_import {
            return self.refuse(ErrorCode::NOT_AUTHORISED, "import of private keys is disabled");
        }
        self.require_activity("import", &attributes.usage.to_string())
    }

    /// Whether a key may be exported now, by its key type or by its usage: 17, 29.
    pub(in crate::session) fn may_export(
        &mut self,
        key: &OpenKey,
        attributes: Option<&Attributes>,
    ) -> Result<(), ErrorCode> {
        let Some(attributes) = attributes else { return self.may_export_type(key.purpose) };
        self.usage_leaves(attributes.usage)?;
        if is_private(attributes) && !self.state.settings.private_key_export {
            return self.refuse(ErrorCode::NOT_AUTHORISED, "export of private keys is disabled");
        }
        self.require_activity("export", &attributes.usage.to_string())
    }

    /// The attributes that a key from a key-block LMK has outside: AA if it may not leave, or not with the exportability asked for.
    fn narrowed(
        &mut self,
        attributes: Attributes,
        given: &KeyAttributes<'_>,
        form: ExportForm,
    ) -> Result<Attributes, ErrorCode> {
        let narrow = || {
            rules::check_export(&attributes, form, self.state.settings.sensitive_export)?;
            let exportability = match given.exportability {
                Some(id) => rules::narrow(attributes.exportability, Exportability::from_id(id)?)?,
                None => attributes.exportability,
            };
            Ok(Attributes { exportability, ..attributes })
        };
        match narrow() {
            Ok(attributes) => Ok(attributes),
            Err(error) => self.refuse_block("export", error),
        }
    }

    /// The attributes and optional blocks that a key has outside of the LMK in the terms of X9.143: those of its key block, or those that
    /// a request gives a key of a variant LMK.
    pub(in crate::session) fn x9143_attributes(
        &mut self,
        key: &OpenKey,
        attributes: Option<Attributes>,
        given: &KeyAttributes<'_>,
    ) -> Result<(Attributes, OptionalBlocks), ErrorCode> {
        let Some(attributes) = attributes else { return self.tr31_attributes(key, given) };
        let attributes = self.narrowed(attributes, given, ExportForm::KeyBlock)?;
        let attributes =
            rules::to_x9143(&attributes).or_else(|error| self.refuse_block("export in a TR-31 block", error))?;
        // Blocks with numbers are Thales' own.
        let is_x9143 = |block: &&OptionalBlock| !block.id().iter().all(u8::is_ascii_digit);
        let optional = key.optional.iter().filter(is_x9143);
        Ok((attributes, self.joined_optional(optional, &OptionalBlocks::NONE)?))
    }

    /// The attributes and optional blocks that a request gives a key of a variant LMK for a TR-31 block.
    fn tr31_attributes(
        &mut self,
        key: &OpenKey,
        given: &KeyAttributes<'_>,
    ) -> Result<(Attributes, OptionalBlocks), ErrorCode> {
        let usages = self.describable(key.purpose)?;
        let equivalent = |usage: &&str| {
            let &[a, b] = usage.as_bytes() else { return None };
            Usage::new([a, b]).ok().and_then(rules::rule).and_then(|rule| rule.x9143)
        };
        let protection = usages.contains(&KEY_ENCRYPTION).then_some(BLOCK_PROTECTION);
        let equivalents: Vec<&str> = usages.iter().filter_map(equivalent).chain(protection).collect();
        if !usages.is_empty() && equivalents.is_empty() {
            let why = format!("keys of type {:?} have no usage in TR-31 blocks", key.purpose);
            return self.refuse(ErrorCode::KEY_USAGE, why);
        }
        let attributes = self.describing_attributes(given, key, &equivalents)?;
        if rules::to_x9143(&attributes).is_ok_and(|x9143| x9143 != attributes) {
            return self.refuse(ErrorCode::KEY_USAGE, format!("usage {} is not one of TR-31", attributes.usage));
        }
        let optional = self.given_optional(given)?;
        if optional.iter().any(|block| !matches!(&block.id(), b"KS" | b"KV")) {
            return self.refuse(ErrorCode::HEADER_ID, "only optional blocks KS and KV are allowed here");
        }
        Ok((attributes, optional))
    }

    fn export_thales(
        &mut self,
        wrapping_key: &OpenKey,
        attributes: Attributes,
        key: &OpenKey,
    ) -> Result<Vec<u8>, ErrorCode> {
        self.can_wrap(wrapping_key.key(), key.key())?;
        let random = &mut self.random;
        let wrapped = ProtectionKeys::derive(wrapping_key.key()).and_then(|keys| {
            let fill = &mut |fill: &mut [u8]| random.fill_bytes(fill);
            thales::wrap(&keys, Scope::Transport, attributes, &key.optional, key.key(), fill)
        });
        match wrapped {
            Ok(block) => Ok(tagged(b'S', &block)),
            Err(error) => self.refuse_transport(error),
        }
    }

    fn export_tr31(
        &mut self,
        wrapping_key: &OpenKey,
        attributes: Attributes,
        optional: &OptionalBlocks,
        key: &ClearKey,
        version: Option<u8>,
    ) -> Result<Vec<u8>, ErrorCode> {
        self.can_wrap(wrapping_key.key(), key)?;
        let usual = if wrapping_key.algorithm() == Algorithm::Aes { b'D' } else { b'B' };
        let mask_to = match (self.state.settings.hide_key_length, key.algorithm()) {
            (true, Algorithm::Des) => 24,
            (true, Algorithm::Aes) => 32,
            _ => 0,
        };
        let random = &mut self.random;
        let wrapped = Version::from_id(Family::X9143, version.unwrap_or(usual)).and_then(|version| {
            let fill = &mut |fill: &mut [u8]| random.fill_bytes(fill);
            tr31::wrap(wrapping_key.key(), version, attributes, optional, key, mask_to, fill)
        });
        match wrapped {
            Ok(block) => Ok(tagged(b'R', &block)),
            Err(error) => self.refuse_transport(error),
        }
    }

    fn export_cryptogram(
        &mut self,
        wrapping_key: &OpenKey,
        key: &OpenKey,
        scheme: u8,
        atalla: u8,
    ) -> Result<Vec<u8>, ErrorCode> {
        let scheme = self.fitting_scheme(key, scheme)?;
        if !self.state.settings.x917_export && !matches!(scheme, KeyScheme::U | KeyScheme::T) {
            return self.refuse(ErrorCode::KEY_SCHEME, "export in X9.17 schemes is disabled");
        }
        self.des_wrapping_key(wrapping_key)?;
        let atalla = self.atalla(atalla)?;
        match variant::encrypt_under_zmk(wrapping_key.key(), atalla, scheme, key.key()) {
            Ok(cryptogram) => Ok(scheme.write(&cryptogram).into_bytes()),
            Err(error) => self.refuse(ErrorCode::new(error.code()), error.to_string()),
        }
    }

    /// A key from under a wrapping key in a variant or X9.17 scheme.
    fn decrypt_transported(&mut self, wrapping_key: &OpenKey, field: &[u8], atalla: u8) -> Result<ClearKey, ErrorCode> {
        let (scheme, cryptogram) = self.cryptogram_field(field)?;
        if !self.state.settings.x917_import && !matches!(scheme, KeyScheme::U | KeyScheme::T) {
            return self.refuse(ErrorCode::KEY_SCHEME, "import in X9.17 schemes is disabled");
        }
        if self.lmk()?.scheme() == LmkScheme::KeyBlock {
            self.may_come_without_key_block()?;
        }
        self.allow_length(cryptogram.len())?;
        self.des_wrapping_key(wrapping_key)?;
        let atalla = self.atalla(atalla)?;
        match variant::decrypt_under_zmk(wrapping_key.key(), atalla, scheme, &cryptogram) {
            Ok(decrypted) => Ok(decrypted.key),
            Err(error) => self.refuse(ErrorCode::new(error.code()), error.to_string()),
        }
    }

    /// What came out of a transported key block, as a key of a purpose.
    fn opened(
        &mut self,
        opened: Result<OpenedBlock, KeyBlockError>,
        purpose: KeyPurpose,
        to_key_block: bool,
        given: Option<&KeyAttributes<'_>>,
    ) -> Result<(Arc<OpenKey>, bool), ErrorCode> {
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => return self.refuse_transport(error),
        };
        self.allow_length_of(&opened.key)?;
        let mut attributes = opened.header.attributes;
        if !to_key_block {
            return self.for_variant_lmk(opened.key, attributes.usage, purpose);
        }
        let mut added = OptionalBlocks::NONE;
        if let Some(given) = given {
            if let Some(id) = given.usage {
                let modified = Usage::new(id).and_then(|modified| {
                    rules::check_modified_usage(attributes.usage, modified)?;
                    Ok(modified)
                });
                attributes.usage = modified.or_else(|error| self.refuse_block("the modified key usage", error))?;
            }
            added = self.given_optional(given)?;
            if added.iter().any(|block| matches!(&block.id(), b"KS" | b"KV")) {
                return self.refuse(ErrorCode::HEADER_ID, "optional blocks KS and KV come with the TR-31 block");
            }
        }
        self.check_attributes(&attributes)?;
        let rule = self.rule(purpose)?;
        if !rule.allows(core::str::from_utf8(&attributes.usage.id()).unwrap_or_default()) {
            let why = format!("key usage {} is not for a key of type {purpose:?}", attributes.usage);
            return self.refuse(ErrorCode::KEY_USAGE, why);
        }
        let optional = self.joined_optional(opened.optional.iter(), &added)?;
        Ok((Arc::new(OpenKey::new(opened.key, purpose, Some(attributes)).with_optional(optional)), false))
    }

    /// A key from a key block on its way to a variant LMK, which holds DES keys with odd parity.
    fn for_variant_lmk(
        &mut self,
        key: ClearKey,
        usage: Usage,
        purpose: KeyPurpose,
    ) -> Result<(Arc<OpenKey>, bool), ErrorCode> {
        let usages = self.describable(purpose)?;
        let fits = |of_type: &&str| {
            let &[a, b] = of_type.as_bytes() else { return false };
            Usage::new([a, b])
                .is_ok_and(|of_type| of_type == usage || rules::check_modified_usage(usage, of_type).is_ok())
        };
        let protects_blocks = usage.id() == BLOCK_PROTECTION.as_bytes() && usages.contains(&KEY_ENCRYPTION);
        if !protects_blocks && !usages.iter().any(fits) {
            let why = format!("key usage {usage} is not for a key of type {purpose:?}");
            return self.refuse(ErrorCode::KEY_TYPES, why);
        }
        if key.algorithm() != Algorithm::Des {
            return self.refuse(ErrorCode::ALGORITHM, "a variant LMK holds DES keys only");
        }
        let (key, forced) = with_usual_parity(key, purpose, Some(usage.id()));
        Ok((Arc::new(OpenKey::new(key, purpose, None)), forced))
    }

    /// Variant and X9.17 schemes need a DES key to wrap with: BB.
    fn des_wrapping_key(&mut self, wrapping_key: &OpenKey) -> Result<(), ErrorCode> {
        if wrapping_key.algorithm() == Algorithm::Des {
            return Ok(());
        }
        self.refuse(ErrorCode::WRAPPING_KEY, "variant and X9.17 schemes need a DES wrapping key")
    }

    /// An AES key is never put under a TDES key: BB.
    fn can_wrap(&mut self, wrapping_key: &ClearKey, key: &ClearKey) -> Result<(), ErrorCode> {
        if key.algorithm() == Algorithm::Aes && wrapping_key.algorithm() != Algorithm::Aes {
            return self.refuse(ErrorCode::WRAPPING_KEY, "an AES key needs an AES wrapping key");
        }
        Ok(())
    }

    /// Refuses a transported key block; that its version does not suit the wrapping key is the wrapping key's fault.
    fn refuse_transport<T>(&mut self, error: KeyBlockError) -> Result<T, ErrorCode> {
        match error {
            KeyBlockError::LmkScheme => {
                self.refuse(ErrorCode::WRAPPING_KEY, "the key block's version does not suit the wrapping key")
            }
            error => self.refuse_block("the transported key block", error),
        }
    }
}

/// A key with odd parity, and whether it had another. Of a DUKPT initial key each bit counts: its parity is not touched.
pub(in crate::session) fn with_usual_parity(
    key: ClearKey,
    purpose: KeyPurpose,
    usage: Option<[u8; 2]>,
) -> (ClearKey, bool) {
    if purpose == KeyPurpose::IKEY || usage == Some(Usage::INITIAL_KEY.id()) {
        return (key, false);
    }
    let forced = !key.has_odd_parity();
    (key.with_odd_parity(), forced)
}

/// Whether a key block holds a private key. Public keys have usage 02.
fn is_private(attributes: &Attributes) -> bool {
    rules::is_asymmetric(attributes.algorithm) && attributes.usage.id() != *b"02"
}

/// TR-31 may call a single-length key T; a Thales block calls it D.
fn without_posing(mut opened: OpenedBlock) -> OpenedBlock {
    let attributes = &mut opened.header.attributes;
    if attributes.algorithm == BlockAlgorithm::Tdes {
        attributes.algorithm = BlockAlgorithm::of(&opened.key);
    }
    opened
}
