//! Operations on user storage, and references into it.

use super::Session;
use crate::hex;
use crate::scheme::{KeyField, KeyScheme, Untagged};
use crate::user_storage::{SlotSize, StorageError, UserStorage};
use hsm_plugin_sdk::abi::{ErrorCode, StorageOps};
use std::borrow::Cow;

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

    fn stored_key_start(&mut self, reference: &[u8]) -> Result<[u8; 9], ErrorCode> {
        let field = self.key_field(reference)?;
        let mut start = [0; 9];
        start.iter_mut().zip(field.iter()).for_each(|(to, from)| *to = *from);
        Ok(start)
    }

    fn stored_check(&mut self, index: [u8; 3], len: u16) -> Result<(), ErrorCode> {
        self.stored_bytes(storage_index(index)?, len.into()).map(drop)
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
        let item = self.stored_bytes(index, len)?;
        let mut digits = self.characters(item);
        digits.truncate(len);
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return self
                .refuse(ErrorCode::USER_STORAGE_EMPTY, format!("user storage {index:03X} holds something else"));
        }
        Ok(digits)
    }

    /// What holds `len` digits at an index.
    fn stored_bytes(&mut self, index: u16, len: usize) -> Result<Vec<u8>, ErrorCode> {
        let bytes = if self.state.settings.user_storage == SlotSize::Variable { len } else { len.div_ceil(2) };
        self.with_storage(index, |slots| slots.item(index, bytes))
    }

    /// The 256 bytes of the Diebold table at an index.
    pub(super) fn stored_diebold_table(&mut self, index: u16) -> Result<Vec<u8>, ErrorCode> {
        self.with_storage(index, |slots| slots.diebold_table(index))
    }

    /// A key field as operations on keys take it: itself, or what it refers to in user storage.
    ///
    /// Slots of variable size hold a whole key field, key blocks included, with its tag or with the tag in the reference.
    pub(super) fn key_field<'f>(&mut self, field: &'f [u8]) -> Result<Cow<'f, [u8]>, ErrorCode> {
        if field.len() > MAX_REFERENCE {
            return Ok(Cow::Borrowed(field));
        }
        let Ok((KeyField::Stored { scheme, index }, len)) = KeyField::parse(field, Untagged::Single) else {
            return Ok(Cow::Borrowed(field));
        };
        if let Some(second) = field.get(len..).filter(|rest| !rest.is_empty()) {
            return match KeyField::parse(second, Untagged::Single) {
                Ok((KeyField::Stored { scheme: None, index: second }, 4)) if scheme.is_none() => {
                    let mut halves = self.with_storage(index, |slots| slots.item(index, 8))?;
                    halves.extend(self.with_storage(second, |slots| slots.item(second, 8))?);
                    Ok(Cow::Owned(KeyScheme::Double.write(&halves).into_bytes()))
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
            return Ok(Cow::Owned(field));
        }
        let (scheme, len) = match scheme {
            Some(scheme) => match scheme.key_len() {
                Some(len) => (scheme, len),
                None => {
                    return self.refuse(ErrorCode::KEY_SCHEME, "key blocks are stored in slots of variable size only");
                }
            },
            // Fill with FF up to the size of the slot does not count.
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
        let cryptogram = self.with_storage(index, |slots| slots.item(index, len))?;
        Ok(Cow::Owned(scheme.write(&cryptogram).into_bytes()))
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
