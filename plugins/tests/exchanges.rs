//! Every golden exchange of `testdata/exchanges`, natively. `HSM_BLESS=1` rewrites the responses: read the difference before it is kept.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use common::exchanges::{Exchange, describe, files, parse, rewrite};
use hsm_core::Session;
use hsm_plugin_sdk::abi::response_code;
use std::collections::BTreeSet;

/// The responses to an exchange, and why it was refused.
fn answers(exchange: &Exchange) -> (Vec<Vec<u8>>, String) {
    let mut session = Session::new(exchange.module());
    for request in &exchange.before {
        let answer = respond(&mut session, request);
        assert!(answer[2..].starts_with(b"00"), "{}: before: {}", exchange.id, answer.escape_ascii());
    }
    let mut all = vec![respond(&mut session, &exchange.request)];
    let transcript = session.transcript();
    all.extend(transcript.later.iter().map(|(code, rest)| [code, rest.as_slice()].concat()));
    (all, transcript.explanation.as_ref().map(|e| e.text.clone()).unwrap_or_default())
}

fn respond(session: &mut Session, request: &[u8]) -> Vec<u8> {
    let (code, body) = request.split_first_chunk::<2>().unwrap();
    let command = hsm_plugins::COMMANDS.iter().find(|c| c.code == *code).unwrap();
    session.begin(*code, None);
    let mut answer = response_code(*code).to_vec();
    answer.extend(command.respond(body, session, false));
    answer
}

#[test]
fn natively() {
    let bless = std::env::var_os("HSM_BLESS").is_some();
    let mut failures = Vec::new();
    for path in files() {
        let mut responses = Vec::new();
        for exchange in parse(&path) {
            let (answers, why) = answers(&exchange);
            if answers != exchange.responses {
                failures.push(describe(&exchange, &answers) + "\n  " + &why);
            }
            responses.push(answers);
        }
        if bless {
            rewrite(&path, &responses);
        }
    }
    assert!(failures.is_empty(), "{} exchanges failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_command_has_exchanges() {
    let (mut succeed, mut refuse) = (BTreeSet::new(), BTreeSet::new());
    for path in files() {
        let code = path.file_stem().unwrap().to_string_lossy().into_owned();
        for exchange in parse(&path) {
            assert_eq!(exchange.code(), code.as_bytes(), "{}: another command", exchange.id);
            if exchange.succeeds() { &mut succeed } else { &mut refuse }.insert(exchange.code());
        }
    }
    for command in hsm_plugins::COMMANDS {
        let code = command.code.escape_ascii();
        assert!(succeed.contains(&command.code), "{code} has no exchange that succeeds");
        assert!(refuse.contains(&command.code), "{code} has no exchange that is refused");
    }
}
