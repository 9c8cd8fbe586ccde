//! Every host command vector as WASM in process and over TCP. `plugins/tests/golden.rs` runs the same vectors natively: one path cannot
//! be right where another is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../../plugins/tests/common/mod.rs"]
mod common;

use common::exchanges::{self, exchanges};
use common::{agrees, describe, report, runnable};
use hsm_server::net::{ListenAddr, NetConfig};
use hsm_server::{Emulator, EmulatorConfig, Engine, Limits, PluginSet, SharedPlugins};
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
        let net = NetConfig { listeners: vec![ListenAddr::new(([127, 0, 0, 1], 0).into())], ..NetConfig::default() };
        let config = EmulatorConfig { net, ..EmulatorConfig::default() };
        let emulator = Emulator::with_plugins(config, module.clone(), plugins.clone()).unwrap();
        let handle = emulator.handle();
        let server = std::thread::spawn(move || emulator.run());
        let mut stream = TcpStream::connect(handle.local_addr().unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut frame = Vec::new();
        frame.extend(((4 + vector.request.len()) as u16).to_be_bytes());
        frame.extend(b"7TAG");
        frame.extend(&vector.request);
        stream.write_all(&frame).unwrap();
        let mut len = [0; 2];
        stream.read_exact(&mut len).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(len))];
        stream.read_exact(&mut answer).unwrap();
        drop(stream);
        handle.stop();
        server.join().unwrap().unwrap();
        let body = answer.strip_prefix(b"7TAG");
        if !body.is_some_and(|body| agrees(vector, body)) {
            failures.push(describe(vector, &answer));
        }
    }
    report(&failures, vectors.len());
}
