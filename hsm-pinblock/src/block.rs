//! Clear blocks and the nibbles they are made of.

use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// A clear (not enciphered) PIN block, or the 16-byte PIN field of ISO format 4.
///
/// It holds a PIN in the clear, so it is wiped when dropped and does not print its content.
#[derive(Clone)]
pub struct ClearBlock<const N: usize = 8>([u8; N]);

impl<const N: usize> ClearBlock<N> {
    pub(crate) fn new(bytes: [u8; N]) -> ClearBlock<N> {
        ClearBlock(bytes)
    }

    /// The block's bytes, ready to be enciphered.
    pub fn as_bytes(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> AsRef<[u8]> for ClearBlock<N> {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> fmt::Debug for ClearBlock<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClearBlock(****)")
    }
}

impl<const N: usize> Drop for ClearBlock<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<const N: usize> ZeroizeOnDrop for ClearBlock<N> {}

/// The 16 nibbles of an 8-byte block, leftmost first, each 0..=15.
pub(crate) type Nibbles = Zeroizing<[u8; 16]>;

pub(crate) fn unpack(bytes: &[u8; 8]) -> Nibbles {
    let mut nibbles = Zeroizing::new([0; 16]);
    for (pair, byte) in nibbles.chunks_exact_mut(2).zip(bytes) {
        pair[0] = byte >> 4;
        pair[1] = byte & 0x0F;
    }
    nibbles
}

/// Packs nibbles two to a byte, leftmost first; what `nibbles` does not reach stays 0.
pub(crate) fn pack<const N: usize>(nibbles: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(nibbles.chunks(2)) {
        *byte = pair[0] << 4 | pair.get(1).copied().unwrap_or(0);
    }
    bytes
}

pub(crate) fn xor<const N: usize>(bytes: &mut [u8; N], mask: &[u8; N]) {
    for (byte, mask) in bytes.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}
