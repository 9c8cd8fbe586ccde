//! Operations on user storage, and references into it.

use super::Session;
use crate::hex;
use crate::scheme::{KeyField, KeyScheme, Untagged};
use crate::user_storage::{SlotSize, StorageError, UserStorage};
use hsm_plugin_sdk::abi::{ErrorCode, StorageOps};
use zeroize::Zeroizing;

/// Longest key field that is a reference: two of the form `K000`.
const MAX_REFERENCE: usize = 8;

impl StorageOps for Session {
    fn storage_slot(&mut self) -> Result<u8, ErrorCode> {
        Ok(self.state.settings.user_storage.bytes().map_or(0, |bytes| bytes as u8))
    }

    fn storage_load(&mut self, index: u16, data: &[u8]) -> Result<(), ErrorCode> {
        let bytes = match self.state.settings.user_storage {
            SlotSize::Variable => data.to_vec(),
            _ => hex::decode(data).ok_or(ErrorCode::INPUT_DATA)?.to_vec(),
        };
        self.with_storage(index, |slots| slots.load(index, &bytes))?;
        let mut storage = self.module.storage();
        storage.batch.erase();
        storage.save();
        Ok(())
    }

    fn storage_read(&mut self, index: u16, count: u16) -> Result<Vec<u8>, ErrorCode> {
        let read = self.with_storage(index, |slots| slots.read(index, count.into()))?;
        Ok(self.characters(read))
    }

    fn storage_block_header(&mut self, index: u16) -> Result<Option<[u8; 9]>, ErrorCode> {
        // Whoever uses the key finds out that there is none.
        let contents = Zeroizing::new(self.module.storage().slots.read(index, 1).unwrap_or_default());
        Ok(contents.first_chunk().filter(|start| matches!(start.first(), Some(b'S' | b'R'))).copied())
    }

    fn stored_digits(&mut self, index: [u8; 3], len: u16) -> Result<Vec<u8>, ErrorCode> {
        self.stored_item(storage_index(index)?, len.into())
    }

    fn storage_diebold_check(&mut self, index: u16) -> Result<(), ErrorCode> {
        self.stored_diebold_table(index).map(drop)
    }
}

