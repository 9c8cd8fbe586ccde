//! Key serial numbers of DUKPT and their descriptors (X9.24-1, X9.24-3).

use super::DukptError;

/// Counters with more one bits than this are skipped by TDES DUKPT devices.
pub const TDES_MAX_ONES: u32 = 10;
/// Counters with more one bits than this are skipped by AES DUKPT devices.
pub const AES_MAX_ONES: u32 = 16;
const TDES_COUNTER_BITS: u32 = 21;
const TDES_COUNTER_MASK: u32 = (1 << TDES_COUNTER_BITS) - 1;
/// Digits of the counter in a serial number. They hold 20 bits; the 21st is the lowest bit of the digit before.
const COUNTER_DIGITS: usize = 5;

/// What the three digits of a KSN descriptor say: how many digits of the serial number belong to which part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KsnDescriptor {
    key_set: u8,
    sub_key: u8,
    device: u8,
}

impl KsnDescriptor {
    /// Parses the descriptor field (3H), e.g. `A05`: ten digits of key set, no sub-key, five of device.
    ///
    /// # Errors
    /// [`DukptError::Descriptor`].
    pub fn parse(field: &[u8]) -> Result<Self, DukptError> {
        let [key_set, sub_key, device] = *field else { return Err(DukptError::Descriptor) };
        let digit = |c| nibble(c).map_err(|_| DukptError::Descriptor);
        let descriptor = Self { key_set: digit(key_set)?, sub_key: digit(sub_key)?, device: digit(device)? };
        if (12..=20).contains(&descriptor.ksn_len()) { Ok(descriptor) } else { Err(DukptError::Descriptor) }
    }

    /// Digits of the key set (BDK) identifier.
    #[must_use]
    pub fn key_set_len(&self) -> usize {
        self.key_set.into()
    }

    /// Digits of the sub-key identifier; 0 in all known uses.
    #[must_use]
    pub fn sub_key_len(&self) -> usize {
        self.sub_key.into()
    }

    /// Digits of the device identifier.
    #[must_use]
    pub fn device_len(&self) -> usize {
        self.device.into()
    }

    /// Digits of the whole serial number field: the identifiers and five of counter.
    #[must_use]
    pub fn ksn_len(&self) -> usize {
        self.key_set_len() + self.sub_key_len() + self.device_len() + COUNTER_DIGITS
    }

    /// Takes a serial number field apart.
    ///
    /// # Errors
    /// [`DukptError::KsnLength`] if the field has another length than [`KsnDescriptor::ksn_len`].
    pub fn split<'a>(&self, ksn: &'a [u8]) -> Result<KsnParts<'a>, DukptError> {
        let wrong = DukptError::KsnLength(ksn.len());
        if ksn.len() != self.ksn_len() {
            return Err(wrong);
        }
        let (key_set, rest) = ksn.split_at_checked(self.key_set_len()).ok_or(wrong)?;
        let (sub_key, rest) = rest.split_at_checked(self.sub_key_len()).ok_or(wrong)?;
        let (device, counter) = rest.split_at_checked(self.device_len()).ok_or(wrong)?;
        Ok(KsnParts { key_set, sub_key, device, counter })
    }
}

/// A serial number field taken apart by its descriptor, as the digits of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KsnParts<'a> {
    /// Identifier of the BDK.
    pub key_set: &'a [u8],
    /// Identifier of the sub-key, empty in all known uses.
    pub sub_key: &'a [u8],
    /// Identifier of the device; the lowest bit of its last digit is the highest bit of the counter.
    pub device: &'a [u8],
    /// The last five digits of the counter.
    pub counter: &'a [u8],
}

/// The 10-byte key serial number of DES and TDES DUKPT: 59 bits of identifiers and a 21-bit transaction counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ksn([u8; 10]);

impl Ksn {
    /// Takes the 10 bytes.
    #[must_use]
    pub fn new(bytes: [u8; 10]) -> Self {
        Self(bytes)
    }

