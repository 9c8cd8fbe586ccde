//! The settings file: every setting of the emulator, in one commented TOML file.
//!
//! One [table](keys) says what settings there are: the parser, the commented file of `hsm config init`, `hsm config show` and the
//! reference in the documentation all come from it. A value comes from a flag, else from the environment (`HSM_` and the
//! setting's name in capitals), else from the file, else from the profile.

mod field;
mod keys;

pub use keys::{Key, keys};

use crate::authorisation::{Activity, PersistenceError};
use crate::lmk::Lmk;
use crate::lmk_store::{self, StoreError, StoreSecret};
use crate::module::{LmkSlots, MAX_LMK_ID, SecurityModule};
use crate::printer::DocumentForm;
use crate::settings::Settings;
use field::{Given, choice};
use hsm_pinblock::Format;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use toml::de::{DeTable, DeValue};

choice! {
    /// A set of values for all settings.
    Profile {
        /// Everything works that a device can be set to allow, and all activities but `diag` are authorised.
        Developer = "developer",
        /// What a device has that was set up as PCI asks for; nothing is authorised.
        Strict = "strict",
    }
}

choice! {
    /// The answer to a command that no plugin serves.
    UnknownAnswer {
        /// Error 68, command disabled.
        Disabled = "68",
        /// Error 67, command not licensed.
        NotLicensed = "67",
        /// Response code `ZZ`.
        Zz = "ZZ",
        /// The connection is closed.
        Drop = "drop",
    }
}

choice! {
    /// Least severe messages that are logged.
    LogLevel {
        /// Errors.
        Error = "error",
        /// And warnings.
        Warn = "warn",
        /// And what an operator wants to know.
        Info = "info",
        /// And connections.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

choice! {
    /// Form of the log.
    LogFormat {
        /// Lines for people.
        Text = "text",
        /// A JSON object per line.
        Json = "json",
    }
}

choice! {
    /// A published test LMK.
    TestLmk {
        /// The variant set of two-key pairs.
        Variant = "test-variant",
        /// The AES-256 key-block LMK.
        KeyBlockAes = "test-aes",
        /// The three-key TDES key-block LMK.
        KeyBlockTdes = "test-tdes",
    }
}

impl TestLmk {
    /// The LMK.
    #[must_use]
    pub fn lmk(self) -> Lmk {
        match self {
            Self::Variant => Lmk::test_variant(),
            Self::KeyBlockAes => Lmk::test_keyblock_aes(),
            Self::KeyBlockTdes => Lmk::test_keyblock_tdes(),
        }
    }
}

/// A test LMK and the slot it is loaded into: `01=test-tdes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LmkSpec {
    /// The slot, 0 to 19.
    pub id: u8,
    /// The LMK.
    pub lmk: TestLmk,
}

impl FromStr for LmkSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a slot and a test LMK, such as 01={}", TestLmk::KeyBlockTdes);
        let (id, lmk) = text.split_once('=').ok_or_else(wrong)?;
        let id = id.trim();
        let number = id.parse().ok().filter(|n| *n <= MAX_LMK_ID && id.len() <= 2).ok_or_else(wrong)?;
        Ok(Self { id: number, lmk: lmk.trim().parse()? })
    }
}

impl Display for LmkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}={}", self.id, self.lmk)
    }
}

/// An activity that is authorised when the emulator starts: `[LMK ]activity`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartActivity {
    /// The LMK, or `None` for all that are loaded.
    pub lmk: Option<u8>,
    /// The activity.
    pub activity: Activity,
}

impl FromStr for StartActivity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (lmk, activity) = match text.split_once(' ') {
            None => (None, text),
            Some((lmk, activity)) => {
                let lmk = lmk.parse().ok().filter(|lmk| *lmk <= MAX_LMK_ID);
                (Some(lmk.ok_or_else(|| format!("{text:?} does not begin with an LMK identifier"))?), activity)
            }
        };
        Ok(Self {
            lmk,
            activity: activity.trim().parse().map_err(|e: crate::authorisation::ActivityError| e.to_string())?,
        })
    }
}

impl Display for StartActivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(lmk) = self.lmk {
            write!(f, "{lmk:02} ")?;
        }
        self.activity.fmt(f)
    }
}

