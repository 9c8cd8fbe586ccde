//! `hsm pin oracle`: what is in this PIN block?

use super::inputs::{self, AccountArgs};
use crate::cmd::dukpt::{self, AnyKsn};
use crate::exit::{self, usage};
use crate::keys::{self, Source};
use crate::lmks::Lmks;
use crate::{output, secret};
use anyhow::bail;
use hsm_core::Algorithm;
use hsm_core::inspect::{AccountGuess, PinReading, WrappingKey, read_pin_block};
use hsm_core::key_type::KeyType;
use hsm_pinblock::{Account, Account12, ContextError, DecodeError, Format, Pan};
use serde_json::json;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
For tests: keys are clear, or under the published test LMKs. A cryptogram is tried as ZPK (001), TPK (002 and 70D) and BDK; with
a BDK and a KSN the PIN key of the transaction is derived. Formats that need an account number are tried with the digits they
should have, with the check digit included, and with the leftmost digits.
Where several values are -, each takes a line of standard input: block, key, BDK.
Exit codes: 0 a PIN was found in a format that the HSM has, 1 none was, 2 wrong usage.

Examples:
  hsm pin oracle --block CB4EBC0180DFED6E --key 0123456789ABCDEFFEDCBA9876543210 --account 345513804937
  hsm pin oracle --block CB4EBC0180DFED6E --key U063A0E7C0F2124E56192A4510F395ED7 --account 345513804937 --all
  hsm pin oracle --block 1B9C1845EB993A7A --bdk 0123456789ABCDEFFEDCBA9876543210 --ksn FFFF9876543210E00001 \\
      --account 401234567890";

