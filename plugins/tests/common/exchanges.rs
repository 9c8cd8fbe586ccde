//! The golden exchanges of `plugins/testdata/exchanges`: what they look like, and the module each is for.
//!
//! A file belongs to one command and holds, in this order and as often as needed:
//!
//! ```text
//! # a comment: where the exchange comes from
//! lmk: variant                the module of all that follows (see `Exchange::module`)
//! set: pin_length=6           settings that differ from the developer profile
//! before: PA^P                a request that prepares state for the next exchange
//! > BU0001{AB12}%00           the request; {AB12} stands for raw bytes
//! < BV000123                  the response, and a second one if there is one
//! ```
//!
//! Every exchange has a module of its own: its random numbers follow from a seed and its clock stands still, so that responses are exact.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(dead_code, unreachable_pub, reason = "each test program uses some of it")]

use super::old_variant_lmk;
use hsm_core::lmk::Lmk;
use hsm_core::lmk_pin::{PinAlgorithm, PinMode};
use hsm_core::printer::MemoryPrinter;
use hsm_core::user_storage::SlotSize;
use hsm_core::{ChangeEntry, ChangeRole, Clock, LmkSlots, SecurityModule, Settings};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// One request, what prepares it, and the responses on record.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// File and line of the request.
    pub id: String,
    /// The value of `lmk:`.
    pub lmk: String,
    /// The values of `set:`.
    pub set: Vec<String>,
    pub before: Vec<Vec<u8>>,
    pub request: Vec<u8>,
    /// The response, then the second one of a command that prints.
    pub responses: Vec<Vec<u8>>,
}

/// 2026-01-15 12:00 UTC.
struct Noon;

impl Clock for Noon {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_768_478_400)
    }
}

impl Exchange {
    pub fn code(&self) -> [u8; 2] {
        self.request[..2].try_into().unwrap()
    }

    pub fn succeeds(&self) -> bool {
        // 02 is a success with a warning; every command that gives it gives 00 too.
        self.responses[0].get(2..4) == Some(b"00")
    }

    /// A new module as the file says.
    ///
    /// `variant`: the test LMKs in slots 00 (variant, the default), 01 (AES key blocks) and 02 (TDES key blocks). `variant-change`: the same,
    /// with an old variant LMK in the key change storage of each slot. `test-aes` and `test-tdes`: that key-block LMK in slots 00 and 01,
    /// with the default after it if that is not 00. `test-aes-change`: the same, and the old LMK is the variant test LMK;
    /// `test-tdes-change`: the old one is the AES key-block LMK. All have a printer.
    pub fn module(&self) -> SecurityModule {
        let (name, default) = self.lmk.split_once(' ').unwrap_or((&self.lmk, "00"));
        let (aes, tdes) = (Lmk::test_keyblock_aes, Lmk::test_keyblock_tdes);
        let (slots, old) = match name {
            "variant" => (vec![Lmk::test_variant(), aes(), tdes()], None),
            "variant-change" => (vec![Lmk::test_variant(), aes(), tdes()], Some(old_variant_lmk())),
            "test-aes" => (vec![aes(), aes()], None),
            "test-aes-change" => (vec![aes(), aes()], Some(Lmk::test_variant())),
            "test-tdes" => (vec![tdes(), tdes()], None),
            "test-tdes-change" => (vec![tdes(), tdes()], Some(aes())),
            other => panic!("{}: no LMK is called {other}", self.id),
        };
        let mut lmks = LmkSlots { default: default.parse().unwrap(), ..LmkSlots::default() };
        for (id, lmk) in (0..).zip(slots) {
            lmks.slots.insert(id, Arc::new(lmk));
            if let Some(old) = &old {
                lmks.change_storage.insert(id, ChangeEntry { lmk: Arc::new(old.clone()), role: ChangeRole::Old });
            }
        }
        let mut settings = Settings::default();
        for (name, value) in self.set.iter().map(|item| item.split_once('=').expect("name=value")) {
            set(&mut settings, name, value);
        }
        let module = SecurityModule::with_seed(lmks, settings, [7; 32], Arc::new(Noon));
        module.set_printer(Some(Box::new(MemoryPrinter::default())));
        module
    }
}

