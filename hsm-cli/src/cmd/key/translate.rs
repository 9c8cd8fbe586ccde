//! `hsm key translate`: from one LMK to another.

use crate::exit::report;
use crate::facts::Facts;
use crate::keys::{self, AttributeArgs, Source, Stored};
use crate::lmks::Lmks;
use hsm_core::key_type::KeyType;
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
    /// Key under an LMK, or clear; - reads it from standard input
    #[arg(long, value_name = "KEY")]
    key: String,

    /// Key type under a variant LMK
    #[arg(long = "type", value_name = "TYPE", value_parser = keys::key_type)]
    key_type: Option<KeyType>,

    /// LMK that the key is under [default: 00; for a key block the one it names, or one that suits it]
    #[arg(long, value_name = "ID")]
    lmk: Option<u8>,

    /// LMK to put the key under
    #[arg(long, value_name = "ID")]
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
pub(super) fn run(args: &Args, lmks: &Lmks) -> anyhow::Result<ExitCode> {
    let types: Vec<KeyType> = args.key_type.into_iter().collect();
    let untagged_cryptograms = !types.is_empty();
    let source = Source { lmk: args.lmk, untagged_cryptograms, ..Source::new(lmks, "key", &types) };
    let opened = source.read(&args.key)?;
    let lmk = lmks.get(args.to)?;
    let attributes = args.attributes.of_key(&opened.key, opened.attributes, args.key_type).ok();
    let stored =
        Stored { key: &opened.key, attributes, key_type: args.key_type, scheme: args.scheme, component: false };
    let key = stored.under(lmks, args.to)?;
    if opened.attributes.is_some() && lmk.scheme() == LmkScheme::Variant {
        report("note: a payShield moves no key from a key-block LMK to a variant LMK");
    }
    let mut facts = Facts::default();
    facts.add("from", opened.form).add("key", key).line("", format!("under LMK {:02}", args.to));
    facts.add_some("kcv", keys::short_kcv(&opened.key)).json("lmk", args.to.into());
    facts.print(args.json)?;
    Ok(ExitCode::SUCCESS)
}
