//! `hsm pinblock translate`.

use super::cards::{self, CardArgs};
use super::{decode, encode};
use crate::lmks::Lmks;
use crate::{output, secret, wire};
use hsm_core::key_type::KeyType;
use hsm_pinblock::Format;
use serde_json::json;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Reads the PIN under one key and format and makes a block of it under the other, as host commands CA and CC do; the PIN is not
shown. Keys are DES or TDES, for ISO-4 AES: clear digits, or a cryptogram or key block under an LMK.
Where several values are -, each takes a line of standard input: block, UDK-A, old PIN, source key, destination key.
Exit codes: 0 translated, 1 the block is none of its format, 2 wrong usage.

Example:
  hsm pinblock translate --block 6428EB94035AF53B --from-format 01 --to-format 01 --account 550000025321 \\
      --from-key U8463435FC4B4DAA0C49025272C29B12C --from-type TPK \\
      --to-key U1EF828AA8F6B80EB83E19FBC373F3A85 --to-type ZPK";

/// Translate a PIN block to another key and format
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Block in hexadecimal; - reads it from standard input
    #[arg(long, value_name = "HEX")]
    block: String,

    /// Format of the block: Thales code or name, as `hsm pinblock formats` lists them
    #[arg(long, value_name = "FORMAT", value_parser = cards::format)]
    from_format: Format,

    /// Format to translate to
    #[arg(long, value_name = "FORMAT", value_parser = cards::format)]
    to_format: Format,

    /// Key that the block is enciphered with: clear, or under an LMK; - reads it from standard input
    #[arg(long, value_name = "KEY")]
    from_key: String,

    /// Key to encipher the block with: clear, or under an LMK; - reads it from standard input
    #[arg(long, value_name = "KEY")]
    to_key: String,

    /// Key type of a source cryptogram, code or name [default: ZPK or TPK, whichever gives odd parity]
    #[arg(long, value_name = "TYPE", value_parser = crate::keys::key_type)]
    from_type: Option<KeyType>,

    /// Key type of a destination cryptogram [default: ZPK or TPK likewise]
    #[arg(long, value_name = "TYPE", value_parser = crate::keys::key_type)]
    to_type: Option<KeyType>,

    /// LMK of cryptograms and key blocks [default: 00, or the one that suits the block]
    #[arg(long, value_name = "ID")]
    lmk: Option<u8>,

    #[command(flatten)]
    card: CardArgs,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm pinblock translate`.
pub(super) fn run(args: &Args, lmks: &Lmks) -> anyhow::Result<ExitCode> {
    let (from, to) = (args.from_format, args.to_format);
    let block = secret::hex("block", &secret::get("block", &args.block)?)?;
    let card = args.card.read()?;
    let from_key = secret::get("source key", &args.from_key)?;
    let from_key = cards::pin_key(lmks, "source key", from, &from_key, args.from_type, args.lmk)?;
    let to_key = secret::get("destination key", &args.to_key)?;
    let to_key = cards::pin_key(lmks, "destination key", to, &to_key, args.to_type, args.lmk)?;

    let pin = decode::read(from, &block, &card, Some(&from_key))?;
    let block = wire::hex(&encode::encode(to, &pin, &card, Some(&to_key))?);
    if args.json {
        output::json(&json!({
            "from_format": from.name(),
            "from_code": from.thales_code(),
            "format": to.name(),
            "code": to.thales_code(),
            "block": block,
        }))?;
    } else {
        output::text(&block)?;
    }
    Ok(ExitCode::SUCCESS)
}
