//! `hsm pin pvv`.

use super::inputs::{self, PinArgs, PvkArgs, VisaArgs};
use crate::facts::Facts;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Of the PIN the first four digits count, of the account field the last 11. Where several values are -, each takes a line of
standard input: PIN, PVK.

Examples:
  hsm pin pvv --pin 2512 --pvk 0123456789ABCDEF0123456789ABCDEF --account 345513804937 --pvki 1
  echo 1234 | hsm pin pvv --pin - --pvk U1750CDFB0757D3B3994430636DBB281B --pan 4000001234562";

/// Compute the Visa PIN verification value of a PIN
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    pin: PinArgs,

    #[command(flatten)]
    pvk: PvkArgs,

    #[command(flatten)]
    visa: VisaArgs,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm pin pvv`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let pin = args.pin.read()?;
    let pvv = args.visa.method(&args.pvk)?(pin.digits())?;
    let mut facts = Facts::default();
    facts.add("pvv", inputs::text(&pvv)).add("pvki", args.visa.pvki.to_string());
    facts.print(args.json)?;
    Ok(ExitCode::SUCCESS)
}
