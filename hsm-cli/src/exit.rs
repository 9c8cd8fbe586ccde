//! Exit codes, and failures as one line on standard error.

use clap::error::ErrorKind;
use std::process::ExitCode;
use std::{error, fmt, io};

/// Wrong usage: bad flags, values that cannot be meant.
const USAGE: u8 = 2;

/// The HSM answered, but not what was hoped for.
pub(crate) const ANSWERED_OTHERWISE: u8 = 3;

/// As shells have it for a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Ctrl-C at a question. Whoever typed it needs no message.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl error::Error for Interrupted {}

/// A failure that is the user's to mend by other arguments.
#[derive(Debug)]
struct Usage(String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for Usage {}

/// A failure that ends the program with the code of wrong usage.
pub(crate) fn usage(message: impl fmt::Display) -> anyhow::Error {
    anyhow::Error::new(Usage(message.to_string()))
}

/// Whether a failure is wrong usage.
pub(crate) fn is_usage(error: &anyhow::Error) -> bool {
    error.is::<Usage>()
}

/// Reports a failure and gives its exit code.
pub(crate) fn for_failure(error: &anyhow::Error) -> ExitCode {
    // Whoever reads our output has seen enough, as `head` does.
    if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    if error.is::<Interrupted>() {
        return ExitCode::from(INTERRUPTED);
    }
    report(&format!("{error:#}"));
    if is_usage(error) { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
}

/// Shows help where it was asked for; reports bad arguments.
pub(crate) fn for_arguments(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match error.print() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => for_failure(&error.into()),
        },
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // There is no better place for a failure of standard error than the exit code.
            let _ = error.print();
            ExitCode::from(USAGE)
        }
        _ => {
            report(&essence(&error.to_string()));
            ExitCode::from(USAGE)
        }
    }
}

/// What clap says about an error, without the usage and hints that follow.
fn essence(message: &str) -> String {
    let lines = message
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:"))
        .filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    let text = lines.collect::<Vec<_>>().join(" ").replace(" tip: ", "; tip: ");
    text.strip_prefix("error: ").unwrap_or(&text).to_owned()
}

/// Writes one line to standard error.
pub(crate) fn report(message: &str) {
    let line: Vec<&str> = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    eprintln!("hsm: {}", line.join(" "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_parser_become_one_line() {
        let message = "error: invalid value 'x' for '--port <PORT>': invalid digit\n  [possible values: 1]\n\n  tip: try 1\n\n\
                       Usage: hsm serve\n\nFor more information, try '--help'.\n";
        assert_eq!(
            essence(message),
            "invalid value 'x' for '--port <PORT>': invalid digit [possible values: 1]; tip: try 1"
        );
    }
}
