//! `hsm serve`: the emulator on its TCP ports.

mod reload;

use super::config::{environment, unknown_variables};
use crate::exit::usage;
use crate::lmks::{self, StoreArgs};
use anyhow::Context;
use hsm_core::config::{Config, Effective, LogFormat, LogLevel, UnknownAnswer};
use hsm_core::printer::{DirectoryPrinter, FilePrinter, PrintSink};
use hsm_core::{AUDIT_TARGET, LmkSlots, SecurityModule};
use hsm_server::control::{Actions, ControlSocket, ModuleControl};
use hsm_server::net::{ListenAddr, NetConfig, ServerHandle};
use hsm_server::{Emulator, EmulatorConfig, Limits, Reloaded, Reloader, SharedPlugins, UnknownCommand};
use log::LevelFilter;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Every flag is also a setting of the settings file, and an environment variable: HSM_ and the setting's name in capitals. A setting has
the flag's name with _ for -, but --lmk is lmks, and --store, --passphrase-file and --key-file have lmk_ before it: see hsm config show.
Signals: SIGHUP reloads plugins, settings and LMK store, SIGINT and SIGTERM stop after what was accepted is answered.
Exit codes: 0 stopped by a signal, 1 cannot start (port in use, bad plugin), 2 wrong usage.

Examples:
  hsm serve --port 1500 --trace
  hsm serve --lmk 00=test-variant --lmk 01=test-tdes --lmk-ports";

/// Answer host commands over TCP
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Address or name to listen on [default: 127.0.0.1]
    #[arg(long)]
    host: Option<String>,

    /// Port to listen on; 0 lets the system choose one [default: 1500]
    #[arg(long)]
    port: Option<u16>,

    /// Listen beyond this machine: needed for a host that is not a loopback address
    #[arg(long)]
    allow_remote: bool,

    /// Also listen on port + 1 for LMK 00, port + 2 for LMK 01 and so on
    #[arg(long)]
    lmk_ports: bool,

    /// A test LMK and its slot, such as 01=test-tdes; may be repeated, and replaces the usual slots
    #[arg(long = "lmk", value_name = "ID=LMK")]
    lmks: Vec<String>,

    /// LMK of requests that name none [default: the lowest slot in use]
    #[arg(long, value_name = "ID")]
    default_lmk: Option<String>,

    #[command(flatten)]
    store: StoreArgs,

    /// Serve although the LMK store holds a live LMK
    #[arg(long)]
    allow_live_lmk: bool,

    /// Directory of plugins that add commands or replace bundled ones
    #[arg(long, value_name = "DIR")]
    plugin_dir: Option<String>,

    /// File or directory that printing commands print to [default: none, they answer 16]
    #[arg(long, value_name = "PATH")]
    printer: Option<String>,

    /// Characters of the message header, 1 to 255 [default: 4]
    #[arg(long, value_name = "N")]
    header_length: Option<String>,

    /// Connections at the same time [default: 64]
    #[arg(long, value_name = "N")]
    max_connections: Option<String>,

    /// Seconds without a byte after which a connection is closed; 0 means never [default: 0]
    #[arg(long, value_name = "SECONDS")]
    idle_timeout: Option<String>,

    /// Answer to a command that no plugin serves: 68, 67, zz or drop [default: 68]
    #[arg(long, value_name = "ANSWER")]
    unknown_command: Option<String>,

    /// Threads for commands that take long, such as key generation [default: 1]
    #[arg(long, value_name = "N")]
    workers: Option<String>,

    /// Log every request and response field by field, without secrets
    #[arg(long)]
    trace: bool,

    /// Least severe messages that are logged: error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,

    /// Form of the log on standard error: text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl Args {
    /// The flags that were given, by the names of their settings.
    fn flags(&self) -> [(&'static str, Option<String>); 17] {
        let switch = |on: bool| on.then(|| "true".to_owned());
        [
            ("host", self.host.clone()),
            ("port", self.port.map(|port| port.to_string())),
            ("allow_remote", switch(self.allow_remote)),
            ("lmk_ports", switch(self.lmk_ports)),
            ("lmks", (!self.lmks.is_empty()).then(|| self.lmks.join(","))),
            ("default_lmk", self.default_lmk.clone()),
            ("allow_live_lmk", switch(self.allow_live_lmk)),
            ("plugin_dir", self.plugin_dir.clone()),
            ("printer", self.printer.clone()),
            ("header_length", self.header_length.clone()),
            ("max_connections", self.max_connections.clone()),
            ("idle_timeout", self.idle_timeout.clone()),
            ("unknown_command", self.unknown_command.clone()),
            ("workers", self.workers.clone()),
            ("trace", switch(self.trace)),
            ("log_level", self.log_level.clone()),
            ("log_format", self.log_format.clone()),
        ]
    }

    fn settings(&self) -> anyhow::Result<Effective> {
        self.store.load(&self.flags())
    }
}

