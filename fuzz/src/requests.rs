//! Requests: any body of any command gets an answer.

use hsm_core::lmk::Lmk;
use hsm_core::{LmkSlots, SecurityModule, Session, Settings, SystemClock};
use hsm_plugin_sdk::Command;
use std::sync::{Arc, OnceLock};

/// Largest answer that fits a message.
const LONGEST: usize = 32 * 1024;

/// A module with the published test LMKs: slot 0 variant, 1 AES key block, 2 TDES key block. Permissive or strict.
pub(crate) fn module(strict: bool) -> &'static SecurityModule {
    static PERMISSIVE: OnceLock<SecurityModule> = OnceLock::new();
    static STRICT: OnceLock<SecurityModule> = OnceLock::new();
    let (cell, settings) = if strict {
        let settings = Settings {
            single_des: false,
            x917_export: false,
            x917_import: false,
            refuse_single_posing: true,
            restrict_kcv: true,
            separate_002: true,
            restrict_pin_blocks: true,
            authorise_all: false,
            ..Settings::default()
        };
        (&STRICT, settings)
    } else {
        (&PERMISSIVE, Settings { authorise_diagnostics: true, ..Settings::default() })
    };
    cell.get_or_init(|| {
        let lmks = [(0, Lmk::test_variant()), (1, Lmk::test_keyblock_aes()), (2, Lmk::test_keyblock_tdes())];
        let slots = lmks.into_iter().map(|(id, lmk)| (id, Arc::new(lmk))).collect();
        // Seeded, so that a finding can be repeated.
        SecurityModule::with_seed(LmkSlots { slots, default: 0 }, settings, [7; 32], Arc::new(SystemClock))
    })
}

/// An option byte and a message without its header. Of the options, bits 0 and 1 are the LMK slot (3 is empty), bit 2 the strict
/// settings, bit 3 the trace: `0` to `7` without trace, `8` and `9` with it. A message whose code no command has is the body of one all
/// the same, chosen by that code.
pub fn request_fields(data: &[u8]) {
    let Some((&options, message)) = data.split_first() else { return };
    let Some((code, body)) = message.split_first_chunk::<2>() else { return };
    let commands = hsm_plugins::COMMANDS;
    let chosen = commands.iter().find(|command| command.code == *code);
    let chosen = chosen.or_else(|| commands.get(usize::from(u16::from_be_bytes(*code)) % commands.len().max(1)));
    if let Some(command) = chosen {
        run(command, options, body);
    }
}

/// The same input, as the body of every command there is.
pub fn every_command(data: &[u8]) {
    let Some((&options, message)) = data.split_first() else { return };
    for command in hsm_plugins::COMMANDS {
        run(command, options, message.get(2..).unwrap_or_default());
    }
}

fn run(command: &Command, options: u8, body: &[u8]) {
    let trace = options & 8 != 0;
    let mut session = Session::new(module(options & 4 != 0).clone());
    session.begin(command.code, Some(options & 3));
    let answer = command.respond(body, &mut session, trace);

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
