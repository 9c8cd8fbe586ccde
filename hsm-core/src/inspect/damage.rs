//! Likely damage: what must be changed for a text to be a key again.
//!
//! Changes of a cryptogram are believed if the check value agrees, and parity too under an LMK; those with few alternatives
//! by parity alone. Changes of a key block are believed if the MAC is good.

use super::block::{Opener, X9143_USAGES};
use super::{Candidate, Lock, Query, Under, odd_bytes};
use crate::clear_key::ClearKey;
use crate::hex;
use crate::key_block::header::Family;
use crate::key_block::rules::USAGE_RULES;
use crate::scheme::KeyScheme;
use core::fmt;
use zeroize::Zeroizing;

/// What is wrong with a text. Places count from 1, without the tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Defect {
    /// One character is another.
    Wrong {
        /// Where.
        at: usize,
        /// What is there.
        found: char,
        /// What should be there.
        right: char,
    },
    /// Two neighbouring characters are exchanged.
    Exchanged(usize),
    /// A character is missing.
    Missing {
        /// Where it belongs.
        at: usize,
        /// The character.
        right: char,
    },
    /// There is a character too many.
    Superfluous {
        /// Where.
        at: usize,
        /// The character.
        found: char,
    },
    /// The halves, or the thirds, are in another order.
    SwappedParts,
    /// These bytes became `3F`: binary data went through a text encoding.
    TextEncoding(Vec<usize>),
    /// Bytes from 80 up became two bytes: binary data was encoded as UTF-8.
    Utf8,
    /// The digits were encoded in hexadecimal a second time.
    TwiceHex,
    /// Characters that look like digits: O for 0, I or L for 1.
    LookAlikes,
    /// Key-block letters in lower case.
    LowerCase,
    /// The header was changed after the block had been made: field, what is there, what should be there.
    Header(Vec<(&'static str, String, String)>),
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong { at, found, right } => write!(f, "character {at} is {found}, should be {right}"),
            Self::Exchanged(at) => write!(f, "characters {at} and {} are exchanged", at + 1),
            Self::Missing { at, right } => write!(f, "character {at} is missing: {right}"),
            Self::Superfluous { at, found } => write!(f, "character {at}, {found}, does not belong there"),
            Self::SwappedParts => f.write_str("the parts of the key are in another order"),
            Self::TextEncoding(at) => {
                let at: Vec<String> = at.iter().map(usize::to_string).collect();
                write!(f, "byte {} became 3F: binary data went through a text encoding", at.join(", "))
            }
            Self::Utf8 => f.write_str("bytes from 80 up became two: binary data was encoded as UTF-8"),
            Self::TwiceHex => f.write_str("the text was encoded in hexadecimal twice"),
            Self::LookAlikes => f.write_str("letters that look like digits: O for 0, I or L for 1"),
            Self::LowerCase => f.write_str("the block is in lower case"),
            Self::Header(fields) => {
                f.write_str("the header was changed after the block had been made:")?;
                for (at, (name, found, right)) in fields.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    write!(f, "{comma} {name} is {found}, was {right}")?;
                }
                Ok(())
            }
        }
    }
}

/// A change that makes a text a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Repair {
    /// What is wrong.
    pub defect: Defect,
    /// The text as it should be, with its tag.
    pub text: String,
    /// The key it then is.
    pub candidate: Candidate,
}

/// Repairs of hexadecimal `digits` that follow a tag. Nothing if the tag is that of another kind of key.
pub(super) fn of_cryptogram(query: &Query<'_>, tag: Option<KeyScheme>, digits: &str) -> Vec<Repair> {
    if tag.is_some_and(|tag| !tag.is_variant_or_x917()) || !digits.is_ascii() || digits.len() > 2 * LONGEST {
        return Vec::new();
    }
    let mut repairs = Vec::new();
    let mut search = Search { query, tag, repairs: &mut repairs };
    for (defect, changed) in whole_changes(digits) {
        search.judge(&defect, &changed);
    }
    if let Some(inner) = twice_hex(digits) {
        let (tag, digits) = super::split_tag(&inner);
        let tag = tag.and_then(|tag| u8::try_from(tag).ok()).and_then(|tag| KeyScheme::from_tag(tag).ok());
        Search { query, tag, repairs: &mut repairs }.judge(&Defect::TwiceHex, digits);
    }
    if query.check_value.is_some() && repairs.is_empty() {
        let mut search = Search { query, tag, repairs: &mut repairs };
        search.judge_all(single_changes(digits, HEX).filter(|(_, changed)| matches!(changed.len(), 16 | 32 | 48)));
        if repairs.is_empty() {
            repairs.extend(question_marks(query, tag, digits));
        }
    }
    repairs.dedup_by(|a, b| a.text == b.text && a.candidate.reading == b.candidate.reading);
    repairs.truncate(MOST);
    repairs
}

