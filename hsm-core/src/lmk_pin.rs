//! PINs encrypted under the LMK for host storage, and account reference numbers (pins.md section 3).
//!
//! The cipher of the device is not public, so these values are the emulator's own and mean nothing to a device, nor a device's here. Their shape is
//! the device's: `L` digits, one more than the PIN length the device is set to; with an AES LMK `J` and 32 hexadecimal digits.
//!
//! # The native scheme
//! The `L` symbols (decimal for algorithm A, hexadecimal for B) are those of [`fn@encrypt`]'s plain text, through a ten-round Feistel network over
//! digits: the right part's number is mixed by CBC-MAC together with account, `L`, radix and round, and added to the left part. The plain text says
//! how long the PIN is by `k` ones and a zero in front of it, where `k + 1 + PIN length = L`. Another account or LMK gives a plain text that is
//! random, of which a ninth passes for a PIN under algorithm A and less under B; the rest are refused.
//!
//! With an AES LMK it is one block: `4`, PIN length, PIN filled with `A` to 12 digits, `00`, account, `000000`, AES-ECB.
//!
//! Keys: of a variant LMK pair 02-03; of a key-block LMK the key for letter `P`. Reference numbers: pair 18-19 or letter `R`.
//!
//! # The clear scheme
//! `0`, the PIN, `F` up to `L`: what a public simulator does. For variant and TDES key-block LMKs; an AES LMK always encrypts.

use crate::cipher::{BlockCipher, CipherError};
use crate::lmk::{Lmk, LmkAlgorithm, LmkPair, LmkVariant};
use hsm_pinblock::Pin;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// How PINs are stored under a variant or TDES LMK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinMode {
    /// Not encrypted: `0`, PIN, `F` fill.
    Clear,
    /// Encrypted, bound to the account.
    Native,
}

/// The alphabet of a PIN under a variant or TDES LMK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinAlgorithm {
    /// "A" or "Visa": decimal digits.
    A,
    /// "B" or "Racal": hexadecimal digits.
    B,
}

impl PinAlgorithm {
    fn radix(self) -> u64 {
        match self {
            Self::A => 10,
            Self::B => 16,
        }
    }
}

/// How a device writes PINs under an LMK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinForm {
    /// Encrypted or not.
    pub mode: PinMode,
    /// Alphabet.
    pub algorithm: PinAlgorithm,
    /// Number of digits `L`, 5 to 13.
    pub digits: usize,
}

/// A PIN cannot be put under or taken from under the LMK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LmkPinError {
    /// The PIN has more digits than the device's PIN length.
    #[error("the PIN is longer than the PIN length that the device is set to")]
    TooLong,
    /// `J` with an LMK that is not AES, or an AES LMK without it.
    #[error("a PIN under an AES LMK begins with J, others do not")]
    Tag,
    /// What comes out is no PIN: wrong account, LMK or form.
    #[error("it is no PIN under this LMK and account")]
    Invalid,
    /// The LMK cannot encrypt.
    #[error(transparent)]
    Cipher(#[from] CipherError),
}

impl LmkPinError {
    /// The payShield error code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "15",
            Self::Tag => "46",
            Self::Invalid => "14",
            Self::Cipher(_) => "42",
        }
    }
}

const PIN_LETTER: u8 = b'P';
const REFERENCE_LETTER: u8 = b'R';
const ROUNDS: u8 = 10;

/// Encrypts a PIN under an LMK. `account` is the 12-digit account field, digit values or ASCII.
///
/// # Errors
/// [`LmkPinError::TooLong`].
pub fn encrypt(lmk: &Lmk, form: PinForm, account: &[u8; 12], pin: &Pin) -> Result<Vec<u8>, LmkPinError> {
    if lmk.algorithm() == LmkAlgorithm::Aes256 {
        let mut block = aes_block(account, pin);
        pin_cipher(lmk)?.ecb_encrypt(&mut *block)?;
        return Ok([b"J", crate::hex::encode(&*block).as_bytes()].concat());
    }
    let ones = form.digits.checked_sub(1 + pin.len()).ok_or(LmkPinError::TooLong)?;
    let mut symbols = Zeroizing::new(vec![0u8; form.digits]);
    match form.mode {
        PinMode::Clear => {
            let (head, fill) = symbols.split_at_mut(1 + pin.len());
            head[1..].copy_from_slice(pin.digits());
            fill.fill(0xF);
        }
        PinMode::Native => {
            let (prefix, digits) = symbols.split_at_mut(ones + 1);
            prefix[..ones].fill(1);
            digits.copy_from_slice(pin.digits());
            Feistel { cipher: &pin_cipher(lmk)?, account, radix: form.algorithm.radix() }.encrypt(&mut symbols)?;
        }
    }
    Ok(symbols
        .iter()
        .map(|s| char::from_digit((*s).into(), 16).map_or(b'0', |c| c.to_ascii_uppercase() as u8))
        .collect())
}

