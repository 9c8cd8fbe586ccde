//! `hsm key export`: from under an LMK to under a ZMK.

use super::inputs::KeyArgs;
use super::wrapping;
use crate::exit::usage;
use crate::facts::Facts;
use crate::keys::{self, AttributeArgs};
use hsm_core::Algorithm;
use hsm_core::key_block::rules::{self, ExportForm};
use hsm_core::key_type::{KeyType, Listing};
use hsm_core::scheme::KeyScheme;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
With --type the key is a cryptogram under a variant LMK even without a scheme letter; des:DIGITS and aes:DIGITS are
clear. Where several values are -, each takes a line of standard input: ZMK, key.
Exit codes: 0 exported, 1 the key does not open or may not be exported, 2 wrong usage.

Examples:
  hsm key export --type CVK --key U9B4934384B19946B040CD702B4D58145 --zmk 851A0D9D0B2A1602622AD0B0E9E6B070 --scheme X
  hsm key export --type CVK --key U9B4934384B19946B040CD702B4D58145 --zmk 851A0D9D0B2A1602622AD0B0E9E6B070 --scheme R
  hsm key export --key S00072P0TB00E0001EA421618B34F5FA1A77F7CF6480111B97CF0FAE7BD77D589EC921EF9 --scheme S \\
      --exportability N --zmk S00072K0TB00E0001DB045F29C053EEFF7B9425B3A88C7258EB7EA7E40E2C47878647072A";

/// Take a key from under an LMK to under a ZMK
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    zmk: wrapping::ZmkArgs,

    #[command(flatten)]
    from: KeyArgs,

    /// Scheme under the ZMK: Z, U, T, X, Y, S or R
    #[arg(long, value_name = "LETTER", value_parser = keys::scheme)]
    scheme: KeyScheme,

    #[command(flatten)]
    attributes: AttributeArgs,

    /// Export even what the HSM would not
    #[arg(long)]
    force: bool,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm key export`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let lmks = args.from.lmks();
    let zmk = args.zmk.read(&lmks)?;
    let opened = args.from.read(&lmks)?;
    let mut attributes = args.attributes.of_key(&opened.key, opened.attributes, args.from.key_type).ok();
    if !args.force {
        let listed =
            args.from.key_type.filter(|_| !opened.clear && opened.attributes.is_none()).and_then(KeyType::info);
        if listed.is_some_and(|info| info.payshield_export == Listing::NotListed) {
            anyhow::bail!("keys of this type may not be exported (the HSM answers 29); --force does it all the same");
        }
        if let Some(own) = opened.attributes {
            let blocks = matches!(args.scheme, KeyScheme::S | KeyScheme::R);
            let form = if blocks { ExportForm::KeyBlock } else { ExportForm::VariantOrX917 };
            rules::check_export(&own, form, true).map_err(|e| {
                let letter = char::from(own.exportability.id());
                anyhow::anyhow!("exportability {letter}: {e} (the HSM answers AA); --force does it all the same")
            })?;
            let wanted = args.attributes.exportability.unwrap_or(own.exportability);
            let narrowed = rules::narrow(own.exportability, wanted)
                .map_err(|_| usage("--exportability: rights may be narrowed, not widened (the HSM answers AA)"))?;
            attributes = attributes.map(|a| hsm_core::key_block::header::Attributes { exportability: narrowed, ..a });
        }
    }
    let wrapped = args.zmk.wrap(&zmk.key, args.scheme, &opened.key, attributes)?;
    let mut facts = Facts::default();
    facts.add("from", opened.form).add("under zmk", wrapped);
    facts.add_some("kcv", keys::short_kcv(&opened.key)).add("zmk kcv", keys::short_kcv(&zmk.key));
    if opened.key.algorithm() == Algorithm::Des && !opened.key.has_odd_parity() {
        facts.add("note", "the key does not have odd parity; whoever imports it adjusts that");
    }
    facts.print(args.json)?;
    Ok(ExitCode::SUCCESS)
}
