//! Bytes that were read and not yet decoded.

use std::fmt;
use std::io::{self, Read};

use zeroize::Zeroize;

use super::frame::{LENGTH_PREFIX, LONGEST};
use super::response::ResponseBuffer;

/// Size of a read buffer: the longest frame, and room for as much again, so that a read is never cut small by what is
/// left of an unfinished frame.
const READ_BUFFER: usize = 2 * (LENGTH_PREFIX + LONGEST);

/// A remainder up to this size is copied to a buffer of its own, so that an unfinished frame does not keep a whole read
/// buffer from the other connections.
const SMALL_REMAINDER: usize = 4 * 1024;

/// Spare buffers of each kind that are kept. More are in use only while several connections are busy at once.
const MOST_SPARES: usize = 8;

/// A response buffer above this size is freed rather than kept for the next connection.
const LARGEST_SPARE: usize = 512 * 1024;

/// Bytes that were read and not yet decoded. Wiped as they are released, since requests carry keys and PIN blocks.
#[derive(Default)]
pub(super) struct InputBuffer {
    /// Always initialised to its whole length, so that a read can use the free end.
    data: Vec<u8>,
    start: usize,
    end: usize,
    /// Everything from here on has not been written to since the last wipe.
    dirty: usize,
}

impl InputBuffer {
    fn with_capacity(capacity: usize) -> Self {
        Self { data: vec![0; capacity], ..Self::default() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(super) fn consume(&mut self, n: usize) {
        self.start = self.end.min(self.start + n);
    }

    pub(super) fn discard(&mut self) {
        self.start = self.end;
    }

    /// Reads once. Returns how many bytes came, and whether they filled all the room there was.
    pub(super) fn read_from(&mut self, reader: &mut impl Read) -> io::Result<(usize, bool)> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.start > 0 && self.data.len() - self.end < self.data.len() / 2 {
            self.data.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let room = &mut self.data[self.end..];
        debug_assert!(!room.is_empty(), "a decoded buffer has room");
        let room_len = room.len();
        let n = reader.read(room)?.min(room_len);
        self.end += n;
        self.dirty = self.dirty.max(self.end);
        Ok((n, n == room_len))
    }

    /// Empties the buffer and clears every byte it has held.
    fn wipe(&mut self) {
        // The memory stays reachable, so a plain fill is not optimised away, and it is far cheaper than `zeroize`.
        self.data[..self.dirty].fill(0);
        (self.start, self.end, self.dirty) = (0, 0, 0);
    }

    fn is_full_size(&self) -> bool {
        self.data.len() == READ_BUFFER
    }
}

impl Drop for InputBuffer {
    fn drop(&mut self) {
        self.data[..self.dirty].zeroize();
    }
}

impl fmt::Debug for InputBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputBuffer").field("bytes", &self.bytes().len()).finish_non_exhaustive()
    }
}

/// Buffers that the connections of a loop share: a connection holds buffers only while there is something in them. Keeps
/// the hot path free of allocations and its memory in the cache, however many connections there are.
#[derive(Debug, Default)]
pub(super) struct Spares {
    inputs: Vec<InputBuffer>,
    outputs: Vec<ResponseBuffer>,
}

impl Spares {
    /// Makes sure that `input` and `output` can be worked with.
    pub(super) fn lend(&mut self, input: &mut InputBuffer, output: &mut ResponseBuffer) {
        if !input.is_full_size() {
            let mut full = self.inputs.pop().unwrap_or_else(|| InputBuffer::with_capacity(READ_BUFFER));
            let remainder = input.bytes();
            full.data[..remainder.len()].copy_from_slice(remainder);
            full.end = remainder.len();
            full.dirty = remainder.len();
            *input = full;
        }
        if output.capacity() == 0
            && let Some(spare) = self.outputs.pop()
        {
            *output = spare;
        }
    }

    /// Takes back what is not needed any more.
    pub(super) fn reclaim(&mut self, input: &mut InputBuffer, output: &mut ResponseBuffer) {
        let remainder = input.bytes();
        if input.is_full_size() && remainder.len() <= SMALL_REMAINDER {
            let mut small = InputBuffer::default();
            if !remainder.is_empty() {
                small = InputBuffer::with_capacity(remainder.len());
                small.data.copy_from_slice(remainder);
                small.end = remainder.len();
                small.dirty = remainder.len();
            }
            let mut full = std::mem::replace(input, small);
            if self.inputs.len() < MOST_SPARES {
                full.wipe();
                self.inputs.push(full);
            }
        }
        if output.is_empty() && output.capacity() > 0 {
            let spare = std::mem::take(output);
            if self.outputs.len() < MOST_SPARES && spare.capacity() <= LARGEST_SPARE {
                self.outputs.push(spare);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lent_buffers_come_back_wiped() {
        let mut spares = Spares::default();
        let (mut input, mut output) = (InputBuffer::default(), ResponseBuffer::new());
        spares.lend(&mut input, &mut output);
        input.read_from(&mut &b"secret"[..]).unwrap();
        input.consume(2);
        spares.reclaim(&mut input, &mut output);
        assert_eq!(input.bytes(), b"cret");
        assert_eq!(input.data.len(), 4);
        assert!(spares.inputs[0].data.iter().all(|&byte| byte == 0));

        spares.lend(&mut input, &mut output);
        assert!(spares.inputs.is_empty());
        assert_eq!(input.bytes(), b"cret");
        input.read_from(&mut &b"!"[..]).unwrap();
        assert_eq!(input.bytes(), b"cret!");
        input.consume(5);
        spares.reclaim(&mut input, &mut output);
        assert!(input.data.is_empty());
        assert!(spares.inputs[0].data.iter().all(|&byte| byte == 0));
    }

    #[test]
    fn remainder_moves_to_the_front_before_the_room_runs_out() {
        let mut input = InputBuffer::with_capacity(READ_BUFFER);
        let bytes: Vec<u8> = (0..READ_BUFFER).map(|i| (i % 251) as u8).collect();
        assert_eq!(input.read_from(&mut &bytes[..]).unwrap(), (READ_BUFFER, true));
        input.consume(READ_BUFFER - 1_000);
        assert_eq!(input.read_from(&mut &bytes[..500]).unwrap(), (500, false));
        assert_eq!(input.bytes(), [&bytes[READ_BUFFER - 1_000..], &bytes[..500]].concat());
    }
}
