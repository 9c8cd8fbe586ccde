//! Secrets from arguments or, where the argument is `-`, from a prompt or standard input, line by line.

use crate::exit::usage;
use crate::terminal::{self, Terminal};
use anyhow::Context;
use std::io::{self, IsTerminal};
use zeroize::Zeroizing;

/// The value of an argument, or the next line of standard input if the argument is `-`. A terminal is asked for it, and does
/// not show it.
///
/// # Errors
/// If standard input ends or cannot be read.
pub(crate) fn get(name: &str, argument: &str) -> anyhow::Result<Zeroizing<String>> {
    if argument != "-" {
        return Ok(Zeroizing::new(argument.trim().to_owned()));
    }
    let line = match terminal() {
        Some(terminal) => terminal.ask_secret(name)?,
        None => {
            let line = terminal::read_line(io::stdin().lock());
            let line = line.with_context(|| format!("cannot read the {name} from standard input"))?;
            line.ok_or_else(|| usage(format!("standard input ends where the {name} was expected")))?
        }
    };
    Ok(Zeroizing::new(line.trim().to_owned()))
}

/// The terminal, if that is where secrets come from.
pub(crate) fn terminal() -> Option<Terminal> {
    if io::stdin().is_terminal() { Terminal::open() } else { None }
}

/// As [`get`], for an argument that may be absent.
///
/// # Errors
/// As [`get`].
pub(crate) fn get_optional(name: &str, argument: Option<&str>) -> anyhow::Result<Option<Zeroizing<String>>> {
    argument.map(|argument| get(name, argument)).transpose()
}

/// Bytes of hexadecimal digits; blanks between digits are ignored.
///
/// # Errors
/// Usage, naming what was given; never its digits.
pub(crate) fn hex(name: &str, digits: &str) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let digits: Zeroizing<String> = Zeroizing::new(digits.chars().filter(|c| !c.is_whitespace()).collect());
    hsm_core::hex::decode(digits.as_bytes())
        .filter(|bytes| !bytes.is_empty())
        .ok_or_else(|| usage(format!("the {name} must be an even number of hexadecimal digits")))
}
