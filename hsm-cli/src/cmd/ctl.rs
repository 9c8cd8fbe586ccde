//! `hsm ctl`: asks a running emulator, over its control socket.

use super::config::{SettingsFrom, environment};
use crate::{exit::usage, output, parse};
use clap::Subcommand;
use hsm_core::authorisation::Activity;
use hsm_core::config::Problem;
use hsm_server::control::{self, Request};
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const AFTER_HELP: &str = "\
The socket is --socket, else what the settings say for --port: see control_socket in hsm config show.
An activity is category[.sub][.interface][:minutes]; p instead of minutes outlives a restart. \"all\" is everything but diag.
Exit codes: 0 done, 1 no emulator answers or it refused, 2 wrong usage.

Examples:
  hsm ctl status
  hsm ctl authorize export..host:10 pin.clear --lmk 0
  hsm ctl cancel --lmk 0
  hsm ctl set single_des false
  hsm ctl get single_des pin_length";

/// Change a running emulator: authorise activities, settings, reload, stop
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Control socket of the emulator
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,

    /// Port of the emulator, which names its socket [default: as the settings say]
    #[arg(long, global = true)]
    port: Option<u16>,

    /// Settings file [default: $HSM_CONFIG, else hsm.toml if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print the answer as JSON
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Authorise activities for an LMK
    #[command(
        after_help = "Examples:\n  hsm ctl authorize export..host:10 pin.clear --lmk 0\n  hsm ctl authorize all --port 1501"
    )]
    Authorize {
        /// Activities, such as export..host:10
        #[arg(required = true, value_parser = activity)]
        activities: Vec<String>,
        /// The LMK
        #[arg(long, default_value_t = 0, value_parser = parse::lmk_id)]
        lmk: u8,
    },
    /// Cancel activities of an LMK, each by its original time limit, or all of them
    #[command(after_help = "Examples:\n  hsm ctl cancel export..host:10 --lmk 0\n  hsm ctl cancel")]
    Cancel {
        /// Activities [default: all]
        #[arg(value_parser = activity)]
        activities: Vec<String>,
        /// The LMK
        #[arg(long, default_value_t = 0, value_parser = parse::lmk_id)]
        lmk: u8,
    },
    /// Show what is loaded, authorised and connected
    #[command(after_help = "Example:\n  hsm ctl status --json")]
    Status,
    /// Show the LMK table
    #[command(after_help = "Example:\n  hsm ctl lmk")]
    Lmk,
    /// Show security settings
    #[command(after_help = "Examples:\n  hsm ctl get\n  hsm ctl get single_des pin_length")]
    Get {
        /// Names of settings [default: all]
        #[arg(value_name = "KEY")]
        keys: Vec<String>,
    },
    /// Change a security setting until the emulator stops
    #[command(after_help = "Examples:\n  hsm ctl set single_des false\n  hsm ctl set disabled_commands A0,GC")]
    Set {
        /// Name of the setting
        key: String,
        /// Its value; the items of a list are separated by commas
        value: String,
    },
    /// Allow PIN verification again after fraud detection stopped it (error 39)
    #[command(after_help = "Example:\n  hsm ctl unlock")]
    Unlock,
    /// Read plugins, settings and LMK store again; says what has changed and what needs a restart
    #[command(after_help = "Example:\n  hsm ctl reload")]
    Reload,
    /// Stop the emulator after it has answered what it accepted
    #[command(after_help = "Examples:\n  hsm ctl stop\n  hsm ctl stop --now")]
    Stop {
        /// Stop at once
        #[arg(long)]
        now: bool,
    },
}

fn activity(text: &str) -> Result<String, String> {
    text.parse::<Activity>().map(|activity| activity.to_string()).map_err(|error| error.to_string())
}

