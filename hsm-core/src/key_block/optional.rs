//! Optional blocks between header and encrypted key (keys.md 4.5; X9.143 for the extended length).

use super::KeyBlockError;
use super::header::{Version, decimal, is_upper_alphanumeric};

/// Identifier of the padding block.
const PADDING: [u8; 2] = *b"PB";
/// Identifier and length take this much at least.
const MIN_LEN: usize = 4;
/// Longest block with a two-digit length.
const MAX_SHORT_LEN: usize = 0xFF;

/// One optional block: identifier of two upper-case letters or digits, and printable ASCII data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionalBlock {
    id: [u8; 2],
    data: Vec<u8>,
}

impl OptionalBlock {
    /// A block of an identifier and its data. Blocks 00 to 04 and KV are checked, others only for printable characters.
    ///
    /// # Errors
    /// [`KeyBlockError`]: BE for the identifier; for the data AD (key status), B0 and B1 (methods), AE and AF (dates) or B4.
    pub fn new(id: [u8; 2], data: &[u8]) -> Result<Self, KeyBlockError> {
        if !id.iter().all(|c| is_upper_alphanumeric(*c)) {
            return Err(KeyBlockError::OptionalId);
        }
        // Four hex digits of extended length must suffice.
        if !data.iter().all(|c| matches!(c, b' '..=b'~')) || data.len() > 0xFFFF - 10 {
            return Err(KeyBlockError::OptionalData);
        }
        match (&id, data) {
            (b"00", b"E" | b"L" | b"P" | b"R" | b"T") => {}
            (b"00", _) => return Err(KeyBlockError::KeyStatus),
            (b"01", b"00") | (b"02", b"00") => {}
            (b"01", _) => return Err(KeyBlockError::EncryptionMethod),
            (b"02", _) => return Err(KeyBlockError::AuthenticationMethod),
            (b"03", date) => ValidityHour::parse(date).map(drop).ok_or(KeyBlockError::StartDate)?,
            (b"04", date) => ValidityHour::parse(date).map(drop).ok_or(KeyBlockError::EndDate)?,
            (b"KV", data) if data.len() != 4 => return Err(KeyBlockError::OptionalData),
            _ => {}
        }
        Ok(Self { id, data: data.to_vec() })
    }

    /// Its identifier.
    #[must_use]
    pub fn id(&self) -> [u8; 2] {
        self.id
    }

    /// Its data.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Its length in a block, identifier and length included.
    fn encoded_len(&self) -> usize {
        let short = MIN_LEN + self.data.len();
        if short <= MAX_SHORT_LEN { short } else { short + 6 }
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id);
        let len = self.encoded_len();
        let len = if len <= MAX_SHORT_LEN { format!("{len:02X}") } else { format!("0004{len:04X}") };
        out.extend_from_slice(len.as_bytes());
        out.extend_from_slice(&self.data);
    }
}

/// The optional blocks of a key block: every identifier once, and padding last if at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OptionalBlocks(Vec<OptionalBlock>);

impl OptionalBlocks {
    /// No optional blocks.
    pub const NONE: Self = Self(Vec::new());

    /// These blocks in this order.
    ///
    /// # Errors
    /// [`KeyBlockError`]: BC for a repeated identifier, BE for padding that is not last, AB for more than 99.
    pub fn new(blocks: Vec<OptionalBlock>) -> Result<Self, KeyBlockError> {
        if blocks.len() > 99 {
            return Err(KeyBlockError::TooManyOptional);
        }
        for (n, block) in blocks.iter().enumerate() {
            if blocks.iter().take(n).any(|earlier| earlier.id == block.id) {
                return Err(KeyBlockError::OptionalRepeated);
            }
            if block.id == PADDING && n + 1 != blocks.len() {
                return Err(KeyBlockError::OptionalId);
            }
        }
        Ok(Self(blocks))
    }

    /// Reads the `count` optional blocks that `input` begins with; what follows is not looked at.
    ///
    /// # Errors
    /// [`KeyBlockError`]: AC for a malformed length, and as [`OptionalBlock::new`] and [`OptionalBlocks::new`].
    pub fn parse(input: &[u8], count: usize) -> Result<Self, KeyBlockError> {
        let mut rest = input;
        let mut blocks = Vec::with_capacity(count.min(99));
        for _ in 0..count {
            let block = split_block(rest)?;
            blocks.push(OptionalBlock::new(block.id, block.data)?);
            rest = block.rest;
        }
        Self::new(blocks)
    }

