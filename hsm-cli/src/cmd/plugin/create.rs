//! `hsm plugin create`: a project for one command.

use crate::exit::usage;
use crate::output;
use anyhow::{Context, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const AFTER_HELP: &str = "\
The project stands outside any workspace and is never written over something that exists. Without --sdk-path and
--sdk-version it depends on the sources that this program was built from, or on its version if they are gone.

Example:
  hsm plugin create ZX --desc 'Say hello' --version 0.1.0 --author 'Me <me@example.com>' --path hello";

/// Files of a project and what they are made from.
const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../../templates/Cargo.toml.in")),
    ("src/main.rs", include_str!("../../../templates/main.rs.in")),
    (".cargo/config.toml", include_str!("../../../templates/config.toml.in")),
    (".gitignore", include_str!("../../../templates/gitignore.in")),
    ("README.md", include_str!("../../../templates/README.md.in")),
];

/// Create a project for a plugin
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, disable_version_flag = true)]
pub(super) struct Args {
    /// Command code: two upper-case letters or digits
    #[arg(value_name = "CODE", value_parser = code)]
    code: String,

    /// What the command does, in one line
    #[arg(long, value_name = "TEXT", value_parser = line)]
    desc: String,

    /// Version of the plugin, such as 0.1.0
    #[arg(long, value_name = "VERSION", value_parser = version)]
    version: String,

    /// Author of the plugin
    #[arg(long, value_name = "NAME", value_parser = line)]
    author: String,

    /// Directory to make [default: hsm-plugin- and the code]
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,

    /// Depend on the SDK in this directory
    #[arg(long, value_name = "DIR", conflicts_with = "sdk_version")]
    sdk_path: Option<PathBuf>,

    /// Depend on this version of the SDK from the crate registry
    #[arg(long, value_name = "VERSION", value_parser = version)]
    sdk_version: Option<String>,
}

/// Runs `hsm plugin create`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let name = format!("hsm-plugin-{}", args.code.to_ascii_lowercase());
    let root = args.path.clone().unwrap_or_else(|| PathBuf::from(&name));
    let sdk = Sdk::of(args)?;
    let fill = |template: &str| {
        template
            .replace("{{name}}", &name)
            .replace("{{bin}}", &args.code.to_ascii_lowercase())
            .replace("{{code}}", &args.code)
            .replace("{{desc}}", &quoted(&args.desc))
            .replace("{{desc_text}}", &args.desc)
            .replace("{{version}}", &args.version)
            .replace("{{author}}", &quoted(&args.author))
            .replace("{{sdk}}", &sdk.dependency("hsm-plugin-sdk"))
            .replace("{{core}}", &sdk.dependency("hsm-core"))
    };
    write(&root, fill)?;
    let shown = root.display();
    output::text(&format!(
        "created {shown}, which depends on {}\n\n\
         Next:\n  (cd {shown} && cargo test)\n  hsm plugin build {shown}\n  hsm serve --plugin-dir {shown}/plugins",
        sdk.shown()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Makes the directory, which must not exist, and the files in it.
fn write(root: &Path, fill: impl Fn(&str) -> String) -> anyhow::Result<()> {
    if root.symlink_metadata().is_ok() {
        bail!("{} exists; nothing was written", root.display());
    }
    if let Some(parent) = root.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    // Fails if somebody was quicker.
    fs::create_dir(root).with_context(|| format!("cannot make {}", root.display()))?;
    for (name, template) in FILES {
        let file = root.join(name);
        let context = || format!("cannot write {}", file.display());
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).with_context(context)?;
        }
        fs::write(&file, fill(template)).with_context(context)?;
    }
    Ok(())
}

/// Where a project gets the SDK from.
enum Sdk {
    /// A directory with the SDK's sources.
    Path(PathBuf),
    /// The crate registry.
    Version(String),
}

impl Sdk {
    fn of(args: &Args) -> anyhow::Result<Self> {
        if let Some(version) = &args.sdk_version {
            return Ok(Self::Version(version.clone()));
        }
        if let Some(path) = &args.sdk_path {
            let sdk = path.canonicalize().ok().filter(|path| path.join("Cargo.toml").is_file());
            return sdk.map(Self::Path).ok_or_else(|| usage(format!("--sdk-path: no crate in {}", path.display())));
        }
        let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hsm-plugin-sdk");
        Ok(match built_from.canonicalize() {
            Ok(path) if path.join("Cargo.toml").is_file() => Self::Path(path),
            _ => Self::Version(env!("CARGO_PKG_VERSION").to_owned()),
        })
    }

    /// How Cargo.toml says it, for the SDK and for crates beside it.
    fn dependency(&self, crate_name: &str) -> String {
        match self {
            Self::Path(path) => {
                let path = path.with_file_name(crate_name);
                format!("{{ path = {} }}", quoted(&path.display().to_string()))
            }
            Self::Version(version) => quoted(version),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Path(path) => format!("the SDK in {}", path.display()),
            Self::Version(version) => format!("version {version} of the SDK in the crate registry"),
        }
    }
}

/// A string as TOML and Rust both read it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn code(text: &str) -> Result<String, String> {
    if text.len() == 2 && text.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err("a command code is two upper-case letters or digits".to_owned())
    }
}

fn line(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("must not be empty".to_owned()),
        line if line.chars().any(char::is_control) => Err("must be one line".to_owned()),
        line => Ok(line.to_owned()),
    }
}

fn version(text: &str) -> Result<String, String> {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    let number = |part: &&str| !part.is_empty() && part.len() < 10 && part.bytes().all(|c| c.is_ascii_digit());
    let tail = text[core.len()..].bytes().all(|c| c.is_ascii_alphanumeric() || b".-+".contains(&c));
    if numbers.len() == 3 && numbers.iter().all(number) && tail {
        Ok(text.to_owned())
    } else {
        Err("a version is three numbers, such as 0.1.0".to_owned())
    }
}
