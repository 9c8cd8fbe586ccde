//! What the tests of the command line share.

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// Longest time that any command may take; building a plugin takes longest.
pub(crate) const PATIENCE: Duration = Duration::from_secs(400);

/// A program that sees nothing of the settings of whoever runs the tests.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.timeout(PATIENCE);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HSM_") {
            command.env_remove(name);
        }
    }
    command
}

/// The `hsm` binary.
pub(crate) fn hsm() -> Command {
    program(env!("CARGO_BIN_EXE_hsm"))
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

/// Fails with a code and exactly one line that holds `what`, and gives out nothing else.
pub(crate) fn fails(command: &mut Command, code: i32, what: &str) {
    let assert = command.assert().code(code);
    let line = stderr(&assert);
    assert_eq!(line.lines().count(), 1, "{command:?}: {line}");
    assert!(line.starts_with("hsm: ") && line.contains(what), "{command:?}: {line}");
    assert_eq!(stdout(&assert), "", "{command:?}");
}

/// Writes a file that only its owner may read.
#[allow(dead_code, reason = "not every file of tests has secrets in files")]
pub(crate) fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
