//! Where settings come from: a file, the environment, flags; put together and checked.

use super::Config;
use super::field::Given;
use super::keys::{self, Key, keys};
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody gave it.
    Profile,
    /// A line of the file, from 1.
    File(PathBuf, usize),
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag,
    /// `--set` on the command line.
    Set,
}

impl Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Profile => f.write_str("profile"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(variable) => f.write_str(variable),
            Self::Flag => f.write_str("flag"),
            Self::Set => f.write_str("--set"),
        }
    }
}

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub source: Source,
    /// The setting, unless it is the file as a whole.
    pub key: Option<String>,
    /// What.
    pub message: String,
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.source, &self.key) {
            (Source::Flag, Some(key)) => write!(f, "--{}: ", flag(key))?,
            (Source::Set, Some(key)) => write!(f, "--set {key}: ")?,
            (source, Some(key)) => write!(f, "{source}: {key}: ")?,
            (source, None) => write!(f, "{source}: ")?,
        }
        f.write_str(&self.message)
    }
}

/// The flag of a setting, as it is written: `header-length`.
fn flag(key: &str) -> String {
    match key {
        "lmks" => "lmk".to_owned(),
        "lmk_store" => "store".to_owned(),
        "lmk_passphrase_file" | "lmk_key_file" => key.trim_start_matches("lmk_").replace('_', "-"),
        _ => key.replace('_', "-"),
    }
}

/// Everything that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(pub Vec<Problem>);

/// Settings and where each comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Effective {
    /// The settings.
    pub config: Config,
    /// By name, those that somebody gave.
    sources: BTreeMap<&'static str, Source>,
    /// The file, if there is one.
    pub file: Option<PathBuf>,
}

impl Effective {
    /// Where a setting comes from.
    #[must_use]
    pub fn source(&self, name: &str) -> Source {
        self.sources.get(name).cloned().unwrap_or(Source::Profile)
    }
}

