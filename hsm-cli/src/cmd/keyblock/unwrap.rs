//! `hsm keyblock unwrap`.

use crate::exit::usage;
use crate::facts::Facts;
use crate::lmks::{LmkArgs, Lmks};
use crate::{keys, secret};
use anyhow::Context;
use hsm_core::inspect::usage_name;
use hsm_core::key_block::header::{Family, Scope};
use hsm_core::key_block::thales::ProtectionKeys;
use hsm_core::key_block::{self, OpenedBlock, thales, tr31};
use serde_json::json;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
The block is opened with the KBPK or, without --kbpk, under the LMK that it names or that suits it.
Where several values are -, each takes a line of standard input: block, KBPK.
Exit codes: 0 opened, 1 the MAC is wrong or the contents are no key, 2 wrong usage.

Examples:
  hsm keyblock unwrap S00072P0TB00E0001EA421618B34F5FA1A77F7CF6480111B97CF0FAE7BD77D589EC921EF9
  hsm keyblock unwrap --kbpk 89E88CF7931444F334BD7547FC3F380C \\
      S00072P0TE00E0000F3ABE56BDCD4AA26BE0A30C7D895A9755B5FCB994EDD8E7EE627CA46";

/// Take the key out of a key block
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Key block with its tag S or R, or as other systems have it; - reads it from standard input
    #[arg(value_name = "BLOCK")]
    block: String,

    /// Key block protection key: clear, or under an LMK; - reads it from standard input
    #[arg(long, value_name = "KEY")]
    kbpk: Option<String>,

    #[command(flatten)]
    lmk: LmkArgs,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm keyblock unwrap`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let text = secret::get("block", &args.block)?;
    let block = keys::with_tag("block", &text);
    let (family, text) = block.ok_or_else(|| usage("a key block begins with its tag, S or R"))?;
    let body = text.get(1..).unwrap_or_default().as_bytes();
    let lmks = args.lmk.lmks();
    let (opened, under) = match (&args.kbpk, family) {
        (Some(kbpk), _) => (with_key(&lmks, family, body, kbpk)?, "the KBPK".to_owned()),
        (None, Family::Thales) => {
            let (id, opened) = keys::open_block(&lmks, "block", &text, lmks.asked())?;
            (opened, format!("LMK {id:02}"))
        }
        (None, Family::X9143) => return Err(usage("a TR-31 block is under no LMK: say its key with --kbpk")),
    };
    show(&opened, family, under, args.json)?;
    Ok(ExitCode::SUCCESS)
}

fn with_key(lmks: &Lmks, family: Family, body: &[u8], kbpk: &str) -> anyhow::Result<OpenedBlock> {
    let (header, _) =
        key_block::inspect(family, body).map_err(|e| usage(format!("the block: {e} (error {})", e.code())))?;
    let kbpk = super::protection_key(lmks, header.version, kbpk)?;
    let opened = match family {
        Family::Thales => ProtectionKeys::derive(&kbpk).and_then(|keys| thales::unwrap(&keys, None, body)),
        Family::X9143 => tr31::unwrap(&kbpk, body),
    };
    opened.context("the block does not open under the KBPK; `hsm keyblock inspect` looks for damage")
}

fn show(opened: &OpenedBlock, family: Family, under: String, as_json: bool) -> anyhow::Result<()> {
    let attributes = opened.header.attributes;
    let letter = |id: u8| char::from(id).to_string();
    let version: String = attributes.key_version.id().map(char::from).iter().collect();
    let mut facts = Facts::default();
    facts.add("clear", keys::digits(&opened.key)).add_some("kcv", keys::short_kcv(&opened.key));
    facts.add("usage", attributes.usage.to_string());
    facts.line("", usage_name(family, attributes.usage).unwrap_or("not a known usage"));
    facts.add("algorithm", letter(attributes.algorithm.id())).add("mode", letter(attributes.mode.id()));
    facts.add("key version", version).add("exportability", letter(attributes.exportability.id()));
    let scope = match opened.header.scope {
        Some(Scope::Lmk(id)) => format!("LMK {:02}", id.number()),
        Some(Scope::Transport) => "a ZMK or TMK".to_owned(),
        None => "not said".to_owned(),
    };
    facts.add("names", scope).add("opened with", under);
    let blocks: Vec<_> = opened
        .optional
        .iter()
        .map(|block| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (text(&block.id()), text(block.data()))
        })
        .collect();
    for (id, data) in &blocks {
        facts.line(&format!("block {id}"), data.as_str());
    }
    let blocks: Vec<_> = blocks.into_iter().map(|(id, data)| json!({"id": id, "data": data})).collect();
    facts.json("optional_blocks", blocks.into());
    facts.print(as_json)
}
