//! What the event loop asks of the command engine.

use std::any::Any;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use super::frame::FrameFault;
use super::response::ResponseSink;

/// Names a connection for as long as the loop runs. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// The connection's name.
    pub id: ConnectionId,
    /// The client's address.
    pub peer: SocketAddr,
    /// The address of the listener that the client connected to.
    pub local: SocketAddr,
    /// The tag of that listener.
    pub tag: u8,
}

/// A request, apart from its message.
#[derive(Debug, Clone, Copy)]
pub struct RequestCtx<'a> {
    /// Where it came from.
    pub connection: &'a ConnectionInfo,
    /// Its header. The responses get it without the handler's help.
    pub header: &'a [u8],
}

impl RequestCtx<'_> {
    /// The port that the client connected to.
    #[must_use]
    pub fn local_port(&self) -> u16 {
        self.connection.local.port()
    }

    /// The tag of the listener that the client connected to.
    #[must_use]
    pub fn tag(&self) -> u8 {
        self.connection.tag
    }
}

/// What becomes of a request after [`Handler::handle`].
pub enum Disposition {
    /// It is dealt with: what is in the sink is sent. If nothing is in it, the client gets no answer.
    Done,
    /// The worker pool does it. Later requests of the connection wait. What is in the sink already is sent first.
    Defer,
    /// As [`Defer`](Self::Defer), with something for the worker; see [`Job::take_payload`](super::Job::take_payload).
    DeferWith(Box<dyn Any + Send>),
    /// The connection is closed after what is in the sink is sent.
    Close,
}

impl fmt::Debug for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "Done",
            Self::Defer => "Defer",
            Self::DeferWith(_) => "DeferWith(..)",
            Self::Close => "Close",
        })
    }
}

/// The command engine, as the event loop sees it. Runs in the loop's thread and must not block it.
///
/// A panic in here ends the loop and with it every connection, since the engine's state is not to be trusted after it; a
/// panic in a [`Worker`](super::Worker) costs one error 41.
pub trait Handler {
    /// Answers one request. `message` is what follows the header: at least the two characters of the command code.
    fn handle(&mut self, request: RequestCtx<'_>, message: &[u8], out: &mut ResponseSink<'_>) -> Disposition;

    /// Whether the connection may stay: the place for a source filter, or for a device that is offline.
    fn admit(&mut self, connection: &ConnectionInfo) -> bool {
        let _ = connection;
        true
    }

    /// A connection begins.
    fn accepted(&mut self, connection: &ConnectionInfo) {
        let _ = connection;
    }

    /// A connection has ended.
    fn closed(&mut self, connection: &ConnectionInfo, reason: CloseReason) {
        let _ = (connection, reason);
    }

    /// A client was turned away because of the connection limit.
    fn refused(&mut self, peer: SocketAddr) {
        let _ = peer;
    }

    /// A message was answered by the loop, since it held no command.
    fn fault(&mut self, connection: &ConnectionInfo, fault: &FrameFault<'_>) {
        let _ = (connection, fault);
    }

    /// Asked to reload (SIGHUP or [`ServerHandle::reload`](super::ServerHandle::reload)). Comes between two requests;
    /// the workers are made anew afterwards.
    fn reload(&mut self) {}

    /// Called about every [`NetConfig::tick`](super::NetConfig::tick) and after
    /// [`ServerHandle::wake`](super::ServerHandle::wake), for work by the clock and news from other threads.
    fn tick(&mut self, now: Instant) {
        let _ = now;
    }
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer closed it.
    Peer,
    /// The connection failed.
    Failed(io::ErrorKind),
    /// The peer sent nothing for too long.
    Idle,
    /// The peer left a message unfinished for too long.
    UnfinishedFrame,
    /// The peer did not take its responses for too long.
    SlowReader,
    /// The handler or a worker asked for it.
    Handler,
    /// The server stopped, after the connection's work was done.
    Stopped,
    /// The server stopped, and some of the connection's work may be lost.
    CutOff,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer => f.write_str("closed by the peer"),
            Self::Failed(kind) => write!(f, "connection failed: {kind}"),
            Self::Idle => f.write_str("idle for too long"),
            Self::UnfinishedFrame => f.write_str("message unfinished for too long"),
            Self::SlowReader => f.write_str("responses not taken for too long"),
            Self::Handler => f.write_str("closed by the command"),
            Self::Stopped => f.write_str("server stopped"),
            Self::CutOff => f.write_str("server stopped before the work was done"),
        }
    }
}
