//! Operations on the virtual printer. The clear text of a document exists here and in the sink only.

use super::Session;
use crate::clear_key::ClearKey;
use crate::hex;
use crate::kcv;
use crate::lmk::{Lmk, LmkPair};
use crate::mac::HashAlgorithm;
use crate::module::{FirstMailer, Mailer};
use crate::printer::{Document, PRINT_FIELDS, PrintFormat, PrintValues};
use hsm_plugin_sdk::abi::{
    AccountField, ErrorCode, KeyAttributes, KeyHandle, KeyOps, KeyPurpose, LmkPinOps, PinHandle, PinOps, PrintOps,
};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Digits of an account field, a reference number and its check value.
const ACCOUNT_DIGITS: usize = 12;

/// The words for the digits until LI loads others.
const WORDS: [&str; 10] = ["ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE"];

const PIN_MAILER: &str = "pin.mailer.host";

impl PrintOps for Session {
    fn print_format_load(&mut self, text: &[u8], append: bool) -> Result<(), ErrorCode> {
        let loaded = {
            let mut printer = self.module.printer();
            let format = match printer.format.as_ref().filter(|_| append) {
                Some(format) => format.extended(text),
                None => PrintFormat::parse(text),
            };
            format.map(|format| printer.format = Some(format))
        };
        loaded.or_else(|error| self.refuse(ErrorCode::INPUT_DATA, error.to_string()))
    }

    fn print_word_load(&mut self, digit: u8, word: &[u8]) -> Result<(), ErrorCode> {
        let mut printer = self.module.printer();
        let words = printer.words.get_or_insert_with(|| WORDS.map(|word| word.as_bytes().to_vec()));
        *words.get_mut(usize::from(digit)).ok_or(ErrorCode::INTERNAL)? = word.to_vec();
        Ok(())
    }

    fn print_pin(
        &mut self,
        document: u8,
        account: AccountField<'_>,
        pin: &[u8],
        fields: &[u8],
    ) -> Result<(Vec<u8>, bool), ErrorCode> {
        let format = self.may_print(PIN_MAILER)?;
        let handle = self.lmk_pin_decrypt(pin, account)?;
        let value = self.pin_check_value(account, pin)?;
        let mut digits = Zeroizing::new([0; 12]);
        let ascii = Zeroizing::new(self.pin(handle)?.write_ascii(&mut digits).to_vec());
        Ok((value, self.print_mailer(&format, document, ascii, fields, Mailer::Pin)))
    }

    fn print_pin_verify(
        &mut self,
        account: AccountField<'_>,
        pin: &[u8],
        check_value: &[u8],
    ) -> Result<bool, ErrorCode> {
        let _: PinHandle = self.lmk_pin_decrypt(pin, account)?;
        Ok(bool::from(self.pin_check_value(account, pin)?.ct_eq(check_value)))
    }

    fn print_solicitation(
        &mut self,
        document: u8,
        account: AccountField<'_>,
        fields: &[u8],
    ) -> Result<([u8; 12], bool), ErrorCode> {
        let format = self.may_print(PIN_MAILER)?;
        let reference = Zeroizing::new(self.reference_number(account)?.to_vec());
        let value = self.reference_check_value(account)?;
        Ok((value, self.print_mailer(&format, document, reference, fields, Mailer::Solicitation)))
    }

    fn print_solicitation_verify(
        &mut self,
        account: AccountField<'_>,
        check_value: [u8; 12],
    ) -> Result<bool, ErrorCode> {
        Ok(bool::from(self.reference_check_value(account)?.ct_eq(&check_value)))
    }

    fn print_component(
        &mut self,
        purpose: KeyPurpose,
        scheme: u8,
        attributes: Option<KeyAttributes<'_>>,
        fields: &[u8],
    ) -> Result<(Vec<u8>, [u8; 8], bool), ErrorCode> {
        let format = self.may_print(&self.component_activity(purpose, attributes.as_ref()))?;
        let (key, wrapped) = self.new_component(purpose, scheme, attributes.as_ref())?;
        let printed = self.print_clear_key(&format, &key, false, fields)?;
        Ok((wrapped, self.shown_check_value(&key)?, printed))
    }

