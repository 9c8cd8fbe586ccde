//! The event loop over real loopback sockets, with a small set of commands of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hsm_server::net::{
    BindError, CloseReason, ConnectionInfo, Disposition, Handler, Job, JobEnd, ListenAddr, NetConfig, RequestCtx,
    ResponseSink, Server, ServerHandle, Worker, WorkerPool,
};
use proptest::prelude::*;

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct Seen {
    handled: AtomicUsize,
    accepted: AtomicUsize,
    refused: AtomicUsize,
    faults: AtomicUsize,
    reloads: AtomicUsize,
    ticks: AtomicUsize,
    closed: Mutex<Vec<CloseReason>>,
}

/// `EC`: echo. `PR`: answers twice. `BG`: a 60,000-byte answer. `SL`: slow, on a worker. `P1`: answers once at once and
/// once from a worker. `PA`: panics on a worker. `KI`: closes the connection from a worker. `ID`: tag and port. `NO`:
/// no answer. `TL`: too long an answer. Others close the connection.
struct Commands(Arc<Seen>);

impl Handler for Commands {
    fn handle(&mut self, request: RequestCtx<'_>, message: &[u8], out: &mut ResponseSink<'_>) -> Disposition {
        self.0.handled.fetch_add(1, Ordering::Relaxed);
        let (code, body) = message.split_at(2);
        match code {
            b"EC" => {
                let mut message = out.message();
                message.put(b"ED00");
                message.put(body);
                message.finish();
            }
            b"PR" => {
                out.send(b"PS00");
                out.send(b"PZ00");
            }
            b"BG" => {
                let mut message = out.message();
                message.put(b"BH00");
                message.put(body);
                message.grow(60_000 - 4 - body.len()).expect("fits").fill(b'x');
                message.finish();
            }
            b"TL" => out.send(&[b'T'; 65_536]),
            b"ID" => out.send(format!("IE00{:03}{:05}", request.tag(), request.local_port()).as_bytes()),
            b"NO" => {}
            b"SL" | b"PA" | b"KI" => return Disposition::Defer,
            b"P1" => {
                out.send(b"P200");
                return Disposition::DeferWith(Box::new(*b"PZ00"));
            }
            _ => return Disposition::Close,
        }
        Disposition::Done
    }

    fn accepted(&mut self, _: &ConnectionInfo) {
        self.0.accepted.fetch_add(1, Ordering::Relaxed);
    }

    fn closed(&mut self, _: &ConnectionInfo, reason: CloseReason) {
        self.0.closed.lock().unwrap().push(reason);
    }

    fn refused(&mut self, _: SocketAddr) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }

    fn fault(&mut self, _: &ConnectionInfo, _: &hsm_server::net::FrameFault<'_>) {
        self.0.faults.fetch_add(1, Ordering::Relaxed);
    }

    fn reload(&mut self) {
        self.0.reloads.fetch_add(1, Ordering::Relaxed);
    }

    fn tick(&mut self, _: Instant) {
        self.0.ticks.fetch_add(1, Ordering::Relaxed);
    }
}

/// `SLnnn` takes nnn milliseconds.
fn work(job: &mut Job, out: &mut ResponseSink<'_>) -> JobEnd {
    let (code, body) = job.message().split_at(2);
    match code {
        b"SL" => {
            let ms = std::str::from_utf8(&body[..3]).unwrap().parse().unwrap();
            thread::sleep(Duration::from_millis(ms));
            out.send(&[b"SM00", body].concat());
        }
        b"P1" => {
            let answer = job.take_payload().unwrap().downcast::<[u8; 4]>().unwrap();
            out.send(&*answer);
        }
        b"KI" => {
            out.send(b"KJ00");
            return JobEnd::Close;
        }
        _ => panic!("asked to"),
    }
    JobEnd::Done
}

