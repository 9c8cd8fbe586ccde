//! What is this cryptogram? Tries LMKs, key types, schemes and key blocks, and looks for likely damage.
//!
//! A wrong guess shows as wrong parity or a wrong MAC, so what comes out with odd parity in every byte or a good MAC is
//! plausible: 16 bytes of random data have odd parity once in 65 536, 8 bytes once in 256. A check value settles it.

mod block;
mod damage;
mod pin;

pub(crate) use block::X9143_USAGES;
pub use block::{BlockReport, HeaderField, OptionalField, Verdict, describe_header, usage_name};
pub use damage::{Defect, Repair};
pub use pin::{AccountGuess, PinHint, PinReading, read_pin_block};

use crate::cipher::BlockCipher;
use crate::clear_key::{Algorithm, ClearKey};
use crate::key_block::header::Family;
use crate::key_type::{KEY_TYPES, KeyType};
use crate::lmk::{Lmk, LmkScheme};
use crate::scheme::KeyScheme;
use crate::variant::{self, AtallaVariant, LmkUse};
use crate::{hex, kcv};
use core::fmt;
use std::collections::BTreeMap;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What to look at, and what is known about it.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// A key as host commands carry it: tag and hexadecimal digits, or a key block.
    pub text: &'a str,
    /// LMKs by identifier.
    pub lmks: &'a BTreeMap<u8, Arc<Lmk>>,
    /// ZMKs, TMKs or key-block protection keys that it may be under besides.
    pub wrapping_keys: &'a [WrappingKey],
    /// The check value that the key should have, from the left, at least two bytes.
    pub check_value: Option<&'a [u8]>,
    /// The only key type to try.
    pub key_type: Option<KeyType>,
    /// Whether to report implausible candidates as well.
    pub all: bool,
}

/// A clear key that others may be under.
#[derive(Debug, Clone, PartialEq)]
pub struct WrappingKey {
    /// How to call it in the report.
    pub name: String,
    /// The key.
    pub key: ClearKey,
}

/// What a key is under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Under {
    /// The LMK of this identifier.
    Lmk(u8),
    /// A [`WrappingKey`] of this name.
    Key(String),
    /// Nothing: the text is a clear key.
    Nothing,
}

impl fmt::Display for Under {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lmk(id) => write!(f, "LMK {id:02}"),
            Self::Key(name) => f.write_str(name),
            Self::Nothing => f.write_str("clear"),
        }
    }
}

/// What a text is by its looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Hexadecimal digits, with a scheme tag or without.
    Cryptogram {
        /// The tag's scheme.
        tag: Option<KeyScheme>,
        /// Number of digits.
        digits: usize,
    },
    /// A key block.
    Block(Family),
    /// `K` and three digits: a reference into user storage, which only the HSM can follow.
    Stored,
    /// None of these.
    Unknown,
}

/// How a check value agrees with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckMatch {
    /// It is that of the whole key.
    Whole,
    /// It is those of the parts, three bytes each: CVK and PVK pairs.
    Parts,
    /// It is that of the first part alone, taken as a single DES key.
    FirstPart,
}

/// One way a text may have come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What the key is under.
    pub under: Under,
    /// Its key type, under a variant LMK.
    pub key_type: Option<KeyType>,
    /// Whether it is a component of such a key.
    pub component: bool,
    /// The scheme in which it reads so.
    pub scheme: KeyScheme,
    /// Whether that is the scheme it is written in.
    pub as_written: bool,
    /// The Atalla variant of the wrapping key.
    pub atalla: AtallaVariant,
}

impl Reading {
    fn new(under: Under, scheme: KeyScheme, as_written: bool) -> Self {
        Self { under, key_type: None, component: false, scheme, as_written, atalla: AtallaVariant::NONE }
    }

    /// Whether the key type is one that some key has.
    fn is_known(&self) -> bool {
        self.key_type.is_none_or(|key_type| key_type.info().is_some())
    }

    /// The scheme that is written, a type that exists, a whole key, no Atalla variant.
    fn is_usual(&self) -> bool {
        self.as_written && !self.component && self.is_known() && self.atalla == AtallaVariant::NONE
    }
}

