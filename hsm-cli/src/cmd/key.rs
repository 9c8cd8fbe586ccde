//! `hsm key`: keys made, moved, taken apart, explained.

mod check;
mod component;
mod export;
mod form;
mod generate;
mod import;
mod inputs;
mod inspect;
mod translate;
mod types;
mod wrapping;

pub(super) use inspect::{Show, wrapping_keys};

const AFTER_HELP: &str = "\
Examples:
  hsm key generate --type ZPK
  hsm key inspect U9B4934384B19946B040CD702B4D58145
  hsm key check --type CVK --key U9B4934384B19946B040CD702B4D58145";

subcommands! {
    /// Make, move, check and explain keys
    #[command(after_help = AFTER_HELP)]
    Generate = generate,
    Import = import,
    Export = export,
    Component = component,
    Form = form,
    Translate = translate,
    Check = check,
    Inspect = inspect,
    Types = types,
}
