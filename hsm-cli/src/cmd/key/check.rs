//! `hsm key check`: the check value of a key, in clear or under an LMK.

use crate::exit::usage;
use crate::lmks::Lmks;
use crate::{keys, output, secret, wire};
use anyhow::Context;
use clap::ValueEnum;
use hsm_core::key_type::KeyType;
use hsm_core::scheme::Untagged;
use hsm_core::{Algorithm, ClearKey, kcv, variant};
use serde_json::json;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
With --type the key is a cryptogram under a variant LMK; a key that begins with S is a key block under a key-block LMK; any
other key is clear. Without an LMK store the LMKs are the published test LMKs: 00 variant, 01 AES key block, 02 TDES key block.
Exit codes: 0 the check value is good, 1 the key does not open or has wrong parity, 2 wrong usage.

Examples:
  echo 0123456789ABCDEFFEDCBA9876543210 | hsm key check --key -
  hsm key check --type CVK --key U9B4934384B19946B040CD702B4D58145
  hsm key check --key S00072P0TB00E0001EA421618B34F5FA1A77F7CF6480111B97CF0FAE7BD77D589EC921EF9 --json";

/// Show the check value of a key
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Key: hexadecimal with optional scheme letter, or a key block; - reads it from standard input
    #[arg(long)]
    key: String,

    /// Key type under a variant LMK: code such as 402 or name such as CVK
    #[arg(long = "type", value_name = "TYPE", value_parser = keys::key_type)]
    key_type: Option<KeyType>,

    /// LMK that the key is under [default: 00; for a key block the one it names, or one that suits it]
    #[arg(long, value_name = "ID")]
    lmk: Option<u8>,

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

/// A key that was opened, and where it came from.
struct Opened {
    key: ClearKey,
    /// What the key was, in words.
    form: String,
    /// Whether wrong parity is an error: not for clear keys, which nobody asked to be adjusted.
    strict: bool,
}

/// Runs `hsm key check`.
pub(super) fn run(args: &Args, lmks: &Lmks) -> anyhow::Result<ExitCode> {
    let text = secret::get("key", &args.key)?;
    let opened = match args.key_type {
        Some(key_type) => cryptogram(lmks, &text, key_type, args.lmk.unwrap_or(0))?,
        None if text.starts_with('S') => block(lmks, &text, args.lmk)?,
        None => clear(&text, args.algorithm)?,
    };
    let key = &opened.key;
    let check = kcv::check_value(key).context("no check value")?;
    let parts = (key.algorithm() == Algorithm::Des && key.len() == 16).then(|| kcv::des_part_check_values(key));
    let parts: Vec<String> = parts.transpose()?.unwrap_or_default().iter().map(|part| wire::hex(&part[..3])).collect();
    let odd = key.has_odd_parity();
    let short = wire::hex(check.get(..3).unwrap_or(&check));

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
            let parity = match (odd, opened.strict) {
                (true, _) => "odd",
                (false, true) => "not odd: probably another key type or LMK (the HSM answers 10)",
                (false, false) => "not odd: an HSM would adjust or refuse it",
            };
            out += &format!("parity       {parity}\n");
        }
        output::text(&out)?;
    }
    Ok(if odd || !opened.strict { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn clear(text: &str, cipher: Cipher) -> anyhow::Result<Opened> {
    let bytes = secret::hex("key", text)?;
    let key = match cipher {
        Cipher::Des => ClearKey::des(&bytes),
        Cipher::Aes => ClearKey::aes(&bytes),
    };
    let key = key.map_err(|e| usage(format!("--key: {e}")))?;
    Ok(Opened { key, form: "clear".to_owned(), strict: false })
}

fn cryptogram(lmks: &Lmks, text: &str, key_type: KeyType, id: u8) -> anyhow::Result<Opened> {
    let untagged = if text.len() > 16 { Untagged::Double } else { Untagged::Single };
    let (scheme, bytes) = keys::cryptogram("key", text, untagged)?;
    let opened = variant::decrypt_under_lmk(lmks.get(id)?, key_type.into(), scheme, &bytes)
        .with_context(|| format!("the key does not open under LMK {id:02}"))?;
    let form = format!("{}, type {} under LMK {id:02}", keys::scheme_name(scheme), keys::type_name(key_type));
    Ok(Opened { key: opened.key, form, strict: true })
}

fn block(lmks: &Lmks, text: &str, id: Option<u8>) -> anyhow::Result<Opened> {
    let (id, opened) = keys::open_block(lmks, "key", text, id)?;
    let form = format!("key block, usage {} under LMK {id:02}", opened.header.attributes.usage);
    Ok(Opened { key: opened.key, form, strict: false })
}
