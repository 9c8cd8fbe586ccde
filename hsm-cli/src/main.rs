//! The `hsm` command: server, client and tools of the HSM emulator.
//!
//! Thin by intent: each subcommand is a file of `cmd` that parses its arguments, calls the crates and prints. What is asked
//! for goes to standard output, everything else to standard error.

mod cmd;
mod exit;
mod facts;
mod keys;
mod lmks;
mod output;
mod parse;
mod secret;
mod terminal;
mod wire;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Exit codes: 0 success, 1 failure, 2 wrong usage, 3 the HSM answered another error code than expected.

Example:
  hsm serve        # in one terminal
  hsm send NC      # in another";

/// An emulator of a payment HSM, and tools around it.
///
/// For tests only: it comes with the published test LMKs and protects nothing.
#[derive(Debug, Parser)]
#[command(name = "hsm", version, propagate_version = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<cmd::serve::Args>),
    Send(cmd::send::Args),
    Bench(cmd::bench::Args),
    Plugin(cmd::plugin::Args),
    Pinblock(Box<cmd::pinblock::Args>),
    Key(Box<cmd::key::Args>),
    Keyblock(Box<cmd::keyblock::Args>),
    Pin(Box<cmd::pin::Args>),
    Dukpt(cmd::dukpt::Args),
    Lmk(cmd::lmk::Args),
    Config(cmd::config::Args),
    Ctl(cmd::ctl::Args),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::for_arguments(&error),
    };
    let result = match cli.command {
        Command::Serve(args) => cmd::serve::run(&args),
        Command::Send(args) => cmd::send::run(&args),
        Command::Bench(args) => cmd::bench::run(&args),
        Command::Plugin(args) => cmd::plugin::run(&args),
        Command::Pinblock(args) => cmd::pinblock::run(&args),
        Command::Key(args) => cmd::key::run(&args),
        Command::Lmk(args) => cmd::lmk::run(&args),
        Command::Config(args) => cmd::config::run(&args),
        Command::Ctl(args) => cmd::ctl::run(&args),
        Command::Keyblock(args) => cmd::keyblock::run(&args),
        Command::Pin(args) => cmd::pin::run(&args),
        Command::Dukpt(args) => cmd::dukpt::run(&args),
    };
    result.unwrap_or_else(|error| exit::for_failure(&error))
}
