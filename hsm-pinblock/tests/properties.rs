//! What holds for every format, PIN, account number and block.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy.toml frees the tests, not their helper functions")]

use hsm_pinblock::{
    Account12, AccountUse, BlockCipher16, ClearBlock, Context, ContextError, DecodeError, EncodeError, ErrorClass,
    Format, Pad, Pan, Pin, PlusField, UdkA, decipher_iso4, decode, encipher_iso4, encode,
};
use proptest::prelude::*;

/// The formats `encode` makes: all but ISO-4 (needs a cipher) and AS2805 (layout unknown).
fn clear_formats() -> Vec<Format> {
    Format::all().filter(|format| !matches!(format, Format::Iso4 | Format::As2805)).collect()
}

/// Those whose block the PIN and the context determine, so that a strict decoder takes no other.
const DETERMINED: [Format; 7] = [
    Format::Iso0,
    Format::Diebold,
    Format::Plus,
    Format::Iso2,
    Format::PayNowPayLater,
    Format::VisaNewPin,
    Format::VisaNewAndOldPin,
];

fn digits(len: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(b'0'..=b'9', len)
}

fn pin() -> impl Strategy<Value = Pin> {
    digits(4..=12).prop_map(|digits| Pin::from_digits(&digits).unwrap())
}

/// A context that has all any format may need.
#[derive(Debug)]
struct Everything {
    pan: Pan,
    udk: UdkA,
    old_pin: Pin,
}

impl Everything {
    fn context(&self) -> Context<'_> {
        Context::account(self.pan).with_udk(&self.udk).with_old_pin(&self.old_pin)
    }
}

fn everything() -> impl Strategy<Value = Everything> {
    (digits(12..=19), any::<[u8; 8]>(), pin()).prop_map(|(pan, udk, old_pin)| Everything {
        pan: Pan::from_digits(&pan).unwrap(),
        udk: UdkA::from_left_half(udk),
        old_pin,
    })
}

