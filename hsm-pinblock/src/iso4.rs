//! ISO 9564 format 4 (Thales 48): the block that is chained twice through AES.

use zeroize::Zeroizing;

use crate::block::{ClearBlock, Nibbles, pack, unpack, xor};
use crate::context::Pan;
use crate::decode::read_control;
use crate::encode::write_control;
use crate::error::DecodeError;
use crate::fill::FillSource;
use crate::layout::Fill;
use crate::pin::Pin;

const CONTROL: u8 = 4;
const FILL: Fill = Fill::Fixed(0xA);

/// A block cipher with 16-byte blocks under one key: AES-128, AES-192 or AES-256.
pub trait BlockCipher16 {
    /// Enciphers one block in place.
    fn encrypt(&self, block: &mut [u8; 16]);
    /// Deciphers one block in place.
    fn decrypt(&self, block: &mut [u8; 16]);
}

/// Makes the enciphered block of `pin` and `pan`: `E(E(PIN field) xor PAN field)`.
///
/// `fill` is asked once for the 8 random bytes of the PIN field.
pub fn encipher_iso4(
    pin: &Pin,
    pan: &Pan,
    cipher: &(impl BlockCipher16 + ?Sized),
    fill: &mut (impl FillSource + ?Sized),
) -> [u8; 16] {
    let mut block = Zeroizing::new(*iso4_pin_field(pin, fill).as_bytes());
    cipher.encrypt(&mut block);
    xor(&mut block, &iso4_pan_field(pan));
    cipher.encrypt(&mut block);
    *block
}

/// Deciphers a block made by [`encipher_iso4`] with the same account number and key, and reads its PIN.
///
/// # Errors
/// [`DecodeError::ControlNibble`], [`DecodeError::PinLength`], [`DecodeError::PinDigit`] or [`DecodeError::Fill`] if what
/// comes out is no PIN field. So do all but about one in 16 million wrong keys or account numbers.
pub fn decipher_iso4(block: &[u8; 16], pan: &Pan, cipher: &(impl BlockCipher16 + ?Sized)) -> Result<Pin, DecodeError> {
    let mut field = Zeroizing::new(*block);
    cipher.decrypt(&mut field);
    xor(&mut field, &iso4_pan_field(pan));
    cipher.decrypt(&mut field);
    read_iso4_pin_field(&field)
}

/// The clear PIN field: `4 N P..P A..A` in 8 bytes, then 8 random bytes.
pub fn iso4_pin_field(pin: &Pin, fill: &mut (impl FillSource + ?Sized)) -> ClearBlock<16> {
    let mut nibbles: Nibbles = Zeroizing::new([0; 16]);
    write_control(&mut nibbles, CONTROL, pin, FILL, fill);
    let mut field = Zeroizing::new(pack::<16>(&nibbles[..]));
    fill.fill(&mut field[8..]);
    ClearBlock::new(*field)
}

/// Reads the PIN out of a clear PIN field.
///
/// # Errors
/// [`DecodeError::ControlNibble`], [`DecodeError::PinLength`], [`DecodeError::PinDigit`] or [`DecodeError::Fill`].
pub fn read_iso4_pin_field(field: &[u8; 16]) -> Result<Pin, DecodeError> {
    let mut head = Zeroizing::new([0; 8]);
    head.copy_from_slice(&field[..8]);
    read_control(&unpack(&head), CONTROL, FILL)
}

/// The PAN field: the number of digits beyond 12, the digits, zero fill. Fewer than 12 are zero filled on the left.
pub fn iso4_pan_field(pan: &Pan) -> [u8; 16] {
    let digits = pan.digits();
    let mut nibbles = [0; 32];
    nibbles[0] = digits.len().saturating_sub(12) as u8;
    let start = 1 + 12_usize.saturating_sub(digits.len());
    nibbles[start..start + digits.len()].copy_from_slice(digits);
    pack(&nibbles)
}
