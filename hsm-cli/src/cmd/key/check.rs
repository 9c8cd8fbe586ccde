//! `hsm key check`: the check value of a key, in clear or under a test LMK.

use crate::exit::usage;
use crate::secret;
use crate::{output, wire};
use anyhow::Context;
use clap::ValueEnum;
use hsm_core::key_block::header::{Family, Scope};
use hsm_core::key_block::{self, thales};
use hsm_core::key_type::KeyType;
use hsm_core::lmk::Lmk;
use hsm_core::scheme::{KeyField, KeyScheme, Untagged};
use hsm_core::{Algorithm, ClearKey, SecurityModule, hex, kcv, variant};
use serde_json::json;
use std::process::ExitCode;
use zeroize::Zeroizing;

const AFTER_HELP: &str = "\
With --type the key is a cryptogram under a variant LMK; a key that begins with S is a key block under a key-block LMK; any
other key is clear. The LMKs are the published test LMKs: 00 variant, 01 AES key block, 02 TDES key block.
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
    #[arg(long = "type", value_name = "TYPE")]
    key_type: Option<String>,

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
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let text = secret::get("key", &args.key)?;
    let opened = match &args.key_type {
        Some(name) => cryptogram(&text, key_type(name)?, args.lmk.unwrap_or(0))?,
        None if text.starts_with('S') => block(&text, args.lmk)?,
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

fn key_type(name: &str) -> anyhow::Result<KeyType> {
    let found = KeyType::by_name(name, false).map_or_else(|| KeyType::parse(name.as_bytes()), Ok);
    found.map_err(|e| usage(format!("--type {name}: {e}; `hsm key types` lists codes and names")))
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

fn cryptogram(text: &str, key_type: KeyType, id: u8) -> anyhow::Result<Opened> {
    let untagged = if text.len() > 16 { Untagged::Double } else { Untagged::Single };
    let (field, len) = KeyField::parse(text.as_bytes(), untagged).map_err(|e| usage(format!("--key: {e}")))?;
    let KeyField::Cryptogram { scheme, digits } = field else {
        return Err(usage("--type is for keys in the schemes U, T, X, Y, Z and untagged"));
    };
    if len != text.len() {
        return Err(usage(format!("--key: {} characters are left over", text.len() - len)));
    }
    let bytes = hex::decode(digits).ok_or_else(|| usage("--key: not hexadecimal"))?;
    let lmks = SecurityModule::with_test_lmks().lmks();
    let lmk = lmks.slots.get(&id).ok_or_else(|| usage(format!("--lmk: no LMK is loaded in slot {id:02}")))?;
    let opened = variant::decrypt_under_lmk(lmk, key_type.into(), scheme, &bytes)
        .with_context(|| format!("the key does not open under LMK {id:02}"))?;
    let name = key_type.info().and_then(|info| info.names.first()).map_or(String::new(), |name| format!(" ({name})"));
    let scheme = match scheme {
        KeyScheme::Single | KeyScheme::Double => "untagged".to_owned(),
        scheme => format!("scheme {scheme:?}"),
    };
    let form = format!("{scheme}, type {key_type}{name} under LMK {id:02}");
    Ok(Opened { key: opened.key, form, strict: true })
}

fn block(text: &str, id: Option<u8>) -> anyhow::Result<Opened> {
    let body = Zeroizing::new(text.get(1..).unwrap_or_default().as_bytes().to_vec());
    let (header, _) = key_block::inspect(Family::Thales, &body).map_err(|e| usage(format!("--key: {e}")))?;
    let named = match header.scope {
        Some(Scope::Lmk(id)) => Some(id.number()),
        _ => None,
    };
    let lmks = SecurityModule::with_test_lmks().lmks();
    // Public samples name LMK 01 for either kind of key-block LMK.
    let suits = |lmk: &Lmk| lmk.protection_keys().is_ok_and(|keys| keys.version() == header.version);
    let suiting = |id: u8| lmks.slots.get(&id).is_some_and(|lmk| suits(lmk));
    let id = match (id, named) {
        (Some(id), _) => id,
        (None, None) => return Err(usage("the key block is under a ZMK or TMK, not under an LMK")),
        (None, Some(named)) if suiting(named) => named,
        (None, Some(named)) => lmks.slots.keys().copied().find(|id| suiting(*id)).unwrap_or(named),
    };
    let lmk: &Lmk = lmks.slots.get(&id).ok_or_else(|| usage(format!("--lmk: no LMK is loaded in slot {id:02}")))?;
    let refused = || format!("the key block does not open under LMK {id:02}");
    let keys = lmk.protection_keys().with_context(refused)?;
    let opened = thales::unwrap(keys, None, &body).with_context(refused)?;
    let form = format!("key block, usage {} under LMK {id:02}", opened.header.attributes.usage);
    Ok(Opened { key: opened.key, form, strict: false })
}