    fn print_new_key(
        &mut self,
        purpose: KeyPurpose,
        scheme: u8,
        attributes: Option<KeyAttributes<'_>>,
        split: bool,
        fields: &[u8],
    ) -> Result<(Vec<u8>, [u8; 8], bool), ErrorCode> {
        let format = self.may_print(&self.component_activity(purpose, attributes.as_ref()))?;
        let handle = match attributes {
            Some(attributes) => {
                let new = self.generated_attributes(&attributes)?;
                self.generated_block(&attributes, new)?
            }
            None => self.generated(purpose, scheme)?,
        };
        let wrapped = self.key_wrap(handle, scheme)?;
        let key = self.key(handle)?.clone();
        let printed = self.print_clear_key(&format, key.key(), split, fields)?;
        Ok((wrapped, self.key_check_value(handle)?, printed))
    }

    fn print_terminal_key(&mut self, key: KeyHandle, fields: &[u8]) -> Result<bool, ErrorCode> {
        let format = self.may_print("command.ta.host")?;
        let key = self.key_for(key, &[KeyPurpose::TMK])?;
        self.in_force(key.optional())?;
        self.print_clear_key(&format, key.key(), false, fields)
    }
}

impl Session {
    /// The activity of printing keys and components: `component`, key type or key usage, `host`.
    fn component_activity(&self, purpose: KeyPurpose, attributes: Option<&KeyAttributes<'_>>) -> String {
        let usage = attributes.and_then(|attributes| attributes.usage);
        let subject = usage.map_or_else(|| self.activity_subject(purpose), |usage| usage.escape_ascii().to_string());
        format!("component.{}.host", subject.to_ascii_lowercase())
    }

    /// Whether a document may be printed now, and its format.
    fn may_print(&mut self, activity: &str) -> Result<PrintFormat, ErrorCode> {
        self.require_named(activity)?;
        let (connected, format) = {
            let printer = self.module.printer();
            (printer.sink.is_some(), printer.format.clone())
        };
        if !connected {
            return self.refuse(ErrorCode::DEVICE_NOT_READY, "no printer is connected");
        }
        match format {
            Some(format) if format.is_whole() => Ok(format),
            Some(_) => self.refuse(ErrorCode::PRINT_FORMAT_MISSING, "the print format ends in the middle of a symbol"),
            None => self.refuse(ErrorCode::PRINT_FORMAT_MISSING, "no print format is loaded"),
        }
    }

    /// Prints a mailer, or keeps the first one of a two-up form until the second comes.
    fn print_mailer(
        &mut self,
        format: &PrintFormat,
        document: u8,
        secret: Zeroizing<Vec<u8>>,
        fields: &[u8],
        mailer: Mailer,
    ) -> bool {
        let (first, words) = {
            let mut printer = self.module.printer();
            let (first, lost) = match printer.first.take() {
                Some(first) if document == b'B' && first.mailer == mailer => (Some(first), false),
                other => (None, other.is_some()),
            };
            if lost {
                log::warn!("the first mailer of a two-up form is not printed: no second one of its kind came after it");
            }
            if document == b'A' {
                printer.first = Some(FirstMailer { mailer, secret, fields: fields.to_vec() });
                return true;
            }
            (first, printer.words.clone())
        };
        let words = words.unwrap_or_else(|| WORDS.map(|word| word.as_bytes().to_vec()));
        let mut values = PrintValues::default();
        let mut secrets = vec![secret];
        // The second mailer's print fields follow those of the first.
        let first_fields = first.map(|first| {
            secrets.insert(0, first.secret);
            first.fields
        });
        if document == b'B' && secrets.len() == 1 {
            secrets.insert(0, Zeroizing::default());
        }
        values.fields.extend(first_fields.iter().flat_map(|fields| split_fields(fields)));
        values.fields.extend(split_fields(fields));
        values.fields.truncate(PRINT_FIELDS);
        match mailer {
            Mailer::Pin => {
                for (to, pin) in values.words.iter_mut().zip(&secrets) {
                    *to = in_words(pin, &words);
                }
            }
            Mailer::Solicitation => values.parts[2] = secrets.last().cloned().unwrap_or_default(),
        }
        for (to, secret) in values.parts.iter_mut().zip(secrets) {
            *to = secret;
        }
        self.print(format, &values)
    }

