//! `hsm pinblock formats`.

use crate::output;
use hsm_pinblock::{AccountUse, Format};
use serde_json::json;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
In layouts, N is the length nibble, P a PIN digit, A12 the 12 account digits.

Example:
  hsm pinblock formats --json";

/// List the PIN block formats
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Print as JSON, with all names
    #[arg(long)]
    json: bool,
}

/// Runs `hsm pinblock formats`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.json {
        let formats: Vec<_> = Format::all()
            .map(|format| {
                json!({
                    "code": format.thales_code(),
                    "name": format.name(),
                    "aliases": format.aliases(),
                    "layout": format.description(),
                    "pin_min": format.pin_len().start(),
                    "pin_max": format.pin_len().end(),
                    "block_bytes": format.block_len(),
                    "account": account(format),
                    "needs_udk": format.needs_udk(),
                    "needs_old_pin": format.needs_old_pin(),
                    "supported": format.is_supported(),
                })
            })
            .collect();
        output::json(&json!(formats))?;
    } else {
        let rows: Vec<_> = Format::all()
            .map(|format| {
                let code = format.thales_code().unwrap_or("-").to_owned();
                let pin = format!("{}-{}", format.pin_len().start(), format.pin_len().end());
                let account = account(format).unwrap_or("-").to_owned();
                [code, format.name().to_owned(), pin, account, format.description().to_owned()]
            })
            .collect();
        output::text(&output::table(["CODE", "NAME", "PIN", "ACCOUNT", "LAYOUT"], &rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn account(format: Format) -> Option<&'static str> {
    match format.account() {
        AccountUse::None => None,
        AccountUse::Rightmost12 => Some("rightmost 12"),
        AccountUse::Leftmost12 => Some("leftmost 12"),
        AccountUse::FullPan => Some("full PAN"),
    }
}
