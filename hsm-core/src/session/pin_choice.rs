//! Operations on PINs that are being chosen.

use super::Session;
use crate::lmk::LmkAlgorithm;
use crate::pin_verify;
use hsm_pinblock::Pin;
use hsm_plugin_sdk::abi::{ErrorCode, ExcludedPins, PinChoiceOps, PinHandle};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// How often a random PIN that may not be chosen is drawn again. A hundred excluded PINs of 10,000 never need as many.
const DRAWS: usize = 1000;

const EXCLUDED_COUNT: ErrorCode = ErrorCode::COMPONENT_COUNT;
const EXCLUDED_PIN_LENGTH: ErrorCode = ErrorCode::CERTIFICATE_HEADER;
const WEAK_PIN: ErrorCode = ErrorCode::OAEP_HASH;

impl PinChoiceOps for Session {
    fn pin_may_be_chosen(&mut self, pin: PinHandle, excluded: Option<ExcludedPins<'_>>) -> Result<(), ErrorCode> {
        let pin = self.pin(pin)?.clone();
        if let Some(table) = excluded {
            self.excluded_table(table, pin.len())?;
        }
        if self.is_weak(&pin, excluded) {
            return self.refuse(WEAK_PIN, "the PIN may not be chosen");
        }
        Ok(())
    }

    fn pin_random(&mut self, length: u8, excluded: Option<ExcludedPins<'_>>) -> Result<PinHandle, ErrorCode> {
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

    fn excluded_pins_load(&mut self, excluded: ExcludedPins<'_>) -> Result<(), ErrorCode> {
        self.require_named("pin.excluded.host")?;
        let ExcludedPins { length, digits, .. } = excluded;
        self.excluded_table(excluded, length.into())?;
        if !pin_verify::PIN_LENGTHS.contains(&length.into()) {
            return self.refuse(EXCLUDED_PIN_LENGTH, "a PIN has 4 to 12 digits");
        }
        self.module.pins().load_excluded(length, digits);
        Ok(())
    }
}

impl Session {
    /// Checks a table of excluded PINs against itself (03) and against the length of a PIN (81).
    fn excluded_table(&mut self, table: ExcludedPins<'_>, pin: usize) -> Result<(), ErrorCode> {
        let ExcludedPins { count, length, digits } = table;
        if usize::from(count) * usize::from(length) != digits.len() || !digits.iter().all(u8::is_ascii_digit) {
            return self.refuse(EXCLUDED_COUNT, "there are not as many excluded PINs as the count says");
        }
        if usize::from(length) != pin {
            return self.refuse(EXCLUDED_PIN_LENGTH, "the excluded PINs have another length than the PIN");
        }
        Ok(())
    }

    fn is_weak(&self, pin: &Pin, excluded: Option<ExcludedPins<'_>>) -> bool {
        let checks = self.state.settings.weak_pin_checks;
        let mut ascii = Zeroizing::new([0; Pin::MAX_LEN]);
        let ascii = pin.write_ascii(&mut ascii);
        let same = |other: &[u8]| bool::from(other.ct_eq(ascii));
        let local = excluded.is_some_and(|table| table.digits.chunks(usize::from(table.length).max(1)).any(same));
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

/// One digit repeated, or digits that count up or down.
fn is_regular(digits: &[u8]) -> bool {
    [0, 1, 9].into_iter().any(|step| {
        digits.windows(2).all(|pair| match pair {
            [a, b] => (a + step) % 10 == *b,
            _ => false,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_pins_repeat_or_count() {
        for pin in [&[1, 1, 1, 1][..], &[1, 2, 3, 4], &[8, 9, 0, 1], &[4, 3, 2, 1], &[0, 9, 8, 7, 6]] {
            assert!(is_regular(pin), "{pin:?}");
        }
        for pin in [&[1, 2, 3, 5][..], &[1, 1, 2, 2], &[1, 2, 1, 2], &[1, 3, 5, 7]] {
            assert!(!is_regular(pin), "{pin:?}");
        }
    }
}
