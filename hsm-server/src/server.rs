//! The emulator: plugin engine, workers and event loop put together.

use crate::engine::{Engine, Limits, LoadError, Outcome, PluginSet, SharedPlugins};
use crate::net::{
    self, CloseReason, ConnectionInfo, Disposition, Handler, Job, JobEnd, NetConfig, RequestCtx, ResponseSink,
    ServerHandle, Worker, WorkerFactory, WorkerPool,
};
use crate::trace;
use hsm_core::SecurityModule;
use hsm_plugin_sdk::abi::response_code;
use hsm_plugin_sdk::likely_trailer;
use std::fmt::{self, Display};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// What to do with a command code that no plugin serves (host.md 1.6: the device's behaviour is not documented).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownCommand {
    /// Answer with the command's response code and error 68.
    #[default]
    Disabled,
    /// Answer with the command's response code and error 67.
    NotLicensed,
    /// Answer `ZZ` and error 00.
    Zz,
    /// Close the connection.
    Drop,
}

/// Configuration of an [`Emulator`].
#[derive(Debug, Clone, Default)]
pub struct EmulatorConfig {
    /// Listeners, header length, limits and time-outs.
    pub net: NetConfig,
    /// A directory of plugins that add commands or replace bundled ones.
    pub plugin_dir: Option<PathBuf>,
    /// Limits of plugins.
    pub limits: Limits,
    /// The answer to unknown commands.
    pub unknown_command: UnknownCommand,
    /// Whether every request and response is logged field by field, with secrets redacted.
    pub trace: bool,
    /// Threads for slow commands; 0 means one.
    pub workers: usize,
}

/// Why an emulator could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmulatorError {
    /// A plugin is bad.
    #[error(transparent)]
    Plugins(#[from] LoadError),
    /// A listener could not be set up.
    #[error(transparent)]
    Bind(#[from] net::BindError),
    /// The system refused a thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// A payment HSM emulator, bound to its ports and ready to run.
#[derive(Debug)]
pub struct Emulator {
    server: net::Server,
    module: SecurityModule,
    reloader: Reloader,
    config: EmulatorConfig,
}

impl Emulator {
    /// Loads and checks the plugins and binds the listeners.
    ///
    /// # Errors
    /// The first plugin that is refused, or the address that cannot be bound.
    pub fn bind(config: EmulatorConfig, module: SecurityModule) -> Result<Self, EmulatorError> {
        let set = PluginSet::load(config.plugin_dir.as_deref(), &config.limits)?;
        set.try_own()?;
        Self::with_plugins(config, module, SharedPlugins::new(set))
    }

    /// Binds the listeners and serves plugins that are loaded already, perhaps by another emulator in the same process.
    ///
    /// # Errors
    /// The address that cannot be bound.
    pub fn with_plugins(
        config: EmulatorConfig,
        module: SecurityModule,
        plugins: SharedPlugins,
    ) -> Result<Self, EmulatorError> {
        let factory = Slow { plugins: plugins.clone(), module: module.clone(), trace: config.trace };
        let pool = WorkerPool::new(config.workers, factory).map_err(EmulatorError::Thread)?;
        let server = net::Server::bind(config.net.clone())?.with_workers(&pool);
        let reloader = Reloader(Arc::new(Reloading {
            plugins,
            pool,
            plugin_dir: config.plugin_dir.clone(),
            limits: config.limits.clone(),
            server: server.handle(),
            stopping: AtomicBool::new(false),
            wanted: AtomicUsize::new(0),
            settings: Mutex::new(None),
        }));
        Ok(Self { server, module, reloader, config })
    }

    /// A handle that controls the emulator from another thread.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }

    /// The plugins in use.
    #[must_use]
    pub fn plugins(&self) -> &SharedPlugins {
        &self.reloader.0.plugins
    }

    /// What reloads plugins and settings, from any thread.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// Serves until it is stopped, and [saves](SecurityModule::flush) what the module keeps in files.
    ///
    /// Plugins are compiled in the background; a request for one that is not compiled yet compiles it first.
    ///
    /// # Errors
    /// If the system's poll fails.
    pub fn run(self) -> std::io::Result<()> {
        let reloading = self.reloader.0.clone();
        let (set, compiling) = (reloading.plugins.current(), reloading.clone());
        let compile = move || set.compile_all(|| compiling.is_stopping());
        if let Err(error) = thread::Builder::new().name("hsm-compile".to_owned()).spawn(compile) {
            log::warn!("plugins are compiled at their first request: {error}");
        }
        let mut host = HostPort {
            engine: Engine::new(reloading.plugins.clone(), self.module.clone()),
            reloader: self.reloader,
            config: self.config,
            response: Vec::with_capacity(1024),
        };
        let result = self.server.run(&mut host);
        reloading.stopping.store(true, Ordering::Release);
        self.module.flush();
        result
    }
}

/// What a reload has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Plugins in use now.
    pub plugins: usize,
    /// Names of settings whose new value is in force.
    pub changed: Vec<String>,
    /// Names of settings whose new value will be in force after a restart.
    pub restart: Vec<String>,
}

impl Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reloaded {} plugins", self.plugins)?;
        if !self.changed.is_empty() {
            write!(f, "; changed: {}", self.changed.join(", "))?;
        }
        if !self.restart.is_empty() {
            write!(f, "; needs a restart: {}", self.restart.join(", "))?;
        }
        Ok(())
    }
}

