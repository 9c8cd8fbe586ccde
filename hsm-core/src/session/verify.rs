//! Operations on PIN verification values and offsets.

use super::Session;
use super::keys::{KeyUse, OpenKey};
use super::pins::PVKS;
use super::storage::storage_index;
use crate::clear_key::Algorithm;
use crate::lmk::{Lmk, LmkAlgorithm};
use crate::lmk_table::{self, LmkTableError};
use crate::pin_verify::{self, DecimalisationTable, Offset, PinVerifyError, ValidationData};
use hsm_pinblock::Pin;
use hsm_plugin_sdk::abi::{
    AccountField, DieboldFields, DieboldTable, ErrorCode, IbmFields, KeyHandle, NaturalPinHandle, PinHandle,
    StorageOps, VerifyOps,
};
use std::sync::Arc;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A natural PIN of the IBM method, the PVK that it is from, and how many digits the command checks at least.
pub(super) struct NaturalPin {
    pvk: KeyHandle,
    digits: Zeroizing<[u8; 16]>,
    check_length: usize,
}

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

    fn tokens_in_verification(&mut self) -> Result<bool, ErrorCode> {
        Ok(self.state.settings.tokens_in_verification)
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

    fn pvv_verify(
        &mut self,
        pin: PinHandle,
        pvk: KeyHandle,
        account: AccountField<'_>,
        pvki: u8,
        pvv: [u8; 4],
    ) -> Result<bool, ErrorCode> {
        self.pin_verification_allowed()?;
        let pvk = self.pvk_for_use(pvk, KeyUse::Verify)?;
        let expected = self.compute_pvv(pin, &pvk, account, pvki)?;
        Ok(self.verdict(expected.ct_eq(&pvv).into()))
    }

    fn ibm_natural_pin(
        &mut self,
        pvk: KeyHandle,
        fields: IbmFields<'_>,
    ) -> Result<(NaturalPinHandle, bool), ErrorCode> {
        let handle = pvk;
        let pvk = self.pvk_of_method(pvk, IBM_PVK)?;
        if pvk.algorithm() != Algorithm::Des {
            return self.refuse(ErrorCode::KEY_LENGTH, "the PVK must be a DES key");
        }
        let account = self.account_12(fields.account)?;
        let table = self.decimalisation_table(fields.table)?;
        let check_length = match fields.check_length {
            [b'0', c @ b'4'..=b'9'] => usize::from(c - b'0'),
            [b'1', c @ b'0'..=b'2'] => 10 + usize::from(c - b'0'),
            _ => return self.refuse(ErrorCode::INPUT_DATA, "the check length must be 04 to 12"),
        };
        let cipher = pvk.cipher()?;
        let natural = ValidationData::parse(fields.validation_data, &account)
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

    fn diebold_check(&mut self, table: DieboldTable) -> Result<(), ErrorCode> {
        self.diebold_table(table.index).map(drop)
    }

    fn diebold_offset(&mut self, pin: PinHandle, fields: DieboldFields<'_>) -> Result<[u8; 4], ErrorCode> {
        let natural = self.diebold_natural_pin(fields)?;
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
        fields: DieboldFields<'_>,
        offset: [u8; 4],
    ) -> Result<bool, ErrorCode> {
        self.pin_verification_allowed()?;
        let expected = self.diebold_offset(pin, fields)?;
        Ok(self.verdict(expected.ct_eq(&offset).into()))
    }

    fn diebold_pin(&mut self, fields: DieboldFields<'_>, offset: [u8; 4]) -> Result<PinHandle, ErrorCode> {
        let mut digits = self.diebold_natural_pin(fields)?;
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

    fn decimalisation_table_translate(&mut self, field: &[u8]) -> Result<Vec<u8>, ErrorCode> {
        let old = self.old_lmk()?;
        self.translate_table(&old, field)
    }
}

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

    /// A decimalisation table field from user storage. That of an AES LMK may have been stored with its tag, in a slot of variable size.
    fn stored_table(&mut self, index: [u8; 3], aes: bool) -> Result<Vec<u8>, ErrorCode> {
        if !aes {
            return self.stored_digits(index, 16);
        }
        let whole = self.module.storage().slots.read(storage_index(index)?, 1).unwrap_or_default();
        match whole.first() {
            Some(b'L') if whole.len() == 33 => Ok(whole),
            _ => Ok([b"L", self.stored_digits(index, 32)?.as_slice()].concat()),
        }
    }

    /// A natural PIN whose PVK may be used in this way.
    fn natural_for_use(&mut self, handle: NaturalPinHandle, usage: KeyUse) -> Result<Arc<NaturalPin>, ErrorCode> {
        let natural = self.naturals.get(handle.index() as usize).ok_or(ErrorCode::INTERNAL)?.clone();
        self.key_for_use(natural.pvk, PVKS, usage)?;
        Ok(natural)
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
            let table = lmk_table::decrypt(self.lmk()?, field);
            self.or_refuse_table(table)?
        } else {
            let table = DecimalisationTable::from_digits(field);
            table
                .or_else(|_| self.refuse(ErrorCode::INPUT_DATA, "a plain decimalisation table is 16 decimal digits"))?
        };
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

    fn diebold_natural_pin(&mut self, fields: DieboldFields<'_>) -> Result<Zeroizing<[u8; 4]>, ErrorCode> {
        let account = self.account_12(fields.account)?;
        let DieboldTable { index, algorithm } = fields.table;
        let table = self.diebold_table(index)?;
        Ok(Zeroizing::new(diebold_test_digits(&table, algorithm, &account, &fields.validation_data)))
    }
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

    #[test]
    fn tables_from_another_lmk() {
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
