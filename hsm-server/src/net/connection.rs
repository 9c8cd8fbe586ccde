//! One connection: what it has read, what it still owes its peer, and when it ends.

use std::io::{self, ErrorKind, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;

use super::buffer::{InputBuffer, Spares};
use super::config::NetConfig;
use super::frame::{CODE, FrameDecoder, Message};
use super::handler::{CloseReason, ConnectionInfo, Disposition, Handler, RequestCtx};
use super::response::ResponseBuffer;
use super::shared::{Completion, Shared};
use super::worker::{Job, JobEnd, WorkerPool};

/// Requests of one connection that are handled before the others have their turn.
const MESSAGES_PER_TURN: usize = 256;

/// Bytes of one connection that are read before the others have their turn.
const BYTES_PER_TURN: usize = 256 * 1024;

/// Whether a read that leaves room has emptied the socket, so that the read that would say `WouldBlock` can be saved.
/// True where readiness is an edge of the socket's own (see epoll(7), questions and answers, number 9); elsewhere mio
/// needs the `WouldBlock` to arm the next event.
const SHORT_READ_DRAINS: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd"
));

/// What a turn works with, apart from the connection itself.
pub(super) struct Context<'a, H: ?Sized> {
    pub(super) handler: &'a mut H,
    pub(super) config: &'a NetConfig,
    pub(super) pool: Option<&'a WorkerPool>,
    pub(super) shared: &'a Arc<Shared>,
    pub(super) spares: &'a mut Spares,
    pub(super) slot: usize,
    pub(super) now: Instant,
}

/// What the loop does with a connection after its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing, until something happens to it.
    Wait,
    /// Another turn, after the others have had theirs.
    Again,
    /// Close it.
    Close(CloseReason),
}

