//! `hsm pinblock`: PIN blocks made, read and listed.

mod cards;
mod decode;
mod encode;
mod formats;

use clap::Subcommand;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Without a subcommand the options are those of `hsm pinblock encode`.

Examples:
  hsm pinblock --pin 1234 --pan 4000001234562 --format ISO-0
  hsm pinblock decode --block 041274FFFFEDCBA9 --pan 4000001234562 --format 01
  hsm pinblock formats";

/// Make and read PIN blocks
#[derive(Debug, clap::Args)]
#[command(
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    arg_required_else_help = true
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    encode: Option<encode::Options>,

    #[command(flatten)]
    card: cards::CardArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    Encode(encode::Args),
    Decode(decode::Args),
    Formats(formats::Args),
}

/// Runs `hsm pinblock`.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match (&args.command, &args.encode) {
        (Some(Command::Encode(args)), _) => encode::run(&args.options, &args.card),
        (None, Some(options)) => encode::run(options, &args.card),
        (Some(Command::Decode(args)), _) => decode::run(args),
        (Some(Command::Formats(args)), _) => formats::run(args),
        (None, None) => Err(crate::exit::usage("say --pin and --format, or one of encode, decode and formats")),
    }
}
