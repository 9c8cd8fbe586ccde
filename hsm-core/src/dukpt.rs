//! Derived unique key per transaction: TDES (X9.24-1:2009), single DES (X9.24-1998) and AES (X9.24-3). Source: pins.md
//! section 7, card-emv-mac.md section 4, keys.md A0.
//!
//! Derived keys carry no parity adjustment: the standards use them as they come.

use crate::cipher::{BlockCipher, CipherError, xor_in_place};
use crate::clear_key::{Algorithm, ClearKey};
use zeroize::Zeroizing;

/// Why a DUKPT key cannot be derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DukptError {
    /// The key does not fit the algorithm.
    #[error(transparent)]
    Cipher(#[from] CipherError),
    /// The key serial number has a character that is not a hexadecimal digit.
    #[error("the key serial number has a character that is not a hexadecimal digit")]
    NotHex,
    /// The key serial number has a length that is not possible.
    #[error("a key serial number cannot have {0} digits")]
    KsnLength(usize),
    /// The descriptor is not three hexadecimal digits, or stands for a serial number of less than 12 or more than 20
    /// digits.
    #[error("the descriptor of the key serial number is not valid")]
    Descriptor,
    /// X9.24-3 does not allow a working key that is stronger than the key it comes from.
    #[error("a working key cannot be stronger than the key it is derived from")]
    TooStrong,
}

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
    fn initial_block(&self) -> [u8; 8] {
        let [b0, b1, b2, b3, b4, b5, b6, b7, ..] = self.with_counter(0).0;
        [b0, b1, b2, b3, b4, b5, b6, b7]
    }

    /// The rightmost 8 bytes without the counter: the start of the derivation register.
    fn register(&self) -> [u8; 8] {
        let [_, _, b2, b3, b4, b5, b6, b7, b8, b9] = self.with_counter(0).0;
        [b2, b3, b4, b5, b6, b7, b8, b9]
    }

    /// The rightmost 8 bytes: the derivation register with the whole counter.
    fn counted_register(&self) -> [u8; 8] {
        let [_, _, b2, b3, b4, b5, b6, b7, b8, b9] = self.0;
        [b2, b3, b4, b5, b6, b7, b8, b9]
    }

    /// The register after each one bit of the counter, from the highest down.
    fn registers(&self) -> impl Iterator<Item = [u8; 8]> {
        let (start, counter) = (u64::from_be_bytes(self.register()), self.counter());
        (0..TDES_COUNTER_BITS)
            .rev()
            .filter(move |bit| counter >> bit & 1 == 1)
            .map(move |bit| (start | u64::from(counter >> bit << bit)).to_be_bytes())
    }
}

/// A TDES base derivation key, expanded once for any number of devices.
#[derive(Debug, Clone)]
pub struct TdesBdk {
    plain: BlockCipher,
    masked: BlockCipher,
}

impl TdesBdk {
    /// Takes a double- or triple-length DES key. X9.24-1 knows only double length; a triple-length key is masked alike.
    ///
    /// # Errors
    /// [`CipherError::KeyLength`] for any other key.
    pub fn new(bdk: &ClearKey) -> Result<Self, DukptError> {
        if bdk.algorithm() != Algorithm::Des || bdk.len() < 16 {
            return Err(CipherError::KeyLength { algorithm: "BDK", len: bdk.len() }.into());
        }
        let mut masked = Zeroizing::new(bdk.bytes().to_vec());
        masked.chunks_exact_mut(8).for_each(|part| xor_in_place(part, &MASK));
        Ok(Self { plain: bdk.cipher()?, masked: BlockCipher::des(&masked)? })
    }

    /// The initial key (IPEK, IKEY) of a device, 16 bytes. The counter of `ksn` does not matter.
    ///
    /// # Errors
    /// None for keys made with [`TdesBdk::new`].
    pub fn initial_key(&self, ksn: &Ksn) -> Result<ClearKey, DukptError> {
        let mut key = Zeroizing::new([0u8; 16]);
        let (left, right) = key.split_at_mut(8);
        left.copy_from_slice(&ksn.initial_block());
        right.copy_from_slice(&ksn.initial_block());
        self.plain.ecb_encrypt(left)?;
        self.masked.ecb_encrypt(right)?;
        Ok(ClearKey::des(key.as_slice())?)
    }

