//! `hsm key translate`: from one LMK to another.

use super::inputs::{KeyArgs, add_under_lmk};
use crate::exit::report;
use crate::facts::Facts;
use crate::keys::{self, AttributeArgs, Target};
use crate::parse;
use hsm_core::lmk::LmkScheme;
use hsm_core::scheme::KeyScheme;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
With --type the key is a cryptogram under a variant LMK even without a scheme letter; des:DIGITS and aes:DIGITS are
clear. Moving a key from a key-block LMK to a variant LMK, as no HSM does, needs --type for the key as it becomes.

Examples:
  hsm key translate --type CVK --key U9B4934384B19946B040CD702B4D58145 --to 01
  hsm key translate --key S00072P0TB00E0001EA421618B34F5FA1A77F7CF6480111B97CF0FAE7BD77D589EC921EF9 --to 01
  hsm key translate --type CVK --key U9B4934384B19946B040CD702B4D58145 --to 00 --scheme X";

/// Take a key from under one LMK to under another
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    from: KeyArgs,

    /// LMK to put the key under
    #[arg(long, value_name = "NN", value_parser = parse::lmk_id)]
    to: u8,

    /// Scheme under the new LMK, if it is a variant LMK
    #[arg(long, value_name = "LETTER", value_parser = keys::scheme)]
    scheme: Option<KeyScheme>,

    #[command(flatten)]
    attributes: AttributeArgs,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm key translate`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let lmks = args.from.lmks();
    let opened = args.from.read(&lmks)?;
    let lmk = lmks.lmk(args.to)?;
    let key_type = args.from.key_type(&lmks)?;
    let attributes = args.attributes.of_key(&opened.key, opened.attributes, key_type).ok();
    let target = Target { attributes, key_type, scheme: args.scheme, component: false };
    let key = target.put(&opened.key, &lmks, args.to)?;
    if opened.attributes.is_some() && lmk.scheme() == LmkScheme::Variant {
        report("note: a payShield moves no key from a key-block LMK to a variant LMK");
    }
    let mut facts = Facts::default();
    facts.add("from", opened.form);
    add_under_lmk(&mut facts, "key", key, args.to);
    facts.add_some("kcv", keys::short_kcv(&opened.key));
    facts.print(args.json)?;
    Ok(ExitCode::SUCCESS)
}
