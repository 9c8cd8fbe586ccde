//! `hsm keyblock wrap`.

use crate::exit::usage;
use crate::facts::Facts;
use crate::keys::{self, AttributeArgs, Kind, Source, tagged};
use crate::lmks::LmkArgs;
use hsm_core::Algorithm;
use hsm_core::key_block::header::{Family, Scope, Version};
use hsm_core::key_block::optional::{OptionalBlock, OptionalBlocks};
use hsm_core::key_block::thales::ProtectionKeys;
use hsm_core::key_block::tr31;
use hsm_core::scheme::KeyScheme;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
The key goes into a block under the KBPK (a ZMK, say) or, without --kbpk, under a key-block LMK.
Where several values are -, each takes a line of standard input: KBPK, key.

Examples:
  hsm keyblock wrap --version 0 --kbpk 89E88CF7931444F334BD7547FC3F380C --key F039121BEC83D26B169BDCD5B22AAF8F --usage P0
  hsm keyblock wrap --version D --kbpk 000102030405060708090A0B0C0D0E0F --key aes:F039121BEC83D26B169BDCD5B22AAF8F \\
      --usage P0 --mode B --optional KS=00604B120F9292800000
  echo F039121BEC83D26B169BDCD5B22AAF8F | hsm keyblock wrap --lmk 01 --key - --usage 72 --json";

/// Put a key into a key block
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, disable_version_flag = true)]
pub(super) struct Args {
    /// Version: 0 and 1 are Thales blocks, A to E TR-31 blocks [default: what the LMK has]
    #[arg(long, value_name = "LETTER", value_parser = super::version)]
    version: Option<Version>,

    /// Key block protection key: clear, or under an LMK; - reads it from standard input
    #[arg(long, value_name = "KEY", requires = "version")]
    kbpk: Option<String>,

    /// Key: clear (aes:DIGITS for AES, or say --algorithm), or an S block under an LMK; - reads it from standard input
    #[arg(long, value_name = "KEY")]
    key: String,

    /// Cipher of a clear key
    #[arg(long, value_name = "CIPHER", default_value = "tdes2", ignore_case = true)]
    algorithm: Kind,

    #[command(flatten)]
    attributes: AttributeArgs,

    #[command(flatten)]
    lmk: LmkArgs,

    /// Optional block, once for each: identifier and text
    #[arg(long, value_name = "ID=TEXT", value_parser = optional)]
    optional: Vec<OptionalBlock>,

    /// Bytes that the key of a TR-31 block is padded to, to hide its length
    #[arg(long, value_name = "N", default_value_t = 0)]
    pad_to: u16,

    /// Make the block even if the HSM permits no such usage, algorithm and mode, or the LMK is weaker than the key
    #[arg(long)]
    force: bool,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

fn optional(text: &str) -> Result<OptionalBlock, String> {
    let wrong = || "an optional block is given as ID=TEXT, such as KS=00604B120F9292800000".to_owned();
    let (id, data) = text.split_once('=').ok_or_else(wrong)?;
    let id: [u8; 2] = id.as_bytes().try_into().map_err(|_| wrong())?;
    OptionalBlock::new(id, data.as_bytes()).map_err(|e| format!("{e} (error {})", e.code()))
}

/// Runs `hsm keyblock wrap`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let version = args.version;
    let lmks = args.lmk.lmks();
    let kbpk = match (&args.kbpk, version) {
        (Some(kbpk), Some(version)) => Some((version, super::protection_key(&lmks, version, kbpk)?)),
        _ => None,
    };
    let opened =
        Source { algorithm: args.algorithm.algorithm(), ..Source::wrapping(&lmks, "key", &[]) }.read(&args.key)?;
    let attributes = args.attributes.of_key(&opened.key, opened.attributes, None)?;
    let optional = OptionalBlocks::new(args.optional.clone()).map_err(keys::refused)?;
    if !args.force && version.is_none_or(|version| version.family() == Family::Thales) {
        keys::check_attributes(&attributes)?;
    }
    let block = match kbpk {
        Some((version, kbpk)) if version.family() == Family::X9143 => {
            let pad_to = usize::from(args.pad_to);
            let block = tr31::wrap(&kbpk, version, attributes, &optional, &opened.key, pad_to, &mut keys::fill);
            tagged('R', &block.map_err(keys::refused)?)
        }
        Some((_, kbpk)) => {
            let protection = ProtectionKeys::derive(&kbpk).map_err(keys::refused)?;
            keys::s_block(&protection, Scope::Transport, attributes, &optional, &opened.key)?
        }
        None => {
            let id = lmks.destination(Some(KeyScheme::S), true)?;
            let has = keys::protection_keys(&lmks, id)?.version();
            if version.is_some_and(|version| version != has) {
                let has = char::from(has.id());
                return Err(usage(format!(
                    "key blocks under LMK {id:02} have version {has}; --kbpk takes another key"
                )));
            }
            if !args.force {
                lmks.check_length(&opened.key)?;
                lmks.check_strength(id, &opened.key)?;
            }
            keys::block_under_lmk(&lmks, id, attributes, &optional, &opened.key)?
        }
    };
    if args.json {
        let mut facts = Facts::default();
        facts.add("block", block).add("kcv", keys::short_kcv(&opened.key));
        facts.add("algorithm", opened.key.algorithm().to_string());
        facts.print(true)?;
    } else {
        if opened.key.algorithm() == Algorithm::Des && !opened.key.has_odd_parity() {
            crate::exit::report("note: the key does not have odd parity");
        }
        crate::output::text(&block)?;
    }
    Ok(ExitCode::SUCCESS)
}
