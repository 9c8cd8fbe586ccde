//! Papers that must not drift: the index of commands in `README.md` is the table of commands. `HSM_UPDATE_DOCS=1 cargo test -p hsm-plugins --test readme` writes it.

use std::fmt::Write;
use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- commands: written by plugins/tests/readme.rs -->\n";
const END: &str = "<!-- end of commands -->\n";

#[test]
fn the_index_has_every_command() {
    let mut index = String::from("\n| Code | Command |\n|---|---|\n");
    for command in hsm_plugins::COMMANDS {
        writeln!(index, "| {} | {} |", String::from_utf8_lossy(&command.code), command.title.replace('|', "\\|"))
            .unwrap();
    }
    index.push('\n');

    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let written = fs::read_to_string(&file).unwrap();
    let (before, rest) = written.split_once(BEGIN).expect("the mark where the index begins");
    let (old, after) = rest.split_once(END).expect("the mark where the index ends");
    if std::env::var_os("HSM_UPDATE_DOCS").is_some() {
        fs::write(file, [before, BEGIN, &index, END, after].concat()).unwrap();
        return;
    }
    let missing: Vec<&str> = index.lines().filter(|line| !old.lines().any(|old| old == *line)).collect();
    assert!(
        old == index,
        "plugins/README.md is not what the commands say; missing:\n{}\n\
         Write the index anew: HSM_UPDATE_DOCS=1 cargo test -p hsm-plugins --test readme",
        missing.join("\n")
    );
}
