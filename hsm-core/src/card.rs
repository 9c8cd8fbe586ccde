//! Card verification values: CVV/CVC, American Express CSC, dynamic CVV and CVC3 (card-emv-mac.md section 1).
//!
//! Account numbers, expiry dates and service codes are ASCII decimal digits, as on the wire, and so are the results.

use crate::cipher::{BlockCipher, CipherError, xor_in_place};
use crate::clear_key::{Algorithm, ClearKey};
use crate::mac::{MacAlgorithm, MacError, MacKey, Padding};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Why a card verification value cannot be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// The key does not fit the cipher.
    #[error(transparent)]
    Cipher(#[from] CipherError),
    /// The MAC under an IVCVC3 could not be computed.
    #[error(transparent)]
    Mac(#[from] MacError),
    /// A character that is not a decimal digit.
    #[error("a field has a character that is not a decimal digit")]
    NotADigit,
    /// More than 32 digits of account number, expiry and service code.
    #[error("{0} digits do not fit the 32 digits of a CVV")]
    TooManyDigits(usize),
    /// An account number that is too short for the algorithm.
    #[error("the account number has {0} digits")]
    AccountLength(usize),
    /// An American Express account number starts with 34 or 37.
    #[error("the account number does not start with 34 or 37")]
    NotAmex,
    /// Track 2 data without a `D` or `=` between account number and expiry, or with a character that cannot stand
    /// there.
    #[error("this is not track 2 data")]
    NotTrack2,
}

/// The decimal digits of `bytes` as CVV, PVV and EMV option B take them: the nibbles 0-9 in order, then the nibbles A-F
/// less ten in order. As many values as there are nibbles.
pub fn decimalise(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let nibbles = || bytes.iter().flat_map(|b| [b >> 4, b & 0x0F]);
    nibbles().filter(|n| *n < 10).chain(nibbles().filter(|n| *n >= 10).map(|n| n - 10))
}

/// A card verification key with both of its ciphers expanded.
#[derive(Debug, Clone)]
pub struct Cvk {
    left: BlockCipher,
    whole: BlockCipher,
}

impl Cvk {
    /// Takes a double-length DES key, CVK A in its left half and CVK B in its right one.
    ///
    /// # Errors
    /// [`CipherError::KeyLength`] for any other key (error 27 of the commands).
    pub fn new(key: &ClearKey) -> Result<Self, CardError> {
        match (key.algorithm(), key.bytes().split_at_checked(8)) {
            (Algorithm::Des, Some((left, right))) if right.len() == 8 => {
                Ok(Self { left: BlockCipher::des(left)?, whole: key.cipher()? })
            }
            _ => Err(CipherError::KeyLength { algorithm: "CVK", len: key.len() }.into()),
        }
    }

    /// The block the verification digits are taken from.
    ///
    /// # Errors
    /// As [`Cvk::cvv`].
    pub fn cvv_block(&self, pan: &[u8], expiry: &[u8], service_code: &[u8]) -> Result<Zeroizing<[u8; 8]>, CardError> {
        let mut packed = Zeroizing::new([0u8; 16]);
        let fields = pan.iter().chain(expiry).chain(service_code);
        let count = pan.len() + expiry.len() + service_code.len();
        if count > 32 {
            return Err(CardError::TooManyDigits(count));
        }
        for (i, c) in fields.enumerate() {
            let digit = digit(*c)?;
            packed[i / 2] |= if i % 2 == 0 { digit << 4 } else { digit };
        }
        // E_A, then E_A D_B E_A: the second step is TDES under the whole key.
        let (first, second) = packed.split_at(8);
        let mut block = Zeroizing::new([0u8; 8]);
        block.copy_from_slice(first);
        self.left.ecb_encrypt(block.as_mut_slice())?;
        xor_in_place(block.as_mut_slice(), second);
        self.whole.ecb_encrypt(block.as_mut_slice())?;
        Ok(block)
    }

    /// The CVV or CVC.
    ///
    /// The caller picks the kind by the service code: the card's own for CVV/CVC, `000` for CVV2/CVC2, `999` for iCVV;
    /// for a CAVV the expiry is the 4-digit unpredictable number and the service code the authentication result and
    /// second-factor code.
    ///
    /// # Errors
    /// [`CardError::NotADigit`]; [`CardError::TooManyDigits`] for more than 32 digits in all.
    pub fn cvv(&self, pan: &[u8], expiry: &[u8], service_code: &[u8]) -> Result<[u8; 3], CardError> {
        Ok(first_digits(&*self.cvv_block(pan, expiry, service_code)?))
    }

    /// Whether `given` is the CVV, in constant time.
    ///
    /// # Errors
    /// As [`Cvk::cvv`].
    pub fn verify_cvv(&self, pan: &[u8], expiry: &[u8], service_code: &[u8], given: &[u8]) -> Result<bool, CardError> {
        Ok(bool::from(self.cvv(pan, expiry, service_code)?.ct_eq(given)))
    }

    /// The Visa dynamic CVV: `self` is the card's UDK, and the four lowest decimal digits of the ATC replace the first
    /// four of the account number.
    ///
    /// # Errors
    /// [`CardError::AccountLength`] for fewer than four digits, else as [`Cvk::cvv`].
    pub fn dcvv(&self, pan: &[u8], expiry: &[u8], service_code: &[u8], atc: u32) -> Result<[u8; 3], CardError> {
        let mut pan = Zeroizing::new(pan.to_vec());
        let len = pan.len();
        let head = pan.first_chunk_mut().ok_or(CardError::AccountLength(len))?;
        *head = decimal::<4>(atc % 10_000);
        self.cvv(&pan, expiry, service_code)
    }
}

/// The three American Express card security codes, ASCII digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Csc {
    /// 5CSC, on the magnetic stripe.
    pub five: [u8; 5],
    /// 4CSC, printed on the face.
    pub four: [u8; 4],
    /// 3CSC, on the signature panel.
    pub three: [u8; 3],
}