    /// Reads blocks of a host command: `count` is its two-digit field. Returns them and their length in bytes.
    ///
    /// # Errors
    /// As [`OptionalBlocks::parse`]; B3 if `count` is not two digits or above `max`, BE for padding, which only the HSM makes.
    pub fn parse_host(count: &[u8], input: &[u8], max: usize) -> Result<(Self, usize), KeyBlockError> {
        let count = match decimal(count) {
            Some(n) if count.len() == 2 && n <= max => n,
            _ => return Err(KeyBlockError::OptionalCount),
        };
        let len = measure(input, count)?;
        let blocks = Self::parse(input, count)?;
        if blocks.get(PADDING).is_some() {
            return Err(KeyBlockError::OptionalId);
        }
        Ok((blocks, len))
    }

    /// The data of the block with an identifier.
    #[must_use]
    pub fn get(&self, id: [u8; 2]) -> Option<&[u8]> {
        self.0.iter().find(|block| block.id == id).map(|block| block.data.as_slice())
    }

    /// The blocks in order.
    pub fn iter(&self) -> impl Iterator<Item = &OptionalBlock> {
        self.0.iter()
    }

    /// How many there are, padding included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Start (03) and end (04) of validity, as far as given.
    #[must_use]
    pub fn validity(&self) -> (Option<ValidityHour>, Option<ValidityHour>) {
        let hour = |id| self.get(id).and_then(ValidityHour::parse);
        (hour(*b"03"), hour(*b"04"))
    }

    /// The same with padding such that their length is a multiple of the version's cipher block. Padding that fits is kept.
    ///
    /// # Errors
    /// [`KeyBlockError::TooManyOptional`] (AB) if that makes more than 99.
    pub fn padded(&self, version: Version) -> Result<Self, KeyBlockError> {
        let block_len = version.block_len();
        let mut blocks = self.0.clone();
        if self.encoded_len().is_multiple_of(block_len) {
            return Ok(Self(blocks));
        }
        blocks.retain(|block| block.id != PADDING);
        let len: usize = blocks.iter().map(OptionalBlock::encoded_len).sum();
        // The block that pads needs room for its own header.
        let missing = (len + MIN_LEN).next_multiple_of(block_len) - len;
        if !len.is_multiple_of(block_len) {
            blocks.push(OptionalBlock { id: PADDING, data: vec![b'0'; missing - MIN_LEN] });
        }
        Self::new(blocks)
    }

    /// Their characters.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        for block in &self.0 {
            block.put(&mut out);
        }
        out
    }

    fn encoded_len(&self) -> usize {
        self.0.iter().map(OptionalBlock::encoded_len).sum()
    }
}

/// Hour at which validity starts or ends: `YYYY:MM:DD:HH`. Later is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValidityHour {
    /// 0 to 9999.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
}

impl ValidityHour {
    /// Reads `YYYY:MM:DD:HH`; `None` for other text or an impossible date (every month may have 31 days).
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let &[y3, y2, y1, y0, b':', m1, m0, b':', d1, d0, b':', h1, h0] = text else { return None };
        let number = |digits: &[u8]| decimal(digits);
        let hour = Self {
            year: number(&[y3, y2, y1, y0])? as u16,
            month: number(&[m1, m0])? as u8,
            day: number(&[d1, d0])? as u8,
            hour: number(&[h1, h0])? as u8,
        };
        let possible = (1..=12).contains(&hour.month) && (1..=31).contains(&hour.day) && hour.hour < 24;
        possible.then_some(hour)
    }
}

/// Length in bytes of the `count` optional blocks that `input` begins with. Their contents are not looked at.
pub(super) fn measure(input: &[u8], count: usize) -> Result<usize, KeyBlockError> {
    let mut rest = input;
    for _ in 0..count {
        rest = split_block(rest)?.rest;
    }
    Ok(input.len() - rest.len())
}

/// An optional block by its header alone, and what follows it.
struct RawBlock<'a> {
    id: [u8; 2],
    data: &'a [u8],
    rest: &'a [u8],
}

/// The block that `input` begins with.
fn split_block(input: &[u8]) -> Result<RawBlock<'_>, KeyBlockError> {
    let malformed = KeyBlockError::OptionalHeader;
    let (id, after_id) = input.split_first_chunk().ok_or(malformed)?;
    let mut header_len = MIN_LEN;
    let mut len = hex_number(after_id.get(..2)).ok_or(malformed)?;
    if len == 0 {
        // Extended length: how many digits it has, then the length.
        let digits = hex_number(after_id.get(2..4)).ok_or(malformed)?;
        if !(1..=8).contains(&digits) {
            return Err(malformed);
        }
        len = hex_number(after_id.get(4..4 + digits)).ok_or(malformed)?;
        header_len += 2 + digits;
    }
    let data = input.get(header_len..len).ok_or(malformed)?;
    Ok(RawBlock { id: *id, data, rest: input.get(len..).unwrap_or_default() })
}

/// For at most eight digits.
fn hex_number(digits: Option<&[u8]>) -> Option<usize> {
    digits?.iter().try_fold(0, |n, d| Some(n << 4 | (*d as char).to_digit(16)? as usize))
}