/// Repairs of a key block, given without its tag.
pub(super) fn of_block(query: &Query<'_>, openers: &[Opener<'_>], family: Family, body: &str) -> Vec<Repair> {
    // Blocks of RSA keys are long and binary; nobody types them.
    if !body.is_ascii() || body.len() > LONGEST {
        return Vec::new();
    }
    let letter = if family == Family::Thales { 'S' } else { 'R' };
    let mut repairs = Vec::new();
    let upper = upper_case(body);
    let in_upper_case = (Defect::LowerCase, upper.clone());
    let single = single_changes(&upper, HEX).chain(header_letters(&upper));
    for (defect, changed) in [in_upper_case].into_iter().chain(header_changes(family, &upper)).chain(single) {
        for opener in openers {
            if let Ok(candidate) = opener.verdict(query, changed.as_bytes()).opened {
                repairs.push(Repair { defect: defect.clone(), text: format!("{letter}{changed}"), candidate });
            }
        }
        if repairs.len() >= MOST {
            break;
        }
    }
    repairs.dedup_by(|a, b| a.text == b.text && a.candidate.reading == b.candidate.reading);
    repairs
}

/// Longest text in which single changes are looked for.
const LONGEST: usize = 512;
/// Repairs that are told.
const MOST: usize = 8;
/// Alternatives of all parts together that are compared with the check value.
const MOST_COMBINATIONS: usize = 20_000;
const HEX: &str = "0123456789ABCDEF";
const LETTERS: &str = "GHIJKLMNOPQRSTUVWXYZ";

struct Search<'a, 'q> {
    query: &'a Query<'q>,
    tag: Option<KeyScheme>,
    repairs: &'a mut Vec<Repair>,
}

impl Search<'_, '_> {
    /// Takes a change for the right one if what comes out is as it should be.
    fn judge(&mut self, defect: &Defect, digits: &str) {
        self.judge_all([(defect.clone(), digits.to_owned())].into_iter());
    }

    fn judge_all(&mut self, changes: impl Iterator<Item = (Defect, String)>) {
        let mut locks: Vec<(usize, Vec<Lock>)> = Vec::new();
        for (defect, digits) in changes {
            let Some(bytes) = hex::decode(&digits) else { continue };
            if !locks.iter().any(|(len, _)| *len == bytes.len()) {
                locks.push((bytes.len(), Lock::all(self.query, bytes.len(), self.tag)));
            }
            for lock in locks.iter().filter(|(len, _)| *len == bytes.len()).flat_map(|(_, locks)| locks) {
                let Some(candidate) = lock.good_candidate(&bytes, self.query) else { continue };
                let unverified = self.query.check_value.is_none() && lock.wants_parity() && lock.reading.is_usual();
                if candidate.check_match.is_some() || unverified {
                    self.repairs.push(repair(defect.clone(), &digits, candidate));
                }
            }
            if self.repairs.len() >= MOST {
                break;
            }
        }
    }
}

fn repair(defect: Defect, digits: &str, candidate: Candidate) -> Repair {
    let tag = candidate.reading.scheme.tag().filter(|_| candidate.reading.under != Under::Nothing);
    let text = tag.map(char::from).into_iter().chain(digits.chars()).collect();
    Repair { defect, text, candidate }
}

/// Changes of the whole text, few enough to be believed by parity.
fn whole_changes(digits: &str) -> Vec<(Defect, String)> {
    let mut changes = Vec::new();
    let looks: String = digits
        .chars()
        .map(|c| match c {
            'O' | 'Q' => '0',
            'I' | 'L' => '1',
            c => c,
        })
        .collect();
    if looks != digits {
        changes.push((Defect::LookAlikes, looks));
    }
    if let (Some((a, b)), true) = (digits.split_at_checked(digits.len() / 2), digits.len() == 32) {
        changes.push((Defect::SwappedParts, format!("{b}{a}")));
    }
    if let (Some(a), Some(b), Some(c), 48) = (digits.get(..16), digits.get(16..32), digits.get(32..48), digits.len()) {
        for order in [[a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]] {
            changes.push((Defect::SwappedParts, order.concat()));
        }
    }
    if let Some(decoded) = utf8_undone(digits) {
        changes.push((Defect::Utf8, decoded));
    }
    changes
}