/// Decrypts a field that [`fn@encrypt`] made. Its length may be another than the device has now.
///
/// # Errors
/// [`LmkPinError::Tag`], [`LmkPinError::Invalid`].
pub fn decrypt(lmk: &Lmk, form: PinForm, account: &[u8; 12], field: &[u8]) -> Result<Pin, LmkPinError> {
    let tagged = field.strip_prefix(b"J");
    if lmk.algorithm() == LmkAlgorithm::Aes256 {
        return decrypt_aes(lmk, account, tagged.ok_or(LmkPinError::Tag)?);
    }
    if tagged.is_some() {
        return Err(LmkPinError::Tag);
    }
    let mut symbols = Zeroizing::new(Vec::with_capacity(field.len()));
    for c in field {
        symbols.push(char::from(*c).to_digit(16).ok_or(LmkPinError::Invalid)? as u8);
    }
    let digits = match form.mode {
        PinMode::Clear => {
            let rest = symbols.strip_prefix(&[0]).ok_or(LmkPinError::Invalid)?;
            let (pin, fill) = rest.split_at(rest.iter().position(|s| *s > 9).unwrap_or(rest.len()));
            if fill.iter().any(|s| *s != 0xF) {
                return Err(LmkPinError::Invalid);
            }
            pin
        }
        PinMode::Native => {
            let radix = form.algorithm.radix();
            if !(5..=13).contains(&symbols.len()) || symbols.iter().any(|s| u64::from(*s) >= radix) {
                return Err(LmkPinError::Invalid);
            }
            Feistel { cipher: &pin_cipher(lmk)?, account, radix }.decrypt(&mut symbols)?;
            let ones = symbols.iter().take_while(|s| **s == 1).count();
            match symbols.get(ones..) {
                Some([0, pin @ ..]) => pin,
                _ => return Err(LmkPinError::Invalid),
            }
        }
    };
    Pin::from_values(digits).map_err(|_| LmkPinError::Invalid)
}

/// The reference number of an account: 12 ASCII digits that stand for the account's 12, another for each.
///
/// # Errors
/// [`LmkPinError::Cipher`], which no LMK gives.
pub fn reference_number(lmk: &Lmk, account: &[u8; 12]) -> Result<[u8; 12], LmkPinError> {
    let mut digits = account.map(|c| c % 16 % 10);
    reference_permutation(&reference_cipher(lmk)?).encrypt(&mut digits)?;
    Ok(digits.map(|d| b'0' + d))
}

/// The account of a reference number: the 12 ASCII digits that [`reference_number`] made it of.
///
/// # Errors
/// [`LmkPinError::Cipher`], which no LMK gives.
pub fn account_of_reference(lmk: &Lmk, reference: &[u8; 12]) -> Result<[u8; 12], LmkPinError> {
    let mut digits = reference.map(|c| c % 16 % 10);
    reference_permutation(&reference_cipher(lmk)?).decrypt(&mut digits)?;
    Ok(digits.map(|d| b'0' + d))
}

fn reference_cipher(lmk: &Lmk) -> Result<BlockCipher, CipherError> {
    lmk.data_cipher(LmkPair::DECIMALISATION, LmkVariant::ZERO, REFERENCE_LETTER)
}

fn reference_permutation(cipher: &BlockCipher) -> Feistel<'_> {
    Feistel { cipher, account: &[0; 12], radix: 10 }
}

fn pin_cipher(lmk: &Lmk) -> Result<BlockCipher, CipherError> {
    lmk.data_cipher(LmkPair::STORED_PIN, LmkVariant::ZERO, PIN_LETTER)
}