    /// The key of a transaction, from the initial key down.
    ///
    /// # Errors
    /// As [`TdesBdk::initial_key`].
    pub fn transaction_key(&self, ksn: &Ksn) -> Result<ClearKey, DukptError> {
        tdes_transaction_key(&self.initial_key(ksn)?, ksn)
    }

    /// The initial key of single-DES DUKPT (X9.24-1998), 8 bytes: the left half of the TDES one.
    ///
    /// # Errors
    /// As [`TdesBdk::initial_key`].
    pub fn single_des_initial_key(&self, ksn: &Ksn) -> Result<ClearKey, DukptError> {
        let mut key = Zeroizing::new(ksn.initial_block());
        self.plain.ecb_encrypt(key.as_mut_slice())?;
        Ok(ClearKey::des(key.as_slice())?)
    }

    /// The key of a single-DES DUKPT transaction, 8 bytes.
    ///
    /// # Errors
    /// As [`TdesBdk::initial_key`].
    pub fn single_des_transaction_key(&self, ksn: &Ksn) -> Result<ClearKey, DukptError> {
        single_des_transaction_key(&self.single_des_initial_key(ksn)?, ksn)
    }
}

const MASK: [u8; 8] = [0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0];

/// The key of a transaction from the device's initial key (X9.24-1:2009): one step of the non-reversible key generation
/// for each one bit of the counter. With counter 0 it is the initial key itself.
///
/// # Errors
/// [`CipherError::KeyLength`] for an initial key that is not a double-length DES key.
pub fn tdes_transaction_key(initial: &ClearKey, ksn: &Ksn) -> Result<ClearKey, DukptError> {
    let mut key = double_length(initial)?;
    for register in ksn.registers() {
        tdes_step(&mut key, &register)?;
    }
    Ok(ClearKey::des(key.as_slice())?)
}

/// One step of [`tdes_transaction_key`]: the key of a counter from the key of the same counter without its lowest one bit.
///
/// # Errors
/// [`CipherError::KeyLength`] for a key that is not a double-length DES key.
pub fn tdes_child_key(parent: &ClearKey, ksn: &Ksn) -> Result<ClearKey, DukptError> {
    let mut key = double_length(parent)?;
    tdes_step(&mut key, &ksn.counted_register())?;
    Ok(ClearKey::des(key.as_slice())?)
}

fn tdes_step(key: &mut [u8; 16], register: &[u8; 8]) -> Result<(), DukptError> {
    let right = non_reversible(key, register)?;
    key.chunks_exact_mut(8).for_each(|half| xor_in_place(half, &MASK));
    let left = non_reversible(key, register)?;
    key[..8].copy_from_slice(left.as_slice());
    key[8..].copy_from_slice(right.as_slice());
    Ok(())
}

/// DES under the left half between two additions of the right half.
fn non_reversible(key: &[u8; 16], register: &[u8; 8]) -> Result<Zeroizing<[u8; 8]>, DukptError> {
    let (left, right) = key.split_at(8);
    let mut block = Zeroizing::new(*register);
    xor_in_place(block.as_mut_slice(), right);
    BlockCipher::des(left)?.ecb_encrypt(block.as_mut_slice())?;
    xor_in_place(block.as_mut_slice(), right);
    Ok(block)
}

/// What a TDES transaction key is used for. Requests go from the terminal to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TdesUse {
    /// PIN encipherment.
    Pin,
    /// MAC of a request, or in both directions.
    MacRequest,
    /// MAC of a response.
    MacResponse,
    /// Data encipherment of a request, or in both directions.
    DataRequest,
    /// Data encipherment of a response.
    DataResponse,
}

/// The working key of one use, 16 bytes: the variant of the transaction key; data keys are besides enciphered under
/// themselves, half by half.
///
/// # Errors
/// [`CipherError::KeyLength`] for a transaction key that is not a double-length DES key.
pub fn tdes_working_key(transaction: &ClearKey, usage: TdesUse) -> Result<ClearKey, DukptError> {
    let byte = match usage {
        TdesUse::Pin => 7,
        TdesUse::MacRequest => 6,
        TdesUse::DataRequest => 5,
        TdesUse::MacResponse => 4,
        TdesUse::DataResponse => 3,
    };
    let mut key = double_length(transaction)?;
    key[byte] ^= 0xFF;
    key[byte + 8] ^= 0xFF;
    if matches!(usage, TdesUse::DataRequest | TdesUse::DataResponse) {
        BlockCipher::des(key.as_slice())?.ecb_encrypt(key.as_mut_slice())?;
    }
    Ok(ClearKey::des(key.as_slice())?)
}