/// Something a key may be.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// How the text reads so.
    pub reading: Reading,
    /// The key.
    pub key: ClearKey,
    /// Bytes with odd parity in each 8-byte part; empty for keys that are not DES.
    pub odd_bytes: Vec<u8>,
    /// Its check value, 8 or 16 bytes; empty where none is defined.
    pub check_value: Vec<u8>,
    /// How the expected check value agrees; `None` without one, or if it does not.
    pub check_match: Option<CheckMatch>,
}

impl Candidate {
    fn new(reading: Reading, key: ClearKey, query: &Query<'_>) -> Self {
        let check_value = kcv::check_value(&key).unwrap_or_default();
        let odd_bytes = match key.algorithm() {
            Algorithm::Des => key.bytes().chunks(8).map(odd_bytes).collect(),
            _ => Vec::new(),
        };
        let check_match = query.check_value.and_then(|expected| check_match(&key, &check_value, expected));
        Self { reading, key, odd_bytes, check_value, check_match }
    }

    /// Whether every byte has odd parity; always so for keys that are not DES.
    #[must_use]
    pub fn odd_parity(&self) -> bool {
        self.odd_bytes.iter().all(|odd| *odd == 8)
    }

    /// Whether two neighbouring parts are equal, which makes the key weaker than its length.
    #[must_use]
    pub fn has_equal_parts(&self) -> bool {
        let parts: Vec<&[u8]> = self.key.bytes().chunks(8).collect();
        self.key.algorithm() == Algorithm::Des && parts.windows(2).any(|pair| pair.first() == pair.last())
    }

    fn is_worth_telling(&self) -> bool {
        let under_key = matches!(self.reading.under, Under::Key(_));
        self.check_match.is_some() || self.odd_parity() || (under_key && self.reading.is_usual())
    }

    fn is_partly_good(&self) -> bool {
        let good = self.odd_bytes.iter().filter(|odd| **odd == 8).count();
        let under_lmk = matches!(self.reading.under, Under::Lmk(_));
        good > 0 && good < self.odd_bytes.len() && under_lmk && self.reading.is_usual()
    }

    /// Less is more plausible.
    fn rank(&self) -> impl Ord + use<> {
        let Reading { under, key_type, component, as_written, atalla, .. } = &self.reading;
        (
            self.check_match.map_or(3, |m| m as u8),
            !self.odd_parity(),
            !as_written,
            *component,
            !self.reading.is_known(),
            *under == Under::Nothing,
            atalla.number(),
            *key_type,
        )
    }
}

