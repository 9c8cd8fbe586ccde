//! RSA keys as bytes: public-key encodings, the private-key structure of key blocks, and the public-key MAC (keys.md 4.6, 5).

use crate::cipher::{BlockCipher, CipherError};
use crate::clear_key::{Algorithm, ClearKey};
use zeroize::Zeroizing;

/// How the host writes an RSA public key, the "encoding" field (keys.md 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PublicKeyEncoding {
    /// `01`: DER `SEQUENCE{modulus, exponent}` whose INTEGERs are unsigned.
    UnsignedDer,
    /// `02`: the same with two's-complement INTEGERs, which is PKCS#1 `RSAPublicKey`.
    Pkcs1Der,
}

impl PublicKeyEncoding {
    /// The field's two digits.
    ///
    /// # Errors
    /// [`RsaEncodingError::Encoding`] (03). `03` is for EC keys and not known here.
    pub fn parse(field: &[u8]) -> Result<Self, RsaEncodingError> {
        match field {
            b"01" => Ok(Self::UnsignedDer),
            b"02" => Ok(Self::Pkcs1Der),
            _ => Err(RsaEncodingError::Encoding),
        }
    }
}

/// An RSA public key: unsigned big-endian numbers without leading zeros, neither of them zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RsaPublicKey {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl RsaPublicKey {
    /// A key of big-endian numbers, whose leading zeros are dropped.
    ///
    /// # Errors
    /// [`RsaEncodingError::Zero`] if one is zero or empty.
    pub fn new(modulus: &[u8], exponent: &[u8]) -> Result<Self, RsaEncodingError> {
        let (modulus, exponent) = (significant(modulus), significant(exponent));
        if modulus.is_empty() || exponent.is_empty() {
            return Err(RsaEncodingError::Zero);
        }
        Ok(Self { modulus: modulus.to_vec(), exponent: exponent.to_vec() })
    }

    /// Reads the key that `input` begins with. Returns it and the number of bytes it takes.
    ///
    /// Encoding 01 tolerates leading zeros. What follows the key is not looked at.
    ///
    /// # Errors
    /// [`RsaEncodingError`]: not the DER of such a key, or a zero in it.
    pub fn decode(encoding: PublicKeyEncoding, input: &[u8]) -> Result<(Self, usize), RsaEncodingError> {
        let (body, consumed) = element(SEQUENCE, input)?;
        let (modulus, used) = element(INTEGER, body)?;
        let rest = body.get(used..).unwrap_or_default();
        let (exponent, used) = element(INTEGER, rest)?;
        if used != rest.len() {
            return Err(RsaEncodingError::Der);
        }
        if encoding == PublicKeyEncoding::Pkcs1Der && !(is_positive_der(modulus) && is_positive_der(exponent)) {
            return Err(RsaEncodingError::Der);
        }
        Ok((Self::new(modulus, exponent)?, consumed))
    }

    /// The key in an encoding.
    #[must_use]
    pub fn encode(&self, encoding: PublicKeyEncoding) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.modulus.len() + self.exponent.len() + 16);
        for number in [&self.modulus, &self.exponent] {
            let sign = encoding == PublicKeyEncoding::Pkcs1Der && number.first().is_some_and(|first| *first >= 0x80);
            put_header(&mut body, INTEGER, number.len() + usize::from(sign));
            if sign {
                body.push(0);
            }
            body.extend_from_slice(number);
        }
        let mut out = Vec::with_capacity(body.len() + 6);
        put_header(&mut out, SEQUENCE, body.len());
        out.extend_from_slice(&body);
        out
    }

    /// The modulus, big-endian, first byte not zero.
    #[must_use]
    pub fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// The exponent, big-endian, first byte not zero.
    #[must_use]
    pub fn exponent(&self) -> &[u8] {
        &self.exponent
    }

    /// Length of the modulus in bits.
    #[must_use]
    pub fn modulus_bits(&self) -> usize {
        8 * self.modulus.len() - self.modulus.first().map_or(0, |first| first.leading_zeros() as usize)
    }
}

