//! `hsm key check`: the check value of a key, in clear or under an LMK.

use super::inputs::KeyArgs;
use crate::keys::{self, Source};
use crate::{output, wire};
use anyhow::Context;
use clap::ValueEnum;
use hsm_core::{Algorithm, kcv};
use serde_json::json;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
With --type the key is a cryptogram under a variant LMK; a key that begins with S is a key block under a key-block LMK; any
other key is clear.
Exit codes: 0 the check value is good, 1 the key does not open or has wrong parity, 2 wrong usage.

Examples:
  echo 0123456789ABCDEFFEDCBA9876543210 | hsm key check --key -
  hsm key check --type CVK --key U9B4934384B19946B040CD702B4D58145
  hsm key check --key S00072P0TB00E0001EA421618B34F5FA1A77F7CF6480111B97CF0FAE7BD77D589EC921EF9 --json";

/// Show the check value of a key
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    key: KeyArgs,

    /// Cipher of a clear key
    #[arg(long, value_name = "CIPHER", default_value = "des", ignore_case = true)]
    algorithm: Cipher,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Cipher {
    #[value(alias = "tdes", alias = "3des")]
    Des,
    Aes,
}

/// Runs `hsm key check`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let algorithm = match args.algorithm {
        Cipher::Des => Algorithm::Des,
        Cipher::Aes => Algorithm::Aes,
    };
    let lmks = args.key.lmks();
    let opened = args.key.read_as(Source { algorithm, any_parity: true, ..Source::new(&lmks, "key", &[]) })?;
    let key = &opened.key;
    let check = kcv::check_value(key).context("no check value")?;
    let parts = (key.algorithm() == Algorithm::Des && key.len() == 16).then(|| kcv::des_part_check_values(key));
    let parts: Vec<String> = parts.transpose()?.unwrap_or_default().iter().map(|part| wire::hex(&part[..3])).collect();
    let odd = key.has_odd_parity();
    let short = keys::short_kcv(key);

    if args.json {
        output::json(&json!({
            "kcv": short,
            "kcv_full": wire::hex(&check),
            "part_kcvs": parts,
            "algorithm": format!("{:?}", key.algorithm()).to_ascii_uppercase(),
            "bytes": key.len(),
            "odd_parity": (key.algorithm() == Algorithm::Des).then_some(odd),
            "form": opened.form,
        }))?;
    } else {
        let mut out = format!("check value  {short}  (full: {})\n", wire::hex(&check));
        if !parts.is_empty() {
            out += &format!("halves       {}\n", parts.join(" "));
        }
        out += &format!("key          {}, {} bytes\n", opened.form, key.len());
        if key.algorithm() == Algorithm::Des {
            let parity = match (odd, opened.wrong_parity) {
                (true, _) => "odd",
                (false, true) => "not odd: probably another key type or LMK (the HSM answers 10)",
                (false, false) => "not odd: an HSM would adjust or refuse it",
            };
            out += &format!("parity       {parity}\n");
        }
        output::text(&out)?;
    }
    Ok(if opened.wrong_parity { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
