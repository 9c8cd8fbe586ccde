//! What the verification algorithms take, as options that several subcommands share.

use crate::exit::usage;
use crate::keys::Source;
use crate::lmks::Lmks;
use crate::secret;
use anyhow::bail;
use hsm_core::cipher::BlockCipher;
use hsm_core::key_type::KeyType;
use hsm_core::lmk::{LmkPair, LmkVariant};
use hsm_core::pin_verify::{DecimalisationTable, Offset, PinVerifyError, ValidationData, natural_pin};
use hsm_core::scheme::KeyScheme;
use hsm_core::variant::LmkUse;
use hsm_core::{ClearKey, hex, variant};
use hsm_pinblock::{AccountError, Pan, Pin};
use zeroize::Zeroizing;

/// The account number.
#[derive(Debug, clap::Args)]
pub(super) struct AccountArgs {
    /// Account number with its check digit
    #[arg(long, conflicts_with = "account")]
    pan: Option<String>,

    /// Account field as host commands have it: the 12 rightmost digits without the check digit
    #[arg(long, value_name = "DIGITS")]
    account: Option<String>,
}

impl AccountArgs {
    /// The 12 digits of the account field, as ASCII; `None` if none is given.
    pub(super) fn twelve(&self) -> anyhow::Result<Option<[u8; 12]>> {
        if let Some(pan) = self.pan()? {
            let digits = pan.digits();
            let without_check = digits.get(..digits.len().saturating_sub(1)).unwrap_or_default();
            let mut twelve = [b'0'; 12];
            for (to, digit) in twelve.iter_mut().rev().zip(without_check.iter().rev()) {
                *to = b'0' + digit;
            }
            return Ok(Some(twelve));
        }
        let Some(account) = &self.account else { return Ok(None) };
        match account.as_bytes().try_into() {
            Ok(twelve) if account.bytes().all(|c| c.is_ascii_digit()) => Ok(Some(twelve)),
            _ => Err(usage(format!("--account: 12 digits are needed, here are {}", account.chars().count()))),
        }
    }

    /// The 12 digits.
    pub(super) fn needed(&self) -> anyhow::Result<[u8; 12]> {
        self.twelve()?.ok_or_else(|| usage("the account number is needed: --pan or --account"))
    }

    /// The whole account number, if given.
    pub(super) fn pan(&self) -> anyhow::Result<Option<Pan>> {
        let pan = self.pan.as_ref().map(|pan| Pan::from_digits(pan.as_bytes())).transpose();
        pan.map_err(|e: AccountError| usage(format!("--pan: {e}")))
    }
}

/// The PVK.
#[derive(Debug, clap::Args)]
pub(super) struct PvkArgs {
    /// PIN verification key: clear, or a cryptogram or key block under an LMK; - reads it from standard input
    #[arg(long, value_name = "KEY")]
    pvk: String,
}

impl PvkArgs {
    /// The key.
    pub(super) fn read(&self, lmks: &Lmks) -> anyhow::Result<ClearKey> {
        let opened = Source::new(lmks, "PVK", &[KeyType::PVK]).read(&self.pvk)?;
        if let Some(attributes) = opened.attributes {
            let id = attributes.usage.id();
            if !matches!(&id, b"V0" | b"V1" | b"V2") {
                bail!("the PVK's key block has usage {}, not V0, V1 or V2 (the HSM answers A6)", attributes.usage);
            }
        }
        Ok(opened.key)
    }

    /// The pair that Visa's method needs.
    pub(super) fn read_pair(&self, lmks: &Lmks) -> anyhow::Result<BlockCipher> {
        let key = self.read(lmks)?;
        if key.len() != 16 {
            return Err(usage(format!("a PVV needs a PVK pair of 16 bytes, this key has {} (error 27)", key.len())));
        }
        Ok(key.cipher()?)
    }
}

/// What the IBM 3624 method takes besides the PVK.
#[derive(Debug, clap::Args)]
pub(super) struct IbmArgs {
    /// PIN validation data: 16 hexadecimal digits, or 12 characters with an N for the last 5 digits of the account field
    #[arg(long, value_name = "DATA")]
    data: Option<String>,

