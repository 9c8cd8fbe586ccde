//! `hsm serve`: the emulator on its TCP ports.

use crate::{exit::usage, parse};
use anyhow::Context;
use clap::ValueEnum;
use hsm_core::SecurityModule;
use hsm_server::net::{ListenAddr, NetConfig};
use hsm_server::{Emulator, EmulatorConfig, UnknownCommand};
use log::LevelFilter;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const AFTER_HELP: &str = "\
Signals: SIGHUP reloads the plugins, SIGINT and SIGTERM stop after what was accepted is answered.
Exit codes: 0 stopped by a signal, 1 cannot start (port in use, bad plugin), 2 wrong usage.

Example:
  hsm serve --port 1500 --trace";

/// LMK slots that `--lmk-ports` opens a port for.
const LMK_PORTS: u8 = 3;

/// Answer host commands over TCP
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Address or name to listen on
    #[arg(long, env = "HSM_HOST", default_value = "127.0.0.1")]
    host: String,

    /// Port to listen on; 0 lets the system choose one
    #[arg(long, env = "HSM_PORT", default_value_t = 1500)]
    port: u16,

    /// Listen beyond this machine: needed for a host that is not a loopback address
    #[arg(long, env = "HSM_ALLOW_REMOTE", value_parser = clap::builder::BoolishValueParser::new())]
    allow_remote: bool,

    /// Also listen on port + 1 for LMK 00, port + 2 for LMK 01 and port + 3 for LMK 02
    #[arg(long, env = "HSM_LMK_PORTS", value_parser = clap::builder::BoolishValueParser::new())]
    lmk_ports: bool,

    /// Directory of plugins that add commands or replace bundled ones
    #[arg(long, env = "HSM_PLUGIN_DIR", value_name = "DIR")]
    plugin_dir: Option<PathBuf>,

    /// Characters of the message header
    #[arg(long, env = "HSM_HEADER_LENGTH", value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..))]
    header_length: u8,

    /// Connections at the same time
    #[arg(long, env = "HSM_MAX_CONNECTIONS", value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    max_connections: u32,

    /// Seconds without a byte after which a connection is closed; 0 means never
    #[arg(long, env = "HSM_IDLE_TIMEOUT", value_name = "SECONDS", default_value = "0", value_parser = parse::seconds_or_zero)]
    idle_timeout: Duration,

    /// Answer to a command that no plugin serves: an error code, ZZ, or closing the connection
    #[arg(long, env = "HSM_UNKNOWN_COMMAND", value_name = "ANSWER", default_value = "68", ignore_case = true)]
    unknown_command: Unknown,

    /// Threads for commands that take long, such as key generation
    #[arg(long, env = "HSM_WORKERS", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,

    /// Log every request and response field by field, without secrets
    #[arg(long, env = "HSM_TRACE", value_parser = clap::builder::BoolishValueParser::new())]
    trace: bool,

    /// Least severe messages that are logged
    #[arg(long, env = "HSM_LOG_LEVEL", value_name = "LEVEL", default_value = "info", ignore_case = true)]
    log_level: LogLevel,

    /// Form of the log on standard error
    #[arg(long, env = "HSM_LOG_FORMAT", value_name = "FORMAT", default_value = "text", ignore_case = true)]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Unknown {
    #[value(name = "68")]
    Disabled,
    #[value(name = "67")]
    NotLicensed,
    Zz,
    Drop,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// Runs `hsm serve`.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let address = resolve(&args.host, args.port)?;
    if !address.ip().is_loopback() && !args.allow_remote {
        return Err(usage(format!(
            "{} is reachable from other machines: an emulator with test LMKs protects nothing; say --allow-remote if that is meant",
            args.host
        )));
    }
    let listeners = listeners(address, args.lmk_ports)?;
    start_log(args.log_level, args.log_format, args.trace);

    let module = SecurityModule::with_test_lmks();
    let lmks: Vec<String> = module.lmks().slots.keys().map(|id| format!("{id:02}")).collect();
    let config = EmulatorConfig {
        net: NetConfig {
            listeners,
            header_len: args.header_length,
            max_connections: args.max_connections as usize,
            idle_timeout: args.idle_timeout,
            signals: true,
            ..NetConfig::default()
        },
        plugin_dir: args.plugin_dir,
        unknown_command: match args.unknown_command {
            Unknown::Disabled => UnknownCommand::Disabled,
            Unknown::NotLicensed => UnknownCommand::NotLicensed,
            Unknown::Zz => UnknownCommand::Zz,
            Unknown::Drop => UnknownCommand::Drop,
        },
        trace: args.trace,
        workers: usize::from(args.workers),
        ..EmulatorConfig::default()
    };
    let emulator = Emulator::bind(config, module)?;
    log::info!(
        target: "hsm",
        "listening on {}; {} commands; LMKs {} (test LMKs: never use with live data)",
        shown(emulator.handle().listeners()),
        emulator.plugins().current().infos().count(),
        lmks.join(" "),
    );
    emulator.run().context("the event loop failed")?;
    log::info!(target: "hsm", "stopped");
    Ok(ExitCode::SUCCESS)
}

fn resolve(host: &str, port: u16) -> anyhow::Result<SocketAddr> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, port));
    }
    let found = (host, port).to_socket_addrs().map_err(|e| usage(format!("--host {host}: {e}")))?.next();
    found.ok_or_else(|| usage(format!("--host {host} has no address")))
}

/// The well-known port has tag 0, the port of LMK n tag n + 1.
fn listeners(address: SocketAddr, lmk_ports: bool) -> anyhow::Result<Vec<ListenAddr>> {
    let mut listeners = vec![ListenAddr::new(address)];
    for tag in 1..=if lmk_ports { LMK_PORTS } else { 0 } {
        let port = match address.port() {
            0 => Some(0),
            port => port.checked_add(u16::from(tag)),
        };
        let port = port.ok_or_else(|| usage("--lmk-ports needs three more ports above --port"))?;
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

/// Logs go to standard error. A trace that was asked for is shown at every level.
fn start_log(level: LogLevel, format: LogFormat, trace: bool) {
    let level = match level {
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
    if trace {
        builder.filter_module("hsm::trace", level.max(LevelFilter::Info));
    }
    if matches!(format, LogFormat::Json) {
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
