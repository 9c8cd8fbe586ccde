//! What the verification algorithms take, as options that several subcommands share.

use crate::exit::usage;
use crate::keys::Source;
use crate::lmks::{LmkArgs, Lmks};
use crate::secret;
use hsm_core::key_type::KeyType;
use hsm_core::pin_verify::{self, DecimalisationTable, Offset, PinVerifyError, ValidationData, natural_pin};
use hsm_core::{ClearKey, lmk_table};
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

/// The PIN.
#[derive(Debug, clap::Args)]
pub(super) struct PinArgs {
    /// PIN of 4 to 12 digits; - reads it from standard input
    #[arg(long)]
    pin: String,
}

impl PinArgs {
    /// The PIN.
    pub(super) fn read(&self) -> anyhow::Result<Pin> {
        let digits = secret::get("PIN", &self.pin)?;
        Pin::from_digits(digits.as_bytes()).map_err(|e| usage(format!("--pin: {e}")))
    }
}

/// What every method of verification takes: the PVK and, for most, the account number.
#[derive(Debug, clap::Args)]
pub(super) struct PvkArgs {
    /// PIN verification key: clear, or a cryptogram or key block under an LMK; - reads it from standard input
    #[arg(long, value_name = "KEY")]
    pvk: String,

    #[command(flatten)]
    account: AccountArgs,

    #[command(flatten)]
    lmk: LmkArgs,
}

impl PvkArgs {
    fn open(&self, lmks: &Lmks) -> anyhow::Result<ClearKey> {
        let source = Source::new(lmks, "PVK", &[KeyType::PVK]);
        Ok(Source { usages: &["V0", "V1", "V2"], ..source }.read(&self.pvk)?.key)
    }
}

/// What Visa's method takes besides the PVK.
#[derive(Debug, clap::Args)]
pub(super) struct VisaArgs {
    /// PVK indicator, 0 to 9
    #[arg(long, value_name = "DIGIT", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=9))]
    pub(super) pvki: u8,
}

impl VisaArgs {
    /// The function from the digit values of a PIN to its PVV.
    pub(super) fn method(&self, pvk: &PvkArgs) -> anyhow::Result<impl Fn(&[u8]) -> anyhow::Result<[u8; 4]>> {
        let key = pvk.open(&pvk.lmk.lmks())?;
        if key.len() != 16 {
            return Err(usage(format!("a PVV needs a PVK pair of 16 bytes, this key has {} (error 27)", key.len())));
        }
        let (cipher, account, pvki) = (key.cipher()?, pvk.account.needed()?, self.pvki);
        Ok(move |pin: &[u8]| Ok(pin_verify::pvv(&cipher, &account, pvki, pin)?))
    }
}

/// What the IBM 3624 method takes besides the PVK.
#[derive(Debug, clap::Args)]
pub(super) struct IbmArgs {
    /// PIN validation data: 16 hexadecimal digits, or 12 characters with an N for the last 5 digits of the account field
    #[arg(long, value_name = "DATA")]
    data: Option<String>,

    /// Decimalisation table: 16 digits, or lmk:FIELD as encrypted under the LMK; - reads it from standard input
    #[arg(long, value_name = "DIGITS", default_value = "0123456789012345")]
    table: String,
}

impl IbmArgs {
    /// The natural PIN, 16 digits.
    pub(super) fn natural(&self, pvk: &PvkArgs) -> anyhow::Result<Zeroizing<[u8; 16]>> {
        let lmks = pvk.lmk.lmks();
        let key = pvk.open(&lmks)?;
        let data = self.data.as_deref().ok_or_else(|| usage("the IBM method needs validation data: --data"))?;
        let table = self.table(&lmks)?;
        let field = match data.len() {
            16 => format!("P{data}"),
            _ => data.to_owned(),
        };
        let twelve = if field.starts_with('P') { None } else { Some(pvk.account.needed()?) };
        let twelve = twelve.as_ref().map_or(&[][..], |twelve| twelve.as_slice());
        let data = ValidationData::parse(field.to_ascii_uppercase().as_bytes(), twelve);
        let data = data.map_err(|e| usage(format!("--data: {e}")))?;
        Ok(natural_pin(&key.cipher()?, &table, &data)?)
    }

    fn table(&self, lmks: &Lmks) -> anyhow::Result<DecimalisationTable> {
        let text = secret::get("decimalisation table", &self.table)?;
        let table = match text.strip_prefix("lmk:") {
            None => DecimalisationTable::from_digits(text.as_bytes())
                .map_err(|e| usage(format!("--table: {e}; an encrypted one is written lmk:FIELD")))?,
            Some(field) => {
                let id = lmks.destination(None, false)?;
                let table = lmk_table::decrypt(lmks.lmk(id)?, field.to_ascii_uppercase().as_bytes());
                table.map_err(|e| usage(format!("--table: under LMK {id:02}: {e} (error {})", e.code())))?
            }
        };
        if table.check() == Err(PinVerifyError::WeakTable) {
            crate::exit::report("note: the decimalisation table is too regular for the HSM's table checks (error 25)");
        }
        Ok(table)
    }
}

/// An offset or a PVV, and what its method takes.
#[derive(Debug, clap::Args)]
pub(super) struct MethodArgs {
    /// IBM 3624 offset, with or without its fill
    #[arg(long, value_name = "DIGITS", value_parser = offset)]
    pub(super) offset: Option<Offset>,

    /// Visa PIN verification value
    #[arg(long, value_name = "DIGITS", value_parser = pvv, conflicts_with = "offset")]
    pub(super) pvv: Option<[u8; 4]>,

    #[command(flatten)]
    pub(super) pvk: PvkArgs,

    #[command(flatten)]
    pub(super) ibm: IbmArgs,

    #[command(flatten)]
    pub(super) visa: VisaArgs,
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
