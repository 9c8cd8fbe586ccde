//! What a handler answers with: framed, in place, straight into the buffer that is written to the socket.

use std::fmt;

use zeroize::Zeroize;

use super::frame::{CODE, LENGTH_PREFIX, LONGEST, response_code};

/// First allocation of a buffer; enough for the answers to one busy read.
const INITIAL_CAPACITY: usize = 16 * 1024;

/// Largest response kept whole; longer answers become error 41 (see [`MessageWriter::finish`]).
const LONGEST_RESPONSE: usize = LONGEST;

/// The payShield error for an internal fault.
const INTERNAL_ERROR: &[u8] = b"41";

/// Framed responses that wait to be written. Wiped when cleared, grown and dropped, since responses can carry clear
/// components.
#[derive(Default)]
pub struct ResponseBuffer {
    data: Vec<u8>,
    /// Bytes at the front that have been written already.
    sent: usize,
}

impl ResponseBuffer {
    /// Returns an empty buffer. Allocates nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { data: Vec::new(), sent: 0 }
    }

    /// Returns where to put responses to a request with this header.
    pub fn sink<'a>(&'a mut self, header: &'a [u8]) -> ResponseSink<'a> {
        ResponseSink { out: self, header }
    }

    /// The bytes still to be written.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        &self.data[self.sent..]
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sent == self.data.len()
    }

    /// Wipes and removes everything; keeps the allocation.
    pub fn clear(&mut self) {
        // The memory stays reachable, so a plain fill is not optimised away, and it is far cheaper than `zeroize`.
        self.data.fill(0);
        self.data.clear();
        self.sent = 0;
    }

    /// Notes that `n` pending bytes have been written.
    pub(super) fn advance(&mut self, n: usize) {
        self.sent = self.data.len().min(self.sent + n);
        if self.is_empty() {
            self.clear();
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.data.capacity()
    }

    /// Moves what `other` holds behind what `self` holds.
    pub(super) fn append(&mut self, other: &mut Self) {
        if self.capacity() == 0 {
            std::mem::swap(self, other);
        } else {
            self.extend(other.pending());
            other.clear();
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.data.extend_from_slice(bytes);
    }

    /// Makes room as `Vec::reserve` does, but never leaves a copy of the bytes in freed memory.
    fn reserve(&mut self, additional: usize) {
        if self.data.capacity() - self.data.len() < additional {
            self.grow(additional);
        }
    }

    #[cold]
    fn grow(&mut self, additional: usize) {
        let pending = self.data.len() - self.sent;
        let capacity = (pending + additional).max(2 * pending).max(INITIAL_CAPACITY);
        let mut data = Vec::with_capacity(capacity);
        data.extend_from_slice(&self.data[self.sent..]);
        std::mem::swap(&mut self.data, &mut data);
        data.zeroize();
        self.sent = 0;
    }
}

impl Drop for ResponseBuffer {
    fn drop(&mut self) {
        if self.data.capacity() > 0 {
            self.data.as_mut_slice().zeroize();
        }
    }
}

impl fmt::Debug for ResponseBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBuffer").field("pending", &self.pending().len()).finish_non_exhaustive()
    }
}

/// Where the responses to one request go. Adds the length and the request's header to each.
pub struct ResponseSink<'a> {
    out: &'a mut ResponseBuffer,
    header: &'a [u8],
}

impl ResponseSink<'_> {
    /// Sends one response: code, error, fields and trailer. Call it twice for a command that answers twice.
    pub fn send(&mut self, body: &[u8]) {
        let mut message = self.message();
        message.put(body);
        message.finish();
    }

    /// Begins a response that is written piece by piece.
    pub fn message(&mut self) -> MessageWriter<'_> {
        // Growth moves the pending bytes to the front, so the start is known only once there is room.
        self.out.reserve(LENGTH_PREFIX + self.header.len());
        let start = self.out.data.len();
        self.out.data.extend_from_slice(&[0; LENGTH_PREFIX]);
        self.out.data.extend_from_slice(self.header);
        let pending = start - self.out.sent;
        MessageWriter { out: self.out, pending, header_len: self.header.len(), overflow: false, finished: false }
    }

    /// Answers the command `code` with error 41, for a fault on our side.
    pub fn internal_error(&mut self, code: [u8; CODE]) {
        let mut message = self.message();
        message.put(&response_code(code));
        message.put(INTERNAL_ERROR);
        message.finish();
    }
}

impl fmt::Debug for ResponseSink<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseSink").field("header", &self.header.len()).finish_non_exhaustive()
    }
}

/// One response under construction. Takes effect with [`finish`](Self::finish); dropped before, it leaves no trace.
pub struct MessageWriter<'a> {
    out: &'a mut ResponseBuffer,
    /// Where the frame starts, counted from the first pending byte (which growth does not change).
    pending: usize,
    header_len: usize,
    overflow: bool,
    finished: bool,
}

