//! `hsm plugin`: plugins listed, checked, created and built.

mod build;
mod check;
mod create;
mod list;

use clap::Subcommand;
use hsm_server::PluginInfo;
use serde_json::{Value, json};
use std::process::ExitCode;

const AFTER_HELP: &str = "\
From nothing to a running command:
  hsm plugin create ZX --desc 'Say hello' --version 0.1.0 --author 'Me <me@example.com>' --path hello
  hsm plugin build hello
  hsm serve --plugin-dir hello/plugins";

/// List, check, create and build plugins
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Args),
    Check(check::Args),
    Create(create::Args),
    Build(build::Args),
}

/// Runs `hsm plugin`.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::List(args) => list::run(args),
        Command::Check(args) => check::run(args),
        Command::Create(args) => create::run(args),
        Command::Build(args) => build::run(args),
    }
}

/// A plugin as scripts want it.
fn as_json(info: &PluginInfo) -> Value {
    json!({
        "code": info.code_text(),
        "title": info.title,
        "version": info.version,
        "author": info.author,
        "description": info.description,
        "origin": info.origin,
        "bytes": info.size,
        "imports": info.imports,
        "slow": info.slow,
    })
}
