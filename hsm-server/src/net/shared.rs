//! What other threads may do to a running loop.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mio::Waker;

use super::config::ListenAddr;
use super::handler::ConnectionId;
use super::response::ResponseBuffer;
use super::worker::JobEnd;

/// A finished job on its way back to its connection.
#[derive(Debug)]
pub(super) struct Completion {
    pub(super) slot: usize,
    pub(super) id: ConnectionId,
    pub(super) output: ResponseBuffer,
    pub(super) end: JobEnd,
}

/// How far a stop has been asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Stop {
    No,
    Graceful,
    Immediate,
}

/// The loop's mailbox. The loop itself takes the lock only after it was woken.
pub(super) struct Shared {
    waker: Waker,
    stop: AtomicU8,
    reload: AtomicBool,
    connections: AtomicUsize,
    completions: Mutex<Vec<Completion>>,
}

impl Shared {
    pub(super) fn new(waker: Waker) -> Self {
        Self {
            waker,
            stop: AtomicU8::new(Stop::No as u8),
            reload: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            completions: Mutex::default(),
        }
    }

    pub(super) fn complete(&self, completion: Completion) {
        self.completions.lock().unwrap_or_else(PoisonError::into_inner).push(completion);
        self.wake();
    }

    /// Exchanges the finished jobs for an empty vector, so that its memory is used again.
    pub(super) fn swap_completions(&self, other: &mut Vec<Completion>) {
        std::mem::swap(&mut *self.completions.lock().unwrap_or_else(PoisonError::into_inner), other);
    }

    pub(super) fn stop(&self, how: Stop) {
        self.stop.fetch_max(how as u8, Ordering::AcqRel);
        self.wake();
    }

    pub(super) fn stop_requested(&self) -> Stop {
        match self.stop.load(Ordering::Acquire) {
            0 => Stop::No,
            1 => Stop::Graceful,
            _ => Stop::Immediate,
        }
    }

    pub(super) fn reload(&self) {
        self.reload.store(true, Ordering::Release);
        self.wake();
    }

    pub(super) fn take_reload(&self) -> bool {
        self.reload.swap(false, Ordering::AcqRel)
    }

    pub(super) fn set_connections(&self, n: usize) {
        self.connections.store(n, Ordering::Relaxed);
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            // The loop looks at its mailbox with every tick as well, so this costs time but loses nothing.
            log::warn!("cannot wake the event loop: {error}");
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("stop", &self.stop_requested()).finish_non_exhaustive()
    }
}

/// Controls a [`Server`](super::Server) from any thread, while it runs and after.
#[derive(Debug, Clone)]
pub struct ServerHandle {
    pub(super) shared: Arc<Shared>,
    pub(super) listeners: Arc<[ListenAddr]>,
}

impl ServerHandle {
    /// The listeners in the order of the configuration, with the ports that the system chose.
    #[must_use]
    pub fn listeners(&self) -> &[ListenAddr] {
        &self.listeners
    }

    /// The first listener's address.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.listeners.first().map(|listener| listener.addr)
    }

    /// Connections at the moment.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Stops gracefully: no more connections, what has been received is answered, then all is closed, within the drain
    /// time-out.
    pub fn stop(&self) {
        self.shared.stop(Stop::Graceful);
    }

    /// Stops at once.
    pub fn stop_now(&self) {
        self.shared.stop(Stop::Immediate);
    }

    /// Has the handler reload, between two requests.
    pub fn reload(&self) {
        self.shared.reload();
    }

    /// Has the loop go round once, for a handler that looks at something of its own in [`tick`](super::Handler::tick).
    pub fn wake(&self) {
        self.shared.wake();
    }
}