/// The key of a single-DES DUKPT transaction from the device's 8-byte initial key (X9.24-1998).
///
/// # Errors
/// [`CipherError::KeyLength`] for an initial key that is not a single-length DES key.
pub fn single_des_transaction_key(initial: &ClearKey, ksn: &Ksn) -> Result<ClearKey, DukptError> {
    let mut key = single_length(initial)?;
    for register in ksn.registers() {
        key = whitened(&key, register, BlockCipher::ecb_encrypt)?;
    }
    Ok(ClearKey::des(key.as_slice())?)
}

/// One step of [`single_des_transaction_key`]: the key of a counter from the key of the same counter without its lowest one bit.
///
/// # Errors
/// [`CipherError::KeyLength`] for a key that is not a single-length DES key.
pub fn single_des_child_key(parent: &ClearKey, ksn: &Ksn) -> Result<ClearKey, DukptError> {
    let key = whitened(&*single_length(parent)?, ksn.counted_register(), BlockCipher::ecb_encrypt)?;
    Ok(ClearKey::des(key.as_slice())?)
}

/// Enciphers a PIN block with a single-DES transaction key: the PIN variant of the key is added before and after DES.
///
/// # Errors
/// [`CipherError::KeyLength`] for a key that is not a single-length DES key.
pub fn single_des_encrypt_pin_block(transaction: &ClearKey, block: [u8; 8]) -> Result<Zeroizing<[u8; 8]>, DukptError> {
    let key = single_des_pin_key(transaction)?;
    whitened(&key, block, BlockCipher::ecb_encrypt)
}

/// Deciphers a PIN block that [`single_des_encrypt_pin_block`] enciphered.
///
/// # Errors
/// As [`single_des_encrypt_pin_block`].
pub fn single_des_decrypt_pin_block(transaction: &ClearKey, block: [u8; 8]) -> Result<Zeroizing<[u8; 8]>, DukptError> {
    let key = single_des_pin_key(transaction)?;
    whitened(&key, block, BlockCipher::ecb_decrypt)
}

fn single_des_pin_key(transaction: &ClearKey) -> Result<Zeroizing<[u8; 8]>, DukptError> {
    let mut key = single_length(transaction)?;
    key[7] ^= 0xFF;
    Ok(key)
}

fn whitened(
    key: &[u8; 8],
    block: [u8; 8],
    apply: fn(&BlockCipher, &mut [u8]) -> Result<(), CipherError>,
) -> Result<Zeroizing<[u8; 8]>, DukptError> {
    let mut block = Zeroizing::new(block);
    xor_in_place(block.as_mut_slice(), key);
    apply(&BlockCipher::des(key)?, block.as_mut_slice())?;
    xor_in_place(block.as_mut_slice(), key);
    Ok(block)
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

/// The kinds of working keys of AES DUKPT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AesKeyType {
    /// Two-key TDES, 16 bytes.
    Tdes2,
    /// Three-key TDES, 24 bytes.
    Tdes3,
    /// AES-128.
    Aes128,
    /// AES-192.
    Aes192,
    /// AES-256.
    Aes256,
    /// HMAC with 16 bytes of key.
    Hmac128,
    /// HMAC with 24 bytes of key.
    Hmac192,
    /// HMAC with 32 bytes of key.
    Hmac256,
}

impl AesKeyType {
    fn algorithm(self) -> Algorithm {
        match self {
            Self::Tdes2 | Self::Tdes3 => Algorithm::Des,
            Self::Aes128 | Self::Aes192 | Self::Aes256 => Algorithm::Aes,
            Self::Hmac128 | Self::Hmac192 | Self::Hmac256 => Algorithm::Hmac,
        }
    }

    /// The algorithm indicator of the derivation data.
    fn indicator(self) -> u8 {
        match self {
            Self::Tdes2 => 0,
            Self::Tdes3 => 1,
            Self::Aes128 => 2,
            Self::Aes192 => 3,
            Self::Aes256 => 4,
            Self::Hmac128 | Self::Hmac192 | Self::Hmac256 => 5,
        }
    }