fn aes_block(account: &[u8; 12], pin: &Pin) -> Zeroizing<[u8; 16]> {
    let mut nibbles = Zeroizing::new([0u8; 32]);
    nibbles[0] = 4;
    nibbles[1] = pin.len() as u8;
    nibbles[2..14].fill(0xA);
    nibbles[2..2 + pin.len()].copy_from_slice(pin.digits());
    for (to, from) in nibbles[16..28].iter_mut().zip(account) {
        *to = from & 0x0F;
    }
    let mut block = Zeroizing::new([0u8; 16]);
    for (byte, pair) in block.iter_mut().zip(nibbles.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    block
}

fn decrypt_aes(lmk: &Lmk, account: &[u8; 12], digits: &[u8]) -> Result<Pin, LmkPinError> {
    let mut block = crate::hex::decode(digits).filter(|block| block.len() == 16).ok_or(LmkPinError::Invalid)?;
    pin_cipher(lmk)?.ecb_decrypt(&mut block)?;
    let len = usize::from(block.first().map_or(0, |b| b & 0x0F)).min(Pin::MAX_LEN);
    let nibbles = block.iter().skip(1).flat_map(|b| [b >> 4, b & 0x0F]);
    let values: Zeroizing<Vec<u8>> = Zeroizing::new(nibbles.take(len).collect());
    let pin = Pin::from_values(&values).map_err(|_| LmkPinError::Invalid)?;
    // Everything else of the block is known.
    if bool::from(aes_block(account, &pin).ct_eq(&block)) { Ok(pin) } else { Err(LmkPinError::Invalid) }
}

/// A permutation of strings of digits.
struct Feistel<'k> {
    cipher: &'k BlockCipher,
    account: &'k [u8; 12],
    radix: u64,
}

