//! `hsm pin verify`.

use super::inputs::{self, MethodArgs, PinArgs};
use crate::exit::usage;
use crate::facts::Facts;
use hsm_core::pin_verify::{self, Offset};
use std::process::ExitCode;

const AFTER_HELP: &str = "\
With --offset by IBM 3624, with --pvv by Visa. Where several values are -, each takes a line of standard input: PIN, PVK.
Exit codes: 0 the PIN is right, 1 it is wrong (the HSM answers 01), 2 wrong usage.

Examples:
  hsm pin verify --pin 5635 --offset 1111 --pvk 0123456789ABCDEFFEDCBA9876543210 --table 1234567890123456 \\
      --data 1122334455667788
  hsm pin verify --pin 2512 --pvv 2677 --pvk 0123456789ABCDEF0123456789ABCDEF --account 345513804937";

/// Verify a PIN by its offset or PVV
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    pin: PinArgs,

    #[command(flatten)]
    method: MethodArgs,

    /// Fewest digits that must agree (IBM)
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(4..=12))]
    check_length: u8,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm pin verify`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.method.offset.is_none() && args.method.pvv.is_none() {
        return Err(usage("say what verifies the PIN: --offset or --pvv"));
    }
    let pin = args.pin.read()?;
    let mut facts = Facts::default();
    let good = match (args.method.offset, args.method.pvv) {
        (Some(offset), _) => {
            let natural = args.method.ibm.natural(&args.method.pvk)?;
            let own = Offset::of_pin(&natural, pin.digits())?;
            facts.add("method", "IBM 3624").add("offset of the pin", String::from_utf8_lossy(&own.to_field()));
            pin_verify::verify_offset(&natural, pin.digits(), &offset, usize::from(args.check_length))?
        }
        (None, given) => {
            let pvv = args.method.visa.method(&args.method.pvk)?(pin.digits())?;
            facts.add("method", "Visa PVV").add("pvv of the pin", inputs::text(&pvv));
            given == Some(pvv)
        }
    };
    facts.line("verified", if good { "yes" } else { "no (the HSM answers 01)" }).json("verified", good.into());
    facts.print(args.json)?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