/// The American Express card security codes of RY modes 3 and 4.
///
/// `account` is the account number, left-justified; it may be zero-filled on the right. `expiry` is YYMM. Without a
/// service code this is CSC version 1 (RY flag 0), with one version 2 (flag 2). A single source describes the
/// algorithm.
///
/// # Errors
/// [`CardError::NotAmex`], [`CardError::AccountLength`] for fewer than 14 digits, [`CardError::NotADigit`], and
/// [`CipherError::BlockLength`] for a key that is not a DES key.
pub fn csc(
    csck: &BlockCipher,
    account: &[u8],
    expiry: &[u8; 4],
    service_code: Option<&[u8; 3]>,
) -> Result<Csc, CardError> {
    let (prefix, rest) = account.split_first_chunk::<2>().ok_or(CardError::AccountLength(account.len()))?;
    let number = rest.first_chunk::<12>().ok_or(CardError::AccountLength(account.len()))?;
    let ordered: [&[u8]; 2] = match prefix {
        b"34" => [number, expiry],
        b"37" => [expiry, number],
        _ => return Err(CardError::NotAmex),
    };
    let mut packed = Zeroizing::new([0u8; 16]);
    let digits = ordered.into_iter().flatten().chain(service_code.into_iter().flatten());
    for (i, c) in digits.enumerate() {
        let digit = digit(*c)?;
        packed[i / 2] |= if i % 2 == 0 { digit << 4 } else { digit };
    }
    let used = if service_code.is_some() { 16 } else { 8 };
    let mut chain = Zeroizing::new([0u8; 8]);
    csck.cbc_encrypt(chain.as_mut_slice(), &mut packed[..used])?;
    let codes = csc_digits(&chain);
    Ok(Csc { five: take(&codes, 0), four: take(&codes, 5), three: take(&codes, 9) })
}

/// Twelve ASCII digits of a block: the digits in it, then the letters in it as A=1 .. F=6, and five more (modulo ten)
/// for a letter from the sixth place of the block on.
fn csc_digits(block: &[u8; 8]) -> [u8; 12] {
    let nibbles = || block.iter().flat_map(|b| [b >> 4, b & 0x0F]);
    let letters = nibbles().enumerate().filter(|(_, n)| *n >= 10).map(|(place, n)| {
        let value = n - 9;
        if place >= 5 { (value + 5) % 10 } else { value }
    });
    let mut out = [b'0'; 12];
    for (to, value) in out.iter_mut().zip(nibbles().filter(|n| *n < 10).chain(letters)) {
        *to = b'0' + value;
    }
    out
}

/// The Mastercard IVCVC3: the last two bytes of the retail MAC, padding method 2, over the static track data, under the
/// card's CVC3 key (the MK-CVC3 diversified for the card).
///
/// # Errors
/// [`MacError::KeyKind`] for a key that is not a DES key.
pub fn ivcvc3(card_key: &ClearKey, static_track: &[u8]) -> Result<[u8; 2], CardError> {
    let mac = MacKey::new(MacAlgorithm::Alg3, card_key)?.mac(Padding::Method2, static_track)?;
    Ok(mac.last_chunk().copied().unwrap_or_default())
}

