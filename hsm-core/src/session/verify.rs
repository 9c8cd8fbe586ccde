//! Operations on PIN verification values, offsets and PINs under the LMK.

use super::Session;
use super::keys::{KeyUse, OpenKey};
use super::pins::PVKS;
use crate::clear_key::Algorithm;
use crate::lmk::{Lmk, LmkAlgorithm};
use crate::lmk_pin::{self, LmkPinError, PinAlgorithm, PinForm};
use crate::lmk_table::{self, LmkTableError};
use crate::module::{ChangeEntry, ChangeRole};
use crate::pin_verify::{self, DecimalisationTable, Offset, PinVerifyError, ValidationData};
use hsm_pinblock::Pin;
use hsm_plugin_sdk::abi::{AccountField, ErrorCode, KeyHandle, NaturalPinHandle, PinHandle, VerifyOps};
use std::sync::Arc;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A natural PIN of the IBM method, the PVK that it is from, and how many digits the command checks at least.
pub(super) struct NaturalPin {
    pvk: KeyHandle,
    digits: Zeroizing<[u8; 16]>,
    check_length: usize,
}

/// How often a random PIN that may not be chosen is drawn again. A hundred excluded PINs of 10,000 never need as many.
const DRAWS: usize = 1000;

/// Key usages of PVKs: for any method, the IBM method, the Visa method (pins.md 1.3).
const ANY_PVK: [u8; 2] = *b"V0";
const IBM_PVK: [u8; 2] = *b"V1";
const VISA_PVK: [u8; 2] = *b"V2";

impl VerifyOps for Session {
    fn pin_verification_allowed(&mut self) -> Result<(), ErrorCode> {
        if self.state.settings.fraud_limits.is_some() && self.module.pins().is_locked() {
            return self.refuse(ErrorCode::FRAUD_DETECTED, "too many PIN verifications failed");
        }
        Ok(())
    }

    fn account_check(&mut self, account: AccountField<'_>) -> Result<(), ErrorCode> {
        self.account(account).map(drop)
    }

    fn tokens_in_verification(&mut self) -> Result<bool, ErrorCode> {
        Ok(self.state.settings.tokens_in_verification)
    }

    fn tokens_in_translation(&mut self) -> Result<bool, ErrorCode> {
        Ok(self.state.settings.tokens_in_translation)
    }

    fn pin_account_change(&mut self, from: AccountField<'_>, to: AccountField<'_>) -> Result<(), ErrorCode> {
        let (from, to) = (self.account_12(from)?, self.account_12(to)?);
        if self.state.settings.restrict_pin_blocks && from != to {
            return self.refuse(ErrorCode::PIN_BLOCK_FORMAT, "PCI PIN forbids a change of the account number");
        }
        Ok(())
    }

    fn stored_digits(&mut self, index: [u8; 3], len: u16) -> Result<Vec<u8>, ErrorCode> {
        self.stored(index, len.into())
    }

    fn pvk_pair_check(&mut self, pvk: KeyHandle) -> Result<(), ErrorCode> {
        let pvk = self.pvk_of_method(pvk, VISA_PVK)?;
        if pvk.algorithm() != Algorithm::Des || pvk.key().len() != 16 {
            return self.refuse(ErrorCode::KEY_LENGTH, "the PVK pair must be of double length");
        }
        Ok(())
    }

    fn pvv(
        &mut self,
        pin: PinHandle,
        pvk: KeyHandle,
        account: AccountField<'_>,
        pvki: u8,
    ) -> Result<[u8; 4], ErrorCode> {
        let pvk = self.pvk_for_use(pvk, KeyUse::Generate)?;
        self.compute_pvv(pin, &pvk, account, pvki)
    }