/// Something about the text itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// It has lower-case letters.
    LowerCase,
    /// It has blanks, which were left out.
    Blanks,
    /// A character, counted from 1 without the tag, is no hexadecimal digit.
    NotHex {
        /// Which.
        at: usize,
        /// The character.
        found: char,
    },
    /// No key has this many digits.
    Length(usize),
    /// A tag wants another number of digits.
    TagLength {
        /// The tag's scheme.
        tag: KeyScheme,
        /// Digits that follow it.
        digits: usize,
    },
    /// These bytes, counted from 1, are `3F`, a question mark.
    QuestionMarks(Vec<usize>),
    /// The bytes `EFBFBD`, the replacement character of UTF-8.
    ReplacementCharacter,
    /// The scheme is known but not supported.
    Unsupported(KeyScheme),
    /// No scheme has this tag.
    UnknownTag(char),
    /// A key block without its tag `S` or `R`.
    MissingTag(Family),
    /// A key block of another length than its header says.
    BlockLength {
        /// What the header says.
        declared: usize,
        /// What there is, without tag.
        actual: usize,
    },
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LowerCase => {
                f.write_str("lower-case letters: the device writes upper case, and some clients compare text")
            }
            Self::Blanks => f.write_str("blanks were left out: a host command must not have them"),
            Self::NotHex { at, found } => write!(f, "character {at}, {found:?}, is no hexadecimal digit"),
            Self::Length(digits) => {
                write!(f, "{digits} digits are no key: ")?;
                f.write_str(match digits {
                    0 => "nothing is there",
                    6 => "6 are a check value",
                    15 | 31 | 47 => "one digit is missing",
                    17 | 33 | 49 => "one digit too many",
                    12 | 18 => "an account field has as many",
                    40 => "40 are a SHA-1 digest, 16, 32 or 48 a key",
                    64 => "64 are a clear AES-256 key or a SHA-256 digest; under an LMK it would be a key block",
                    _ if !digits.is_multiple_of(2) => "their number is odd",
                    _ => "16 are a single-, 32 a double-, 48 a triple-length key",
                })
            }
            Self::TagLength { tag, digits } => {
                let letter = tag.tag().map_or('?', char::from);
                write!(f, "scheme {letter} has {} digits, here are {digits}", 2 * tag.key_len().unwrap_or_default())?;
                match digits {
                    16 => f.write_str(": a single-length key has scheme Z or no tag"),
                    32 => f.write_str(": a double-length key has scheme U or X"),
                    48 => f.write_str(": a triple-length key has scheme T or Y"),
                    _ => Ok(()),
                }
            }
            Self::QuestionMarks(at) => {
                let at: Vec<String> = at.iter().map(usize::to_string).collect();
                write!(
                    f,
                    "byte {} is 3F, a question mark: what text encodings put for a byte from 80 up",
                    at.join(", ")
                )
            }
            Self::ReplacementCharacter => {
                f.write_str("EFBFBD is the replacement character of UTF-8: the bytes were read as text, and are lost")
            }
            Self::Unsupported(scheme) => write!(f, "scheme {scheme:?} is known, but not supported here"),
            Self::UnknownTag(tag) => write!(f, "{tag:?} is no key scheme (the HSM answers 26)"),
            Self::MissingTag(family) => {
                let kind = if *family == Family::Thales { "Thales" } else { "TR-31" };
                write!(f, "the tag is missing: a {kind} key block needs its tag {} in front", family.tag())
            }
            Self::BlockLength { declared, actual } => {
                write!(f, "the header says {declared} characters, there are {actual}: ")?;
                f.write_str(if actual < declared { "the block was cut off" } else { "something follows the block" })?;
                f.write_str(" (the tag does not count)")
            }
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What the text is by its looks.
    pub shape: Shape,
    /// What strikes about it.
    pub remarks: Vec<Remark>,
    /// What it may be, the most plausible first.
    pub candidates: Vec<Candidate>,
    /// Candidates of which some parts have odd parity throughout and others do not: right key, damaged part.
    pub partly: Vec<Candidate>,
    /// What the header of a key block says, and what opens it.
    pub block: Option<BlockReport>,
    /// Changes that make it a key again.
    pub repairs: Vec<Repair>,
    /// Number of combinations of LMK, type, scheme and variant that were tried.
    pub tried: usize,
}

impl Report {
    fn new(shape: Shape) -> Self {
        let (remarks, candidates, partly, repairs) = Default::default();
        Self { shape, remarks, candidates, partly, block: None, repairs, tried: 0 }
    }

    /// Whether the text as it is is plausibly a key, and has the expected check value if there is one.
    #[must_use]
    pub fn is_plausible(&self, query: &Query<'_>) -> bool {
        let opened = self.block.iter().flat_map(|block| &block.verdicts).filter_map(|v| v.opened.as_ref().ok());
        let unknown = query.check_value.is_none();
        let good = |c: &Candidate| c.check_match.is_some() || (unknown && c.odd_parity() && c.reading.as_written);
        self.candidates.iter().any(good) || opened.into_iter().any(|c| unknown || c.check_match.is_some())
    }
}

/// Says what a text plausibly is.
#[must_use]
pub fn inspect(query: &Query<'_>) -> Report {
    let text: String = query.text.chars().filter(|c| !c.is_whitespace()).collect();
    let blanks = text.len() != query.text.trim().len();
    let mut report = match block::split(&text) {
        Some((family, tagged, body)) => block::inspect(query, family, tagged, body),
        None => cryptogram(query, &text),
    };
    if blanks {
        report.remarks.insert(0, Remark::Blanks);
    }
    report
}

