//! PIN verification: IBM 3624 natural PIN and offset, Visa PVV (pins.md sections 1.5 to 1.7 and 8).
//!
//! PINs and PVVs are digit values 0 to 9, one a byte. Fields of a command are ASCII.

use crate::card::decimalise;
use crate::cipher::{BlockCipher, CipherError};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

/// Why a PIN cannot be verified or an offset not computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PinVerifyError {
    /// The PVK does not fit the algorithm.
    #[error(transparent)]
    Cipher(#[from] CipherError),
    /// The decimalisation table is not 16 decimal digits.
    #[error("the decimalisation table is not 16 decimal digits")]
    Table,
    /// The decimalisation table has fewer than 8 different digits, or one of them more than 4 times.
    #[error("the decimalisation table is too regular")]
    WeakTable,
    /// The account field is not 12 decimal digits.
    #[error("the account field is not 12 decimal digits")]
    Account,
    /// The validation data is neither 12 hexadecimal characters with one `N` nor `P` and 16 digits.
    #[error("the PIN validation data is not valid")]
    ValidationData,
    /// The offset is not 12 characters: digits on the left, `F` on the right.
    #[error("the offset is not 1 to 12 digits filled with F")]
    Offset,
    /// A PIN has 4 to 12 digits.
    #[error("a PIN cannot have {0} digits")]
    PinLength(usize),
    /// A value above 9 where a digit is expected.
    #[error("a value is not a decimal digit")]
    NotADigit,
}

/// The number of digits a PIN can have.
pub const PIN_LENGTHS: core::ops::RangeInclusive<usize> = 4..=12;

/// A decimalisation table: the digit that stands for each hexadecimal digit.
#[derive(Clone, PartialEq, Eq)]
pub struct DecimalisationTable(Zeroizing<[u8; 16]>);

impl core::fmt::Debug for DecimalisationTable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("DecimalisationTable { .. }")
    }
}

impl DecimalisationTable {
    /// From 16 ASCII digits.
    ///
    /// # Errors
    /// [`PinVerifyError::Table`].
    pub fn from_digits(field: &[u8]) -> Result<Self, PinVerifyError> {
        let digits: [u8; 16] = field.try_into().map_err(|_| PinVerifyError::Table)?;
        Self::from_values(digits.map(|c| c.wrapping_sub(b'0')))
    }

    /// From 8 bytes of packed digits, as an encrypted table decrypts.
    ///
    /// # Errors
    /// [`PinVerifyError::Table`] if one of them is not decimal (error 25 of the commands).
    pub fn from_packed(block: &[u8; 8]) -> Result<Self, PinVerifyError> {
        Self::from_values(nibbles(block))
    }

    fn from_values(values: [u8; 16]) -> Result<Self, PinVerifyError> {
        if values.iter().all(|v| *v < 10) { Ok(Self(Zeroizing::new(values))) } else { Err(PinVerifyError::Table) }
    }

    /// The check of the security setting "decimalisation table checks": at least 8 different digits, none more than 4
    /// times.
    ///
    /// # Errors
    /// [`PinVerifyError::WeakTable`] (error 25 of the commands).
    pub fn check(&self) -> Result<(), PinVerifyError> {
        let mut counts = [0u8; 10];
        for value in self.0.iter() {
            if let Some(count) = counts.get_mut(usize::from(*value)) {
                *count += 1;
            }
        }
        let different = counts.iter().filter(|c| **c > 0).count();
        if different >= 8 && counts.iter().all(|c| *c <= 4) { Ok(()) } else { Err(PinVerifyError::WeakTable) }
    }

    /// The table as 8 bytes of packed digits.
    #[must_use]
    pub fn packed(&self) -> Zeroizing<[u8; 8]> {
        let mut block = Zeroizing::new([0u8; 8]);
        for (i, value) in self.0.iter().enumerate() {
            block[i / 2] = block[i / 2] << 4 | value;
        }
        block
    }

    /// The sixteen digits of a block through the table.
    #[must_use]
    pub fn decimalise(&self, block: &[u8; 8]) -> Zeroizing<[u8; 16]> {
        // Every entry is looked at, whatever the nibble: which entry it is would tell about the PIN.
        Zeroizing::new(nibbles(block).map(|nibble| {
            let mut digit = 0;
            for (index, entry) in (0u8..).zip(self.0.iter()) {
                digit.conditional_assign(entry, index.ct_eq(&nibble));
            }
            digit
        }))
    }
}

