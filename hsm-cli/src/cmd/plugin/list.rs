//! `hsm plugin list`.

use super::as_json;
use crate::output;
use hsm_server::{Limits, PluginSet};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
CAPABILITIES are the host operations that a plugin imports: all that it can do.

Example:
  hsm plugin list --json";

/// List the commands that a server would have
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Directory of plugins that add commands or replace bundled ones
    #[arg(long, env = "HSM_PLUGIN_DIR", value_name = "DIR")]
    plugin_dir: Option<PathBuf>,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm plugin list`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let set = PluginSet::load(args.plugin_dir.as_deref(), &Limits::default())?;
    if args.json {
        output::json(&json!(set.infos().map(as_json).collect::<Vec<_>>()))?;
    } else {
        let rows: Vec<_> = set
            .infos()
            .map(|info| {
                [
                    info.code_text(),
                    info.title.clone(),
                    info.version.clone(),
                    info.origin.clone(),
                    if info.imports.is_empty() { "none".to_owned() } else { info.imports.join(" ") },
                ]
            })
            .collect();
        output::text(&output::table(["CODE", "TITLE", "VERSION", "ORIGIN", "CAPABILITIES"], &rows))?;
    }
    Ok(ExitCode::SUCCESS)
}
