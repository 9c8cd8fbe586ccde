//! Questions on the terminal, even if standard input is something else.

use crate::exit::{Interrupted, report, usage};
use anyhow::Context;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::process::{Command, Stdio};
use zeroize::{Zeroize, Zeroizing};

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
    /// If the terminal cannot be used, nothing is entered, or Ctrl-C.
    pub(crate) fn ask_secret(&self, what: &str) -> anyhow::Result<Zeroizing<String>> {
        let question = format!("{what}: ");
        let Some(raw) = Raw::new(&self.0) else {
            report("note: the terminal shows what is typed");
            return self.ask(&question);
        };
        write!(&self.0, "{question}").context("cannot write to the terminal")?;
        // One byte at a time: what follows the line is for the next question.
        let line = read_keys(BufReader::with_capacity(1, &self.0));
        drop(raw);
        // The line break that was not shown.
        let _ = writeln!(&self.0);
        line?.ok_or_else(|| usage("nothing was entered"))
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

/// A line that is typed at a [raw](Raw) terminal: Backspace takes back a character, Ctrl-U all, Enter and Ctrl-D end it. `None` if it
/// ends before it begins.
///
/// # Errors
/// [`Interrupted`] for Ctrl-C; if it cannot be read, is no text, or is longer than [`LONGEST`].
fn read_keys(input: impl BufRead) -> anyhow::Result<Option<Zeroizing<String>>> {
    // Room for the longest line, so that no half-filled buffer is left behind when it grows.
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
    for byte in input.bytes() {
        match byte.context("cannot read from the terminal")? {
            b'\r' | b'\n' => return text(&line).map(Some),
            CTRL_C | CTRL_BACKSLASH => return Err(Interrupted.into()),
            CTRL_D => break,
            // The last byte of a character is the first that is taken back.
            BACKSPACE | DELETE => while line.pop().is_some_and(|byte| byte & 0xC0 == 0x80) {},
            CTRL_U => line.zeroize(),
            byte if line.len() < LONGEST => line.push(byte),
            _ => return Err(usage(format!("the line is longer than {LONGEST} characters"))),
        }
    }
    if line.is_empty() { Ok(None) } else { text(&line).map(Some) }
}

fn text(line: &[u8]) -> anyhow::Result<Zeroizing<String>> {
    let text = core::str::from_utf8(line).map_err(|_| usage("what was entered is no text"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// What keys send.
const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const CTRL_U: u8 = 0x15;
const CTRL_BACKSLASH: u8 = 0x1C;
const DELETE: u8 = 0x7F;

/// Keeps the terminal from showing and from interpreting what is typed until it is dropped, with the system's `stty`.
///
/// Ctrl-C comes as a character, not as a signal that would end the program before the terminal is as it was.
struct Raw<'a> {
    terminal: &'a File,
    /// Its settings before, as `stty -g` writes them.
    before: String,
}

impl<'a> Raw<'a> {
    /// `None` if that is not possible.
    fn new(terminal: &'a File) -> Option<Self> {
        let before = stty(terminal, &["-g"])?;
        // From here on the terminal is put back, even if the change succeeds in part.
        let raw = Self { terminal, before };
        stty(terminal, &["-echo", "-icanon", "-isig", "min", "1", "time", "0"])?;
        Some(raw)
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        stty(self.terminal, &[self.before.trim()]);
    }
}

/// What `stty` says; `None` if it fails.
fn stty(terminal: &File, arguments: &[&str]) -> Option<String> {
    let terminal = terminal.try_clone().ok()?;
    let output = Command::new("stty").args(arguments).stdin(terminal).stderr(Stdio::null()).output().ok()?;
    if output.status.success() { String::from_utf8(output.stdout).ok() } else { None }
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

    #[test]
    fn keys_edit_the_line_and_interrupt_it() {
        let typed = |keys: &[u8]| read_keys(keys).map(|line| line.map(|line| line.to_string()));
        for (keys, line) in [
            (&b"secret\rmore"[..], Some("secret")),
            (b"secret\n", Some("secret")),
            (b"\n", Some("")),
            (b"sex\x7Fcret\n", Some("secret")),
            ("gr\u{e9}\u{e8}\u{8}\u{8}een\n".as_bytes(), Some("green")),
            (b"\x7F\x08a\n", Some("a")),
            (b"wrong\x15right\n", Some("right")),
            (b"secret\x04", Some("secret")),
            (b"\x04", None),
            (b"", None),
        ] {
            assert_eq!(typed(keys).unwrap().as_deref(), line, "{keys:?}");
        }
        for keys in [&b"\x03"[..], b"secret\x03\n", b"secret\x1C"] {
            assert!(typed(keys).unwrap_err().is::<Interrupted>(), "{keys:?}");
        }
        assert!(typed(b"\xFF\n").is_err());
        assert_eq!(typed(&[b"0".repeat(LONGEST), b"\n".to_vec()].concat()).unwrap().unwrap().len(), LONGEST);
        assert!(typed(&b"0".repeat(LONGEST + 1)).is_err());
    }
}
