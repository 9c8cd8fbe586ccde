//! `hsm key generate`.

use super::inputs::{UnderArgs, add_under_lmk};
use super::wrapping;
use crate::exit::usage;
use crate::facts::Facts;
use crate::keys::{self, Kind};
use hsm_core::lmk::LmkScheme;
use hsm_core::scheme::KeyScheme;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Prints the key in clear, under the LMK and, with --zmk, under the ZMK, and its check value. A variant LMK needs
--type, a key-block LMK --usage, or --type to take one from.

Examples:
  hsm key generate --type ZPK
  hsm key generate --type CVK --scheme U --zmk 851A0D9D0B2A1602622AD0B0E9E6B070 --zmk-scheme X
  hsm key generate --usage P0 --mode E --algorithm aes128
  hsm key generate --type 001 --lmk 02 --zmk 851A0D9D0B2A1602622AD0B0E9E6B070 --zmk-scheme R --json";

/// Make a random key
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    under: UnderArgs,

    /// Cipher and length [default: what the scheme has, else double-length TDES]
    #[arg(long, value_name = "CIPHER", ignore_case = true)]
    algorithm: Option<Kind>,

    #[command(flatten)]
    zmk: wrapping::ZmkArgs,

    /// Scheme under the ZMK: Z, U, T, X, Y, S or R [default: as under the LMK]
    #[arg(long, value_name = "LETTER", requires = "zmk", value_parser = keys::scheme)]
    zmk_scheme: Option<KeyScheme>,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm key generate`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.under.scheme == Some(KeyScheme::R) {
        return Err(usage("--scheme: no LMK has TR-31 key blocks; --zmk-scheme R puts one under a ZMK"));
    }
    let lmks = args.under.lmks();
    let id = args.under.slot(&lmks, false)?;
    let of_scheme = args.under.scheme.and_then(KeyScheme::key_len).map(|len| match len {
        8 => Kind::Des,
        16 => Kind::Tdes2,
        _ => Kind::Tdes3,
    });
    let kind = args.algorithm.or(of_scheme).unwrap_or(Kind::Tdes2);
    let key = kind.random()?;
    lmks.check_length(&key)?;
    let target = args.under.target(&lmks, &key, None)?;
    let under_lmk = target.put(&key, &lmks, id)?;

    let mut facts = Facts::default();
    facts.add_some("type", target.key_type.map_or(String::new(), keys::type_name));
    facts.add("clear", keys::digits(&key));
    add_under_lmk(&mut facts, "key", under_lmk, id);
    if args.zmk.is_given() {
        let zmk = args.zmk.read(&lmks)?;
        let variant = lmks.lmk(id)?.scheme() == LmkScheme::Variant;
        let usual =
            if variant { args.under.scheme.unwrap_or_else(|| keys::usual_scheme(key.len())) } else { KeyScheme::S };
        let wrapped = args.zmk.wrap(&zmk.key, args.zmk_scheme.unwrap_or(usual), &key, target.attributes)?;
        facts.add("under zmk", wrapped).add("zmk kcv", keys::short_kcv(&zmk.key));
    }
    facts.add_some("kcv", keys::short_kcv(&key));
    facts.print(args.json)?;
    Ok(ExitCode::SUCCESS)
}
