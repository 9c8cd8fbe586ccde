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
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
    plugins: SharedPlugins,
    pool: WorkerPool,
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
        Ok(Self { server, module, plugins, pool, config })
    }

    /// A handle that controls the emulator from another thread.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }

    /// The plugins in use.
    #[must_use]
    pub fn plugins(&self) -> &SharedPlugins {
        &self.plugins
    }

    /// Serves until it is stopped.
    ///
    /// Plugins are compiled in the background; a request for one that is not compiled yet compiles it first.
    ///
    /// # Errors
    /// If the system's poll fails.
    pub fn run(self) -> std::io::Result<()> {
        let stopping = Arc::new(AtomicBool::new(false));
        compile_in_background(&self.plugins, &stopping);
        let reloader = Reloader {
            plugins: self.plugins.clone(),
            pool: self.pool,
            plugin_dir: self.config.plugin_dir.clone(),
            limits: self.config.limits.clone(),
            server: self.server.handle(),
            stopping: stopping.clone(),
            wanted: Arc::default(),
        };
        let mut host = HostPort {
            engine: Engine::new(self.plugins, self.module),
            reloader,
            config: self.config,
            response: Vec::with_capacity(1024),
        };
        let result = self.server.run(&mut host);
        stopping.store(true, Ordering::Release);
        result
    }
}

fn compile_in_background(plugins: &SharedPlugins, stopping: &Arc<AtomicBool>) {
    let (set, stopping) = (plugins.current(), stopping.clone());
    let compile = move || set.compile_all(|| stopping.load(Ordering::Acquire));
    if let Err(error) = thread::Builder::new().name("hsm-compile".to_owned()).spawn(compile) {
        log::warn!("plugins are compiled at their first request: {error}");
    }
}

/// Loads a new generation of plugins beside the old one, off the event loop, and swaps it in when it is known to be good.
#[derive(Clone)]
struct Reloader {
    plugins: SharedPlugins,
    pool: WorkerPool,
    plugin_dir: Option<PathBuf>,
    limits: Limits,
    server: ServerHandle,
    stopping: Arc<AtomicBool>,
    /// Reloads asked for and not begun. The thread that finds more than its own begins again.
    wanted: Arc<AtomicUsize>,
}

impl Reloader {
    fn start(&self) {
        if self.wanted.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        let reloader = self.clone();
        let run = move || {
            loop {
                let asked = reloader.wanted.load(Ordering::Acquire);
                reloader.reload();
                if reloader.wanted.fetch_sub(asked, Ordering::AcqRel) == asked {
                    return;
                }
            }
        };
        if let Err(error) = thread::Builder::new().name("hsm-reload".to_owned()).spawn(run) {
            self.wanted.store(0, Ordering::Release);
            log::error!("reload refused, the old plugins stay: cannot start a thread: {error}");
        }
    }

    fn reload(&self) {
        let older = self.plugins.current();
        let loaded = PluginSet::load(self.plugin_dir.as_deref(), &self.limits)
            .map(|set| set.after(&older))
            .and_then(|set| set.try_own().map(|()| set));
        match loaded {
            Ok(set) => {
                set.compile_all(|| self.stopping.load(Ordering::Acquire));
                log::info!("reloaded {} plugins", set.infos().count());
                self.plugins.replace(set);
                self.pool.renew();
                // The event loop takes the new generation between two requests.
                self.server.wake();
            }
            Err(error) => log::error!("reload refused, the old plugins stay: {error}"),
        }
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
            trace::log_refusal(request.connection, message, explanation);
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
