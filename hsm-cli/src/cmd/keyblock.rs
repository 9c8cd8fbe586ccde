//! `hsm keyblock`: key blocks made, opened and explained.

mod inspect;
mod unwrap;
mod wrap;

use crate::exit::usage;
use crate::keys::Source;
use crate::lmks::Lmks;
use hsm_core::key_block::header::{Family, Version};
use hsm_core::key_type::KeyType;
use hsm_core::{Algorithm, ClearKey};

const AFTER_HELP: &str = "\
Examples:
  hsm keyblock wrap --version D --kbpk 000102030405060708090A0B0C0D0E0F --key F039121BEC83D26B169BDCD5B22AAF8F --usage P0
  hsm keyblock unwrap --kbpk 89E88CF7931444F334BD7547FC3F380C \\
      S00072P0TE00E0000F3ABE56BDCD4AA26BE0A30C7D895A9755B5FCB994EDD8E7EE627CA46
  hsm keyblock inspect S00072P0TB00E0001EA421618B34F5FA1A77F7CF6480111B97CF0FAE7BD77D589EC921EF9";

subcommands! {
    /// Make, open and explain key blocks
    #[command(after_help = AFTER_HELP)]
    Wrap = wrap,
    Unwrap = unwrap,
    Inspect = inspect,
}

/// The protection key of blocks of a version: clear keys are of the cipher that the version has.
fn protection_key(lmks: &Lmks, version: Version, argument: &str) -> anyhow::Result<ClearKey> {
    let algorithm = if version.is_aes() { Algorithm::Aes } else { Algorithm::Des };
    let types = [KeyType::ZMK, KeyType::tmk(false), KeyType::tmk(true)];
    let opened = Source { algorithm, ..Source::wrapping(lmks, "KBPK", &types) }.read(argument)?;
    if opened.key.algorithm() != algorithm {
        let cipher = if version.is_aes() { "an AES" } else { "a TDES" };
        let letter = char::from(version.id());
        return Err(usage(format!("key blocks of version {letter} need {cipher} protection key (the HSM answers A1)")));
    }
    Ok(opened.key)
}

/// A version: 0 and 1 are Thales blocks, A to E TR-31 blocks.
fn version(id: &str) -> Result<Version, String> {
    let wrong = || "there are 0 and 1 for Thales blocks, A, B, C, D and E for TR-31 blocks".to_owned();
    let &[id] = id.as_bytes() else { return Err(wrong()) };
    let family = if id.is_ascii_digit() { Family::Thales } else { Family::X9143 };
    Version::from_id(family, id.to_ascii_uppercase()).map_err(|_| wrong())
}
