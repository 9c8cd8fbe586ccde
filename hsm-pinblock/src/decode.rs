//! Clear block to PIN.

use core::ops::RangeInclusive;

use crate::block::{Nibbles, unpack, xor};
use crate::context::Context;
use crate::error::DecodeError;
use crate::fill::Alphabet;
use crate::format::Format;
use crate::layout::{Fill, Layout, PadRule};
use crate::pin::Pin;

/// Reads the PIN out of a clear `block` in `format`. Total: any bytes give a PIN or an error.
///
/// The checks are strict, in the order control nibble, length nibble, PIN digits, fill; for formats without a length,
/// digits, fill, number of digits. Random fill is not looked at, but for ISO-3, where it must be `A` to `F`. The zeros
/// that Docutel and ECI-3 put behind a short PIN need only be decimal, as the host manual has it.
///
/// Without a length nibble some things cannot be known. ECI-2 always gives 4 digits. A decimal pad ends the PIN at its
/// first occurrence. OEM-1 without a pad in `context` takes the last nibble for the pad.
///
/// # Errors
/// [`DecodeError`] says what is wrong; its [`class`](DecodeError::class) is what the HSM reports.
pub fn decode(format: Format, block: &[u8], context: &Context<'_>) -> Result<Pin, DecodeError> {
    match format.layout() {
        Layout::Control { control, fill, mask } => {
            let mut nibbles = nibbles_of(block)?;
            xor(&mut nibbles, &unpack(&*context.mask(mask)?));
            read_control(&nibbles, control, fill)
        }
        Layout::SixPositions { .. } => {
            let nibbles = nibbles_of(block)?;
            let len = length(nibbles[0].into(), format.pin_len())?;
            all_decimal(&nibbles[1..7], 1)?;
            read_pin(&nibbles[..], 1, len)
        }
        Layout::Padded { sequence, pad } => {
            let start = if sequence { 4 } else { 0 };
            read_padded(&nibbles_of(block)?[..], start, pad, context)
        }
        Layout::FourDigits => read_pin(&nibbles_of(block)?[..], 0, 4),
        Layout::Epp => {
            let nibbles = nibbles_of(block)?;
            let len = length(nibbles[0].into(), format.pin_len())?;
            let pin = read_pin(&nibbles[..], 1, len)?;
            all_fill(&nibbles[..14], 1 + len, |nibble| nibble == 0xF)?;
            Ok(pin)
        }
        Layout::Iso4 => Err(DecodeError::NeedsCipher),
        Layout::Unknown => Err(DecodeError::Unsupported(format)),
    }
}

/// Reads control nibble, length nibble, PIN and fill. ISO format 4 starts the same way.
pub(crate) fn read_control(nibbles: &[u8; 16], control: u8, fill: Fill) -> Result<Pin, DecodeError> {
    if nibbles[0] != control {
        return Err(DecodeError::ControlNibble { expected: control });
    }
    let len = length(nibbles[1].into(), Pin::MIN_LEN..=Pin::MAX_LEN)?;
    let pin = read_pin(nibbles, 2, len)?;
    all_fill(nibbles, 2 + len, |nibble| match fill {
        Fill::Fixed(fixed) => nibble == fixed,
        Fill::Random(Alphabet::Letters) => nibble >= 0xA,
        Fill::Random(Alphabet::Decimal) => nibble <= 9,
        Fill::Random(Alphabet::Hex) => true,
    })?;
    Ok(pin)
}

fn read_padded(nibbles: &[u8], start: usize, rule: PadRule, context: &Context<'_>) -> Result<Pin, DecodeError> {
    let told = context.pad.map(|pad| pad.nibble());
    let (end, pad) = match rule {
        PadRule::F => (0xF, Some(0xF)),
        PadRule::AfterDelimiter => (0xF, told),
        PadRule::Configured => (told.unwrap_or(0xF), told.or(Some(0xF))),
        PadRule::Repeated => {
            let pad = told.or(nibbles.last().copied());
            (pad.unwrap_or(0xF), pad)
        }
    };
    let field = &nibbles[start..];
    let len = field.iter().position(|&nibble| nibble == end).unwrap_or(field.len());
    all_decimal(&field[..len], start)?;
    // The first nibble of the rest is what ended the PIN.
    all_fill(nibbles, start + len + 1, |nibble| pad.is_none_or(|pad| nibble == pad))?;
    length(len, Pin::MIN_LEN..=Pin::MAX_LEN)?;
    read_pin(nibbles, start, len)
}

fn nibbles_of(block: &[u8]) -> Result<Nibbles, DecodeError> {
    match block.try_into() {
        Ok(bytes) => Ok(unpack(bytes)),
        Err(_) => Err(DecodeError::BlockLength { expected: 8, actual: block.len() }),
    }
}

/// The PIN of `len` digits at `start`. The length has been checked.
fn read_pin(nibbles: &[u8], start: usize, len: usize) -> Result<Pin, DecodeError> {
    let digits = &nibbles[start..start + len];
    all_decimal(digits, start)?;
    Pin::from_values(digits).map_err(|_| DecodeError::PinLength { min: Pin::MIN_LEN, max: Pin::MAX_LEN })
}

fn length(len: usize, allowed: RangeInclusive<usize>) -> Result<usize, DecodeError> {
    if allowed.contains(&len) {
        Ok(len)
    } else {
        Err(DecodeError::PinLength { min: *allowed.start(), max: *allowed.end() })
    }
}

/// Checks digits that begin at nibble `start` of the block.
fn all_decimal(digits: &[u8], start: usize) -> Result<(), DecodeError> {
    match digits.iter().position(|&nibble| nibble > 9) {
        Some(index) => Err(DecodeError::PinDigit { position: start + index }),
        None => Ok(()),
    }
}

/// Checks the nibbles from `start` on; none if `start` is past the end.
fn all_fill(nibbles: &[u8], start: usize, is_fill: impl Fn(u8) -> bool) -> Result<(), DecodeError> {
    match nibbles.iter().enumerate().skip(start).find(|(_, nibble)| !is_fill(**nibble)) {
        Some((position, _)) => Err(DecodeError::Fill { position }),
        None => Ok(()),
    }
}
