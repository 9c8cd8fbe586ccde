//! `hsm pin derive`.

use super::inputs::{self, MethodArgs};
use crate::facts::Facts;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
By IBM 3624 the PIN follows from the offset; without --offset the natural PIN is given. A PVV does not tell the PIN: with --pvv
every PIN of four digits that has it is listed, about one in 10 000. For tests only.

Examples:
  hsm pin derive --offset 1111 --pvk 0123456789ABCDEFFEDCBA9876543210 --table 1234567890123456 --data 1122334455667788
  hsm pin derive --pvv 2677 --pvk 0123456789ABCDEF0123456789ABCDEF --account 345513804937";

/// Derive the PIN of an offset, or the PINs of a PVV
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    method: MethodArgs,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm pin derive`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut facts = Facts::default();
    if let Some(pvv) = args.method.pvv {
        let pvv_of = args.method.visa.method(&args.method.pvk)?;
        let mut pins = Vec::new();
        for number in 0..10_000u16 {
            let pin = [number / 1000, number / 100 % 10, number / 10 % 10, number % 10].map(|digit| digit as u8);
            if pvv_of(&pin)? == pvv {
                pins.push(inputs::text(&pin));
            }
        }
        let none = pins.is_empty();
        facts.line("pins", if none { "none: no PIN of four digits has this PVV".to_owned() } else { pins.join(" ") });
        facts.json("pins", pins.into());
        facts.print(args.json)?;
        return Ok(if none { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    let offset = match args.method.offset {
        Some(offset) => offset,
        None => inputs::offset("0000").map_err(crate::exit::usage)?,
    };
    let natural = args.method.ibm.natural(&args.method.pvk)?;
    let pin = offset.to_pin(&natural).map_err(|e| crate::exit::usage(format!("--offset: {e}")))?;
    facts.add("pin", inputs::text(&pin)).add("natural pin", inputs::text(natural.get(..pin.len()).unwrap_or_default()));
    facts.print(args.json)?;
    Ok(ExitCode::SUCCESS)
}
