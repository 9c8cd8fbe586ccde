//! Known answers: every row of `testdata/pin_blocks.json`, and the vectors of the payShield specification.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy.toml frees the tests, not their helper functions")]

use aes::{Aes128, Aes192, Aes256};
use cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use des::TdesEde2;
use hsm_pinblock::{
    Account12, BlockCipher16, Context, DecodeError, Format, Pan, Pin, PlusField, UdkA, decipher_iso4, decode,
    encipher_iso4, encode, iso4_pan_field, iso4_pin_field, read_iso4_pin_field,
};
use serde_json::Value;

/// How many rows of each kind `testdata/pin_blocks.json` has. A row of a kind this test does not know fails it, and so
/// does a change in these numbers: no row is skipped.
const EXPECTED: Tally = Tally {
    encode_and_decode: 22,
    decode: 16,
    refuse: 15,
    prefix: 1,
    iso4_pan_field: 13,
    iso4_pin_field: 4,
    iso4_double: 1,
    iso4_identity: 1,
    iso4_enciphered: 3,
    tdes: 9,
};

#[derive(Debug, Default, PartialEq)]
struct Tally {
    /// The block is made and read back.
    encode_and_decode: usize,
    /// The block is read.
    decode: usize,
    /// The block must not be read, for the reason given.
    refuse: usize,
    /// The rest of the block is random.
    prefix: usize,
    iso4_pan_field: usize,
    iso4_pin_field: usize,
    /// PIN field and PAN field.
    iso4_double: usize,
    /// Both fields xored, no cipher.
    iso4_identity: usize,
    iso4_enciphered: usize,
    /// The block is made, enciphered with TDES, and read back.
    tdes: usize,
}

#[test]
fn public_known_answers() {
    let rows: Vec<Value> = serde_json::from_str(include_str!("../testdata/pin_blocks.json")).unwrap();
    let mut tally = Tally::default();
    for row in &rows {
        Row(row).run(&mut tally);
    }
    assert_eq!(tally, EXPECTED);
    assert_eq!(rows.len(), 85);
}

struct Row<'a>(&'a Value);