/// Listeners and their limits.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the table of settings describes each field")]
pub struct Network {
    pub host: String,
    pub port: u16,
    pub allow_remote: bool,
    pub lmk_ports: bool,
    pub header_length: u8,
    pub max_message: u32,
    pub max_connections: u32,
    pub idle_timeout: Duration,
    pub frame_timeout: Duration,
    pub write_timeout: Duration,
    pub unknown_command: UnknownAnswer,
    pub workers: u16,
    pub control_socket: String,
}

/// Which LMKs there are.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the table of settings describes each field")]
pub struct Lmks {
    pub lmks: Vec<LmkSpec>,
    pub default_lmk: Option<u8>,
    pub lmk_store: Option<PathBuf>,
    pub lmk_passphrase_file: Option<PathBuf>,
    pub lmk_key_file: Option<PathBuf>,
    pub allow_live_lmk: bool,
}

/// What is authorised when the emulator starts.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the table of settings describes each field")]
pub struct Authorised {
    pub authorised_activities: Vec<StartActivity>,
    pub authorisation_file: Option<PathBuf>,
}

/// What is kept of user storage.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the table of settings describes each field")]
pub struct Storage {
    pub user_storage_file: Option<PathBuf>,
}

/// Plugins and their limits.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the table of settings describes each field")]
pub struct Plugins {
    pub plugin_dir: Option<PathBuf>,
    pub plugin_memory_pages: u32,
    pub plugin_fuel: u64,
    pub plugin_host_calls: u32,
    pub plugin_deadline: Duration,
}

/// The virtual printer.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the table of settings describes each field")]
pub struct Printing {
    pub printer: Option<PathBuf>,
    pub printer_form: DocumentForm,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the table of settings describes each field")]
pub struct Logging {
    pub log_level: LogLevel,
    pub log_format: LogFormat,
    pub trace: bool,
}

/// All settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where the values come from that nobody gave.
    pub profile: Profile,
    /// Listeners and their limits.
    pub network: Network,
    /// Which LMKs there are.
    pub lmk: Lmks,
    /// The device's security settings.
    pub settings: Settings,
    /// What is authorised when the emulator starts.
    pub authorisation: Authorised,
    /// What is kept of user storage.
    pub storage: Storage,
    /// Plugins and their limits.
    pub plugins: Plugins,
    /// The virtual printer.
    pub printing: Printing,
    /// What is logged, and how.
    pub logging: Logging,
}

impl Default for Config {
    fn default() -> Self {
        Self::of_profile(Profile::Developer)
    }
}

impl Config {
    /// The settings of a profile.
    #[must_use]
    pub fn of_profile(profile: Profile) -> Self {
        Self {
            profile,
            network: Network {
                host: "127.0.0.1".to_owned(),
                port: 1500,
                allow_remote: false,
                lmk_ports: false,
                header_length: 4,
                max_message: 32_768,
                max_connections: 64,
                idle_timeout: Duration::ZERO,
                frame_timeout: Duration::from_secs(30),
                write_timeout: Duration::from_secs(30),
                unknown_command: UnknownAnswer::Disabled,
                workers: 1,
                control_socket: "auto".to_owned(),
            },
            lmk: Lmks {
                lmks: vec![
                    LmkSpec { id: 0, lmk: TestLmk::Variant },
                    LmkSpec { id: 1, lmk: TestLmk::KeyBlockAes },
                    LmkSpec { id: 2, lmk: TestLmk::KeyBlockTdes },
                ],
                default_lmk: None,
                lmk_store: None,
                lmk_passphrase_file: None,
                lmk_key_file: None,
                allow_live_lmk: false,
            },
            settings: match profile {
                Profile::Developer => Settings::default(),
                Profile::Strict => Settings::strict(),
            },
            authorisation: Authorised { authorised_activities: Vec::new(), authorisation_file: None },
            storage: Storage { user_storage_file: None },
            plugins: Plugins {
                plugin_dir: None,
                plugin_memory_pages: 16,
                plugin_fuel: 20_000_000,
                plugin_host_calls: 10_000,
                plugin_deadline: Duration::from_millis(500),
            },
            printing: Printing { printer: None, printer_form: DocumentForm::Text },
            logging: Logging { log_level: LogLevel::Info, log_format: LogFormat::Text, trace: false },
        }
    }