    fn ibm_natural_pin(
        &mut self,
        pvk: KeyHandle,
        account: AccountField<'_>,
        check_length: [u8; 2],
        table: &[u8],
        validation_data: &[u8],
    ) -> Result<(NaturalPinHandle, bool), ErrorCode> {
        let handle = pvk;
        let pvk = self.pvk_of_method(pvk, IBM_PVK)?;
        if pvk.algorithm() != Algorithm::Des {
            return self.refuse(ErrorCode::KEY_LENGTH, "the PVK must be a DES key");
        }
        let account = self.account_12(account)?;
        let table = self.decimalisation_table(table)?;
        let check_length = match check_length {
            [b'0', c @ b'4'..=b'9'] => usize::from(c - b'0'),
            [b'1', c @ b'0'..=b'2'] => 10 + usize::from(c - b'0'),
            _ => return self.refuse(ErrorCode::INPUT_DATA, "the check length must be 04 to 12"),
        };
        let cipher = pvk.cipher()?;
        let natural = ValidationData::parse(validation_data, &account)
            .and_then(|data| pin_verify::natural_pin(cipher, &table, &data));
        let digits = natural.or_else(|error| self.refuse(code(&error), error.to_string()))?;
        if self.naturals.len() >= super::MAX_HANDLES {
            return Err(ErrorCode::INTERNAL);
        }
        self.naturals.push(Arc::new(NaturalPin { pvk: handle, digits, check_length }));
        let handle = NaturalPinHandle::from_index(self.naturals.len() as u32 - 1);
        let warns = pvk.attributes().is_none() || self.state.settings.key_block_pvk_warning;
        Ok((handle, warns && pvk.key().len() > 8))
    }

    fn ibm_verify(&mut self, pin: PinHandle, natural: NaturalPinHandle, offset: [u8; 12]) -> Result<bool, ErrorCode> {
        self.pin_verification_allowed()?;
        let natural = self.natural_for_use(natural, KeyUse::Verify)?;
        let pin = self.pin(pin)?;
        let verified = Offset::parse(&offset)
            .and_then(|offset| pin_verify::verify_offset(&natural.digits, pin.digits(), &offset, natural.check_length));
        match verified {
            Ok(verified) => Ok(self.verdict(verified)),
            Err(error) => self.refuse(code(&error), error.to_string()),
        }
    }

    fn ibm_offset(&mut self, pin: PinHandle, natural: NaturalPinHandle) -> Result<[u8; 12], ErrorCode> {
        let natural = self.natural_for_use(natural, KeyUse::Generate)?;
        let pin = self.pin(pin)?;
        if pin.len() < natural.check_length {
            return self.refuse(ErrorCode::PIN_LENGTH, "the PIN is shorter than the check length");
        }
        match Offset::of_pin(&natural.digits, pin.digits()) {
            Ok(offset) => Ok(offset.to_field()),
            Err(error) => self.refuse(code(&error), error.to_string()),
        }
    }

    fn ibm_pin(&mut self, natural: NaturalPinHandle, offset: [u8; 12]) -> Result<PinHandle, ErrorCode> {
        let natural = self.natural_for_use(natural, KeyUse::Generate)?;
        let pin = Offset::parse(&offset).and_then(|offset| {
            let long_enough = offset.digits().len() >= natural.check_length;
            let pin = if long_enough { offset.to_pin(&natural.digits) } else { Err(PinVerifyError::Offset) }?;
            Pin::from_values(&pin).map_err(|_| PinVerifyError::Offset)
        });
        match pin {
            Ok(pin) => self.hold_pin(pin),
            Err(_) => self.refuse(ErrorCode::INPUT_DATA, "the offset is shorter than the check length"),
        }
    }

    fn diebold_check(&mut self, table: [u8; 3], _algorithm: [u8; 2]) -> Result<(), ErrorCode> {
        self.diebold_table(table).map(drop)
    }