/// The 16 digits that the IBM method enciphers.
#[derive(Clone, PartialEq, Eq)]
pub struct ValidationData([u8; 8]);

impl core::fmt::Debug for ValidationData {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("ValidationData { .. }")
    }
}

impl ValidationData {
    /// Parses the PIN validation data field with the 12-digit account field of the same command.
    ///
    /// 12 characters, hexadecimal but for one `N`: `N` stands for the last five digits of the account. Or `P` and
    /// exactly the 16 hexadecimal digits.
    ///
    /// # Errors
    /// [`PinVerifyError::ValidationData`]; [`PinVerifyError::Account`] if the `N` form meets anything but 12 digits.
    pub fn parse(field: &[u8], account: &[u8]) -> Result<Self, PinVerifyError> {
        match field {
            [b'P', digits @ ..] if digits.len() == 16 => Self::from_digits(digits),
            template if template.len() == 12 => {
                let mut parts = template.split(|c| *c == b'N');
                let (Some(before), Some(after), None) = (parts.next(), parts.next(), parts.next()) else {
                    return Err(PinVerifyError::ValidationData);
                };
                let last = account_digits(account)?.last_chunk::<5>().ok_or(PinVerifyError::Account)?;
                Self::from_digits(&[before, last, after].concat())
            }
            _ => Err(PinVerifyError::ValidationData),
        }
    }

    fn from_digits(digits: &[u8]) -> Result<Self, PinVerifyError> {
        let mut block = [0u8; 8];
        for (i, c) in digits.iter().enumerate() {
            let value = (*c as char).to_digit(16).ok_or(PinVerifyError::ValidationData)?;
            let byte = block.get_mut(i / 2).ok_or(PinVerifyError::ValidationData)?;
            *byte = *byte << 4 | (value & 0x0F) as u8;
        }
        Ok(Self(block))
    }

    /// The digits packed two a byte.
    #[must_use]
    pub fn packed(&self) -> &[u8; 8] {
        &self.0
    }
}

/// The natural PIN of the IBM method, all 16 digits; a PIN of n digits is its leftmost n.
///
/// # Errors
/// [`CipherError::BlockLength`] for a PVK that is not a DES key.
pub fn natural_pin(
    pvk: &BlockCipher,
    table: &DecimalisationTable,
    data: &ValidationData,
) -> Result<Zeroizing<[u8; 16]>, PinVerifyError> {
    let mut block = Zeroizing::new(data.0);
    pvk.ecb_encrypt(block.as_mut_slice())?;
    Ok(table.decimalise(&block))
}

/// An IBM offset: up to 12 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset {
    digits: [u8; 12],
    len: usize,
}

impl Offset {
    /// Parses the offset field (12H): digits, filled with `F` on the right.
    ///
    /// # Errors
    /// [`PinVerifyError::Offset`].
    pub fn parse(field: &[u8]) -> Result<Self, PinVerifyError> {
        let len = field.iter().take_while(|c| c.is_ascii_digit()).count();
        let filled = field.iter().skip(len).all(|c| matches!(c, b'F' | b'f'));
        if field.len() != 12 || len == 0 || !filled {
            return Err(PinVerifyError::Offset);
        }
        let mut digits = [0; 12];
        for (to, c) in digits.iter_mut().zip(field.iter().take(len)) {
            *to = c - b'0';
        }
        Ok(Self { digits, len })
    }

    /// The offset that makes `pin` from the natural PIN: the difference of the digits modulo ten.
    ///
    /// # Errors
    /// [`PinVerifyError::PinLength`], [`PinVerifyError::NotADigit`].
    pub fn of_pin(natural: &[u8; 16], pin: &[u8]) -> Result<Self, PinVerifyError> {
        check_pin(pin)?;
        let mut digits = [0; 12];
        for ((to, p), n) in digits.iter_mut().zip(pin).zip(natural) {
            *to = (p + 10 - n % 10) % 10;
        }
        Ok(Self { digits, len: pin.len() })
    }

    /// The digits, without filling.
    #[must_use]
    pub fn digits(&self) -> &[u8] {
        self.digits.get(..self.len).unwrap_or(&self.digits)
    }