    /// Key length in bytes.
    #[must_use]
    pub fn key_len(self) -> usize {
        match self {
            Self::Tdes2 | Self::Aes128 | Self::Hmac128 => 16,
            Self::Tdes3 | Self::Aes192 | Self::Hmac192 => 24,
            Self::Aes256 | Self::Hmac256 => 32,
        }
    }

    /// The AES key type with keys of `len` bytes; the strongest for lengths that AES does not have.
    #[must_use]
    pub fn aes(len: usize) -> Self {
        match len {
            16 => Self::Aes128,
            24 => Self::Aes192,
            _ => Self::Aes256,
        }
    }

    /// Bytes an AES key needs to be as strong.
    fn strength(self) -> usize {
        if self.algorithm() == Algorithm::Des { 16 } else { self.key_len() }
    }
}

/// What an AES DUKPT working key is used for, with the usage number of X9.24-3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AesUse {
    /// Key encipherment (0002).
    KeyEncryption,
    /// PIN encipherment (1000).
    Pin,
    /// MAC generation, terminal to host (2000).
    MacGeneration,
    /// MAC verification, host to terminal (2001).
    MacVerification,
    /// MAC in both directions (2002).
    MacBoth,
    /// Data encipherment, terminal to host (3000).
    DataEncryption,
    /// Data decipherment, host to terminal (3001).
    DataDecryption,
    /// Data encipherment in both directions (3002).
    DataBoth,
}

impl AesUse {
    /// Whether X9.24-3 has working keys of a type for this use: HMAC keys are for MACs alone.
    #[must_use]
    pub fn takes(self, key_type: AesKeyType) -> bool {
        let mac = matches!(self, Self::MacGeneration | Self::MacVerification | Self::MacBoth);
        mac || key_type.algorithm() != Algorithm::Hmac
    }

    fn number(self) -> u16 {
        match self {
            Self::KeyEncryption => 0x0002,
            Self::Pin => 0x1000,
            Self::MacGeneration => 0x2000,
            Self::MacVerification => 0x2001,
            Self::MacBoth => 0x2002,
            Self::DataEncryption => 0x3000,
            Self::DataDecryption => 0x3001,
            Self::DataBoth => 0x3002,
        }
    }
}

const KEY_DERIVATION: u16 = 0x8000;
const INITIAL_KEY_DERIVATION: u16 = 0x8001;

/// The initial key of a device, as long as the AES BDK.
///
/// # Errors
/// [`CipherError::KeyLength`] for a BDK that is not an AES key.
pub fn aes_initial_key(bdk: &ClearKey, initial_key_id: &[u8; 8]) -> Result<ClearKey, DukptError> {
    let cipher = aes_cipher(bdk)?;
    derive(&cipher, AesKeyType::aes(bdk.len()), INITIAL_KEY_DERIVATION, initial_key_id)
}

/// The derivation key of a transaction from the device's initial key: one derivation for each one bit of the counter.
/// With counter 0 it is the initial key itself.
///
/// # Errors
/// [`CipherError::KeyLength`] for an initial key that is not an AES key.
pub fn aes_transaction_key(initial: &ClearKey, ksn: &AesKsn) -> Result<ClearKey, DukptError> {
    let key_type = AesKeyType::aes(initial.len());
    let mut cipher = aes_cipher(initial)?;
    let mut key = initial.clone();
    for bit in (0..u32::BITS).rev().filter(|bit| ksn.counter >> bit & 1 == 1) {
        let counter = ksn.counter >> bit << bit;
        key = derive(&cipher, key_type, KEY_DERIVATION, &context(&ksn.initial_key_id, counter))?;
        cipher = key.cipher()?;
    }
    Ok(key)
}

/// One step of [`aes_transaction_key`]: the key of a counter from the key of the same counter without its lowest one bit.
///
/// # Errors
/// [`CipherError::KeyLength`] for a key that is not an AES key.
pub fn aes_child_key(parent: &ClearKey, ksn: &AesKsn) -> Result<ClearKey, DukptError> {
    let context = context(&ksn.initial_key_id, ksn.counter);
    derive(&aes_cipher(parent)?, AesKeyType::aes(parent.len()), KEY_DERIVATION, &context)
}

