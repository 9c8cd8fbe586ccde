//! `hsm key generate`.

use super::wrapping;
use crate::exit::usage;
use crate::facts::Facts;
use crate::keys::{self, AttributeArgs, Kind, Stored};
use crate::lmks::Lmks;
use hsm_core::key_type::KeyType;
use hsm_core::lmk::LmkScheme;
use hsm_core::scheme::KeyScheme;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Prints the key in clear, under the LMK and, with --zmk, under the ZMK, and its check value. The LMKs are the published test
LMKs: 00 variant (needs --type), 01 AES key block, 02 TDES key block (need --usage, or --type to take one from).

Examples:
  hsm key generate --type ZPK
  hsm key generate --type CVK --scheme U --zmk 851A0D9D0B2A1602622AD0B0E9E6B070 --zmk-scheme X
  hsm key generate --usage P0 --mode E --algorithm aes128
  hsm key generate --type 001 --lmk 02 --zmk 851A0D9D0B2A1602622AD0B0E9E6B070 --zmk-scheme R --json";

/// Make a random key
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Key type: code such as 001 or name such as ZPK
    #[arg(long = "type", value_name = "TYPE", value_parser = keys::key_type)]
    key_type: Option<KeyType>,

    /// Scheme under the LMK: Z, U, T, X or Y, or S [default: what suits length and LMK]
    #[arg(long, value_name = "LETTER", value_parser = keys::scheme)]
    scheme: Option<KeyScheme>,

    /// Cipher and length [default: what the scheme has, else double-length TDES]
    #[arg(long, value_name = "CIPHER", ignore_case = true)]
    algorithm: Option<Kind>,

    /// LMK to put the key under [default: 00; with --usage or scheme S 01]
    #[arg(long, value_name = "ID")]
    lmk: Option<u8>,

    #[command(flatten)]
    attributes: AttributeArgs,

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
pub(super) fn run(args: &Args, lmks: &Lmks) -> anyhow::Result<ExitCode> {
    if args.scheme == Some(KeyScheme::R) {
        return Err(usage("--scheme: no LMK has TR-31 key blocks; --zmk-scheme R puts one under a ZMK"));
    }
    let block = args.attributes.any() || args.scheme == Some(KeyScheme::S);
    let id = args.lmk.unwrap_or(u8::from(block));
    let of_scheme = args.scheme.and_then(KeyScheme::key_len).map(|len| match len {
        8 => Kind::Des,
        16 => Kind::Tdes2,
        _ => Kind::Tdes3,
    });
    let kind = args.algorithm.or(of_scheme).unwrap_or(Kind::Tdes2);
    let key = kind.random()?;
    let attributes = args.attributes.of_key(&key, None, args.key_type).ok();
    let stored = Stored { key: &key, attributes, key_type: args.key_type, scheme: args.scheme, component: false };
    let under_lmk = stored.under(lmks, id)?;

    let mut facts = Facts::default();
    facts.add_some("type", args.key_type.map_or(String::new(), keys::type_name));
    facts.add("clear", keys::digits(&key));
    facts.add("key", &*under_lmk).line("", format!("under LMK {id:02}")).json("lmk", id.into());
    if args.zmk.is_given() {
        let zmk = args.zmk.read(lmks)?;
        let variant = lmks.get(id)?.scheme() == LmkScheme::Variant;
        let usual = if variant { args.scheme.unwrap_or_else(|| keys::usual_scheme(key.len())) } else { KeyScheme::S };
        let wrapped = args.zmk.wrap(&zmk.key, args.zmk_scheme.unwrap_or(usual), &key, attributes)?;
        facts.add("under zmk", wrapped).add("zmk kcv", keys::short_kcv(&zmk.key));
    }
    facts.add_some("kcv", keys::short_kcv(&key));
    facts.print(args.json)?;
    Ok(ExitCode::SUCCESS)
}
