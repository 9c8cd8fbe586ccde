//! The shapes a block can have. `format.rs` says which format has which; `encode.rs` and `decode.rs` write and read them.

use crate::fill::Alphabet;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Layout {
    /// Control nibble, length nibble, PIN, fill to the end; the whole xored with a mask.
    Control { control: u8, fill: Fill, mask: Mask },
    /// Length nibble, PIN in 6 positions filled with zeros, 9 pad nibbles.
    SixPositions { pad: Alphabet },
    /// Optional 4-nibble sequence number, then the PIN, then pad to the end. No length.
    Padded { sequence: bool, pad: PadRule },
    /// 4 PIN digits and 12 random nibbles. No length.
    FourDigits,
    /// Length nibble, PIN and `F` fill in 13 positions, 2-nibble sequence number.
    Epp,
    /// Two 16-byte fields chained through AES: see `iso4.rs`.
    Iso4,
    /// The format exists, but no public source says what it looks like.
    Unknown,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fill {
    Fixed(u8),
    Random(Alphabet),
}

/// What is xored over a [`Layout::Control`] block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mask {
    None,
    /// `0000` and the 12 rightmost account digits.
    Rightmost12,
    /// `0000` and the 12 leftmost account digits.
    Leftmost12,
    /// `00000000` and the 8 rightmost nibbles of the left half of UDK-A.
    Udk,
    /// The same, and the old PIN left-justified with zero fill.
    UdkAndOldPin,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum PadRule {
    /// Always `F`.
    F,
    /// An `F` ends the PIN; what follows is free, unless the caller names a pad.
    AfterDelimiter,
    /// The caller's pad, else `F`.
    Configured,
    /// As configured, but a decoder that was told no pad takes the last nibble for it.
    Repeated,
}
