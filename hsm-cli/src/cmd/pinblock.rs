//! `hsm pinblock`: PIN blocks made, read, translated and listed.

mod cards;
mod decode;
mod encode;
mod formats;
mod translate;

use clap::Subcommand;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Without a subcommand the options are those of `hsm pinblock encode`.

Examples:
  hsm pinblock --pin 1234 --pan 4000001234562 --format ISO-0
  hsm pinblock decode --block 041274FFFFEDCBA9 --pan 4000001234562 --format 01
  hsm pinblock translate --block 6428EB94035AF53B --from-format 01 --to-format 01 --account 550000025321 \\
      --from-key U8463435FC4B4DAA0C49025272C29B12C --to-key U1EF828AA8F6B80EB83E19FBC373F3A85
  hsm pinblock formats";

/// Make, read and translate PIN blocks
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
    what: Option<encode::What>,

    #[command(flatten)]
    with: encode::With,
}

#[derive(Debug, Subcommand)]
enum Command {
    Encode(encode::Args),
    Decode(decode::Args),
    Translate(translate::Args),
    Formats(formats::Args),
}

/// Runs `hsm pinblock`.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match (&args.command, &args.what) {
        (Some(Command::Encode(args)), _) => encode::run(args),
        (Some(Command::Decode(args)), _) => decode::run(args),
        (Some(Command::Translate(args)), _) => translate::run(args),
        (Some(Command::Formats(args)), _) => formats::run(args),
        (None, Some(what)) => encode::make(what, &args.with),
        (None, None) => {
            Err(crate::exit::usage("say --pin and --format, or one of encode, decode, translate and formats"))
        }
    }
}
