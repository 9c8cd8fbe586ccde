//! Every host command vector, natively. `HSM_ONLY=CA,CY` runs those commands alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use common::{agrees, describe, report, runnable};
use hsm_core::Session;
use hsm_plugin_sdk::abi::response_code;

#[test]
fn natively() {
    let only = std::env::var("HSM_ONLY").unwrap_or_default();
    let mut vectors = runnable();
    if !only.is_empty() {
        vectors.retain(|(v, _)| only.split(',').any(|code| code.as_bytes() == v.code));
    }
    let mut failures = Vec::new();
    for (vector, module) in &vectors {
        let command = hsm_plugins::COMMANDS.iter().find(|c| c.code == vector.code).unwrap();
        let mut session = Session::new(module.clone());
        session.begin(vector.code, None);
        let mut answer = response_code(vector.code).to_vec();
        answer.extend(command.respond(&vector.request[2..], &mut session, false));
        if !agrees(vector, &answer) {
            let why = session.transcript().explanation.as_ref().map(|e| e.text.clone()).unwrap_or_default();
            failures.push(describe(vector, &answer) + "\n  " + &why);
        }
    }
    if only.is_empty() {
        report(&failures, vectors.len());
    } else {
        assert!(
            failures.is_empty(),
            "{} of {} vectors failed:\n{}",
            failures.len(),
            vectors.len(),
            failures.join("\n")
        );
        println!("{} vectors passed", vectors.len());
    }
}
