//! The plugin engine: loads, compiles and runs host commands. The only module that names wasmer.
//!
//! A [`PluginSet`] is one generation of plugins: checked when it is loaded, compiled when first used or by
//! [`PluginSet::compile_all`], shared between threads. An [`Engine`] runs requests on one thread; its instances are put back to their
//! pristine image after every request.

mod guest;
mod limits;
mod memory;
mod metadata;

pub use guest::{Fault, Probe};
pub use limits::Limits;
pub use metadata::{PluginError, PluginInfo};

use guest::Guest;
use hsm_core::{SecurityModule, Session, Transcript};
use hsm_plugin_sdk::ErrorCode;
use hsm_plugin_sdk::abi::response_code;
use hsm_plugin_sdk::likely_trailer;
use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

include!(concat!(env!("OUT_DIR"), "/bundled.rs"));

/// A plugin that could not be loaded, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {error}")]
pub struct LoadError {
    /// The file, or `bundled` and a name.
    pub origin: String,
    /// The reason.
    pub error: PluginError,
}

/// One plugin of a generation.
#[derive(Debug)]
pub(crate) struct Plugin {
    info: PluginInfo,
    wasm: Cow<'static, [u8]>,
    compiled: OnceLock<Result<Compiled, Fault>>,
}

#[derive(Debug)]
struct Compiled {
    engine: wasmer::Engine,
    module: wasmer::Module,
}

/// One generation of plugins, by command code.
#[derive(Debug)]
pub struct PluginSet {
    plugins: BTreeMap<[u8; 2], Arc<Plugin>>,
    limits: Limits,
}

impl PluginSet {
    /// Loads and checks the bundled plugins and those of a directory (`*.wasm`), which add commands or replace bundled ones.
    ///
    /// # Errors
    /// The first plugin that cannot be loaded, by file name; nothing is loaded then.
    pub fn load(directory: Option<&Path>, limits: &Limits) -> Result<Self, LoadError> {
        let mut plugins = BTreeMap::new();
        for (name, wasm) in BUNDLED {
            Self::add(&mut plugins, Cow::Borrowed(wasm), &format!("bundled {name}"), limits)?;
        }
        if let Some(directory) = directory {
            let mut own = BTreeMap::new();
            for path in wasm_files(directory)? {
                let origin = path.display().to_string();
                let wasm = read_module(&path, limits).map_err(|error| LoadError { origin: origin.clone(), error })?;
                Self::add(&mut own, Cow::Owned(wasm), &origin, limits)?;
            }
            plugins.extend(own);
        }
        Ok(Self { plugins, limits: limits.clone() })
    }

    /// Loads and checks plugins given as bytes, each with a name for messages.
    ///
    /// # Errors
    /// The first plugin that cannot be loaded.
    pub fn from_modules(
        modules: impl IntoIterator<Item = (String, Vec<u8>)>,
        limits: &Limits,
    ) -> Result<Self, LoadError> {
        let mut plugins = BTreeMap::new();
        for (origin, wasm) in modules {
            Self::add(&mut plugins, Cow::Owned(wasm), &origin, limits)?;
        }
        Ok(Self { plugins, limits: limits.clone() })
    }

    fn add(
        plugins: &mut BTreeMap<[u8; 2], Arc<Plugin>>,
        wasm: Cow<'static, [u8]>,
        origin: &str,
        limits: &Limits,
    ) -> Result<(), LoadError> {
        let refuse = |error| LoadError { origin: origin.to_owned(), error };
        let info = PluginInfo::read(&wasm, origin, limits).map_err(refuse)?;
        if let Some(other) = plugins.get(&info.code) {
            let (code, other) = (info.code_text(), other.info.origin.clone());
            return Err(refuse(PluginError::Duplicate { code, other }));
        }
        plugins.insert(info.code, Arc::new(Plugin { info, wasm, compiled: OnceLock::new() }));
        Ok(())
    }

    /// Takes over what an older generation has compiled of the same modules, so that a reload costs what has changed.
    #[must_use]
    pub fn after(mut self, older: &Self) -> Self {
        if self.limits == older.limits {
            for (code, plugin) in &mut self.plugins {
                if let Some(same) =
                    older.plugins.get(code).filter(|old| old.wasm == plugin.wasm && old.info == plugin.info)
                {
                    *plugin = same.clone();
                }
            }
        }
        self
    }

    /// What each plugin says of itself, by command code.
    pub fn infos(&self) -> impl Iterator<Item = &PluginInfo> {
        self.plugins.values().map(|plugin| &plugin.info)
    }

