//! What does this PIN block decrypt to under each key, format and account number, and why does it fail?

use super::WrappingKey;
use crate::cipher::BlockCipher;
use crate::clear_key::Algorithm;
use hsm_pinblock::{Account, AccountUse, Context, DecodeError, Format, Pan, Pin, decipher_iso4, decode};
use zeroize::Zeroizing;

/// An account number as someone may have taken it.
#[derive(Debug, Clone)]
pub struct AccountGuess {
    /// How it was taken.
    pub name: String,
    /// The account.
    pub account: Account,
    /// The whole account number, if known, which ISO format 4 needs.
    pub pan: Option<Pan>,
}

/// A PIN block under one key, in one format, with one account number.
#[derive(Debug, Clone)]
pub struct PinReading {
    /// Name of the key.
    pub key: String,
    /// The format.
    pub format: Format,
    /// How the account number was taken; `None` if the format needs none, or none is known.
    pub account: Option<String>,
    /// The PIN, or why there is none.
    pub outcome: Result<Pin, DecodeError>,
    /// What the failure suggests.
    pub hint: Option<PinHint>,
}

impl PinReading {
    /// Whether there is a PIN in a format that the HSM has. Others have hardly a check and read by chance.
    #[must_use]
    pub fn is_convincing(&self) -> bool {
        self.outcome.is_ok() && self.format.thales_code().is_some()
    }
}

/// What a failure suggests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinHint {
    /// All that does not depend on the account number is right: another account number was used.
    OtherAccount,
    /// The account number was taken in an unusual way.
    UnusualAccount,
}

impl core::fmt::Display for PinHint {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::OtherAccount => {
                "format, length and first digits are right: the key probably is, the account number is not"
            }
            Self::UnusualAccount => "the block was made with another part of the account number than it should be",
        })
    }
}

/// Reads an enciphered PIN block, or a clear one if there are no keys, in every way. PINs that were found in
/// formats of the HSM come first.
///
/// The first of `accounts` is how the account number should be taken, the others are tried besides.
#[must_use]
pub fn read_pin_block(keys: &[WrappingKey], accounts: &[AccountGuess], block: &[u8]) -> Vec<PinReading> {
    let mut readings = Vec::new();
    if keys.is_empty() {
        read(None, "clear", accounts, block, &mut readings);
    }
    for key in keys {
        if let Ok(cipher) = key.key.cipher() {
            read(Some((&cipher, key.key.algorithm())), &key.name, accounts, block, &mut readings);
        }
    }
    readings.sort_by_key(|reading| match (&reading.outcome, reading.hint) {
        (Ok(_), None) if reading.is_convincing() => 0,
        (Ok(_), Some(_)) if reading.is_convincing() => 1,
        (Err(_), Some(_)) => 2,
        (Ok(_), _) => 3,
        (Err(_), None) => 4,
    });
    readings
}

fn read(
    cipher: Option<(&BlockCipher, Algorithm)>,
    key: &str,
    accounts: &[AccountGuess],
    block: &[u8],
    readings: &mut Vec<PinReading>,
) {
    for format in Format::all().filter(|format| format.is_supported() && format.block_len() == block.len()) {
        // Format 48 is under AES keys, the others are under DES keys.
        if cipher.is_some_and(|(_, algorithm)| (algorithm == Algorithm::Aes) != (format == Format::Iso4)) {
            continue;
        }
        let accounts = if format.account() == AccountUse::None { &[] } else { accounts };
        let mut push = |account: Option<String>, outcome: Result<Pin, DecodeError>, usual: bool| {
            let hint = match &outcome {
                Ok(_) if !usual => Some(PinHint::UnusualAccount),
                Err(DecodeError::PinDigit { position: 4.. } | DecodeError::Fill { .. })
                    if usual && depends_on_account(format) =>
                {
                    Some(PinHint::OtherAccount)
                }
                _ => None,
            };
            readings.push(PinReading { key: key.to_owned(), format, account, outcome, hint });
        };
        if accounts.is_empty() {
            push(None, outcome(cipher, format, None, block), true);
        }
        for (at, guess) in accounts.iter().enumerate() {
            let outcome = outcome(cipher, format, Some(guess), block);
            if at == 0 || outcome.is_ok() {
                push(Some(guess.name.clone()), outcome, at == 0);
            }
        }
    }
}

/// Whether the account number is added after control and length, and the first two PIN digits.
fn depends_on_account(format: Format) -> bool {
    matches!(format.account(), AccountUse::Rightmost12 | AccountUse::Leftmost12)
}

fn outcome(
    cipher: Option<(&BlockCipher, Algorithm)>,
    format: Format,
    guess: Option<&AccountGuess>,
    block: &[u8],
) -> Result<Pin, DecodeError> {
    if format == Format::Iso4 {
        let pan = guess.and_then(|guess| guess.pan).ok_or(hsm_pinblock::ContextError::NoAccount)?;
        let (cipher, _) = cipher.ok_or(DecodeError::NeedsCipher)?;
        let wrong = DecodeError::BlockLength { expected: 16, actual: block.len() };
        return decipher_iso4(block.try_into().map_err(|_| wrong)?, &pan, cipher);
    }
    let mut clear = Zeroizing::new(block.to_vec());
    if let Some((cipher, _)) = cipher {
        let wrong = DecodeError::BlockLength { expected: 8, actual: block.len() };
        cipher.ecb_decrypt(&mut clear).map_err(|_| wrong)?;
    }
    let context = guess.map_or_else(Context::default, |guess| Context::account(guess.account));
    decode(format, &clear, &context)
}
