//! `hsm pinblock decode`.

use super::cards::{self, Card, CardArgs, PinKey};
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
Where several values are -, each takes a line of standard input: block, UDK-A, old PIN, key.
Exit codes: 0 a PIN was found, 1 the block is none of the format, 2 wrong usage.

Examples:
  hsm pinblock decode --block 041274FFFFEDCBA9 --pan 4000001234562 --format ISO-0
  hsm pinblock decode --block 041274FFFFEDCBA9 --account 400000123456";

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

    /// Clear DES, TDES or (ISO-4) AES key that the block is enciphered with; - reads it from standard input
    #[arg(long, value_name = "HEX")]
    key: Option<String>,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm pinblock decode`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let block = secret::hex("block", &secret::get("block", &args.block)?)?;
    let card = args.card.read()?;
    let key = secret::get_optional("key", args.key.as_deref())?;
    match args.format {
        Some(format) => one(format, &block, &card, key.as_deref().map(String::as_str), args.json),
        None => all(&block, &card, key.as_deref().map(String::as_str), args.json),
    }
}

fn one(format: Format, block: &[u8], card: &Card, key: Option<&str>, as_json: bool) -> anyhow::Result<ExitCode> {
    match decode(format, block, card, key)? {
        Ok(pin) if as_json => output::json(&json!({
            "format": format.name(), "code": format.thales_code(), "pin": *digits(&pin),
        }))?,
        Ok(pin) => output::text(&digits(&pin))?,
        Err(DecodeError::Context(error)) => return Err(usage(format!("{format}: {error}"))),
        Err(error) => bail!("{format}: {error} (the HSM answers {})", error.class().host_error()),
    }
    Ok(ExitCode::SUCCESS)
}

fn all(block: &[u8], card: &Card, key: Option<&str>, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut found = false;
    let mut rows = Vec::new();
    let mut objects = Vec::new();
    for format in Format::all().filter(|format| format.is_supported()) {
        if format.block_len() != block.len() {
            continue;
        }
        // A key that does not fit this format's cipher leaves the format out.
        let Ok(decoded) = decode(format, block, card, key) else { continue };
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
        return Err(usage(format!("no format has blocks of {} bytes and a key like this", block.len())));
    }
    if as_json {
        output::json(&json!(objects))?;
    } else {
        output::text(&output::table(["CODE", "FORMAT", "READS AS"], &rows))?;
    }
    Ok(if found { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads a block, after deciphering it if there is a key.
fn decode(format: Format, block: &[u8], card: &Card, key: Option<&str>) -> anyhow::Result<Result<Pin, DecodeError>> {
    if block.len() != format.block_len() {
        return Ok(Err(DecodeError::BlockLength { expected: format.block_len(), actual: block.len() }));
    }
    let mut clear = Zeroizing::new(block.to_vec());
    match key.map(|key| PinKey::new(format, key)).transpose()? {
        Some(PinKey::Aes(aes)) => {
            let Some(block) = block.first_chunk::<16>() else { bail!("the block is too short") };
            return Ok(hsm_pinblock::decipher_iso4(block, card.pan()?, &aes));
        }
        Some(PinKey::Des(cipher)) => cipher.ecb_decrypt(&mut clear)?,
        None => {}
    }
    Ok(hsm_pinblock::decode(format, &clear, &card.context()))
}

fn digits(pin: &Pin) -> Zeroizing<String> {
    Zeroizing::new(pin.digits().iter().map(|digit| char::from(b'0' + digit)).collect())
}