    /// Parses 12 to 20 hexadecimal digits; shorter numbers are filled with `F` on the left.
    ///
    /// # Errors
    /// [`DukptError::KsnLength`], [`DukptError::NotHex`].
    pub fn parse(digits: &[u8]) -> Result<Self, DukptError> {
        if !(12..=20).contains(&digits.len()) {
            return Err(DukptError::KsnLength(digits.len()));
        }
        let mut bytes = [0xFF; 10];
        for (i, c) in digits.iter().rev().enumerate() {
            let (nibble, byte) = (nibble(*c)?, &mut bytes[9 - i / 2]);
            *byte = if i % 2 == 0 { *byte & 0xF0 | nibble } else { *byte & 0x0F | nibble << 4 };
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 10] {
        &self.0
    }

    /// The transaction counter, 21 bits.
    #[must_use]
    pub fn counter(&self) -> u32 {
        u32::from_be_bytes([0, self.0[7], self.0[8], self.0[9]]) & TDES_COUNTER_MASK
    }

    /// The same serial number with another counter, of which the lowest 21 bits count.
    #[must_use]
    pub fn with_counter(mut self, counter: u32) -> Self {
        let [_, high, middle, low] = (counter & TDES_COUNTER_MASK).to_be_bytes();
        self.0[7] = self.0[7] & 0xE0 | high;
        self.0[8] = middle;
        self.0[9] = low;
        self
    }

    /// Whether a device sends such a counter: not zero and no more than [`TDES_MAX_ONES`] one bits. The HSM takes any.
    #[must_use]
    pub fn is_sent_by_devices(&self) -> bool {
        (1..=TDES_MAX_ONES).contains(&self.counter().count_ones())
    }

    /// The leftmost 8 bytes without the counter: what the initial key is derived from.
    pub(super) fn initial_block(&self) -> [u8; 8] {
        let [b0, b1, b2, b3, b4, b5, b6, b7, ..] = self.with_counter(0).0;
        [b0, b1, b2, b3, b4, b5, b6, b7]
    }

    /// The rightmost 8 bytes without the counter: the start of the derivation register.
    fn register(&self) -> [u8; 8] {
        let [_, _, b2, b3, b4, b5, b6, b7, b8, b9] = self.with_counter(0).0;
        [b2, b3, b4, b5, b6, b7, b8, b9]
    }

    /// The rightmost 8 bytes: the derivation register with the whole counter.
    pub(super) fn counted_register(&self) -> [u8; 8] {
        let [_, _, b2, b3, b4, b5, b6, b7, b8, b9] = self.0;
        [b2, b3, b4, b5, b6, b7, b8, b9]
    }

    /// The register after each one bit of the counter, from the highest down.
    pub(super) fn registers(&self) -> impl Iterator<Item = [u8; 8]> {
        let (start, counter) = (u64::from_be_bytes(self.register()), self.counter());
        (0..TDES_COUNTER_BITS)
            .rev()
            .filter(move |bit| counter >> bit & 1 == 1)
            .map(move |bit| (start | u64::from(counter >> bit << bit)).to_be_bytes())
    }
}

/// The 12-byte key serial number of AES DUKPT: 8 bytes of initial key id (BDK id and derivation id) and a 32-bit
/// counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AesKsn {
    initial_key_id: [u8; 8],
    counter: u32,
}

impl AesKsn {
    /// Puts a serial number together.
    #[must_use]
    pub fn new(initial_key_id: [u8; 8], counter: u32) -> Self {
        Self { initial_key_id, counter }
    }

    /// Parses 24 hexadecimal digits.
    ///
    /// # Errors
    /// [`DukptError::KsnLength`], [`DukptError::NotHex`].
    pub fn parse(digits: &[u8]) -> Result<Self, DukptError> {
        if digits.len() != 24 {
            return Err(DukptError::KsnLength(digits.len()));
        }
        let mut bytes = [0u8; 12];
        for (i, c) in digits.iter().enumerate() {
            bytes[i / 2] = bytes[i / 2] << 4 | nibble(*c)?;
        }
        let [a, b, c, d, e, f, g, h, c0, c1, c2, c3] = bytes;
        Ok(Self::new([a, b, c, d, e, f, g, h], u32::from_be_bytes([c0, c1, c2, c3])))
    }

    /// The initial key id.
    #[must_use]
    pub fn initial_key_id(&self) -> &[u8; 8] {
        &self.initial_key_id
    }

    /// The transaction counter.
    #[must_use]
    pub fn counter(&self) -> u32 {
        self.counter
    }

    /// Whether a device sends such a counter: not zero and no more than [`AES_MAX_ONES`] one bits. The HSM takes any.
    #[must_use]
    pub fn is_sent_by_devices(&self) -> bool {
        (1..=AES_MAX_ONES).contains(&self.counter.count_ones())
    }
}

fn nibble(c: u8) -> Result<u8, DukptError> {
    match c {
        b'0'..=b'9' => Ok(c - b'0'),
        b'A'..=b'F' => Ok(c - b'A' + 10),
        b'a'..=b'f' => Ok(c - b'a' + 10),
        _ => Err(DukptError::NotHex),
    }
}