/// What settings are made of.
#[derive(Debug, Clone, Default)]
pub struct Layers<'a> {
    /// Name and text of a settings file.
    pub file: Option<(PathBuf, String)>,
    /// Flags: name of the setting and its value.
    pub flags: Vec<(&'a str, String)>,
    /// What `--set` gives, likewise. A flag counts more.
    pub set: Vec<(&'a str, String)>,
}

impl Layers<'_> {
    /// Reads the settings file: the one that was named, else `HSM_CONFIG`, else `hsm.toml` in the current directory if there is one.
    ///
    /// # Errors
    /// A file that was named but cannot be read.
    pub fn read_file(
        &mut self,
        named: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<(), ConfigError> {
        let from_environment = environment(FILE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let (path, must_exist) = match named.map(Path::to_owned).or(from_environment) {
            Some(path) => (path, true),
            None => (PathBuf::from(DEFAULT_FILE), false),
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => self.file = Some((path, text)),
            Err(error) if !must_exist && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let message = format!("cannot be read: {error}");
                return Err(ConfigError(vec![Problem { source: Source::File(path, 1), key: None, message }]));
            }
        }
        Ok(())
    }

    /// Puts the layers together and checks them. All problems are reported at once.
    ///
    /// # Errors
    /// [`ConfigError`]: unknown settings, values of the wrong type or out of range, settings that do not go together.
    pub fn resolve(&self, environment: impl Fn(&str) -> Option<String>) -> Result<Effective, ConfigError> {
        let (effective, problems) = self.readable(environment);
        if problems.is_empty() { Ok(effective) } else { Err(ConfigError(problems)) }
    }

    /// As [`resolve`](Self::resolve), but goes on without what is wrong, which is returned too.
    #[must_use]
    pub fn readable(&self, environment: impl Fn(&str) -> Option<String>) -> (Effective, Vec<Problem>) {
        let mut problems = Vec::new();
        let document = self.file.as_ref().map(|(path, text)| (path, text, DeTable::parse(text)));
        let mut given: Vec<(&'static Key, Given<'_>, Source)> = Vec::new();
        match &document {
            Some((path, text, Ok(table))) => collect(table.get_ref(), path, text, &mut given, &mut problems),
            Some((path, text, Err(error))) => {
                let at = error.span().map_or(0, |span| span.start);
                let source = Source::File((*path).clone(), line_of(text, at));
                problems.push(Problem { source, key: None, message: error.message().to_owned() });
            }
            None => {}
        }
        let variables: Vec<(&Key, String)> =
            keys().iter().filter_map(|key| environment(&key.variable()).map(|value| (key, value))).collect();
        for (key, value) in &variables {
            given.push((key, Given::Words(value), Source::Environment(key.variable())));
        }
        let set = self.set.iter().map(|given| (Source::Set, given));
        for (source, (name, value)) in set.chain(self.flags.iter().map(|given| (Source::Flag, given))) {
            match keys::find(name) {
                Some(key) => given.push((key, Given::Words(value), source)),
                None => problems.push(unknown(name, "", source)),
            }
        }

        let mut sources = BTreeMap::new();
        // The profile first, whoever gives it: it is what everything else is a change of.
        let mut first = Config::default();
        for (key, value, _) in given.iter().filter(|(key, ..)| key.name == "profile") {
            // What is wrong with it is found below.
            let _ = key.set(&mut first, value);
        }
        let mut config = Config::of_profile(first.profile);
        for (key, value, source) in &given {
            match key.set(&mut config, value) {
                Ok(()) => drop(sources.insert(key.name, source.clone())),
                Err(message) => {
                    problems.push(Problem { source: source.clone(), key: Some(key.name.to_owned()), message });
                }
            }
        }
        // Nobody who keeps LMKs of their own expects others beside them.
        if config.lmk.lmk_store.is_some() && !sources.contains_key("lmks") {
            config.lmk.lmks.clear();
        }
        if problems.is_empty() {
            for (name, message) in config.contradictions() {
                let source = sources.get(name).cloned().unwrap_or(Source::Profile);
                problems.push(Problem { source, key: Some(name.to_owned()), message });
            }
        }
        problems.sort_by_key(|problem| match problem.source {
            Source::File(_, line) => line,
            _ => usize::MAX,
        });
        (Effective { config, sources, file: self.file.as_ref().map(|(path, _)| path.clone()) }, problems)
    }
}

/// The settings file that is read if none is named.
pub const DEFAULT_FILE: &str = "hsm.toml";

/// The environment variable that names the settings file.
const FILE_VARIABLE: &str = "HSM_CONFIG";

fn collect<'a>(
    table: &'a DeTable<'a>,
    path: &Path,
    text: &str,
    given: &mut Vec<(&'static Key, Given<'a>, Source)>,
    problems: &mut Vec<Problem>,
) {
    let source = |at: usize| Source::File(path.to_owned(), line_of(text, at));
    let mut take =
        |section: &str, name: &str, at: usize, value: &'a DeValue<'a>, problems: &mut Vec<Problem>| match keys::find(
            name,
        )
        .filter(|key| key.section == section)
        {
            Some(key) => given.push((key, Given::of_toml(value), source(at))),
            None => problems.push(unknown(name, section, source(at))),
        };
    for (name, value) in table {
        let (name, at) = (name.get_ref().as_ref(), name.span().start);
        match value.get_ref() {
            DeValue::Table(section) if keys().iter().any(|key| key.section == name && !name.is_empty()) => {
                for (key, value) in section {
                    take(name, key.get_ref(), key.span().start, value.get_ref(), problems);
                }
            }
            DeValue::Table(_) => {
                let mut sections: Vec<&str> = keys().iter().map(|key| key.section).filter(|s| !s.is_empty()).collect();
                sections.dedup();
                let message = format!("there is no such section: {}", sections.join(", "));
                problems.push(Problem { source: source(at), key: Some(format!("[{name}]")), message });
            }
            value => take("", name, at, value, problems),
        }
    }
}

/// What is wrong with the variables `HSM_…` of an environment, whose names are given: those that are no settings.
/// They would have no effect, and nothing would say so.
///
/// `HSM_CONFIG` and variables for tests (`HSM_TEST_…`) are none either, and are all right.
#[must_use]
pub fn unknown_variables(names: impl Iterator<Item = String>) -> Vec<Problem> {
    let stray = names.filter(|name| name != FILE_VARIABLE && !name.starts_with("HSM_TEST_"));
    let mut problems: Vec<Problem> = stray
        .filter_map(|variable| {
            let name = variable.strip_prefix("HSM_")?.to_ascii_lowercase();
            if keys().iter().any(|key| key.variable() == variable) {
                return None;
            }
            let message = match keys::nearest(&name) {
                Some(key) => format!("there is no such setting; is {} meant?", key.variable()),
                None => "there is no such setting".to_owned(),
            };
            Some(Problem { source: Source::Environment(variable), key: None, message })
        })
        .collect();
    problems.sort_by_key(|problem| problem.source.to_string());
    problems
}

fn unknown(name: &str, section: &str, source: Source) -> Problem {
    let message = match keys::find(name) {
        Some(key) if key.section.is_empty() => "belongs before the first section".to_owned(),
        Some(key) => format!("belongs in section [{}]", key.section),
        None => match keys::nearest(name) {
            Some(key) if key.section == section || matches!(source, Source::Flag | Source::Set) => {
                format!("there is no such setting; is {} meant?", key.name)
            }
            _ => "there is no such setting".to_owned(),
        },
    };
    Problem { source, key: Some(name.to_owned()), message }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|c| *c == b'\n').count()
}