/// splitmix64: reproducible from proptest's seed.
fn random(mut seed: u64) -> impl FnMut(&mut [u8]) {
    move |buffer: &mut [u8]| {
        for byte in buffer {
            seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = (seed ^ seed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
            *byte = (mixed >> 56) as u8;
        }
    }
}

/// A stand-in for AES: invertible, and every byte of the result depends on its neighbours.
struct Mixer(u8);

impl BlockCipher16 for Mixer {
    fn encrypt(&self, block: &mut [u8; 16]) {
        let mut last = self.0;
        for byte in block {
            *byte = (*byte ^ last).rotate_left(3);
            last = *byte;
        }
    }

    fn decrypt(&self, block: &mut [u8; 16]) {
        let mut last = self.0;
        for byte in block {
            let enciphered = *byte;
            *byte = enciphered.rotate_right(3) ^ last;
            last = enciphered;
        }
    }
}

proptest! {
    #[test]
    fn every_format_reads_back_what_it_wrote(pin in pin(), given in everything(), seed: u64) {
        for format in clear_formats() {
            let made = encode(format, &pin, &given.context(), &mut random(seed));
            if format.pin_len().contains(&pin.len()) {
                let block = made.unwrap();
                prop_assert_eq!(decode(format, block.as_bytes(), &given.context()), Ok(pin.clone()), "{}", format);
            } else {
                prop_assert_eq!(made.unwrap_err().class(), ErrorClass::Length, "{}", format);
            }
        }
    }

    #[test]
    fn iso4_reads_back_what_it_wrote(pin in pin(), pan in digits(1..=19), seed: u64, key: u8) {
        let pan = Pan::from_digits(&pan).unwrap();
        let block = encipher_iso4(&pin, &pan, &Mixer(key), &mut random(seed));
        prop_assert_eq!(decipher_iso4(&block, &pan, &Mixer(key)), Ok(pin));
    }

    #[test]
    fn a_chosen_pad_reads_back_or_is_refused(pin in pin(), pad in prop::char::range('0', 'F'), seed: u64) {
        let Some(pad_nibble) = Pad::from_hex_digit(pad as u8) else { return Ok(()) };
        let context = Context::default().with_pad(pad_nibble);
        let ambiguous = pin.digits().iter().any(|&digit| Some(u32::from(digit)) == pad.to_digit(16));
        for format in [Format::Oem1, Format::Ibm3624, Format::Ibm3621, Format::Visa3] {
            let made = encode(format, &pin, &context, &mut random(seed));
            if ambiguous && format != Format::Visa3 {
                prop_assert_eq!(made.unwrap_err(), EncodeError::Context(ContextError::PadIsPinDigit));
                continue;
            }
            let block = made.unwrap();
            prop_assert_eq!(decode(format, block.as_bytes(), &context), Ok(pin.clone()), "{}", format);
            if format == Format::Oem1 {
                // The pad can be told from the block.
                prop_assert_eq!(decode(format, block.as_bytes(), &Context::default()), Ok(pin.clone()));
            }
        }
    }

    /// No panic, and a PIN that comes out is one the format holds.
    #[test]
    fn decoding_is_total(block in prop::collection::vec(any::<u8>(), 0..20), given in everything(), pad in 0..16_usize) {
        let pad = Pad::from_hex_digit(b"0123456789ABCDEF"[pad]).unwrap();
        for format in Format::all() {
            for context in [Context::default(), given.context(), given.context().with_pad(pad)] {
                match decode(format, &block, &context) {
                    Ok(pin) => {
                        prop_assert_eq!(block.len(), 8);
                        prop_assert!(format.pin_len().contains(&pin.len()));
                    }
                    Err(error) => prop_assert!(!error.to_string().is_empty()),
                }
            }
        }
    }

    /// Blocks near a good one, which random bytes hardly ever are: each is refused, or is what its PIN encodes to.
    #[test]
    fn strict_formats_take_one_block_per_pin(pin in pin(), given in everything(), at in 0..16_usize, flip in 1..16_u8) {
        for format in DETERMINED {
            let mut block = *encode(format, &pin, &given.context(), &mut random(0)).unwrap().as_bytes();
            block[at / 2] ^= if at % 2 == 0 { flip << 4 } else { flip };
            if let Ok(other) = decode(format, &block, &given.context()) {
                prop_assert_ne!(&other, &pin);
                let again = encode(format, &other, &given.context(), &mut random(0)).unwrap();
                prop_assert_eq!(*again.as_bytes(), block, "{}", format);
            }
        }
    }

    #[test]
    fn iso4_deciphering_is_total(block: [u8; 16], pan in digits(1..=19), key: u8) {
        let pan = Pan::from_digits(&pan).unwrap();
        if let Err(error) = decipher_iso4(&block, &pan, &Mixer(key)) {
            prop_assert!(matches!(error.class(), ErrorClass::Structure | ErrorClass::Length));
        }
    }
}

/// The check of each nibble, on blocks that are right but for one thing.
#[test]
fn refusals_say_what_and_where() {
    let zero = Context::account(Account12::from_digits(b"000000000000").unwrap());
    let plus = Context::account(PlusField::from_field(b"000000000000000000").unwrap());
    let pad_d = Context::default().with_pad(Pad::from_hex_digit(b'D').unwrap());
    let none = Context::default();
    let long = DecodeError::PinLength { min: 4, max: 12 };
    let short = DecodeError::PinLength { min: 4, max: 6 };
    for (format, context, block, error) in [
        (Format::Iso0, zero, 0x1412_34FF_FFFF_FFFF_u64, DecodeError::ControlNibble { expected: 0 }),
        (Format::Iso0, zero, 0x0312_34FF_FFFF_FFFF, long),
        (Format::Iso0, zero, 0x0D12_3456_7890_123F, long),
        (Format::Iso0, zero, 0x0412_3AFF_FFFF_FFFF, DecodeError::PinDigit { position: 5 }),
        (Format::Iso0, zero, 0x0412_34FF_FFFF_FF9F, DecodeError::Fill { position: 14 }),
        (Format::Plus, plus, 0x0412_34EF_FFFF_FFFF, DecodeError::Fill { position: 6 }),
        (Format::Docutel, none, 0x3123_0001_2345_6789, short),
        (Format::Docutel, none, 0x7123_4567_2345_6789, short),
        (Format::Docutel, none, 0x4123_4A01_2345_6789, DecodeError::PinDigit { position: 5 }),
        (Format::Docutel, none, 0x4123_40F1_2345_6789, DecodeError::PinDigit { position: 6 }),
        (Format::Diebold, none, 0x123A_FFFF_FFFF_FFFF, DecodeError::PinDigit { position: 3 }),
        (Format::Diebold, none, 0x1234_FFFF_FFFF_FFF1, DecodeError::Fill { position: 15 }),
        (Format::Diebold, none, 0x123F_FFFF_FFFF_FFFF, long),
        (Format::Diebold, none, 0x1234_5678_9012_3FFF, long),
        (Format::Diebold, none, 0x1234_5678_9012_3456, long),
        (Format::Iso1, none, 0x0412_3400_0000_0000, DecodeError::ControlNibble { expected: 1 }),
        (Format::Iso1, none, 0x1412_3B00_0000_0000, DecodeError::PinDigit { position: 5 }),
        (Format::Iso1, none, 0x1D12_3400_0000_0000, long),
        (Format::Iso2, none, 0x2412_34FF_FFFF_FFF0, DecodeError::Fill { position: 15 }),
        (Format::PayNowPayLater, zero, 0x0412_34FF_FFFF_FFFF, DecodeError::ControlNibble { expected: 2 }),
        (Format::Iso3, zero, 0x3412_34AB_CDEF_A9BC, DecodeError::Fill { position: 13 }),
        (Format::Eci2, none, 0x123A_0000_0000_0000, DecodeError::PinDigit { position: 3 }),
        (Format::Visa3, none, 0x123A_F000_0000_0000, DecodeError::PinDigit { position: 3 }),
        (Format::Visa3, none, 0x123F_4000_0000_0000, long),
        (Format::Visa3, pad_d, 0x1234_FDDD_DDDD_DDDF, DecodeError::Fill { position: 15 }),
        (Format::Oem1, none, 0x1234_DDDD_CDDD_DDDD, DecodeError::Fill { position: 8 }),
        (Format::Oem1, none, 0x5555_5555_5555_5555, long),
        (Format::Oem1, pad_d, 0x1234_CCCC_CCCC_CCCC, DecodeError::PinDigit { position: 4 }),
        (Format::Ibm3624, pad_d, 0x1234_DDDD_DDDD_DDDF, DecodeError::Fill { position: 15 }),
        (Format::Ibm3624, none, 0x1234_DDDD_DDDD_DDDD, DecodeError::PinDigit { position: 4 }),
        (Format::Ibm3621, none, 0xABCD_123A_FFFF_FFFF, DecodeError::PinDigit { position: 7 }),
        (Format::Ibm3621, none, 0xABCD_1234_FFFF_FF1F, DecodeError::Fill { position: 14 }),
        (Format::Ibm4704Epp, none, 0x4123_4FFF_FFFF_F0AB, DecodeError::Fill { position: 13 }),
        (Format::Ibm4704Epp, none, 0xD123_4567_8901_23AB, long),
    ] {
        assert_eq!(decode(format, &block.to_be_bytes(), &context), Err(error), "{format} {block:016X}");
        let class =
            if matches!(error, DecodeError::PinLength { .. }) { ErrorClass::Length } else { ErrorClass::Structure };
        assert_eq!(error.class(), class);
    }
    for len in [0, 7, 9, 16] {
        assert_eq!(
            decode(Format::Iso1, &[0; 16][..len], &none),
            Err(DecodeError::BlockLength { expected: 8, actual: len })
        );
    }
}

/// Blocks of the formats that neither the public vectors nor the specification have.
#[test]
fn layouts_without_public_vectors() {
    let pin = Pin::from_digits(b"1234").unwrap();
    let context = Context::default().with_sequence(0x5AC3);
    let pad_d = Pad::from_hex_digit(b'd').unwrap();
    for (format, context, block) in [
        (Format::Eci2, context, 0x1234_0000_0000_0000_u64),
        (Format::Eci3, context, 0x4123_4000_0000_0000),
        (Format::Visa3, context, 0x1234_FFFF_FFFF_FFFF),
        (Format::Visa3, context.with_pad(pad_d), 0x1234_FDDD_DDDD_DDDD),
        (Format::Oem1, context.with_pad(pad_d), 0x1234_DDDD_DDDD_DDDD),
        (Format::Ibm3624, context, 0x1234_FFFF_FFFF_FFFF),
        (Format::Ibm3621, context.with_pad(pad_d), 0x5AC3_1234_DDDD_DDDD),
        (Format::Ibm4704Epp, context, 0x4123_4FFF_FFFF_FFC3),
    ] {
        let made = encode(format, &pin, &context, &mut |buffer: &mut [u8]| buffer.fill(0)).unwrap();
        assert_eq!(made.as_bytes(), &block.to_be_bytes(), "{format}");
    }
}

/// A format that lacks an input says so, as the HSM would; one that does not need it goes on.
#[test]
fn missing_inputs_are_named() {
    let pin = Pin::from_digits(b"1234").unwrap();
    let old_pin = Pin::from_digits(b"4321").unwrap();
    let udk = UdkA::from_left_half([1; 8]);
    let twelve = Context::account(Account12::from_digits(b"400000123456").unwrap());
    for format in clear_formats() {
        let (context, error, class) = match format {
            Format::Plus => (twelve, ContextError::NoLeftmostDigits, ErrorClass::Account),
            Format::VisaNewPin => (twelve, ContextError::NoUdk, ErrorClass::Input),
            Format::VisaNewAndOldPin => (Context::udk(&udk), ContextError::NoOldPin, ErrorClass::Input),
            _ if format.account() == AccountUse::Rightmost12 => {
                (Context::udk(&udk).with_old_pin(&old_pin), ContextError::NoAccount, ErrorClass::Account)
            }
            _ => {
                assert!(encode(format, &pin, &Context::default(), &mut random(0)).is_ok(), "{format}");
                continue;
            }
        };
        let made = encode(format, &pin, &context, &mut random(0)).unwrap_err();
        assert_eq!(made, EncodeError::Context(error), "{format}");
        assert_eq!(made.class(), class);
        assert_eq!(decode(format, &[0; 8], &context), Err(DecodeError::Context(error)), "{format}");
    }
}

#[test]
fn formats_without_a_clear_block_are_refused() {
    let pin = Pin::from_digits(b"1234").unwrap();
    let context = Context::account(Pan::from_digits(b"4111111111111111").unwrap());
    for (format, host_error) in [(Format::Iso4, "23"), (Format::As2805, "69")] {
        let encoded = encode(format, &pin, &context, &mut random(0)).unwrap_err();
        let decoded = decode(format, &vec![0; format.block_len()], &context).unwrap_err();
        assert_eq!((encoded.class().host_error(), decoded.class().host_error()), (host_error, host_error));
    }
}

/// Every symbol of a random fill occurs, and no other.
#[test]
fn random_fill_covers_its_alphabet() {
    let pin = Pin::from_digits(b"1234").unwrap();
    let zero = Context::account(Account12::from_digits(b"000000000000").unwrap());
    let mut source = random(1);
    for (format, from, symbols) in [
        (Format::Docutel, 7, "0123456789"),
        (Format::Iso1, 6, "0123456789ABCDEF"),
        (Format::Iso3, 6, "ABCDEF"),
        (Format::Eci2, 4, "0123456789ABCDEF"),
        (Format::Eci3, 7, "0123456789ABCDEF"),
    ] {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let block = encode(format, &pin, &zero, &mut source).unwrap();
            seen.extend(hex(&block)[from..].chars());
        }
        assert_eq!(seen.into_iter().collect::<String>(), symbols, "{format}");
    }
}

#[test]
fn a_clear_block_does_not_print() {
    let pin = Pin::from_digits(b"1234").unwrap();
    let block = encode(Format::Diebold, &pin, &Context::default(), &mut random(0)).unwrap();
    assert_eq!(format!("{block:?}"), "ClearBlock(****)");
}

fn hex(block: &ClearBlock) -> String {
    block.as_bytes().iter().map(|byte| format!("{byte:02X}")).collect()
}
