//! `hsm keyblock wrap`.

use crate::exit::usage;
use crate::facts::Facts;
use crate::keys::{self, AttributeArgs, Kind, Source, tagged};
use crate::lmks::Lmks;
use hsm_core::Algorithm;
use hsm_core::key_block::header::{Family, Scope, Version};
use hsm_core::key_block::optional::{OptionalBlock, OptionalBlocks};
use hsm_core::key_block::thales::ProtectionKeys;
use hsm_core::key_block::{KeyBlockError, thales, tr31};
use hsm_core::lmk::LmkId;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
The key goes into a block under a clear KBPK (a ZMK, say) or, with --lmk, under a key-block LMK (of the test LMKs 01 is AES, 02 TDES).
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
    #[arg(long, value_name = "LETTER", value_parser = super::version, required_unless_present = "lmk")]
    version: Option<Version>,

    /// Key block protection key: clear, or under an LMK; - reads it from standard input
    #[arg(long, value_name = "KEY", required_unless_present = "lmk", conflicts_with = "lmk")]
    kbpk: Option<String>,

    /// Key-block LMK to put the key under
    #[arg(long, value_name = "ID")]
    lmk: Option<u8>,

    /// Key: clear (aes:DIGITS for AES, or say --algorithm), or an S block under an LMK; - reads it from standard input
    #[arg(long, value_name = "KEY")]
    key: String,

    /// Cipher of a clear key
    #[arg(long, value_name = "CIPHER", default_value = "tdes2", ignore_case = true)]
    algorithm: Kind,

    #[command(flatten)]
    attributes: AttributeArgs,

    /// Optional block, once for each: identifier and text
    #[arg(long, value_name = "ID=TEXT", value_parser = optional)]
    optional: Vec<OptionalBlock>,

    /// Bytes that the key of a TR-31 block is padded to, to hide its length
    #[arg(long, value_name = "N", default_value_t = 0)]
    pad_to: u16,

    /// Make the block even if the HSM permits no such usage, algorithm and mode
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
pub(super) fn run(args: &Args, lmks: &Lmks) -> anyhow::Result<ExitCode> {
    let version = args.version;
    let kbpk = match (&args.kbpk, version) {
        (Some(kbpk), Some(version)) => Some((version, super::protection_key(lmks, version, kbpk)?)),
        (Some(_), None) => return Err(usage("say the version of the block with --version")),
        (None, _) => None,
    };
    let opened = Source { algorithm: args.algorithm.algorithm(), ..Source::new(lmks, "key", &[]) }.read(&args.key)?;
    let attributes = args.attributes.of_key(&opened.key, opened.attributes, None)?;
    let optional = OptionalBlocks::new(args.optional.clone()).map_err(refused)?;
    if !args.force && version.is_none_or(|version| version.family() == Family::Thales) {
        keys::check_attributes(&attributes)?;
    }
    let block = match kbpk {
        Some((version, kbpk)) if version.family() == Family::X9143 => {
            let pad_to = usize::from(args.pad_to);
            let block = tr31::wrap(&kbpk, version, attributes, &optional, &opened.key, pad_to, &mut keys::fill);
            tagged('R', &block.map_err(refused)?)
        }
        Some((_, kbpk)) => {
            let protection = ProtectionKeys::derive(&kbpk).map_err(refused)?;
            let scope = Scope::Transport;
            let block = thales::wrap(&protection, scope, attributes, &optional, &opened.key, &mut keys::fill);
            tagged('S', &block.map_err(refused)?)
        }
        None => {
            let id = args.lmk.unwrap_or(1);
            let protection = lmks.get(id)?.protection_keys();
            let protection =
                protection.map_err(|_| usage(format!("LMK {id:02} is a variant LMK: it has no key blocks")))?;
            if version.is_some_and(|version| version != protection.version()) {
                let has = char::from(protection.version().id());
                return Err(usage(format!("key blocks under LMK {id:02} have version {has}")));
            }
            let scope = LmkId::new(id).map(Scope::Lmk).ok_or_else(|| usage("LMK identifiers are 00 to 19"))?;
            let block = thales::wrap(protection, scope, attributes, &optional, &opened.key, &mut keys::fill);
            tagged('S', &block.map_err(refused)?)
        }
    };
    if args.json {
        let mut facts = Facts::default();
        let cipher = format!("{:?}", opened.key.algorithm()).to_ascii_uppercase();
        facts.add("block", block).add("kcv", keys::short_kcv(&opened.key)).add("algorithm", cipher);
        facts.print(true)?;
    } else {
        if opened.key.algorithm() == Algorithm::Des && !opened.key.has_odd_parity() {
            crate::exit::report("note: the key does not have odd parity");
        }
        crate::output::text(&block)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn refused(error: KeyBlockError) -> anyhow::Error {
    usage(format!("{error} (the HSM answers {})", error.code()))
}
