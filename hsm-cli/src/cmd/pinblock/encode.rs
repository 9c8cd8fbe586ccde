//! `hsm pinblock encode`.

use super::cards::{self, Card, CardArgs, KeyArgs, PinKey};
use crate::exit::usage;
use crate::{keys, output, secret, wire};
use hsm_pinblock::{Format, Pin};
use serde_json::json;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Prints the block in hexadecimal: clear, or enciphered where --key is given. The key is DES or TDES, for ISO-4 AES: clear
digits, or a cryptogram or key block under an LMK. Where several values are -, each takes a line of standard input: PIN,
UDK-A, old PIN, key.

Examples:
  hsm pinblock encode --pin 1234 --pan 4000001234562 --format ISO-0
  echo 1234 | hsm pinblock encode --pin - --account 400000123456 --format 47
  hsm pinblock encode --pin 1234 --account FFFFFF400000123456 --format 04
  hsm pinblock encode --pin 1234 --pan 4000001234562 --format 48 --key 000102030405060708090A0B0C0D0E0F
  hsm pinblock encode --pin 1234 --pan 4000001234562 --format 01 --key U1EF828AA8F6B80EB83E19FBC373F3A85 --type ZPK";

/// Make a PIN block
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    what: What,

    #[command(flatten)]
    with: With,
}

/// What is encoded. `hsm pinblock` takes it, too; that works only without nested groups, which clap would never find given.
#[derive(Debug, clap::Args)]
pub(super) struct What {
    /// PIN of 4 to 12 digits; - reads it from standard input
    #[arg(long)]
    pin: String,

    /// Format: Thales code or name, as `hsm pinblock formats` lists them
    #[arg(long, value_parser = cards::format)]
    format: Format,
}

/// What may be needed besides.
#[derive(Debug, clap::Args)]
pub(super) struct With {
    #[command(flatten)]
    card: CardArgs,

    #[command(flatten)]
    key: KeyArgs,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm pinblock encode`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    make(&args.what, &args.with)
}

/// Makes a block.
pub(super) fn make(what: &What, with: &With) -> anyhow::Result<ExitCode> {
    let format = what.format;
    let pin = secret::get("PIN", &what.pin)?;
    let pin = Pin::from_digits(pin.as_bytes()).map_err(|e| usage(format!("--pin: {e}")))?;
    let card = with.card.read()?;
    let lmks = with.key.lmks();
    let key = with.key.read(&lmks)?.open(format)?;
    let block = wire::hex(&encode(format, &pin, &card, &key)?);
    if with.json {
        output::json(&json!({
            "format": format.name(),
            "code": format.thales_code(),
            "enciphered": !matches!(key, PinKey::None),
            "block": block,
        }))?;
    } else {
        output::text(&block)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes a block, enciphered if there is a key.
///
/// # Errors
/// Usage if the format does not take the PIN or needs something that was not given.
pub(super) fn encode(format: Format, pin: &Pin, card: &Card, key: &PinKey) -> anyhow::Result<Vec<u8>> {
    if let PinKey::Aes(aes) = key {
        return Ok(hsm_pinblock::encipher_iso4(pin, card.pan()?, aes, &mut keys::fill).to_vec());
    }
    let clear = hsm_pinblock::encode(format, pin, &card.context(), &mut keys::fill);
    let mut block = clear.map_err(|e| usage(format!("{format}: {e}")))?.as_bytes().to_vec();
    if let PinKey::Des(cipher) = key {
        cipher.ecb_encrypt(&mut block)?;
    }
    Ok(block)
}
