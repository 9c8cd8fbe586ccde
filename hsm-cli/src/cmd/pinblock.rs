//! `hsm pinblock`: PIN blocks made, read, translated and listed.

mod cards;
mod decode;
mod encode;
mod formats;
mod translate;

use crate::lmks::{LmkArgs, Lmks};
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
    encode: Option<encode::Options>,

    #[command(flatten)]
    card: cards::CardArgs,

    #[command(flatten)]
    key: cards::KeyArgs,

    #[command(flatten)]
    lmks: LmkArgs,
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
    let lmks = &Lmks::new(&args.lmks);
    match (&args.command, &args.encode) {
        (Some(Command::Encode(args)), _) => encode::run(&args.options, &args.card, &args.key, lmks),
        (None, Some(options)) => encode::run(options, &args.card, &args.key, lmks),
        (Some(Command::Decode(args)), _) => decode::run(args, lmks),
        (Some(Command::Translate(args)), _) => translate::run(args, lmks),
        (Some(Command::Formats(args)), _) => formats::run(args),
        (None, None) => {
            Err(crate::exit::usage("say --pin and --format, or one of encode, decode, translate and formats"))
        }
    }
}
