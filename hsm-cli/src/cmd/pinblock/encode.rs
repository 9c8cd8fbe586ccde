//! `hsm pinblock encode`.

use super::cards::{self, Card, CardArgs, KeyArgs, PinKey};
use crate::exit::usage;
use crate::lmks::Lmks;
use crate::secret;
use crate::{output, wire};
use anyhow::Context as _;
use hsm_pinblock::{Format, Pin};
use serde_json::json;
use std::process::ExitCode;
use zeroize::Zeroizing;

const AFTER_HELP: &str = "\
Prints the block in hexadecimal: clear, or enciphered where --key is given. The key is DES or TDES, for ISO-4 AES: clear
digits, or a cryptogram or key block under an LMK.
Where several values are -, each takes a line of standard input: PIN, UDK-A, old PIN, key.

Examples:
  hsm pinblock encode --pin 1234 --pan 4000001234562 --format ISO-0
  echo 1234 | hsm pinblock encode --pin - --account 400000123456 --format 47
  hsm pinblock encode --pin 1234 --pan 4000001234562 --format 48 --key 000102030405060708090A0B0C0D0E0F
  hsm pinblock encode --pin 1234 --pan 4000001234562 --format 01 --key U1EF828AA8F6B80EB83E19FBC373F3A85 --type ZPK";

/// Make a PIN block
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) options: Options,

    #[command(flatten)]
    pub(super) card: CardArgs,

    #[command(flatten)]
    pub(super) key: KeyArgs,
}

/// What `hsm pinblock` takes as well.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// PIN of 4 to 12 digits; - reads it from standard input
    #[arg(long)]
    pin: String,

    /// Format: Thales code or name, as `hsm pinblock formats` lists them
    #[arg(long, value_parser = cards::format)]
    format: Format,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm pinblock encode`.
pub(super) fn run(args: &Options, card: &CardArgs, key: &KeyArgs, lmks: &Lmks) -> anyhow::Result<ExitCode> {
    let pin = secret::get("PIN", &args.pin)?;
    let pin = Pin::from_digits(pin.as_bytes()).map_err(|e| usage(format!("--pin: {e}")))?;
    let card = card.read()?;
    let key = key.read()?.map(|text| key.open(lmks, args.format, &text)).transpose()?;
    let block = wire::hex(&encode(args.format, &pin, &card, key.as_ref())?);
    if args.json {
        output::json(&json!({
            "format": args.format.name(),
            "code": args.format.thales_code(),
            "enciphered": key.is_some(),
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
pub(super) fn encode(format: Format, pin: &Pin, card: &Card, key: Option<&PinKey>) -> anyhow::Result<Vec<u8>> {
    let mut random = Zeroizing::new([0; 8]);
    getrandom::fill(&mut *random).context("the system gives no random numbers")?;
    let mut fill = |buffer: &mut [u8]| {
        for (to, from) in buffer.iter_mut().zip(random.iter()) {
            *to = *from;
        }
    };
    if let Some(PinKey::Aes(aes)) = key {
        return Ok(hsm_pinblock::encipher_iso4(pin, card.pan()?, aes, &mut fill).to_vec());
    }
    let clear = hsm_pinblock::encode(format, pin, &card.context(), &mut fill);
    let mut block = clear.map_err(|e| usage(format!("{format}: {e}")))?.as_bytes().to_vec();
    if let Some(PinKey::Des(cipher)) = key {
        cipher.ecb_encrypt(&mut block)?;
    }
    Ok(block)
}
