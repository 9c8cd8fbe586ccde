//! `hsm config`: the settings file made, checked and shown.

use super::lmk::PASSPHRASE_VARIABLE;
use crate::{exit, exit::usage, output};
use anyhow::Context;
use clap::{Subcommand, ValueEnum};
use hsm_core::config::{Config, ConfigError, Effective, Layers, Problem, Profile, keys, no_setting};
use serde_json::{Map, json};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const AFTER_HELP: &str = "\
A setting comes from a flag, else from the environment (HSM_ and its name in capitals), else from the file, else from the
profile. The file is --config, else HSM_CONFIG, else hsm.toml in the current directory, if there is one.

Examples:
  hsm config init > hsm.toml
  hsm config check
  hsm config show --set profile=strict single_des pin_length";

/// Make, check and show the settings file
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(Init),
    Check(Check),
    Show(Show),
}

/// Print a commented settings file with every setting
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  hsm config init > hsm.toml\n  hsm config init --profile strict --output strict.toml"
)]
struct Init {
    /// Profile that the settings are a change of
    #[arg(long, default_value = "developer", ignore_case = true)]
    profile: ProfileName,

    /// Write it to a file, which must not exist yet
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ProfileName {
    Developer,
    Strict,
}

/// Check all settings and report every mistake, with file and line, and variables HSM_ that are no settings
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 all is well, 2 something is wrong.\n\nExample:\n  hsm config check --config hsm.toml"
)]
struct Check {
    #[command(flatten)]
    from: SettingsFrom,
}

/// Show settings and where each comes from
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  hsm config show\n  hsm config show port single_des --json")]
struct Show {
    #[command(flatten)]
    from: SettingsFrom,

    /// Names of settings [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Where settings come from.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct SettingsFrom {
    /// Settings file [default: $HSM_CONFIG, else hsm.toml if there is one]
    #[arg(long, global = true, help_heading = "Settings", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Give a setting a value; may be repeated
    #[arg(long = "set", global = true, help_heading = "Settings", value_name = "NAME=VALUE", value_parser = name_and_value)]
    set: Vec<(String, String)>,
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("not NAME=VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

impl SettingsFrom {
    /// The settings file that an argument names.
    pub(crate) fn of_file(config: Option<PathBuf>) -> Self {
        Self { config, set: Vec::new() }
    }

    /// The settings in force. `flags` are those that have a flag of their own.
    ///
    /// # Errors
    /// Usage, with everything that is wrong.
    pub(crate) fn load(&self, flags: &[(&str, Option<String>)]) -> anyhow::Result<Effective> {
        self.resolve(flags).map_err(in_one_line)
    }

    /// As [`load`](Self::load), for commands that need few settings: goes on without what is wrong and warns of it, unless `matters` says of one of
    /// the problems that nothing can be done without.
    ///
    /// # Errors
    /// Usage, with everything that is wrong, if something matters or a file that was named cannot be read.
    pub(crate) fn load_readable(
        &self,
        flags: &[(&str, Option<String>)],
        matters: impl Fn(&Problem) -> bool,
    ) -> anyhow::Result<Effective> {
        let mut layers = self.layers(flags);
        layers.read_file(self.config.as_deref(), environment).map_err(in_one_line)?;
        let (effective, problems) = layers.readable(environment);
        if problems.iter().any(matters) {
            return Err(in_one_line(ConfigError(problems)));
        }
        for problem in problems {
            exit::report(&format!("warning: {problem}"));
        }
        Ok(effective)
    }

    fn resolve(&self, flags: &[(&str, Option<String>)]) -> Result<Effective, ConfigError> {
        let mut layers = self.layers(flags);
        layers.read_file(self.config.as_deref(), environment)?;
        layers.resolve(environment)
    }

    fn layers<'a>(&'a self, flags: &[(&'a str, Option<String>)]) -> Layers<'a> {
        let set = self.set.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let own = flags.iter().filter_map(|(name, value)| Some((*name, value.clone()?)));
        Layers { file: None, flags: own.collect(), set: set.collect() }
    }
}

fn in_one_line(error: ConfigError) -> anyhow::Error {
    usage(error.to_string().replace('\n', "; "))
}

/// A variable of the environment; one that is not UTF-8 is as good as none.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Variables that are no settings, but read by the program, or by the tests and tools of the project.
const OTHER_VARIABLES: [&str; 7] =
    [PASSPHRASE_VARIABLE, "HSM_HEADER", "HSM_TIMEOUT", "HSM_ONLY", "HSM_BLESS", "HSM_UPDATE_DOCS", "HSM_WRITE_DOCS"];

/// What is wrong with the environment: variables that begin like settings and are none.
pub(crate) fn unknown_variables() -> Vec<Problem> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    hsm_core::config::unknown_variables(names.filter(|name| !OTHER_VARIABLES.contains(&name.as_str())))
}

/// Runs `hsm config`.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Init(args) => init(args),
        Command::Check(args) => check(args),
        Command::Show(args) => show(args),
    }
}

fn init(args: &Init) -> anyhow::Result<ExitCode> {
    let text = Config::template(match args.profile {
        ProfileName::Developer => Profile::Developer,
        ProfileName::Strict => Profile::Strict,
    });
    match &args.output {
        None => output::text(&text)?,
        Some(path) => write_new(path, &text).with_context(|| format!("cannot write {}", path.display()))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

fn check(args: &Check) -> anyhow::Result<ExitCode> {
    let mut problems = unknown_variables();
    match args.from.resolve(&[]) {
        Ok(effective) if problems.is_empty() => {
            let file = effective.file.map_or("no settings file".to_owned(), |file| file.display().to_string());
            output::text(&format!("{file}: settings are well-formed, profile {}", effective.config.profile))?;
            return Ok(ExitCode::SUCCESS);
        }
        Ok(_) => {}
        Err(ConfigError(more)) => problems.extend(more),
    }
    for problem in problems {
        exit::report(&problem.to_string());
    }
    Ok(ExitCode::from(2))
}

fn show(args: &Show) -> anyhow::Result<ExitCode> {
    let effective = args.from.load(&[])?;
    for name in &args.names {
        if !keys().iter().any(|key| key.name == name) {
            return Err(usage(no_setting(name)));
        }
    }
    let shown = keys().iter().filter(|key| args.names.is_empty() || args.names.iter().any(|name| name == key.name));
    if args.json {
        let values = shown.map(|key| {
            let value = json!({"value": key.show(&effective.config), "source": effective.source(key.name).to_string()});
            (key.name.to_owned(), value)
        });
        output::json(&values.collect::<Map<_, _>>().into())?;
    } else {
        let rows = shown.map(|key| {
            let source = effective.source(key.name).to_string();
            [key.section.to_owned(), key.name.to_owned(), key.show(&effective.config), source]
        });
        output::text(&output::table(["SECTION", "SETTING", "VALUE", "FROM"], &rows.collect::<Vec<_>>()))?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn variables(command: &clap::Command) -> Vec<String> {
        let own = command.get_arguments().filter_map(|argument| argument.get_env());
        let own: Vec<String> = own.map(|name| name.to_string_lossy().into_owned()).collect();
        command.get_subcommands().flat_map(variables).chain(own).collect()
    }

    #[test]
    fn variables_of_flags_are_known() {
        let all = variables(&crate::Cli::command());
        assert!(all.iter().any(|name| name == "HSM_TIMEOUT"));
        let stray = all.into_iter().filter(|name| !OTHER_VARIABLES.contains(&name.as_str()));
        assert_eq!(hsm_core::config::unknown_variables(stray), []);
    }
}
