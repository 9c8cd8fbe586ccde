//! Framing: total on any bytes, and independent of how the bytes are cut.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use hsm_server::net::{FrameDecoder, ResponseBuffer};
use proptest::prelude::*;

/// Decodes `input`, which arrives in pieces of the given sizes, and echoes every message as an HSM would answer it.
fn answers(header_len: u8, max_message: usize, input: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut decoder = FrameDecoder::new(header_len, max_message);
    let mut out = ResponseBuffer::new();
    let (mut start, mut end) = (0, 0);
    let mut cuts = cuts.iter().copied();
    while end < input.len() {
        end = input.len().min(end + cuts.next().unwrap_or(usize::MAX - end).max(1));
        loop {
            let decoded = decoder.decode(&input[start..end]);
            start += decoded.consumed;
            assert!(start <= end);
            match decoded.frame {
                Some(Ok(message)) => out.sink(message.header).send(message.body),
                Some(Err(fault)) => fault.answer(usize::from(header_len), &mut out),
                None => break,
            }
            assert!(decoded.consumed > 0, "a frame takes its length at least");
        }
        // What is held back is never more than one unfinished frame.
        assert!(end - start < 2 + max_message.max(usize::from(header_len) + 2));
    }
    out.pending().to_vec()
}

proptest! {
    #[test]
    fn any_bytes_cut_anywhere(
        header_len in 1u8..=8,
        max_message in 0usize..300,
        input in proptest::collection::vec(prop_oneof![3 => 0u8..4, 1 => any::<u8>()], 0..2000),
        cuts in proptest::collection::vec(1usize..40, 0..200),
    ) {
        let whole = answers(header_len, max_message, &input, &[]);
        prop_assert_eq!(&whole, &answers(header_len, max_message, &input, &cuts));
        prop_assert_eq!(&whole, &answers(header_len, max_message, &input, &[1; 2000]));
    }

    #[test]
    fn what_is_framed_is_decoded(
        header in proptest::collection::vec(any::<u8>(), 1..=255),
        bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 2..500), 1..20),
    ) {
        let mut out = ResponseBuffer::new();
        for body in &bodies {
            out.sink(&header).send(body);
        }
        let mut input = out.pending();
        let mut decoder = FrameDecoder::new(header.len() as u8, 32_768);
        for body in &bodies {
            let decoded = decoder.decode(input);
            let message = decoded.frame.unwrap().unwrap();
            prop_assert_eq!(message.header, &header[..]);
            prop_assert_eq!(message.body, &body[..]);
            input = &input[decoded.consumed..];
        }
        prop_assert!(input.is_empty());
    }
}