struct Running {
    handle: ServerHandle,
    seen: Arc<Seen>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Running {
    fn start(config: NetConfig) -> Self {
        let server = Server::bind(config).unwrap();
        let pool = WorkerPool::new(2, || Box::new(work) as Box<dyn Worker>).unwrap();
        Self::run(server.with_workers(&pool))
    }

    fn run(server: Server) -> Self {
        let (handle, seen) = (server.handle(), Arc::new(Seen::default()));
        let mut commands = Commands(Arc::clone(&seen));
        let thread = Some(thread::spawn(move || server.run(&mut commands)));
        Self { handle, seen, thread }
    }

    fn client(&self) -> Client {
        Client::connect(self.handle.local_addr().unwrap())
    }

    fn handled(&self) -> usize {
        self.seen.handled.load(Ordering::Relaxed)
    }

    /// Waits for the loop to end; it must have been stopped.
    fn join(&mut self) -> Duration {
        let since = Instant::now();
        let thread = self.thread.take().unwrap();
        eventually("the loop ends", || thread.is_finished());
        thread.join().unwrap().unwrap();
        since.elapsed()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.stop_now();
        if let Some(thread) = self.thread.take()
            && !thread::panicking()
        {
            thread.join().unwrap().unwrap();
        }
    }
}

struct Client(TcpStream);

impl Client {
    fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&addr, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    fn send(&mut self, message: &[u8]) {
        self.raw(&frame(message));
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    fn recv(&mut self) -> Vec<u8> {
        self.try_recv().unwrap()
    }

    fn try_recv(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 2];
        self.0.read_exact(&mut length)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        self.0.read_exact(&mut message)?;
        Ok(message)
    }

    #[track_caller]
    fn expect(&mut self, message: &[u8]) {
        let received = self.recv();
        assert_eq!(received.escape_ascii().to_string(), message.escape_ascii().to_string());
    }

    #[track_caller]
    fn ask(&mut self, request: &[u8], response: &[u8]) {
        self.send(request);
        self.expect(response);
    }