/// Read a PIN block in every way and say why it fails
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// PIN block in hexadecimal; - reads it from standard input
    #[arg(long, value_name = "HEX")]
    block: String,

    /// PIN key: clear (aes:DIGITS for AES), or under a test LMK; - reads it from standard input [default: the block is clear]
    #[arg(long, value_name = "KEY", conflicts_with = "bdk")]
    key: Option<String>,

    /// BDK: clear (aes:DIGITS for AES), or under a test LMK; - reads it from standard input
    #[arg(long, value_name = "KEY", requires = "ksn")]
    bdk: Option<String>,

    /// Key serial number of the transaction: up to 20 digits, or 24 for AES
    #[arg(long, requires = "bdk")]
    ksn: Option<String>,

    #[command(flatten)]
    account: AccountArgs,

    /// Show every format, not only what was found and what is nearly right
    #[arg(long)]
    all: bool,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm pin oracle`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let block = secret::hex("block", &secret::get("block", &args.block)?)?;
    if !matches!(block.len(), 8 | 16) {
        return Err(usage(format!(
            "--block: a PIN block has 8 bytes (16 digits), or 16 (32 digits) in ISO-4, not {}",
            block.len()
        )));
    }
    let lmks = Lmks::published();
    let keys = match (&args.key, &args.bdk) {
        (Some(key), _) => pin_keys(&lmks, key, block.len())?,
        (None, Some(bdk)) => vec![dukpt_key(&lmks, bdk, args.ksn.as_deref().unwrap_or_default())?],
        (None, None) => Vec::new(),
    };
    let accounts = accounts(&args.account)?;
    let readings = read_pin_block(&keys, &accounts, &block);
    if readings.is_empty() {
        return Err(usage(
            "blocks of 8 bytes are under DES keys, ISO-4 blocks of 16 bytes under AES keys (aes:DIGITS)",
        ));
    }
    let found = readings.iter().any(PinReading::is_convincing);
    if args.json {
        output::json(&json!(readings.iter().map(as_json).collect::<Vec<_>>()))?;
    } else {
        output::text(&as_text(&readings, &keys, args.all, found))?;
    }
    Ok(if found { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The PIN keys that an argument may be.
fn pin_keys(lmks: &Lmks, argument: &str, block_len: usize) -> anyhow::Result<Vec<WrappingKey>> {
    let text = secret::get("key", argument)?;
    let algorithm = if block_len == 16 { Algorithm::Aes } else { Algorithm::Des };
    let types = [Some(KeyType::ZPK), Some(KeyType::tpk(false)), Some(KeyType::tpk(true)), Some(KeyType::BDK)];
    let mut keys = Vec::new();
    let mut last = None;
    for key_type in types.into_iter().flatten() {
        match (Source { algorithm, ..Source::new(lmks, "key", &[key_type]) }).open(&text) {
            Ok(opened) => {
                let clear = opened.clear || opened.attributes.is_some();
                keys.push(WrappingKey { name: opened.form, key: opened.key });
                // Only a cryptogram reads differently under another type.
                if clear {
                    break;
                }
            }
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) if keys.is_empty() && (exit::is_usage(&error) || text.starts_with(['S', 's'])) => Err(error),
        _ if keys.is_empty() => bail!(
            "the key has no odd parity as ZPK (001), TPK (002, 70D) or BDK (009) under LMK 00 (the HSM answers 10): \
             wrong key type, or another LMK than the published test LMK; `hsm key inspect` tries all types and LMKs"
        ),
        _ => Ok(keys),
    }
}

fn dukpt_key(lmks: &Lmks, bdk: &str, ksn: &str) -> anyhow::Result<WrappingKey> {
    let ksn = AnyKsn::parse(ksn)?;
    let transaction = dukpt::transaction_key(&dukpt::initial_key(lmks, bdk, ksn)?, ksn)?;
    Ok(WrappingKey { name: "DUKPT PIN key".to_owned(), key: dukpt::pin_key(&transaction, ksn)? })
}

/// The account number as it should be taken, and as it often is.
fn accounts(args: &AccountArgs) -> anyhow::Result<Vec<AccountGuess>> {
    let mut guesses = Vec::new();
    let pan = args.pan()?;
    if let Some(twelve) = args.twelve()? {
        let twelve = Account12::from_digits(&twelve).map_err(|e| usage(format!("the account number: {e}")))?;
        let account = pan.map_or(Account::from(twelve), Account::from);
        guesses.push(AccountGuess { name: "as it should be".to_owned(), account, pan });
    }
    let Some(pan) = pan else { return Ok(guesses) };
    let digits: Vec<u8> = pan.digits().iter().map(|digit| b'0' + digit).collect();
    let mut add = |name: &str, digits: Option<&[u8]>| {
        if let Some(twelve) = digits.and_then(|digits| Account12::from_digits(digits).ok()) {
            guesses.push(AccountGuess {
                name: name.to_owned(),
                account: twelve.into(),
                pan: without_check_digit(&pan),
            });
        }
    };
    add("with the check digit", digits.last_chunk::<12>().map(|twelve| twelve.as_slice()));
    add("leftmost 12 digits", digits.first_chunk::<12>().map(|twelve| twelve.as_slice()));
    Ok(guesses)
}

/// The account number cut short, as ISO format 4 is sometimes given it.
fn without_check_digit(pan: &Pan) -> Option<Pan> {
    let digits: Vec<u8> = pan.digits().iter().map(|digit| b'0' + digit).collect();
    digits.split_last().and_then(|(_, rest)| Pan::from_digits(rest).ok())
}

fn as_text(readings: &[PinReading], keys: &[WrappingKey], all: bool, found: bool) -> String {
    let shown: Vec<_> = readings.iter().filter(|r| all || r.outcome.is_ok() || r.hint.is_some()).collect();
    let rows: Vec<_> = shown
        .iter()
        .map(|reading| {
            let outcome = match &reading.outcome {
                Ok(pin) => format!("PIN {}", inputs::text(pin.digits())),
                Err(error) => format!("{} (error {})", error, error.class().host_error()),
            };
            let hint = reading.hint.map_or(String::new(), |hint| hint.to_string());
            [
                reading.format.thales_code().unwrap_or("-").to_owned(),
                reading.format.name().to_owned(),
                reading.key.clone(),
                reading.account.clone().unwrap_or("-".to_owned()),
                outcome,
                hint,
            ]
        })
        .collect();
    let mut out = String::new();
    if !rows.is_empty() {
        out += &output::table(["CODE", "FORMAT", "KEY", "ACCOUNT", "READS AS", "HINT"], &rows);
    }
    if !found {
        out += "No format of the HSM gives a PIN";
        if readings.iter().any(|reading| reading.hint.is_some()) {
            out += ": see the hints.\n";
        } else {
            out += ". What is likely:\n";
            for cause in causes(readings, keys) {
                out += &format!("  {cause}\n");
            }
        }
    } else if shown.len() < readings.len() {
        out += "A format without code may read by chance; --all shows the formats that do not fit.\n";
    }
    out
}

/// What may be wrong where no format fits and none nearly does.
fn causes(readings: &[PinReading], keys: &[WrappingKey]) -> Vec<String> {
    let mut causes = Vec::new();
    if readings.iter().any(|r| matches!(r.outcome, Err(DecodeError::Context(ContextError::NoAccount)))) {
        causes.push("formats that need the account number were left out: give --pan".to_owned());
    }
    for WrappingKey { name, key } in keys {
        let kcv = keys::short_kcv(key);
        causes.push(format!("wrong key: this one ({name}) has check value {kcv}, compare it with the sender's"));
    }
    if keys.is_empty() {
        causes.push("the block is enciphered: give its key with --key, or --bdk and --ksn".to_owned());
    } else if keys.iter().any(|key| key.name.contains("LMK")) {
        causes.push(
            "wrong LMK: the key was opened under a published test LMK; `hsm pinblock decode` takes keys under others"
                .to_owned(),
        );
    }
    let iso4 = readings.iter().any(|reading| reading.format == Format::Iso4);
    causes.push(match iso4 {
        true => {
            "wrong length: 32 digits are one ISO-4 block (format 48) under an AES key, the others have 16".to_owned()
        }
        false => {
            "wrong length: 16 digits are a block under a DES key, one of ISO-4 (format 48) under AES has 32".to_owned()
        }
    });
    causes.push("a damaged block: cut, shifted by a digit, or bytes read as text".to_owned());
    causes
}

fn as_json(reading: &PinReading) -> serde_json::Value {
    json!({
        "code": reading.format.thales_code(),
        "format": reading.format.name(),
        "key": reading.key,
        "account": reading.account,
        "pin": reading.outcome.as_ref().ok().map(|pin| inputs::text(pin.digits())),
        "reason": reading.outcome.as_ref().err().map(ToString::to_string),
        "error": reading.outcome.as_ref().err().map(|error| error.class().host_error()),
        "hint": reading.hint.map(|hint| hint.to_string()),
    })
}
