//! The baseline of the load tests: a bare mio server that speaks the framing of the host port (a 2-byte length, then
//! that many bytes) and sends every message back. What the HSM's server takes beyond this is the price of its commands,
//! its limits and its bookkeeping.
//!
//! ```text
//! echo [--port 1500]
//! ```
//!
//! One thread, one poll, edges for both directions, one buffer to read into and one to write from that all connections
//! share, so that the comparison is fair. It has no limits and no time-outs: not for use beyond a benchmark.

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(0);
const BUFFER: usize = 128 * 1024;
const MAX_PENDING: usize = 256 * 1024;

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// The start of a frame whose end has not arrived.
    partial: Vec<u8>,
    /// What the socket has not taken yet.
    pending: Vec<u8>,
}

impl Connection {
    /// Echoes until the socket has nothing more to read or takes no more. Returns whether the connection lives on.
    fn ready(&mut self, input: &mut [u8], output: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            if !self.pending.is_empty() {
                let written = write_some(&mut self.stream, &self.pending)?;
                self.pending.drain(..written);
                if self.pending.len() > MAX_PENDING {
                    return Ok(true);
                }
            }
            let kept = self.partial.len();
            input[..kept].copy_from_slice(&self.partial);
            let room = input.len() - kept;
            let read = match self.stream.read(&mut input[kept..]) {
                Ok(0) => return Ok(false),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.partial.clear();
            let rest = echo(&input[..kept + read], output);
            self.partial.extend_from_slice(rest);
            if self.pending.is_empty() {
                let written = write_some(&mut self.stream, output)?;
                self.pending.extend_from_slice(&output[written..]);
            } else {
                self.pending.extend_from_slice(output);
            }
            output.clear();
            // A close comes with an event of its own, so a short read has emptied the socket (epoll(7), Q9).
            if read < room && self.pending.len() <= MAX_PENDING && cfg!(target_os = "linux") {
                return Ok(true);
            }
        }
    }
}

/// Appends every whole message of `input` to `output`, with its length, and returns what is left.
fn echo<'a>(mut input: &'a [u8], output: &mut Vec<u8>) -> &'a [u8] {
    while let Some((length, rest)) = input.split_first_chunk::<2>() {
        let Some((message, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))) else { break };
        output.extend_from_slice(length);
        output.extend_from_slice(message);
        input = rest;
    }
    input
}

fn write_some(stream: &mut TcpStream, mut bytes: &[u8]) -> io::Result<usize> {
    let all = bytes.len();
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all - bytes.len())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(([127, 0, 0, 1], port()?).into())?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("echo listens on {}", listener.local_addr()?);

    let mut events = Events::with_capacity(1024);
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut input = vec![0; BUFFER];
    let mut output = Vec::with_capacity(BUFFER);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let slot = free.pop().unwrap_or(connections.len());
                    poll.registry().register(&mut stream, Token(1 + slot), Interest::READABLE | Interest::WRITABLE)?;
                    let connection = Some(Connection { stream, partial: Vec::new(), pending: Vec::new() });
                    match connections.get_mut(slot) {
                        Some(place) => *place = connection,
                        None => connections.push(connection),
                    }
                }
                continue;
            }
            let slot = event.token().0 - 1;
            let Some(place) = connections.get_mut(slot) else { continue };
            let Some(connection) = place else { continue };
            let mut alive = connection.ready(&mut input, &mut output).unwrap_or(false);
            if alive && event.is_read_closed() {
                alive = connection.ready(&mut input, &mut output).unwrap_or(false);
            }
            output.clear();
            if !alive {
                *place = None;
                free.push(slot);
            }
        }
    }
}

fn port() -> Result<u16, Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    match (args.next().as_deref(), args.next(), args.next()) {
        (None, ..) => Ok(1500),
        (Some("--port"), Some(port), None) => Ok(port.parse()?),
        _ => Err("usage: echo [--port 1500]".into()),
    }
}