    /// What the single ranges do not say: settings that do not go together.
    fn contradictions(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let address = self.network.host.parse::<IpAddr>();
        if address.is_ok_and(|ip| !ip.is_loopback()) && !self.network.allow_remote {
            let why =
                "this address is reachable from other machines: say --allow-remote (allow_remote) if that is meant";
            found.push(("host", why.to_owned()));
        }
        if self.network.max_message < u32::from(self.network.header_length) + 2 {
            found.push(("max_message", "has no room for header and command code".to_owned()));
        }
        for (n, spec) in self.lmk.lmks.iter().enumerate() {
            if self.lmk.lmks.iter().take(n).any(|other| other.id == spec.id) {
                found.push(("lmks", format!("slot {:02} is given twice", spec.id)));
            }
        }
        if self.lmk.lmk_passphrase_file.is_some() && self.lmk.lmk_key_file.is_some() {
            found.push(("lmk_key_file", "goes not together with lmk_passphrase_file".to_owned()));
        }
        for code in &self.settings.disabled_formats {
            if Format::from_thales_code(code).is_none() {
                let why = format!("no PIN block format has the code {}", String::from_utf8_lossy(code));
                found.push(("disabled_formats", why));
            }
        }
        if !self.settings.multiple_activities
            && self.authorisation.authorised_activities.iter().any(|start| start.activity.category.is_some())
        {
            let why = "only \"all\" can be authorised while multiple_activities is off";
            found.push(("authorised_activities", why.to_owned()));
        }
        found
    }

    /// The settings of these whose values are others in `new`.
    #[must_use]
    pub fn changes(&self, new: &Self) -> Vec<&'static Key> {
        keys().iter().filter(|key| key.show(self) != key.show(new)).collect()
    }

    /// The LMKs: the test LMKs in their slots, and those of the store over them.
    ///
    /// `secret` is asked for the store's secret unless a file has it; it is told whether that is a key file.
    ///
    /// # Errors
    /// [`LmkLoadError`].
    pub fn load_lmks<E>(
        &self,
        secret: impl FnOnce(&Path, bool) -> Result<StoreSecret, E>,
    ) -> Result<LmkSlots, LmkLoadError<E>> {
        let mut slots = LmkSlots::default();
        for spec in &self.lmk.lmks {
            slots.slots.insert(spec.id, Arc::new(spec.lmk.lmk()));
        }
        slots.default = slots.slots.keys().next().copied().unwrap_or_default();
        if let Some(path) = &self.lmk.lmk_store {
            let secret = match (&self.lmk.lmk_key_file, &self.lmk.lmk_passphrase_file) {
                (Some(file), _) => StoreSecret::key_file(file)?,
                (None, Some(file)) => StoreSecret::passphrase_file(file)?,
                (None, None) => secret(path, lmk_store::wants_key_file(path)?).map_err(LmkLoadError::Secret)?,
            };
            let store = lmk_store::read(path, &secret)?;
            if store.has_live() && !self.lmk.allow_live_lmk {
                return Err(LmkLoadError::Live(path.clone()));
            }
            store.load_into(&mut slots);
        }
        if let Some(id) = self.lmk.default_lmk {
            if !slots.slots.contains_key(&id) {
                return Err(LmkLoadError::Default(id));
            }
            slots.default = id;
        }
        Ok(slots)
    }

    /// A security module with these settings and LMKs, what is authorised from the start, and what user storage held before.
    ///
    /// # Errors
    /// [`PersistenceError`] if the file of persistent activities or of user storage cannot be used.
    pub fn module(&self, lmks: LmkSlots) -> Result<SecurityModule, PersistenceError> {
        let loaded: Vec<u8> = lmks.slots.keys().copied().collect();
        let module = SecurityModule::new(lmks, self.settings.clone());
        if let Some(file) = &self.authorisation.authorisation_file {
            module.persist_authorisation(file.clone())?;
        }
        if let Some(file) = &self.storage.user_storage_file {
            module.persist_user_storage(file.clone())?;
        }
        for StartActivity { lmk, activity } in &self.authorisation.authorised_activities {
            if let Some(id) = lmk.filter(|id| !loaded.contains(id)) {
                log::warn!("LMK {id:02}: {activity} is not authorised: no LMK is loaded there");
            }
            for id in loaded.iter().filter(|id| lmk.is_none_or(|lmk| lmk == **id)) {
                if let Err(error) = module.authorise(*id, activity) {
                    log::warn!("LMK {id:02}: {activity} is not authorised: {error}");
                }
            }
        }
        Ok(module)
    }

    /// Where the control socket of an emulator on a port is; `None` if there is to be none.
    #[must_use]
    pub fn control_socket(&self, port: u16, environment: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
        match self.network.control_socket.as_str() {
            "off" => None,
            "auto" => {
                let directory = match environment("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
                    Some(runtime) => Path::new(&runtime).join("hsm"),
                    None => Path::new(&environment("HOME")?).join(".hsm"),
                };
                Some(directory.join(format!("{port}.sock")))
            }
            path => Some(PathBuf::from(path)),
        }
    }

    /// The commented settings file of a profile, with every setting at its value there.
    ///
    /// Values are commented out, so that changing the profile changes them.
    #[must_use]
    pub fn template(profile: Profile) -> String {
        let config = Self::of_profile(profile);
        let mut text = String::from(TEMPLATE_HEAD);
        let mut section = "";
        for key in keys() {
            if key.section != section {
                section = key.section;
                // Writing to a String cannot fail.
                let _ = write!(text, "\n# {}\n[{section}]\n", key.section_title);
            }
            text.push('\n');
            for line in wrap(key.doc, 100) {
                let _ = writeln!(text, "# {line}");
            }
            let comment = if key.section.is_empty() { "" } else { "#" };
            let _ = writeln!(
                text,
                "# {}; environment {}\n{comment}{} = {}",
                key.kind(),
                key.variable(),
                key.name,
                key.show(&config)
            );
        }
        text
    }

    /// The reference of all settings, in Markdown.
    #[must_use]
    pub fn reference() -> String {
        let (developer, strict) = (Self::of_profile(Profile::Developer), Self::of_profile(Profile::Strict));
        let mut text = String::new();
        let mut section = None;
        for key in keys() {
            if section != Some(key.section) {
                section = Some(key.section);
                let name = if key.section.is_empty() { String::new() } else { format!("`[{}]`: ", key.section) };
                let _ = write!(
                    text,
                    "\n### {name}{}\n\n| Setting | Value | developer | strict | Meaning |\n|---|---|---|---|---|\n",
                    key.section_title
                );
            }
            let (in_developer, in_strict) = (key.show(&developer), key.show(&strict));
            let in_strict = if in_strict == in_developer { "same".to_owned() } else { format!("`{in_strict}`") };
            let _ = writeln!(
                text,
                "| `{}` | {} | `{in_developer}` | {in_strict} | {} |",
                key.name,
                key.kind().replace('|', "\\|"),
                key.doc
            );
        }
        text
    }
}

