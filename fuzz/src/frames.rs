//! Framing: the same messages and faults, however the bytes are cut.

use crate::net::frame::{FrameDecoder, FrameFault, Message, response_code};
use crate::net::response::ResponseBuffer;

/// A message or the answer to a fault, as it was decoded.
type Decoded = Result<(Vec<u8>, Vec<u8>), Vec<u8>>;

/// Cuts `stream` into frames, given to the decoder in pieces of `piece` bytes.
fn decode(header_len: u8, limit: usize, stream: &[u8], piece: usize) -> Vec<Decoded> {
    let mut decoder = FrameDecoder::new(header_len, limit);
    let mut frames = Vec::new();
    let mut held: Vec<u8> = Vec::new();
    for piece in stream.chunks(piece.max(1)) {
        held.extend_from_slice(piece);
        loop {
            let decoded = decoder.decode(&held);
            assert!(decoded.consumed <= held.len(), "consumed what was not there");
            let (consumed, none) = (decoded.consumed, decoded.frame.is_none());
            match decoded.frame {
                Some(Ok(Message { header, body })) => {
                    assert_eq!(header.len(), usize::from(header_len));
                    assert!(body.len() >= 2, "a message without a command code");
                    frames.push(Ok((header.to_vec(), body.to_vec())));
                }
                Some(Err(fault)) => frames.push(Err(answer(&fault, usize::from(header_len)))),
                None => {}
            }
            held.drain(..consumed);
            if none {
                break;
            }
            assert!(consumed > 0, "a frame out of nothing");
        }
    }
    frames
}

/// The answer to a fault, checked: one frame with the header, and an error.
fn answer(fault: &FrameFault<'_>, header_len: usize) -> Vec<u8> {
    let mut out = ResponseBuffer::new();
    fault.answer(header_len, &mut out);
    let sent = out.pending().to_vec();
    assert_eq!(sent.len(), 2 + header_len + 4);
    assert_eq!(usize::from(u16::from_be_bytes([sent[0], sent[1]])), header_len + 4);
    match *fault {
        FrameFault::TooShort { message } => {
            assert!(message.len() < header_len + 2);
            assert!(sent.ends_with(b"ZZ15"));
        }
        FrameFault::TooLong { header, code, .. } => {
            assert_eq!(&sent[2..2 + header_len], header);
            assert_eq!(&sent[2 + header_len..4 + header_len], response_code(code));
            assert!(sent.ends_with(b"80"));
        }
    }
    sent
}

/// Header length, longest message (two bytes), length of pieces, and a stream.
pub fn frame(data: &[u8]) {
    let Some((&[header_len, high, low, piece], stream)) = data.split_first_chunk::<4>() else { return };
    let header_len = header_len.max(1);
    let limit = usize::from(u16::from_be_bytes([high, low]));
    let whole = decode(header_len, limit, stream, stream.len());
    assert_eq!(whole, decode(header_len, limit, stream, usize::from(piece)), "frames depend on how the bytes are cut");
    assert_eq!(whole, decode(header_len, limit, stream, 1), "frames depend on how the bytes are cut");
}
