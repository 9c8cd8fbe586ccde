//! `hsm plugin build`: a plugin project compiled, checked and put where a server finds it.

use super::check;
use crate::{exit, output};
use anyhow::{Context, bail};
use hsm_server::Limits;
use serde_json::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

const TARGET: &str = "wasm32-unknown-unknown";

const AFTER_HELP: &str = "\
Runs cargo in the project, then checks each module as the server would before it is copied.

Example:
  hsm plugin build hello";

/// Compile a plugin project
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Directory of the project
    #[arg(default_value = ".", value_name = "DIR")]
    dir: PathBuf,

    /// Directory for the modules [default: plugins in the project]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs `hsm plugin build`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if !args.dir.join("Cargo.toml").is_file() {
        bail!("{} is no cargo project: there is no Cargo.toml", args.dir.display());
    }
    need_target(&args.dir)?;
    let modules = compile(&args.dir)?;
    if modules.is_empty() {
        bail!("cargo built no module: has the project a binary that uses the command! macro?");
    }
    let out = args.out.clone().unwrap_or_else(|| args.dir.join("plugins"));
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let mut result = ExitCode::SUCCESS;
    for module in modules {
        let info = match check::check(&module, &Limits::default()) {
            Ok(info) => info,
            Err(reason) => {
                exit::report(&format!("{}: refused: {reason}", module.display()));
                result = ExitCode::FAILURE;
                continue;
            }
        };
        let to = out.join(module.file_name().unwrap_or(module.as_os_str()));
        replace(&module, &to).with_context(|| format!("cannot write {}", to.display()))?;
        output::text(&format!("{}: {} {} ({} bytes)", to.display(), info.code_text(), info.title, info.size))?;
    }
    Ok(result)
}

/// Says what is missing before cargo says it in its own way.
fn need_target(dir: &Path) -> anyhow::Result<()> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let output = Command::new(&rustc)
        .current_dir(dir)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .context("cannot run rustc; install Rust from https://rustup.rs")?;
    let libdir = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() || !Path::new(&libdir).is_dir() {
        bail!("the target {TARGET} is not installed; install it with: rustup target add {TARGET}");
    }
    Ok(())
}

/// Runs cargo and returns the modules that it names.
fn compile(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let output = Command::new(cargo)
        .current_dir(dir)
        .args(["build", "--release", "--bins", "--target", TARGET, "--message-format", "json-render-diagnostics"])
        // Flags for the host's programs do not hold for guests, and would hide those of the project.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo; install Rust from https://rustup.rs")?;
    if !output.status.success() {
        bail!("cargo failed; the messages above say why");
    }
    let mut modules = Vec::new();
    for line in output.stdout.split(|c| *c == b'\n') {
        let Ok(message) = serde_json::from_slice::<Value>(line) else { continue };
        if message["reason"] != "compiler-artifact" {
            continue;
        }
        let files = message["filenames"].as_array().into_iter().flatten().filter_map(Value::as_str).map(PathBuf::from);
        modules.extend(files.filter(|file| file.extension().is_some_and(|extension| extension == "wasm")));
    }
    Ok(modules)
}

/// Copies in one step, so that a server that reloads never sees half a module.
fn replace(from: &Path, to: &Path) -> std::io::Result<()> {
    let part = to.with_extension("wasm.part");
    fs::copy(from, &part)?;
    fs::rename(&part, to)
}