/// Why no more requests are handled in this turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Halt {
    /// There is no whole request.
    Starved,
    /// A job is out.
    Deferred,
    /// The peer has to take some of its responses first.
    Full,
    /// The others are next.
    Budget,
    /// No more requests are taken.
    Ended,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) info: ConnectionInfo,
    /// Whether the loop has this connection in its queue.
    pub(super) queued: bool,
    decoder: FrameDecoder,
    input: InputBuffer,
    output: ResponseBuffer,
    /// Whether a read or a write can do something, as far as is known (events are edges).
    readable: bool,
    writable: bool,
    /// The peer has closed its side, or is about to: a short read proves nothing then.
    closing: bool,
    eof: bool,
    /// A job of this connection is out; later requests wait for it.
    deferred: bool,
    /// Set once no more requests are taken. The rest is to flush and close.
    end: Option<CloseReason>,
    /// Bytes that may still be read while the server stops.
    last_bytes: Option<usize>,
    /// Our side is closed; until then we wait for the peer to close its own.
    linger_until: Option<Instant>,
    last_activity: Instant,
    frame_since: Option<Instant>,
    stalled_since: Option<Instant>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, info: ConnectionInfo, config: &NetConfig, now: Instant) -> Self {
        Self {
            stream,
            info,
            queued: false,
            decoder: FrameDecoder::new(config.header_len, config.max_message),
            input: InputBuffer::default(),
            output: ResponseBuffer::new(),
            readable: false,
            writable: true,
            closing: false,
            eof: false,
            deferred: false,
            end: None,
            last_bytes: None,
            linger_until: None,
            last_activity: now,
            frame_since: None,
            stalled_since: None,
        }
    }

    /// Notes what an event says. The work is done in the connection's turn.
    pub(super) fn note(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        self.closing |= event.is_read_closed() || event.is_error();
    }

    /// Takes the responses of the job that is out.
    pub(super) fn complete(&mut self, mut completion: Completion, now: Instant) {
        debug_assert!(self.deferred, "one job at a time");
        self.deferred = false;
        self.last_activity = now;
        self.output.append(&mut completion.output);
        if completion.end == JobEnd::Close {
            self.refuse_more(CloseReason::Handler);
        }
    }

    /// Has the connection do what it has received, and no more.
    pub(super) fn drain(&mut self) {
        self.last_bytes = Some(BYTES_PER_TURN);
        self.readable = true;
    }

    /// Does what can be done now, within bounds: handles, reads, writes.
    pub(super) fn turn<H: Handler + ?Sized>(&mut self, cx: &mut Context<'_, H>) -> Next {
        cx.spares.lend(&mut self.input, &mut self.output);
        let next = match self.linger_until {
            Some(_) => self.linger(),
            None => self.advance(cx),
        };
        cx.spares.reclaim(&mut self.input, &mut self.output);
        next
    }

    /// The time-out that has run out, if any.
    pub(super) fn expired(&self, config: &NetConfig, now: Instant) -> Option<CloseReason> {
        let over = |since: Instant, limit: Duration| !limit.is_zero() && now.saturating_duration_since(since) >= limit;
        if let Some(until) = self.linger_until {
            return (now >= until).then_some(self.end.unwrap_or(CloseReason::Peer));
        }
        if self.stalled_since.is_some_and(|since| over(since, config.write_timeout)) {
            return Some(CloseReason::SlowReader);
        }
        if self.frame_since.is_some_and(|since| over(since, config.frame_timeout)) {
            return Some(CloseReason::UnfinishedFrame);
        }
        let owed = self.deferred || !self.output.is_empty();
        (!owed && over(self.last_activity, config.idle_timeout)).then_some(CloseReason::Idle)
    }

    fn advance<H: Handler + ?Sized>(&mut self, cx: &mut Context<'_, H>) -> Next {
        let mut messages = MESSAGES_PER_TURN;
        let mut bytes = BYTES_PER_TURN;
        let halt = loop {
            match self.process(cx, &mut messages) {
                Halt::Starved if self.readable && !self.eof => {
                    if bytes == 0 {
                        break Halt::Budget;
                    }
                    if let Err(error) = self.fill(&mut bytes, cx.now) {
                        return Next::Close(CloseReason::Failed(error.kind()));
                    }
                }
                Halt::Full => {
                    if let Err(error) = self.flush(cx.now) {
                        return Next::Close(CloseReason::Failed(error.kind()));
                    }
                    if self.is_full(cx.config) {
                        break Halt::Full;
                    }
                }
                halt => break halt,
            }
        };
        if let Err(error) = self.flush(cx.now) {
            return Next::Close(CloseReason::Failed(error.kind()));
        }
        self.note_unfinished_frame(halt, messages < MESSAGES_PER_TURN, cx.now);
        if halt == Halt::Starved && self.eof {
            self.refuse_more(CloseReason::Peer);
        } else if halt == Halt::Starved && self.last_bytes.is_some() {
            self.refuse_more(CloseReason::Stopped);
        }
        match (self.end, halt) {
            (Some(reason), _) if self.output.is_empty() && !self.deferred => self.close_gently(reason, cx),
            (None, Halt::Budget) => Next::Again,
            // The last write may have made room, and then no event will tell.
            (None, Halt::Full) if !self.is_full(cx.config) => Next::Again,
            _ => Next::Wait,
        }
    }

    /// Handles the requests in the input.
    fn process<H: Handler + ?Sized>(&mut self, cx: &mut Context<'_, H>, budget: &mut usize) -> Halt {
        loop {
            if self.deferred {
                return Halt::Deferred;
            }
            if self.end.is_some() {
                return Halt::Ended;
            }
            if self.is_full(cx.config) {
                return Halt::Full;
            }
            if *budget == 0 {
                return Halt::Budget;
            }
            let decoded = self.decoder.decode(self.input.bytes());
            let end = match decoded.frame {
                Some(Ok(message)) => {
                    let request = RequestCtx { connection: &self.info, header: message.header };
                    let mut sink = self.output.sink(message.header);
                    match cx.handler.handle(request, message.body, &mut sink) {
                        Disposition::Done => false,
                        Disposition::Close => true,
                        Disposition::Defer => {
                            self.deferred = defer(cx, request, message, None, &mut self.output);
                            false
                        }
                        Disposition::DeferWith(payload) => {
                            self.deferred = defer(cx, request, message, Some(payload), &mut self.output);
                            false
                        }
                    }
                }
                Some(Err(fault)) => {
                    log::debug!("connection {}: {fault}", self.info.id);
                    cx.handler.fault(&self.info, &fault);
                    fault.answer(usize::from(cx.config.header_len), &mut self.output);
                    false
                }
                None => {
                    self.input.consume(decoded.consumed);
                    return Halt::Starved;
                }
            };
            *budget -= 1;
            self.input.consume(decoded.consumed);
            if end {
                self.refuse_more(CloseReason::Handler);
            }
        }
    }

    /// Reads once.
    fn fill(&mut self, budget: &mut usize, now: Instant) -> io::Result<()> {
        if self.last_bytes == Some(0) {
            self.readable = false;
            return Ok(());
        }
        match self.input.read_from(&mut self.stream) {
            Ok((0, _)) => {
                self.eof = true;
                self.readable = false;
            }
            Ok((n, filled)) => {
                self.last_activity = now;
                *budget = budget.saturating_sub(n);
                self.last_bytes = self.last_bytes.map(|left| left.saturating_sub(n));
                if SHORT_READ_DRAINS && !filled && !self.closing {
                    self.readable = false;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Writes until all is written or the socket takes no more.
    fn flush(&mut self, now: Instant) -> io::Result<()> {
        let mut progress = false;
        while self.writable && !self.output.is_empty() {
            match self.stream.write(self.output.pending()) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => {
                    progress = true;
                    self.output.advance(n);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if progress {
            self.last_activity = now;
        }
        if self.output.is_empty() {
            self.stalled_since = None;
        } else if progress || self.stalled_since.is_none() {
            self.stalled_since = Some(now);
        }
        Ok(())
    }

    fn is_full(&self, config: &NetConfig) -> bool {
        self.output.pending().len() >= config.max_pending
    }

    /// Starts, restarts or stops the clock of the half-received frame. It runs only while the peer is at its turn.
    fn note_unfinished_frame(&mut self, halt: Halt, handled: bool, now: Instant) {
        let unfinished = halt == Halt::Starved && (!self.input.is_empty() || self.decoder.is_skipping());
        self.frame_since = match self.frame_since {
            _ if !unfinished => None,
            Some(since) if !handled => Some(since),
            _ => Some(now),
        };
    }

    fn refuse_more(&mut self, reason: CloseReason) {
        self.end.get_or_insert(reason);
        self.input.discard();
        self.frame_since = None;
    }

    /// Closes so that the last responses arrive: a close with unread input resets the connection, and the peer may lose
    /// what it has not read yet. So our side is closed first, and the peer gets a moment to close its own.
    fn close_gently<H: ?Sized>(&mut self, reason: CloseReason, cx: &Context<'_, H>) -> Next {
        let quiet = cx.now.saturating_duration_since(self.last_activity) >= cx.config.linger_timeout;
        if self.eof || quiet || self.stream.shutdown(Shutdown::Write).is_err() {
            return Next::Close(reason);
        }
        self.linger_until = Some(cx.now + cx.config.linger_timeout);
        self.readable = true;
        self.linger()
    }

    /// Reads and forgets until the peer has closed.
    fn linger(&mut self) -> Next {
        let reason = self.end.unwrap_or(CloseReason::Peer);
        let mut budget = BYTES_PER_TURN;
        while self.readable {
            if budget == 0 {
                return Next::Again;
            }
            match self.input.read_from(&mut self.stream) {
                Ok((0, _)) => return Next::Close(reason),
                Ok((n, _)) => budget = budget.saturating_sub(n),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Next::Close(reason),
            }
            self.input.discard();
        }
        Next::Wait
    }
}

/// Hands a request to the pool. Returns whether it is out.
fn defer<H: ?Sized>(
    cx: &Context<'_, H>,
    request: RequestCtx<'_>,
    message: Message<'_>,
    payload: Option<Box<dyn std::any::Any + Send>>,
    output: &mut ResponseBuffer,
) -> bool {
    let Some(pool) = cx.pool else {
        log::error!("a command was deferred, but there are no workers; it is answered with error 41");
        let code: [u8; CODE] = message.body.first_chunk().copied().unwrap_or(*b"ZY");
        output.sink(message.header).internal_error(code);
        return false;
    };
    pool.submit(Job::new(request, message.body, payload, cx.slot, Arc::clone(cx.shared)));
    true
}
