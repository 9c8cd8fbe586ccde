//! PIN to clear block.

use zeroize::Zeroizing;

use crate::block::{ClearBlock, Nibbles, pack, xor};
use crate::context::{Context, Pad};
use crate::error::{ContextError, EncodeError};
use crate::fill::{Alphabet, FillSource, draw};
use crate::format::Format;
use crate::layout::{Fill, Layout, PadRule};
use crate::pin::Pin;

/// Makes the clear 8-byte block of `pin` in `format`; the caller enciphers it.
///
/// `fill` is asked for 8 bytes if the format has random fill or a sequence number that `context` does not give.
///
/// # Errors
/// [`EncodeError::PinLength`] if the PIN is too long for the format; [`EncodeError::Context`] if `context` lacks what the
/// format needs, or its pad is a digit of the PIN; [`EncodeError::NeedsCipher`] for ISO format 4, whose blocks
/// [`encipher_iso4`](crate::encipher_iso4) makes; [`EncodeError::Unsupported`] for AS2805.
pub fn encode(
    format: Format,
    pin: &Pin,
    context: &Context<'_>,
    fill: &mut (impl FillSource + ?Sized),
) -> Result<ClearBlock, EncodeError> {
    let pin_len = format.pin_len();
    let fits = if pin_len.contains(&pin.len()) {
        Ok(())
    } else {
        Err(EncodeError::PinLength { min: *pin_len.start(), max: *pin_len.end() })
    };
    let mut nibbles: Nibbles = Zeroizing::new([0; 16]);
    let mut mask = Zeroizing::new([0; 8]);
    match format.layout() {
        Layout::Control { control, fill: kind, mask: masked_by } => {
            mask = context.mask(masked_by)?;
            write_control(&mut nibbles, control, pin, kind, fill);
        }
        Layout::SixPositions { pad } => {
            fits?;
            nibbles[0] = pin.len() as u8;
            write_pin(&mut nibbles[1..], pin);
            draw(fill, pad, &mut nibbles[7..]);
        }
        Layout::Padded { sequence, pad } => {
            let (head, rest) = nibbles.split_at_mut(if sequence { 4 } else { 0 });
            if sequence {
                write_sequence(head, context.sequence, fill);
            }
            let tail = write_pin(rest, pin);
            write_pad(tail, pin, pad, context.pad.unwrap_or(Pad::F))?;
        }
        Layout::FourDigits => {
            fits?;
            let tail = write_pin(&mut nibbles[..], pin);
            draw(fill, Alphabet::Hex, tail);
        }
        Layout::Epp => {
            let (head, sequence) = nibbles.split_at_mut(14);
            head[0] = pin.len() as u8;
            write_pin(&mut head[1..], pin).fill(0xF);
            write_sequence(sequence, context.sequence, fill);
        }
        Layout::Iso4 => return Err(EncodeError::NeedsCipher),
        Layout::Unknown => return Err(EncodeError::Unsupported(format)),
    }
    let mut bytes = Zeroizing::new(pack(&nibbles[..]));
    xor(&mut bytes, &mask);
    Ok(ClearBlock::new(*bytes))
}

/// Writes control nibble, length nibble, PIN and fill. ISO format 4 starts the same way.
pub(crate) fn write_control(
    nibbles: &mut [u8; 16],
    control: u8,
    pin: &Pin,
    fill: Fill,
    source: &mut (impl FillSource + ?Sized),
) {
    nibbles[0] = control;
    nibbles[1] = pin.len() as u8;
    let tail = write_pin(&mut nibbles[2..], pin);
    match fill {
        Fill::Fixed(nibble) => tail.fill(nibble),
        Fill::Random(alphabet) => draw(source, alphabet, tail),
    }
}

/// Writes the digits and returns what is left after them.
fn write_pin<'n>(nibbles: &'n mut [u8], pin: &Pin) -> &'n mut [u8] {
    let (head, tail) = nibbles.split_at_mut(pin.len());
    head.copy_from_slice(pin.digits());
    tail
}

fn write_pad(tail: &mut [u8], pin: &Pin, rule: PadRule, pad: Pad) -> Result<(), ContextError> {
    let pad = pad.nibble();
    match rule {
        PadRule::F => tail.fill(0xF),
        PadRule::AfterDelimiter => {
            tail.fill(pad);
            if let Some(delimiter) = tail.first_mut() {
                *delimiter = 0xF;
            }
        }
        PadRule::Configured | PadRule::Repeated if pin.digits().contains(&pad) => {
            return Err(ContextError::PadIsPinDigit);
        }
        PadRule::Configured | PadRule::Repeated => tail.fill(pad),
    }
    Ok(())
}

/// Writes the low-order nibbles of the sequence number, drawing one if none is given.
fn write_sequence(nibbles: &mut [u8], sequence: Option<u16>, source: &mut (impl FillSource + ?Sized)) {
    let Some(mut number) = sequence else {
        return draw(source, Alphabet::Hex, nibbles);
    };
    for nibble in nibbles.iter_mut().rev() {
        *nibble = (number & 0xF) as u8;
        number >>= 4;
    }
}
