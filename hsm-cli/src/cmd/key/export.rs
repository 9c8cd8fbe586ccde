//! `hsm key export`: from under an LMK to under a ZMK.

use super::inputs::KeyArgs;
use super::wrapping;
use crate::exit::usage;
use crate::facts::Facts;
use crate::keys::{self, AttributeArgs, Opened};
use hsm_core::key_block::rules::{self, ExportForm};
use hsm_core::key_type::{KeyType, Listing};
use hsm_core::scheme::KeyScheme;
use hsm_core::{Algorithm, Settings};
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
    let key_type = args.from.key_type(&lmks)?;
    let mut attributes = args.attributes.of_key(&opened.key, opened.attributes, key_type).ok();
    if !args.force {
        if !opened.clear {
            may_leave(&opened, key_type, args.scheme, lmks.settings()?)
                .map_err(|why| anyhow::anyhow!("{why}; --force does it all the same"))?;
        }
        if let Some(own) = opened.attributes {
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

/// Whether the HSM exports a key from under an LMK, in the order of its checks; `Err` says why not, with its code.
fn may_leave(opened: &Opened, key_type: Option<KeyType>, scheme: KeyScheme, settings: &Settings) -> Result<(), String> {
    let is_zmk = match opened.attributes {
        Some(own) => own.usage.is_zmk(),
        None => key_type == Some(KeyType::ZMK),
    };
    if is_zmk && !settings.zmk_export {
        return Err("export of ZMKs is disabled by the setting zmk_export (the HSM answers 17)".to_owned());
    }
    let listed = key_type.filter(|_| !is_zmk && opened.attributes.is_none()).and_then(KeyType::info);
    if listed.is_some_and(|info| info.payshield_export == Listing::NotListed) {
        return Err("keys of this type may not be exported (the HSM answers 29)".to_owned());
    }
    if opened.key.algorithm() == Algorithm::Des && opened.key.len() == 8 && !settings.single_des {
        return Err("single-length DES keys are disabled by the setting single_des (the HSM answers 17)".to_owned());
    }
    let in_block = matches!(scheme, KeyScheme::S | KeyScheme::R);
    if let Some(own) = opened.attributes {
        let form = if in_block { ExportForm::KeyBlock } else { ExportForm::VariantOrX917 };
        rules::check_export(&own, form, settings.sensitive_export).map_err(|e| {
            let letter = char::from(own.exportability.id());
            format!("exportability {letter}: {e} (the HSM answers AA)")
        })?;
        if !in_block && settings.trusted_export_only {
            let why = "the setting trusted_export_only allows export in key blocks only (the HSM answers 17)";
            return Err(why.to_owned());
        }
    }
    if !in_block && !matches!(scheme, KeyScheme::U | KeyScheme::T) && !settings.x917_export {
        return Err("export in X9.17 schemes is disabled by the setting x917_export (the HSM answers 26)".to_owned());
    }
    Ok(())
}
