//! `hsm key types`.

use crate::output;
use hsm_core::key_type::{KEY_TYPES, Listing, Permission};
use serde_json::json;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
IMPORT and EXPORT are what a payShield lists among the activities to authorise. USAGE is the key usage of such keys in key
blocks.

Example:
  hsm key types --json";

/// List the key types of variant LMKs
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm key types`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.json {
        let types: Vec<_> = KEY_TYPES
            .iter()
            .map(|info| {
                json!({
                    "type": info.key_type.to_string(),
                    "names": info.names,
                    "lmk_pair": info.key_type.pair().to_string(),
                    "variant": info.key_type.variant().number(),
                    "import_needs_authorisation": listed(info.payshield_import),
                    "export_needs_authorisation": listed(info.payshield_export),
                    "rg7000": info.rg7000.map(|rules| json!({
                        "generate": permission(rules.generate),
                        "import": permission(rules.import),
                        "export": permission(rules.export),
                    })),
                    "key_block_usages": info.usages,
                })
            })
            .collect();
        output::json(&json!(types))?;
    } else {
        let rows: Vec<_> = KEY_TYPES
            .iter()
            .map(|info| {
                [
                    info.key_type.to_string(),
                    info.names.join(", "),
                    info.key_type.pair().to_string(),
                    info.key_type.variant().number().to_string(),
                    shown(info.payshield_import).to_owned(),
                    shown(info.payshield_export).to_owned(),
                    info.usages.join(" "),
                ]
            })
            .collect();
        output::text(&output::table(["TYPE", "NAMES", "LMK", "VARIANT", "IMPORT", "EXPORT", "USAGE"], &rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn listed(listing: Listing) -> Option<bool> {
    match listing {
        Listing::Listed => Some(true),
        Listing::NotListed => Some(false),
        Listing::Unknown => None,
    }
}

fn shown(listing: Listing) -> &'static str {
    match listing {
        Listing::Listed => "listed",
        Listing::NotListed => "-",
        Listing::Unknown => "?",
    }
}

fn permission(permission: Permission) -> &'static str {
    match permission {
        Permission::No => "no",
        Permission::Free => "free",
        Permission::Authorised => "authorised",
    }
}