/// Runs `hsm serve`.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Effective { config, file, .. } = args.settings()?;
    let address = resolve(&config.network.host, config.network.port)?;
    if !address.ip().is_loopback() && !config.network.allow_remote {
        return Err(usage(format!(
            "{} is reachable from other machines: an emulator with test LMKs protects nothing; say --allow-remote if that is meant",
            config.network.host
        )));
    }
    start_log(&config);
    for problem in unknown_variables() {
        log::warn!(target: "hsm", "{problem}");
    }

    let store = reload::store(&config);
    let lmks = lmks::load(&config)?;
    let listeners = listeners(address, &config, &lmks)?;
    let shown_lmks = describe(&lmks);
    let module = config.module(lmks)?;
    module.set_printer(printer(&config));
    let emulator = Emulator::bind(emulator_config(&config, listeners), module.clone())?;
    let actions = EmulatorActions {
        server: emulator.handle(),
        plugins: emulator.plugins().clone(),
        reloader: emulator.reloader(),
    };
    emulator.reloader().set_settings(reload::settings(args.clone(), config.clone(), store, module.clone()));
    let file = file.map_or("no settings file".to_owned(), |file| format!("settings file {}", file.display()));
    log::info!(target: "hsm", "{file}, profile {}", config.profile);
    if module.lmks().slots.is_empty() {
        log::warn!(target: "hsm", "no LMK is loaded: commands that need one answer 13");
    }
    let port = emulator.handle().local_addr().map_or(config.network.port, |address| address.port());
    let control = control_socket(&config, port, module, actions);
    log::info!(
        target: "hsm",
        "listening on {}; {} commands; {shown_lmks}",
        shown(emulator.handle().listeners()),
        emulator.plugins().current().infos().count(),
    );
    emulator.run().context("the event loop failed")?;
    drop(control);
    log::info!(target: "hsm", "stopped");
    Ok(ExitCode::SUCCESS)
}

fn emulator_config(config: &Config, listeners: Vec<ListenAddr>) -> EmulatorConfig {
    let network = &config.network;
    EmulatorConfig {
        net: NetConfig {
            listeners,
            header_len: network.header_length,
            max_message: network.max_message as usize,
            max_connections: network.max_connections as usize,
            idle_timeout: network.idle_timeout,
            frame_timeout: network.frame_timeout,
            write_timeout: network.write_timeout,
            signals: true,
            ..NetConfig::default()
        },
        plugin_dir: config.plugins.plugin_dir.clone(),
        limits: Limits {
            memory_pages: config.plugins.plugin_memory_pages,
            fuel: config.plugins.plugin_fuel,
            host_calls: config.plugins.plugin_host_calls,
            deadline: config.plugins.plugin_deadline,
            ..Limits::default()
        },
        unknown_command: match network.unknown_command {
            UnknownAnswer::Disabled => UnknownCommand::Disabled,
            UnknownAnswer::NotLicensed => UnknownCommand::NotLicensed,
            UnknownAnswer::Zz => UnknownCommand::Zz,
            UnknownAnswer::Drop => UnknownCommand::Drop,
        },
        trace: config.logging.trace,
        workers: usize::from(network.workers),
    }
}

fn describe(lmks: &LmkSlots) -> String {
    let ids: Vec<String> = lmks.slots.keys().map(|id| format!("{id:02}")).collect();
    let note = if ids.is_empty() {
        return "no LMKs".to_owned();
    } else if lmks.info.values().any(|info| info.live) {
        "a live LMK is loaded"
    } else if lmks.slots.values().all(|lmk| lmk.is_published()) {
        "test LMKs: never use with live data"
    } else {
        "status Test: never use with live data"
    };
    format!("LMKs {} ({note})", ids.join(" "))
}

/// A printer into a directory if there is one of the name or the name ends like one, else into a file.
fn printer(config: &Config) -> Option<Box<dyn PrintSink>> {
    let path = config.printing.printer.as_deref()?;
    Some(if path.is_dir() || path.as_os_str().to_string_lossy().ends_with('/') {
        Box::new(DirectoryPrinter::new(path, config.printing.printer_form))
    } else {
        Box::new(FilePrinter::new(path))
    })
}

