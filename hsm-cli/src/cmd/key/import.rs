//! `hsm key import`: from under a ZMK to under an LMK.

use super::inputs::{UnderArgs, add_under_lmk};
use super::wrapping;
use crate::exit::{report, usage};
use crate::facts::Facts;
use crate::keys;
use crate::secret;
use hsm_core::key_block::header::Usage;
use hsm_core::key_block::rules;
use hsm_core::key_type::KeyType;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
The key may be in any scheme: untagged, Z, U, T, X, Y, or an S or R key block. A key without odd parity is adjusted, as the HSM
does with advice code 01. Where several values are -, each takes a line of standard input: ZMK, key.
Exit codes: 0 imported, 1 the key does not open or has another check value than --kcv, 2 wrong usage.

Examples:
  hsm key import --zmk 851A0D9D0B2A1602622AD0B0E9E6B070 --key X6A2C67C227784BC5D8508B6BED82ECB8 --type ZPK --kcv 08D7B4
  hsm key import --zmk 851A0D9D0B2A1602622AD0B0E9E6B070 --key U5941392F0B089B521BB0E54102AF4B2E --type ZPK --lmk 01
  hsm key import --zmk S00072K0TB00E0001DB045F29C053EEFF7B9425B3A88C7258EB7EA7E40E2C47878647072A --lmk 01 \\
      --key S00072P0TB00N00FFE1D89671C973C7F0DAF91CB2EBF379493C08975679001172C89A0AF8";

/// Take a key from under a ZMK to under an LMK
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    zmk: wrapping::ZmkArgs,

    /// Key under the ZMK; - reads it from standard input
    #[arg(long, value_name = "KEY")]
    key: String,

    #[command(flatten)]
    under: UnderArgs,

    /// Check value that the key should have
    #[arg(long, value_name = "HEX")]
    kcv: Option<String>,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm key import`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let lmks = args.under.lmks();
    let zmk = args.zmk.read(&lmks)?;
    let field = secret::get("key", &args.key)?;
    let expected = args.kcv.as_deref().map(|kcv| secret::hex("check value", kcv)).transpose()?;
    let unwrapped = args.zmk.unwrap(&zmk.key, &field)?;
    // An R block's usage may be replaced by one that becomes it on export; an S block's stays.
    if let (Some(own), Some(wanted)) = (unwrapped.attributes, args.under.attributes.usage) {
        let wrong =
            |_| usage(format!("a key of usage {} cannot be imported as {wanted} (the HSM answers A6)", own.usage));
        rules::check_modified_usage(own.usage, wanted).map_err(wrong)?;
    }
    let key_type = args.under.key_type(&lmks)?;
    let usage = unwrapped.attributes.map(|own| own.usage).or(args.under.attributes.usage);
    // A DUKPT initial key has the parity that its derivation gave it, and keeps it.
    let is_initial = key_type == Some(KeyType::IKEY) || usage == Some(Usage::INITIAL_KEY);
    let odd = unwrapped.odd_parity;
    let key = if is_initial { unwrapped.key } else { unwrapped.key.with_odd_parity() };
    // Without a type nothing but its attributes says what the key is.
    let id = args.under.slot(&lmks, unwrapped.attributes.is_some() && key_type.is_none())?;
    lmks.check_length(&key)?;
    let under_lmk = args.under.target(&lmks, &key, unwrapped.attributes)?.put(&key, &lmks, id)?;

    let check = hsm_core::kcv::check_value(&key).unwrap_or_default();
    let agrees = expected.as_ref().map(|expected| check.starts_with(expected));
    let mut facts = Facts::default();
    facts.add("from", unwrapped.form).add("clear", keys::digits(&key));
    add_under_lmk(&mut facts, "key", under_lmk, id);
    facts.add_some("kcv", keys::short_kcv(&key)).add("zmk kcv", keys::short_kcv(&zmk.key));
    let parity = if is_initial {
        "that of an initial key"
    } else if odd {
        "odd"
    } else {
        "was not odd, adjusted (the HSM answers 01): the wrong ZMK or scheme, perhaps"
    };
    facts.line("parity", parity).json("odd_parity", odd.into());
    facts.json("kcv_agrees", agrees.into());
    facts.print(args.json)?;
    if agrees == Some(false) {
        report(
            "the check value is another: wrong ZMK, scheme (X or U) or Atalla variant, or a damaged key; \
             `hsm key inspect KEY --zmk ZMK --kcv KCV` tries them",
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