/// A working key from the derivation key of the transaction. `ksn` must be the one the derivation key was made for.
///
/// # Errors
/// [`CipherError::KeyLength`] for a derivation key that is not an AES key; [`DukptError::TooStrong`] for a working key
/// that is longer than it (TDES keys count as AES-128).
pub fn aes_working_key(
    transaction: &ClearKey,
    usage: AesUse,
    key_type: AesKeyType,
    ksn: &AesKsn,
) -> Result<ClearKey, DukptError> {
    let cipher = aes_cipher(transaction)?;
    if key_type.strength() > transaction.len() {
        return Err(DukptError::TooStrong);
    }
    derive(&cipher, key_type, usage.number(), &context(&ksn.initial_key_id, ksn.counter))
}

/// The update key of a device: the key encipherment key of counter FFFFFFFF, under which a new initial key travels.
///
/// # Errors
/// As [`aes_working_key`].
pub fn aes_update_key(
    initial: &ClearKey,
    initial_key_id: &[u8; 8],
    key_type: AesKeyType,
) -> Result<ClearKey, DukptError> {
    let ksn = AesKsn::new(*initial_key_id, u32::MAX);
    aes_working_key(&aes_transaction_key(initial, &ksn)?, AesUse::KeyEncryption, key_type, &ksn)
}

/// The last 8 bytes of the derivation data of all but initial keys.
fn context(initial_key_id: &[u8; 8], counter: u32) -> [u8; 8] {
    let [_, _, _, _, id0, id1, id2, id3] = *initial_key_id;
    let [c0, c1, c2, c3] = counter.to_be_bytes();
    [id0, id1, id2, id3, c0, c1, c2, c3]
}

/// Enciphers as many blocks of derivation data as the key takes.
fn derive(cipher: &BlockCipher, key_type: AesKeyType, usage: u16, context: &[u8; 8]) -> Result<ClearKey, DukptError> {
    let [usage_high, usage_low] = usage.to_be_bytes();
    let bits = (key_type.key_len() * 8) as u16;
    let [bits_high, bits_low] = bits.to_be_bytes();
    let mut key = Zeroizing::new([0u8; 32]);
    for (number, block) in (1..).zip(key.chunks_exact_mut(16)) {
        let (head, tail) = block.split_at_mut(8);
        head.copy_from_slice(&[1, number, usage_high, usage_low, 0, key_type.indicator(), bits_high, bits_low]);
        tail.copy_from_slice(context);
    }
    let used = &mut key[..key_type.key_len().next_multiple_of(16)];
    cipher.ecb_encrypt(used)?;
    Ok(ClearKey::new(key_type.algorithm(), &used[..key_type.key_len()])?)
}

fn aes_cipher(key: &ClearKey) -> Result<BlockCipher, DukptError> {
    match key.algorithm() {
        Algorithm::Aes => Ok(key.cipher()?),
        _ => Err(CipherError::KeyLength { algorithm: "AES", len: key.len() }.into()),
    }
}

fn double_length(key: &ClearKey) -> Result<Zeroizing<[u8; 16]>, DukptError> {
    des_bytes(key, "double-length DES")
}

fn single_length(key: &ClearKey) -> Result<Zeroizing<[u8; 8]>, DukptError> {
    des_bytes(key, "single-length DES")
}

