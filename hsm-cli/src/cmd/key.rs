//! `hsm key`: keys made, moved, taken apart, explained.

mod check;
mod component;
mod export;
mod form;
mod generate;
mod import;
mod inspect;
mod translate;
mod types;
mod wrapping;

pub(super) use inspect::{Show, wrapping_keys};

use crate::lmks::{LmkArgs, Lmks};
use clap::Subcommand;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Examples:
  hsm key generate --type ZPK
  hsm key inspect U9B4934384B19946B040CD702B4D58145
  hsm key check --type CVK --key U9B4934384B19946B040CD702B4D58145";

/// Make, move, check and explain keys
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
    Generate(generate::Args),
    Import(import::Args),
    Export(export::Args),
    Component(component::Args),
    Form(form::Args),
    Translate(translate::Args),
    Check(check::Args),
    Inspect(inspect::Args),
    Types(types::Args),
}

/// Runs `hsm key`.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let lmks = &Lmks::new(&args.lmks);
    match &args.command {
        Command::Generate(args) => generate::run(args, lmks),
        Command::Import(args) => import::run(args, lmks),
        Command::Export(args) => export::run(args, lmks),
        Command::Component(args) => component::run(args, lmks),
        Command::Form(args) => form::run(args, lmks),
        Command::Translate(args) => translate::run(args, lmks),
        Command::Check(args) => check::run(args, lmks),
        Command::Inspect(args) => inspect::run(args, lmks),
        Command::Types(args) => types::run(args),
    }
}
