//! `hsm plugin check`.

use super::as_json;
use crate::{exit, output};
use hsm_plugin_sdk::abi;
use hsm_server::{Limits, LoadError, PluginInfo, PluginSet};
use serde_json::json;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const AFTER_HELP: &str = "\
A plugin is checked as the server does when it loads it, and started once. What it imports is all that it can do.
Exit codes: 0 all are good, 1 one is refused.

Example:
  hsm plugin check hello/plugins/zx.wasm";

/// Check plugin files: metadata, capabilities, limits, or why they are refused
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Plugin files (.wasm)
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm plugin check`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let limits = Limits::default();
    let checked: Vec<_> = args.files.iter().map(|file| (file.display().to_string(), check(file, &limits))).collect();
    if args.json {
        let objects = checked.iter().map(|(file, result)| match result {
            Ok(info) => json!({"file": file, "ok": true, "plugin": as_json(info)}),
            Err(reason) => json!({"file": file, "ok": false, "reason": reason}),
        });
        output::json(&json!(objects.collect::<Vec<_>>()))?;
    } else {
        for (file, result) in &checked {
            match result {
                Ok(info) => output::text(&describe(file, info, &limits))?,
                Err(reason) => output::text(&format!("{file}: refused: {reason}"))?,
            }
        }
    }
    let refused = checked.iter().filter(|(_, result)| result.is_err()).count();
    if refused > 0 {
        exit::report(&format!("{refused} of {} plugins refused", checked.len()));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Checks one file as the server would.
pub(super) fn check(file: &Path, limits: &Limits) -> Result<PluginInfo, String> {
    let wasm = read(file, limits).map_err(|e| e.to_string())?;
    let origin = file.display().to_string();
    // Some reasons have many lines.
    let reason = |e: LoadError| e.error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    let set = PluginSet::from_modules([(origin, wasm)], limits).map_err(reason)?;
    set.try_own().map_err(reason)?;
    set.infos().next().cloned().ok_or_else(|| "there is no command in it".to_owned())
}

/// Reads a file, but not much more of it than a module may have.
fn read(file: &Path, limits: &Limits) -> std::io::Result<Vec<u8>> {
    let mut wasm = Vec::new();
    File::open(file)?.take(limits.module_size as u64 + 1).read_to_end(&mut wasm)?;
    Ok(wasm)
}

fn describe(file: &str, info: &PluginInfo, limits: &Limits) -> String {
    let mut out = format!("{file}: good\n");
    for (name, value) in [
        ("command", format!("{} ({})", info.code_text(), info.title)),
        ("version", info.version.clone()),
        ("author", info.author.clone()),
        ("description", info.description.clone()),
        ("size", format!("{} of {} bytes", info.size, limits.module_size)),
        ("memory", format!("at most {} KiB", 64 * limits.memory_pages)),
        ("time", format!("at most {} instructions and {} ms per request", limits.fuel, limits.deadline.as_millis())),
        (
            "runs",
            if info.slow { "on a worker, since it can take milliseconds" } else { "in the event loop" }.to_owned(),
        ),
        (
            "may",
            if info.imports.is_empty() { "compute only: it imports nothing" } else { "use these operations:" }
                .to_owned(),
        ),
    ] {
        out += &format!("  {name:<12} {value}\n");
    }
    for import in &info.imports {
        let summary = abi::operations().find(|op| op.name == *import).map_or("", |op| op.summary);
        // Summaries are documentation: their links mean nothing here.
        out += &format!("    {import:<22} {}\n", summary.replace("[`", "").replace("`]", ""));
    }
    out
}
