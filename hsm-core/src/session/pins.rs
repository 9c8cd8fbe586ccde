//! Operations on PINs.

use super::Session;
use super::dukpt::SINGLE_DES_KEY;
use super::keys::{KeyUse, OpenKey};
use crate::clear_key::Algorithm;
use crate::pin_translation::PinTranslation;
use hsm_pinblock::{
    Account, Account12, AccountUse, ClearBlock, Context, ErrorClass, Format, Pan, PlusField, decipher_iso4, decode,
    encipher_iso4, encode,
};
use hsm_plugin_sdk::abi::{AccountField, AccountForm, ErrorCode, KeyHandle, KeyPurpose, KsnField, PinHandle, PinOps};
use std::sync::Arc;
use zeroize::Zeroizing;

/// What a PIN block may be under: a PIN key, or the PIN key that a BDK gave for a transaction.
const PIN_KEYS: &[KeyPurpose] = &[KeyPurpose::TPK, KeyPurpose::ZPK, KeyPurpose::PIN_KEY];
/// Those, and the PIN key of single-DES DUKPT, which has operations of its own.
const PIN_BLOCK_KEYS: &[KeyPurpose] = &[KeyPurpose::TPK, KeyPurpose::ZPK, KeyPurpose::PIN_KEY, SINGLE_DES_KEY];
pub(super) const BDKS: &[KeyPurpose] =
    &[KeyPurpose::BDK_1, KeyPurpose::BDK_2, KeyPurpose::BDK_3, KeyPurpose::BDK_4, KeyPurpose::BDK];
pub(super) const PVKS: &[KeyPurpose] = &[KeyPurpose::PVK];

impl PinOps for Session {
    fn pin_format(&mut self, key: KeyHandle, code: [u8; 2]) -> Result<(), ErrorCode> {
        let format = self.format(code)?;
        self.suits(key, format)
    }

    fn pin_output_format(&mut self, key: KeyHandle, code: [u8; 2]) -> Result<(), ErrorCode> {
        let format = self.output_format(code)?;
        self.suits(key, format)
    }

    fn pin_translation(
        &mut self,
        key: KeyHandle,
        from: [u8; 2],
        destination: KeyHandle,
        to: [u8; 2],
    ) -> Result<(), ErrorCode> {
        let (from, to) = (self.format(from)?, self.output_format(to)?);
        self.suits(key, from)?;
        self.suits(destination, to)?;
        self.allowed_translation(from, to).map(drop)
    }

    fn tokens_in_translation(&mut self) -> Result<bool, ErrorCode> {
        Ok(self.state.settings.tokens_in_translation)
    }

    fn pin_account_change(
        &mut self,
        from: [u8; 2],
        account: AccountField<'_>,
        to: [u8; 2],
        destination_account: AccountField<'_>,
    ) -> Result<(), ErrorCode> {
        let (from, to) = (self.format(from)?, self.output_format(to)?);
        let whole = account.form == AccountForm::Pan && destination_account.form == AccountForm::Pan;
        let same = match whole {
            true => account.digits == destination_account.digits,
            false => self.account_12(account)? == self.account_12(destination_account)?,
        };
        match self.allowed_translation(from, to)? {
            Some(PinTranslation { pan_may_change: false, .. }) if !same => {
                let why = format!("a translation from {} to {} must keep the account", from.name(), to.name());
                self.refuse(ErrorCode::PIN_BLOCK_FORMAT, why)
            }
            _ => Ok(()),
        }
    }

    fn account_check(&mut self, account: AccountField<'_>) -> Result<(), ErrorCode> {
        self.account(account).map(drop)
    }

    fn pin_decode(
        &mut self,
        key: KeyHandle,
        format: [u8; 2],
        block: &[u8],
        account: AccountField<'_>,
    ) -> Result<PinHandle, ErrorCode> {
        let format = self.format(format)?;
        self.suits(key, format)?;
        let key = self.key_for_use(key, PIN_KEYS, KeyUse::Decrypt)?;
        let decoded = if format == Format::Iso4 {
            let pan = self.pan(account)?;
            let block = block.try_into().map_err(|_| ErrorCode::INPUT_DATA)?;
            decipher_iso4(block, &pan, key.cipher()?)
        } else {
            let context = self.context(format, account)?;
            let mut clear = Zeroizing::new(<[u8; 8]>::try_from(block).map_err(|_| ErrorCode::INPUT_DATA)?);
            key.cipher()?.ecb_decrypt(&mut *clear).map_err(|_| ErrorCode::INTERNAL)?;
            decode(format, &*clear, &context)
        };
        match decoded {
            Ok(pin) => self.hold_pin(pin),
            Err(error) => self.refuse(code(error.class()), format!("PIN block of format {}: {error}", format.name())),
        }
    }

