//! Secrets from arguments or, where the argument is `-`, from standard input, line by line.

use crate::exit::usage;
use anyhow::Context;
use std::io::{self, BufRead, IsTerminal, Read};
use zeroize::Zeroizing;

/// Longest line taken from standard input.
const LONGEST: usize = 16 * 1024;

/// The value of an argument, or the next line of standard input if the argument is `-`.
///
/// # Errors
/// If standard input ends or cannot be read.
pub(crate) fn get(name: &str, argument: &str) -> anyhow::Result<Zeroizing<String>> {
    if argument != "-" {
        return Ok(Zeroizing::new(argument.trim().to_owned()));
    }
    if io::stdin().is_terminal() {
        eprint!("{name}: ");
    }
    // Room for the longest line, so that no half-filled buffer is left behind when it grows.
    let mut line = Zeroizing::new(String::with_capacity(LONGEST));
    let read = io::stdin()
        .lock()
        .take(LONGEST as u64)
        .read_line(&mut line)
        .with_context(|| format!("cannot read the {name} from standard input"))?;
    if read == 0 {
        return Err(usage(format!("standard input ends where the {name} was expected")));
    }
    Ok(Zeroizing::new(line.trim().to_owned()))
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
