//! `hsm pin offset`.

use super::inputs::{self, IbmArgs, PinArgs, PvkArgs};
use crate::facts::Facts;
use hsm_core::pin_verify::Offset;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Prints the offset as host commands have it, 12 characters, and the natural PIN. Where several values are -, each takes a line
of standard input: PIN, PVK.

Examples:
  hsm pin offset --pin 5635 --pvk 0123456789ABCDEFFEDCBA9876543210 --table 1234567890123456 --data 1122334455667788
  echo 1234 | hsm pin offset --pin - --pvk U1750CDFB0757D3B3994430636DBB281B --account 400000123456 --data 40000012345N";

/// Compute the IBM 3624 offset of a PIN
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    pin: PinArgs,

    #[command(flatten)]
    pvk: PvkArgs,

    #[command(flatten)]
    ibm: IbmArgs,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm pin offset`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let pin = args.pin.read()?;
    let natural = args.ibm.natural(&args.pvk)?;
    let offset = Offset::of_pin(&natural, pin.digits())?;
    let mut facts = Facts::default();
    facts.add("offset", String::from_utf8_lossy(&offset.to_field()));
    facts.add("natural pin", inputs::text(natural.get(..pin.len()).unwrap_or_default()));
    facts.print(args.json)?;
    Ok(ExitCode::SUCCESS)
}
