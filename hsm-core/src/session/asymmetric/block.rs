//! Asymmetric keys in key blocks, and between the old and the new LMK (keys.md 4.6, 7 `EM`, `EU`).

use super::super::Session;
use super::super::keys::OpenKey;
use crate::key_block::header::{Exportability, Family, KeyVersion, ModeOfUse, Scope};
use crate::key_block::optional::OptionalBlocks;
use crate::key_block::{KeyBlockError, rules, thales};
use crate::lmk::{Lmk, LmkId, LmkScheme};
use crate::module::ChangeRole;
use hsm_plugin_sdk::abi::{ErrorCode, KeyAttributes, KeyPurpose};
use std::sync::Arc;

/// Most optional blocks that a request may give a key.
const MAX_OPTIONAL_BLOCKS: usize = 8;

impl Session {
    /// The LMKs that a key is translated from and to: the one in the slot, and the one in its key change storage.
    pub(in crate::session) fn translation(&mut self) -> Result<(Arc<Lmk>, Arc<Lmk>), ErrorCode> {
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
    pub(super) fn translated_attributes<'a>(
        &mut self,
        old: &Lmk,
        new: &Lmk,
        key: &OpenKey,
        given: Option<KeyAttributes<'a>>,
    ) -> Result<Option<KeyAttributes<'a>>, ErrorCode> {
        match (old.scheme(), new.scheme(), given) {
            (LmkScheme::Variant, LmkScheme::Variant, None) => Ok(None),
            // Only key blocks make a key exportable to trusted blocks alone (keys.md 4.2).
            (LmkScheme::Variant, LmkScheme::KeyBlock, Some(given)) => match given.exportability {
                Some(b'E') => self.refuse_block("a key from a variant LMK", KeyBlockError::Exportability),
                given_one => Ok(Some(KeyAttributes { exportability: given_one.or(Some(b'S')), ..given })),
            },
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

    pub(super) fn wrap_block(
        &mut self,
        lmk: &Lmk,
        key: &OpenKey,
        given: &KeyAttributes<'_>,
    ) -> Result<Vec<u8>, ErrorCode> {
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
            if attributes.key_version.component().is_some() {
                return Err(KeyBlockError::KeyVersion);
            }
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
}
