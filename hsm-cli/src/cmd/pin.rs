//! `hsm pin`: PINs, offsets and verification values.

mod derive;
mod inputs;
mod offset;
mod oracle;
mod pvv;
mod table;
mod verify;

const AFTER_HELP: &str = "\
Examples:
  hsm pin offset --pin 5635 --pvk 0123456789ABCDEFFEDCBA9876543210 --table 1234567890123456 --data 1122334455667788
  hsm pin pvv --pin 2512 --pvk 0123456789ABCDEF0123456789ABCDEF --account 345513804937 --pvki 1
  hsm pin oracle --block CB4EBC0180DFED6E --key 0123456789ABCDEFFEDCBA9876543210 --account 345513804937";

subcommands! {
    /// Compute and verify offsets and PVVs, look into PIN blocks
    #[command(after_help = AFTER_HELP)]
    Offset = offset,
    Pvv = pvv,
    Verify = verify,
    Derive = derive,
    Table = table,
    Oracle = oracle,
}
