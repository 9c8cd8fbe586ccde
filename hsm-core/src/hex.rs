//! Hexadecimal text. Upper case on output, both cases on input.

use zeroize::Zeroizing;

/// The bytes as upper-case hexadecimal digits.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)] as char, DIGITS[usize::from(b & 15)] as char]).collect()
}

/// The bytes of hexadecimal digits, or `None` for an odd number of digits or another character. Erased on drop, since it may
/// be a key.
#[must_use]
pub fn decode(digits: impl AsRef<[u8]>) -> Option<Zeroizing<Vec<u8>>> {
    let digits = digits.as_ref();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let mut out = Zeroizing::new(Vec::with_capacity(digits.len() / 2));
    for pair in digits.chunks_exact(2) {
        out.push(nibble(pair[0])? << 4 | nibble(pair[1])?);
    }
    Some(out)
}

fn nibble(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|n| n as u8)
}