    fn diebold_offset(
        &mut self,
        pin: PinHandle,
        table: [u8; 3],
        algorithm: [u8; 2],
        account: AccountField<'_>,
        validation_data: [u8; 16],
    ) -> Result<[u8; 4], ErrorCode> {
        let natural = self.diebold_natural_pin(table, algorithm, account, &validation_data)?;
        let pin = self.pin(pin)?;
        let mut offset = [b'0'; 4];
        for ((to, digit), natural) in offset.iter_mut().zip(pin.digits()).zip(*natural) {
            *to += (digit + 10 - natural) % 10;
        }
        Ok(offset)
    }

    fn diebold_verify(
        &mut self,
        pin: PinHandle,
        table: [u8; 3],
        algorithm: [u8; 2],
        account: AccountField<'_>,
        validation_data: [u8; 16],
        offset: [u8; 4],
    ) -> Result<bool, ErrorCode> {
        self.pin_verification_allowed()?;
        let expected = self.diebold_offset(pin, table, algorithm, account, validation_data)?;
        Ok(self.verdict(expected.ct_eq(&offset).into()))
    }

    fn diebold_pin(
        &mut self,
        table: [u8; 3],
        algorithm: [u8; 2],
        account: AccountField<'_>,
        validation_data: [u8; 16],
        offset: [u8; 4],
    ) -> Result<PinHandle, ErrorCode> {
        let mut digits = self.diebold_natural_pin(table, algorithm, account, &validation_data)?;
        for (digit, offset) in digits.iter_mut().zip(offset) {
            *digit = (*digit + offset.wrapping_sub(b'0') % 10) % 10;
        }
        match Pin::from_values(&*digits) {
            Ok(pin) => self.hold_pin(pin),
            Err(_) => Err(ErrorCode::INTERNAL),
        }
    }

    fn pin_matches(&mut self, pin: PinHandle, reference: PinHandle) -> Result<bool, ErrorCode> {
        self.pin_verification_allowed()?;
        let same = self.pin(pin)?.ct_eq(self.pin(reference)?);
        Ok(self.verdict(same.into()))
    }

    fn pin_may_be_chosen(&mut self, pin: PinHandle, excluded: Option<(u8, u8, &[u8])>) -> Result<(), ErrorCode> {
        let pin = self.pin(pin)?.clone();
        if let Some(table) = excluded {
            self.excluded_table(table, pin.len())?;
        }
        if self.is_weak(&pin, excluded) {
            return self.refuse(WEAK_PIN, "the PIN may not be chosen");
        }
        Ok(())
    }

    fn pin_random(&mut self, length: u8, excluded: Option<(u8, u8, &[u8])>) -> Result<PinHandle, ErrorCode> {
        let length = usize::from(length);
        let longest = match self.lmk()?.algorithm() {
            LmkAlgorithm::Aes256 => Pin::MAX_LEN,
            _ => self.pin_form().digits - 1,
        };
        if !(Pin::MIN_LEN..=longest).contains(&length) {
            return self.refuse(ErrorCode::PIN_LENGTH, format!("a PIN has 4 to {longest} digits here"));
        }
        if let Some(table) = excluded {
            self.excluded_table(table, length)?;
        }
        for _ in 0..DRAWS {
            let pin = self.draw_pin(length)?;
            if !self.is_weak(&pin, excluded) {
                return self.hold_pin(pin);
            }
        }
        self.refuse(WEAK_PIN, "too many PINs are excluded")
    }

    fn excluded_pins_load(&mut self, count: u8, length: u8, digits: &[u8]) -> Result<(), ErrorCode> {
        self.require_named("pin.excluded.host")?;
        self.excluded_table((count, length, digits), length.into())?;
        if !pin_verify::PIN_LENGTHS.contains(&length.into()) {
            return self.refuse(EXCLUDED_PIN_LENGTH, "a PIN has 4 to 12 digits");
        }
        self.module.pins().load_excluded(length, digits);
        Ok(())
    }

    fn lmk_pin_digits(&mut self) -> Result<u8, ErrorCode> {
        Ok(self.pin_form().digits as u8)
    }