impl Row<'_> {
    fn run(&self, tally: &mut Tally) {
        let format = self.format();
        let expect = |name: &str| self.0["expected"][name].as_str();
        if expect("encrypted_pin_block").is_some() && format == Format::Iso4 {
            tally.iso4_enciphered += 1;
            self.iso4_enciphered();
        } else if expect("encrypted_pin_block").is_some() {
            tally.tdes += 1;
            self.tdes(format);
        } else if let Some(block) = expect("pin_block") {
            tally.encode_and_decode += 1;
            self.encode_and_decode(format, &bytes(block));
        } else if let Some(pin) = expect("pin") {
            tally.decode += 1;
            assert_eq!(self.decode(format), Ok(self.pin_from(pin)), "{}", self.id());
        } else if let Some(reason) = expect("error") {
            tally.refuse += 1;
            self.refuse(format, reason);
        } else if let Some(prefix) = expect("pin_block_prefix") {
            tally.prefix += 1;
            let block = self.with_context(|context| encode(format, &self.pin(), context, &mut number(0)).unwrap());
            assert!(hex(block.as_bytes()).starts_with(prefix), "{}", self.id());
        } else if let Some(field) = expect("pan_field") {
            tally.iso4_pan_field += 1;
            assert_eq!(hex(&iso4_pan_field(&self.pan())), field, "{}", self.id());
        } else if let Some(pan_field) = expect("pan_field_published") {
            tally.iso4_double += 1;
            assert_eq!(hex(&iso4_pan_field(&self.pan())), pan_field, "{}", self.id());
            self.iso4_pin_field(expect("pin_field_prefix").unwrap());
        } else if let Some(prefix) = expect("pin_field_prefix") {
            tally.iso4_pin_field += 1;
            self.iso4_pin_field(prefix);
        } else if let Some(first8) = expect("first8") {
            tally.iso4_identity += 1;
            let block = encipher_iso4(&self.pin(), &self.pan(), &Identity, &mut number(0));
            assert_eq!(hex(&block[..8]), first8, "{}", self.id());
        } else {
            panic!("{}: a kind of row this test does not know", self.id());
        }
    }

    fn encode_and_decode(&self, format: Format, block: &[u8]) {
        self.with_context(|context| {
            let made = encode(format, &self.pin(), context, &mut self.fill(block)).unwrap();
            assert_eq!(hex(made.as_bytes()), hex(block), "{}", self.id());
            assert_eq!(decode(format, block, context), Ok(self.pin()), "{}", self.id());
        });
    }

    fn decode(&self, format: Format) -> Result<Pin, DecodeError> {
        self.with_context(|context| decode(format, &bytes(self.input("pin_block").unwrap()), context))
    }

    fn refuse(&self, format: Format, reason: &str) {
        let error = self.decode(format).unwrap_err();
        let right = match reason {
            "PIN length 15" | "PIN length 2" => error == DecodeError::PinLength { min: 4, max: 12 },
            "control field is not 0" => error == DecodeError::ControlNibble { expected: 0 },
            "control field is not 2" => error == DecodeError::ControlNibble { expected: 2 },
            "control field is not 3" => error == DecodeError::ControlNibble { expected: 3 },
            "filler not F" => matches!(error, DecodeError::Fill { .. }),
            "PIN digit not numeric" => matches!(error, DecodeError::PinDigit { .. }),
            "invalid PIN block" => error.class().host_error() == "20",
            other => panic!("{}: unknown reason {other}", self.id()),
        };
        assert!(right, "{}: {error:?} instead of {reason}", self.id());
    }

    fn iso4_pin_field(&self, prefix: &str) {
        let field = iso4_pin_field(&self.pin(), &mut number(0x0123_4567_89AB_CDEF));
        assert_eq!(hex(field.as_bytes()), format!("{prefix}0123456789ABCDEF"), "{}", self.id());
        assert_eq!(read_iso4_pin_field(field.as_bytes()), Ok(self.pin()), "{}", self.id());
    }

    fn iso4_enciphered(&self) {
        let cipher = Aes::new(&bytes(self.input("key").unwrap()));
        let field = bytes(self.input("pin_field").unwrap());
        let block = bytes(self.0["expected"]["encrypted_pin_block"].as_str().unwrap());
        let random = u64::from_be_bytes(field[8..].try_into().unwrap());
        let made = encipher_iso4(&self.pin(), &self.pan(), &cipher, &mut number(random));
        assert_eq!(hex(&made), hex(&block), "{}", self.id());
        assert_eq!(decipher_iso4(&made, &self.pan(), &cipher), Ok(self.pin()), "{}", self.id());
    }

    fn tdes(&self, format: Format) {
        let key = bytes(self.input("key").unwrap());
        let expected = &self.0["expected"];
        self.encode_and_decode(format, &bytes(expected["clear_pin_block"].as_str().unwrap()));
        let enciphered = bytes(expected["encrypted_pin_block"].as_str().unwrap());
        self.with_context(|context| {
            let clear = tdes_decrypt(&key, &enciphered);
            assert_eq!(decode(format, &clear, context), Ok(self.pin()), "{}", self.id());
            let made = encode(format, &self.pin(), context, &mut self.fill(&clear)).unwrap();
            assert_eq!(hex(&tdes_encrypt(&key, made.as_bytes())), hex(&enciphered), "{}", self.id());
        });
    }

    /// Random fill that gives the row's: its pad digits, or else the low-order nibbles of the block it expects (only
    /// ISO-1 looks at those, whose fill has no other source in these rows).
    fn fill(&self, block: &[u8]) -> impl FnMut(&mut [u8]) + use<> {
        match self.input("padding") {
            Some(padding) => number(padding.parse().unwrap()),
            None => number(u64::from_be_bytes(block.try_into().unwrap())),
        }
    }

    fn with_context<T>(&self, act: impl FnOnce(&Context<'_>) -> T) -> T {
        let udk = self.input("udk_ac").map(|key| UdkA::from_left_half(bytes(key)[..8].try_into().unwrap()));
        let old_pin = self.input("current_pin").map(|pin| self.pin_from(pin));
        let mut context = Context::default();
        if let Some(udk) = &udk {
            context = context.with_udk(udk);
        }
        if let Some(old_pin) = &old_pin {
            context = context.with_old_pin(old_pin);
        }
        match (self.input("account12"), self.input("pan")) {
            (Some(account), Some(pan)) => {
                // Both ways to say the same account must agree.
                let context = context.with_account(Account12::from_digits(account.as_bytes()).unwrap());
                let other = context.with_account(Pan::from_digits(pan.as_bytes()).unwrap());
                let block = |context| encode(Format::Iso0, &self.pin(), context, &mut number(0)).unwrap();
                assert_eq!(block(&context).as_bytes(), block(&other).as_bytes(), "{}", self.id());
                act(&context)
            }
            (Some(account), None) => act(&context.with_account(Account12::from_digits(account.as_bytes()).unwrap())),
            (None, Some(pan)) => act(&context.with_account(Pan::from_digits(pan.as_bytes()).unwrap())),
            (None, None) => act(&context),
        }
    }

    /// The format by the name in the row. Where the row has a Thales code or an alias too, they must name the same.
    fn format(&self) -> Format {
        let name = self.input("format").unwrap().split(" (").next().unwrap();
        let format = Format::from_name(name).unwrap_or_else(|| panic!("{}: no format {name}", self.id()));
        if let Some(code) = self.input("thales_format_code") {
            assert_eq!(Format::from_thales_code(code.as_bytes()), Some(format), "{}", self.id());
        }
        match self.input("alias") {
            // moov takes VISA-4 for ISO-0. IBM, whose name it is, has the leftmost account digits, as PLUS. The block
            // of the row is right for ISO-0, which is the name in its `format`.
            Some("VISA-4") => assert_eq!(Format::from_name("VISA-4"), Some(Format::Plus)),
            Some(alias) => assert_eq!(Format::from_name(alias), Some(format), "{}", self.id()),
            None => {}
        }
        format
    }

    fn pin(&self) -> Pin {
        self.pin_from(self.input("pin").unwrap())
    }

    fn pin_from(&self, digits: &str) -> Pin {
        Pin::from_digits(digits.as_bytes()).unwrap()
    }

    fn pan(&self) -> Pan {
        Pan::from_digits(self.input("pan").unwrap().as_bytes()).unwrap()
    }

    fn input(&self, name: &str) -> Option<&str> {
        self.0["inputs"][name].as_str()
    }

    fn id(&self) -> &str {
        self.0["id"].as_str().unwrap()
    }
}

