//! `hsm pinblock decode`.

use super::cards::{self, Card, CardArgs, GivenKey, KeyArgs, PinKey};
use crate::exit::usage;
use crate::output;
use crate::secret;
use anyhow::bail;
use hsm_pinblock::{DecodeError, Format, Pin};
use serde_json::json;
use std::process::ExitCode;
use zeroize::Zeroizing;

const AFTER_HELP: &str = "\
Prints the PIN, or says what is wrong with the block. Without --format every format is tried.
The key is DES or TDES, for ISO-4 AES: clear digits, or a cryptogram or key block under an LMK.
Where several values are -, each takes a line of standard input: block, UDK-A, old PIN, key.
Exit codes: 0 a PIN was found, 1 the block is none of the format or the key does not open, 2 wrong usage.

Examples:
  hsm pinblock decode --block 041274FFFFEDCBA9 --pan 4000001234562 --format ISO-0
  hsm pinblock decode --block 041274FFFFEDCBA9 --account 400000123456
  hsm pinblock decode --block 6428EB94035AF53B --account 550000025321 --format 01 \\
      --key U8463435FC4B4DAA0C49025272C29B12C --type TPK";

/// Read the PIN out of a PIN block
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Block in hexadecimal; - reads it from standard input
    #[arg(long, value_name = "HEX")]
    block: String,

    /// Format: Thales code or name, as `hsm pinblock formats` lists them [default: try all]
    #[arg(long, value_parser = cards::format)]
    format: Option<Format>,

    #[command(flatten)]
    card: CardArgs,

    #[command(flatten)]
    key: KeyArgs,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm pinblock decode`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let block = secret::hex("block", &secret::get("block", &args.block)?)?;
    let card = args.card.read()?;
    let lmks = args.key.lmks();
    let key = args.key.read(&lmks)?;
    match args.format {
        Some(format) => one(format, &block, &card, &key, args.json),
        None => all(&block, &card, &key, args.json),
    }
}

fn one(format: Format, block: &[u8], card: &Card, key: &GivenKey<'_>, as_json: bool) -> anyhow::Result<ExitCode> {
    let pin = digits(&pin(format, block, card, &key.open(format)?)?);
    if as_json {
        output::json(&json!({"format": format.name(), "code": format.thales_code(), "pin": *pin}))?;
    } else {
        output::text(&pin)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The PIN of a block in a format.
///
/// # Errors
/// Usage if the format needs something that was not given; failure for a block that is none of the format.
pub(super) fn pin(format: Format, block: &[u8], card: &Card, key: &PinKey) -> anyhow::Result<Pin> {
    match decode(format, block, card, key)? {
        Ok(pin) => Ok(pin),
        Err(DecodeError::Context(error)) => Err(usage(format!("{format}: {error}"))),
        Err(error) => bail!("{format}: {error} (the HSM answers {})", error.class().host_error()),
    }
}

fn all(block: &[u8], card: &Card, key: &GivenKey<'_>, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut found = false;
    let mut rows = Vec::new();
    let mut objects = Vec::new();
    let mut unfit = None;
    for format in Format::all().filter(|format| format.is_supported() && format.block_len() == block.len()) {
        // A key that does not fit this format's cipher leaves the format out.
        let decoded = match key.open(format).and_then(|key| decode(format, block, card, &key)) {
            Ok(decoded) => decoded,
            Err(error) => {
                unfit = Some(error);
                continue;
            }
        };
        found |= decoded.is_ok();
        let (code, name) = (format.thales_code(), format.name());
        match decoded {
            Ok(pin) => {
                objects.push(json!({"format": name, "code": code, "pin": *digits(&pin)}));
                rows.push([code.unwrap_or("-").to_owned(), name.to_owned(), format!("PIN {}", *digits(&pin))]);
            }
            Err(error) => {
                objects.push(json!({"format": name, "code": code, "error": error.to_string()}));
                rows.push([code.unwrap_or("-").to_owned(), name.to_owned(), error.to_string()]);
            }
        }
    }
    if rows.is_empty() {
        return Err(unfit.unwrap_or_else(|| usage(format!("no format has blocks of {} bytes", block.len()))));
    }
    if as_json {
        output::json(&json!(objects))?;
    } else {
        output::text(&output::table(["CODE", "FORMAT", "READS AS"], &rows))?;
    }
    Ok(if found { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads a block, after deciphering it if there is a key.
fn decode(format: Format, block: &[u8], card: &Card, key: &PinKey) -> anyhow::Result<Result<Pin, DecodeError>> {
    if block.len() != format.block_len() {
        return Ok(Err(DecodeError::BlockLength { expected: format.block_len(), actual: block.len() }));
    }
    let mut clear = Zeroizing::new(block.to_vec());
    match key {
        PinKey::Aes(aes) => {
            let Some(block) = block.first_chunk::<16>() else { bail!("the block is too short") };
            return Ok(hsm_pinblock::decipher_iso4(block, card.pan()?, aes));
        }
        PinKey::Des(cipher) => cipher.ecb_decrypt(&mut clear)?,
        PinKey::None => {}
    }
    Ok(hsm_pinblock::decode(format, &clear, &card.context()))
}

fn digits(pin: &Pin) -> Zeroizing<String> {
    Zeroizing::new(pin.digits().iter().map(|digit| char::from(b'0' + digit)).collect())
}