    fn lmk_pin_encrypt(&mut self, pin: PinHandle, account: AccountField<'_>) -> Result<Vec<u8>, ErrorCode> {
        let account = self.account_12(account)?;
        let field = lmk_pin::encrypt(self.lmk()?, self.pin_form(), &account, self.pin(pin)?);
        self.or_refuse_pin(field)
    }

    fn lmk_pin_decrypt(&mut self, field: &[u8], account: AccountField<'_>) -> Result<PinHandle, ErrorCode> {
        let lmk = self.lmk()?.clone();
        if lmk.algorithm() != LmkAlgorithm::Aes256 && !field.starts_with(b"J") && field.len() != self.pin_form().digits
        {
            return self
                .refuse(ErrorCode::LMK_PIN_INVALID, "a PIN under the LMK has one digit more than the PIN length");
        }
        self.open_lmk_pin(&lmk, field, account)
    }

    fn old_lmk_pin_decrypt(&mut self, field: &[u8], account: AccountField<'_>) -> Result<PinHandle, ErrorCode> {
        let lmk = self.old_lmk()?;
        self.open_lmk_pin(&lmk, field, account)
    }

    fn lmk_pin_to_algorithm_b(&mut self, field: &[u8], account: AccountField<'_>) -> Result<Vec<u8>, ErrorCode> {
        if self.state.settings.pin_algorithm != PinAlgorithm::B {
            return self.refuse(ErrorCode::NOT_AUTHORISED, "the PIN encryption algorithm is not B (Racal)");
        }
        self.require_named("pin.algorithm.host")?;
        let account = self.account_12(account)?;
        let lmk = self.lmk()?.clone();
        let form = self.pin_form();
        let translated = lmk_pin::decrypt(&lmk, PinForm { algorithm: PinAlgorithm::A, ..form }, &account, field)
            .and_then(|pin| lmk_pin::encrypt(&lmk, form, &account, &pin));
        self.or_refuse_pin(translated)
    }

    fn lmk_pin_account_change_allowed(&mut self) -> Result<(), ErrorCode> {
        if !self.state.settings.lmk_pin_account_change {
            return self.refuse(ErrorCode::NOT_AUTHORISED, "translation of the account number is disabled");
        }
        Ok(())
    }

    fn clear_pins_allowed(&mut self) -> Result<(), ErrorCode> {
        if !self.state.settings.clear_pins {
            return self.refuse(ErrorCode::NOT_AUTHORISED, "clear PINs are disabled");
        }
        self.require_named("pin.clear.host")
    }

    fn pin_from_clear(&mut self, field: &[u8]) -> Result<PinHandle, ErrorCode> {
        self.clear_pins_allowed()?;
        let digits = field.iter().rposition(|c| !c.eq_ignore_ascii_case(&b'F')).map_or(&[][..], |last| &field[..=last]);
        match Pin::from_digits(digits) {
            Ok(pin) => self.hold_pin(pin),
            Err(error) => self.refuse(ErrorCode::new(error.class().host_error()), error.to_string()),
        }
    }

    fn pin_to_clear(&mut self, pin: PinHandle) -> Result<Vec<u8>, ErrorCode> {
        self.clear_pins_allowed()?;
        let pin = self.pin(pin)?;
        let mut field = vec![b'F'; self.pin_form().digits.max(pin.len())];
        for (to, digit) in field.iter_mut().zip(pin.digits()) {
            *to = b'0' + digit;
        }
        Ok(field)
    }

    fn reference_number(&mut self, account: AccountField<'_>) -> Result<[u8; 12], ErrorCode> {
        let account = self.account_12(account)?;
        let number = lmk_pin::reference_number(self.lmk()?, &account);
        self.or_refuse_pin(number)
    }

    fn decimalisation_table_translate(&mut self, field: &[u8]) -> Result<Vec<u8>, ErrorCode> {
        let old = self.old_lmk()?;
        self.translate_table(&old, field)
    }
}