/// Runs `hsm ctl`.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let request = match &args.command {
        Command::Authorize { activities, lmk } => Request::Authorize { lmk: *lmk, activities: activities.clone() },
        Command::Cancel { activities, lmk } => {
            Request::Cancel { lmk: *lmk, activities: (!activities.is_empty()).then(|| activities.clone()) }
        }
        Command::Status => Request::Status,
        Command::Lmk => Request::Lmk,
        Command::Get { keys } => Request::Get { keys: keys.clone() },
        Command::Set { key, value } => Request::Set { key: key.clone(), value: value.clone() },
        Command::Unlock => Request::Unlock,
        Command::Reload => Request::Reload,
        Command::Stop { now } => Request::Stop { now: *now },
    };
    let answer = control::call(&socket(args)?, &request, ANSWER_TIME)?;
    if args.json {
        output::json(&answer)?;
    } else {
        output::text(&for_people(&request, &answer))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Reloading compiles plugins that are new.
const ANSWER_TIME: Duration = Duration::from_secs(60);

fn socket(args: &Args) -> anyhow::Result<PathBuf> {
    if let Some(path) = &args.socket {
        return Ok(path.clone());
    }
    let from = SettingsFrom::of_file(args.config.clone());
    // A mistake in the settings must not keep anybody from stopping an emulator, nor lead to another one.
    let names_socket = |problem: &Problem| {
        args.port.is_none() && problem.key.as_deref().is_none_or(|key| matches!(key, "port" | "control_socket"))
    };
    let config = from.load_readable(&[("port", args.port.map(|port| port.to_string()))], names_socket)?.config;
    let path = config.control_socket(config.network.port, environment);
    path.ok_or_else(|| usage("the settings say that there is no control socket; name one with --socket"))
}

fn for_people(request: &Request, answer: &Value) -> String {
    let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or_default();
    match request {
        Request::Authorize { lmk, .. } => format!("LMK {lmk:02}: {} authorised", activities(number("authorised"))),
        Request::Cancel { lmk, .. } => format!("LMK {lmk:02}: {} cancelled", activities(number("cancelled"))),
        Request::Status => status(answer),
        Request::Lmk => lmk_table(answer),
        Request::Unlock => "PIN verification is allowed".to_owned(),
        Request::Reload => reloaded(answer),
        Request::Stop { .. } => "stopping".to_owned(),
        _ => {
            let fields = answer.as_object().into_iter().flatten();
            let rows: Vec<_> = fields.map(|(key, value)| [key.clone(), plain(value)]).collect();
            output::table(["SETTING", "VALUE"], &rows)
        }
    }
}

fn activities(n: u64) -> String {
    if n == 1 { "1 activity".to_owned() } else { format!("{n} activities") }
}

fn reloaded(answer: &Value) -> String {
    let number = answer.get("plugins").and_then(Value::as_u64).unwrap_or_default();
    let names =
        |name: &str| answer.get(name).and_then(Value::as_array).into_iter().flatten().map(plain).collect::<Vec<_>>();
    let (changed, restart) = (names("changed"), names("restart"));
    let mut text = format!("reloaded {number} plugins; ");
    text += &if changed.is_empty() {
        "no setting has changed".to_owned()
    } else {
        format!("changed: {}", changed.join(", "))
    };
    if !restart.is_empty() {
        text += &format!("; needs a restart: {}", restart.join(", "));
    }
    text
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn status(answer: &Value) -> String {
    let mut text = String::new();
    for (name, value) in answer.as_object().into_iter().flatten().filter(|(name, _)| *name != "authorised") {
        text += &format!("{name}: {}\n", plain(value));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    for (lmk, grants) in answer.get("authorised").and_then(Value::as_object).into_iter().flatten() {
        let grants = grants.as_array().map(Vec::as_slice).unwrap_or_default();
        let mut shown: Vec<String> = Vec::new();
        for grant in grants {
            let activity = grant.get("activity").map(plain).unwrap_or_default();
            shown.push(match grant.get("until").and_then(Value::as_u64) {
                Some(until) => format!("{activity} ({} s left)", until.saturating_sub(now)),
                None => activity,
            });
        }
        let shown = if shown.is_empty() { "nothing".to_owned() } else { shown.join(", ") };
        text += &format!("LMK {lmk} authorised: {shown}\n");
    }
    text
}

fn lmk_table(answer: &Value) -> String {
    let head: [&str; 7] = hsm_core::lmk_store::LmkRow::HEAD;
    let rows = |name: &str| {
        let rows = answer.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let cell = |row: &Value, n: usize| row.get(n).map(plain).unwrap_or_default();
        rows.iter().map(|row| std::array::from_fn(|n| cell(row, n))).collect::<Vec<[String; 7]>>()
    };
    let section = |title: &str, rows: &[[String; 7]], none: &str| {
        let table = if rows.is_empty() { format!("{none}\n") } else { output::table(head, rows) };
        format!("{title}:\n{table}")
    };
    section("LMK table", &rows("lmks"), "No LMKs loaded")
        + "\n"
        + &section("Key change storage table", &rows("change"), "No keys loaded in key change storage")
}
