//! Signals. In a test binary of its own, since they reach the whole process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![cfg(unix)]

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hsm_server::net::{Disposition, Handler, ListenAddr, NetConfig, RequestCtx, ResponseSink, Server};
use signal_hook::consts::{SIGHUP, SIGTERM};
use signal_hook::low_level::raise;

const PATIENCE: Duration = Duration::from_secs(10);

struct Reloads(Arc<AtomicUsize>);

impl Handler for Reloads {
    fn handle(&mut self, _: RequestCtx<'_>, _: &[u8], _: &mut ResponseSink<'_>) -> Disposition {
        Disposition::Done
    }

    fn reload(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn hangup_reloads_and_terminate_stops() {
    let config = NetConfig {
        listeners: vec![ListenAddr::new(([127, 0, 0, 1], 0).into())],
        signals: true,
        drain_timeout: PATIENCE,
        linger_timeout: PATIENCE,
        ..NetConfig::default()
    };
    let server = Server::bind(config).unwrap();
    let handle = server.handle();
    let addr = handle.local_addr().unwrap();
    let reloads = Arc::new(AtomicUsize::new(0));
    let mut handler = Reloads(Arc::clone(&reloads));
    let thread = thread::spawn(move || server.run(&mut handler));

    raise(SIGHUP).unwrap();
    eventually("it reloads", || reloads.load(Ordering::Relaxed) == 1);

    // A client that does not go keeps a graceful stop waiting.
    let _client = TcpStream::connect(addr).unwrap();
    eventually("it is connected", || handle.connections() == 1);
    raise(SIGTERM).unwrap();
    eventually("it listens no more", || TcpListener::bind(addr).is_ok());
    assert!(!thread.is_finished());
    raise(SIGTERM).unwrap();
    eventually("it stops at once", || thread.is_finished());
    thread.join().unwrap().unwrap();
}

#[track_caller]
fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < until, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}