/// The digits of the bytes that were encoded as UTF-8 from Latin-1.
fn utf8_undone(digits: &str) -> Option<String> {
    let bytes = hex::decode(digits)?;
    let text = core::str::from_utf8(&bytes).ok()?;
    let latin: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c as u32).ok()).collect();
    latin.filter(|latin| latin.len() < bytes.len()).map(|latin| hex::encode(&latin))
}

/// The text whose characters the digits are.
fn twice_hex(digits: &str) -> Option<String> {
    let bytes = hex::decode(digits)?;
    let text = core::str::from_utf8(&bytes).ok()?;
    (text.len() >= 16 && text.chars().all(|c| c.is_ascii_alphanumeric())).then(|| text.to_ascii_uppercase())
}

/// Every text with one character changed, exchanged, added or removed.
fn single_changes<'a>(text: &'a str, alphabet: &'static str) -> impl Iterator<Item = (Defect, String)> + 'a {
    let chars: Vec<char> = text.chars().collect();
    let len = chars.len();
    let (other, neighbours) = (chars.clone(), chars.clone());
    let (longer, shorter) = (chars.clone(), chars.clone());
    let wrong = changed_characters(other, 0..len, alphabet);
    let exchanged = (1..len).filter_map(move |at| {
        let mut changed = neighbours.clone();
        changed.swap(at - 1, at);
        (changed != neighbours).then(|| (Defect::Exchanged(at), changed.into_iter().collect()))
    });
    let superfluous = (0..len).map(move |at| {
        let mut changed = shorter.clone();
        let found = changed.remove(at);
        (Defect::Superfluous { at: at + 1, found }, changed.into_iter().collect())
    });
    let missing = (0..=len).flat_map(move |at| {
        let longer = longer.clone();
        alphabet.chars().map(move |right| {
            let mut changed = longer.clone();
            changed.insert(at, right);
            (Defect::Missing { at: at + 1, right }, changed.into_iter().collect())
        })
    });
    wrong.chain(exchanged).chain(superfluous).chain(missing)
}

fn changed_characters(
    chars: Vec<char>,
    places: core::ops::Range<usize>,
    alphabet: &'static str,
) -> impl Iterator<Item = (Defect, String)> {
    places.flat_map(move |at| {
        let chars = chars.clone();
        alphabet.chars().filter_map(move |right| {
            let mut changed = chars.clone();
            let place = changed.get_mut(at).filter(|c| **c != right)?;
            let found = core::mem::replace(place, right);
            Some((Defect::Wrong { at: at + 1, found, right }, changed.into_iter().collect()))
        })
    })
}

/// Letters beyond hexadecimal, which only headers have.
fn header_letters(body: &str) -> impl Iterator<Item = (Defect, String)> + use<> {
    let chars: Vec<char> = body.chars().collect();
    let places = 0..chars.len().min(16);
    changed_characters(chars, places, LETTERS)
}

/// Headers with another usage, mode and exportability, or with another LMK identifier.
fn header_changes(family: Family, body: &str) -> Vec<(Defect, String)> {
    let fields = (body.get(5..7), body.get(7..8), body.get(8..9), body.get(11..12), body.get(14..16));
    let (Some(usage), Some(algorithm), Some(mode), Some(exportability), Some(under)) = fields else {
        return Vec::new();
    };
    let (Some(start), Some(version), Some(count)) = (body.get(..5), body.get(9..11), body.get(12..14)) else {
        return Vec::new();
    };
    let rest = body.get(16..).unwrap_or_default();
    let usages: Vec<&str> = match family {
        Family::Thales => USAGE_RULES.iter().map(|rule| rule.usage).collect(),
        Family::X9143 => X9143_USAGES.iter().map(|(id, _)| *id).collect(),
    };
    let mut changes = Vec::new();
    let mut change = |right: [&str; 4]| {
        let [u, m, e, s] = right;
        let found = [("key usage", usage, u), ("mode of use", mode, m), ("exportability", exportability, e)];
        let found =
            found.into_iter().chain([("the key it is under", under, s)]).filter(|(_, found, right)| found != right);
        let found: Vec<_> = found.map(|(name, found, right)| (name, found.to_owned(), right.to_owned())).collect();
        if !found.is_empty() {
            changes.push((Defect::Header(found), format!("{start}{u}{algorithm}{m}{version}{e}{count}{s}{rest}")));
        }
    };
    for u in usages {
        for m in ["B", "C", "D", "E", "G", "N", "S", "V", "X"] {
            for e in ["E", "N", "S"] {
                change([u, m, e, under]);
            }
        }
    }
    if family == Family::Thales {
        let ids: Vec<String> = (0..20).map(|id| format!("{id:02}")).chain(["FF".to_owned()]).collect();
        ids.iter().for_each(|id| change([usage, mode, exportability, id]));
    }
    changes
}

