//! The secret of an LMK store, from a file, the environment or the terminal.

use crate::exit::usage;
use crate::terminal::Terminal;
use hsm_core::lmk_store::StoreSecret;
use std::path::Path;
use zeroize::Zeroizing;

/// The environment variable of the passphrase.
pub(crate) const VARIABLE: &str = "HSM_LMK_PASSPHRASE";

/// The secret of a store that exists and for which the settings name no file.
///
/// # Errors
/// If it needs a key file, or there is neither a variable nor a terminal.
pub(crate) fn for_store(store: &Path, is_key_file: bool) -> anyhow::Result<StoreSecret> {
    match unattended(store, is_key_file)? {
        Some(secret) => Ok(secret),
        None => Ok(StoreSecret::passphrase(&ask(&format!("passphrase of {}", store.display()))?)),
    }
}

/// As [`for_store`], but `None` where somebody would have to be asked.
///
/// # Errors
/// If it needs a key file.
pub(crate) fn unattended(store: &Path, is_key_file: bool) -> anyhow::Result<Option<StoreSecret>> {
    if is_key_file {
        return Err(usage(format!("{} is encrypted under a key file: name it with --key-file", store.display())));
    }
    Ok(from_environment())
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

fn ask(what: &str) -> anyhow::Result<Zeroizing<String>> {
    let terminal = Terminal::open().ok_or_else(|| {
        usage(format!("no terminal to ask for the {what}: use --passphrase-file, --key-file or {VARIABLE}"))
    });
    terminal?.ask_secret(what)
}

/// Asks for a yes on the terminal; without one the answer is no.
pub(super) fn confirm(question: &str) -> anyhow::Result<bool> {
    let Some(terminal) = Terminal::open() else { return Ok(false) };
    Ok(terminal.ask(&format!("{question} (yes/no) "))?.eq_ignore_ascii_case("yes"))
}
