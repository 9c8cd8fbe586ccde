//! `hsm dukpt`: initial keys, transaction keys and key serial numbers, TDES (X9.24-1) and AES (X9.24-3).

mod ipek;
mod key;
mod ksn;

use crate::exit::usage;
use crate::keys::Source;
use crate::lmks::Lmks;
use hsm_core::dukpt::{self, AesKsn, DukptError, Ksn, TdesBdk};
use hsm_core::key_type::KeyType;
use hsm_core::{Algorithm, ClearKey};

const AFTER_HELP: &str = "\
Examples:
  hsm dukpt ipek --bdk 0123456789ABCDEFFEDCBA9876543210 --ksn FFFF9876543210E00000
  hsm dukpt key --bdk 0123456789ABCDEFFEDCBA9876543210 --ksn FFFF9876543210E00001
  hsm dukpt ksn FFFF9876543210E00001 --descriptor 906";

subcommands! {
    /// Derive DUKPT keys and explain key serial numbers
    #[command(after_help = AFTER_HELP)]
    Ipek = ipek,
    Key = key,
    Ksn = ksn,
}

/// A serial number of either kind.
#[derive(Debug, Clone, Copy)]
pub(super) enum AnyKsn {
    /// 12 to 20 digits.
    Tdes(Ksn),
    /// 24 digits.
    Aes(AesKsn),
}

impl AnyKsn {
    /// Reads a serial number; blanks in it do not count.
    ///
    /// # Errors
    /// Usage.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let ksn = match digits.len() {
            24 => AesKsn::parse(digits.as_bytes()).map(Self::Aes),
            _ => Ksn::parse(digits.as_bytes()).map(Self::Tdes),
        };
        ksn.map_err(|e| match e {
            DukptError::KsnLength(len) => {
                usage(format!("a key serial number has 12 to 20 digits, or 24 for AES, this one has {len}"))
            }
            e => usage(e),
        })
    }

    fn algorithm(self) -> Algorithm {
        match self {
            Self::Tdes(_) => Algorithm::Des,
            Self::Aes(_) => Algorithm::Aes,
        }
    }
}

/// The initial key of the device of a serial number, from a BDK argument.
///
/// # Errors
/// Usage for a BDK that does not fit the serial number; failure for one that does not open.
pub(super) fn initial_key(lmks: &Lmks, bdk: &str, ksn: AnyKsn) -> anyhow::Result<ClearKey> {
    let types: Vec<KeyType> =
        ["BDK-1", "BDK-2", "BDK-3", "BDK-4"].iter().filter_map(|name| KeyType::by_name(name, false)).collect();
    let usages = &["B0", "41", "42", "43", "44"];
    let opened = Source { algorithm: ksn.algorithm(), usages, ..Source::new(lmks, "BDK", &types) }.read(bdk)?;
    let key = match (ksn, opened.key.algorithm()) {
        (AnyKsn::Tdes(ksn), Algorithm::Des) => TdesBdk::new(&opened.key).and_then(|bdk| bdk.initial_key(&ksn)),
        (AnyKsn::Aes(ksn), Algorithm::Aes) => dukpt::aes_initial_key(&opened.key, ksn.initial_key_id()),
        (AnyKsn::Tdes(_), _) => return Err(usage("an AES BDK needs a key serial number of 24 digits")),
        (AnyKsn::Aes(_), _) => return Err(usage("a key serial number of 24 digits is for AES BDKs")),
    };
    key.map_err(|e| usage(format!("the BDK: {e}")))
}

/// The key of a transaction, from the initial key.
///
/// # Errors
/// Usage for an initial key of another cipher or length.
pub(super) fn transaction_key(initial: &ClearKey, ksn: AnyKsn) -> anyhow::Result<ClearKey> {
    let key = match ksn {
        AnyKsn::Tdes(ksn) => dukpt::tdes_transaction_key(initial, &ksn),
        AnyKsn::Aes(ksn) => dukpt::aes_transaction_key(initial, &ksn),
    };
    key.map_err(|e| usage(format!("the initial key: {e}")))
}

/// The PIN key of a transaction, from the key of the transaction.
///
/// # Errors
/// None for keys that [`transaction_key`] gave.
pub(super) fn pin_key(transaction: &ClearKey, ksn: AnyKsn) -> anyhow::Result<ClearKey> {
    Ok(match ksn {
        AnyKsn::Tdes(_) => dukpt::tdes_working_key(transaction, dukpt::TdesUse::Pin)?,
        AnyKsn::Aes(ksn) => {
            let key_type = dukpt::AesKeyType::aes(transaction.len());
            dukpt::aes_working_key(transaction, dukpt::AesUse::Pin, key_type, &ksn)?
        }
    })
}
