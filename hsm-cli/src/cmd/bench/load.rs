//! Connections that keep an HSM busy: one poll per thread, one write for all that a connection has to say.

use super::histogram::Histogram;
use super::messages::{Expected, Message};
use crate::wire;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

/// Digits of the header that number the requests.
const MAX_NUMBER: usize = 8;

/// Bytes that a read can take at first; grows to what the longest answer needs.
const BUFFER: usize = 16 * 1024;

/// Longest sleep, so that clocks are looked at.
const TICK: Duration = Duration::from_millis(50);

/// What is sent and in which order.
#[derive(Debug)]
pub(super) struct Plan {
    /// The messages.
    pub(super) messages: Vec<Message>,
    /// Frames of the messages; the header's digits are `0`.
    frames: Vec<Vec<u8>>,
    /// Indices of messages, over and over.
    schedule: Vec<usize>,
    header: usize,
    pipeline: usize,
}

/// When to measure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// When the measurement begins.
    pub(super) measure: Instant,
    /// When it ends, and no more is sent.
    pub(super) end: Instant,
    /// How long to wait for an answer.
    pub(super) patience: Duration,
}

/// What came of the load.
#[derive(Debug)]
pub(super) struct Tally {
    /// By message.
    pub(super) messages: Vec<MessageTally>,
    /// Requests that got no answer.
    pub(super) lost: u64,
    /// Connections that did not live to the end.
    pub(super) disconnects: u64,
    /// Measured time.
    pub(super) elapsed: Duration,
    first_mismatch: Option<String>,
}

/// What came of one message.
#[derive(Debug, Clone, Default)]
pub(super) struct MessageTally {
    /// From sending to answer, of the answers in the measured time.
    pub(super) latency: Histogram,
    /// Wrong answers, at any time.
    pub(super) mismatches: u64,
}

impl Plan {
    /// A plan for headers of a length and a number of outstanding requests.
    ///
    /// # Errors
    /// A line for a message that is too long.
    pub(super) fn new(
        mut messages: Vec<Message>,
        schedule: Vec<usize>,
        header: u8,
        pipeline: usize,
        echo: bool,
    ) -> Result<Self, String> {
        let header = usize::from(header);
        if echo {
            for message in &mut messages {
                message.expected = Expected::Whole(message.request.clone());
            }
        }
        let zeros = vec![b'0'; header];
        let frames = messages.iter().map(|m| wire::frame(&zeros, &m.request)).collect::<Result<_, _>>()?;
        Ok(Self { messages, frames, schedule, header, pipeline })
    }

    /// Writes a request's number into its header.
    fn number(header: &mut [u8], number: u32) {
        let mut rest = number;
        for digit in header.iter_mut().rev().take(MAX_NUMBER) {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }

    /// Whether a header is that of a request.
    fn is_number(mut header: &[u8], number: u32) -> bool {
        let mut rest = number;
        for _ in 0..MAX_NUMBER {
            let Some((digit, before)) = header.split_last() else { return true };
            if *digit != b'0' + (rest % 10) as u8 {
                return false;
            }
            rest /= 10;
            header = before;
        }
        header.iter().all(|c| *c == b'0')
    }
}

impl Tally {
    fn new(plan: &Plan) -> Self {
        Self {
            messages: vec![MessageTally::default(); plan.messages.len()],
            lost: 0,
            disconnects: 0,
            elapsed: Duration::ZERO,
            first_mismatch: None,
        }
    }

    /// Two threads' tallies as one.
    pub(super) fn join(mut self, other: Self) -> Self {
        for (mine, others) in self.messages.iter_mut().zip(&other.messages) {
            mine.latency.add(&others.latency);
            mine.mismatches += others.mismatches;
        }
        self.lost += other.lost;
        self.disconnects += other.disconnects;
        self.elapsed = self.elapsed.max(other.elapsed);
        self.first_mismatch = self.first_mismatch.or(other.first_mismatch);
        self
    }

    /// Wrong answers.
    pub(super) fn mismatches(&self) -> u64 {
        self.messages.iter().map(|message| message.mismatches).sum()
    }

