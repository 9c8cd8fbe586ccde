//! Every host command vector as WASM in process and over TCP. `plugins/tests/golden.rs` runs the same vectors natively: one path cannot
//! be right where another is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../../plugins/tests/common/mod.rs"]
mod common;

use common::exchanges::{self, exchanges};
use common::{agrees, describe, report, runnable};
use hsm_core::{SecurityModule, Settings};
use hsm_server::net::{ListenAddr, NetConfig};
use hsm_server::{Emulator, EmulatorConfig, Engine, Limits, PluginSet, SharedPlugins};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn as_plugins() {
    let plugins = SharedPlugins::new(PluginSet::load(None, &Limits::default()).unwrap());
    let vectors = runnable();
    let mut failures = Vec::new();
    for (vector, module) in &vectors {
        let mut engine = Engine::new(plugins.clone(), module.clone());
        let mut answer = Vec::new();
        // Twice, and with a trace: the second run finds cached keys and restored memory.
        for trace in [false, true] {
            answer.clear();
            engine.process(&vector.request, None, trace, &mut answer);
            if !agrees(vector, &answer) {
                failures.push(describe(vector, &answer));
            }
        }
    }
    report(&failures, vectors.len());
}

/// The golden exchanges, random output included: a guest draws on the module's randomness as native code does.
#[test]
fn exchanges_as_plugins() {
    let plugins = SharedPlugins::new(PluginSet::load(None, &Limits::default()).unwrap());
    let mut failures = Vec::new();
    let all = exchanges();
    for exchange in &all {
        let mut engine = Engine::new(plugins.clone(), exchange.module());
        for request in &exchange.before {
            let mut answer = Vec::new();
            engine.process(request, None, false, &mut answer);
            assert_eq!(answer.get(2..4), Some(&b"00"[..]), "{}: before: {}", exchange.id, answer.escape_ascii());
        }
        let mut answer = Vec::new();
        engine.process(&exchange.request, None, false, &mut answer);
        let mut answers = vec![answer];
        let later = engine.transcript().into_iter().flat_map(|transcript| &transcript.later);
        answers.extend(later.map(|(code, rest)| [code, rest.as_slice()].concat()));
        if answers != exchange.responses {
            failures.push(exchanges::describe(exchange, &answers));
        }
    }
    report(&failures, all.len());
}

#[test]
fn over_tcp() {
    let plugins = SharedPlugins::new(PluginSet::load(None, &Limits::default()).unwrap());
    let vectors = runnable();
    let mut failures = Vec::new();
    for (vector, module) in &vectors {
        let answer = served(&plugins, module, |stream| {
            send(stream, &vector.request);
            receive(stream)
        });
        if !agrees(vector, &answer) {
            failures.push(describe(vector, &answer));
        }
    }
    report(&failures, vectors.len());
}

/// The largest batch of solicitation data in as many responses as it can have, with the longest trailer: a guest has room and time for it.
#[test]
fn a_whole_batch_of_solicitation_data_over_tcp() {
    let plugins = SharedPlugins::new(PluginSet::load(None, &Limits::default()).unwrap());
    let module = SecurityModule::with_test_lmks();
    module.set_settings(Settings { solicitation_response_records: 1, ..Settings::default() });
    let trailer = format!("\x19{}", "T".repeat(32));
    let records = |from: usize, to: usize| (from..to).map(|n| format!("{n:012}123456;")).collect::<String>();
    served(&plugins, &module, |stream| {
        for n in 0..40 {
            send(stream, format!("QA{}%01", records(25 * n, 25 * n + 25)).as_bytes());
            assert_eq!(receive(stream), b"QB00");
        }
        send(stream, format!("QC{}%01{trailer}", records(1000, 1024)).as_bytes());
        let mut accounts = BTreeSet::new();
        for _ in 0..1024 {
            let answer = receive(stream);
            let record = answer.strip_prefix(b"QD00").and_then(|rest| rest.strip_suffix(trailer.as_bytes())).unwrap();
            assert_eq!(record.len(), 44);
            accounts.insert(record[..10].to_vec());
        }
        // More would be between these two.
        send(stream, b"NC");
        assert!(receive(stream).starts_with(b"ND00"));
        assert!(accounts.len() > 1000, "{} accounts", accounts.len());
    });
}

/// Runs an emulator of a module for one client.
fn served<T>(plugins: &SharedPlugins, module: &SecurityModule, client: impl FnOnce(&mut TcpStream) -> T) -> T {
    let net = NetConfig { listeners: vec![ListenAddr::new(([127, 0, 0, 1], 0).into())], ..NetConfig::default() };
    let config = EmulatorConfig { net, ..EmulatorConfig::default() };
    let emulator = Emulator::with_plugins(config, module.clone(), plugins.clone()).unwrap();
    let handle = emulator.handle();
    let server = std::thread::spawn(move || emulator.run());
    let mut stream = TcpStream::connect(handle.local_addr().unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let result = client(&mut stream);
    drop(stream);
    handle.stop();
    server.join().unwrap().unwrap();
    result
}

const HEADER: &[u8] = b"7TAG";

fn send(stream: &mut TcpStream, request: &[u8]) {
    let len = (HEADER.len() + request.len()) as u16;
    stream.write_all(&[&len.to_be_bytes(), HEADER, request].concat()).unwrap();
}

/// The next response, without its header.
fn receive(stream: &mut TcpStream) -> Vec<u8> {
    let mut len = [0; 2];
    stream.read_exact(&mut len).unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut answer).unwrap();
    answer.strip_prefix(HEADER).expect("the header comes back").to_vec()
}
