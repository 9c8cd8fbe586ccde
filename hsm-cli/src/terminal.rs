//! Questions on the terminal, even if standard input is something else.

use crate::exit::{report, usage};
use anyhow::Context;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::process::{Command, Stdio};
use zeroize::Zeroizing;

/// Longest line that is taken.
pub(crate) const LONGEST: usize = 16 * 1024;

/// The terminal of this process.
pub(crate) struct Terminal(File);

impl Terminal {
    /// The terminal, if there is one.
    pub(crate) fn open() -> Option<Self> {
        let terminal = File::options().read(true).write(true).open("/dev/tty").ok()?;
        terminal.is_terminal().then_some(Self(terminal))
    }

    /// Asks for a secret, which is not shown.
    ///
    /// # Errors
    /// If the terminal cannot be used, or nothing is entered.
    pub(crate) fn ask_secret(&self, what: &str) -> anyhow::Result<Zeroizing<String>> {
        let echo = EchoOff::new(&self.0);
        if echo.is_none() {
            report("note: the terminal shows what is typed");
        }
        let line = self.ask(&format!("{what}: "));
        if echo.is_some() {
            // The line break that was not shown.
            let _ = writeln!(&self.0);
        }
        line
    }

    /// Asks for a line.
    ///
    /// # Errors
    /// As [`Terminal::ask_secret`].
    pub(crate) fn ask(&self, question: &str) -> anyhow::Result<Zeroizing<String>> {
        write!(&self.0, "{question}").context("cannot write to the terminal")?;
        // One byte at a time: what follows the line is for the next question.
        let input = BufReader::with_capacity(1, &self.0);
        let line = read_line(input).context("cannot read from the terminal")?;
        line.ok_or_else(|| usage("nothing was entered"))
    }
}

/// A line without its end; `None` if there is no more.
///
/// # Errors
/// If it cannot be read, is no text, or is longer than [`LONGEST`].
pub(crate) fn read_line(input: impl BufRead) -> anyhow::Result<Option<Zeroizing<String>>> {
    // Room for the longest line, so that no half-filled buffer is left behind when it grows.
    let mut line = Zeroizing::new(String::with_capacity(LONGEST));
    let read = input.take(LONGEST as u64).read_line(&mut line)?;
    if read == LONGEST && !line.ends_with('\n') {
        return Err(usage(format!("the line is longer than {LONGEST} characters")));
    }
    let text = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(text);
    Ok((read > 0).then_some(line))
}

/// Switches off the terminal's echo until it is dropped, with the system's `stty`.
struct EchoOff<'a>(&'a File);

impl<'a> EchoOff<'a> {
    /// `None` if that is not possible.
    fn new(terminal: &'a File) -> Option<Self> {
        stty(terminal, "-echo").then_some(Self(terminal))
    }
}

impl Drop for EchoOff<'_> {
    fn drop(&mut self) {
        stty(self.0, "echo");
    }
}

fn stty(terminal: &File, argument: &str) -> bool {
    let Ok(terminal) = terminal.try_clone() else { return false };
    let status =
        Command::new("stty").arg(argument).stdin(terminal).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_where_it_ends() {
        let mut input: &[u8] = b"one\r\n two \n\nlast";
        let mut next = || read_line(&mut input).unwrap().map(|line| line.to_string());
        assert_eq!([next(), next(), next()].map(Option::unwrap), ["one", " two ", ""]);
        assert_eq!((next().as_deref(), next()), (Some("last"), None));
    }

    #[test]
    fn a_line_is_never_cut() {
        let longest = "0".repeat(LONGEST - 1);
        assert_eq!(*read_line(format!("{longest}\n").as_bytes()).unwrap().unwrap(), longest);
        assert!(read_line(format!("{longest}00\n").as_bytes()).is_err());
    }
}