const TEMPLATE_HEAD: &str = "\
# Settings of the HSM emulator. Lines that begin with #name show what holds anyway: remove the # to change one.
# A flag counts more than the environment, the environment more than this file, this file more than the profile.
";

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Why LMKs cannot be loaded. `E` is what asking for the secret can end with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LmkLoadError<E> {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no secret.
    #[error("{0}")]
    Secret(E),
    /// The store has live LMKs, which nobody said is meant.
    #[error("{} holds a live LMK: this emulator protects nothing as a device does; say allow_live_lmk (--allow-live-lmk) if that is meant", .0.display())]
    Live(PathBuf),
    /// The default LMK is not loaded.
    #[error("default_lmk: no LMK is loaded in slot {0:02}")]
    Default(u8),
}

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

/// Changes one security setting by its name, as a running emulator allows it.
///
/// # Errors
/// What is wrong with the name or the value.
pub fn change_setting(settings: &Settings, name: &str, value: &str) -> Result<Settings, String> {
    let key = keys::find(name).filter(|key| key.is_live()).ok_or_else(|| not_live(name))?;
    let mut config = Config { settings: settings.clone(), ..Config::default() };
    key.set(&mut config, &Given::Words(value))?;
    match config.contradictions().into_iter().find(|(wrong, _)| *wrong == key.name) {
        Some((_, why)) => Err(why),
        None => Ok(config.settings),
    }
}

/// A security setting by its name, as text.
///
/// # Errors
/// If there is no such security setting.
pub fn show_setting(settings: &Settings, name: &str) -> Result<String, String> {
    let key = keys::find(name).filter(|key| key.is_live()).ok_or_else(|| not_live(name))?;
    Ok(key.show(&Config { settings: settings.clone(), ..Config::default() }))
}

fn not_live(name: &str) -> String {
    match keys::find(name) {
        Some(_) => format!("{name} cannot be changed while the emulator runs"),
        None => no_setting(name),
    }
}

/// That there is no setting of a name, and which may be meant.
#[must_use]
pub fn no_setting(name: &str) -> String {
    let near = keys::nearest(name).map_or(String::new(), |key| format!("; is {} meant?", key.name));
    format!("there is no setting {name}{near}")
}
