//! While an RSA key is generated, other connections are served, and the connection that waits gets its answers in order.
#![allow(clippy::unwrap_used, reason = "tests")]

use hsm_core::SecurityModule;
use hsm_server::net::{ListenAddr, NetConfig};
use hsm_server::{Emulator, EmulatorConfig};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

fn send(stream: &mut TcpStream, request: &[u8]) {
    let mut frame = ((4 + request.len()) as u16).to_be_bytes().to_vec();
    frame.extend(b"0000");
    frame.extend(request);
    stream.write_all(&frame).unwrap();
}

fn receive(stream: &mut TcpStream) -> Vec<u8> {
    let mut len = [0; 2];
    stream.read_exact(&mut len).unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut answer).unwrap();
    answer.split_off(4)
}

#[test]
fn key_generation_holds_nobody_up() {
    let net = NetConfig { listeners: vec![ListenAddr::new(([127, 0, 0, 1], 0).into())], ..NetConfig::default() };
    let config = EmulatorConfig { net, ..EmulatorConfig::default() };
    let emulator = Emulator::bind(config, SecurityModule::with_test_lmks()).unwrap();
    let handle = emulator.handle();
    let address = handle.local_addr().unwrap();
    let server = std::thread::spawn(move || emulator.run());
    let connect = || {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(300))).unwrap();
        stream
    };

    let (mut slow, mut fast) = (connect(), connect());
    // One call each first, so that nothing is left to compile.
    const CA: &[u8] = b"CA0406FBB23A5214DFBAB32D775A38E4AB12AE7A708F877571A90101550000025321";
    send(&mut fast, CA);
    assert_eq!(receive(&mut fast), b"CB0004E98FFDA17099AF5501");
    send(&mut slow, b"EI2032001");
    assert!(receive(&mut slow).starts_with(b"EJ00"));

    // A key of 4096 bits, which needs the AES LMK, takes seconds; a command behind it on the same connection waits.
    send(&mut slow, b"EI2409601%01#0000");
    send(&mut slow, b"B20004ping");
    for _ in 0..1000 {
        send(&mut fast, CA);
        assert_eq!(receive(&mut fast), b"CB0004E98FFDA17099AF5501");
    }
    slow.set_nonblocking(true).unwrap();
    let early = slow.read(&mut [0; 1]).map_err(|error| error.kind());
    assert_eq!(early, Err(ErrorKind::WouldBlock), "the key was there before a thousand calls were served");
    slow.set_nonblocking(false).unwrap();
    assert!(receive(&mut slow).starts_with(b"EJ00"));
    assert_eq!(receive(&mut slow), b"B300ping");

    drop((slow, fast));
    handle.stop();
    server.join().unwrap().unwrap();
}
