//! `hsm key`: keys and key types.

mod check;
mod types;

use clap::Subcommand;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Examples:
  hsm key types
  hsm key check --type CVK --key U9B4934384B19946B040CD702B4D58145";

/// Check keys and list key types
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Args),
    Types(types::Args),
}

/// Runs `hsm key`.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Check(args) => check::run(args),
        Command::Types(args) => types::run(args),
    }
}