const EXCLUDED_COUNT: ErrorCode = ErrorCode::COMPONENT_COUNT;
const EXCLUDED_PIN_LENGTH: ErrorCode = ErrorCode::CERTIFICATE_HEADER;
const WEAK_PIN: ErrorCode = ErrorCode::OAEP_HASH;

impl Session {
    /// Takes note of a verification: a failure counts for fraud detection.
    pub(super) fn verdict(&mut self, verified: bool) -> bool {
        if !verified && let Some(limits) = self.state.settings.fraud_limits {
            self.module.pins().count_failure(limits, self.module.now());
        }
        verified
    }

    /// The Visa PVV as ASCII digits. For generation and verification, which need another mode of use of the PVK.
    pub(super) fn compute_pvv(
        &mut self,
        pin: PinHandle,
        pvk: &OpenKey,
        account: AccountField<'_>,
        pvki: u8,
    ) -> Result<[u8; 4], ErrorCode> {
        let account = self.account_12(account)?;
        let pvv = pin_verify::pvv(pvk.cipher()?, &account, pvki.wrapping_sub(b'0'), self.pin(pin)?.digits());
        pvv.map(|pvv| pvv.map(|digit| b'0' + digit)).or_else(|error| self.refuse(code(&error), error.to_string()))
    }

    /// A PVK pair that may be used in this way.
    pub(super) fn pvk_for_use(&mut self, pvk: KeyHandle, usage: KeyUse) -> Result<Arc<OpenKey>, ErrorCode> {
        self.pvk_pair_check(pvk)?;
        self.key_for_use(pvk, PVKS, usage)
    }

    /// A PVK whose key block, if it has one, does not say that it is for the other method: A6.
    fn pvk_of_method(&mut self, pvk: KeyHandle, method: [u8; 2]) -> Result<Arc<OpenKey>, ErrorCode> {
        let pvk = self.key_for(pvk, PVKS)?;
        match pvk.attributes().map(|attributes| attributes.usage) {
            Some(usage) if usage.id() != ANY_PVK && usage.id() != method => {
                self.refuse(ErrorCode::KEY_USAGE, format!("a PVK of usage {usage} is for another method"))
            }
            _ => Ok(pvk),
        }
    }

    /// Hexadecimal digits from user storage: `len` of them from an index of 3 hexadecimal digits on.
    /// A decimalisation table field from user storage. That of an AES LMK may have been stored with its tag, in a slot of variable size.
    fn stored_table(&mut self, index: [u8; 3], aes: bool) -> Result<Vec<u8>, ErrorCode> {
        if !aes {
            return self.stored(index, 16);
        }
        let whole = self.module.storage().slots.read(storage_index(index)?, 1).unwrap_or_default();
        match whole.first() {
            Some(b'L') if whole.len() == 33 => Ok(whole),
            _ => Ok([b"L", self.stored(index, 32)?.as_slice()].concat()),
        }
    }

    fn stored(&mut self, index: [u8; 3], len: usize) -> Result<Vec<u8>, ErrorCode> {
        self.stored_item(storage_index(index)?, len)
    }

    /// The LMK in key change storage.
    fn old_lmk(&mut self) -> Result<Arc<Lmk>, ErrorCode> {
        match self.state.lmks.change_storage.get(&self.lmk_id) {
            Some(ChangeEntry { lmk, role: ChangeRole::Old }) => Ok(lmk.clone()),
            _ => self.refuse(ErrorCode::KEY_CHANGE_STORAGE, "no old LMK is in key change storage"),
        }
    }

    /// A natural PIN whose PVK may be used in this way.
    fn natural_for_use(&mut self, handle: NaturalPinHandle, usage: KeyUse) -> Result<Arc<NaturalPin>, ErrorCode> {
        let natural = self.naturals.get(handle.index() as usize).ok_or(ErrorCode::INTERNAL)?.clone();
        self.key_for_use(natural.pvk, PVKS, usage)?;
        Ok(natural)
    }