/// The clear blocks of the payShield specification.
#[test]
fn specification_clear_blocks() {
    let twelve = Context::account(Account12::from_digits(b"400000123456").unwrap());
    let pan = |digits: &str| Context::account(Pan::from_digits(digits.as_bytes()).unwrap());
    // The account number given there has no check digit to drop, so it goes in as the field.
    let plus = Context::account(PlusField::from_field(b"FF2283400000123456").unwrap());
    let udk_a = UdkA::from_left_half([0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF]);
    let udk = Context::udk(&udk_a);
    let old_pin = Pin::from_digits(b"1234").unwrap();
    for (code, pin, context, fill, block) in [
        ("01", "92389", twelve, 0, "0592789FFFEDCBA9"),
        ("04", "92389", plus, 0, "05921A1CBFFFFFED"),
        // The same field in a command whose other block is ISO-0.
        ("01", "92389", plus, 0, "0592789FFFEDCBA9"),
        // A PAN with its check digit, which is not among the leftmost.
        ("04", "92389", pan("22834000001234560"), 0, "05921A1CBFFFFFED"),
        ("35", "34567", twelve, 0, "2534167FFFEDCBA9"),
        ("34", "34567", twelve, 0, "2534567FFFFFFFFF"),
        ("41", "34567", udk, 0, "0534567F76543210"),
        ("42", "34567", udk.with_old_pin(&old_pin), 0, "1700567F76543210"),
        ("01", "1234", pan("5432101234567891"), 0, "041215FEDCBA9876"),
        ("01", "1234", pan("4012345678909"), 0, "041274EDCBA9876F"),
        ("01", "1234", pan("43219876543210987"), 0, "0412AC89ABCDEF67"),
        ("05", "12345", twelve, 0xE_DCBA_9876, "1512345EDCBA9876"),
    ] {
        check(code, pin, &context, fill, block);
    }
    // IBM's ISO-3 example: 3 6 123456 AFBECDDC over 0000 222333444555. Its fill in base 6 is 0 5 1 4 2 3 3 2.
    let fill = "AFBECDDC".chars().fold(0, |number, c| number * 6 + u64::from(c.to_digit(16).unwrap()) - 10);
    let context = Context::account(Account12::from_digits(b"222333444555").unwrap());
    check("47", "123456", &context, fill, "361216759CFA8889");
}

fn check(code: &str, pin: &str, context: &Context<'_>, fill: u64, block: &str) {
    let format = Format::from_thales_code(code.as_bytes()).unwrap();
    let pin = Pin::from_digits(pin.as_bytes()).unwrap();
    assert_eq!(hex(encode(format, &pin, context, &mut number(fill)).unwrap().as_bytes()), block, "{format}");
    assert_eq!(decode(format, &bytes(block), context), Ok(pin), "{format}");
}

