//! User storage: keys and tables under the LMK that a host keeps in the module and names by index (host.md 3.7 and 4).
//!
//! Everything in it is ciphertext that came from a host. It belongs to the module, not to an LMK.

use crate::authorisation::PersistenceError;
use crate::hex;
use crate::private_file::{self, FileError};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Number of slots of every fixed size: indices 000 to FFF.
pub const SLOTS: usize = 4096;
/// Number of slots of variable size: indices 000 to 07F.
pub const VARIABLE_SLOTS: usize = 128;
/// Most bytes a slot of variable size holds.
pub const VARIABLE_MAX: usize = 1000;
/// Slots a Diebold table takes, 8 bytes in each.
pub const DIEBOLD_BLOCKS: usize = 32;

/// What a slot holds (setting "user storage key length").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum SlotSize {
    /// `S`: 8 bytes, a single-length key. Longer items take consecutive slots.
    #[default]
    Single,
    /// `D`: 16 bytes.
    Double,
    /// `T`: 24 bytes.
    Triple,
    /// `V`: up to 1000 bytes, kept as the characters that were sent.
    Variable,
}

impl SlotSize {
    /// Bytes of a slot; `None` for slots of variable size.
    #[must_use]
    pub fn bytes(self) -> Option<usize> {
        match self {
            Self::Single => Some(8),
            Self::Double => Some(16),
            Self::Triple => Some(24),
            Self::Variable => None,
        }
    }

    /// Number of slots.
    #[must_use]
    pub fn slots(self) -> usize {
        if self == Self::Variable { VARIABLE_SLOTS } else { SLOTS }
    }
}

/// What user storage refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// Nothing has been loaded there, or too little.
    #[error("nothing of that length has been loaded there")]
    Empty,
    /// An index, or the last index of several, does not exist.
    #[error("there is no such index")]
    Index,
    /// The data is not whole slots, or longer than a slot of variable size.
    #[error("the data does not fit the slots")]
    Length,
    /// A Diebold table of which only some slots are loaded.
    #[error("the Diebold table is incomplete")]
    Diebold,
}

impl StorageError {
    /// The payShield error code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "12",
            Self::Index => "21",
            Self::Length => "15",
            Self::Diebold => "19",
        }
    }
}

/// The slots that are loaded. A change of the slot size erases everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserStorage {
    size: SlotSize,
    slots: BTreeMap<u16, Vec<u8>>,
}

impl UserStorage {
    /// Empty storage with slots of a size.
    #[must_use]
    pub fn new(size: SlotSize) -> Self {
        Self { size, slots: BTreeMap::new() }
    }

    /// The size of the slots.
    #[must_use]
    pub fn size(&self) -> SlotSize {
        self.size
    }

    /// Changes the size of the slots: erases everything if it is another one. Returns whether anything was erased.
    pub fn set_size(&mut self, size: SlotSize) -> bool {
        if size == self.size {
            return false;
        }
        let erased = !self.slots.is_empty();
        *self = Self::new(size);
        erased
    }

    /// Erases everything.
    pub fn erase(&mut self) {
        self.slots.clear();
    }

    /// The loaded slots, as a persistence hook saves them and [`UserStorage::load`] takes them.
    pub fn items(&self) -> impl Iterator<Item = (u16, &[u8])> {
        self.slots.iter().map(|(index, item)| (*index, item.as_slice()))
    }

    /// Loads consecutive slots from `index` on, or one slot of variable size. What was there is overwritten; nothing empties a slot of
    /// variable size.
    ///
    /// # Errors
    /// [`StorageError::Index`], [`StorageError::Length`]; then nothing is loaded.
    pub fn load(&mut self, index: u16, data: &[u8]) -> Result<(), StorageError> {
        let slot = match self.size.bytes() {
            Some(slot) if data.len().is_multiple_of(slot) => slot,
            None if data.len() <= VARIABLE_MAX => data.len().max(1),
            _ => return Err(StorageError::Length),
        };
        self.check_range(index, data.len().div_ceil(slot))?;
        if self.size == SlotSize::Variable && data.is_empty() {
            self.slots.remove(&index);
        }
        for (at, item) in (index..).zip(data.chunks(slot)) {
            self.slots.insert(at, item.to_vec());
        }
        Ok(())
    }