    fn pin_encode(
        &mut self,
        pin: PinHandle,
        key: KeyHandle,
        format: [u8; 2],
        account: AccountField<'_>,
    ) -> Result<Vec<u8>, ErrorCode> {
        let format = self.output_format(format)?;
        self.suits(key, format)?;
        let key = self.key_for_use(key, PIN_KEYS, KeyUse::Encrypt)?;
        if format == Format::Iso4 {
            let pan = self.pan(account)?;
            let pin = self.pins.get(pin.index() as usize).ok_or(ErrorCode::INTERNAL)?;
            let random = &mut self.random;
            return Ok(encipher_iso4(pin, &pan, key.cipher()?, &mut |to: &mut [u8]| random.fill_bytes(to)).to_vec());
        }
        let context = self.context(format, account)?;
        let pin = self.pins.get(pin.index() as usize).ok_or(ErrorCode::INTERNAL)?;
        let random = &mut self.random;
        let encoded: Result<ClearBlock, _> = encode(format, pin, &context, &mut |to: &mut [u8]| random.fill_bytes(to));
        match encoded {
            Ok(clear) => {
                let mut block = clear.as_bytes().to_vec();
                key.cipher()?.ecb_encrypt(&mut block).map_err(|_| ErrorCode::INTERNAL)?;
                Ok(block)
            }
            Err(error) => self.refuse(code(error.class()), format!("PIN block of format {}: {error}", format.name())),
        }
    }

    fn pin_length(&mut self, pin: PinHandle) -> Result<u8, ErrorCode> {
        Ok(self.pin(pin)?.digits().len() as u8)
    }

    fn pin_dukpt_key(&mut self, bdk: KeyHandle, ksn: KsnField<'_>) -> Result<KeyHandle, ErrorCode> {
        let key = self.dukpt_pin_key(bdk, ksn)?;
        self.hold_key(Arc::new(OpenKey::new(key, KeyPurpose::PIN_KEY, None).into_transient()))
    }
}

impl Session {
    /// The format of a code, if it exists, is enabled and may be used outside script commands.
    fn format(&mut self, code: [u8; 2]) -> Result<Format, ErrorCode> {
        let format = self.enabled_format(code)?;
        if format.is_script_only() {
            return self.refuse(
                ErrorCode::PIN_BLOCK_FORMAT,
                format!("PIN block format {} is for script commands (KU, KY) only", format.name()),
            );
        }
        Ok(format)
    }

    /// As [`Session::format`], for a block that is made: a setting adds format 34.
    fn output_format(&mut self, code: [u8; 2]) -> Result<Format, ErrorCode> {
        if code == *b"34" && self.state.settings.format_34_output {
            return self.enabled_format(code);
        }
        self.format(code)
    }

    /// What allows a translation while PIN blocks are restricted; `None` while they are not.
    fn allowed_translation(&mut self, from: Format, to: Format) -> Result<Option<PinTranslation>, ErrorCode> {
        let settings = &self.state.settings;
        if !settings.restrict_pin_blocks {
            return Ok(None);
        }
        match settings.pin_block_translations.iter().find(|allowed| (allowed.from, allowed.to) == (from, to)) {
            Some(allowed) => Ok(Some(*allowed)),
            None => {
                let why = format!("PIN blocks are restricted: none goes from {} to {}", from.name(), to.name());
                self.refuse(ErrorCode::PIN_BLOCK_FORMAT, why)
            }
        }
    }

    fn enabled_format(&mut self, code: [u8; 2]) -> Result<Format, ErrorCode> {
        let Some(format) = Format::from_thales_code(&code) else {
            return self.refuse(ErrorCode::PIN_BLOCK_FORMAT, "no PIN block format has this code");
        };
        if self.state.settings.disabled_formats.contains(&code) || !format.is_supported() {
            return self.refuse(ErrorCode::FORMAT_DISABLED, format!("PIN block format {} is disabled", format.name()));
        }
        Ok(format)
    }

    /// Format 48 needs an AES key and the others a DES key.
    fn suits(&mut self, key: KeyHandle, format: Format) -> Result<(), ErrorCode> {
        let key = self.key_for(key, PIN_BLOCK_KEYS)?;
        if (key.algorithm() == Algorithm::Aes) != (format == Format::Iso4) {
            return self.refuse(ErrorCode::PIN_BLOCK_FORMAT, "format 48 needs an AES key, the other formats a DES key");
        }
        Ok(())
    }

    fn context(&mut self, format: Format, field: AccountField<'_>) -> Result<Context<'static>, ErrorCode> {
        if format.account() == AccountUse::None {
            return Ok(Context::default());
        }
        self.account(field).map(Context::account)
    }

    pub(super) fn account(&mut self, field: AccountField<'_>) -> Result<Account, ErrorCode> {
        let account = match field.form {
            AccountForm::Twelve => Account12::from_digits(field.digits).map(Account::from),
            AccountForm::Plus => PlusField::from_field(field.digits).map(Account::from),
            AccountForm::Pan => Pan::from_digits(field.digits).map(Account::from),
        };
        account.or_else(|error| self.refuse(ErrorCode::ACCOUNT_NUMBER, format!("account field: {error}")))
    }

    /// The 12 digits that verification algorithms take of any form of account field.
    pub(super) fn account_12(&mut self, field: AccountField<'_>) -> Result<[u8; 12], ErrorCode> {
        Ok(self.account(field)?.twelve_digits())
    }

    /// The whole PAN for format 48; a 12-digit field is taken as it is (pins.md 1.4).
    fn pan(&mut self, field: AccountField<'_>) -> Result<Pan, ErrorCode> {
        Pan::from_digits(field.digits)
            .or_else(|error| self.refuse(ErrorCode::ACCOUNT_NUMBER, format!("account field: {error}")))
    }
}

fn code(class: ErrorClass) -> ErrorCode {
    ErrorCode::new(class.host_error())
}