    /// Answers in the measured time.
    pub(super) fn answers(&self) -> u64 {
        self.messages.iter().map(|message| message.latency.count()).sum()
    }

    /// What was wrong first.
    pub(super) fn first_mismatch(&self) -> &str {
        self.first_mismatch.as_deref().unwrap_or("unknown")
    }

    #[cold]
    fn mismatch(&mut self, plan: &Plan, flight: &Flight, header_ok: bool, answer: &[u8]) {
        if let Some(tally) = self.messages.get_mut(flight.message) {
            tally.mismatches += 1;
        }
        if self.first_mismatch.is_none() {
            let message = plan.messages.get(flight.message);
            let name = message.map_or("", |message| message.name.as_str());
            let wanted = message.map_or(&[][..], |message| message.expected.codes());
            // Codes only: fields may be what nobody should see.
            let got = wire::show(answer.get(..4).unwrap_or(answer));
            self.first_mismatch = Some(match (header_ok, got == wire::show(wanted)) {
                (false, _) => format!("{name} was answered with the header of another request"),
                (true, true) => format!("{name} was answered {got} with wrong fields"),
                (true, false) => format!("{name} was answered {got} instead of {}", wire::show(wanted)),
            });
        }
    }
}

/// A request on its way.
#[derive(Debug)]
struct Flight {
    message: usize,
    number: u32,
    sent: Instant,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    flights: VecDeque<Flight>,
    /// Where in the schedule the next message is.
    next: usize,
    number: u32,
    output: Vec<u8>,
    written: usize,
    input: Vec<u8>,
    filled: usize,
    progress: Instant,
}

/// Makes load on connections (each with its number among all) until the window ends and what is outstanding is answered.
///
/// # Errors
/// If the system gives no poll.
pub(super) fn run(streams: Vec<(usize, std::net::TcpStream)>, plan: &Plan, window: Window) -> io::Result<Tally> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut tally = Tally::new(plan);
    let mut connections = Vec::with_capacity(streams.len());
    for (token, (index, stream)) in streams.into_iter().enumerate() {
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(token), Interest::READABLE | Interest::WRITABLE)?;
        connections.push(Some(Connection::new(stream, index.wrapping_mul(7) % plan.schedule.len().max(1), plan)));
    }
    loop {
        poll_once(&mut poll, &mut events, window)?;
        let now = Instant::now();
        for event in &events {
            let Some(slot) = connections.get_mut(event.token().0) else { continue };
            let Some(connection) = slot else { continue };
            let readable = event.is_readable() || event.is_read_closed() || event.is_error();
            if !connection.ready(readable, plan, window, &mut tally) {
                drop_connection(slot, &mut tally);
            }
        }
        // Silence is looked at only when there is time to.
        if events.is_empty() || now >= window.end {
            for slot in &mut connections {
                let Some(connection) = slot else { continue };
                if connection.flights.is_empty() && now >= window.end {
                    *slot = None;
                } else if now.saturating_duration_since(connection.progress) > window.patience {
                    drop_connection(slot, &mut tally);
                }
            }
        }
        if connections.iter().all(Option::is_none) {
            tally.elapsed = now.min(window.end).saturating_duration_since(window.measure);
            return Ok(tally);
        }
    }
}

fn poll_once(poll: &mut Poll, events: &mut Events, window: Window) -> io::Result<()> {
    let left = window.end.saturating_duration_since(Instant::now());
    // After the end only answers are waited for.
    let sleep = if left.is_zero() { Duration::from_millis(1) } else { left.min(TICK) };
    match poll.poll(events, Some(sleep)) {
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
        other => other,
    }
}

#[cold]
fn drop_connection(slot: &mut Option<Connection>, tally: &mut Tally) {
    if let Some(connection) = slot.take() {
        tally.disconnects += 1;
        tally.lost += connection.flights.len() as u64;
    }
}

impl Connection {
    fn new(stream: TcpStream, next: usize, plan: &Plan) -> Self {
        Self {
            stream,
            flights: VecDeque::with_capacity(plan.pipeline),
            next,
            number: 0,
            output: Vec::with_capacity(BUFFER),
            written: 0,
            input: vec![0; BUFFER],
            filled: 0,
            progress: Instant::now(),
        }
    }