    /// Whether there is a plugin for a command.
    #[must_use]
    pub fn contains(&self, code: [u8; 2]) -> bool {
        self.plugins.contains_key(&code)
    }

    /// Whether a command's plugin uses operations that take milliseconds.
    #[must_use]
    pub fn is_slow(&self, code: [u8; 2]) -> bool {
        self.plugins.get(&code).is_some_and(|plugin| plugin.info.slow)
    }

    /// Compiles every plugin that is not compiled yet, unless `stop` says to leave the rest to their first request.
    pub fn compile_all(&self, stop: impl Fn() -> bool) {
        self.compile(self.plugins.values(), stop);
    }

    /// Compiles the plugins that were not taken over from an older generation, which compiles its own.
    pub fn compile_new(&self, older: &Self, stop: impl Fn() -> bool) {
        let is_shared =
            |code: &[u8; 2], plugin| older.plugins.get(code).is_some_and(|old: &Arc<Plugin>| Arc::ptr_eq(old, plugin));
        self.compile(
            self.plugins.iter().filter(|(code, plugin)| !is_shared(code, plugin)).map(|(_, plugin)| plugin),
            stop,
        );
    }

    fn compile<'a>(&self, plugins: impl Iterator<Item = &'a Arc<Plugin>>, stop: impl Fn() -> bool) {
        for plugin in plugins {
            if stop() {
                return;
            }
            if let Err(fault) = plugin.compiled(&self.limits) {
                log::error!("plugin {}: {fault}", plugin.info.origin);
            }
        }
    }

    /// Compiles and starts every plugin that does not come with the server.
    ///
    /// # Errors
    /// The first that does not start.
    pub fn try_own(&self) -> Result<(), LoadError> {
        for plugin in self.plugins.values().filter(|plugin| matches!(plugin.wasm, Cow::Owned(_))) {
            plugin.start(&self.limits, None).map_err(|fault| LoadError {
                origin: plugin.info.origin.clone(),
                error: PluginError::Start(fault.to_string()),
            })?;
        }
        Ok(())
    }
}

impl Plugin {
    fn compiled(&self, limits: &Limits) -> Result<&Compiled, Fault> {
        self.compiled
            .get_or_init(|| {
                let (engine, module) = limits::compile(&self.wasm, limits).map_err(Fault::Start)?;
                Ok(Compiled { engine, module })
            })
            .as_ref()
            .map_err(Clone::clone)
    }

    fn start(&self, limits: &Limits, probe: Option<Probe>) -> Result<Guest, Fault> {
        let compiled = self.compiled(limits)?;
        Guest::start(&compiled.engine, &compiled.module, limits, self.info.slow, probe)
    }
}

