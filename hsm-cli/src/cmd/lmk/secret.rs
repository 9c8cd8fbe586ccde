//! The secret of an LMK store, from a file, the environment or the terminal.

use crate::exit::usage;
use anyhow::Context;
use hsm_core::lmk_store::StoreSecret;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use zeroize::Zeroizing;

/// The environment variable of the passphrase.
const VARIABLE: &str = "HSM_LMK_PASSPHRASE";

/// Longest passphrase.
const LONGEST: usize = 4096;

/// The secret of a store that exists and for which the settings name no file.
///
/// # Errors
/// If it needs a key file, or there is neither a variable nor a terminal.
pub(crate) fn for_store(store: &Path, is_key_file: bool) -> anyhow::Result<StoreSecret> {
    if is_key_file {
        return Err(usage(format!("{} is encrypted under a key file: name it with --key-file", store.display())));
    }
    match from_environment() {
        Some(secret) => Ok(secret),
        None => Ok(StoreSecret::passphrase(&ask(&format!("passphrase of {}", store.display()))?)),
    }
}

/// The secret of a store that is made, or that gets another one. Only that of a store that is made is in the environment.
pub(super) fn new(
    passphrase_file: Option<&Path>,
    key_file: Option<&Path>,
    environment: bool,
) -> anyhow::Result<StoreSecret> {
    match (passphrase_file, key_file) {
        (Some(file), _) => return Ok(StoreSecret::passphrase_file(file)?),
        (None, Some(file)) => return Ok(StoreSecret::key_file(file)?),
        (None, None) => {}
    }
    if let Some(secret) = from_environment().filter(|_| environment) {
        return Ok(secret);
    }
    let first = ask("new passphrase, at least 8 characters")?;
    if *first != *ask("the same again")? {
        return Err(usage("the two passphrases differ"));
    }
    Ok(StoreSecret::passphrase(&first))
}

fn from_environment() -> Option<StoreSecret> {
    let text = Zeroizing::new(std::env::var(VARIABLE).ok()?);
    (!text.is_empty()).then(|| StoreSecret::passphrase(&text))
}

/// Asks on the terminal, even if standard input is something else.
fn ask(what: &str) -> anyhow::Result<Zeroizing<String>> {
    let mut terminal = open_terminal().ok_or_else(|| {
        usage(format!("no terminal to ask for the {what}: use --passphrase-file, --key-file or {VARIABLE}"))
    })?;
    write!(terminal, "{what}: ").context("cannot write to the terminal")?;
    let echo = EchoOff::new(&terminal);
    let line = read_line(&terminal);
    if echo.is_some() {
        // The line break that was not shown.
        let _ = writeln!(&terminal);
    }
    line
}

/// Asks for a yes on the terminal; without one the answer is no.
pub(super) fn confirm(question: &str) -> anyhow::Result<bool> {
    let Some(mut terminal) = open_terminal() else { return Ok(false) };
    write!(terminal, "{question} (yes/no) ").context("cannot write to the terminal")?;
    Ok(read_line(&terminal)?.eq_ignore_ascii_case("yes"))
}

fn open_terminal() -> Option<File> {
    let terminal = File::options().read(true).write(true).open("/dev/tty").ok()?;
    terminal.is_terminal().then_some(terminal)
}

fn read_line(terminal: &File) -> anyhow::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::with_capacity(LONGEST));
    let read = io::Read::take(BufReader::with_capacity(1, terminal), LONGEST as u64).read_line(&mut line);
    if read.context("cannot read from the terminal")? == 0 {
        return Err(usage("nothing was entered"));
    }
    Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Switches off the terminal's echo until it is dropped, with the system's `stty`; without that, what is typed is seen.
struct EchoOff<'a>(&'a File);

impl<'a> EchoOff<'a> {
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
