//! Operations on PINs under the LMK and in clear.

use super::Session;
use crate::lmk::{Lmk, LmkAlgorithm};
use crate::lmk_pin::{self, LmkPinError, PinAlgorithm, PinForm};
use hsm_pinblock::Pin;
use hsm_plugin_sdk::abi::{AccountField, ErrorCode, LmkPinOps, PinHandle};

impl LmkPinOps for Session {
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
}

impl Session {
    pub(super) fn pin_form(&self) -> PinForm {
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

    pub(super) fn or_refuse_pin<T>(&mut self, result: Result<T, LmkPinError>) -> Result<T, ErrorCode> {
        result.or_else(|error| self.refuse(ErrorCode::new(error.code()), format!("PIN under the LMK: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LmkSlots, SecurityModule, Settings};
    use hsm_plugin_sdk::abi::AccountForm;
    use std::sync::Arc;

    #[test]
    fn pins_from_another_lmk() {
        let slots = LmkSlots { slots: [(0, Arc::new(Lmk::test_variant()))].into(), ..LmkSlots::default() };
        let mut session = Session::new(SecurityModule::new(slots, Settings::default()));
        let (aes, tdes) = (Lmk::test_keyblock_aes(), Lmk::test_keyblock_tdes());
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
}
