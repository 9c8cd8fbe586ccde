//! `hsm pin table`.

use crate::exit::usage;
use crate::facts::Facts;
use crate::lmks::LmkArgs;
use crate::secret;
use hsm_core::lmk_table;
use hsm_core::pin_verify::DecimalisationTable;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Host commands take decimalisation tables this way while encrypted_decimalisation_tables is on, as console command ED writes them:
16 hexadecimal digits, with an AES LMK L and 32.

Examples:
  hsm pin table --table 0123456789012345
  hsm pin table --table 9876543210987654 --lmk 01 --json";

/// Encipher a decimalisation table under an LMK
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Decimalisation table: 16 digits; - reads it from standard input
    #[arg(long, value_name = "DIGITS")]
    table: String,

    #[command(flatten)]
    lmks: LmkArgs,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm pin table`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let digits = secret::get("table", &args.table)?;
    let table = DecimalisationTable::from_digits(digits.as_bytes()).map_err(|e| usage(format!("--table: {e}")))?;
    if let Err(error) = table.check() {
        crate::exit::report(&format!("note: {error}; the HSM's table checks refuse it (error 25)"));
    }
    let lmks = args.lmks.lmks();
    let id = lmks.destination(None, false)?;
    let enciphered = lmk_table::encrypt(lmks.lmk(id)?, &table)?;
    let mut facts = Facts::default();
    facts.add("table", String::from_utf8_lossy(&enciphered).into_owned());
    facts.line("", format!("under LMK {id:02}")).json("lmk", id.into());
    facts.print(args.json)?;
    Ok(ExitCode::SUCCESS)
}