/// The Mastercard CVC3 as five decimal digits: the last two bytes of IVCVC3, unpredictable number (packed BCD) and ATC
/// enciphered under the card's CVC3 key. A verifier compares the rightmost digits the track had room for.
///
/// # Errors
/// [`CipherError::BlockLength`] for a key that is not a DES key.
pub fn cvc3(card_key: &BlockCipher, ivcvc3: [u8; 2], un: [u8; 4], atc: u16) -> Result<[u8; 5], CardError> {
    let mut block = Zeroizing::new([0u8; 8]);
    let (iv, rest) = block.split_at_mut(2);
    iv.copy_from_slice(&ivcvc3);
    rest[..4].copy_from_slice(&un);
    rest[4..].copy_from_slice(&atc.to_be_bytes());
    card_key.ecb_encrypt(block.as_mut_slice())?;
    Ok(decimal(u32::from(block[6]) << 8 | u32::from(block[7])))
}

/// Track 2 data as bytes of packed BCD: digits, `D` or `=` for the separator, `F` or `?` for the end; an odd number of
/// characters is completed with F.
///
/// # Errors
/// [`CardError::NotTrack2`] for other characters.
pub fn pack_track2(track: &[u8]) -> Result<Zeroizing<Vec<u8>>, CardError> {
    let mut packed = Zeroizing::new(vec![0xFF; track.len().div_ceil(2)]);
    for (i, c) in track.iter().enumerate() {
        let nibble = match c {
            b'0'..=b'9' => c - b'0',
            b'D' | b'd' | b'=' => 0x0D,
            b'F' | b'f' | b'?' => 0x0F,
            _ => return Err(CardError::NotTrack2),
        };
        packed[i / 2] = if i % 2 == 0 { nibble << 4 | 0x0F } else { packed[i / 2] & 0xF0 | nibble };
    }
    Ok(packed)
}

/// Track 2 text with the fields a card fills in at run time set to `0`, as PM version 2 takes it apart: after the
/// separator the digits 9-11 and 14-20 of expiry, service code and discretionary data. Digits that are 0 already, or
/// absent, stay.
///
/// Which digits a card fills in is the issuer's choice; this is the layout of the one worked example known.
///
/// # Errors
/// [`CardError::NotTrack2`] without a separator.
pub fn blank_track2(track: &[u8]) -> Result<Zeroizing<Vec<u8>>, CardError> {
    let separator = track.iter().position(|c| matches!(c, b'D' | b'd' | b'=')).ok_or(CardError::NotTrack2)?;
    let mut blanked = Zeroizing::new(track.to_vec());
    for (i, c) in blanked.iter_mut().skip(separator + 1).enumerate() {
        if matches!(i, 8..=10 | 13..=19) && c.is_ascii_digit() {
            *c = b'0';
        }
    }
    Ok(blanked)
}

fn digit(c: u8) -> Result<u8, CardError> {
    if c.is_ascii_digit() { Ok(c - b'0') } else { Err(CardError::NotADigit) }
}

fn first_digits<const N: usize>(block: &[u8]) -> [u8; N] {
    let mut out = [b'0'; N];
    for (to, value) in out.iter_mut().zip(decimalise(block)) {
        *to = b'0' + value;
    }
    out
}

/// The lowest `N` decimal digits of `value` in ASCII.
fn decimal<const N: usize>(mut value: u32) -> [u8; N] {
    let mut out = [b'0'; N];
    for c in out.iter_mut().rev() {
        *c += (value % 10) as u8;
        value /= 10;
    }
    out
}