    /// The field (12H): ASCII digits filled with `F`.
    #[must_use]
    pub fn to_field(&self) -> [u8; 12] {
        let mut field = [b'F'; 12];
        for (to, digit) in field.iter_mut().zip(self.digits()) {
            *to = b'0' + digit;
        }
        field
    }

    /// The PIN that the offset makes from the natural PIN, as long as the offset.
    ///
    /// # Errors
    /// [`PinVerifyError::PinLength`] for an offset of fewer than 4 digits.
    pub fn to_pin(&self, natural: &[u8; 16]) -> Result<Zeroizing<Vec<u8>>, PinVerifyError> {
        let pin: Vec<u8> = self.digits().iter().zip(natural).map(|(o, n)| (o + n % 10) % 10).collect();
        let pin = Zeroizing::new(pin);
        check_pin(&pin)?;
        Ok(pin)
    }
}

/// Whether `pin` belongs to the natural PIN and the offset, in constant time for its length.
///
/// All digits of the PIN count. A PIN shorter than `check_length` fails, and so does an offset that has not that many
/// digits; past the check length a digit is compared if the offset has one. (pins.md 8.1: judged, not sourced.)
///
/// # Errors
/// [`PinVerifyError::PinLength`], [`PinVerifyError::NotADigit`].
pub fn verify_offset(
    natural: &[u8; 16],
    pin: &[u8],
    offset: &Offset,
    check_length: usize,
) -> Result<bool, PinVerifyError> {
    check_pin(pin)?;
    let mut same = Choice::from(u8::from(pin.len() >= check_length && offset.len >= check_length));
    for ((p, n), o) in pin.iter().zip(natural).zip(offset.digits()) {
        same &= ((n % 10 + o) % 10).ct_eq(p);
    }
    Ok(bool::from(same))
}

/// The Visa PIN verification value, four digit values, under the PVK pair.
///
/// `account` is the 12-digit account field, of which the rightmost 11 digits are used; `pvki` the key indicator 0 to 9.
/// Of the PIN the leftmost four digits are used.
///
/// # Errors
/// [`PinVerifyError::Account`], [`PinVerifyError::PinLength`], [`PinVerifyError::NotADigit`], and
/// [`CipherError::BlockLength`] for a PVK that is not a DES key.
pub fn pvv(pvk: &BlockCipher, account: &[u8], pvki: u8, pin: &[u8]) -> Result<[u8; 4], PinVerifyError> {
    check_pin(pin)?;
    if pvki > 9 {
        return Err(PinVerifyError::NotADigit);
    }
    let account = account_digits(account)?.iter().skip(1).map(|c| c - b'0');
    let mut block = Zeroizing::new([0u8; 8]);
    for (i, digit) in account.chain([pvki]).chain(pin.iter().take(4).copied()).enumerate() {
        block[i / 2] = block[i / 2] << 4 | digit;
    }
    pvk.ecb_encrypt(block.as_mut_slice())?;
    let mut out = [0; 4];
    for (to, digit) in out.iter_mut().zip(decimalise(block.as_slice())) {
        *to = digit;
    }
    Ok(out)
}

/// Whether `given` (digit values) is the PVV of the PIN, in constant time.
///
/// # Errors
/// As [`pvv`].
pub fn verify_pvv(
    pvk: &BlockCipher,
    account: &[u8],
    pvki: u8,
    pin: &[u8],
    given: &[u8],
) -> Result<bool, PinVerifyError> {
    Ok(bool::from(pvv(pvk, account, pvki, pin)?.ct_eq(given)))
}

/// Whether two PINs are the same, in constant time for their length.
#[must_use]
pub fn same_pin(a: &[u8], b: &[u8]) -> bool {
    bool::from(a.ct_eq(b))
}

fn check_pin(pin: &[u8]) -> Result<(), PinVerifyError> {
    if !PIN_LENGTHS.contains(&pin.len()) {
        return Err(PinVerifyError::PinLength(pin.len()));
    }
    if pin.iter().all(|d| *d < 10) { Ok(()) } else { Err(PinVerifyError::NotADigit) }
}

fn account_digits(account: &[u8]) -> Result<&[u8; 12], PinVerifyError> {
    match account.try_into() {
        Ok(digits) if account.iter().all(u8::is_ascii_digit) => Ok(digits),
        _ => Err(PinVerifyError::Account),
    }
}