/// `SubjectPublicKeyInfo` of an RSA key (RFC 3279 2.3.1).
#[must_use]
pub fn subject_public_key_info(key: &RsaPublicKey) -> Vec<u8> {
    const ALGORITHM: &[u8] = &[0x06, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 1, 0x05, 0];
    let mut bits = vec![0];
    bits.extend(key.encode(PublicKeyEncoding::Pkcs1Der));
    let mut body = Vec::new();
    put_element(&mut body, SEQUENCE, ALGORITHM);
    put_element(&mut body, BIT_STRING, &bits);
    let mut out = Vec::new();
    put_element(&mut out, SEQUENCE, &body);
    out
}

/// Total length in bytes of the DER SEQUENCE that `input` begins with: where a public key of unknown length ends, or a private
/// key before its fill.
///
/// # Errors
/// [`RsaEncodingError::Short`] if `input` ends before it does, [`RsaEncodingError::Der`] if there is no SEQUENCE.
pub fn der_len(input: &[u8]) -> Result<usize, RsaEncodingError> {
    element(SEQUENCE, input).map(|(_, len)| len)
}

/// An RSA private key as key blocks hold it: CRT values, unsigned big-endian without leading zeros (keys.md 4.6).
///
/// Erased on drop and absent from `Debug`.
#[derive(Clone)]
pub struct RsaPrivateKey {
    /// Larger prime.
    pub p: Zeroizing<Vec<u8>>,
    /// Smaller prime.
    pub q: Zeroizing<Vec<u8>>,
    /// d mod (p − 1).
    pub dp: Zeroizing<Vec<u8>>,
    /// d mod (q − 1).
    pub dq: Zeroizing<Vec<u8>>,
    /// q⁻¹ mod p.
    pub qinv: Zeroizing<Vec<u8>>,
}

impl core::fmt::Debug for RsaPrivateKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "RsaPrivateKey {{ p: {} bytes }}", self.p.len())
    }
}

impl RsaPrivateKey {
    /// Reads `SEQUENCE{p, q, dp, dq, qinv}` at the start of `input`. Returns the key and the number of bytes it takes.
    ///
    /// Leading zeros are dropped. The numbers are not checked against each other.
    ///
    /// # Errors
    /// [`RsaEncodingError`]: not such a structure, or a zero in it.
    pub fn decode(input: &[u8]) -> Result<(Self, usize), RsaEncodingError> {
        let (mut body, consumed) = element(SEQUENCE, input)?;
        let mut next = || -> Result<Zeroizing<Vec<u8>>, RsaEncodingError> {
            let (number, used) = element(INTEGER, body)?;
            body = body.get(used..).unwrap_or_default();
            match significant(number) {
                [] => Err(RsaEncodingError::Zero),
                number => Ok(Zeroizing::new(number.to_vec())),
            }
        };
        let key = Self { p: next()?, q: next()?, dp: next()?, dq: next()?, qinv: next()? };
        if body.is_empty() { Ok((key, consumed)) } else { Err(RsaEncodingError::Der) }
    }

    /// `SEQUENCE{p, q, dp, dq, qinv}` with unsigned INTEGERs.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let numbers = [&self.p, &self.q, &self.dp, &self.dq, &self.qinv];
        // Room for everything, so that no copy of key material is left behind by growing.
        let capacity = numbers.iter().map(|n| n.len() + 6).sum();
        let mut body = Zeroizing::new(Vec::with_capacity(capacity));
        for number in numbers {
            let number = significant(number);
            put_header(&mut body, INTEGER, number.len());
            body.extend_from_slice(number);
        }
        let mut out = Zeroizing::new(Vec::with_capacity(capacity + 6));
        put_header(&mut out, SEQUENCE, body.len());
        out.extend_from_slice(&body);
        out
    }
}

