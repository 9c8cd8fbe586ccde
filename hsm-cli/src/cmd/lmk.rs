//! `hsm lmk`: the LMK store.

mod secret;

pub(crate) use secret::{VARIABLE as PASSPHRASE_VARIABLE, for_store, unattended};

use crate::exit::{ANSWERED_OTHERWISE, report, usage};
use crate::lmks::{self, StoreArgs};
use crate::{output, parse, secret as input};
use clap::{Subcommand, ValueEnum};
use hsm_core::config::{Config, TestLmk};
use hsm_core::hex;
use hsm_core::lmk::Lmk;
use hsm_core::lmk_store::{self, Components, Hardness, LmkKind, LmkRow, StoreSecret, StoreWriter, lmk_table, vt_table};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const AFTER_HELP: &str = "\
The store is --store, else lmk_store of the settings (HSM_LMK_STORE). Its passphrase is the first line of --passphrase-file, else
HSM_LMK_PASSPHRASE, else it is asked for on the terminal; a store under a key file needs --key-file.
Without a store there are the published test LMKs: 00 variant, 01 AES key block, 02 TDES key block.
Exit codes: 0 done, 1 the store cannot be used or the change is not allowed, 2 wrong usage, 3 another check value.

Examples:
  hsm lmk list
  hsm lmk generate 05 --kind keyblock-aes --comment 'acquirer test' --store lmks.hsm
  hsm lmk change 05 --store lmks.hsm
  hsm lmk delete 05 --yes --store lmks.hsm";

/// Keep Local Master Keys in an encrypted store
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the LMK table
    #[command(after_help = "Examples:\n  hsm lmk list\n  hsm lmk list --store lmks.hsm --json")]
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Make an LMK and load it into a slot; a store that does not exist is made
    #[command(
        after_help = "Examples:\n  hsm lmk generate 05 --store lmks.hsm --comment 'acquirer test'\n  hsm lmk generate 06 --store lmks.hsm --kind variant-2des"
    )]
    Generate {
        #[command(flatten)]
        slot: Slot,
        #[command(flatten)]
        new: New,
        /// Load it as a live LMK; emulators then need --allow-live-lmk
        #[arg(long)]
        live: bool,
    },
    /// Load a published test LMK into a slot; a store that does not exist is made
    #[command(after_help = "Example:\n  hsm lmk load-test 00 test-variant --store lmks.hsm")]
    LoadTest {
        #[command(flatten)]
        slot: Slot,
        /// The LMK
        #[arg(value_enum, ignore_case = true)]
        lmk: Published,
        /// Comment
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// Show the whole check value of an LMK, and compare it
    #[command(after_help = "Examples:\n  hsm lmk check 00\n  hsm lmk check 00 --expect 268604")]
    Check {
        #[command(flatten)]
        slot: Slot,
        /// Digits that the check value must begin with; blanks do not count
        #[arg(long, value_name = "HEX", value_parser = check_digits)]
        expect: Option<String>,
    },
    /// Replace an LMK; the old one goes to key change storage, for the translation of keys
    #[command(
        after_help = "Examples:\n  hsm lmk change 05 --store lmks.hsm --later\n  hsm lmk change 05 --store lmks.hsm --activate\n  hsm lmk change 05 --store lmks.hsm --erase"
    )]
    Change {
        #[command(flatten)]
        slot: Slot,
        #[command(flatten)]
        new: New,
        /// Keep the new LMK in key change storage until --activate
        #[arg(long, conflicts_with_all = ["activate", "erase"])]
        later: bool,
        /// Exchange the LMK and the new one in key change storage
        #[arg(long, conflicts_with_all = ["erase", "kind", "components", "comment"])]
        activate: bool,
        /// Erase the slot's key change storage
        #[arg(long, conflicts_with_all = ["kind", "components", "comment"])]
        erase: bool,
    },
    /// Name the default LMK
    #[command(after_help = "Example:\n  hsm lmk default 06 --store lmks.hsm")]
    Default {
        #[command(flatten)]
        slot: Slot,
    },
    /// Delete an LMK and its key change storage
    #[command(after_help = "Example:\n  hsm lmk delete 05 --yes --store lmks.hsm")]
    Delete {
        #[command(flatten)]
        slot: Slot,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Encrypt the store under another passphrase or key file
    #[command(
        after_help = "Examples:\n  (umask 077; head -c 32 /dev/urandom > lmks.key)\n  hsm lmk passphrase --store lmks.hsm --new-key-file lmks.key"
    )]
    Passphrase {
        /// File whose first line is the new passphrase [default: asked for on the terminal]
        #[arg(long, value_name = "FILE", conflicts_with = "new_key_file")]
        new_passphrase_file: Option<PathBuf>,
        /// New key file
        #[arg(long, value_name = "FILE")]
        new_key_file: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Copy, clap::Args)]
