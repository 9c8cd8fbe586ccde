//! Framing of the host protocol, without a socket.
//!
//! ```text
//! +--------+--------+-------------------------------+
//! | len hi | len lo | header(m) code(2) body        |   len counts the message, not itself
//! +--------+--------+-------------------------------+
//! ```
//!
//! The decoder is total: every sequence of bytes, however cut, is a sequence of messages and faults, and the same
//! sequence for every cut.

use thiserror::Error;

use super::response::ResponseBuffer;

/// Bytes of the length that precedes every message.
pub const LENGTH_PREFIX: usize = 2;

/// Bytes of a command or response code.
pub const CODE: usize = 2;

/// Longest message accepted by default: the manuals give the device 32 KiB of input per connection.
pub const MAX_MESSAGE: usize = 32_768;

/// Longest message that a 16-bit length can announce.
pub const LONGEST: usize = u16::MAX as usize;

/// Longest header that can be configured.
pub const MAX_HEADER: usize = u8::MAX as usize;

/// A whole message, cut behind its header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The header, which every response repeats unchanged.
    pub header: &'a [u8],
    /// Everything after the header; at least the two characters of the command code.
    pub body: &'a [u8],
}

impl std::fmt::Debug for Message<'_> {
    /// Shows lengths only: bodies carry keys and PIN blocks.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message").field("header", &self.header.len()).field("body", &self.body.len()).finish()
    }
}

/// A message that has no command to hand on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameFault<'a> {
    /// The peer sent a message that ends before its command code does.
    #[error("message of {} bytes is shorter than header and command code", message.len())]
    TooShort {
        /// What the peer sent.
        message: &'a [u8],
    },
    /// The peer announced a message longer than the limit. Its remaining bytes are skipped.
    #[error("message of {length} bytes is longer than the limit")]
    TooLong {
        /// The announced length.
        length: usize,
        /// The header.
        header: &'a [u8],
        /// The command code.
        code: [u8; CODE],
    },
}

impl FrameFault<'_> {
    /// Appends the answer to the faulty message: `ZZ15` for one too short (its header filled up with `0`), the
    /// command's response code and `80` for one too long.
    pub fn answer(&self, header_len: usize, out: &mut ResponseBuffer) {
        match *self {
            Self::TooShort { message } => {
                let mut padded = [b'0'; MAX_HEADER];
                let header_len = header_len.min(MAX_HEADER);
                let known = message.len().min(header_len);
                padded[..known].copy_from_slice(&message[..known]);
                out.sink(&padded[..header_len]).send(b"ZZ15");
            }
            Self::TooLong { header, code, .. } => {
                let [first, second] = response_code(code);
                out.sink(header).send(&[first, second, b'8', b'0']);
            }
        }
    }
}

/// The response code of a command: its second character plus one.
#[must_use]
pub fn response_code(code: [u8; CODE]) -> [u8; CODE] {
    [code[0], code[1].wrapping_add(1)]
}

/// What [`FrameDecoder::decode`] made of the bytes it saw.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// Bytes of the input that are dealt with, to be removed before the next call.
    pub consumed: usize,
    /// The next message or fault; `None` if more bytes are needed.
    pub frame: Option<Result<Message<'a>, FrameFault<'a>>>,
}

/// Cuts a stream of bytes into messages. Holds no bytes, only how many of them are still to be skipped.
#[derive(Debug, Clone)]
pub struct FrameDecoder {
    header_len: usize,
    max_message: usize,
    skip: usize,
}

impl FrameDecoder {
    /// Returns a decoder for headers of `header_len` characters and messages (header included) of up to `max_message`
    /// bytes.
    ///
    /// `max_message` is raised to what header and code need, so that a fault can always be answered with both.
    #[must_use]
    pub fn new(header_len: u8, max_message: usize) -> Self {
        let header_len = usize::from(header_len);
        Self { header_len, max_message: max_message.clamp(header_len + CODE, LONGEST), skip: 0 }
    }

