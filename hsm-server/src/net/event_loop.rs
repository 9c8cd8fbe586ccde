//! The event loop: one thread, one poll, all connections.
//!
//! Every connection is registered once, for both directions and by edges, so the loop makes no system call but poll,
//! read and write. An event only notes what has become possible and queues the connection; the work is done afterwards in
//! turns of bounded length, so that no connection keeps the others waiting.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::buffer::Spares;
use super::config::{BindError, ListenAddr, NetConfig, Setup};
use super::connection::{Connection, Context, Next};
use super::handler::{CloseReason, ConnectionId, ConnectionInfo, Handler};
use super::shared::{Completion, ServerHandle, Shared, Stop};
use super::signal::{Request, SignalSource};
use super::worker::WorkerPool;

const WAKER: Token = Token(0);
const SIGNALS: Token = Token(1);
/// The listeners' tokens start here; behind the last of them, those of the connections.
const FIRST: usize = 2;

/// Events taken from the system at once.
const EVENTS: usize = 1024;

/// Connections accepted from one listener before the connections have their turn.
const ACCEPTS_PER_TURN: usize = 64;

/// How long a listener rests after the system refused a connection for want of something (file descriptors, memory).
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Log lines that anyone can provoke by connecting are written at most this often.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// A TCP server that is bound and ready to run.
///
/// It can be sent to the thread that runs it; the handler is made there and need not be [`Send`].
#[derive(Debug)]
pub struct Server {
    poll: Poll,
    config: NetConfig,
    listeners: Vec<Listener>,
    signals: Option<SignalSource>,
    pool: Option<WorkerPool>,
    handle: ServerHandle,
}

impl Server {
    /// Binds every address of the configuration. From here on clients can connect; they are answered once
    /// [`run`](Self::run) is called.
    ///
    /// # Errors
    ///
    /// See [`BindError`].
    pub fn bind(config: NetConfig) -> Result<Self, BindError> {
        config.validate()?;
        let setup = |what| move |source| BindError::Setup { what, source };
        let poll = Poll::new().map_err(setup(Setup::Poll))?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(setup(Setup::Waker))?;
        let signals = match config.signals {
            true => Some(SignalSource::register(poll.registry(), SIGNALS).map_err(setup(Setup::Signals))?),
            false => None,
        };
        let mut listeners = Vec::with_capacity(config.listeners.len());
        for (index, wanted) in config.listeners.iter().enumerate() {
            let token = Token(FIRST + index);
            let listener = Listener::bind(*wanted, token, &config, poll.registry())
                .map_err(|source| BindError::Address { addr: wanted.addr, source })?;
            listeners.push(listener);
        }
        let addrs = listeners.iter().map(|listener| listener.local).collect();
        let handle = ServerHandle { shared: Arc::new(Shared::new(waker)), listeners: addrs };
        Ok(Self { poll, config, listeners, signals, pool: None, handle })
    }

    /// Gives the server a pool for deferred requests. Without one, they are answered with error 41.
    #[must_use]
    pub fn with_workers(mut self, pool: &WorkerPool) -> Self {
        self.pool = Some(pool.clone());
        self
    }

    /// Returns a handle that controls the server from elsewhere.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Serves until it is stopped by the handle or a signal.
    ///
    /// # Errors
    ///
    /// If the system's poll fails, which leaves nothing to go on with.
    pub fn run<H: Handler + ?Sized>(self, handler: &mut H) -> io::Result<()> {
        EventLoop::new(self).run(handler)
    }
}

#[derive(Debug)]
struct Listener {
    socket: TcpListener,
    /// The address with the port that the system chose.
    local: ListenAddr,
    /// Whether there may be something to accept.
    ready: bool,
    resting_until: Option<Instant>,
}

