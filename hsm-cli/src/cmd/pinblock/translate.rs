//! `hsm pinblock translate`.

use super::cards::{self, CardArgs, GivenKey};
use super::{decode, encode};
use crate::exit::report;
use crate::keys::NamedType;
use crate::lmks::LmkArgs;
use crate::{output, secret, wire};
use hsm_pinblock::{Format, Translation};
use serde_json::json;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Reads the PIN under one key and format and makes a block of it under the other, as host commands CA and CC do; the PIN is not
shown. Keys are DES or TDES, for ISO-4 AES: clear digits, or cryptograms or key blocks under an LMK; a block without key is
clear. One account number serves both formats; with format 04 its field has 18 characters, and ISO-4 needs --pan.
Where several values are -, each takes a line of standard input: block, UDK-A, old PIN, source key, destination key.
Exit codes: 0 translated, 1 the block is none of its format or a key does not open, 2 wrong usage.

Examples:
  hsm pinblock translate --block 6428EB94035AF53B --from-format 01 --to-format 47 --account 550000025321 \\
      --from-key U8463435FC4B4DAA0C49025272C29B12C --from-type TPK \\
      --to-key U1EF828AA8F6B80EB83E19FBC373F3A85 --to-type ZPK
  hsm pinblock translate --block 041274FFFFEDCBA9 --from-format 01 --to-format 48 --pan 4000001234562 \\
      --to-key 000102030405060708090A0B0C0D0E0F --json";

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

    /// Key of the block: clear, or under an LMK; - reads it from standard input [default: the block is clear]
    #[arg(long, value_name = "KEY")]
    from_key: Option<String>,

    /// Key type of a source cryptogram, code or name [default: ZPK or TPK, whichever gives odd parity]
    #[arg(long, value_name = "TYPE")]
    from_type: Option<NamedType>,

    /// Format to translate to
    #[arg(long, value_name = "FORMAT", value_parser = cards::format)]
    to_format: Format,

    /// Key of the new block: clear, or under an LMK; - reads it from standard input [default: the block is clear]
    #[arg(long, value_name = "KEY")]
    to_key: Option<String>,

    /// Key type of a destination cryptogram, code or name [default: ZPK or TPK likewise]
    #[arg(long, value_name = "TYPE")]
    to_type: Option<NamedType>,

    #[command(flatten)]
    card: CardArgs,

    #[command(flatten)]
    lmk: LmkArgs,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm pinblock translate`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (from, to) = (args.from_format, args.to_format);
    let block = secret::hex("block", &secret::get("block", &args.block)?)?;
    let card = args.card.read()?;
    let lmks = &args.lmk.lmks();
    let open = |name, argument: &Option<String>, key_type, format| {
        let text = secret::get_optional(name, argument.as_deref())?;
        GivenKey { name, text, key_type, lmks }.open(format)
    };
    let from_key = open("source key", &args.from_key, args.from_type, from)?;
    let to_key = open("destination key", &args.to_key, args.to_type, to)?;

    let pin = decode::pin(from, &block, &card, &from_key)?;
    let block = wire::hex(&encode::encode(to, &pin, &card, &to_key)?);
    let pci = from.pci_translation(to);
    if args.json {
        output::json(&json!({
            "from_format": from.name(),
            "from_code": from.thales_code(),
            "format": to.name(),
            "code": to.thales_code(),
            "block": block,
            "pci_allowed": pci != Translation::Forbidden,
        }))?;
    } else {
        output::text(&block)?;
    }
    if pci == Translation::Forbidden {
        report(&format!(
            "note: PCI PIN does not allow {from} to {to}; an HSM that is restricted to what it allows answers 23"
        ));
    }
    Ok(ExitCode::SUCCESS)
}