    /// Reads `count` consecutive slots.
    ///
    /// # Errors
    /// [`StorageError::Index`]; [`StorageError::Empty`] if one of them is not loaded.
    pub fn read(&self, index: u16, count: usize) -> Result<Vec<u8>, StorageError> {
        self.check_range(index, count)?;
        let mut out = Vec::new();
        for at in (index..).take(count) {
            out.extend_from_slice(self.slots.get(&at).ok_or(StorageError::Empty)?);
        }
        Ok(out)
    }

    /// Reads an item of `len` bytes, which may take several slots; fill behind it is left out.
    ///
    /// # Errors
    /// As [`UserStorage::read`].
    pub fn item(&self, index: u16, len: usize) -> Result<Vec<u8>, StorageError> {
        let count = self.size.bytes().map_or(1, |slot| len.div_ceil(slot));
        let mut item = self.read(index, count)?;
        if item.len() < len {
            return Err(StorageError::Empty);
        }
        item.truncate(len);
        Ok(item)
    }

    /// The 256 bytes of a Diebold table: 32 slots, of which the first 8 bytes count, or the 512 digits of one slot of
    /// variable size.
    ///
    /// # Errors
    /// [`StorageError::Index`]; [`StorageError::Empty`] if nothing is loaded; [`StorageError::Diebold`] if only a part is.
    pub fn diebold_table(&self, index: u16) -> Result<Vec<u8>, StorageError> {
        if self.size == SlotSize::Variable {
            let digits = self.read(index, 1)?;
            return crate::hex::decode(&digits)
                .filter(|table| table.len() == 8 * DIEBOLD_BLOCKS)
                .map(|table| table.to_vec())
                .ok_or(StorageError::Diebold);
        }
        self.check_range(index, DIEBOLD_BLOCKS)?;
        let mut table = Vec::with_capacity(8 * DIEBOLD_BLOCKS);
        let blocks = (index..).take(DIEBOLD_BLOCKS).filter_map(|at| self.slots.get(&at)?.first_chunk::<8>());
        blocks.for_each(|block| table.extend_from_slice(block));
        match table.len() {
            0 => Err(StorageError::Empty),
            len if len == 8 * DIEBOLD_BLOCKS => Ok(table),
            _ => Err(StorageError::Diebold),
        }
    }

    fn check_range(&self, index: u16, count: usize) -> Result<(), StorageError> {
        let inside = usize::from(index) < self.size.slots() && usize::from(index) + count <= self.size.slots();
        if inside { Ok(()) } else { Err(StorageError::Index) }
    }
}

/// Longer than any file of user storage is.
const MAX_FILE: u64 = 1 << 20;

/// What the first line of a file of user storage begins with; the letter of the slot size follows.
const FILE_HEAD: &str = "user storage 1 ";

const LETTERS: [(SlotSize, &str); 4] =
    [(SlotSize::Single, "S"), (SlotSize::Double, "D"), (SlotSize::Triple, "T"), (SlotSize::Variable, "V")];

/// User storage as a file has it; `None` if there is no file.
pub(crate) fn read_file(path: &Path) -> Result<Option<UserStorage>, PersistenceError> {
    let bytes = match private_file::read(path, MAX_FILE) {
        Err(FileError::NotFound(_)) => return Ok(None),
        other => other?,
    };
    let text = core::str::from_utf8(&bytes).map_err(|_| PersistenceError::Slot { line: 1 })?;
    let mut lines = (1..).zip(text.lines());
    let letter = lines.next().and_then(|(_, line)| line.strip_prefix(FILE_HEAD));
    let size = LETTERS.iter().find(|(_, known)| Some(*known) == letter).ok_or(PersistenceError::Slot { line: 1 })?.0;
    let mut storage = UserStorage::new(size);
    for (line, text) in lines {
        let slot = text.split_once(' ').and_then(|(index, item)| {
            let item = hex::decode(item.as_bytes())?;
            let whole = size.bytes().is_none_or(|len| len == item.len());
            Some((u16::from_str_radix(index, 16).ok()?, item)).filter(|_| whole)
        });
        let loaded = slot.and_then(|(index, item)| storage.load(index, &item).ok());
        loaded.ok_or(PersistenceError::Slot { line })?;
    }
    Ok(Some(storage))
}