    fn pin_form(&self) -> PinForm {
        let settings = &self.state.settings;
        PinForm {
            mode: settings.lmk_pin_mode,
            algorithm: settings.pin_algorithm,
            digits: usize::from(settings.pin_length).clamp(Pin::MIN_LEN, Pin::MAX_LEN) + 1,
        }
    }

    fn open_lmk_pin(&mut self, lmk: &Lmk, field: &[u8], account: AccountField<'_>) -> Result<PinHandle, ErrorCode> {
        let account = self.account_12(account)?;
        let pin = lmk_pin::decrypt(lmk, self.pin_form(), &account, field);
        let pin = self.or_refuse_pin(pin)?;
        self.hold_pin(pin)
    }

    fn or_refuse_pin<T>(&mut self, result: Result<T, LmkPinError>) -> Result<T, ErrorCode> {
        result.or_else(|error| self.refuse(ErrorCode::new(error.code()), format!("PIN under the LMK: {error}")))
    }

    fn or_refuse_table<T>(&mut self, result: Result<T, LmkTableError>) -> Result<T, ErrorCode> {
        result.or_else(|error| self.refuse(ErrorCode::new(error.code()), format!("decimalisation table: {error}")))
    }

    /// The table of a field (pins.md 1.5): in user storage, encrypted or plain. Which of the latter two is for the setting to say.
    fn decimalisation_table(&mut self, field: &[u8]) -> Result<DecimalisationTable, ErrorCode> {
        let (stored, mut field) = (Vec::new(), field);
        let mut stored = Zeroizing::new(stored);
        if let [b'K', index @ ..] = field {
            let index = index.try_into().map_err(|_| ErrorCode::INPUT_DATA)?;
            let aes =
                self.state.settings.encrypted_decimalisation_tables && self.lmk()?.algorithm() == LmkAlgorithm::Aes256;
            *stored = self.stored_table(index, aes)?;
            field = &stored;
        }
        let table = if self.state.settings.encrypted_decimalisation_tables {
            lmk_table::decrypt(self.lmk()?, field)
        } else {
            DecimalisationTable::from_digits(field).map_err(LmkTableError::from)
        };
        let table = self.or_refuse_table(table)?;
        self.check_table(&table)?;
        Ok(table)
    }

    /// A decimalisation table from another LMK to the selected one.
    fn translate_table(&mut self, from: &Lmk, field: &[u8]) -> Result<Vec<u8>, ErrorCode> {
        let table = lmk_table::decrypt(from, field);
        let table = self.or_refuse_table(table)?;
        self.check_table(&table)?;
        let translated = lmk_table::encrypt(self.lmk()?, &table);
        self.or_refuse_table(translated)
    }

    fn check_table(&mut self, table: &DecimalisationTable) -> Result<(), ErrorCode> {
        if self.state.settings.decimalisation_table_checks {
            table.check().or_else(|error| self.refuse(ErrorCode::DECIMALISATION_TABLE, error.to_string()))?;
        }
        Ok(())
    }

    /// The Diebold table at an index, if the emulator is to compute with one at all.
    fn diebold_table(&mut self, index: [u8; 3]) -> Result<Zeroizing<Vec<u8>>, ErrorCode> {
        let table = Zeroizing::new(self.stored_diebold_table(storage_index(index)?)?);
        if !self.state.settings.diebold_test_algorithm {
            return self.refuse(ErrorCode::DIEBOLD_TABLE, "the Diebold algorithm is not public");
        }
        Ok(table)
    }

    fn diebold_natural_pin(
        &mut self,
        table: [u8; 3],
        algorithm: [u8; 2],
        account: AccountField<'_>,
        validation_data: &[u8; 16],
    ) -> Result<Zeroizing<[u8; 4]>, ErrorCode> {
        let account = self.account_12(account)?;
        let table = self.diebold_table(table)?;
        Ok(Zeroizing::new(diebold_test_digits(&table, algorithm, &account, validation_data)))
    }

