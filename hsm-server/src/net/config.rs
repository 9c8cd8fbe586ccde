//! Settings of the event loop and what can be wrong with them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

use super::frame::{CODE, LONGEST, MAX_MESSAGE};

/// The header length that devices leave the factory with.
const DEFAULT_HEADER: u8 = 4;

/// The number of TCP connections that a payShield 9000 allows at most.
const DEFAULT_CONNECTIONS: usize = 64;

/// An address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAddr {
    /// Address and port; port 0 lets the system choose.
    pub addr: SocketAddr,
    /// Handed to the handler with every request of this listener's connections. Meant for the port's offset from the
    /// well-known port, which selects the LMK.
    pub tag: u8,
}

impl ListenAddr {
    /// Returns the address with tag 0.
    #[must_use]
    pub const fn new(addr: SocketAddr) -> Self {
        Self { addr, tag: 0 }
    }
}

/// Settings of a [`Server`](super::Server).
///
/// Every time-out is switched off by [`Duration::ZERO`], except the two that bound a stop (there, zero means at once).
#[derive(Debug, Clone)]
pub struct NetConfig {
    /// Where to listen. Default: nowhere, and that is an error.
    pub listeners: Vec<ListenAddr>,
    /// Length of the message header, 1 to 255. Default: 4.
    pub header_len: u8,
    /// Longest message in bytes, header included, up to 65535. Longer ones are skipped and answered with error 80.
    /// Default: 32768.
    pub max_message: usize,
    /// Connections at the same time, over all listeners of this loop. A connect above it is closed at once. Default: 64.
    pub max_connections: usize,
    /// After how long without any byte a connection is closed. Default: never.
    pub idle_timeout: Duration,
    /// How long a message may take from its first byte to its last. Default: 30 s.
    pub frame_timeout: Duration,
    /// How long a peer may take none of the bytes that wait for it. Default: 30 s.
    pub write_timeout: Duration,
    /// How long a graceful stop may take. Default: 5 s.
    pub drain_timeout: Duration,
    /// How long to wait for the peer's close after ours, so that the last responses are not lost to a reset. Default:
    /// 1 s.
    pub linger_timeout: Duration,
    /// Idle time before TCP probes the peer, so that vanished hosts give up their place. Default: 2 min.
    pub keepalive: Duration,
    /// How often [`Handler::tick`](super::Handler::tick) is called and time-outs are looked at. Default: 100 ms.
    pub tick: Duration,
    /// Bytes of responses that may wait on one connection before it is no longer read from. Default: 256 KiB.
    pub max_pending: usize,
    /// Connections that may wait to be accepted, per listener. Default: 1024.
    pub backlog: i32,
    /// Share the ports with other loops (`SO_REUSEPORT`): the system spreads the connections. Default: off.
    pub reuse_port: bool,
    /// React to SIGINT and SIGTERM (stop; the second one at once) and SIGHUP (reload). Default: off, since signals
    /// belong to the process and not to a library.
    pub signals: bool,
}

impl Default for NetConfig {
    fn default() -> Self {
        Self {
            listeners: Vec::new(),
            header_len: DEFAULT_HEADER,
            max_message: MAX_MESSAGE,
            max_connections: DEFAULT_CONNECTIONS,
            idle_timeout: Duration::ZERO,
            frame_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(5),
            linger_timeout: Duration::from_secs(1),
            keepalive: Duration::from_secs(120),
            tick: Duration::from_millis(100),
            max_pending: 256 * 1024,
            backlog: 1024,
            reuse_port: false,
            signals: false,
        }
    }
}

impl NetConfig {
    /// Checks the ranges.
    pub(super) fn validate(&self) -> Result<(), BindError> {
        let minimum = usize::from(self.header_len) + CODE;
        let reason = if self.listeners.is_empty() {
            "no address to listen on"
        } else if self.header_len == 0 {
            "the header length must be 1 to 255"
        } else if !(minimum..=LONGEST).contains(&self.max_message) {
            "the longest message must hold header and code and be at most 65535 bytes"
        } else if self.max_connections == 0 {
            "the number of connections must be at least 1"
        } else if self.max_pending == 0 {
            "the bytes that may wait must be at least 1"
        } else if self.tick < Duration::from_millis(1) {
            "the tick must be at least 1 ms"
        } else {
            return Ok(());
        };
        Err(BindError::Config { reason })
    }
}

/// Why a server could not be set up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// A setting is out of range.
    #[error("invalid network configuration: {reason}")]
    Config {
        /// Which one.
        reason: &'static str,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {addr}")]
    Address {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused something else that the loop needs.
    #[error("cannot set up the event loop ({what})")]
    Setup {
        /// What it was.
        what: Setup,
        /// What the system said.
        source: io::Error,
    },
}

/// A part of the event loop that the system provides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Setup {
    /// The poll instance.
    Poll,
    /// The waker.
    Waker,
    /// The signal handlers.
    Signals,
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Poll => "poll",
            Self::Waker => "waker",
            Self::Signals => "signals",
        })
    }
}
