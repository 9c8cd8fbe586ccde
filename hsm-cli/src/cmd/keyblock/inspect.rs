//! `hsm keyblock inspect`.

use crate::cmd::key::{Show, wrapping_keys};
use crate::exit::usage;
use crate::lmks::LmkArgs;
use crate::{output, secret};
use hsm_core::inspect::{Query, Shape, inspect};
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Explains the header and optional blocks, and checks the MAC under the key-block LMKs and the KBPKs that are given. If it
is wrong under all of them, a change of one character or of the header that makes it good is looked for.
Exit codes: 0 the MAC is good, or there is no key to check it with, 1 it is wrong, 2 wrong usage.

Examples:
  hsm keyblock inspect S00072P0TB00E0001EA421618B34F5FA1A77F7CF6480111B97CF0FAE7BD77D589EC921EF9
  hsm keyblock inspect S0007272TB00E0001EA421618B34F5FA1A77F7CF6480111B97CF0FAE7BD77D589EC921EF9";

/// Explain a key block
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Key block with its tag S or R, or as other systems have it; - reads it from standard input
    #[arg(value_name = "BLOCK")]
    block: String,

    /// Key block protection key, once for each: clear (aes:DIGITS for AES), or under an LMK; - reads it from standard input
    #[arg(long, value_name = "KEY")]
    kbpk: Vec<String>,

    #[command(flatten)]
    lmk: LmkArgs,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm keyblock inspect`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let text = secret::get("block", &args.block)?;
    let lmks = args.lmk.lmks();
    let slots = lmks.searched()?;
    let wrapping_keys = wrapping_keys(&lmks, &args.kbpk)?;
    let query = Query {
        text: &text,
        lmks: &slots,
        wrapping_keys: &wrapping_keys,
        check_value: None,
        key_type: None,
        all: false,
    };
    let report = inspect(&query);
    if !matches!(report.shape, Shape::Block(_)) {
        return Err(usage("that is no key block; `hsm key inspect` looks at other keys"));
    }
    let show = Show { clear: false };
    if args.json {
        output::json(&show.json(&report, &query))?;
    } else {
        output::text(&show.text(&report, &query))?;
    }
    let block = report.block.as_ref();
    // A TR-31 block without KBPK can only be read.
    let unchecked = block.is_some_and(|block| block.verdicts.is_empty() && block.optional.is_ok());
    let good = block.is_some_and(|block| block.verdicts.iter().any(|v| v.authenticated() == Some(true)));
    Ok(if good || unchecked { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
