//! Requests: any body of any command gets an answer.

use hsm_core::lmk::Lmk;
use hsm_core::printer::{Document, PrintSink};
use hsm_core::{ChangeEntry, ChangeRole, LmkSlots, SecurityModule, Session, Settings, SystemClock};
use hsm_plugin_sdk::Command;
use std::sync::{Arc, LazyLock};

/// Largest answer that fits a message.
const LONGEST: usize = 32 * 1024;

/// Messages of one input that are run.
const MESSAGES: usize = 4;

/// A new module with the published test LMKs: slot 0 variant, 1 AES key block, 2 TDES key block; each has the variant test LMK as the
/// LMK before it. Permissive or strict. Seeded, so that a finding can be repeated.
pub(crate) fn module(strict: bool) -> SecurityModule {
    static LMKS: LazyLock<LmkSlots> = LazyLock::new(|| {
        let mut lmks = (*SecurityModule::with_test_lmks().lmks()).clone();
        let old = ChangeEntry { lmk: Arc::new(Lmk::test_variant()), role: ChangeRole::Old };
        lmks.change_storage.extend((0..3).map(|id| (id, old.clone())));
        lmks
    });
    let settings = if strict {
        Settings {
            single_des: false,
            x917_export: false,
            x917_import: false,
            refuse_single_posing: true,
            restrict_kcv: true,
            separate_002: true,
            restrict_pin_blocks: true,
            authorise_all: false,
            ..Settings::default()
        }
    } else {
        Settings { authorise_diagnostics: true, ..Settings::default() }
    };
    let module = SecurityModule::with_seed(LMKS.clone(), settings, [7; 32], Arc::new(SystemClock));
    module.set_printer(Some(Box::new(Shredder)));
    module
}

/// A printer whose documents nobody reads.
struct Shredder;

impl PrintSink for Shredder {
    fn print(&mut self, _: Document) -> std::io::Result<()> {
        Ok(())
    }
}

/// An option byte and messages without their headers, with line feeds between them, for one module. Of the options, bits 0 and 1 are the
/// LMK slot (3 is empty), bit 2 the strict settings, bit 3 the trace: `0` to `7` without trace, `8` and `9` with it. A message whose code
/// no command has is the body of one all the same, chosen by that code.
pub fn request_fields(data: &[u8]) {
    let Some((&options, messages)) = data.split_first() else { return };
    let mut session = session(options);
    for message in messages.split(|byte| *byte == b'\n').take(MESSAGES) {
        let Some((code, body)) = message.split_first_chunk::<2>() else { continue };
        let commands = hsm_plugins::COMMANDS;
        let chosen = commands.iter().find(|command| command.code == *code);
        let chosen = chosen.or_else(|| commands.get(usize::from(u16::from_be_bytes(*code)) % commands.len().max(1)));
        if let Some(command) = chosen {
            run(command, &mut session, options, body);
        }
    }
}

/// The same input as one body, of every command there is.
pub fn every_command(data: &[u8]) {
    let Some((&options, message)) = data.split_first() else { return };
    for command in hsm_plugins::COMMANDS {
        run(command, &mut session(options), options, message.get(2..).unwrap_or_default());
    }
}

fn session(options: u8) -> Session {
    Session::new(module(options & 4 != 0))
}

fn run(command: &Command, session: &mut Session, options: u8, body: &[u8]) {
    session.begin(command.code, Some(options & 3));
    let answer = command.respond(body, session, options & 8 != 0);

    let code = answer.get(..2).expect("an answer has an error code");
    let is_code = code.iter().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    assert!(is_code, "{command:?} answers {}", answer.escape_ascii());
    assert!(answer.len() <= LONGEST, "{command:?} answers {} bytes", answer.len());
    let transcript = session.transcript();
    for field in transcript.fields.iter().filter(|field| !field.response) {
        let end = field.offset.checked_add(field.len);
        assert!(end.is_some_and(|end| end <= body.len()), "{command:?} traces {} outside the request", field.name);
    }
    for (code, _) in &transcript.later {
        assert!(code.iter().all(u8::is_ascii_alphanumeric), "{command:?} answers a second time as {code:?}");
    }
}
