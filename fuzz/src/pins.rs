//! PIN blocks: decoding is total, and every format reads back what it wrote.

use crate::{Choices, fill};
use hsm_core::cipher::BlockCipher;
use hsm_pinblock::{
    Account12, Context, EncodeError, ErrorClass, Format, Pad, Pan, Pin, PlusField, UdkA, decipher_iso4, decode,
    encipher_iso4, encode,
};

fn digits(choices: &mut Choices<'_>, len: usize) -> Vec<u8> {
    (0..len).map(|_| b'0' + choices.byte() % 10).collect()
}

fn pin(choices: &mut Choices<'_>) -> Pin {
    let len = Pin::MIN_LEN + choices.below(1 + Pin::MAX_LEN - Pin::MIN_LEN);
    Pin::from_digits(&digits(choices, len)).expect("4 to 12 digits")
}

/// A PIN, what formats need besides it, and at last a block to decode.
pub fn pin_block(data: &[u8]) {
    let mut choices = Choices(data);
    let format = Format::all().nth(choices.below(Format::all().len())).expect("the choice is below their number");
    let (new, old) = (pin(&mut choices), pin(&mut choices));
    let pan_len = 1 + choices.below(19);
    let pan_digits = digits(&mut choices, pan_len);
    let pan = Pan::from_digits(&pan_digits).expect("1 to 19 digits");
    let udk = UdkA::from_left_half(choices.array());
    let key = BlockCipher::aes(&choices.array::<16>()).expect("16 bytes");
    let pad = b"0123456789ABCDEF".get(choices.below(17)).copied().and_then(Pad::from_hex_digit);
    let seed = u64::from_be_bytes(choices.array());
    let mut context = Context::account(pan).with_udk(&udk).with_old_pin(&old);
    if let Some(pad) = pad {
        context = context.with_pad(pad);
    }

    match encode(format, &new, &context, &mut fill(seed)) {
        Ok(block) => assert_eq!(decode(format, block.as_bytes(), &context), Ok(new.clone()), "{format}"),
        Err(EncodeError::PinLength { .. }) => assert!(!format.pin_len().contains(&new.len()), "{format}"),
        Err(EncodeError::NeedsCipher) => assert_eq!(format, Format::Iso4),
        Err(EncodeError::Unsupported(refused)) => assert!(!refused.is_supported()),
        Err(EncodeError::Context(error)) => {
            assert!(pad.is_some(), "{format}: {error}, though everything is given but a pad");
        }
    }
    let block = encipher_iso4(&new, &pan, &key, &mut fill(seed));
    assert_eq!(decipher_iso4(&block, &pan, &key), Ok(new));

    let block = choices.rest();
    for format in Format::all() {
        for context in [Context::default(), context] {
            match decode(format, block, &context) {
                Ok(pin) => assert!(format.pin_len().contains(&pin.len()), "{format}"),
                // 69 is for a setting to give, or for a format whose layout is not known.
                Err(error) => {
                    assert_eq!(error.class() == ErrorClass::FormatDisabled, !format.is_supported(), "{format}")
                }
            }
        }
    }
    if let Some(block) = block.first_chunk() {
        let _ = decipher_iso4(block, &pan, &key);
        let _ = hsm_pinblock::read_iso4_pin_field(block);
    }
    let _ = (Account12::from_digits(block), Pan::from_digits(block), PlusField::from_field(block));
    let _ = (Pin::from_digits(block), Pin::from_values(block), Format::from_thales_code(block));
}
