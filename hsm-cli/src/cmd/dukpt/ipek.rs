//! `hsm dukpt ipek`.

use super::AnyKsn;
use crate::facts::Facts;
use crate::lmks::LmkArgs;
use crate::{keys, wire};
use std::process::ExitCode;

const AFTER_HELP: &str = "\
The counter of the serial number does not matter. 20 digits are for TDES, 24 for AES, whose BDK is then taken for AES.

Examples:
  hsm dukpt ipek --bdk 0123456789ABCDEFFEDCBA9876543210 --ksn FFFF9876543210E00000
  echo FEDCBA9876543210F1F1F1F1F1F1F1F1 | hsm dukpt ipek --bdk - --ksn 123456789012345600000001
  hsm dukpt ipek --bdk U8E3D3E2FD5919657F05A1AA90D32A014 --ksn FFFF9876543210E00000 --json";

/// Derive the initial key (IPEK) of a device
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// BDK: clear, or a cryptogram (types 009, 609, 809, 909) or key block under an LMK; - reads it from standard input
    #[arg(long, value_name = "KEY")]
    bdk: String,

    /// Key serial number: 12 to 20 digits, or 24 for AES
    #[arg(long)]
    ksn: String,

    #[command(flatten)]
    lmk: LmkArgs,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm dukpt ipek`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let ksn = AnyKsn::parse(&args.ksn)?;
    let key = super::initial_key(&args.lmk.lmks(), &args.bdk, ksn)?;
    let id = match ksn {
        AnyKsn::Tdes(ksn) => wire::hex(ksn.with_counter(0).bytes()),
        AnyKsn::Aes(ksn) => wire::hex(ksn.initial_key_id()),
    };
    let mut facts = Facts::default();
    facts.add("ipek", keys::digits(&key)).add("kcv", keys::short_kcv(&key)).add("key id", id);
    facts.print(args.json)?;
    Ok(ExitCode::SUCCESS)
}
