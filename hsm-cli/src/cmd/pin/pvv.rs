//! `hsm pin pvv`.

use super::inputs::{self, AccountArgs, PvkArgs};
use crate::facts::Facts;
use crate::lmks::Lmks;
use hsm_core::pin_verify;
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
    /// PIN of 4 to 12 digits; - reads it from standard input
    #[arg(long)]
    pin: String,

    #[command(flatten)]
    pvk: PvkArgs,

    #[command(flatten)]
    account: AccountArgs,

    /// PVK indicator, 0 to 9
    #[arg(long, value_name = "DIGIT", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=9))]
    pvki: u8,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm pin pvv`.
pub(super) fn run(args: &Args, lmks: &Lmks) -> anyhow::Result<ExitCode> {
    let pin = inputs::pin(&args.pin)?;
    let pvk = args.pvk.read_pair(lmks)?;
    let pvv = pin_verify::pvv(&pvk, &args.account.needed()?, args.pvki, pin.digits())?;
    let mut facts = Facts::default();
    facts.add("pvv", inputs::text(&pvv)).add("pvki", args.pvki.to_string());
    facts.print(args.json)?;
    Ok(ExitCode::SUCCESS)
}
