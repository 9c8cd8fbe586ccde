//! Running `hsm` and reading what it says.

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use serde_json::Value;
use std::time::Duration;

/// Longest time that any command of a test may take; building a plugin takes longest, and deriving a key from a passphrase
/// takes seconds where nothing is optimised.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// `hsm` without settings from the environment.
pub(crate) fn hsm() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hsm"));
    command.timeout(PATIENCE);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HSM_") {
            command.env_remove(name);
        }
    }
    command
}

pub(crate) fn stdout(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

pub(crate) fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

pub(crate) fn json(assert: &Assert) -> Value {
    serde_json::from_str(&stdout(assert)).unwrap()
}

/// Failed with a code and exactly one line that holds `what`.
pub(crate) fn failed(assert: Assert, code: i32, what: &str) {
    let assert = assert.code(code);
    let line = stderr(&assert);
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.starts_with("hsm: ") && line.contains(what), "{line}");
    assert_eq!(stdout(&assert), "", "{line}");
}
