//! Messages as a person types and reads them, and their frame.

use std::fmt::Write;

/// Longest message that the 2-byte length can announce.
pub(crate) const LONGEST: usize = u16::MAX as usize;

/// Reads text in which `<hex>` stands for bytes: `B20003<00FF19>`. A `<` of its own is `<3C>`.
///
/// # Errors
/// A line that says where the text is wrong.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        if first != b'<' {
            out.push(first);
            rest = after;
            continue;
        }
        let at = text.len() - rest.len() + 1;
        let Some(end) = after.iter().position(|c| *c == b'>') else {
            return Err(format!("the < at character {at} has no > (a < of its own is written <3C>)"));
        };
        let digits: Vec<u8> = after[..end].iter().copied().filter(|c| !c.is_ascii_whitespace()).collect();
        match bytes(&digits) {
            Some(bytes) => out.extend_from_slice(&bytes),
            None => return Err(format!("between < and > at character {at} there must be pairs of hexadecimal digits")),
        }
        rest = &after[end + 1..];
    }
    Ok(out)
}

/// Shows bytes as [`parse`] reads them.
pub(crate) fn show(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    let mut binary = false;
    for &byte in bytes {
        let plain = (byte.is_ascii_graphic() || byte == b' ') && byte != b'<';
        if plain == binary {
            out.push(if plain { '>' } else { '<' });
            binary = !plain;
        }
        if plain {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "{byte:02X}");
        }
    }
    if binary {
        out.push('>');
    }
    out
}

/// Upper-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
        let _ = write!(out, "{byte:02X}");
        out
    })
}

/// Length, header and message in one frame.
///
/// # Errors
/// A line for a message that the length cannot announce.
pub(crate) fn frame(header: &[u8], message: &[u8]) -> Result<Vec<u8>, String> {
    let len = header.len() + message.len();
    let prefix = u16::try_from(len).map_err(|_| format!("the message has {len} bytes, {LONGEST} are possible"))?;
    Ok([&prefix.to_be_bytes(), header, message].concat())
}

fn bytes(digits: &[u8]) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16);
    digits.chunks_exact(2).map(|pair| Some((value(pair[0])? * 16 + value(pair[1])?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_shows_as_text_that_reads_back() {
        let all: Vec<u8> = (0..=255).chain(*b"<<a>>").collect();
        assert_eq!(parse(show(&all).as_bytes()), Ok(all));
        assert_eq!(show(b"B2\x00\xFFa<"), "B2<00FF>a<3C>");
        assert_eq!(parse(b"a>b<0a 0B>"), Ok(b"a>b\x0A\x0B".to_vec()));
    }

    #[test]
    fn bad_escapes_are_named_with_their_place() {
        assert!(parse(b"ab<0").unwrap_err().contains("character 3"));
        assert!(parse(b"<0>").unwrap_err().contains("pairs"));
        assert!(parse(b"<zz>").unwrap_err().contains("pairs"));
    }

    #[test]
    fn frames_count_header_and_message() {
        assert_eq!(frame(b"1234", b"NC"), Ok(b"\x00\x061234NC".to_vec()));
        assert!(frame(b"1234", &[0; LONGEST - 3]).is_err());
    }
}