struct Slot {
    /// Identifier of the LMK, 00 to 19
    #[arg(value_parser = parse::lmk_id)]
    id: u8,
}

/// An LMK to be made.
#[derive(Debug, clap::Args)]
struct New {
    /// Scheme and cipher [default: keyblock-aes, or as the LMK that is replaced]
    #[arg(long, value_enum, ignore_case = true)]
    kind: Option<Kind>,

    /// Make it of this many components, read line by line from standard input, instead of at random
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=9))]
    components: Option<u8>,

    /// Comment
    #[arg(long, default_value = "")]
    comment: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    #[value(name = "variant-2des", alias = "variant")]
    Variant2,
    #[value(name = "variant-3des")]
    Variant3,
    #[value(name = "keyblock-3des")]
    KeyBlockTdes,
    #[value(name = "keyblock-aes")]
    KeyBlockAes,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Published {
    #[value(name = "test-variant", alias = "variant")]
    Variant,
    #[value(name = "test-aes", alias = "aes")]
    KeyBlockAes,
    #[value(name = "test-tdes", alias = "tdes")]
    KeyBlockTdes,
}

/// Runs `hsm lmk`.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = args.store.load(&[])?.config;
    match &args.command {
        Command::List { json } => list(&config, *json),
        Command::Check { slot, expect } => check(&config, slot.id, expect.as_deref()),
        Command::Generate { slot, new, live } => {
            let mut store = open_or_create(&config)?;
            // Nobody enters components in vain.
            store.contents.check_load(slot.id, &new.comment)?;
            let lmk = new.make(new.kind_or(LmkKind::KeyBlockAes))?;
            store.contents.load(slot.id, lmk, *live, &new.comment)?;
            save(store, slot.id, Shown::Lmk)
        }
        Command::LoadTest { slot, lmk, comment } => {
            let lmk = match lmk {
                Published::Variant => TestLmk::Variant,
                Published::KeyBlockAes => TestLmk::KeyBlockAes,
                Published::KeyBlockTdes => TestLmk::KeyBlockTdes,
            };
            let mut store = open_or_create(&config)?;
            store.contents.load(slot.id, lmk.lmk(), false, comment)?;
            save(store, slot.id, Shown::Lmk)
        }
        Command::Change { slot, new, later, activate, erase } => {
            let mut store = open(&config)?;
            let contents = &mut store.contents;
            if *activate {
                contents.activate(slot.id)?;
            } else if *erase {
                contents.delete_change(slot.id)?;
            } else {
                let old = contents.slots().get(&slot.id).map_or(LmkKind::KeyBlockAes, |old| LmkKind::of(&old.lmk));
                let kind = new.kind_or(old);
                contents.check_change_to(slot.id, kind.scheme(), &new.comment)?;
                let lmk = new.make(kind)?;
                match later {
                    true => contents.load_new(slot.id, lmk, &new.comment)?,
                    false => contents.change(slot.id, lmk, &new.comment)?,
                }
            }
            save(store, slot.id, Shown::WithChange)
        }
        Command::Default { slot } => {
            let mut store = open(&config)?;
            store.contents.set_default(slot.id)?;
            save(store, slot.id, Shown::Lmk)
        }
        Command::Delete { slot, yes } => {
            let mut store = open(&config)?;
            store.contents.delete(slot.id)?;
            if !yes && !secret::confirm(&format!("delete LMK {:02}, and with it all keys under it?", slot.id))? {
                return Err(usage("nothing was deleted; --yes deletes without asking"));
            }
            store.save()?;
            let (lmks, change) = LmkRow::of_store(&store.contents);
            output::text(&vt_table(&lmks, &change))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Passphrase { new_passphrase_file, new_key_file } => {
            let mut store = open(&config)?;
            store.set_secret(secret::new(new_passphrase_file.as_deref(), new_key_file.as_deref(), false)?)?;
            store.save()?;
            output::text("the store is encrypted under the new secret")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

impl New {
    fn kind_or(&self, default: LmkKind) -> LmkKind {
        self.kind.map_or(default, |kind| match kind {
            Kind::Variant2 => LmkKind::Variant2,
            Kind::Variant3 => LmkKind::Variant3,
            Kind::KeyBlockTdes => LmkKind::KeyBlockTdes,
            Kind::KeyBlockAes => LmkKind::KeyBlockAes,
        })
    }

    fn make(&self, kind: LmkKind) -> anyhow::Result<Lmk> {
        let Some(count) = self.components else { return Ok(kind.generate()?) };
        let mut components = Components::new(kind);
        for n in 1..=count {
            let name = format!("component {n} ({} digits)", 2 * kind.key_len());
            let check = loop {
                let digits = input::get(&name, "-")?;
                let added = input::hex(&name, &digits).and_then(|bytes| Ok(components.add(&bytes)?));
                match added {
                    Ok(check) => break check,
                    // Whoever types may try again.
                    Err(error) if input::terminal().is_some() => report(&format!("{error:#}")),
                    Err(error) => return Err(error),
                }
            };
            eprintln!("component {n}: check value {}", hex::encode(&check));
        }
        Ok(components.combine()?)
    }
}

/// Digits of a check value, in capitals and without the blanks between them.
fn check_digits(text: &str) -> Result<String, String> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if !(1..=16).contains(&digits.len()) || !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
        return Err("must be 1 to 16 hexadecimal digits".to_owned());
    }
    Ok(digits.to_ascii_uppercase())
}

fn store_path(config: &Config) -> anyhow::Result<&Path> {
    config
        .lmk
        .lmk_store
        .as_deref()
        .ok_or_else(|| usage("name the LMK store: --store FILE, or lmk_store in the settings"))
}

fn secret_of(config: &Config) -> anyhow::Result<StoreSecret> {
    let path = store_path(config)?;
    Ok(match (&config.lmk.lmk_key_file, &config.lmk.lmk_passphrase_file) {
        (Some(file), _) => StoreSecret::key_file(file)?,
        (None, Some(file)) => StoreSecret::passphrase_file(file)?,
        (None, None) => for_store(path, lmk_store::wants_key_file(path)?)?,
    })
}

fn open(config: &Config) -> anyhow::Result<StoreWriter> {
    Ok(StoreWriter::open(store_path(config)?, secret_of(config)?)?)
}

fn open_or_create(config: &Config) -> anyhow::Result<StoreWriter> {
    let path = store_path(config)?;
    if path.symlink_metadata().is_ok() {
        return open(config);
    }
    let (phrase, key) = (&config.lmk.lmk_passphrase_file, &config.lmk.lmk_key_file);
    let secret = secret::new(phrase.as_deref(), key.as_deref(), true)?;
    Ok(StoreWriter::create(path, secret, Hardness::default())?)
}

/// What is told of a slot that was changed.
enum Shown {
    Lmk,
    WithChange,
}

/// Saves the store and shows what its tables say of a slot.
fn save(mut store: StoreWriter, id: u8, shown: Shown) -> anyhow::Result<ExitCode> {
    store.save()?;
    let (mut lmks, mut change) = LmkRow::of_store(&store.contents);
    let id = format!("{id:02}");
    lmks.retain(|row| row.id == id);
    change.retain(|row| row.id == id);
    output::text(&match shown {
        Shown::Lmk => lmk_table(&lmks),
        Shown::WithChange => vt_table(&lmks, &change),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn list(config: &Config, as_json: bool) -> anyhow::Result<ExitCode> {
    let (lmks, change, default) = match &config.lmk.lmk_store {
        Some(path) => {
            let store = lmk_store::read(path, &secret_of(config)?)?;
            let (lmks, change) = LmkRow::of_store(&store);
            (lmks, change, store.default_id())
        }
        None => {
            let slots = lmks::load(config)?;
            let rows = slots.slots.iter().map(|(id, lmk)| LmkRow::new(*id, lmk, "Test", "-", ""));
            (rows.collect(), Vec::new(), slots.default)
        }
    };
    if as_json {
        let rows = |rows: &[LmkRow]| {
            let row = |row: &LmkRow| {
                json!({
                    "id": row.id, "scheme": row.scheme, "algorithm": row.algorithm, "status": row.status,
                    "check": row.check, "comment": row.comment,
                })
            };
            rows.iter().map(row).collect::<Vec<_>>()
        };
        output::json(&json!({"lmks": rows(&lmks), "change": rows(&change), "default": format!("{default:02}")}))?;
    } else {
        output::text(&format!("{}\nDefault LMK: {default:02}", vt_table(&lmks, &change)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn check(config: &Config, id: u8, expect: Option<&str>) -> anyhow::Result<ExitCode> {
    let lmk = match &config.lmk.lmk_store {
        Some(path) => lmk_store::read(path, &secret_of(config)?)?.slots().get(&id).map(|slot| slot.lmk.clone()),
        None => lmks::load(config)?.slots.get(&id).cloned(),
    };
    let lmk = lmk.ok_or_else(|| anyhow::anyhow!("no LMK is loaded in slot {id:02}"))?;
    let value = hex::encode(&lmk.check_value());
    output::text(&value)?;
    let expected = expect.is_none_or(|digits| value.starts_with(digits));
    if expected { Ok(ExitCode::SUCCESS) } else { Ok(ExitCode::from(ANSWERED_OTHERWISE)) }
}