fn nibbles(block: &[u8; 8]) -> [u8; 16] {
    core::array::from_fn(|i| if i % 2 == 0 { block[i / 2] >> 4 } else { block[i / 2] & 0x0F })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(digits: &[u8; 16]) -> DecimalisationTable {
        DecimalisationTable::from_digits(digits).unwrap()
    }

    #[test]
    fn tables_are_sixteen_decimal_digits() {
        assert_eq!(DecimalisationTable::from_digits(b"012345678901234"), Err(PinVerifyError::Table));
        assert_eq!(DecimalisationTable::from_digits(b"01234567890123456"), Err(PinVerifyError::Table));
        assert_eq!(DecimalisationTable::from_digits(b"0123456789ABCDEF"), Err(PinVerifyError::Table));
        assert_eq!(DecimalisationTable::from_packed(&[0x9A; 8]), Err(PinVerifyError::Table));
        let packed = *b"\x01\x23\x45\x67\x89\x01\x23\x45";
        assert_eq!(DecimalisationTable::from_packed(&packed).unwrap(), table(b"0123456789012345"));
        assert_eq!(*table(b"0123456789012345").packed(), packed);
    }

    #[test]
    fn regular_tables_are_weak() {
        for (digits, sound) in [
            (b"0123456789012345", true),
            (b"0123456700001234", false), // five zeros
            (b"0123456700012345", true),  // eight different, four zeros
            (b"0123456601234566", false), // seven different
            (b"0000000000000000", false),
        ] {
            assert_eq!(table(digits).check().is_ok(), sound, "{digits:?}");
        }
    }

    #[test]
    fn validation_data_has_one_n_or_sixteen_digits() {
        let account = b"850103093936";
        let parse = |field: &[u8]| ValidationData::parse(field, account).map(|data| data.0);
        assert_eq!(parse(b"50103093936N"), Ok(*b"\x50\x10\x30\x93\x93\x69\x39\x36"));
        assert_eq!(parse(b"N5010309393A"), Ok(*b"\x93\x93\x65\x01\x03\x09\x39\x3A"));
        assert_eq!(parse(b"P1122334455667788"), Ok(*b"\x11\x22\x33\x44\x55\x66\x77\x88"));
        for field in
            [&b""[..], b"501030939361", b"5010309393NN", b"50103093936X", b"P112233445566778", b"P1122334455667N88"]
        {
            assert_eq!(parse(field), Err(PinVerifyError::ValidationData), "{field:?}");
        }
        assert_eq!(ValidationData::parse(b"50103093936N", b"85010309393"), Err(PinVerifyError::Account));
        assert_eq!(ValidationData::parse(b"50103093936N", b"85010309393F"), Err(PinVerifyError::Account));
    }

    #[test]
    fn offsets_are_filled_with_f() {
        let offset = Offset::parse(b"330309FFFFFF").unwrap();
        assert_eq!(offset.digits(), [3, 3, 0, 3, 0, 9]);
        assert_eq!(offset.to_field(), *b"330309FFFFFF");
        for field in [&b"FFFFFFFFFFFF"[..], b"33F309FFFFFF", b"330309", b"3303090000000", b"33030AFFFFFF"] {
            assert_eq!(Offset::parse(field), Err(PinVerifyError::Offset), "{field:?}");
        }
        assert_eq!(Offset::parse(b"123FFFFFFFFF").unwrap().to_pin(&[0; 16]), Err(PinVerifyError::PinLength(3)));
    }

    #[test]
    fn offset_digits_past_the_check_length_count_unless_they_are_missing() {
        let natural = [0; 16];
        let verify = |pin: &[u8], offset, check| verify_offset(&natural, pin, &Offset::parse(offset).unwrap(), check);
        let pin = [1, 2, 3, 4, 5, 6];
        assert_eq!(verify(&pin, b"123456FFFFFF", 6), Ok(true));
        assert_eq!(verify(&pin, b"123456FFFFFF", 4), Ok(true));
        assert_eq!(verify(&pin, b"123457FFFFFF", 4), Ok(false));
        assert_eq!(verify(&pin, b"1234FFFFFFFF", 4), Ok(true));
        assert_eq!(verify(&pin, b"1234FFFFFFFF", 6), Ok(false));
        assert_eq!(verify(&pin[..4], b"123456FFFFFF", 6), Ok(false));
        assert_eq!(verify(&pin[..4], b"123456FFFFFF", 4), Ok(true));
    }

    #[test]
    fn pins_have_4_to_12_digits() {
        let pvk = BlockCipher::des(&[1; 16]).unwrap();
        for (pin, error) in [
            (&[1, 2, 3][..], PinVerifyError::PinLength(3)),
            (&[1; 13], PinVerifyError::PinLength(13)),
            (&[1, 2, 3, 10], PinVerifyError::NotADigit),
        ] {
            assert_eq!(pvv(&pvk, b"123456789012", 1, pin), Err(error));
            assert_eq!(Offset::of_pin(&[0; 16], pin), Err(error));
            assert_eq!(verify_offset(&[0; 16], pin, &Offset::parse(b"000000000000").unwrap(), 4), Err(error));
        }
        assert_eq!(pvv(&pvk, b"123456789012", 10, &[1; 4]), Err(PinVerifyError::NotADigit));
        assert_eq!(pvv(&pvk, b"12345678901", 1, &[1; 4]), Err(PinVerifyError::Account));
        assert!(pvv(&BlockCipher::aes(&[1; 16]).unwrap(), b"123456789012", 1, &[1; 4]).is_err());
        assert!(same_pin(&[1, 2, 3, 4], &[1, 2, 3, 4]));
        assert!(!same_pin(&[1, 2, 3, 4], &[1, 2, 3, 4, 5]));
    }

    #[test]
    fn pvv_of_the_documented_example() {
        // pins.md 8.2: TSP 0000012345611234 gives 8EB69CC7339A4C00, hence 8697.
        let pvk = BlockCipher::des(b"\x86\x19\x01\x76\x86\x6E\xC1\x7F\xB3\x26\x85\xAD\xB6\xAD\xA8\x3B").unwrap();
        assert_eq!(pvv(&pvk, b"000000123456", 1, &[1, 2, 3, 4]), Ok([8, 6, 9, 7]));
        assert_eq!(verify_pvv(&pvk, b"000000123456", 1, &[1, 2, 3, 4], &[8, 6, 9, 7]), Ok(true));
        assert_eq!(verify_pvv(&pvk, b"000000123456", 1, &[1, 2, 3, 4], &[8, 6, 9, 8]), Ok(false));
        assert_eq!(verify_pvv(&pvk, b"000000123456", 1, &[1, 2, 3, 4], &[]), Ok(false));
    }

    proptest! {
        #[test]
        fn everything_is_total(a: Vec<u8>, b: Vec<u8>, natural: [u8; 16], check: usize, packed: [u8; 8], pvki: u8) {
            let pvk = BlockCipher::des(&[1; 16]).unwrap();
            let _ = DecimalisationTable::from_digits(&a);
            let _ = DecimalisationTable::from_packed(&packed);
            let _ = ValidationData::parse(&a, &b);
            let _ = Offset::parse(&a);
            let _ = Offset::of_pin(&natural, &a);
            let _ = pvv(&pvk, &a, pvki, &b);
            let offset = Offset::parse(b"123456789012").unwrap();
            let _ = offset.to_pin(&natural);
            let _ = verify_offset(&natural, &a, &offset, check);
        }

        #[test]
        fn the_offset_of_a_pin_verifies_it_and_nothing_else(
            key: [u8; 16], data in "P[0-9A-F]{16}", pin in prop::collection::vec(0u8..10, 4..=12), place: usize,
            change in 1u8..10,
        ) {
            let pvk = BlockCipher::des(&key).unwrap();
            let data = ValidationData::parse(data.as_bytes(), b"").unwrap();
            let natural = natural_pin(&pvk, &table(b"0123456789012345"), &data).unwrap();
            let offset = Offset::of_pin(&natural, &pin).unwrap();
            prop_assert_eq!(Offset::parse(&offset.to_field()).unwrap(), offset);
            prop_assert_eq!(&*offset.to_pin(&natural).unwrap(), &pin);
            prop_assert!(verify_offset(&natural, &pin, &offset, 4).unwrap());
            let mut other = pin.clone();
            let at = place % pin.len();
            other[at] = (other[at] + change) % 10;
            prop_assert!(!verify_offset(&natural, &other, &offset, 4).unwrap());
        }
    }
}
