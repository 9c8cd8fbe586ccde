//! Operations of the legacy key-management commands, and on keys under an old LMK.

use super::Session;
use super::keys::hash_of_usage;
use crate::kcv;
use crate::lmk::{Lmk, LmkScheme};
use hsm_plugin_sdk::abi::{ErrorCode, KeyAttributes, KeyHandle, KeyOps, KeyPurpose, MigrationOps};
use std::sync::Arc;

/// The legacy commands and the activity that the page of each asks for (keys.md 6 and 7). Operations on keys ask for no other.
const PAGES: &[([u8; 2], Option<&str>)] = &[
    (*b"AE", None),
    (*b"AG", None),
    (*b"AS", None),
    (*b"AU", None),
    (*b"AW", None),
    (*b"BI", None),
    (*b"BY", Some("import.000.host")),
    (*b"DW", None),
    (*b"DY", None),
    (*b"FA", None),
    (*b"FC", Some("import.002.host")),
    (*b"FE", Some("export.002.host")),
    (*b"FG", Some("generate.002.host")),
    (*b"FI", None),
    (*b"FK", None),
    (*b"FM", None),
    (*b"GC", Some("export.001.host")),
    (*b"GG", Some("component.000.host")),
    (*b"GY", Some("component.000.host")),
    (*b"HA", None),
    (*b"HC", None),
    (*b"IA", None),
    (*b"MG", None),
    (*b"MI", None),
];

/// Commands that cannot tell TMK, TPK and PVK apart: disabled where key type 002 is separated (keys.md 2).
pub(super) const AMBIGUOUS: &[[u8; 2]] = &[*b"AA", *b"AE", *b"FC", *b"FE", *b"HC", *b"KA", *b"OE"];

/// What a key of type 002 may become where the type is separated: TPK, TMK, TKR.
const MIGRATION_TYPES: &[KeyPurpose] =
    &[KeyPurpose::from_code(*b"70D"), KeyPurpose::from_code(*b"80D"), KeyPurpose::from_code(*b"90D")];

impl MigrationOps for Session {
    fn command_permitted(&mut self) -> Result<(), ErrorCode> {
        if !self.command_enabled(self.command) {
            let why = "the command is disabled, or key type 002 is separated and it cannot tell its keys apart";
            return self.refuse(ErrorCode::COMMAND_DISABLED, why);
        }
        if self.command == *b"BY" && !self.state.settings.zmk_translation {
            return self.refuse(ErrorCode::NOT_AUTHORISED, "the ZMK translate command is disabled");
        }
        self.page_permission().unwrap_or(Ok(()))
    }

    fn key_part_check_values(&mut self, key: KeyHandle) -> Result<Vec<u8>, ErrorCode> {
        let shown = if self.state.settings.restrict_kcv { 3 } else { 8 };
        let mut values = kcv::des_part_check_values(self.key(key)?.key()).map_err(|_| ErrorCode::ALGORITHM)?;
        values.iter_mut().for_each(|value| value.iter_mut().skip(shown).for_each(|byte| *byte = 0));
        Ok(values.concat())
    }

    fn old_lmk_translate(
        &mut self,
        purpose: KeyPurpose,
        migrated_to: Option<KeyPurpose>,
        field: &[u8],
        scheme: u8,
        attributes: Option<KeyAttributes<'_>>,
    ) -> Result<(Vec<u8>, KeyHandle), ErrorCode> {
        let (old, new) = self.translation()?;
        if let Some(destination) = migrated_to {
            self.migration(purpose, destination)?;
        }
        match (old.scheme(), new.scheme(), attributes) {
            (LmkScheme::KeyBlock, LmkScheme::Variant, _) => {
                return self.refuse(ErrorCode::LMK_SCHEMES, "a key cannot go from a key-block LMK to a variant LMK");
            }
            (LmkScheme::Variant, LmkScheme::KeyBlock, None) => {
                return self.refuse(ErrorCode::INPUT_DATA, "a key from a variant LMK needs key block attributes (#)");
            }
            (LmkScheme::Variant, LmkScheme::KeyBlock, Some(_)) | (.., None) => {}
            (.., Some(_)) => {
                let why = "key block attributes are only for a key that goes from a variant LMK to a key-block LMK";
                return self.refuse(ErrorCode::INPUT_DATA, why);
            }
        }
        let field = self.key_field(field)?;
        let mut key = self.with_lmk(old, |session| session.unwrap_under_lmk(purpose, &field))?;
        key.purpose = migrated_to.unwrap_or(purpose);
        let mut key = self.hold_key(Arc::new(key))?;
        if let Some(attributes) = attributes {
            key = self.key_describe(key, attributes)?;
        }
        let field = self.with_lmk(new, |session| session.key_wrap(key, scheme))?;
        Ok((field, key))
    }

    fn old_lmk_translate_hmac(
        &mut self,
        hash: [u8; 2],
        field: &[u8],
        attributes: Option<KeyAttributes<'_>>,
    ) -> Result<(Vec<u8>, KeyHandle), ErrorCode> {
        let (old, new) = self.translation()?;
        let key = self.unwrap_hmac(&old, field, hash)?;
        match (new.scheme(), attributes) {
            (LmkScheme::Variant, None) => {
                let field = self.wrap_hmac(&new, &key)?;
                Ok((field, self.hold_key(Arc::new(key))?))
            }
            (LmkScheme::KeyBlock, Some(attributes)) => {
                if attributes.usage.and_then(hash_of_usage).is_none_or(|hash| key.hash() != Some(hash)) {
                    return self.refuse(ErrorCode::KEY_TYPES, "the key usage is not that of keys for this hash");
                }
                let key = self.hold_key(Arc::new(key))?;
                let key = self.key_describe(key, attributes)?;
                let field = self.with_lmk(new, |session| session.key_wrap(key, b'S'))?;
                Ok((field, key))
            }
            _ => self
                .refuse(ErrorCode::INPUT_DATA, "key block attributes are for keys from a variant to a key-block LMK"),
        }
    }

    fn change_storage_erase(&mut self) -> Result<(), ErrorCode> {
        self.lmk()?;
        self.module.erase_change_storage(self.lmk_id);
        Ok(())
    }
}

impl Session {
    /// Whether the activity that the running command's page asks for is authorised; `None` for commands outside [`PAGES`], whose
    /// activities follow from the key types they handle.
    pub(super) fn page_permission(&mut self) -> Option<Result<(), ErrorCode>> {
        let (_, activity) = PAGES.iter().find(|(code, _)| *code == self.command)?;
        Some(activity.map_or(Ok(()), |activity| self.require_named(activity)))
    }

    fn migration(&mut self, purpose: KeyPurpose, destination: KeyPurpose) -> Result<(), ErrorCode> {
        if !self.state.settings.separate_002 {
            return self.refuse(ErrorCode::MIGRATION, "keys of type 002 migrate only where the type is separated");
        }
        if purpose != KeyPurpose::PVK || !MIGRATION_TYPES.contains(&destination) {
            let why = format!("a key of type {purpose:?} cannot become one of type {destination:?}");
            return self.refuse(ErrorCode::MIGRATION_TYPE, why);
        }
        Ok(())
    }

    /// Runs something with another LMK in the selected slot.
    fn with_lmk<T>(&mut self, lmk: Arc<Lmk>, run: impl FnOnce(&mut Self) -> T) -> T {
        let live = self.state.lmks.clone();
        Arc::make_mut(&mut self.state.lmks).slots.insert(self.lmk_id, lmk);
        let result = run(self);
        self.state.lmks = live;
        result
    }
}
