//! `hsm pin`: PINs, offsets and verification values.

mod derive;
mod inputs;
mod offset;
mod oracle;
mod pvv;
mod verify;

use crate::lmks::{LmkArgs, Lmks};
use clap::Subcommand;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Examples:
  hsm pin offset --pin 5635 --pvk 0123456789ABCDEFFEDCBA9876543210 --table 1234567890123456 --data 1122334455667788
  hsm pin pvv --pin 2512 --pvk 0123456789ABCDEF0123456789ABCDEF --account 345513804937 --pvki 1
  hsm pin oracle --block CB4EBC0180DFED6E --key 0123456789ABCDEFFEDCBA9876543210 --account 345513804937";

/// Compute and verify offsets and PVVs, look into PIN blocks
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    lmks: LmkArgs,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Offset(offset::Args),
    Pvv(pvv::Args),
    Verify(verify::Args),
    Derive(derive::Args),
    Oracle(oracle::Args),
}

/// Runs `hsm pin`.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let lmks = &Lmks::new(&args.lmks);
    match &args.command {
        Command::Offset(args) => offset::run(args, lmks),
        Command::Pvv(args) => pvv::run(args, lmks),
        Command::Verify(args) => verify::run(args, lmks),
        Command::Derive(args) => derive::run(args, lmks),
        Command::Oracle(args) => oracle::run(args),
    }
}
