//! `hsm key form`: a key of its components.

use super::inputs::{UnderArgs, add_under_lmk};
use crate::exit::usage;
use crate::facts::Facts;
use crate::keys::{self, Source};
use hsm_core::cipher::xor_in_place;
use hsm_core::key_block::header::{Attributes, KeyVersion};
use hsm_core::key_type::KeyType;
use hsm_core::{Algorithm, ClearKey};
use std::process::ExitCode;
use zeroize::Zeroizing;

const AFTER_HELP: &str = "\
Components are clear digits (aes:DIGITS for AES), or encrypted: cryptograms with their scheme letter, or S key blocks. The key
is their sum by exclusive or, a DES key with its parity adjusted. Each component that is - takes a line of standard input.

Examples:
  hsm key form --type ZMK --component 0123456789ABCDEFFEDCBA9876543210 --component 1C1C1C1C1C1C1C1C0101010101010101
  hsm key form --type ZMK --component UEA2DAFA753DCB3346E24D31CE489869C --component 1C1C1C1C1C1C1C1C0101010101010101
  printf '0123456789ABCDEFFEDCBA9876543210\\n1C1C1C1C1C1C1C1C0101010101010101\\n' |
      hsm key form --usage 52 --lmk 02 --component - --component -";

/// Make a key of its components
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Component, once for each; - reads it from standard input
    #[arg(long = "component", value_name = "KEY", required = true)]
    components: Vec<String>,

    #[command(flatten)]
    under: UnderArgs,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm key form`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.components.len() < 2 {
        return Err(usage("a key has two components at least: say --component once for each"));
    }
    let lmks = args.under.lmks();
    let types: Vec<KeyType> = args.under.key_type(&lmks)?.into_iter().collect();
    let mut sum: Option<(Algorithm, Zeroizing<Vec<u8>>)> = None;
    let mut own = None;
    let mut facts = Facts::default();
    let mut kcvs = Vec::new();
    for (number, component) in (1..).zip(&args.components) {
        let name = format!("component {number}");
        let source = Source { component: true, ..Source::new(&lmks, &name, &types) };
        let opened = source.read(component)?;
        own = own.or(opened.attributes);
        match &mut sum {
            None => sum = Some((opened.key.algorithm(), Zeroizing::new(opened.key.bytes().to_vec()))),
            Some((algorithm, sum)) => {
                if *algorithm != opened.key.algorithm() || sum.len() != opened.key.len() {
                    return Err(usage(format!("the {name} has another cipher or length than those before it")));
                }
                xor_in_place(sum, opened.key.bytes());
            }
        }
        let kcv = keys::short_kcv(&opened.key);
        facts.line(&name, format!("{kcv}  {}", opened.form));
        kcvs.push(kcv);
    }
    let Some((algorithm, sum)) = sum else { return Err(usage("there are no components")) };
    if sum.iter().all(|byte| byte & 0xFE == 0) {
        anyhow::bail!("the components cancel out: the key is zero");
    }
    let key = ClearKey::new(algorithm, &sum)?.with_odd_parity();
    lmks.check_length(&key)?;
    let mut target = args.under.target(&lmks, &key, own)?;
    if args.under.attributes.key_version.is_none() {
        // The key is whole now.
        target.attributes = target.attributes.map(|own| Attributes { key_version: KeyVersion::NONE, ..own });
    }
    let id = args.under.slot(&lmks, own.is_some())?;
    let under = target.put(&key, &lmks, id)?;
    facts.add("clear", keys::digits(&key));
    add_under_lmk(&mut facts, "key", under, id);
    facts.add("kcv", keys::short_kcv(&key)).json("component_kcvs", kcvs.into());
    facts.print(args.json)?;
    Ok(ExitCode::SUCCESS)
}