/// Without a control socket an emulator serves all the same.
fn control_socket(
    config: &Config,
    port: u16,
    module: SecurityModule,
    actions: EmulatorActions,
) -> Option<ControlSocket> {
    let path = config.control_socket(port, environment)?;
    match ControlSocket::open(&path, ModuleControl::new(module, actions)) {
        Ok(socket) => {
            log::info!(target: "hsm", "control socket {}", path.display());
            Some(socket)
        }
        Err(error) => {
            log::warn!(target: "hsm", "no control socket: {error}");
            None
        }
    }
}

/// What `hsm ctl` can ask of the emulator besides its security module.
struct EmulatorActions {
    server: ServerHandle,
    plugins: SharedPlugins,
    reloader: Reloader,
}

impl Actions for EmulatorActions {
    fn reload(&mut self) -> Result<Reloaded, String> {
        self.reloader.reload().map_err(|error| error.to_string())
    }

    fn stop(&mut self, now: bool) {
        if now { self.server.stop_now() } else { self.server.stop() }
    }

    fn status(&self) -> Map<String, Value> {
        let mut status = Map::new();
        status.insert("listening".to_owned(), json!(shown(self.server.listeners())));
        status.insert("connections".to_owned(), json!(self.server.connections()));
        status.insert("commands".to_owned(), json!(self.plugins.current().infos().count()));
        status
    }
}

fn resolve(host: &str, port: u16) -> anyhow::Result<SocketAddr> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, port));
    }
    let found = (host, port).to_socket_addrs().map_err(|e| usage(format!("--host {host}: {e}")))?.next();
    found.ok_or_else(|| usage(format!("--host {host} has no address")))
}

/// The well-known port has tag 0, the port of LMK n tag n + 1.
fn listeners(address: SocketAddr, config: &Config, lmks: &LmkSlots) -> anyhow::Result<Vec<ListenAddr>> {
    let mut listeners = vec![ListenAddr::new(address)];
    for tag in lmks.slots.keys().filter(|_| config.network.lmk_ports).map(|id| id + 1) {
        let port = match address.port() {
            0 => Some(0),
            port => port.checked_add(u16::from(tag)),
        };
        let port = port.ok_or_else(|| usage("--lmk-ports needs free port numbers above --port"))?;
        listeners.push(ListenAddr { addr: SocketAddr::new(address.ip(), port), tag });
    }
    Ok(listeners)
}

fn shown(listeners: &[ListenAddr]) -> String {
    let shown = |listener: &ListenAddr| match listener.tag.checked_sub(1) {
        None => listener.addr.to_string(),
        Some(lmk) => format!("{} (LMK {lmk:02})", listener.addr),
    };
    listeners.iter().map(shown).collect::<Vec<_>>().join(", ")
}

/// Logs go to standard error. A trace that was asked for is shown at every level, what is authorised and cancelled down to warn.
fn start_log(config: &Config) {
    let level = match config.logging.log_level {
        LogLevel::Error => LevelFilter::Error,
        LogLevel::Warn => LevelFilter::Warn,
        LogLevel::Info => LevelFilter::Info,
        LogLevel::Debug => LevelFilter::Debug,
        LogLevel::Trace => LevelFilter::Trace,
    };
    // What compilers and runtimes say about themselves is nobody's business here.
    let mut builder = env_logger::Builder::new();
    builder.filter_level(level.min(LevelFilter::Warn));
    for target in ["hsm", "hsm_core", "hsm_server", "hsm_pinblock"] {
        builder.filter_module(target, level);
    }
    if level >= LevelFilter::Warn {
        builder.filter_module(AUDIT_TARGET, level.max(LevelFilter::Info));
    }
    if config.logging.trace {
        builder.filter_module("hsm::trace", level.max(LevelFilter::Info));
    }
    if config.logging.log_format == LogFormat::Json {
        builder.format(|out, record| {
            let line = serde_json::json!({
                "time": out.timestamp_millis().to_string(),
                "level": record.level().as_str().to_ascii_lowercase(),
                "target": record.target(),
                "message": record.args().to_string(),
            });
            writeln!(out, "{line}")
        });
    } else {
        builder.format_timestamp_millis();
    }
    // Fails only if there is a logger already, which then does as well.
    let _ = builder.try_init();
}