fn cryptogram(query: &Query<'_>, text: &str) -> Report {
    let upper = text.to_ascii_uppercase();
    let (tag, digits) = split_tag(&upper);
    if tag == Some('K') && digits.len() == 3 {
        return Report::new(Shape::Stored);
    }
    let scheme = tag.and_then(|tag| u8::try_from(tag).ok()).and_then(|tag| KeyScheme::from_tag(tag).ok());
    let shape = match (tag, scheme) {
        (Some(_), None) => Shape::Unknown,
        _ => Shape::Cryptogram { tag: scheme, digits: digits.chars().count() },
    };
    let mut report = Report::new(shape);
    if text != upper {
        report.remarks.push(Remark::LowerCase);
    }
    match (tag, scheme) {
        (Some(tag), None) => report.remarks.push(Remark::UnknownTag(tag)),
        (_, Some(scheme)) if !scheme.is_variant_or_x917() => report.remarks.push(Remark::Unsupported(scheme)),
        _ => {}
    }
    let count = digits.chars().count();
    if let Some((at, found)) = digits.chars().enumerate().find(|(_, c)| !c.is_ascii_hexdigit()) {
        report.remarks.push(Remark::NotHex { at: at + 1, found });
    }
    match scheme.filter(|scheme| scheme.is_variant_or_x917()) {
        Some(tag) if tag.key_len() != Some(count / 2) || count % 2 == 1 => {
            report.remarks.push(Remark::TagLength { tag, digits: count });
        }
        None if !matches!(count, 16 | 32 | 48) => report.remarks.push(Remark::Length(count)),
        _ => {}
    }
    if digits.contains("EFBFBD") {
        report.remarks.push(Remark::ReplacementCharacter);
    }
    if let Some(bytes) = hex::decode(digits) {
        let marks: Vec<usize> = (1..).zip(bytes.iter()).filter(|(_, byte)| **byte == b'?').map(|(at, _)| at).collect();
        if !marks.is_empty() {
            report.remarks.push(Remark::QuestionMarks(marks));
        }
        let locks = Lock::all(query, bytes.len(), scheme);
        report.tried = locks.len();
        let opened = || locks.iter().filter_map(|lock| lock.candidate(&bytes, query));
        report.candidates = opened().filter(|c| query.all || c.is_worth_telling()).collect();
        report.candidates.extend(clear_candidates(&bytes, query));
        report.candidates.sort_by_key(Candidate::rank);
        report.partly = opened().filter(Candidate::is_partly_good).collect();
        report.partly.sort_by_key(Candidate::rank);
    }
    if !report.is_plausible(query) {
        report.repairs = damage::of_cryptogram(query, scheme, digits);
    }
    report
}

/// The tag, if the text has one, and what follows.
fn split_tag(text: &str) -> (Option<char>, &str) {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if first.is_ascii_alphabetic() && !first.is_ascii_hexdigit() => (Some(first), chars.as_str()),
        _ => (None, text),
    }
}

/// A reading of a cryptogram, ready to be undone.
struct Lock {
    reading: Reading,
    parts: Vec<BlockCipher>,
}

impl Lock {
    /// Every lock for cryptograms of a length in bytes.
    fn all(query: &Query<'_>, len: usize, tag: Option<KeyScheme>) -> Vec<Self> {
        let schemes: &[KeyScheme] = match len {
            8 => &[KeyScheme::Single],
            16 => &[KeyScheme::U, KeyScheme::Double],
            24 => &[KeyScheme::T, KeyScheme::Y],
            _ => return Vec::new(),
        };
        let mut locks = Vec::new();
        for &scheme in schemes {
            let as_written = match scheme {
                KeyScheme::Single => matches!(tag, None | Some(KeyScheme::Z)),
                KeyScheme::Double => matches!(tag, None | Some(KeyScheme::X)),
                scheme => tag == Some(scheme),
            };
            Self::under_lmks(query, scheme, as_written, &mut locks);
            Self::under_keys(query, scheme, as_written, &mut locks);
        }
        locks
    }

    fn under_lmks(query: &Query<'_>, scheme: KeyScheme, as_written: bool, locks: &mut Vec<Self>) {
        let types: Vec<KeyType> = match query.key_type {
            Some(key_type) => vec![key_type],
            None => every_type().collect(),
        };
        for (&id, lmk) in query.lmks.iter().filter(|(_, lmk)| lmk.scheme() == LmkScheme::Variant) {
            for &key_type in &types {
                for component in [false, true] {
                    let under = if component { LmkUse::component_of(key_type) } else { key_type.into() };
                    let Ok(parts) = variant::lmk_part_ciphers(lmk, under, scheme) else { continue };
                    let reading = Reading::new(Under::Lmk(id), scheme, as_written);
                    locks.push(Self { reading: Reading { key_type: Some(key_type), component, ..reading }, parts });
                }
            }
        }
    }