impl Listener {
    fn bind(wanted: ListenAddr, token: Token, config: &NetConfig, registry: &Registry) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(wanted.addr), Type::STREAM, Some(Protocol::TCP))?;
        // On Windows the same option would let another process take the port over.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        if config.reuse_port {
            share_port(&socket)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&wanted.addr.into())?;
        socket.listen(config.backlog)?;
        let mut socket = TcpListener::from_std(socket.into());
        registry.register(&mut socket, token, Interest::READABLE)?;
        let local = ListenAddr { addr: socket.local_addr()?, tag: wanted.tag };
        Ok(Self { socket, local, ready: false, resting_until: None })
    }
}

#[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(all(unix, not(any(target_os = "solaris", target_os = "illumos")))))]
fn share_port(_: &Socket) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

struct EventLoop {
    poll: Poll,
    config: NetConfig,
    listeners: Vec<Listener>,
    signals: Option<SignalSource>,
    pool: Option<WorkerPool>,
    shared: Arc<Shared>,
    /// The first connection's token; its slot is 0.
    first: usize,
    slots: Vec<Option<Box<Connection>>>,
    free: Vec<usize>,
    /// Slots given up in this round. They are free only after it, so that its events cannot meet a stranger.
    released: Vec<usize>,
    connections: usize,
    next_id: u64,
    /// Connections that have something to do, and those of the round that is under way.
    ready: Vec<usize>,
    round: Vec<usize>,
    completions: Vec<Completion>,
    spares: Spares,
    next_tick: Instant,
    /// Set while a graceful stop is under way.
    drain_until: Option<Instant>,
    refused: LogLimit,
    accept_errors: LogLimit,
}

impl EventLoop {
    fn new(server: Server) -> Self {
        let Server { poll, config, listeners, signals, pool, handle } = server;
        let now = Instant::now();
        Self {
            first: FIRST + listeners.len(),
            next_tick: now + config.tick,
            poll,
            config,
            listeners,
            signals,
            pool,
            shared: handle.shared,
            slots: Vec::new(),
            free: Vec::new(),
            released: Vec::new(),
            connections: 0,
            next_id: 1,
            ready: Vec::new(),
            round: Vec::new(),
            completions: Vec::new(),
            spares: Spares::default(),
            drain_until: None,
            refused: LogLimit::default(),
            accept_errors: LogLimit::default(),
        }
    }

