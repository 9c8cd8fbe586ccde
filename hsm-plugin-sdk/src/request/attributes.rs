//! Key block attributes at the end of a request: the groups `#` and `&` and the key block version `!` (host.md 1.4).

use super::Request;
use crate::{KeyAttributes, Result, abi::ErrorCode};

/// A field of an attribute group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// Key usage, 2A.
    Usage,
    /// Algorithm and length, 2A.
    Algorithm,
    /// Mode of use, 1A.
    Mode,
    /// Key version number, 2A.
    KeyVersion,
    /// Exportability, 1A.
    Exportability,
    /// Number of optional blocks, 2N, at most this many, and the blocks.
    OptionalBlocks(u8),
}

use Attribute::{Algorithm, Exportability, KeyVersion, Mode, OptionalBlocks, Usage};

/// A group of attributes: its marker and its fields in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributeGroup {
    /// The character that begins the group.
    pub marker: u8,
    /// The fields.
    pub fields: &'static [Attribute],
}

impl AttributeGroup {
    /// `#` for a key to be generated (A0, L0), without the marker for one that is agreed on (IG).
    pub const GENERATE: Self =
        Self { marker: b'#', fields: &[Usage, Algorithm, Mode, KeyVersion, Exportability, OptionalBlocks(8)] };
    /// `#` for a key that comes without a key block (A6, B0, BW).
    pub const DESCRIBE: Self =
        Self { marker: b'#', fields: &[Usage, Mode, KeyVersion, Exportability, OptionalBlocks(8)] };
    /// `#` for a key that comes in a TR-31 block (A6).
    pub const MODIFY: Self = Self { marker: b'#', fields: &[Usage, OptionalBlocks(6)] };
    /// `#` for a key made of others (A4, EI, EM).
    pub const VERSION: Self = Self { marker: b'#', fields: &[KeyVersion, OptionalBlocks(8)] };
    /// `#` for a key whose usage the command implies (EO, FY).
    pub const MODE: Self = Self { marker: b'#', fields: &[Mode, KeyVersion, Exportability, OptionalBlocks(8)] };
    /// `&` that narrows the exportability (A0, A8, EI).
    pub const NARROW: Self = Self { marker: b'&', fields: &[Exportability] };
    /// `&` for a key that leaves a variant LMK in a TR-31 block (A0, A8, B8).
    pub const TRANSPORT: Self =
        Self { marker: b'&', fields: &[Usage, Mode, KeyVersion, Exportability, OptionalBlocks(2)] };
}

impl<'h> Request<'h> {
    /// Reads a group of key block attributes, if it is there.
    ///
    /// # Errors
    /// 15 for a short field, a control character, or an LMK identifier that comes too late; B3 for too many optional blocks, AC for
    /// one whose length is malformed.
    pub fn attributes(&mut self, group: &AttributeGroup) -> Result<Option<KeyAttributes<'h>>> {
        if !self.accept(group.marker) {
            return Ok(None);
        }
        let read = self.attribute_fields(group)?;
        if self.peek() == Some(b'%') {
            return Err(self.refuse("LMK identifier", self.offset(), "must come before the key block attributes"));
        }
        Ok(Some(read))
    }

    /// Reads the fields of a group of key block attributes without its marker (IG).
    ///
    /// # Errors
    /// As [`Request::attributes`].
    pub fn attribute_fields(&mut self, group: &AttributeGroup) -> Result<KeyAttributes<'h>> {
        let mut read = KeyAttributes::default();
        for field in group.fields {
            match field {
                Usage => read.usage = Some(self.attribute("Key usage")?),
                Algorithm => read.algorithm = Some(self.attribute("Algorithm")?),
                Mode => read.mode = Some(u8::from_be_bytes(self.attribute("Mode of use")?)),
                KeyVersion => read.key_version = Some(self.attribute("Key version number")?),
                Exportability => read.exportability = Some(u8::from_be_bytes(self.attribute("Exportability")?)),
                OptionalBlocks(max) => {
                    let at = self.offset();
                    let count = self.number("Number of optional blocks", 2)?;
                    if count > usize::from(*max) {
                        let rule = "must not be greater than the command allows";
                        return Err(self.refuse_with(
                            ErrorCode::OPTIONAL_BLOCKS,
                            "Number of optional blocks",
                            at,
                            rule,
                        ));
                    }
                    read.optional_count = count as u8;
                    read.optional_blocks = self.optional_blocks(count)?;
                }
            }
        }
        Ok(read)
    }

    /// Reads the version of the TR-31 block to be made (`!` and `A` to `E`), if it is there.
    ///
    /// # Errors
    /// 15 for another character.
    pub fn block_version(&mut self) -> Result<Option<u8>> {
        if !self.accept(b'!') {
            return Ok(None);
        }
        let version = self.chars("Key block version", 1, |c| matches!(c, b'A'..=b'E'), "must be A to E")?;
        Ok(version.first().copied())
    }

    fn attribute<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N]> {
        let at = self.offset();
        let field = self.text(name, N)?;
        self.array(name, at, field)
    }

    /// `count` optional blocks: identifier 2A, length 2H (of all, or `00`, 2H digits and the length), data.
    fn optional_blocks(&mut self, count: usize) -> Result<&'h [u8]> {
        let at = self.offset();
        let rest = self.rest();
        let mut len = 0usize;
        for _ in 0..count {
            let block = rest.get(len..).and_then(block_len);
            let Some(block) = block else {
                return Err(self.refuse_with(
                    ErrorCode::OPTIONAL_BLOCK,
                    "Optional blocks",
                    at + len,
                    "has a bad length",
                ));
            };
            len += block;
        }
        self.text("Optional blocks", len)
    }
}

/// Length of the optional block that `input` begins with, if all of it is there.
fn block_len(input: &[u8]) -> Option<usize> {
    let number = |digits: Option<&[u8]>| {
        let digits = core::str::from_utf8(digits?).ok().filter(|d| d.bytes().all(|c| c.is_ascii_hexdigit()))?;
        usize::from_str_radix(digits, 16).ok()
    };
    let short = number(input.get(2..4))?;
    let (len, header) = if short == 0 {
        let digits = number(input.get(4..6)).filter(|n| (1..=8).contains(n))?;
        (number(input.get(6..6 + digits))?, 6 + digits)
    } else {
        (short, 4)
    };
    (header..=input.len()).contains(&len).then_some(len)
}