impl Feistel<'_> {
    fn encrypt(&self, symbols: &mut [u8]) -> Result<(), CipherError> {
        self.rounds(symbols, 0..ROUNDS, |digit, key| digit + key)
    }

    fn decrypt(&self, symbols: &mut [u8]) -> Result<(), CipherError> {
        self.rounds(symbols, (0..ROUNDS).rev(), |digit, key| digit + self.radix - key)
    }

    /// Even rounds change the left part by the right one, odd rounds the right part by the left one.
    fn rounds(
        &self,
        symbols: &mut [u8],
        rounds: impl Iterator<Item = u8>,
        combine: impl Fn(u64, u64) -> u64,
    ) -> Result<(), CipherError> {
        let len = symbols.len();
        let (left, right) = symbols.split_at_mut(len / 2);
        for round in rounds {
            let (target, source) = if round % 2 == 0 { (&mut *left, &*right) } else { (&mut *right, &*left) };
            let mut mask = self.mask(round, len, source)?;
            for symbol in target.iter_mut().rev() {
                *symbol = (combine((*symbol).into(), mask % self.radix) % self.radix) as u8;
                mask /= self.radix;
            }
        }
        Ok(())
    }

    /// CBC-MAC over 16 bytes: account, length and radix, round, source.
    fn mask(&self, round: u8, len: usize, source: &[u8]) -> Result<u64, CipherError> {
        let mut message = Zeroizing::new([0u8; 16]);
        for (byte, pair) in message.iter_mut().zip(self.account.chunks_exact(2)) {
            *byte = (pair[0] & 0x0F) << 4 | pair[1] & 0x0F;
        }
        message[6] = (len as u8) << 4 | (self.radix as u8 & 0x0F);
        message[7] = round;
        let source = source.iter().fold(0u64, |n, s| n << 4 | u64::from(*s));
        message[8..].copy_from_slice(&source.to_be_bytes());
        let mut iv = Zeroizing::new(vec![0u8; self.cipher.block_len()]);
        self.cipher.cbc_encrypt(&mut iv, &mut *message)?;
        Ok(iv.iter().take(8).fold(0, |n, byte| n << 8 | u64::from(*byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ACCOUNT: &[u8; 12] = b"550000025321";

    fn form(mode: PinMode, algorithm: PinAlgorithm, digits: usize) -> PinForm {
        PinForm { mode, algorithm, digits }
    }

    fn pin(digits: &[u8]) -> Pin {
        Pin::from_digits(digits).unwrap()
    }

    #[test]
    fn clear_pins_are_a_zero_the_pin_and_fill() {
        let lmk = Lmk::test_variant();
        let clear = |digits| form(PinMode::Clear, PinAlgorithm::A, digits);
        assert_eq!(encrypt(&lmk, clear(5), ACCOUNT, &pin(b"1234")).unwrap(), b"01234");
        assert_eq!(encrypt(&lmk, clear(7), ACCOUNT, &pin(b"1234")).unwrap(), b"01234FF");
        assert_eq!(encrypt(&lmk, clear(5), ACCOUNT, &pin(b"12345")), Err(LmkPinError::TooLong));
        assert_eq!(decrypt(&lmk, clear(7), ACCOUNT, b"01234FF").unwrap(), pin(b"1234"));
        for field in [&b"11234"[..], b"0123", b"01234F1", b"0123FFF", b"01A34", b"", b"0", b"01234 "] {
            assert_eq!(decrypt(&lmk, clear(7), ACCOUNT, field), Err(LmkPinError::Invalid), "{field:?}");
        }
        assert_eq!(decrypt(&lmk, clear(7), ACCOUNT, b"J1234"), Err(LmkPinError::Tag));
    }

    /// Fixed here once: a change of the scheme would make every stored PIN worthless.
    #[test]
    fn the_native_scheme_stays_what_it_is() {
        let native = form(PinMode::Native, PinAlgorithm::A, 7);
        let text = |lmk: &Lmk| String::from_utf8(encrypt(lmk, native, ACCOUNT, &pin(b"123456")).unwrap()).unwrap();
        assert_eq!(text(&Lmk::test_variant()), "1381376");
        assert_eq!(text(&Lmk::test_keyblock_tdes()), "6874088");
        assert_eq!(text(&Lmk::test_keyblock_aes()), "JC1CE954ADE10D436D123E547306E1725");
    }

    #[test]
    fn an_aes_lmk_needs_its_tag_and_account() {
        let lmk = Lmk::test_keyblock_aes();
        let form = form(PinMode::Clear, PinAlgorithm::A, 5);
        let field = encrypt(&lmk, form, ACCOUNT, &pin(b"123456789012")).unwrap();
        assert_eq!(field.len(), 33);
        assert_eq!(decrypt(&lmk, form, ACCOUNT, &field).unwrap(), pin(b"123456789012"));
        assert_eq!(decrypt(&lmk, form, b"550000025322", &field), Err(LmkPinError::Invalid));
        assert_eq!(decrypt(&lmk, form, ACCOUNT, &field[1..]), Err(LmkPinError::Tag));
        assert_eq!(decrypt(&lmk, form, ACCOUNT, &field[..32]), Err(LmkPinError::Invalid));
    }

    #[test]
    fn another_account_is_mostly_refused() {
        for (algorithm, most) in [(PinAlgorithm::A, 160), (PinAlgorithm::B, 30)] {
            let form = form(PinMode::Native, algorithm, 5);
            let lmk = Lmk::test_variant();
            let field = encrypt(&lmk, form, ACCOUNT, &pin(b"1234")).unwrap();
            let passed = (0..1000u32)
                .filter(|n| {
                    let account: [u8; 12] = format!("{:012}", n * 7919).into_bytes().try_into().unwrap();
                    decrypt(&lmk, form, &account, &field).is_ok()
                })
                .count();
            assert!(passed < most, "{passed} of 1000 accounts pass");
        }
    }

    #[test]
    fn reference_numbers_differ() {
        let lmk = Lmk::test_variant();
        let numbers: std::collections::HashSet<_> = (0..200)
            .map(|n| reference_number(&lmk, &format!("{n:012}").into_bytes().try_into().unwrap()).unwrap())
            .collect();
        assert_eq!(numbers.len(), 200);
        for lmk in [lmk, Lmk::test_keyblock_tdes(), Lmk::test_keyblock_aes()] {
            assert_eq!(account_of_reference(&lmk, &reference_number(&lmk, ACCOUNT).unwrap()).unwrap(), *ACCOUNT);
        }
        assert!(numbers.iter().flatten().all(u8::is_ascii_digit));
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            digits in "[0-9]{4,12}",
            account in "[0-9]{12}",
            more in 0usize..9,
            native: bool,
            hex: bool,
        ) {
            let pin = pin(digits.as_bytes());
            let account: [u8; 12] = account.into_bytes().try_into().unwrap();
            let mode = if native { PinMode::Native } else { PinMode::Clear };
            let algorithm = if hex { PinAlgorithm::B } else { PinAlgorithm::A };
            let form = form(mode, algorithm, (digits.len() + 1 + more).min(13));
            for lmk in [Lmk::test_variant(), Lmk::test_keyblock_tdes(), Lmk::test_keyblock_aes()] {
                let field = encrypt(&lmk, form, &account, &pin).unwrap();
                prop_assert_eq!(decrypt(&lmk, form, &account, &field).unwrap(), pin.clone());
            }
        }

        #[test]
        fn any_field_is_a_pin_or_an_error(field in proptest::collection::vec(any::<u8>(), 0..40), native: bool) {
            let mode = if native { PinMode::Native } else { PinMode::Clear };
            for lmk in [Lmk::test_variant(), Lmk::test_keyblock_aes()] {
                let _ = decrypt(&lmk, form(mode, PinAlgorithm::A, 7), ACCOUNT, &field);
            }
        }
    }
}