/// Upper case, but for the version number of a component.
fn upper_case(body: &str) -> String {
    body.chars().enumerate().map(|(at, c)| if at == 9 && c == 'c' { c } else { c.to_ascii_uppercase() }).collect()
}

/// Undoes `3F` for bytes from 80 up, at most two in each part.
fn question_marks(query: &Query<'_>, tag: Option<KeyScheme>, digits: &str) -> Vec<Repair> {
    let Some(bytes) = hex::decode(digits).filter(|bytes| bytes.contains(&b'?')) else { return Vec::new() };
    let mut repairs = Vec::new();
    for lock in Lock::all(query, bytes.len(), tag) {
        let marks = bytes.chunks(8).map(|part| part.iter().filter(|b| **b == b'?').count()).max().unwrap_or_default();
        // Two marks in a part are 16 641 alternatives for each lock.
        if marks > 2 || (marks == 2 && !lock.reading.is_usual()) {
            continue;
        }
        let Some(parts) = restored_parts(&lock, &bytes) else { continue };
        if parts.iter().map(Vec::len).product::<usize>() > MOST_COMBINATIONS {
            continue;
        }
        for (cryptogram, clear) in combinations(&parts) {
            let Ok(key) = ClearKey::des(&clear) else { continue };
            let candidate = Candidate::new(lock.reading.clone(), key, query);
            if candidate.check_match.is_some() {
                let changed = (1..).zip(bytes.iter().zip(&cryptogram)).filter(|(_, (a, b))| a != b);
                let defect = Defect::TextEncoding(changed.map(|(at, _)| at).collect());
                repairs.push(repair(defect, &hex::encode(&cryptogram), candidate));
            }
        }
        if repairs.len() >= MOST {
            break;
        }
    }
    repairs
}

/// A cryptogram and what it decrypts to.
type Part = (Vec<u8>, Zeroizing<Vec<u8>>);

/// For each part, what it may have been: alternatives that decrypt to odd parity. `None` if a part has none.
fn restored_parts(lock: &Lock, bytes: &[u8]) -> Option<Vec<Vec<Part>>> {
    let mut parts = Vec::new();
    for (part, cipher) in bytes.chunks_exact(8).zip(&lock.parts) {
        let mut alternatives = vec![part.to_vec()];
        for at in (0..8).filter(|at| part.get(*at) == Some(&b'?')) {
            let restored: Vec<Vec<u8>> = alternatives
                .iter()
                .flat_map(|part| {
                    (0x80..=0xFF).map(move |byte| {
                        part.iter().enumerate().map(|(n, b)| if n == at { byte } else { *b }).collect()
                    })
                })
                .collect();
            alternatives.extend(restored);
        }
        let mut good = Vec::new();
        for part in alternatives {
            let mut clear = Zeroizing::new(part.clone());
            cipher.ecb_decrypt(&mut clear).ok()?;
            if odd_bytes(&clear) == 8 {
                good.push((part, clear));
            }
        }
        if good.is_empty() {
            return None;
        }
        parts.push(good);
    }
    Some(parts)
}

/// Every choice of one alternative for each part.
fn combinations(parts: &[Vec<Part>]) -> Vec<Part> {
    let mut whole: Vec<Part> = vec![(Vec::new(), Zeroizing::new(Vec::new()))];
    for alternatives in parts {
        let longer = whole.iter().flat_map(|(cryptogram, clear)| {
            alternatives.iter().map(move |(more, more_clear)| {
                ([cryptogram.as_slice(), more].concat(), Zeroizing::new([clear.as_slice(), more_clear].concat()))
            })
        });
        whole = longer.collect();
    }
    whole
}
