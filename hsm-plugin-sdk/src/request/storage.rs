//! References into user storage.

use super::{Request, nibble};
use crate::{Result, abi::FieldKind};

impl<'h> Request<'h> {
    /// Reads `K` and an index of user storage, where at least `len` digits must be stored, as the reference it is: four characters.
    ///
    /// # Errors
    /// 15 if it is not `K` and three hexadecimal digits; 12 if there is nothing or less, 21 for a wrong index.
    pub(super) fn storage_reference(&mut self, name: &'static str, len: usize) -> Result<&'h [u8]> {
        let at = self.pos;
        let reference = self.take(name, FieldKind::Text, 4)?;
        match reference {
            [b'K', index @ ..] if index.iter().all(u8::is_ascii_hexdigit) => {
                self.hsm.stored_check(self.array(name, at, index)?, len as u16)?;
                Ok(reference)
            }
            _ => Err(self.refuse(name, at, "must be K and three hexadecimal digits")),
        }
    }

    /// Reads `K`, or `B` where slots are of variable size, and an index of user storage (LA, LE).
    ///
    /// # Errors
    /// 15 if it is not the letter and three hexadecimal digits.
    pub fn storage_slot_index(&mut self, name: &'static str, variable: bool) -> Result<u16> {
        if variable && self.accept(b'B') {
            return Ok(self.hex_number(name, 3)? as u16);
        }
        self.storage_index(name)
    }

    /// Reads `K` and an index of user storage.
    ///
    /// # Errors
    /// 15 if it is not `K` and three hexadecimal digits.
    pub fn storage_index(&mut self, name: &'static str) -> Result<u16> {
        Ok(index(&self.table_pointer(name)?))
    }
}

/// The number that the hexadecimal digits of an index are.
pub(super) fn index(digits: &[u8]) -> u16 {
    digits.iter().fold(0, |index, digit| index << 4 | u16::from(nibble(*digit)))
}