/// What a file of user storage holds.
pub(crate) fn file_text(storage: &UserStorage) -> String {
    let letter = LETTERS.iter().find(|(size, _)| *size == storage.size).map_or("", |(_, letter)| *letter);
    let mut text = format!("{FILE_HEAD}{letter}\n");
    for (index, item) in storage.items() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{index:03X} {}", hex::encode(item));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_loaded_is_read_slot_by_slot() {
        let mut storage = UserStorage::new(SlotSize::Double);
        storage.load(5, &[7; 48]).unwrap();
        assert_eq!(storage.read(5, 3).unwrap(), [7; 48]);
        assert_eq!(storage.item(5, 8).unwrap(), [7; 8]);
        assert_eq!(storage.item(6, 20).unwrap(), [7; 20]);
        assert_eq!(storage.read(5, 4), Err(StorageError::Empty));
        assert_eq!(storage.read(4, 1), Err(StorageError::Empty));
        assert_eq!(storage.read(4096, 0), Err(StorageError::Index));
        assert_eq!(storage.load(4095, &[0; 32]), Err(StorageError::Index));
        assert_eq!(storage.read(4095, 1), Err(StorageError::Empty), "a refused load loads nothing");
        assert_eq!(storage.load(0, &[0; 15]), Err(StorageError::Length));
        storage.set_size(SlotSize::Double);
        assert!(storage.read(5, 1).is_ok());
        storage.set_size(SlotSize::Triple);
        assert_eq!(storage.read(5, 1), Err(StorageError::Empty));
    }

    #[test]
    fn variable_slots_hold_what_was_sent() {
        let mut storage = UserStorage::new(SlotSize::Variable);
        storage.load(0x7F, b"U0123").unwrap();
        assert_eq!(storage.read(0x7F, 1).unwrap(), b"U0123");
        assert_eq!(storage.item(0x7F, 2).unwrap(), b"U0");
        assert_eq!(storage.item(0x7F, 6), Err(StorageError::Empty));
        assert_eq!(storage.load(0x80, b"1"), Err(StorageError::Index));
        assert_eq!(storage.load(0, &[b'1'; 1001]), Err(StorageError::Length));
        assert!(storage.load(0, &[b'1'; 1000]).is_ok());
    }

    #[test]
    fn a_diebold_table_needs_all_its_blocks() {
        for size in [SlotSize::Single, SlotSize::Triple] {
            let mut storage = UserStorage::new(size);
            assert_eq!(storage.diebold_table(0xFE0), Err(StorageError::Empty));
            assert_eq!(storage.diebold_table(0xFE1), Err(StorageError::Index));
            storage.load(0xFE0, &vec![3; 31 * size.bytes().unwrap()]).unwrap();
            assert_eq!(storage.diebold_table(0xFE0), Err(StorageError::Diebold));
            storage.load(0xFFF, &vec![4; size.bytes().unwrap()]).unwrap();
            let table = storage.diebold_table(0xFE0).unwrap();
            assert_eq!((table.len(), table[247], table[248]), (256, 3, 4));
        }
    }

    proptest! {
        #[test]
        fn storage_is_total(kind in 0usize..4, index: u16, data: Vec<u8>, at: u16, count in 0usize..5000) {
            let sizes = [SlotSize::Single, SlotSize::Double, SlotSize::Triple, SlotSize::Variable];
            let mut storage = UserStorage::new(sizes[kind]);
            let loaded = storage.load(index, &data);
            if loaded.is_ok() && !data.is_empty() {
                prop_assert_eq!(storage.item(index, data.len()).unwrap(), data);
            }
            let _ = (storage.read(at, count), storage.item(at, count), storage.diebold_table(at));
        }
    }
}