    /// Checks a table of excluded PINs against itself (03) and against the length of a PIN (81).
    fn excluded_table(&mut self, (count, length, digits): (u8, u8, &[u8]), pin: usize) -> Result<(), ErrorCode> {
        if usize::from(count) * usize::from(length) != digits.len() || !digits.iter().all(u8::is_ascii_digit) {
            return self.refuse(EXCLUDED_COUNT, "there are not as many excluded PINs as the count says");
        }
        if usize::from(length) != pin {
            return self.refuse(EXCLUDED_PIN_LENGTH, "the excluded PINs have another length than the PIN");
        }
        Ok(())
    }

    fn is_weak(&self, pin: &Pin, excluded: Option<(u8, u8, &[u8])>) -> bool {
        let checks = self.state.settings.weak_pin_checks;
        let mut ascii = Zeroizing::new([0; Pin::MAX_LEN]);
        let ascii = pin.write_ascii(&mut ascii);
        let same = |other: &[u8]| bool::from(other.ct_eq(ascii));
        let local = excluded.is_some_and(|(_, length, digits)| digits.chunks(usize::from(length).max(1)).any(same));
        (checks.local && local)
            || (checks.global && self.module.pins().excludes(pin.len() as u8, same))
            || (checks.rules && is_regular(pin.digits()))
    }

    fn draw_pin(&mut self, length: usize) -> Result<Pin, ErrorCode> {
        let mut digits = Zeroizing::new([0u8; Pin::MAX_LEN]);
        for digit in digits.iter_mut().take(length) {
            // 250 is a multiple of ten: what is below it gives every digit equally often.
            *digit = loop {
                let mut byte = [0];
                self.random.fill_bytes(&mut byte);
                if byte[0] < 250 {
                    break byte[0] % 10;
                }
            };
        }
        Pin::from_values(digits.get(..length).unwrap_or_default()).map_err(|_| ErrorCode::PIN_LENGTH)
    }
}

/// The number of an index of user storage in its three digits.
fn storage_index(digits: [u8; 3]) -> Result<u16, ErrorCode> {
    let digits = core::str::from_utf8(&digits).map_err(|_| ErrorCode::INPUT_DATA)?;
    u16::from_str_radix(digits, 16).map_err(|_| ErrorCode::INPUT_DATA)
}

/// One digit repeated, or digits that count up or down.
fn is_regular(digits: &[u8]) -> bool {
    [0, 1, 9].into_iter().any(|step| {
        digits.windows(2).all(|pair| match pair {
            [a, b] => (a + step) % 10 == *b,
            _ => false,
        })
    })
}

/// The emulator's stand-in for the Diebold algorithm, which is not public: algorithm number, validation data and account drive a walk
/// through the table, which ends with four digits.
fn diebold_test_digits(table: &[u8], algorithm: [u8; 2], account: &[u8; 12], validation_data: &[u8; 16]) -> [u8; 4] {
    let step = |at: u8, input: &u8| table.get(usize::from(at ^ input)).copied().unwrap_or_default();
    let mut at = algorithm.iter().chain(validation_data).chain(account).fold(0, step);
    core::array::from_fn(|i| {
        at = step(at, &(i as u8));
        at % 10
    })
}

