//! `hsm key component`: keys taken apart, components encrypted.

use super::inputs::{KeyArgs, UnderArgs, add_under_lmk};
use crate::exit::usage;
use crate::facts::Facts;
use crate::keys::{self, Kind, Source, Target};
use crate::lmks::Lmks;
use crate::output;
use anyhow::bail;
use clap::Subcommand;
use hsm_core::ClearKey;
use hsm_core::cipher::xor_in_place;
use hsm_core::key_block::header::{Attributes, KeyVersion};
use hsm_core::lmk::LmkScheme;
use serde_json::json;
use std::process::ExitCode;
use zeroize::Zeroizing;

const AFTER_HELP: &str = "\
Examples:
  hsm key component split --parts 3 --key 0123456789ABCDEFFEDCBA9876543210
  hsm key component generate --type ZMK
  hsm key component encrypt --type ZMK --component 0123456789ABCDEFFEDCBA9876543210";

/// Take keys apart, make and encrypt components
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Split(Split),
    Generate(Generate),
    Encrypt(Encrypt),
}

/// Split a key into clear components
#[derive(Debug, clap::Args)]
#[command(after_help = SPLIT_HELP)]
struct Split {
    #[command(flatten)]
    from: KeyArgs,

    /// Number of components, 2 to 9
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=9))]
    parts: u8,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

const SPLIT_HELP: &str = "\
Components of DES keys have odd parity; `hsm key form` makes the key of them again. With --type the key is a cryptogram even
without a scheme letter (des:DIGITS is clear), and the components are shown under the variant LMK as well.

Examples:
  hsm key component split --parts 3 --key 0123456789ABCDEFFEDCBA9876543210
  hsm key component split --parts 2 --type ZMK --key U42BBE7D9A0A55D0EBDE055DE2791ACCD";

/// Make a random component
#[derive(Debug, clap::Args)]
#[command(after_help = GENERATE_HELP)]
struct Generate {
    /// Cipher and length
    #[arg(long, value_name = "CIPHER", default_value = "tdes2", ignore_case = true)]
    algorithm: Kind,

    #[command(flatten)]
    to: ComponentArgs,
}

const GENERATE_HELP: &str = "\
Prints the component in clear and under the LMK, as the host command A2 does.

Example:
  hsm key component generate --type ZMK";

/// Encrypt a clear component under an LMK
#[derive(Debug, clap::Args)]
#[command(after_help = ENCRYPT_HELP)]
struct Encrypt {
    /// Clear component; - reads it from standard input
    #[arg(long, value_name = "KEY")]
    component: String,

    #[command(flatten)]
    to: ComponentArgs,
}

const ENCRYPT_HELP: &str = "\
Under a variant LMK a component has a variant of its own; in a key block its version number is c1 to c9.

Examples:
  hsm key component encrypt --type ZMK --component 0123456789ABCDEFFEDCBA9876543210
  echo 0123456789ABCDEFFEDCBA9876543210 | hsm key component encrypt --usage 52 --lmk 02 --number 1 --component -";

/// What a component is encrypted under.
#[derive(Debug, clap::Args)]
struct ComponentArgs {
    /// Number of the component in a key block, 1 to 9
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
    number: u8,

    #[command(flatten)]
    under: UnderArgs,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm key component`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Split(args) => split(args),
        Command::Generate(args) => show(&args.algorithm.random()?, &args.to, &args.to.under.lmks()),
        Command::Encrypt(args) => {
            let lmks = args.to.under.lmks();
            let opened = Source::new(&lmks, "component", &[]).read(&args.component)?;
            if !opened.clear {
                return Err(usage("the component is encrypted already"));
            }
            if !opened.key.has_odd_parity() {
                bail!("the component does not have odd parity (the HSM answers 10)");
            }
            show(&opened.key, &args.to, &lmks)
        }
    }
}

fn show(component: &ClearKey, args: &ComponentArgs, lmks: &Lmks) -> anyhow::Result<ExitCode> {
    let under = &args.under;
    lmks.check_length(component)?;
    let mut target = Target { component: true, ..under.target(lmks, component, None)? };
    if let (None, Some(number)) = (under.attributes.key_version, KeyVersion::of_component(args.number)) {
        target.attributes = target.attributes.map(|attributes| Attributes { key_version: number, ..attributes });
    }
    let id = under.slot(lmks, false)?;
    let encrypted = target.put(component, lmks, id)?;
    let mut facts = Facts::default();
    facts.add("clear", keys::digits(component));
    add_under_lmk(&mut facts, "component", encrypted, id);
    facts.add("kcv", keys::short_kcv(component));
    facts.print(args.json)?;
    Ok(ExitCode::SUCCESS)
}

fn split(args: &Split) -> anyhow::Result<ExitCode> {
    let lmks = args.from.lmks();
    let opened = args.from.read(&lmks)?;
    lmks.check_length(&opened.key)?;
    let components = components(&opened.key, args.parts)?;
    let key_type = args.from.key_type(&lmks)?;
    let id = key_type.map(|_| lmks.of_kind(LmkScheme::Variant)).transpose()?;
    let target = Target { key_type, component: true, ..Target::default() };
    let encrypt = |component| id.map(|id| target.put(component, &lmks, id)).transpose();
    let encrypted: Vec<Option<String>> = components.iter().map(encrypt).collect::<Result<_, _>>()?;
    let kcv = keys::short_kcv(&opened.key);
    let parts = components.iter().zip(&encrypted);
    if args.json {
        let parts: Vec<_> = parts
            .map(|(component, encrypted)| {
                json!({"clear": keys::digits(component), "kcv": keys::short_kcv(component), "component": encrypted})
            })
            .collect();
        output::json(&json!({"components": parts, "kcv": kcv}))?;
    } else {
        let rows = (1..).zip(parts).map(|(number, (component, encrypted))| {
            let encrypted = encrypted.clone().unwrap_or_default();
            [number.to_string(), keys::digits(component), keys::short_kcv(component), encrypted]
        });
        let under = id.map_or(String::new(), |id| format!("UNDER LMK {id:02}"));
        let text = output::table(["PART", "CLEAR", "KCV", &under], &rows.collect::<Vec<_>>());
        output::text(&format!("{text}\nkcv of the key  {kcv}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Components of a key: all but the last are random, and DES components have odd parity.
fn components(key: &ClearKey, count: u8) -> anyhow::Result<Vec<ClearKey>> {
    let mut rest = Zeroizing::new(key.bytes().to_vec());
    let mut components = Vec::new();
    for _ in 1..count {
        let component = ClearKey::new(key.algorithm(), &keys::random(key.len())?)?.with_odd_parity();
        xor_in_place(&mut rest, component.bytes());
        components.push(component);
    }
    components.push(ClearKey::new(key.algorithm(), &rest)?.with_odd_parity());
    Ok(components)
}