/// The enciphered blocks of the payShield specification, under the clear TPK and ZPK it gives.
#[test]
fn specification_enciphered_blocks() {
    let tpk = bytes("D3DCC7EA9BCB755D254620B376B3D007");
    let zpk = bytes("C7152C20BC2C830EA7EC9E8334ABE3FE");
    let twelve = Context::account(Account12::from_digits(b"400000123456").unwrap());
    let plus = Context::account(PlusField::from_field(b"FF2283400000123456").unwrap());
    for (code, pin, key, context, fill, enciphered) in [
        ("01", "1234", &tpk, twelve, 0, "CBEBF6660BB10D26"),
        ("01", "1234", &zpk, twelve, 0, "97793852608C59BF"),
        ("03", "1234", &tpk, twelve, 0, "028DCC093FB0471F"),
        ("03", "1234", &zpk, twelve, 0, "82206CCD872229C2"),
        ("02", "1234", &zpk, twelve, 123_456_789, "DA153D61E734A487"),
        ("05", "1234", &zpk, twelve, 0x77_7777_7777, "FCF5B6A9B2DC34DC"),
        ("47", "1234", &zpk, twelve, 0, "DDDCF9A880CCC336"),
        ("01", "92389", &zpk, twelve, 0, "204D6DA80E6B5C90"),
        ("04", "92389", &zpk, plus, 0, "8FC36E989ED7CE75"),
    ] {
        let format = Format::from_thales_code(code.as_bytes()).unwrap();
        let pin = Pin::from_digits(pin.as_bytes()).unwrap();
        let clear = encode(format, &pin, &context, &mut number(fill)).unwrap();
        assert_eq!(hex(&tdes_encrypt(key, clear.as_bytes())), enciphered, "{format}");
        assert_eq!(decode(format, &tdes_decrypt(key, &bytes(enciphered)), &context), Ok(pin), "{format}");
    }
}

/// X9.24-3's supplement, and psec's longest account number.
#[test]
fn specification_iso4_blocks() {
    for (key, pan, random, block) in [
        (
            "AF8CB133A78F8DC2D1359F18527593FB",
            "4111111111111111",
            0x2F69_ADDE_2E9E_7ACE,
            "A912150391AB65A67E52883D81CE2D15",
        ),
        ("00112233445566778899AABBCCDDEEFF", "1234567890123456789", u64::MAX, "28B41FDDD29B743E93124BD8E32D921E"),
    ] {
        let cipher = Aes::new(&bytes(key));
        let pan = Pan::from_digits(pan.as_bytes()).unwrap();
        let pin = Pin::from_digits(b"1234").unwrap();
        let made = encipher_iso4(&pin, &pan, &cipher, &mut number(random));
        assert_eq!(hex(&made), block);
        assert_eq!(decipher_iso4(&made, &pan, &cipher), Ok(pin));
    }
}

enum Aes {
    Key128(Aes128),
    Key192(Aes192),
    Key256(Aes256),
}

impl Aes {
    fn new(key: &[u8]) -> Aes {
        match key.len() {
            16 => Aes::Key128(Aes128::new_from_slice(key).unwrap()),
            24 => Aes::Key192(Aes192::new_from_slice(key).unwrap()),
            _ => Aes::Key256(Aes256::new_from_slice(key).unwrap()),
        }
    }
}

impl BlockCipher16 for Aes {
    fn encrypt(&self, block: &mut [u8; 16]) {
        match self {
            Aes::Key128(aes) => aes.encrypt_block(block.into()),
            Aes::Key192(aes) => aes.encrypt_block(block.into()),
            Aes::Key256(aes) => aes.encrypt_block(block.into()),
        }
    }

    fn decrypt(&self, block: &mut [u8; 16]) {
        match self {
            Aes::Key128(aes) => aes.decrypt_block(block.into()),
            Aes::Key192(aes) => aes.decrypt_block(block.into()),
            Aes::Key256(aes) => aes.decrypt_block(block.into()),
        }
    }
}

struct Identity;

impl BlockCipher16 for Identity {
    fn encrypt(&self, _: &mut [u8; 16]) {}
    fn decrypt(&self, _: &mut [u8; 16]) {}
}

fn tdes_encrypt(key: &[u8], block: &[u8]) -> Vec<u8> {
    let mut block = Block::<TdesEde2>::try_from(block).unwrap();
    TdesEde2::new_from_slice(key).unwrap().encrypt_block(&mut block);
    block.to_vec()
}

fn tdes_decrypt(key: &[u8], block: &[u8]) -> Vec<u8> {
    let mut block = Block::<TdesEde2>::try_from(block).unwrap();
    TdesEde2::new_from_slice(key).unwrap().decrypt_block(&mut block);
    block.to_vec()
}

/// A fill source that gives the 8 bytes of one number.
fn number(number: u64) -> impl FnMut(&mut [u8]) {
    move |buffer: &mut [u8]| buffer.copy_from_slice(&number.to_be_bytes())
}

fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2));
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
