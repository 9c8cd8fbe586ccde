//! Runs every target on its corpus, with a stable compiler and no fuzzer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::{Path, PathBuf};

fn corpus(target: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} holds no input", dir.display());
    files
}

/// Runs `run` on every file; says which one broke it.
fn replay(target: &str, run: fn(&[u8])) {
    for file in corpus(target) {
        let data = std::fs::read(&file).unwrap();
        if std::panic::catch_unwind(|| run(&data)).is_err() {
            panic!("{target} fails on {}", file.display());
        }
    }
}

#[test]
fn every_target_holds_on_its_corpus() {
    for &(name, run) in hsm_fuzz::TARGETS {
        replay(name, run);
    }
}

/// Each recorded request also as the body of all other commands.
#[test]
fn every_command_answers_every_body() {
    replay("request_fields", hsm_fuzz::every_command);
}

/// Cut short at every length, the recorded inputs are near misses.
#[test]
fn prefixes_of_the_corpus_hold() {
    for &(name, run) in hsm_fuzz::TARGETS {
        for file in corpus(name) {
            let data = std::fs::read(&file).unwrap();
            for len in 0..data.len() {
                if std::panic::catch_unwind(|| run(&data[..len])).is_err() {
                    panic!("{name} fails on the first {len} bytes of {}", file.display());
                }
            }
        }
    }
}

/// A target that nobody runs, or a corpus without a target, is a mistake.
#[test]
fn targets_files_and_corpora_go_together() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = |dir: &str| {
        let entries = std::fs::read_dir(root.join(dir)).unwrap();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    let targets: Vec<String> = hsm_fuzz::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
}