impl MessageWriter<'_> {
    /// Appends bytes.
    pub fn put(&mut self, bytes: &[u8]) {
        if self.admit(bytes.len()) {
            self.out.extend(bytes);
        } else {
            // Nothing but the response code is of use any more.
            let missing = CODE.saturating_sub(self.body().len());
            self.out.extend(&bytes[..missing.min(bytes.len())]);
        }
    }

    /// Appends `n` zero bytes and returns them to be filled in, so that bytes from elsewhere (a guest's memory) need no
    /// second copy. `None` if the response would become too long.
    pub fn grow(&mut self, n: usize) -> Option<&mut [u8]> {
        if !self.admit(n) {
            return None;
        }
        self.out.reserve(n);
        let start = self.out.data.len();
        self.out.data.resize(start + n, 0);
        self.out.data.get_mut(start..)
    }

    /// The bytes put so far.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.out.data[self.body_start()..]
    }

    /// Completes the response.
    ///
    /// A response longer than its 16-bit length can say is replaced by its own code with error 41: the client gets an
    /// answer that it can parse, and the fault is ours, not its own.
    pub fn finish(mut self) {
        self.finished = true;
        let start = self.start();
        if self.overflow {
            log::error!("a response exceeds {LONGEST_RESPONSE} bytes and is answered with error 41 instead");
            self.truncate(self.out.data.len().min(self.body_start() + CODE));
            self.out.extend(&b"ZZ"[self.body().len()..]);
            self.out.extend(INTERNAL_ERROR);
        }
        let length = self.out.data.len() - start - LENGTH_PREFIX;
        debug_assert!(length <= LONGEST);
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        self.out.data[start..start + LENGTH_PREFIX].copy_from_slice(&length.to_be_bytes());
    }

    fn admit(&mut self, more: usize) -> bool {
        let length = self.out.data.len() - self.start() - LENGTH_PREFIX;
        self.overflow |= more > LONGEST_RESPONSE.saturating_sub(length);
        !self.overflow
    }

    fn start(&self) -> usize {
        self.out.sent + self.pending
    }

    fn body_start(&self) -> usize {
        self.start() + LENGTH_PREFIX + self.header_len
    }

    fn truncate(&mut self, len: usize) {
        self.out.data[len..].fill(0);
        self.out.data.truncate(len);
    }
}

impl Drop for MessageWriter<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.truncate(self.start());
        }
    }
}

impl fmt::Debug for MessageWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageWriter").field("body", &self.body().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_responses_to_one_request() {
        let mut out = ResponseBuffer::new();
        let mut sink = out.sink(b"HEAD");
        sink.send(b"PF00");
        sink.send(b"PZ00");
        assert_eq!(out.pending(), b"\x00\x08HEADPF00\x00\x08HEADPZ00");
    }

    #[test]
    fn unfinished_message_leaves_no_trace() {
        let mut out = ResponseBuffer::new();
        out.sink(b"H").send(b"ND00");
        let mut sink = out.sink(b"H");
        let mut message = sink.message();
        message.put(b"secret");
        drop(message);
        assert_eq!(out.pending(), b"\x00\x05HND00");
    }

    #[test]
    fn too_long_a_response_becomes_error_41() {
        let mut out = ResponseBuffer::new();
        out.sink(b"H").send(&[b'A'; LONGEST]);
        assert_eq!(out.pending(), b"\x00\x05HAA41");
        out.clear();

        let mut sink = out.sink(b"H");
        let mut message = sink.message();
        message.put(b"A100");
        message.put(&[b'x'; 40_000]);
        assert!(message.grow(40_000).is_none());
        message.finish();
        assert_eq!(out.pending(), b"\x00\x05HA141");

        out.clear();
        out.sink(b"H").send(&[b'A'; LONGEST - 1]);
        assert_eq!(out.pending().len(), LENGTH_PREFIX + LONGEST);
        assert_eq!(&out.pending()[..2], b"\xff\xff");
    }

    #[test]
    fn growth_in_the_middle_of_a_message_keeps_what_is_pending() {
        let mut out = ResponseBuffer::new();
        out.sink(b"H").send(&[b'a'; 10_000]);
        out.advance(9_000);
        let mut sink = out.sink(b"H");
        let mut message = sink.message();
        for _ in 0..10 {
            message.put(&[b'b'; 4_000]);
        }
        assert_eq!(message.body().len(), 40_000);
        message.finish();
        let pending = out.pending();
        assert_eq!(pending.len(), 10_003 - 9_000 + 40_003);
        assert_eq!(&pending[1_003..1_006], &[0x9c, 0x41, b'H']);
        assert!(pending[1_006..].iter().all(|&byte| byte == b'b'));
    }

    #[test]
    fn filling_in_place() {
        let mut out = ResponseBuffer::new();
        let mut sink = out.sink(b"");
        let mut message = sink.message();
        message.put(b"ND00");
        message.grow(4).unwrap().copy_from_slice(b"1234");
        message.finish();
        assert_eq!(out.pending(), b"\x00\x08ND001234");
    }
}