fn wasm_files(directory: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let refuse = |e: std::io::Error| LoadError {
        origin: directory.display().to_string(),
        error: PluginError::Io(format!("cannot read the plugin directory: {e}")),
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(refuse)? {
        let path = entry.map_err(refuse)?.path();
        if path.extension().is_some_and(|ext| ext == "wasm") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads a module, but not much more of a file than a module may have.
fn read_module(path: &Path, limits: &Limits) -> Result<Vec<u8>, PluginError> {
    use std::io::Read;
    let io = |e: std::io::Error| PluginError::Io(e.to_string());
    let mut wasm = Vec::new();
    let most = limits.module_size as u64 + 1;
    std::fs::File::open(path).map_err(io)?.take(most).read_to_end(&mut wasm).map_err(io)?;
    Ok(wasm)
}

/// The current generation of plugins, shared by all threads that run requests.
#[derive(Debug, Clone)]
pub struct SharedPlugins(Arc<Mutex<Arc<PluginSet>>>);

impl SharedPlugins {
    /// Starts with a generation.
    #[must_use]
    pub fn new(set: PluginSet) -> Self {
        Self(Arc::new(Mutex::new(Arc::new(set))))
    }

    /// The current generation.
    #[must_use]
    pub fn current(&self) -> Arc<PluginSet> {
        // A generation is only ever replaced whole, so a poisoned lock still holds a good one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the generation; requests that run keep the old one.
    pub fn replace(&self, set: PluginSet) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
    }
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The command answered.
    Answered,
    /// There is no such command.
    Unknown,
    /// The command is disabled.
    Disabled,
    /// The plugin failed; the response is 41.
    Failed(Fault),
}

/// Runs requests on one thread.
///
/// ```
/// use hsm_core::SecurityModule;
/// use hsm_server::{Engine, Limits, PluginSet, SharedPlugins};
///
/// let plugins = SharedPlugins::new(PluginSet::load(None, &Limits::default())?);
/// let mut engine = Engine::new(plugins, SecurityModule::with_test_lmks());
/// let mut response = Vec::new();
/// engine.process(b"B20005Hello", None, false, &mut response);
/// assert_eq!(response, b"B300Hello");
/// # Ok::<(), hsm_server::LoadError>(())
/// ```
pub struct Engine {
    plugins: SharedPlugins,
    set: Arc<PluginSet>,
    guests: HashMap<[u8; 2], (Arc<Plugin>, Guest)>,
    session: Option<Box<Session>>,
    module: SecurityModule,
    probe: Option<fn() -> Probe>,
}

impl core::fmt::Debug for Engine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Engine {{ {} plugins, {} instances }}", self.set.plugins.len(), self.guests.len())
    }
}

impl Engine {
    /// An engine that runs a generation of plugins on a security module.
    #[must_use]
    pub fn new(plugins: SharedPlugins, module: SecurityModule) -> Self {
        let set = plugins.current();
        Self { plugins, set, guests: HashMap::new(), session: None, module, probe: None }
    }

    /// Lets every guest started from now on be watched by a probe that `make` makes.
    pub fn probe_memory(&mut self, make: fn() -> Probe) {
        self.probe = Some(make);
        self.guests.clear();
    }

    /// Takes the current generation of plugins, if it has changed, and lets go of the old one.
    pub fn refresh(&mut self) {
        let current = self.plugins.current();
        if !Arc::ptr_eq(&current, &self.set) {
            self.guests
                .retain(|code, (plugin, _)| current.plugins.get(code).is_some_and(|new| Arc::ptr_eq(new, plugin)));
            self.set = current;
        }
    }

    /// The generation of plugins in use.
    #[must_use]
    pub fn plugins(&self) -> &PluginSet {
        &self.set
    }

    /// The security module.
    #[must_use]
    pub fn module(&self) -> &SecurityModule {
        &self.module
    }

    /// What the last request's fields, explanation and second responses were.
    #[must_use]
    pub fn transcript(&self) -> Option<&Transcript> {
        self.session.as_deref().map(Session::transcript)
    }

    /// Processes a message without its header: command code and body. Appends response code, error code, fields and trailer.
    /// A command that is unknown or disabled is answered 68, one whose plugin failed 41.
    ///
    /// `lmk` is the LMK that the port implies, if it does. A message shorter than a command code is answered `ZZ15`.
    pub fn process(&mut self, message: &[u8], lmk: Option<u8>, trace: bool, out: &mut Vec<u8>) -> Outcome {
        let Some((&code, body)) = message.split_first_chunk::<2>() else {
            out.extend_from_slice(b"ZZ15");
            return Outcome::Unknown;
        };
        let start = out.len();
        out.extend_from_slice(&response_code(code));
        let module = &self.module;
        let session = self.session.get_or_insert_with(|| Box::new(Session::new(module.clone())));
        session.begin(code, lmk);
        let outcome = if !self.set.contains(code) {
            Outcome::Unknown
        } else if !session.command_enabled(code) {
            Outcome::Disabled
        } else {
            self.run(code, body, trace, out)
        };
        if let Some(session) = &mut self.session {
            session.end();
        }
        let refusal = match &outcome {
            Outcome::Answered => return outcome,
            Outcome::Unknown | Outcome::Disabled => ErrorCode::COMMAND_DISABLED,
            Outcome::Failed(fault) => {
                log::error!("plugin {}{} failed a request: {fault}", char::from(code[0]), char::from(code[1]));
                ErrorCode::INTERNAL
            }
        };
        out.truncate(start + 2);
        out.extend_from_slice(refusal.as_bytes());
        out.extend_from_slice(likely_trailer(body));
        outcome
    }

    fn run(&mut self, code: [u8; 2], body: &[u8], trace: bool, out: &mut Vec<u8>) -> Outcome {
        let (_, guest) = match self.guests.entry(code) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let Some(plugin) = self.set.plugins.get(&code) else { return Outcome::Unknown };
                match plugin.start(&self.set.limits, self.probe.map(|make| make())) {
                    Ok(guest) => entry.insert((plugin.clone(), guest)),
                    Err(fault) => return Outcome::Failed(fault),
                }
            }
        };
        let result = guest.run(&mut self.session, body, trace, out);
        if !matches!(result, Ok(true)) {
            self.guests.remove(&code);
        }
        result.map_or_else(Outcome::Failed, |_| Outcome::Answered)
    }
}