    /// Decimalisation table: 16 digits, or lmk:DIGITS as enciphered under LMK 00
    #[arg(long, value_name = "DIGITS", default_value = "0123456789012345")]
    table: String,
}

impl IbmArgs {
    /// The natural PIN, 16 digits.
    pub(super) fn natural(
        &self,
        lmks: &Lmks,
        pvk: &ClearKey,
        account: &AccountArgs,
    ) -> anyhow::Result<Zeroizing<[u8; 16]>> {
        let data = self.data.as_deref().ok_or_else(|| usage("the IBM method needs validation data: --data"))?;
        let table = self.table(lmks)?;
        let field = match data.len() {
            16 => format!("P{data}"),
            _ => data.to_owned(),
        };
        let twelve = if field.starts_with('P') { None } else { Some(account.needed()?) };
        let twelve = twelve.as_ref().map_or(&[][..], |twelve| twelve.as_slice());
        let data = ValidationData::parse(field.to_ascii_uppercase().as_bytes(), twelve);
        let data = data.map_err(|e| usage(format!("--data: {e}")))?;
        Ok(natural_pin(&pvk.cipher()?, &table, &data)?)
    }

    fn table(&self, lmks: &Lmks) -> anyhow::Result<DecimalisationTable> {
        let table = match self.table.strip_prefix("lmk:") {
            None => DecimalisationTable::from_digits(self.table.as_bytes())
                .map_err(|e| usage(format!("--table: {e}; an enciphered one is written lmk:DIGITS")))?,
            Some(digits) => enciphered_table(lmks, digits)?,
        };
        if table.check() == Err(PinVerifyError::WeakTable) {
            crate::exit::report("note: the decimalisation table is too regular for the HSM's table checks (error 25)");
        }
        Ok(table)
    }
}

/// A decimalisation table under pair 18-19, variant 1, of the variant LMK 00 (pins.md 4).
fn enciphered_table(lmks: &Lmks, digits: &str) -> anyhow::Result<DecimalisationTable> {
    let bytes = hex::decode(digits).filter(|bytes| bytes.len() == 8);
    let bytes = bytes.ok_or_else(|| usage("--table: an enciphered table has 16 hexadecimal digits"))?;
    let variant = LmkVariant::new(1).unwrap_or(LmkVariant::ZERO);
    let under = LmkUse { pair: LmkPair::DECIMALISATION, variant, component: false };
    let clear = variant::decrypt_under_lmk(lmks.get(0)?, under, KeyScheme::Single, &bytes)?;
    let block = clear.key.bytes().first_chunk().ok_or_else(|| usage("--table: too short"))?;
    DecimalisationTable::from_packed(block).map_err(|_| usage("--table: not enciphered under LMK 00 (error 25)"))
}

/// A PIN.
pub(super) fn pin(argument: &str) -> anyhow::Result<Pin> {
    let digits = secret::get("PIN", argument)?;
    Pin::from_digits(digits.as_bytes()).map_err(|e| usage(format!("--pin: {e}")))
}

/// An offset of 1 to 12 digits, with or without its fill.
pub(super) fn offset(digits: &str) -> Result<Offset, String> {
    if digits.len() > 12 {
        return Err("an offset has at most 12 digits".to_owned());
    }
    Offset::parse(format!("{digits:F<12}").as_bytes()).map_err(|e| e.to_string())
}

/// Four digits of a PVV, as values.
pub(super) fn pvv(digits: &str) -> Result<[u8; 4], String> {
    let wrong = || "a PVV has four digits".to_owned();
    let digits: [u8; 4] = digits.as_bytes().try_into().map_err(|_| wrong())?;
    let values = digits.map(|c| c.wrapping_sub(b'0'));
    if values.iter().all(|value| *value < 10) { Ok(values) } else { Err(wrong()) }
}

/// Digit values as text.
pub(super) fn text(values: &[u8]) -> String {
    values.iter().map(|value| char::from(b'0' + value % 10)).collect()
}