fn take<const N: usize>(digits: &[u8], from: usize) -> [u8; N] {
    let mut out = [b'0'; N];
    for (to, c) in out.iter_mut().zip(digits.iter().skip(from)) {
        *to = *c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: [u8; 16] = *b"\x01\x23\x45\x67\x89\xAB\xCD\xEF\xFE\xDC\xBA\x98\x76\x54\x32\x10";

    fn cvk() -> Cvk {
        Cvk::new(&ClearKey::des(&KEY).unwrap()).unwrap()
    }

    #[test]
    fn only_a_double_length_des_key_is_a_cvk() {
        for key in [ClearKey::des(&[1; 8]), ClearKey::des(&[1; 24]), ClearKey::aes(&[1; 16])] {
            assert!(matches!(Cvk::new(&key.unwrap()), Err(CardError::Cipher(CipherError::KeyLength { .. }))));
        }
    }

    #[test]
    fn cvv_takes_32_digits_and_no_more() {
        assert!(cvk().cvv(&[b'1'; 25], b"2512", b"201").is_ok());
        assert_eq!(cvk().cvv(&[b'1'; 26], b"2512", b"201"), Err(CardError::TooManyDigits(33)));
        assert_eq!(cvk().cvv(b"41111111A", b"2512", b"201"), Err(CardError::NotADigit));
        assert!(cvk().verify_cvv(b"4123456789012345", b"8701", b"101", b"561").unwrap());
        assert!(!cvk().verify_cvv(b"4123456789012345", b"8701", b"101", b"5610").unwrap());
    }

    #[test]
    fn csc_of_the_worked_examples() {
        // card-emv-mac.md, RY: the values computed with the rule of the only source.
        let csck = BlockCipher::des(&KEY).unwrap();
        let codes = |five: &[u8; 5], four: &[u8; 4], three: &[u8; 3]| Csc { five: *five, four: *four, three: *three };
        let v1 = |pan| csc(&csck, pan, b"9912", None);
        assert_eq!(v1(b"371234567890123"), Ok(codes(b"61247", b"8720", b"552")));
        assert_eq!(v1(b"3712345678901230000"), Ok(codes(b"61247", b"8720", b"552")));
        assert_eq!(v1(b"341234567890123"), Ok(codes(b"36186", b"9699", b"716")));
        assert_eq!(csc(&csck, b"371234567890123", b"9912", Some(b"702")), Ok(codes(b"21334", b"5068", b"221")));
        assert_eq!(v1(b"361234567890123"), Err(CardError::NotAmex));
        assert_eq!(v1(b"3712345678901"), Err(CardError::AccountLength(13)));
    }

    #[test]
    fn late_letters_of_a_csc_block_count_five_more() {
        assert_eq!(csc_digits(b"\xAB\xCD\xEF\xAB\xCD\xEF\x12\x34"), *b"123412345167");
    }

    #[test]
    fn track2_is_packed_and_blanked() {
        assert_eq!(**pack_track2(b"1234=5?").unwrap(), [0x12, 0x34, 0xD5, 0xFF]);
        assert_eq!(pack_track2(b"12B4"), Err(CardError::NotTrack2));
        assert_eq!(blank_track2(b"5413123556784804"), Err(CardError::NotTrack2));
        let blanked = blank_track2(b"5413123556784804D09061019000990000000F").unwrap();
        assert_eq!(**blanked, *b"5413123556784804D09061019000990000000F");
    }

    proptest! {
        #[test]
        fn everything_is_total(
            pan: Vec<u8>, expiry: Vec<u8>, service: Vec<u8>, given: Vec<u8>, atc: u32, four: [u8; 4], three: [u8; 3],
        ) {
            let key = ClearKey::des(&KEY).unwrap();
            let _ = cvk().verify_cvv(&pan, &expiry, &service, &given);
            let _ = cvk().dcvv(&pan, &expiry, &service, atc);
            let _ = csc(&key.cipher().unwrap(), &pan, &four, Some(&three));
            let _ = ivcvc3(&key, &pan);
            let _ = pack_track2(&pan);
            let _ = blank_track2(&pan);
        }

        #[test]
        fn values_are_digits(
            pan in "[0-9]{12,19}", expiry in "[0-9]{4}", service in "[0-9]{3}", key: [u8; 16], atc: u16,
        ) {
            let key = ClearKey::des(&key).unwrap();
            let cvk = Cvk::new(&key).unwrap();
            let (pan, expiry, service) = (pan.as_bytes(), expiry.as_bytes(), service.as_bytes());
            prop_assert!(cvk.cvv(pan, expiry, service).unwrap().iter().all(u8::is_ascii_digit));
            prop_assert!(cvk.dcvv(pan, expiry, service, atc.into()).unwrap().iter().all(u8::is_ascii_digit));
            let amex = [b"37", &pan[..12]].concat();
            let codes = csc(&key.cipher().unwrap(), &amex, b"9912", None).unwrap();
            prop_assert!(codes.five.iter().chain(&codes.four).chain(&codes.three).all(u8::is_ascii_digit));
            prop_assert!(cvc3(&key.cipher().unwrap(), [1, 2], [0; 4], atc).unwrap().iter().all(u8::is_ascii_digit));
        }

        #[test]
        fn decimalise_gives_a_digit_per_nibble(bytes: Vec<u8>) {
            let digits: Vec<u8> = decimalise(&bytes).collect();
            prop_assert_eq!(digits.len(), bytes.len() * 2);
            prop_assert!(digits.iter().all(|d| *d < 10));
        }
    }
}