/// Why nothing was reloaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// A plugin is bad.
    #[error(transparent)]
    Plugins(#[from] LoadError),
    /// The settings cannot be read, or are wrong.
    #[error("{0}")]
    Settings(String),
}

/// Settings that were read and found good. Called, it puts them in force and fills in the names of what has changed.
pub type NewSettings = Box<dyn FnOnce(&mut Reloaded)>;

/// Reads the settings again, without changing anything yet.
pub type ReadSettings = Box<dyn FnMut() -> Result<NewSettings, String> + Send>;

/// Reloads what an emulator works with: reads and checks the new beside the old, off the event loop, and puts all of it in force or
/// nothing.
#[derive(Clone)]
pub struct Reloader(Arc<Reloading>);

struct Reloading {
    plugins: SharedPlugins,
    pool: WorkerPool,
    plugin_dir: Option<PathBuf>,
    limits: Limits,
    server: ServerHandle,
    stopping: AtomicBool,
    /// Reloads that the event loop asked for and that are not begun. The thread that finds more than its own begins again.
    wanted: AtomicUsize,
    /// Where settings come from, if they are reloaded too. Locked for a whole reload, so that there is one at a time.
    settings: Mutex<Option<ReadSettings>>,
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reloader {{ plugin_dir: {:?} }}", self.0.plugin_dir)
    }
}

impl Reloader {
    /// Has settings reloaded together with the plugins.
    pub fn set_settings(&self, read: ReadSettings) {
        *self.0.settings.lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
    }

    /// Reloads. Takes as long as compiling the plugins that are new.
    ///
    /// # Errors
    /// What is wrong with the settings or the first bad plugin; everything is as it was then.
    pub fn reload(&self) -> Result<Reloaded, ReloadError> {
        let result = self.0.reload();
        match &result {
            Ok(reloaded) => log::info!("{reloaded}"),
            Err(error) => log::error!("reload refused, everything stays as it was: {error}"),
        }
        result
    }

    /// Reloads on a thread of its own; the log tells how it ended.
    fn start(&self) {
        if self.0.wanted.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        let reloader = self.clone();
        let run = move || {
            loop {
                let asked = reloader.0.wanted.load(Ordering::Acquire);
                // The log has said why.
                let _ = reloader.reload();
                if reloader.0.wanted.fetch_sub(asked, Ordering::AcqRel) == asked {
                    return;
                }
            }
        };
        if let Err(error) = thread::Builder::new().name("hsm-reload".to_owned()).spawn(run) {
            self.0.wanted.store(0, Ordering::Release);
            log::error!("reload refused, everything stays as it was: cannot start a thread: {error}");
        }
    }
}

impl Reloading {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn reload(&self) -> Result<Reloaded, ReloadError> {
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let new_settings = settings.as_mut().map(|read| read()).transpose().map_err(ReloadError::Settings)?;
        let older = self.plugins.current();
        let set = PluginSet::load(self.plugin_dir.as_deref(), &self.limits)?.after(&older);
        set.try_own()?;
        set.compile_new(&older, || self.is_stopping());
        let mut reloaded = Reloaded { plugins: set.infos().count(), ..Reloaded::default() };
        if let Some(put_in_force) = new_settings {
            put_in_force(&mut reloaded);
        }
        self.plugins.replace(set);
        self.pool.renew();
        // The event loop takes the new generation between two requests.
        self.server.wake();
        Ok(reloaded)
    }
}