    fn run<H: Handler + ?Sized>(mut self, handler: &mut H) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        // Whatever came before the first poll (a stop, a finished job) has woken it already.
        let result = loop {
            let timeout = self.poll_timeout(Instant::now());
            if let Err(error) = self.poll.poll(&mut events, Some(timeout))
                && error.kind() != ErrorKind::Interrupted
            {
                break Err(error);
            }
            let now = Instant::now();
            let mut signalled = false;
            let mut woken = false;
            for event in &events {
                match event.token() {
                    WAKER => woken = true,
                    SIGNALS => signalled = true,
                    Token(token) if token < self.first => {
                        if let Some(listener) = self.listeners.get_mut(token - FIRST) {
                            listener.ready = true;
                        }
                    }
                    Token(token) => {
                        let slot = token - self.first;
                        if let Some(connection) = self.slots.get_mut(slot).and_then(Option::as_deref_mut) {
                            connection.note(event);
                            enqueue(&mut self.ready, connection, slot);
                        }
                    }
                }
            }
            let ticked = now >= self.next_tick;
            if signalled {
                self.take_signals();
            }
            if woken || signalled || ticked {
                self.take_completions(now);
                if self.shared.take_reload() {
                    self.reload(handler);
                }
                match self.shared.stop_requested() {
                    Stop::No => {}
                    Stop::Graceful if self.drain_until.is_some() => {}
                    Stop::Graceful => self.begin_drain(now),
                    Stop::Immediate => break Ok(()),
                }
            }
            self.accept(handler, now);
            self.run_ready(handler, now);
            if woken || ticked {
                handler.tick(now);
            }
            if ticked {
                self.next_tick = now + self.config.tick;
                self.expire(handler, now);
            }
            self.free.append(&mut self.released);
            if let Some(until) = self.drain_until
                && (self.connections == 0 || now >= until)
            {
                break Ok(());
            }
        };
        self.cut_off(handler);
        result
    }

    fn poll_timeout(&self, now: Instant) -> Duration {
        let accepting = self.listeners.iter().any(|listener| listener.ready && listener.resting_until.is_none());
        if accepting || !self.ready.is_empty() {
            return Duration::ZERO;
        }
        let deadline = self.drain_until.map_or(self.next_tick, |until| until.min(self.next_tick));
        deadline.saturating_duration_since(now)
    }

    fn take_signals(&mut self) {
        for request in self.signals.iter_mut().flat_map(SignalSource::pending) {
            match request {
                Request::Reload => self.shared.reload(),
                Request::Stop if self.shared.stop_requested() == Stop::No => {
                    log::info!("stopping on a signal; another one stops at once");
                    self.shared.stop(Stop::Graceful);
                }
                Request::Stop => {
                    log::info!("stopping at once on a second signal");
                    self.shared.stop(Stop::Immediate);
                }
            }
        }
    }

    fn take_completions(&mut self, now: Instant) {
        self.shared.swap_completions(&mut self.completions);
        for completion in self.completions.drain(..) {
            let slot = completion.slot;
            // The connection may be gone, and another one in its place.
            if let Some(connection) = self.slots.get_mut(slot).and_then(Option::as_deref_mut)
                && connection.info.id == completion.id
            {
                connection.complete(completion, now);
                enqueue(&mut self.ready, connection, slot);
            }
        }
    }

    fn reload<H: Handler + ?Sized>(&mut self, handler: &mut H) {
        log::info!("reloading");
        handler.reload();
        if let Some(pool) = &self.pool {
            pool.renew();
        }
    }

    /// Stops accepting, and has every connection finish what it has received.
    fn begin_drain(&mut self, now: Instant) {
        log::info!("stopping; {} connections to finish", self.connections);
        self.drain_until = Some(now + self.config.drain_timeout);
        for mut listener in self.listeners.drain(..) {
            deregister(self.poll.registry(), &mut listener.socket);
        }
        for (slot, connection) in self.slots.iter_mut().enumerate() {
            if let Some(connection) = connection {
                connection.drain();
                enqueue(&mut self.ready, connection, slot);
            }
        }
    }

    fn accept<H: Handler + ?Sized>(&mut self, handler: &mut H, now: Instant) {
        for index in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                let Some(listener) = self.listeners.get_mut(index) else { break };
                if !listener.ready || listener.resting_until.is_some_and(|until| now < until) {
                    break;
                }
                listener.resting_until = None;
                match listener.socket.accept() {
                    Ok((stream, peer)) => {
                        let local = listener.local;
                        self.admit(stream, peer, local, handler, now);
                    }
                    Err(error) => match error.kind() {
                        ErrorKind::WouldBlock => listener.ready = false,
                        // The client has gone before it was accepted; the next one may be well.
                        ErrorKind::Interrupted | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset => {}
                        // No new event will come for those that wait, so the listener stays ready.
                        _ => {
                            listener.resting_until = Some(now + ACCEPT_BACKOFF);
                            if let Some(more) = self.accept_errors.admit(now) {
                                log::error!("cannot accept on {}: {error}{more}", listener.local.addr);
                            }
                        }
                    },
                }
            }
        }
    }

    fn admit<H: Handler + ?Sized>(
        &mut self,
        mut stream: TcpStream,
        peer: SocketAddr,
        listener: ListenAddr,
        handler: &mut H,
        now: Instant,
    ) {
        if self.connections >= self.config.max_connections {
            handler.refused(peer);
            if let Some(more) = self.refused.admit(now) {
                let limit = self.config.max_connections;
                log::warn!("{peer} is turned away: {limit} connections are open, and no more are allowed{more}");
            }
            return;
        }
        let id = ConnectionId(self.next_id);
        self.next_id += 1;
        // A listener on a wildcard address: what counts is where the client went.
        let local = stream.local_addr().unwrap_or(listener.addr);
        let info = ConnectionInfo { id, peer, local, tag: listener.tag };
        if !handler.admit(&info) {
            log::debug!("{peer} is not admitted");
            return;
        }
        if let Err(error) = configure(&stream, &self.config) {
            log::debug!("cannot set the options of connection {id}: {error}");
        }
        let slot = self.free.pop().unwrap_or(self.slots.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut stream, Token(self.first + slot), interest) {
            log::error!("cannot watch the connection of {peer}: {error}");
            self.free.push(slot);
            return;
        }
        let connection = Some(Box::new(Connection::new(stream, info, &self.config, now)));
        match self.slots.get_mut(slot) {
            Some(place) => *place = connection,
            None => self.slots.push(connection),
        }
        self.connections += 1;
        self.shared.set_connections(self.connections);
        log::debug!("connection {id} from {peer} to {local}");
        handler.accepted(&info);
    }

    /// Gives every connection in the queue one turn.
    fn run_ready<H: Handler + ?Sized>(&mut self, handler: &mut H, now: Instant) {
        std::mem::swap(&mut self.ready, &mut self.round);
        let round = std::mem::take(&mut self.round);
        for &slot in &round {
            let Some(connection) = self.slots.get_mut(slot).and_then(Option::as_deref_mut) else { continue };
            connection.queued = false;
            let mut context = Context {
                handler: &mut *handler,
                config: &self.config,
                pool: self.pool.as_ref(),
                shared: &self.shared,
                spares: &mut self.spares,
                slot,
                now,
            };
            match connection.turn(&mut context) {
                Next::Wait => {}
                Next::Again => enqueue(&mut self.ready, connection, slot),
                Next::Close(reason) => self.close(slot, reason, handler),
            }
        }
        self.round = round;
        self.round.clear();
    }

    fn expire<H: Handler + ?Sized>(&mut self, handler: &mut H, now: Instant) {
        for slot in 0..self.slots.len() {
            let connection = self.slots.get(slot).and_then(Option::as_deref);
            if let Some(reason) = connection.and_then(|connection| connection.expired(&self.config, now)) {
                self.close(slot, reason, handler);
            }
        }
    }

    fn close<H: Handler + ?Sized>(&mut self, slot: usize, reason: CloseReason, handler: &mut H) {
        let Some(mut connection) = self.slots.get_mut(slot).and_then(Option::take) else { return };
        deregister(self.poll.registry(), &mut connection.stream);
        self.released.push(slot);
        self.connections -= 1;
        self.shared.set_connections(self.connections);
        log::debug!("connection {} ended: {reason}", connection.info.id);
        handler.closed(&connection.info, reason);
    }

    /// Closes what is left when the loop ends.
    fn cut_off<H: Handler + ?Sized>(&mut self, handler: &mut H) {
        if self.connections > 0 {
            log::warn!("{} connections are cut off by the stop", self.connections);
        }
        for slot in 0..self.slots.len() {
            self.close(slot, CloseReason::CutOff, handler);
        }
    }
}

fn enqueue(ready: &mut Vec<usize>, connection: &mut Connection, slot: usize) {
    if !connection.queued {
        connection.queued = true;
        ready.push(slot);
    }
}

fn configure(stream: &TcpStream, config: &NetConfig) -> io::Result<()> {
    // Responses are written whole, so there is nothing to gather and no reason to wait.
    stream.set_nodelay(true)?;
    if !config.keepalive.is_zero() {
        SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(config.keepalive))?;
    }
    Ok(())
}

fn deregister(registry: &Registry, source: &mut impl mio::event::Source) {
    if let Err(error) = registry.deregister(source) {
        log::debug!("cannot deregister a socket: {error}");
    }
}

/// Lets one log line through per [`LOG_INTERVAL`].
#[derive(Debug, Default)]
struct LogLimit {
    last: Option<Instant>,
    suppressed: u64,
}

impl LogLimit {
    /// Whether a line may be written now; if so, what to add to it about those that were not.
    fn admit(&mut self, now: Instant) -> Option<String> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < LOG_INTERVAL) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        match std::mem::take(&mut self.suppressed) {
            0 => Some(String::new()),
            n => Some(format!(" (and {n} more times)")),
        }
    }
}
