//! Where the random fill of a block comes from.

/// A source of random bytes for the fill of a PIN block.
///
/// Any `FnMut(&mut [u8])` is one. Production callers pass a cryptographic generator; tests pass fixed bytes.
///
/// The encoders take their fill from it in one call for 8 bytes, and only for formats that have random fill. Those
/// bytes, read as one big-endian number, give the fill symbols as its low-order digits in base 16 (any hex), 10
/// (decimal pad) or 6 (`A` to `F`). So a test that wants the Docutel pad `123456789` supplies the number 123456789,
/// and the bias of the reduction is below 2^-33.
pub trait FillSource {
    /// Overwrites all of `buffer` with random bytes.
    fn fill(&mut self, buffer: &mut [u8]);
}

impl<F: FnMut(&mut [u8])> FillSource for F {
    fn fill(&mut self, buffer: &mut [u8]) {
        self(buffer);
    }
}

/// The kinds of random fill: the size of the alphabet and its first nibble.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Alphabet {
    Hex,
    Decimal,
    Letters,
}

/// Fills `out` (at most 16 nibbles) with symbols of `alphabet`.
pub(crate) fn draw(source: &mut (impl FillSource + ?Sized), alphabet: Alphabet, out: &mut [u8]) {
    let (radix, first) = match alphabet {
        Alphabet::Hex => (16, 0),
        Alphabet::Decimal => (10, 0),
        Alphabet::Letters => (6, 0xA),
    };
    let mut bytes = [0; 8];
    source.fill(&mut bytes);
    let mut number = u64::from_be_bytes(bytes);
    for nibble in out.iter_mut().rev() {
        *nibble = first + (number % radix) as u8;
        number /= radix;
    }
}