fn code(error: &PinVerifyError) -> ErrorCode {
    match error {
        PinVerifyError::Cipher(_) => ErrorCode::KEY_LENGTH,
        PinVerifyError::Table | PinVerifyError::WeakTable => ErrorCode::DECIMALISATION_TABLE,
        PinVerifyError::Account => ErrorCode::ACCOUNT_NUMBER,
        PinVerifyError::PinLength(_) => ErrorCode::PIN_LENGTH,
        PinVerifyError::ValidationData | PinVerifyError::Offset | PinVerifyError::NotADigit => ErrorCode::INPUT_DATA,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LmkSlots, SecurityModule, Settings};
    use hsm_plugin_sdk::abi::AccountForm;

    #[test]
    fn tables_and_pins_from_another_lmk() {
        let slots = LmkSlots { slots: [(0, Arc::new(Lmk::test_variant()))].into(), ..LmkSlots::default() };
        let mut session = Session::new(SecurityModule::new(slots, Settings::default()));
        let (aes, tdes) = (Lmk::test_keyblock_aes(), Lmk::test_keyblock_tdes());
        let translated = session.translate_table(&aes, b"L7E852B114933025E9389968E16B8CAAB");
        assert_eq!(translated.unwrap(), b"FD64FC3FAD504BB3");
        assert_eq!(session.translate_table(&tdes, b"709F26B22464E96A").unwrap(), b"FD64FC3FAD504BB3");
        assert_eq!(session.translate_table(&tdes, b"FD64FC3FAD504BB3"), Err(ErrorCode::DECIMALISATION_TABLE));
        let weak = DecimalisationTable::from_digits(b"0000000000000000").unwrap();
        let weak = lmk_table::encrypt(&tdes, &weak).unwrap();
        assert_eq!(session.translate_table(&tdes, &weak), Err(ErrorCode::DECIMALISATION_TABLE));

        let account = AccountField { form: AccountForm::Twelve, digits: b"550000025321" };
        let pin = Pin::from_digits(b"1234").unwrap();
        let stored = lmk_pin::encrypt(&aes, session.pin_form(), b"550000025321", &pin).unwrap();
        let handle = session.open_lmk_pin(&aes, &stored, account).unwrap();
        assert_eq!(session.lmk_pin_encrypt(handle, account).unwrap(), b"01234");
        // Another PIN length than the device has now.
        let handle = session.open_lmk_pin(&tdes, b"01234FFFF", account).unwrap();
        assert_eq!(session.lmk_pin_encrypt(handle, account).unwrap(), b"01234");
        let handle = session.open_lmk_pin(&tdes, b"0123456", account).unwrap();
        assert_eq!(session.lmk_pin_encrypt(handle, account), Err(ErrorCode::INPUT_DATA));
    }

    #[test]
    fn regular_pins_repeat_or_count() {
        for pin in [&[1, 1, 1, 1][..], &[1, 2, 3, 4], &[8, 9, 0, 1], &[4, 3, 2, 1], &[0, 9, 8, 7, 6]] {
            assert!(is_regular(pin), "{pin:?}");
        }
        for pin in [&[1, 2, 3, 5][..], &[1, 1, 2, 2], &[1, 2, 1, 2], &[1, 3, 5, 7]] {
            assert!(!is_regular(pin), "{pin:?}");
        }
    }

    #[test]
    fn the_stand_in_for_diebold_depends_on_all_it_is_given() {
        let table: Vec<u8> = (0..=255u8).map(|n| n.wrapping_mul(167).wrapping_add(13)).collect();
        let digits = |table: &[u8], algorithm: &[u8; 2], account: &[u8; 12], data: &[u8; 16]| {
            diebold_test_digits(table, *algorithm, account, data)
        };
        let base = digits(&table, b"25", b"550000025321", b"FFFFFF1234567890");
        assert!(base.iter().all(|d| *d < 10));
        assert_eq!(base, digits(&table, b"25", b"550000025321", b"FFFFFF1234567890"));
        assert_ne!(base, digits(&table, b"26", b"550000025321", b"FFFFFF1234567890"));
        assert_ne!(base, digits(&table, b"25", b"550000025322", b"FFFFFF1234567890"));
        assert_ne!(base, digits(&table, b"25", b"550000025321", b"FFFFFF1234567891"));
        assert_ne!(base, digits(&[7; 256], b"25", b"550000025321", b"FFFFFF1234567890"));
    }
}