    /// Whether the server has closed the connection. Waits for it.
    #[track_caller]
    fn expect_close(&mut self) {
        match self.0.read(&mut [0; 1]) {
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("closed was expected, not {other:?}"),
        }
    }
}

fn local() -> NetConfig {
    NetConfig { listeners: vec![ListenAddr::new(([127, 0, 0, 1], 0).into())], ..NetConfig::default() }
}

fn frame(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

#[track_caller]
fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < until, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn byte_by_byte() {
    let server = Running::start(local());
    let mut client = server.client();
    for byte in frame(b"0001EChello") {
        client.raw(&[byte]);
        thread::sleep(Duration::from_millis(1));
    }
    client.expect(b"0001ED00hello");
}

#[test]
fn hundred_messages_in_one_segment_and_a_cut_one() {
    let server = Running::start(local());
    let mut client = server.client();
    let mut bytes = Vec::new();
    for n in 0..100 {
        bytes.extend(frame(format!("{n:04}EC{}", "x".repeat(n)).as_bytes()));
    }
    let last = frame(b"lastEC");
    bytes.extend(&last[..3]);
    client.raw(&bytes);
    for n in 0..100 {
        client.expect(format!("{n:04}ED00{}", "x".repeat(n)).as_bytes());
    }
    client.raw(&last[3..]);
    client.expect(b"lastED00");
    assert_eq!(server.handled(), 101);
}

#[test]
fn commands_that_answer_twice_or_not_at_all() {
    let server = Running::start(local());
    let mut client = server.client();
    client.send(b"0001PR");
    client.send(b"0002NO");
    client.send(b"0003P1");
    client.send(b"0004EC");
    client.expect(b"0001PS00");
    client.expect(b"0001PZ00");
    client.expect(b"0003P200");
    client.expect(b"0003PZ00");
    client.expect(b"0004ED00");
}

#[test]
fn too_long_an_answer_is_an_internal_error() {
    let server = Running::start(local());
    server.client().ask(b"0001TL", b"0001TT41");
}

#[test]
fn deferred_work_keeps_the_order_and_holds_up_no_neighbour() {
    let server = Running::start(local());
    let (mut one, mut two) = (server.client(), server.client());
    one.raw(
        &[frame(b"0001ECa"), frame(b"0002SL400"), frame(b"0003ECb"), frame(b"0004SL001"), frame(b"0005ECc")].concat(),
    );
    one.expect(b"0001ED00a");
    let since = Instant::now();
    for _ in 0..50 {
        two.ask(b"xxxxEC", b"xxxxED00");
    }
    assert!(since.elapsed() < Duration::from_millis(350), "the neighbour waited");
    assert_eq!(server.handled(), 52, "requests behind the deferred one wait");
    one.expect(b"0002SM00400");
    one.expect(b"0003ED00b");
    one.expect(b"0004SM00001");
    one.expect(b"0005ED00c");
}

#[test]
fn deferred_work_of_a_vanished_client_reaches_nobody_else() {
    let server = Running::start(local());
    let mut one = server.client();
    one.send(b"0001SL200");
    eventually("the job is out", || server.handled() == 1);
    // A reset, so that the connection ends before its job.
    one.raw(&frame(b"0002EC").repeat(10));
    socket2::SockRef::from(&one.0).set_linger(Some(Duration::ZERO)).unwrap();
    drop(one);
    let mut two = server.client();
    two.ask(b"0003SL250", b"0003SM00250");
    two.ask(b"0004EC", b"0004ED00");
}

#[test]
fn a_panicking_worker_costs_one_error_41() {
    let server = Running::start(local());
    let mut client = server.client();
    for _ in 0..4 {
        client.ask(b"0001PA", b"0001PB41");
        client.ask(b"0002SL000", b"0002SM00000");
    }
}

#[test]
fn without_workers_a_deferred_command_is_an_internal_error() {
    let server = Running::run(Server::bind(local()).unwrap());
    let mut client = server.client();
    client.ask(b"0001SL001", b"0001SM41");
    client.ask(b"0002EC", b"0002ED00");
}

#[test]
fn handler_and_worker_can_close_after_what_was_answered() {
    let server = Running::start(local());
    let mut client = server.client();
    client.raw(&[frame(b"0001EC"), frame(b"0002??"), frame(b"0003EC")].concat());
    client.expect(b"0001ED00");
    client.expect_close();
    drop(client);

    let mut client = server.client();
    client.raw(&[frame(b"0001KI"), frame(b"0003EC")].concat());
    client.expect(b"0001KJ00");
    client.expect_close();
    drop(client);
    eventually("both are gone", || server.handle.connections() == 0);
    assert_eq!(*server.seen.closed.lock().unwrap(), [CloseReason::Handler; 2]);
    assert_eq!(server.handled(), 3);
}

#[test]
fn half_closed_client_gets_all_its_answers() {
    let server = Running::start(local());
    let mut client = server.client();
    client.raw(&[frame(b"0001EC"), frame(b"0002SL050"), frame(b"0003EC"), vec![0, 9, b'0']].concat());
    client.0.shutdown(Shutdown::Write).unwrap();
    client.expect(b"0001ED00");
    client.expect(b"0002SM00050");
    client.expect(b"0003ED00");
    client.expect_close();
    eventually("it is gone", || server.handle.connections() == 0);
    assert_eq!(*server.seen.closed.lock().unwrap(), [CloseReason::Peer]);
}

#[test]
fn slow_reader_is_held_back_and_neighbours_go_on() {
    const REQUESTS: usize = 2000;
    let server = Running::start(local());
    let mut slow = server.client();
    let mut writer = slow.0.try_clone().unwrap();
    let flood = thread::spawn(move || {
        for n in 0..REQUESTS {
            writer.write_all(&frame(format!("{n:04}BG").as_bytes())).unwrap();
        }
    });
    // The number of handled requests comes to rest when all buffers are full.
    let mut last = (0, Instant::now());
    eventually("the slow reader is held back", || {
        let handled = server.handled();
        if handled != last.0 {
            last = (handled, Instant::now());
        }
        handled > 0 && last.1.elapsed() > Duration::from_millis(200)
    });
    assert!(last.0 < REQUESTS / 2, "{} of {REQUESTS} answers of 60 kB were taken into memory", last.0);

    let mut neighbour = server.client();
    for _ in 0..100 {
        neighbour.ask(b"0001EC", b"0001ED00");
    }
    for n in 0..REQUESTS {
        let response = slow.recv();
        assert_eq!(response.len(), 60_004);
        assert_eq!(&response[..8], format!("{n:04}BH00").as_bytes());
    }
    flood.join().unwrap();
}

#[test]
fn reader_that_takes_nothing_is_closed() {
    let server = Running::start(NetConfig { write_timeout: Duration::from_millis(200), ..local() });
    let mut slow = server.client();
    slow.0.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
    let bytes = frame(b"0001BG").repeat(500);
    let _ = slow.0.write_all(&bytes);
    eventually("it is closed", || server.seen.closed.lock().unwrap().as_slice() == [CloseReason::SlowReader]);
    server.client().ask(b"0001EC", b"0001ED00");
}

#[test]
fn oversized_messages_are_answered_and_skipped() {
    let server = Running::start(local());
    let mut client = server.client();
    let mut longest = b"0001EC".to_vec();
    longest.resize(32_768, b'a');
    client.send(&longest);
    let response = client.recv();
    assert_eq!(response.len(), 32_770);
    assert!(response.starts_with(b"0001ED00aaaa"));

    longest.resize(32_769, b'a');
    let mut huge = b"0003EC".to_vec();
    huge.resize(65_535, b'b');
    client.raw(&[frame(&longest), frame(b"0002ECx"), frame(&huge), frame(b"0004ECy")].concat());
    client.expect(b"0001ED80");
    client.expect(b"0002ED00x");
    client.expect(b"0003ED80");
    client.expect(b"0004ED00y");
    assert_eq!(server.seen.faults.load(Ordering::Relaxed), 2);
}

#[test]
fn short_messages_are_answered() {
    let server = Running::start(local());
    let mut client = server.client();
    client.ask(b"", b"0000ZZ15");
    client.ask(b"12", b"1200ZZ15");
    client.ask(b"1234A", b"1234ZZ15");
    client.ask(b"1234EC", b"1234ED00");
}

#[test]
fn header_length_is_configurable() {
    for header_len in [1u8, 12, 255] {
        let server = Running::start(NetConfig { header_len, ..local() });
        let header = vec![b'h'; usize::from(header_len)];
        server.client().ask(&[&header[..], b"EC1"].concat(), &[&header[..], b"ED001"].concat());
    }
}

#[test]
fn connections_above_the_limit_are_closed_at_once() {
    let server = Running::start(NetConfig { max_connections: 2, ..local() });
    let (mut one, mut two) = (server.client(), server.client());
    one.ask(b"0001EC", b"0001ED00");
    two.ask(b"0001EC", b"0001ED00");
    for _ in 0..10 {
        server.client().expect_close();
    }
    assert_eq!(server.seen.refused.load(Ordering::Relaxed), 10);
    one.ask(b"0002EC", b"0002ED00");
    drop(two);
    eventually("a place is free", || server.handle.connections() == 1);
    server.client().ask(b"0001EC", b"0001ED00");
}

#[test]
fn idle_and_half_framed_connections_are_closed() {
    let ms = Duration::from_millis;
    let server = Running::start(NetConfig { idle_timeout: ms(300), frame_timeout: ms(100), tick: ms(20), ..local() });
    let (mut idle, mut half, mut skipped) = (server.client(), server.client(), server.client());
    half.raw(&frame(b"0001EC")[..5]);
    skipped.raw(b"\xff\xff0002EC");
    skipped.expect(b"0002ED80");
    let since = Instant::now();
    half.expect_close();
    skipped.expect_close();
    assert!(since.elapsed() < ms(290), "{:?}", since.elapsed());
    idle.expect_close();
    assert!(since.elapsed() > ms(200));
    eventually("all are gone", || server.handle.connections() == 0);
    use CloseReason::{Idle, UnfinishedFrame};
    assert_eq!(*server.seen.closed.lock().unwrap(), [UnfinishedFrame, UnfinishedFrame, Idle]);

    // A slow command is not the client's idleness, nor is the frame behind it unfinished by the client's fault.
    let mut waiting = server.client();
    waiting.raw(&[frame(b"0001SL600"), frame(b"0002EC")[..3].to_vec()].concat());
    waiting.expect(b"0001SM00600");
    waiting.raw(&frame(b"0002EC")[3..]);
    waiting.expect(b"0002ED00");
}

#[test]
fn a_trickling_peer_cannot_stretch_a_frame() {
    let ms = Duration::from_millis;
    let server = Running::start(NetConfig { frame_timeout: ms(150), tick: ms(20), ..local() });
    let mut client = server.client();
    let since = Instant::now();
    for byte in frame(&[b'0'; 400]) {
        if client.0.write_all(&[byte]).is_err() || !server.seen.closed.lock().unwrap().is_empty() {
            break;
        }
        thread::sleep(ms(5));
    }
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    assert_eq!(*server.seen.closed.lock().unwrap(), [CloseReason::UnfinishedFrame]);
}

#[test]
fn listeners_have_tags() {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listeners = vec![ListenAddr { addr: any, tag: 0 }, ListenAddr { addr: any, tag: 20 }];
    let server = Running::start(NetConfig { listeners, ..NetConfig::default() });
    for listener in server.handle.listeners() {
        let answer = format!("0001IE00{:03}{:05}", listener.tag, listener.addr.port());
        Client::connect(listener.addr).ask(b"0001ID", answer.as_bytes());
    }
}

#[test]
fn bind_errors_name_the_address() {
    let server = Running::start(local());
    let addr = server.handle.local_addr().unwrap();
    let error = Server::bind(NetConfig { listeners: vec![ListenAddr::new(addr)], ..NetConfig::default() }).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {addr}"));
    for bad in [
        NetConfig::default(),
        NetConfig { header_len: 0, ..local() },
        NetConfig { header_len: 255, max_message: 256, ..local() },
        NetConfig { max_message: 65_536, ..local() },
        NetConfig { max_connections: 0, ..local() },
    ] {
        assert!(matches!(Server::bind(bad), Err(BindError::Config { .. })));
    }
}

#[test]
fn loops_can_share_a_port_and_a_pool() {
    let pool = WorkerPool::new(1, || Box::new(work) as Box<dyn Worker>).unwrap();
    let first = Server::bind(NetConfig { reuse_port: true, ..local() }).unwrap();
    let listeners = first.handle().listeners().to_vec();
    let second = Server::bind(NetConfig { reuse_port: true, listeners, ..NetConfig::default() }).unwrap();
    let servers = [Running::run(first.with_workers(&pool)), Running::run(second.with_workers(&pool))];
    drop(pool);
    for _ in 0..200 {
        let mut client = servers[0].client();
        client.ask(b"0001SL000", b"0001SM00000");
    }
    assert!(servers.iter().all(|server| server.handled() > 0), "one loop got all the connections");
}

#[test]
fn reload_and_ticks_reach_the_handler_and_the_workers() {
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let pool = WorkerPool::new(1, move || {
        count.fetch_add(1, Ordering::Relaxed);
        Box::new(work) as Box<dyn Worker>
    })
    .unwrap();
    let config = NetConfig { tick: Duration::from_millis(10), ..local() };
    let server = Running::run(Server::bind(config).unwrap().with_workers(&pool));
    let mut client = server.client();
    client.ask(b"0001SL000", b"0001SM00000");
    assert_eq!(made.load(Ordering::Relaxed), 1);
    server.handle.reload();
    eventually("it reloads", || server.seen.reloads.load(Ordering::Relaxed) == 1);
    eventually("it ticks", || server.seen.ticks.load(Ordering::Relaxed) > 3);
    // The pool is renewed right after the handler, in the same round; the next request comes later.
    client.ask(b"0002EC", b"0002ED00");
    client.ask(b"0003SL000", b"0003SM00000");
    assert_eq!(made.load(Ordering::Relaxed), 2);
}

#[test]
fn graceful_stop_completes_accepted_work() {
    let mut server = Running::start(local());
    let (mut busy, mut idle) = (server.client(), server.client());
    idle.ask(b"0001EC", b"0001ED00");
    busy.raw(
        &[frame(b"0001SL300"), frame(b"0002EC"), frame(b"0003SL100"), frame(b"0004EC"), vec![0, 6, b'0']].concat(),
    );
    eventually("the job is out", || server.handled() == 2);
    server.handle.stop();
    idle.expect_close();
    drop(idle);
    eventually("nothing is accepted", || TcpStream::connect(server.handle.local_addr().unwrap()).is_err());
    busy.expect(b"0001SM00300");
    busy.expect(b"0002ED00");
    busy.expect(b"0003SM00100");
    busy.expect(b"0004ED00");
    busy.expect_close();
    drop(busy);
    server.join();
    assert_eq!(*server.seen.closed.lock().unwrap(), [CloseReason::Stopped; 2]);
}

#[test]
fn graceful_stop_delivers_megabytes_that_wait() {
    let mut server = Running::start(local());
    let mut client = server.client();
    client.raw(&frame(b"0001BG").repeat(200));
    eventually("it is at work", || server.handled() > 10);
    server.handle.stop();
    thread::sleep(Duration::from_millis(50));
    for n in 0..200 {
        assert_eq!(client.try_recv().map(|response| response.len()).ok(), Some(60_004), "response {n}");
    }
    client.expect_close();
    drop(client);
    assert!(server.join() < Duration::from_secs(2));
}

#[test]
fn stop_is_bounded_by_the_drain_timeout_and_by_a_second_stop() {
    for second in [false, true] {
        let drain_timeout = if second { PATIENCE } else { Duration::from_millis(200) };
        let mut server = Running::start(NetConfig { drain_timeout, ..local() });
        let mut client = server.client();
        client.send(b"0001SL900");
        eventually("the job is out", || server.handled() == 1);
        server.handle.stop();
        if second {
            server.handle.stop_now();
        }
        assert!(server.join() < Duration::from_millis(600));
        client.expect_close();
        assert_eq!(*server.seen.closed.lock().unwrap(), [CloseReason::CutOff]);
    }
}

#[test]
fn stop_while_clients_flood() {
    let mut server = Running::start(NetConfig { linger_timeout: Duration::from_millis(300), ..local() });
    let addr = server.handle.local_addr().unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let floods: Vec<_> = (0..4)
        .map(|_| {
            let over = Arc::clone(&over);
            thread::spawn(move || {
                let mut reader = Client::connect(addr);
                let mut writer = reader.0.try_clone().unwrap();
                let reading = thread::spawn(move || {
                    let mut responses = 0;
                    while let Ok(response) = reader.try_recv() {
                        assert_eq!(response, b"0001ED00flood");
                        responses += 1;
                    }
                    responses
                });
                let bytes = frame(b"0001ECflood").repeat(100);
                while !over.load(Ordering::Relaxed) && writer.write_all(&bytes).is_ok() {}
                reading.join().unwrap()
            })
        })
        .collect();
    eventually("the flood is on", || server.handle.connections() == 4 && server.handled() > 10_000);
    server.handle.stop();
    let took = server.join();
    over.store(true, Ordering::Relaxed);
    assert!(took < Duration::from_secs(3), "{took:?}");
    let responses: usize = floods.into_iter().map(|flood| flood.join().unwrap()).sum();
    assert!(responses > 1000);
    assert_eq!(*server.seen.closed.lock().unwrap(), [CloseReason::Stopped; 4]);
}

#[test]
fn stop_before_run_and_after_it() {
    let server = Server::bind(local()).unwrap();
    server.handle().stop();
    let mut running = Running::run(server);
    running.join();
    running.handle.stop();
    running.handle.reload();
}

#[test]
fn many_connections_come_and_go() {
    let server = Running::start(NetConfig { max_connections: 300, ..local() });
    let mut clients: Vec<Client> = (0..200).map(|_| server.client()).collect();
    for round in 0..5 {
        for client in &mut clients {
            client.send(b"0001ECx");
        }
        for client in &mut clients {
            client.expect(b"0001ED00x");
        }
        for client in clients.iter_mut().skip(round).step_by(3) {
            *client = server.client();
        }
    }
    drop(clients);
    eventually("all are gone", || server.handle.connections() == 0);
    assert_eq!(server.seen.accepted.load(Ordering::Relaxed), server.seen.closed.lock().unwrap().len());
}

#[test]
fn any_bytes_harm_nobody() {
    let server = Running::start(local());
    let neighbour = std::cell::RefCell::new(server.client());
    let bytes = proptest::collection::vec(
        prop_oneof![2 => 0u8..8, 1 => any::<u8>(), 1 => Just(b'E'), 1 => Just(b'C')],
        0..3000,
    );
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&(bytes, 1usize..400), |(bytes, piece)| {
            let mut garbage = server.client();
            for piece in bytes.chunks(piece) {
                if garbage.0.write_all(piece).is_err() {
                    break;
                }
            }
            let _ = garbage.0.shutdown(Shutdown::Write);
            // Whatever comes back is framed, up to the end.
            while let Ok(response) = garbage.try_recv() {
                prop_assert!(response.len() >= 8);
            }
            neighbour.borrow_mut().ask(b"0001EC", b"0001ED00");
            Ok(())
        })
        .unwrap();
    eventually("all are gone but one", || server.handle.connections() == 1);
}
