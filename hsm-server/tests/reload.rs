//! A hundred reloads under load, some to a broken set: no request is lost, none is answered wrongly, and the old plugins stay where
//! the new ones are bad.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use hsm_core::SecurityModule;
use hsm_server::net::{ListenAddr, NetConfig};
use hsm_server::{Emulator, EmulatorConfig};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A plugin for `X1` that answers 00 and one letter.
fn plugin(letter: char) -> Vec<u8> {
    let text = format!(
        r#"(module
            (memory (export "memory") 1)
            (data (i32.const 4096) "00{letter}")
            (func (export "hsm_init") (result i32) i32.const 1024)
            (func (export "hsm_alloc") (param i32) (result i32) i32.const 16384)
            (func (export "hsm_call") (param i32 i32 i32) (result i64) i64.const 0x0000100000000003)
            (@custom "hsm.plugin" "abi=1\ncode=X1\ntitle=Reloaded\n"))"#
    );
    wat::parse_str(text).unwrap()
}

fn replace(directory: &Path, wasm: &[u8]) {
    std::fs::write(directory.join("new"), wasm).unwrap();
    std::fs::rename(directory.join("new"), directory.join("x1.wasm")).unwrap();
}

/// Sends pipelined requests until told to stop; every answer must come, in order and right. Returns their number and the letters seen.
fn client(address: SocketAddr, stop: &AtomicBool) -> (usize, String) {
    const CA: &[u8] = b"CA0406FBB23A5214DFBAB32D775A38E4AB12AE7A708F877571A90101550000025321";
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let (mut answers, mut letters) = (0, String::new());
    for round in 0..1_000_000usize {
        if stop.load(Ordering::Acquire) {
            break;
        }
        let mut batch = Vec::new();
        for (n, request) in [CA, b"X1", b"B20004ping", b"X1"].into_iter().enumerate() {
            batch.extend(((4 + request.len()) as u16).to_be_bytes());
            batch.extend(format!("{:04}", (4 * round + n) % 10_000).bytes());
            batch.extend(request);
        }
        stream.write_all(&batch).unwrap();
        for n in 0..4 {
            let mut len = [0; 2];
            stream.read_exact(&mut len).unwrap();
            let mut answer = vec![0; usize::from(u16::from_be_bytes(len))];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(answer[..4], *format!("{:04}", (4 * round + n) % 10_000).as_bytes());
            match n {
                0 => assert_eq!(answer[4..], *b"CB0004E98FFDA17099AF5501"),
                2 => assert_eq!(answer[4..], *b"B300ping"),
                _ => {
                    assert_eq!(answer[4..8], *b"X200", "{}", answer.escape_ascii());
                    let letter = char::from(answer[8]);
                    if !letters.ends_with(letter) {
                        letters.push(letter);
                    }
                }
            }
            answers += 1;
        }
    }
    (answers, letters)
}

/// Asks until a letter is answered: the new plugin serves.
fn wait_for(address: SocketAddr, letter: char) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    for _ in 0..3000 {
        stream.write_all(b"\x00\x060000X1").unwrap();
        let mut answer = [0; 11];
        stream.read_exact(&mut answer).unwrap();
        if answer[6..] == *format!("X200{letter}").as_bytes() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the plugin that answers {letter} never served");
}

#[test]
fn a_hundred_reloads_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    replace(directory.path(), &plugin('A'));
    let net = NetConfig { listeners: vec![ListenAddr::new(([127, 0, 0, 1], 0).into())], ..NetConfig::default() };
    let plugin_dir = Some(directory.path().to_owned());
    let config = EmulatorConfig { net, plugin_dir, ..EmulatorConfig::default() };
    let emulator = Emulator::bind(config, SecurityModule::with_test_lmks()).unwrap();
    let handle = emulator.handle();
    let address = handle.local_addr().unwrap();
    let server = std::thread::spawn(move || emulator.run());

    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let stop = stop.clone();
            std::thread::spawn(move || client(address, &stop))
        })
        .collect();
    for n in 0..100 {
        match n % 10 {
            // A broken set: the letter of the round before stays.
            9 => replace(directory.path(), b"not a module"),
            even if even % 2 == 0 => replace(directory.path(), &plugin('A')),
            _ => replace(directory.path(), &plugin('B')),
        }
        handle.reload();
        if n % 10 == 9 {
            // Nothing shows that a reload was refused, but that the old plugin still answers.
            std::thread::sleep(Duration::from_millis(100));
        } else {
            wait_for(address, if n % 10 % 2 == 0 { 'A' } else { 'B' });
        }
    }
    stop.store(true, Ordering::Release);
    let results: Vec<(usize, String)> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    handle.stop();
    server.join().unwrap().unwrap();
    for (answers, letters) in results {
        assert!(answers > 100, "{answers} answers");
        assert!(letters.contains("AB") && letters.contains("BA"), "the reloads were seen: {letters}");
        assert!(letters.chars().all(|letter| matches!(letter, 'A' | 'B')));
    }
}
