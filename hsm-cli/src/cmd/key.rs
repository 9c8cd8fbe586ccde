//! `hsm key`: keys made, moved, taken apart, explained.

mod check;
mod component;
mod export;
mod form;
mod generate;
mod import;
mod inputs;
mod inspect;
mod translate;
mod types;
mod wrapping;

pub(super) use inspect::{Show, wrapping_keys};

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
    match &args.command {
        Command::Generate(args) => generate::run(args),
        Command::Import(args) => import::run(args),
        Command::Export(args) => export::run(args),
        Command::Component(args) => component::run(args),
        Command::Form(args) => form::run(args),
        Command::Translate(args) => translate::run(args),
        Command::Check(args) => check::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Types(args) => types::run(args),
    }
}
