//! The settings file: every setting of the emulator, in one commented TOML file.
//!
//! One [table](keys) says what settings there are: the parser, the commented file of `hsm config init`, `hsm config show` and the
//! reference in the documentation all come from it. A value comes from a flag, else from the environment (`HSM_` and the
//! setting's name in capitals), else from the file, else from the profile.

mod field;
mod keys;
mod layers;

pub use keys::{Key, keys};
pub use layers::{ConfigError, DEFAULT_FILE, Effective, Layers, Problem, Source, unknown_variables};

use crate::authorisation::{Activity, PersistenceError};
use crate::lmk::Lmk;
use crate::lmk_store::{self, StoreError, StoreSecret};
use crate::module::{LmkSlots, MAX_LMK_ID, SecurityModule};
use crate::printer::DocumentForm;
use crate::settings::Settings;
use field::{Given, choice};
use hsm_pinblock::Format;
use std::fmt::{self, Display, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

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
        self.authorise_from_start(&module, &loaded);
        for StartActivity { lmk, activity } in &self.authorisation.authorised_activities {
            if let Some(id) = lmk.filter(|id| !loaded.contains(id)) {
                log::warn!("LMK {id:02}: {activity} is not authorised: no LMK is loaded there");
            }
        }
        Ok(module)
    }

    /// Authorises what is authorised from the start, for LMKs that have just been loaded.
    pub fn authorise_from_start(&self, module: &SecurityModule, lmks: &[u8]) {
        for StartActivity { lmk, activity } in &self.authorisation.authorised_activities {
            for id in lmks.iter().filter(|id| lmk.is_none_or(|lmk| lmk == **id)) {
                if let Err(error) = module.authorise(*id, activity) {
                    log::warn!("LMK {id:02}: {activity} is not authorised: {error}");
                }
            }
        }
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