    /// Prints a key or component in hexadecimal: as a whole, or split into its 8-byte parts; a single-length key into halves.
    fn print_clear_key(
        &mut self,
        format: &PrintFormat,
        key: &ClearKey,
        split: bool,
        fields: &[u8],
    ) -> Result<bool, ErrorCode> {
        let mut values =
            PrintValues { fields: split_fields(fields).take(PRINT_FIELDS).collect(), ..Default::default() };
        // Halves, or thirds of a triple-length key.
        let part = match (split, key.len()) {
            (false, len) => len,
            (true, 24) => 8,
            (true, len) => len / 2,
        };
        for (to, part) in values.parts.iter_mut().zip(key.bytes().chunks(part.max(1))) {
            *to = Zeroizing::new(hex::encode(part).into_bytes());
        }
        values.check = hex::encode(&self.shown_check_value(key)?[..3]).into_bytes();
        Ok(self.print(format, &values))
    }

    fn print(&mut self, format: &PrintFormat, values: &PrintValues<'_>) -> bool {
        let text = format.render(values);
        let mut printer = self.module.printer();
        printer.count += 1;
        let document = Document::new(printer.count, self.command, text);
        let Some(sink) = printer.sink.as_mut() else { return false };
        match sink.print(document) {
            Ok(()) => true,
            Err(error) => {
                log::error!("the printer failed: {error}");
                false
            }
        }
    }

    fn shown_check_value(&mut self, key: &ClearKey) -> Result<[u8; 8], ErrorCode> {
        let shown = if self.state.settings.restrict_kcv { 3 } else { 8 };
        let mut value = [0; 8];
        for (to, from) in value.iter_mut().zip(kcv::check_value(key).map_err(|_| ErrorCode::ALGORITHM)?).take(shown) {
            *to = from;
        }
        Ok(value)
    }

    /// The check value of PE and PG: not the device's, whose derivation is not public, but the same on every emulator with the LMK.
    fn pin_check_value(&mut self, account: AccountField<'_>, pin: &[u8]) -> Result<Vec<u8>, ErrorCode> {
        let len = usize::from(self.state.settings.pin_length) + 1 + ACCOUNT_DIGITS;
        let pin = pin.to_ascii_uppercase();
        self.keyed_digits(LmkPair::STORED_PIN, &[b"PIN mailer", account.digits, &pin], len)
    }

    /// The check value of OA and RC, as [`Session::pin_check_value`].
    fn reference_check_value(&mut self, account: AccountField<'_>) -> Result<[u8; 12], ErrorCode> {
        self.account_check(account)?;
        let digits =
            self.keyed_digits(LmkPair::DECIMALISATION, &[b"PIN solicitation", account.digits], ACCOUNT_DIGITS)?;
        digits.try_into().map_err(|_| ErrorCode::INTERNAL)
    }

    /// Decimal digits that follow from a secret of the LMK and some data: HMAC-SHA-256 in counter mode, decimalised.
    fn keyed_digits(&mut self, pair: LmkPair, data: &[&[u8]], len: usize) -> Result<Vec<u8>, ErrorCode> {
        let lmk = self.lmk()?.clone();
        let secret = lmk_secret(&lmk, pair).ok_or(ErrorCode::LMK_INVALID)?;
        let mut digits = Vec::with_capacity(len);
        for counter in 0u8.. {
            let message = [&[counter], data.join(&b';').as_slice()].concat();
            let block = HashAlgorithm::Sha256.hmac(secret.bytes(), &message).map_err(|_| ErrorCode::INTERNAL)?;
            // Bytes from 250 on would make some digits likelier than others.
            digits.extend(block.iter().filter(|byte| **byte < 250).map(|byte| b'0' + byte % 10));
            if digits.len() >= len {
                break;
            }
        }
        digits.truncate(len);
        Ok(digits)
    }
}

fn lmk_secret(lmk: &Lmk, pair: LmkPair) -> Option<&ClearKey> {
    lmk.pair(pair).or_else(|| lmk.key_block_key())
}

fn split_fields(fields: &[u8]) -> impl Iterator<Item = &[u8]> {
    fields.split(|c| *c == b';')
}

fn in_words(pin: &[u8], words: &[Vec<u8>; 10]) -> Zeroizing<Vec<u8>> {
    let words: Vec<&[u8]> =
        pin.iter().filter_map(|digit| words.get(usize::from(digit.wrapping_sub(b'0')))).map(Vec::as_slice).collect();
    Zeroizing::new(words.join(&b' '))
}