fn des_bytes<const N: usize>(key: &ClearKey, algorithm: &'static str) -> Result<Zeroizing<[u8; N]>, DukptError>
where
    [u8; N]: zeroize::Zeroize,
{
    match (key.algorithm(), key.bytes().try_into()) {
        (Algorithm::Des, Ok(bytes)) => Ok(Zeroizing::new(bytes)),
        _ => Err(CipherError::KeyLength { algorithm, len: key.len() }.into()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bdk() -> TdesBdk {
        let key = ClearKey::des(b"\x01\x23\x45\x67\x89\xAB\xCD\xEF\xFE\xDC\xBA\x98\x76\x54\x32\x10").unwrap();
        TdesBdk::new(&key).unwrap()
    }

    #[test]
    fn descriptors_give_the_length_and_the_parts() {
        for (field, len) in [(b"605", 16), (b"609", 20), (b"906", 20), (b"A05", 20), (b"a05", 20), (b"708", 20)] {
            assert_eq!(KsnDescriptor::parse(field).unwrap().ksn_len(), len, "{field:?}");
        }
        for field in [&b"A0"[..], b"A055", b"G05", b"006", b"B05", b""] {
            assert_eq!(KsnDescriptor::parse(field), Err(DukptError::Descriptor), "{field:?}");
        }
        let parts = KsnDescriptor::parse(b"609").unwrap().split(b"123456ABCDEF98700001").unwrap();
        assert_eq!((parts.key_set, parts.sub_key), (&b"123456"[..], &b""[..]));
        assert_eq!((parts.device, parts.counter), (&b"ABCDEF987"[..], &b"00001"[..]));
        assert_eq!(KsnDescriptor::parse(b"609").unwrap().split(b"123"), Err(DukptError::KsnLength(3)));
    }

    #[test]
    fn serial_numbers_are_filled_on_the_left() {
        let ksn = Ksn::parse(b"9876543210e00001").unwrap();
        assert_eq!(ksn.bytes(), b"\xFF\xFF\x98\x76\x54\x32\x10\xE0\x00\x01");
        assert_eq!(ksn, Ksn::parse(b"FFFF9876543210E00001").unwrap());
        assert_eq!(Ksn::parse(b"12345678901"), Err(DukptError::KsnLength(11)));
        assert_eq!(Ksn::parse(b"123456789012345678901"), Err(DukptError::KsnLength(21)));
        assert_eq!(Ksn::parse(b"FFFF9876543210E0000G"), Err(DukptError::NotHex));
        assert_eq!(AesKsn::parse(b"FFFF9876543210E00001"), Err(DukptError::KsnLength(20)));
        assert_eq!(AesKsn::parse(b"12345678901234560000000x"), Err(DukptError::NotHex));
    }

    #[test]
    fn the_counter_has_21_bits() {
        let ksn = Ksn::parse(b"FFFF9876543210FFFFFF").unwrap();
        assert_eq!(ksn.counter(), 0x1F_FFFF);
        assert_eq!(ksn.with_counter(u32::MAX), ksn);
        assert_eq!(ksn.with_counter(0).bytes(), b"\xFF\xFF\x98\x76\x54\x32\x10\xE0\x00\x00");
    }

    #[test]
    fn a_device_sends_2_20_less_one_tdes_counters() {
        let ksn = Ksn::new([0; 10]);
        assert_eq!((0..1 << 21).filter(|c| ksn.with_counter(*c).is_sent_by_devices()).count(), (1 << 20) - 1);
        assert!(AesKsn::new([0; 8], 0x0000_FFFF).is_sent_by_devices());
        assert!(!AesKsn::new([0; 8], 0x0001_FFFF).is_sent_by_devices());
        assert!(!AesKsn::new([0; 8], 0).is_sent_by_devices());
    }

    #[test]
    fn counter_zero_is_the_initial_key() {
        let ksn = Ksn::parse(b"FFFF9876543210E00000").unwrap();
        assert_eq!(bdk().transaction_key(&ksn).unwrap(), bdk().initial_key(&ksn).unwrap());
        assert_eq!(bdk().single_des_initial_key(&ksn).unwrap().bytes(), &bdk().initial_key(&ksn).unwrap().bytes()[..8]);
        let initial = ClearKey::aes(&[3; 16]).unwrap();
        assert_eq!(aes_transaction_key(&initial, &AesKsn::new([1; 8], 0)).unwrap(), initial);
    }

    #[test]
    fn keys_of_other_kinds_are_refused() {
        let (single, double, aes) = (ClearKey::des(&[1; 8]), ClearKey::des(&[1; 16]), ClearKey::aes(&[1; 16]));
        let (single, double, aes) = (single.unwrap(), double.unwrap(), aes.unwrap());
        let ksn = Ksn::new([0; 10]);
        assert!(TdesBdk::new(&single).is_err());
        assert!(TdesBdk::new(&aes).is_err());
        assert!(TdesBdk::new(&ClearKey::des(&[1; 24]).unwrap()).is_ok());
        assert!(tdes_transaction_key(&aes, &ksn).is_err());
        assert!(tdes_working_key(&single, TdesUse::Pin).is_err());
        assert!(single_des_transaction_key(&double, &ksn).is_err());
        assert!(single_des_encrypt_pin_block(&double, [0; 8]).is_err());
        assert!(aes_initial_key(&double, &[0; 8]).is_err());
        assert!(aes_transaction_key(&double, &AesKsn::new([0; 8], 1)).is_err());
    }

    #[test]
    fn working_keys_are_no_stronger_than_their_source() {
        use AesKeyType::*;
        let ksn = AesKsn::new([0; 8], 1);
        let allowed = |len: usize| {
            let key = ClearKey::aes(&[1; 32][..len]).unwrap();
            [Tdes2, Tdes3, Aes128, Aes192, Aes256, Hmac128, Hmac192, Hmac256].map(|key_type| {
                match aes_working_key(&key, AesUse::MacBoth, key_type, &ksn) {
                    Ok(working) => Some(working.len()),
                    Err(e) => {
                        assert_eq!(e, DukptError::TooStrong);
                        None
                    }
                }
            })
        };
        assert_eq!(allowed(16), [Some(16), Some(24), Some(16), None, None, Some(16), None, None]);
        assert_eq!(allowed(24), [Some(16), Some(24), Some(16), Some(24), None, Some(16), Some(24), None]);
        assert_eq!(allowed(32), [Some(16), Some(24), Some(16), Some(24), Some(32), Some(16), Some(24), Some(32)]);
    }

    proptest! {
        #[test]
        fn parsing_is_total(field: Vec<u8>) {
            let _ = (Ksn::parse(&field), AesKsn::parse(&field));
            if let Ok(descriptor) = KsnDescriptor::parse(&field) {
                let _ = descriptor.split(&field);
            }
        }

        #[test]
        fn every_descriptor_splits_a_field_of_its_length(field in "[0-9A-F]{3}", digits in "[0-9A-F]{20}") {
            if let Ok(descriptor) = KsnDescriptor::parse(field.as_bytes()) {
                let ksn = &digits.as_bytes()[..descriptor.ksn_len()];
                let parts = descriptor.split(ksn).unwrap();
                prop_assert_eq!([parts.key_set, parts.sub_key, parts.device, parts.counter].concat(), ksn);
                prop_assert!(Ksn::parse(ksn).is_ok());
            }
        }

        #[test]
        fn any_serial_number_has_keys(bytes: [u8; 10], counter: u32, block: [u8; 8]) {
            let ksn = Ksn::new(bytes);
            prop_assert_eq!(ksn.with_counter(counter).counter(), counter & 0x1F_FFFF);
            let key = bdk().transaction_key(&ksn).unwrap();
            use TdesUse::*;
            let uses = [Pin, MacRequest, MacResponse, DataRequest, DataResponse];
            let keys = uses.map(|usage| tdes_working_key(&key, usage).unwrap());
            for (i, a) in keys.iter().enumerate() {
                prop_assert!(keys[..i].iter().all(|b| a != b));
            }
            let without_lowest = ksn.with_counter(ksn.counter() & ksn.counter().wrapping_sub(1));
            if ksn.counter() != 0 {
                let parent = bdk().transaction_key(&without_lowest).unwrap();
                prop_assert_eq!(&tdes_child_key(&parent, &ksn).unwrap(), &key);
                let parent = bdk().single_des_transaction_key(&without_lowest).unwrap();
                let child = single_des_child_key(&parent, &ksn).unwrap();
                prop_assert_eq!(child, bdk().single_des_transaction_key(&ksn).unwrap());
            }
            let single = bdk().single_des_transaction_key(&ksn).unwrap();
            let enciphered = single_des_encrypt_pin_block(&single, block).unwrap();
            prop_assert_eq!(*single_des_decrypt_pin_block(&single, *enciphered).unwrap(), block);
        }

        #[test]
        fn any_aes_serial_number_has_keys(id: [u8; 8], counter: u32, key: [u8; 32], len in 2usize..=4) {
            let bdk = ClearKey::aes(&key[..len * 8]).unwrap();
            let ksn = AesKsn::new(id, counter);
            let initial = aes_initial_key(&bdk, &id).unwrap();
            let transaction = aes_transaction_key(&initial, &ksn).unwrap();
            prop_assert_eq!(transaction.len(), len * 8);
            if counter != 0 {
                let parent = AesKsn::new(id, counter & (counter - 1));
                let parent = aes_transaction_key(&initial, &parent).unwrap();
                prop_assert_eq!(&aes_child_key(&parent, &ksn).unwrap(), &transaction);
            }
            prop_assert!(aes_working_key(&transaction, AesUse::Pin, AesKeyType::Aes128, &ksn).is_ok());
        }
    }
}