    fn under_keys(query: &Query<'_>, scheme: KeyScheme, as_written: bool, locks: &mut Vec<Self>) {
        for wrapping in query.wrapping_keys {
            for atalla in (0..=31u8).filter_map(|n| AtallaVariant::parse(n.to_string().as_bytes()).ok()) {
                let Ok(parts) = variant::zmk_part_ciphers(&wrapping.key, atalla, scheme) else { continue };
                let reading = Reading::new(Under::Key(wrapping.name.clone()), scheme, as_written);
                locks.push(Self { reading: Reading { atalla, ..reading }, parts });
            }
        }
    }

    /// Whether a key that does not have odd parity throughout cannot be under this.
    fn wants_parity(&self) -> bool {
        matches!(self.reading.under, Under::Lmk(_))
    }

    /// Deciphers part by part; `None` for another length, or as soon as a part lacks odd parity where `strict`.
    fn open(&self, cryptogram: &[u8], strict: bool) -> Option<Zeroizing<Vec<u8>>> {
        if cryptogram.len() != 8 * self.parts.len() {
            return None;
        }
        let mut bytes = Zeroizing::new(cryptogram.to_vec());
        for (part, cipher) in bytes.chunks_exact_mut(8).zip(&self.parts) {
            cipher.ecb_decrypt(part).ok()?;
            if strict && odd_bytes(part) != 8 {
                return None;
            }
        }
        Some(bytes)
    }

    fn candidate(&self, cryptogram: &[u8], query: &Query<'_>) -> Option<Candidate> {
        self.holding(&self.open(cryptogram, false)?, query)
    }

    /// The candidate, if the cryptogram opens as the lock wants it.
    fn good_candidate(&self, cryptogram: &[u8], query: &Query<'_>) -> Option<Candidate> {
        self.holding(&self.open(cryptogram, self.wants_parity())?, query)
    }

    fn holding(&self, clear: &[u8], query: &Query<'_>) -> Option<Candidate> {
        Some(Candidate::new(self.reading.clone(), ClearKey::des(clear).ok()?, query))
    }
}

/// How an expected check value agrees with a key whose own is `actual`.
fn check_match(key: &ClearKey, actual: &[u8], expected: &[u8]) -> Option<CheckMatch> {
    if expected.len() < 2 {
        return None;
    }
    if actual.starts_with(expected) {
        return Some(CheckMatch::Whole);
    }
    if key.algorithm() != Algorithm::Des || key.len() == 8 {
        return None;
    }
    let parts = kcv::des_part_check_values(key).ok()?;
    let short: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied().take(3)).collect();
    match parts.first() {
        _ if expected.len() > 3 && short.starts_with(expected) => Some(CheckMatch::Parts),
        Some(first) if first.starts_with(expected) => Some(CheckMatch::FirstPart),
        _ => None,
    }
}

/// What the text is if it is a clear key: told if its parity or check value speaks for it.
fn clear_candidates(bytes: &[u8], query: &Query<'_>) -> Vec<Candidate> {
    let scheme = match bytes.len() {
        8 => KeyScheme::Single,
        16 => KeyScheme::Double,
        _ => KeyScheme::Y,
    };
    let des = ClearKey::des(bytes).ok().into_iter();
    let aes = ClearKey::aes(bytes).ok().into_iter();
    des.chain(aes)
        .map(|key| Candidate::new(Reading::new(Under::Nothing, scheme, true), key, query))
        .filter(|c| c.check_match.is_some() || (c.key.algorithm() == Algorithm::Des && c.odd_parity()))
        .collect()
}

/// Every key type that can be written, listed or not.
fn every_type() -> impl Iterator<Item = KeyType> {
    let listed = KEY_TYPES.iter().map(|info| info.key_type);
    let other = (0..10u8).flat_map(|variant| (0..15u8).map(move |pair| (variant, pair)));
    let other = other.filter_map(|(variant, pair)| KeyType::parse(format!("{variant}{pair:02X}").as_bytes()).ok());
    listed.chain(other.filter(|key_type| key_type.info().is_none()))
}

fn odd_bytes(bytes: &[u8]) -> u8 {
    bytes.iter().map(|byte| (byte.count_ones() & 1) as u8).sum()
}

#[cfg(test)]
mod tests;