/// Sets a setting by its name.
fn set(settings: &mut Settings, name: &str, value: &str) {
    macro_rules! switches {
        ($($switch:ident)*) => {
            match name {
                $(stringify!($switch) => settings.$switch = value.parse().unwrap(),)*
                _ => panic!("no setting {name}={value}"),
            }
        };
    }
    match (name, value) {
        ("pin_length", _) => settings.pin_length = value.parse().unwrap(),
        ("solicitation_batch_size", _) => settings.solicitation_batch_size = value.parse().unwrap(),
        ("solicitation_response_records", _) => settings.solicitation_response_records = value.parse().unwrap(),
        ("pin_block_translations", _) => {
            settings.pin_block_translations = value.split(',').map(|item| item.parse().unwrap()).collect();
        }
        ("lmk_pin_mode", "Native") => settings.lmk_pin_mode = PinMode::Native,
        ("pin_algorithm", "B") => settings.pin_algorithm = PinAlgorithm::B,
        ("user_storage", "Double") => settings.user_storage = SlotSize::Double,
        ("user_storage", "Triple") => settings.user_storage = SlotSize::Triple,
        ("user_storage", "Variable") => settings.user_storage = SlotSize::Variable,
        _ => switches! {
                    double_length_zmk atalla_variants single_des x917_export x917_import refuse_single_posing restrict_kcv
                    long_lmk_check_value separate_002 restrict_pin_blocks component_variant zmk_translation clear_pins
                    lmk_pin_account_change encrypted_decimalisation_tables decimalisation_table_checks key_block_pvk_warning
                    tokens_in_translation tokens_in_verification format_34_output diebold_test_algorithm authorise_all
                    authorise_diagnostics multiple_activities require_port_lmk sensitive_export trusted_export_only
        trusted_import_only zmk_export zmk_import private_key_export private_key_import rsa_import_authorised
                    hide_key_length ignore_block_lmk_id check_key_validity strong_keys_under_weak_lmk scheme_downgrade
                    solicitation_sorted tr34_sample_encoding
                },
    }
}

pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/testdata/exchanges")
}

/// Every file, in the order of their names.
pub fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
}

/// The exchanges of every file.
pub fn exchanges() -> Vec<Exchange> {
    files().iter().flat_map(|path| parse(path)).collect()
}

/// The exchanges of one file.
pub fn parse(path: &Path) -> Vec<Exchange> {
    let name = path.file_name().unwrap().to_string_lossy();
    let text = std::fs::read_to_string(path).unwrap();
    let mut all: Vec<Exchange> = Vec::new();
    let (mut lmk, mut set, mut before) = (String::new(), Vec::new(), Vec::new());
    let mut open = false;
    for (n, line) in text.lines().enumerate() {
        let id = format!("{name}:{}", n + 1);
        let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
        let answers = keyword == "<";
        assert!(!open || answers, "{id}: a request has no response");
        open = keyword == ">";
        match keyword {
            "" | "#" => {}
            "lmk:" => (lmk, set) = (value.to_owned(), Vec::new()),
            "set:" => set.extend(value.split(' ').map(str::to_owned)),
            "before:" => before.push(bytes(value)),
            ">" => {
                let (lmk, set, before) = (lmk.clone(), set.clone(), std::mem::take(&mut before));
                all.push(Exchange { id, lmk, set, before, request: bytes(value), responses: Vec::new() });
            }
            "<" => all.last_mut().expect("a request comes first").responses.push(bytes(value)),
            _ => panic!("{id}: {line}"),
        }
    }
    assert!(!open && before.is_empty(), "{name} ends before it is complete");
    all
}

/// The file again, with other responses to its requests: one group of responses for each request.
pub fn rewrite(path: &Path, responses: &[Vec<Vec<u8>>]) {
    let text = std::fs::read_to_string(path).unwrap();
    let mut out = String::new();
    let mut next = responses.iter();
    for line in text.lines().filter(|line| !line.starts_with("< ")) {
        writeln!(out, "{line}").unwrap();
        if line.starts_with("> ") {
            for response in next.next().into_iter().flatten() {
                writeln!(out, "< {}", shown(response)).unwrap();
            }
        }
    }
    std::fs::write(path, out).unwrap();
}

/// Bytes as a line has them: what is not printable as `{20}`, and with it spaces at the ends and the few printable bytes between others.
pub fn shown(bytes: &[u8]) -> String {
    let printable = |(n, byte): (usize, &u8)| {
        let inside = n > 0 && n + 1 < bytes.len();
        byte.is_ascii_graphic() && !b"{}".contains(byte) || *byte == b' ' && inside
    };
    let mut plain: Vec<bool> = bytes.iter().enumerate().map(printable).collect();
    let mut start = 0;
    for run in plain.clone().chunk_by(|a, b| a == b) {
        let end = start + run.len();
        if run[0] && run.len() < 8 && start > 0 && end < bytes.len() {
            plain[start..end].fill(false);
        }
        start = end;
    }
    let mut out = String::new();
    let mut start = 0;
    for run in plain.chunk_by(|a, b| a == b) {
        let these = &bytes[start..start + run.len()];
        if run[0] {
            out.extend(these.iter().copied().map(char::from));
        } else {
            let digits: String = these.iter().map(|byte| format!("{byte:02X}")).collect();
            write!(out, "{{{digits}}}").unwrap();
        }
        start += run.len();
    }
    out
}

fn bytes(text: &str) -> Vec<u8> {
    super::bytes(text)
}

/// A failed exchange, for a person.
pub fn describe(exchange: &Exchange, answers: &[Vec<u8>]) -> String {
    let lines =
        |prefix: &str, all: &[Vec<u8>]| all.iter().map(|a| format!("\n  {prefix} {}", shown(a))).collect::<String>();
    let sent = shown(&exchange.request);
    format!("{}\n  sent {sent}{}{}", exchange.id, lines("want", &exchange.responses), lines("got ", answers))
}