    /// Looks for the next frame at the start of `input`.
    pub fn decode<'a>(&mut self, input: &'a [u8]) -> Decoded<'a> {
        let skipped = self.skip.min(input.len());
        self.skip -= skipped;
        let input = &input[skipped..];
        let needed = self.header_len + CODE;

        let Some((prefix, rest)) = input.split_first_chunk::<LENGTH_PREFIX>() else {
            return Decoded { consumed: skipped, frame: None };
        };
        let length = usize::from(u16::from_be_bytes(*prefix));
        if length > self.max_message {
            let Some((start, _)) = rest.split_at_checked(needed) else {
                return Decoded { consumed: skipped, frame: None };
            };
            let (header, code) = start.split_at(self.header_len);
            self.skip = length - needed;
            let fault = FrameFault::TooLong { length, header, code: [code[0], code[1]] };
            return Decoded { consumed: skipped + LENGTH_PREFIX + needed, frame: Some(Err(fault)) };
        }
        let Some((message, _)) = rest.split_at_checked(length) else {
            return Decoded { consumed: skipped, frame: None };
        };
        let frame = if length < needed {
            Err(FrameFault::TooShort { message })
        } else {
            let (header, body) = message.split_at(self.header_len);
            Ok(Message { header, body })
        };
        Decoded { consumed: skipped + LENGTH_PREFIX + length, frame: Some(frame) }
    }

    /// Whether the rest of an oversized message is still to come.
    #[must_use]
    pub fn is_skipping(&self) -> bool {
        self.skip > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_frame_of_the_manual() {
        let input = b"\x00\x061234NC";
        let decoded = FrameDecoder::new(4, MAX_MESSAGE).decode(input);
        assert_eq!(decoded.consumed, 8);
        assert_eq!(decoded.frame, Some(Ok(Message { header: b"1234", body: b"NC" })));
    }

    #[test]
    fn short_message_is_answered_with_a_filled_header() {
        let mut out = ResponseBuffer::new();
        for (input, answer) in [
            (&b"\x00\x00"[..], &b"\x00\x080000ZZ15"[..]),
            (b"\x00\x0212", b"\x00\x081200ZZ15"),
            (b"\x00\x051234N", b"\x00\x081234ZZ15"),
        ] {
            let decoded = FrameDecoder::new(4, MAX_MESSAGE).decode(input);
            assert_eq!(decoded.consumed, input.len());
            let Some(Err(fault)) = decoded.frame else { panic!("{input:?} is a fault") };
            fault.answer(4, &mut out);
            assert_eq!(out.pending(), answer);
            out.clear();
        }
    }

    #[test]
    fn long_message_is_answered_early_and_skipped() {
        let mut decoder = FrameDecoder::new(4, 10);
        assert_eq!(decoder.decode(b"\x00\x0b1234A"), Decoded { consumed: 0, frame: None });
        let decoded = decoder.decode(b"\x00\x0b1234A0");
        assert_eq!(decoded.consumed, 8);
        let Some(Err(fault)) = decoded.frame else { panic!("a fault") };
        let mut out = ResponseBuffer::new();
        fault.answer(4, &mut out);
        assert_eq!(out.pending(), b"\x00\x081234A180");

        assert!(decoder.is_skipping());
        assert_eq!(decoder.decode(b"xxx"), Decoded { consumed: 3, frame: None });
        let next = decoder.decode(b"xx\x00\x061234NC");
        assert_eq!(next, Decoded { consumed: 10, frame: Some(Ok(Message { header: b"1234", body: b"NC" })) });
    }

    #[test]
    fn limit_counts_the_whole_message() {
        let mut input = vec![0x80, 0x00];
        input.resize(LENGTH_PREFIX + MAX_MESSAGE, b'0');
        assert!(matches!(FrameDecoder::new(4, MAX_MESSAGE).decode(&input).frame, Some(Ok(_))));
        input[1] = 1;
        assert!(matches!(FrameDecoder::new(4, MAX_MESSAGE).decode(&input).frame, Some(Err(_))));
    }
}