impl Session {
    /// `len` hexadecimal digits from user storage: a table, a key serial number or a PIN block.
    pub(super) fn stored_item(&mut self, index: u16, len: usize) -> Result<Vec<u8>, ErrorCode> {
        let bytes = if self.state.settings.user_storage == SlotSize::Variable { len } else { len.div_ceil(2) };
        let item = self.with_storage(index, |slots| slots.item(index, bytes))?;
        let mut digits = self.characters(item);
        digits.truncate(len);
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return self
                .refuse(ErrorCode::USER_STORAGE_EMPTY, format!("user storage {index:03X} holds something else"));
        }
        Ok(digits)
    }

    /// The 256 bytes of the Diebold table at an index.
    pub(super) fn stored_diebold_table(&mut self, index: u16) -> Result<Vec<u8>, ErrorCode> {
        self.with_storage(index, |slots| slots.diebold_table(index))
    }

    /// The key field that a reference stands for; `None` if the field is none.
    ///
    /// Slots of variable size hold a whole key field, key blocks included, where the reference has no scheme tag.
    pub(super) fn stored_field(&mut self, field: &[u8]) -> Result<Option<Vec<u8>>, ErrorCode> {
        if field.len() > MAX_REFERENCE {
            return Ok(None);
        }
        let Ok((KeyField::Stored { scheme, index }, len)) = KeyField::parse(field, Untagged::Single) else {
            return Ok(None);
        };
        if let Some(second) = field.get(len..).filter(|rest| !rest.is_empty()) {
            return match KeyField::parse(second, Untagged::Single) {
                Ok((KeyField::Stored { scheme: None, index: second }, 4)) if scheme.is_none() => {
                    let mut halves = self.with_storage(index, |slots| slots.item(index, 8))?;
                    halves.extend(self.with_storage(second, |slots| slots.item(second, 8))?);
                    Ok(Some(KeyScheme::Double.write(&halves).into_bytes()))
                }
                _ => self.refuse(ErrorCode::INPUT_DATA, "the key field has another length than a reference"),
            };
        }
        if self.state.settings.user_storage == SlotSize::Variable {
            let mut field = self.with_storage(index, |slots| slots.read(index, 1))?;
            // The tag may be on either side.
            if let Some(tag) = scheme.and_then(KeyScheme::tag).filter(|tag| field.first() != Some(tag)) {
                field.insert(0, tag);
            }
            if matches!(KeyField::parse(&field, Untagged::Single), Ok((KeyField::Stored { .. }, _))) {
                return self.refuse(ErrorCode::INPUT_DATA, "a reference in user storage to user storage");
            }
            return Ok(Some(field));
        }
        let (scheme, cryptogram) = self.stored_key(scheme, index)?;
        Ok(Some(scheme.write(&cryptogram).into_bytes()))
    }

    /// The scheme and cryptogram of a key in user storage. Without a scheme the length of what is stored decides: fill with `FF` up
    /// to the size of the slot does not count.
    pub(super) fn stored_key(
        &mut self,
        scheme: Option<KeyScheme>,
        index: u16,
    ) -> Result<(KeyScheme, Vec<u8>), ErrorCode> {
        let (scheme, len) = match scheme {
            Some(scheme) => match scheme.key_len() {
                Some(len) => (scheme, len),
                None => return self.refuse(ErrorCode::KEY_SCHEME, "a key block is not stored in parts"),
            },
            None if self.state.settings.user_storage == SlotSize::Variable => return self.stored_text(index),
            None => {
                let slot = self.with_storage(index, |slots| slots.read(index, 1))?;
                let filled = slot.chunks(8).rev().take_while(|part| part.iter().all(|byte| *byte == 0xFF)).count();
                match slot.len() - 8 * filled {
                    0 | 8 => (KeyScheme::Single, 8),
                    16 => (KeyScheme::Double, 16),
                    _ => return self.refuse(ErrorCode::INPUT_DATA, "a triple-length key needs a scheme tag"),
                }
            }
        };
        let digits = self.stored_item(index, 2 * len)?;
        let cryptogram = hex::decode(&digits).ok_or(ErrorCode::USER_STORAGE_EMPTY)?;
        Ok((scheme, cryptogram.to_vec()))
    }

    /// The key field in a slot of variable size, if it is a cryptogram.
    fn stored_text(&mut self, index: u16) -> Result<(KeyScheme, Vec<u8>), ErrorCode> {
        let field = self.with_storage(index, |slots| slots.read(index, 1))?;
        let untagged = if field.len() == 32 { Untagged::Double } else { Untagged::Single };
        match KeyField::parse(&field, untagged) {
            Ok((KeyField::Cryptogram { scheme, digits }, len)) if len == field.len() => {
                let cryptogram = hex::decode(digits).ok_or(ErrorCode::INPUT_DATA)?;
                Ok((scheme, cryptogram.to_vec()))
            }
            Ok((KeyField::ThalesBlock(_) | KeyField::Tr31Block(_), _)) => {
                self.refuse(ErrorCode::LMK_SCHEMES, "a key block where the LMK or ZMK uses variants")
            }
            _ => self.refuse(ErrorCode::INPUT_DATA, format!("user storage {index:03X} does not hold a key")),
        }
    }

    fn characters(&self, stored: Vec<u8>) -> Vec<u8> {
        if self.state.settings.user_storage == SlotSize::Variable { stored } else { hex::encode(&stored).into_bytes() }
    }

    fn with_storage<T>(
        &mut self,
        index: u16,
        run: impl FnOnce(&mut UserStorage) -> Result<T, StorageError>,
    ) -> Result<T, ErrorCode> {
        let size = self.state.settings.user_storage;
        let result = {
            let mut storage = self.module.storage();
            if storage.slots.set_size(size) {
                storage.save();
            }
            run(&mut storage.slots)
        };
        result.or_else(|error| self.refuse(ErrorCode::new(error.code()), format!("user storage {index:03X}: {error}")))
    }
}

/// The number of an index of user storage in its three digits.
pub(super) fn storage_index(digits: [u8; 3]) -> Result<u16, ErrorCode> {
    let digits = core::str::from_utf8(&digits).map_err(|_| ErrorCode::INPUT_DATA)?;
    u16::from_str_radix(digits, 16).map_err(|_| ErrorCode::INPUT_DATA)
}
