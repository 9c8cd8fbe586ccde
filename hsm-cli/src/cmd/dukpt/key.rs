//! `hsm dukpt key`.

use super::AnyKsn;
use crate::exit::usage;
use crate::keys::{self, Source};
use crate::lmks::LmkArgs;
use crate::output;
use hsm_core::ClearKey;
use hsm_core::dukpt::{self, AesKeyType, AesKsn, AesUse, DukptError, TdesUse};
use hsm_core::key_type::KeyType;
use serde_json::json;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Shows the key of the transaction and the working keys of every use. 20 digits of serial number are for TDES, 24 for AES, whose
keys are then taken for AES; AES working keys are of the BDK's length, or with --all-types of every type it can derive.

Examples:
  hsm dukpt key --bdk 0123456789ABCDEFFEDCBA9876543210 --ksn FFFF9876543210E00001
  hsm dukpt key --ipek 6AC292FAA1315B4D858AB3A3D7D5933A --ksn FFFF9876543210E00008 --json
  hsm dukpt key --bdk FEDCBA9876543210F1F1F1F1F1F1F1F1 --ksn 123456789012345600000001";

/// Derive the keys of a transaction
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// BDK: clear, or a cryptogram (types 009, 609, 809, 909) or key block under an LMK; - reads it from standard input
    #[arg(long, value_name = "KEY", conflicts_with = "ipek")]
    bdk: Option<String>,

    /// Initial key of the device: clear, or under an LMK (type 302); - reads it from standard input
    #[arg(long, value_name = "KEY")]
    ipek: Option<String>,

    /// Key serial number: 12 to 20 digits, or 24 for AES
    #[arg(long)]
    ksn: String,

    /// Show AES DUKPT working keys of every type that the use has: HMAC keys are for MACs
    #[arg(long)]
    all_types: bool,

    #[command(flatten)]
    lmk: LmkArgs,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm dukpt key`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let ksn = AnyKsn::parse(&args.ksn)?;
    let lmks = args.lmk.lmks();
    let initial = match (&args.bdk, &args.ipek) {
        (Some(bdk), _) => super::initial_key(&lmks, bdk, ksn)?,
        (None, Some(ipek)) => {
            let source = Source::new(&lmks, "initial key", &[KeyType::IKEY]);
            Source { algorithm: ksn.algorithm(), usages: &["B1"], ..source }.read(ipek)?.key
        }
        (None, None) => return Err(usage("say the BDK with --bdk, or the initial key with --ipek")),
    };
    let transaction = super::transaction_key(&initial, ksn)?;
    let mut rows = vec![
        ("initial key".to_owned(), String::new(), initial),
        ("transaction key".to_owned(), String::new(), transaction.clone()),
    ];
    match ksn {
        AnyKsn::Tdes(_) => {
            for (name, usage) in TDES_USES {
                rows.push((name.to_owned(), "TDES".to_owned(), dukpt::tdes_working_key(&transaction, usage)?));
            }
        }
        AnyKsn::Aes(ksn) => aes_keys(&transaction, &ksn, args.all_types, &mut rows)?,
    }
    if args.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(name, kind, key)| {
                json!({"key": name, "type": kind, "clear": keys::digits(key), "kcv": keys::short_kcv(key)})
            })
            .collect();
        output::json(&json!(rows))?;
    } else {
        let rows: Vec<_> =
            rows.into_iter().map(|(name, kind, key)| [name, kind, keys::short_kcv(&key), keys::digits(&key)]).collect();
        output::text(&output::table(["KEY", "TYPE", "KCV", "CLEAR"], &rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn aes_keys(
    transaction: &ClearKey,
    ksn: &AesKsn,
    all_types: bool,
    rows: &mut Vec<(String, String, ClearKey)>,
) -> anyhow::Result<()> {
    let usual = [AesKeyType::aes(transaction.len())];
    let types: Vec<AesKeyType> =
        if all_types { AES_TYPES.iter().map(|(key_type, _)| *key_type).collect() } else { usual.to_vec() };
    for (name, usage) in AES_USES {
        for &key_type in types.iter().filter(|key_type| usage.takes(**key_type)) {
            match dukpt::aes_working_key(transaction, usage, key_type, ksn) {
                Ok(key) => {
                    let kind = AES_TYPES.iter().find(|(known, _)| *known == key_type).map_or("", |(_, name)| name);
                    rows.push((name.to_owned(), kind.to_owned(), key));
                }
                // Not derived from so short a key.
                Err(DukptError::TooStrong) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

const TDES_USES: [(&str, TdesUse); 5] = [
    ("PIN", TdesUse::Pin),
    ("MAC, request or both ways", TdesUse::MacRequest),
    ("MAC, response", TdesUse::MacResponse),
    ("data, request or both ways", TdesUse::DataRequest),
    ("data, response", TdesUse::DataResponse),
];

const AES_USES: [(&str, AesUse); 8] = [
    ("key encryption", AesUse::KeyEncryption),
    ("PIN", AesUse::Pin),
    ("MAC generation", AesUse::MacGeneration),
    ("MAC verification", AesUse::MacVerification),
    ("MAC, both ways", AesUse::MacBoth),
    ("data encryption", AesUse::DataEncryption),
    ("data decryption", AesUse::DataDecryption),
    ("data, both ways", AesUse::DataBoth),
];

const AES_TYPES: [(AesKeyType, &str); 8] = [
    (AesKeyType::Tdes2, "TDES, double length"),
    (AesKeyType::Tdes3, "TDES, triple length"),
    (AesKeyType::Aes128, "AES-128"),
    (AesKeyType::Aes192, "AES-192"),
    (AesKeyType::Aes256, "AES-256"),
    (AesKeyType::Hmac128, "HMAC, 128 bits"),
    (AesKeyType::Hmac192, "HMAC, 192 bits"),
    (AesKeyType::Hmac256, "HMAC, 256 bits"),
];
