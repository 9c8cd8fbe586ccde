//! What keys may be used for: purpose, algorithm, mode of use, status and validity (keys.md 4.2, 4.3).

use super::{OpenKey, Session};
use crate::clear_key::Algorithm;
use crate::key_block::header::ModeOfUse;
use crate::key_block::optional::{OptionalBlocks, ValidityHour};
use hsm_plugin_sdk::abi::{ErrorCode, KeyHandle, KeyPurpose};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What an operation does with a key, as the mode of use in its key block restricts it. Keys of variant LMKs have no mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::session) enum KeyUse {
    /// Enciphers data, PINs or keys.
    Encrypt,
    /// Deciphers them.
    Decrypt,
    /// Makes a MAC, a cryptogram or a verification value.
    Generate,
    /// Verifies one.
    Verify,
    /// Derives other keys.
    Derive,
}

impl KeyUse {
    fn permitted_by(self, mode: ModeOfUse) -> bool {
        match mode {
            ModeOfUse::Any => true,
            // Session keys for cryptograms (usage 47) have mode B for both ways.
            ModeOfUse::EncryptDecrypt => self != Self::Derive,
            ModeOfUse::Encrypt => self == Self::Encrypt,
            ModeOfUse::Decrypt | ModeOfUse::SignDecrypt => self == Self::Decrypt,
            ModeOfUse::GenerateVerify => matches!(self, Self::Generate | Self::Verify),
            ModeOfUse::Generate | ModeOfUse::Sign => self == Self::Generate,
            ModeOfUse::Verify => self == Self::Verify,
            ModeOfUse::Derive | ModeOfUse::DeriveVariants => self == Self::Derive,
        }
    }
}

impl Session {
    /// A key that an operation may use as one of `purposes`, whatever its mode of use.
    pub(in crate::session) fn key_for(
        &mut self,
        handle: KeyHandle,
        purposes: &[KeyPurpose],
    ) -> Result<Arc<OpenKey>, ErrorCode> {
        let key = self.key(handle)?.clone();
        if purposes.iter().any(|purpose| key.serves(*purpose)) {
            return Ok(key);
        }
        let why = format!("a key opened as {:?} was used as {purposes:?}", key.purpose);
        self.refuse(ErrorCode::KEY_FUNCTION, why)
    }

    /// A key that an operation may use as one of `purposes` in this way: A8 for the mode of use, AD for the key status, AE and AF
    /// for validity.
    pub(in crate::session) fn key_for_use(
        &mut self,
        handle: KeyHandle,
        purposes: &[KeyPurpose],
        usage: KeyUse,
    ) -> Result<Arc<OpenKey>, ErrorCode> {
        let key = self.key_for(handle, purposes)?;
        if let Some(attributes) = key.attributes {
            if !usage.permitted_by(attributes.mode) {
                let why = format!("mode of use {} does not permit to {usage:?}", char::from(attributes.mode.id()));
                return self.refuse(ErrorCode::MODE_OF_USE, why);
            }
            self.in_force(&key.optional)?;
        }
        Ok(key)
    }

    /// Whether a key may go under an LMK or a wrapping key at all: 29 for components and for keys derived for one use.
    pub(in crate::session) fn may_leave(&mut self, key: &OpenKey) -> Result<(), ErrorCode> {
        if key.component {
            return self.refuse(ErrorCode::KEY_FUNCTION, "a component is not a key");
        }
        if key.transient {
            return self.refuse(ErrorCode::KEY_FUNCTION, "a key that was derived for one use goes nowhere");
        }
        Ok(())
    }

    /// As [`Session::key_for_use`], for operations that only DES and TDES keys can do: A7 for others.
    pub(in crate::session) fn des_key_for_use(
        &mut self,
        handle: KeyHandle,
        purposes: &[KeyPurpose],
        usage: KeyUse,
    ) -> Result<Arc<OpenKey>, ErrorCode> {
        let key = self.key_for_use(handle, purposes, usage)?;
        if key.algorithm() != Algorithm::Des {
            return self.refuse(ErrorCode::ALGORITHM, format!("a DES key is needed, not {}", key.algorithm()));
        }
        Ok(key)
    }

    /// Whether a key block's status and dates let its key be used.
    pub(in crate::session) fn in_force(&mut self, optional: &OptionalBlocks) -> Result<(), ErrorCode> {
        if let Some(status @ (b"E" | b"P" | b"R")) = optional.get(*b"00") {
            let why = format!("the key's status is {}: expired, pending or revoked", status.escape_ascii());
            return self.refuse(ErrorCode::KEY_STATUS, why);
        }
        if !self.state.settings.check_key_validity {
            return Ok(());
        }
        let now = hour(self.module.now());
        match optional.validity() {
            (Some(start), _) if now < start => self.refuse(ErrorCode::START_DATE, "the key is not valid yet"),
            (_, Some(end)) if now > end => self.refuse(ErrorCode::END_DATE, "the key is no longer valid"),
            _ => Ok(()),
        }
    }
}

/// The hour of a time, UTC. Times before 1970 are 1970.
fn hour(time: SystemTime) -> ValidityHour {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (mut days, hour) = (seconds / 86400, (seconds % 86400 / 3600) as u8);
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while year < 9999 && days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for len in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < len {
            break;
        }
        days -= len;
        month += 1;
    }
    ValidityHour { year: year as u16, month, day: days.min(30) as u8 + 1, hour }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn hours_are_those_of_the_calendar() {
        let at = |seconds| {
            let ValidityHour { year, month, day, hour } = hour(UNIX_EPOCH + Duration::from_secs(seconds));
            (year, month, day, hour)
        };
        assert_eq!(at(0), (1970, 1, 1, 0));
        assert_eq!(at(951_782_400), (2000, 2, 29, 0));
        assert_eq!(at(951_868_799), (2000, 2, 29, 23));
        assert_eq!(at(1_735_689_599), (2024, 12, 31, 23));
        assert_eq!(at(1_735_689_600), (2025, 1, 1, 0));
    }

    #[test]
    fn modes_permit_what_the_manual_says() {
        let uses = [KeyUse::Encrypt, KeyUse::Decrypt, KeyUse::Generate, KeyUse::Verify, KeyUse::Derive];
        let permitted = |mode| uses.map(|usage| usage.permitted_by(mode));
        assert_eq!(permitted(ModeOfUse::Any), [true; 5]);
        assert_eq!(permitted(ModeOfUse::EncryptDecrypt), [true, true, true, true, false]);
        assert_eq!(permitted(ModeOfUse::Encrypt), [true, false, false, false, false]);
        assert_eq!(permitted(ModeOfUse::Decrypt), [false, true, false, false, false]);
        assert_eq!(permitted(ModeOfUse::GenerateVerify), [false, false, true, true, false]);
        assert_eq!(permitted(ModeOfUse::Generate), [false, false, true, false, false]);
        assert_eq!(permitted(ModeOfUse::Verify), [false, false, false, true, false]);
        assert_eq!(permitted(ModeOfUse::Derive), [false, false, false, false, true]);
    }
}