/// The engine behind the event loop.
struct HostPort {
    engine: Engine,
    reloader: Reloader,
    config: EmulatorConfig,
    response: Vec<u8>,
}

impl Handler for HostPort {
    fn handle(&mut self, request: RequestCtx<'_>, message: &[u8], out: &mut ResponseSink<'_>) -> Disposition {
        let code = message.first_chunk::<2>().copied().unwrap_or(*b"ZY");
        if self.engine.plugins().is_slow(code) {
            return Disposition::Defer;
        }
        if !self.engine.plugins().contains(code) {
            return self.unknown(request, message, code, out);
        }
        answer(&mut self.engine, request, message, self.config.trace, &mut self.response, out);
        Disposition::Done
    }

    fn accepted(&mut self, connection: &ConnectionInfo) {
        log::debug!("connection {} from {} to port {}", connection.id, connection.peer, connection.local.port());
    }

    fn closed(&mut self, connection: &ConnectionInfo, reason: CloseReason) {
        log::debug!("connection {} from {}: {reason}", connection.id, connection.peer);
    }

    fn refused(&mut self, peer: std::net::SocketAddr) {
        log::warn!("connection from {peer} refused: {} connections are open", self.config.net.max_connections);
    }

    fn fault(&mut self, connection: &ConnectionInfo, fault: &net::FrameFault<'_>) {
        log::warn!("connection {} from {}: {fault}", connection.id, connection.peer);
    }

    fn reload(&mut self) {
        self.reloader.start();
    }

    fn tick(&mut self, _: Instant) {
        self.engine.refresh();
    }
}

impl HostPort {
    #[cold]
    fn unknown(
        &mut self,
        request: RequestCtx<'_>,
        message: &[u8],
        code: [u8; 2],
        out: &mut ResponseSink<'_>,
    ) -> Disposition {
        let shown: String = code.iter().map(|c| if c.is_ascii_graphic() { char::from(*c) } else { '.' }).collect();
        log::warn!("connection {} from {}: no command {shown}", request.connection.id, request.connection.peer);
        let [first, second] = response_code(code);
        let mut answer = match self.config.unknown_command {
            UnknownCommand::Disabled => vec![first, second, b'6', b'8'],
            UnknownCommand::NotLicensed => vec![first, second, b'6', b'7'],
            UnknownCommand::Zz => b"ZZ00".to_vec(),
            UnknownCommand::Drop => return Disposition::Close,
        };
        answer.extend_from_slice(likely_trailer(message.get(2..).unwrap_or_default()));
        out.send(&answer);
        Disposition::Done
    }
}

/// Runs one request and sends its response, and what follows it.
fn answer(
    engine: &mut Engine,
    request: RequestCtx<'_>,
    message: &[u8],
    trace: bool,
    response: &mut Vec<u8>,
    out: &mut ResponseSink<'_>,
) -> Outcome {
    response.clear();
    // Tag 0 is the well-known port, tag 1 + n the port of LMK n (host.md 1.1).
    let outcome = engine.process(message, request.tag().checked_sub(1), trace, response);
    out.send(response);
    if let Some(transcript) = engine.transcript() {
        for (code, body) in &transcript.later {
            out.send(&[code, body.as_slice()].concat());
        }
        if trace {
            trace::log_exchange(request.connection, message, response, transcript);
        } else if let Some(explanation) = &transcript.explanation {
            trace::log_refusal(request.connection, message, response, explanation);
        }
    }
    zeroize::Zeroize::zeroize(response.as_mut_slice());
    outcome
}

/// Makes the workers for slow commands.
struct Slow {
    plugins: SharedPlugins,
    module: SecurityModule,
    trace: bool,
}

impl WorkerFactory for Slow {
    fn make(&self) -> Box<dyn Worker> {
        Box::new(SlowWorker {
            engine: Engine::new(self.plugins.clone(), self.module.clone()),
            trace: self.trace,
            response: Vec::new(),
        })
    }
}

struct SlowWorker {
    engine: Engine,
    trace: bool,
    response: Vec<u8>,
}

impl Worker for SlowWorker {
    fn run(&mut self, job: &mut Job, out: &mut ResponseSink<'_>) -> JobEnd {
        answer(&mut self.engine, job.request(), job.message(), self.trace, &mut self.response, out);
        JobEnd::Done
    }
}