    /// Takes answers and sends as many requests. Returns whether the connection lives on.
    fn ready(&mut self, readable: bool, plan: &Plan, window: Window, tally: &mut Tally) -> bool {
        let mut alive = true;
        loop {
            let mut more = false;
            if readable && alive {
                match self.stream.read(&mut self.input[self.filled..]) {
                    Ok(0) => alive = false,
                    Ok(n) => {
                        self.filled += n;
                        // A full buffer may have left something behind; a short read has emptied the socket.
                        more = self.filled == self.input.len();
                        self.take(Instant::now(), plan, window, tally);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) if error.kind() == ErrorKind::Interrupted => more = true,
                    Err(_) => alive = false,
                }
            }
            if !alive {
                return false;
            }
            self.fill(plan, window);
            if !self.flush() {
                return false;
            }
            if !more {
                return true;
            }
        }
    }

    /// Takes the whole answers out of the input.
    fn take(&mut self, now: Instant, plan: &Plan, window: Window, tally: &mut Tally) {
        let mut from = 0;
        loop {
            let rest = &self.input[from..self.filled];
            let Some((prefix, rest)) = rest.split_first_chunk::<2>() else { break };
            let len = usize::from(u16::from_be_bytes(*prefix));
            let Some(answer) = rest.get(..len) else {
                let needed = 2 + len;
                if self.input.len() < needed {
                    self.input.resize(needed.max(2 * self.input.len()), 0);
                }
                break;
            };
            from += 2 + len;
            self.progress = now;
            let Some(flight) = self.flights.pop_front() else {
                let nothing = Flight { message: 0, number: 0, sent: now };
                tally.mismatch(plan, &nothing, false, answer);
                continue;
            };
            let (header, body) = answer.split_at_checked(plan.header).unwrap_or((answer, &[]));
            let header_ok = header.len() == plan.header && Plan::is_number(header, flight.number);
            let right = plan.messages.get(flight.message).is_some_and(|message| message.expected.agrees(body));
            if !header_ok || !right {
                tally.mismatch(plan, &flight, header_ok, body);
            }
            if now >= window.measure
                && now < window.end
                && let Some(tally) = tally.messages.get_mut(flight.message)
            {
                tally.latency.record(now.saturating_duration_since(flight.sent));
            }
        }
        self.input.copy_within(from..self.filled, 0);
        self.filled -= from;
    }

    /// Puts requests into the output until enough are outstanding.
    fn fill(&mut self, plan: &Plan, window: Window) {
        if self.flights.len() >= plan.pipeline {
            return;
        }
        let now = Instant::now();
        if now >= window.end {
            return;
        }
        if self.flights.is_empty() {
            self.progress = now;
        }
        while self.flights.len() < plan.pipeline {
            let Some(&message) = plan.schedule.get(self.next) else { return };
            let Some(frame) = plan.frames.get(message) else { return };
            self.next = (self.next + 1) % plan.schedule.len();
            let at = self.output.len() + 2;
            self.output.extend_from_slice(frame);
            if let Some(header) = self.output.get_mut(at..at + plan.header) {
                Plan::number(header, self.number);
            }
            self.flights.push_back(Flight { message, number: self.number, sent: now });
            self.number = self.number.wrapping_add(1);
        }
    }

    /// Writes what the socket takes. Returns whether the connection lives on.
    fn flush(&mut self) -> bool {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(0) => return false,
                Ok(n) => self.written += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        self.output.clear();
        self.written = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Plan;

    #[test]
    fn headers_carry_the_number_of_their_request() {
        for (len, number, header) in [(4, 12, "0012"), (4, 123_456, "3456"), (1, 9, "9"), (10, 5, "0000000005")] {
            let mut written = vec![b'0'; len];
            Plan::number(&mut written, number);
            assert_eq!(written, header.as_bytes());
            assert!(Plan::is_number(&written, number));
            assert!(!Plan::is_number(&written, number + 1));
        }
    }
}