/// The MAC that protects a public key outside the HSM under a variant LMK: ANSI X9.19 over DER and authentication data, zero
/// padded, four bytes (keys.md 5.3). `pair` is LMK pair 36-37.
///
/// A three-key pair does the last step with its second and third block, as ISO 9797-1 algorithm 3 with three keys.
///
/// # Errors
/// [`RsaEncodingError::Cipher`] if `pair` is no TDES key of 16 or 24 bytes.
pub fn public_key_mac(pair: &ClearKey, der: &[u8], auth_data: &[u8]) -> Result<[u8; 4], RsaEncodingError> {
    let wrong = CipherError::KeyLength { algorithm: "LMK pair", len: pair.len() };
    let (Algorithm::Des, [left, middle, right]) = (pair.algorithm(), [0, 8, 16].map(|at| pair.bytes().get(at..at + 8)))
    else {
        return Err(wrong.into());
    };
    let (left, middle) = (left.ok_or(wrong)?, middle.ok_or(wrong)?);
    let first = BlockCipher::des(left)?;
    let mut data = [der, auth_data].concat();
    data.resize(data.len().next_multiple_of(8), 0);
    let mut mac = [0u8; 8];
    first.cbc_encrypt(&mut mac, &mut data)?;
    BlockCipher::des(middle)?.ecb_decrypt(&mut mac)?;
    BlockCipher::des(right.unwrap_or(left))?.ecb_encrypt(&mut mac)?;
    let [a, b, c, d, ..] = mac;
    Ok([a, b, c, d])
}

/// Bytes that are no RSA key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RsaEncodingError {
    /// No such encoding.
    #[error("the public-key encoding is not 01 or 02")]
    Encoding,
    /// The input ends before the key does.
    #[error("the key ends early")]
    Short,
    /// Not the DER of such a key.
    #[error("the key is not well-formed DER")]
    Der,
    /// A number of the key is zero.
    #[error("a number of the key is zero")]
    Zero,
    /// The MAC key is unusable.
    #[error(transparent)]
    Cipher(#[from] CipherError),
}

impl RsaEncodingError {
    /// The payShield error code for a public key (keys.md 7 `EO`, 8). Commands with a private key answer 49 instead of 04.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Encoding => "03",
            Self::Der | Self::Zero => "04",
            Self::Short => "15",
            Self::Cipher(_) => "42",
        }
    }
}

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const SEQUENCE: u8 = 0x30;

/// Contents of the element `input` begins with, and its total length. Lengths must be minimal, as DER has it.
pub(crate) fn element(tag: u8, input: &[u8]) -> Result<(&[u8], usize), RsaEncodingError> {
    let (&found, rest) = input.split_first().ok_or(RsaEncodingError::Short)?;
    if found != tag {
        return Err(RsaEncodingError::Der);
    }
    let (&first, rest) = rest.split_first().ok_or(RsaEncodingError::Short)?;
    let (len, header) = match first {
        0..=0x7F => (usize::from(first), 2),
        0x81 | 0x82 => {
            let count = usize::from(first & 0x7F);
            let digits = rest.get(..count).ok_or(RsaEncodingError::Short)?;
            let len = digits.iter().fold(0, |len, d| len << 8 | usize::from(*d));
            if len < [0x80, 0x100][count - 1] {
                return Err(RsaEncodingError::Der);
            }
            (len, 2 + count)
        }
        _ => return Err(RsaEncodingError::Der),
    };
    let contents = input.get(header..header + len).ok_or(RsaEncodingError::Short)?;
    Ok((contents, header + len))
}

/// Appends an element.
pub(crate) fn put_element(out: &mut Vec<u8>, tag: u8, contents: &[u8]) {
    put_header(out, tag, contents.len());
    out.extend_from_slice(contents);
}

fn put_header(out: &mut Vec<u8>, tag: u8, len: usize) {
    out.push(tag);
    let bytes = len.to_be_bytes();
    let digits = significant(&bytes);
    match digits {
        [] => out.push(0),
        [len @ ..=0x7F] => out.push(*len),
        digits => {
            out.push(0x80 | digits.len() as u8);
            out.extend_from_slice(digits);
        }
    }
}

pub(crate) fn significant(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|b| **b == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// Whether a two's-complement INTEGER is positive and minimal.
fn is_positive_der(number: &[u8]) -> bool {
    match number {
        [0, second, ..] => *second >= 0x80,
        [first, ..] => *first < 0x80,
        [] => false,
    }
}
