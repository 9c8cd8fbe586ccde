//! `hsm pinblock encode`.

use super::cards::{self, CardArgs, PinKey};
use crate::exit::usage;
use crate::secret;
use crate::{output, wire};
use anyhow::Context as _;
use hsm_pinblock::{Format, Pin};
use serde_json::json;
use std::process::ExitCode;
use zeroize::Zeroizing;

const AFTER_HELP: &str = "\
Prints the block in hexadecimal: clear, or enciphered where --key is given. Where several values are -, each takes a line of
standard input: PIN, UDK-A, old PIN, key.

Examples:
  hsm pinblock encode --pin 1234 --pan 4000001234562 --format ISO-0
  echo 1234 | hsm pinblock encode --pin - --account 400000123456 --format 47
  hsm pinblock encode --pin 1234 --pan 4000001234562 --format 48 --key 000102030405060708090A0B0C0D0E0F";

/// Make a PIN block
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) options: Options,

    #[command(flatten)]
    pub(super) card: CardArgs,
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

    /// Clear DES, TDES or (ISO-4) AES key to encipher the block with; - reads it from standard input
    #[arg(long, value_name = "HEX")]
    key: Option<String>,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm pinblock encode`.
pub(super) fn run(args: &Options, card: &CardArgs) -> anyhow::Result<ExitCode> {
    let pin = secret::get("PIN", &args.pin)?;
    let pin = Pin::from_digits(pin.as_bytes()).map_err(|e| usage(format!("--pin: {e}")))?;
    let card = card.read()?;
    let key = secret::get_optional("key", args.key.as_deref())?;
    let key = key.map(|key| PinKey::new(args.format, &key)).transpose()?;

    let mut random = Zeroizing::new([0; 8]);
    getrandom::fill(&mut *random).context("the system gives no random numbers")?;
    let mut fill = |buffer: &mut [u8]| {
        for (to, from) in buffer.iter_mut().zip(random.iter()) {
            *to = *from;
        }
    };
    let block = match &key {
        Some(PinKey::Aes(aes)) => hsm_pinblock::encipher_iso4(&pin, card.pan()?, aes, &mut fill).to_vec(),
        _ => {
            let clear = hsm_pinblock::encode(args.format, &pin, &card.context(), &mut fill);
            let mut block = clear.map_err(|e| usage(format!("{}: {e}", args.format)))?.as_bytes().to_vec();
            if let Some(PinKey::Des(cipher)) = &key {
                cipher.ecb_encrypt(&mut block)?;
            }
            block
        }
    };
    let block = wire::hex(&block);
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
