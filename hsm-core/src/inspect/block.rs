//! Key blocks: the header explained, and which keys their MAC is good under.

use super::{Candidate, Query, Reading, Remark, Report, Shape, Under, WrappingKey, damage};
use crate::key_block::header::{
    Attributes, BlockAlgorithm, Exportability, Family, KeyVersion, ModeOfUse, Scope, Usage, Version,
};
use crate::key_block::optional::OptionalBlocks;
use crate::key_block::thales::ProtectionKeys;
use crate::key_block::{self, KeyBlockError, rules, thales, tr31};
use crate::lmk::{Lmk, LmkScheme};
use crate::scheme::KeyScheme;

/// A key block explained.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockReport {
    /// Who defined it.
    pub family: Family,
    /// Whether the tag is there.
    pub tagged: bool,
    /// The header, field by field.
    pub header: Vec<HeaderField>,
    /// The optional blocks, or why they cannot be read.
    pub optional: Result<Vec<OptionalField>, KeyBlockError>,
    /// Whether usage, algorithm and mode go together; `None` if the header cannot be read, or for usages without rule.
    pub permitted: Option<Result<(), KeyBlockError>>,
    /// What opening it with each key gives.
    pub verdicts: Vec<Verdict>,
}

/// A field of a key block header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderField {
    /// Its name.
    pub name: &'static str,
    /// Its characters.
    pub text: String,
    /// What they mean, or what is wrong.
    pub meaning: Result<String, KeyBlockError>,
}

/// An optional block of a key block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionalField {
    /// Its identifier.
    pub id: String,
    /// What it is.
    pub name: &'static str,
    /// Its data.
    pub data: String,
}

/// What opening a block with one key gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The key.
    pub under: Under,
    /// What is in the block, or why it does not open.
    pub opened: Result<Candidate, KeyBlockError>,
}

impl Verdict {
    /// Whether the MAC is good; `None` if it was not looked at, because the block's version or format forbids it.
    #[must_use]
    pub fn authenticated(&self) -> Option<bool> {
        match self.opened {
            Ok(_) => Some(true),
            Err(KeyBlockError::Authentication) => Some(false),
            // Format, version and scope are looked at before the MAC.
            Err(
                KeyBlockError::Short(_)
                | KeyBlockError::Version(_)
                | KeyBlockError::Length
                | KeyBlockError::Body
                | KeyBlockError::Scope
                | KeyBlockError::LmkScheme
                | KeyBlockError::LmkId
                | KeyBlockError::ProtectionKey
                | KeyBlockError::OptionalCount
                | KeyBlockError::OptionalHeader,
            ) => None,
            Err(_) => Some(true),
        }
    }
}

/// Explains the 16 characters of a header, as far as they are there.
#[must_use]
pub fn describe_header(family: Family, header: &[u8]) -> Vec<HeaderField> {
    let mut fields = Vec::new();
    let mut rest = header;
    for (name, len, meaning) in FIELDS {
        let Some((text, after)) = rest.split_at_checked(len) else { break };
        rest = after;
        let text_shown = String::from_utf8_lossy(text).into_owned();
        fields.push(HeaderField { name, text: text_shown, meaning: meaning(family, text) });
    }
    fields
}

type Meaning = fn(Family, &[u8]) -> Result<String, KeyBlockError>;

/// The fields of a header: name, length and meaning.
const FIELDS: [(&str, usize, Meaning); 9] = [
    ("version", 1, version),
    ("length", 4, |_, text| number(text).map(|n| format!("{n} characters without tag")).ok_or(KeyBlockError::Length)),
    ("key usage", 2, |family, text| {
        let usage = Usage::new(array(text).ok_or(KeyBlockError::Usage)?)?;
        usage_name(family, usage).map(str::to_owned).ok_or(KeyBlockError::Usage)
    }),
    ("algorithm", 1, |_, text| BlockAlgorithm::from_id(first(text)).map(|a| algorithm(a).to_owned())),
    ("mode of use", 1, |family, text| ModeOfUse::from_id(family, first(text)).map(|m| mode(m).to_owned())),
    ("key version", 2, key_version),
    ("exportability", 1, |_, text| Exportability::from_id(first(text)).map(|e| exportability(e).to_owned())),
    ("optional blocks", 2, |_, text| number(text).map(|n| n.to_string()).ok_or(KeyBlockError::OptionalCount)),
    ("under", 2, |family, text| {
        let scope = Scope::parse(family, array(text).ok_or(KeyBlockError::Scope)?)?;
        Ok(match scope {
            Some(Scope::Lmk(id)) => format!("LMK {:02}", id.number()),
            Some(Scope::Transport) => "a ZMK or TMK".to_owned(),
            None => "not said: reserved".to_owned(),
        })
    }),
];

fn version(family: Family, text: &[u8]) -> Result<String, KeyBlockError> {
    Ok(match Version::from_id(family, first(text))? {
        Version::Thales0 => "Thales, under a TDES key (variant method, CBC-MAC of 4 bytes)",
        Version::Thales1 => "Thales, under an AES key (CMAC derivation, CMAC of 8 bytes)",
        Version::A => "TR-31, under a TDES key (variant method), obsolete",
        Version::B => "TR-31, under a TDES key (CMAC derivation)",
        Version::C => "TR-31, under a TDES key (variant method)",
        Version::D => "TR-31, under an AES key (CMAC derivation, CBC)",
        Version::E => "TR-31, under an AES key (CMAC derivation, counter mode)",
    }
    .to_owned())
}

fn key_version(_: Family, text: &[u8]) -> Result<String, KeyBlockError> {
    let version = KeyVersion::new(array(text).ok_or(KeyBlockError::KeyVersion)?)?;
    Ok(match version.component() {
        Some(number) => format!("component {number}"),
        None if version == KeyVersion::NONE => "not used".to_owned(),
        None => "key version".to_owned(),
    })
}

fn algorithm(algorithm: BlockAlgorithm) -> &'static str {
    match algorithm {
        BlockAlgorithm::Aes => "AES",
        BlockAlgorithm::Des => "DES",
        BlockAlgorithm::Ec => "elliptic curve",
        BlockAlgorithm::Hmac => "HMAC",
        BlockAlgorithm::Rsa => "RSA",
        BlockAlgorithm::Dsa => "DSA",
        BlockAlgorithm::Tdes => "TDES",
    }
}

fn mode(mode: ModeOfUse) -> &'static str {
    match mode {
        ModeOfUse::EncryptDecrypt => "encrypt and decrypt",
        ModeOfUse::GenerateVerify => "generate and verify",
        ModeOfUse::Decrypt => "decrypt only",
        ModeOfUse::Encrypt => "encrypt only",
        ModeOfUse::Generate => "generate only",
        ModeOfUse::Any => "no restriction",
        ModeOfUse::Sign => "sign only",
        ModeOfUse::Verify => "verify only",
        ModeOfUse::Derive => "derive keys",
        ModeOfUse::SignDecrypt => "sign and decrypt",
        ModeOfUse::DeriveVariants => "derive key variants",
    }
}

fn exportability(exportability: Exportability) -> &'static str {
    match exportability {
        Exportability::Exportable => "exportable in key blocks",
        Exportability::Sensitive => "sensitive: exportable as the settings allow",
        Exportability::NonExportable => "not exportable",
    }
}

/// What keys of a usage are; `None` if the family does not have it.
#[must_use]
pub fn usage_name(family: Family, usage: Usage) -> Option<&'static str> {
    match family {
        Family::Thales => rules::rule(usage).map(|rule| rule.name),
        Family::X9143 => X9143_USAGES.iter().find(|(id, _)| id.as_bytes() == usage.id()).map(|(_, name)| *name),
    }
}

/// The usages of TR-31 / X9.143 blocks.
pub(crate) const X9143_USAGES: [(&str, &str); 45] = [
    ("B0", "BDK"),
    ("B1", "initial DUKPT key"),
    ("B2", "base key variant"),
    ("B3", "key derivation key, not ANSI X9.24"),
    ("C0", "card verification key"),
    ("D0", "data encryption key"),
    ("D1", "asymmetric key for data encryption"),
    ("D2", "data encryption key for decimalisation tables"),
    ("D3", "data encryption key for sensitive data"),
    ("E0", "EMV master key: application cryptograms"),
    ("E1", "EMV master key: secure messaging, confidentiality"),
    ("E2", "EMV master key: secure messaging, integrity"),
    ("E3", "EMV master key: data authentication code"),
    ("E4", "EMV master key: dynamic numbers"),
    ("E5", "EMV master key: card personalisation"),
    ("E6", "EMV master key: other"),
    ("E7", "EMV master personalisation key"),
    ("I0", "initialisation vector"),
    ("K0", "key encryption key"),
    ("K1", "TR-31 key block protection key"),
    ("K2", "TR-34 asymmetric key"),
    ("K3", "asymmetric key for key agreement"),
    ("K4", "key block protection key, ISO 20038"),
    ("M0", "MAC key, ISO 16609 algorithm 1"),
    ("M1", "MAC key, ISO 9797-1 algorithm 1"),
    ("M2", "MAC key, ISO 9797-1 algorithm 2"),
    ("M3", "MAC key, ISO 9797-1 algorithm 3"),
    ("M4", "MAC key, ISO 9797-1 algorithm 4"),
    ("M5", "MAC key, ISO 9797-1:1999 algorithm 5"),
    ("M6", "MAC key, ISO 9797-1:2011 algorithm 5, CMAC"),
    ("M7", "HMAC key"),
    ("M8", "MAC key, ISO 9797-1:2011 algorithm 6"),
    ("P0", "PIN encryption key"),
    ("P1", "PIN generation key"),
    ("S0", "asymmetric key for signatures"),
    ("S1", "asymmetric key, certification authority"),
    ("S2", "asymmetric key, not X9.24"),
    ("V0", "PIN verification key"),
    ("V1", "PIN verification key, IBM 3624"),
    ("V2", "PIN verification key, Visa PVV"),
    ("V3", "PIN verification key, X9.132 algorithm 1"),
    ("V4", "PIN verification key, X9.132 algorithm 2"),
    ("V5", "PIN verification key, X9.132 algorithm 3"),
    // The ZKA master key, as a payShield is said to write it.
    ("11", "ZKA master key"),
    ("10", "key of a proprietary usage"),
];

fn optional_name(id: [u8; 2]) -> &'static str {
    match &id {
        b"00" => "key status",
        b"01" => "encryption method",
        b"02" => "authentication method",
        b"03" => "valid from",
        b"04" => "valid to",
        b"05" => "text",
        b"KS" => "key set identifier",
        b"KV" => "key block values",
        b"KC" => "check value of the wrapped key",
        b"KP" => "check value of the protection key",
        b"IK" => "initial key identifier",
        b"HM" => "HMAC algorithm",
        b"TS" => "time stamp",
        b"CT" => "certificate",
        b"PB" => "padding",
        _ => "not a standard one",
    }
}

/// The family, whether the tag is there, and the block without it; `None` if the text does not look like a key block.
pub(super) fn split(text: &str) -> Option<(Family, bool, &str)> {
    let (tag, rest) = text.split_at_checked(1)?;
    match tag {
        "S" | "s" => Some((Family::Thales, true, rest)),
        "R" | "r" => Some((Family::X9143, true, rest)),
        _ => Family::of_untagged(text.as_bytes()).map(|family| (family, false, text)),
    }
}

pub(super) fn inspect(query: &Query<'_>, family: Family, tagged: bool, body: &str) -> Report {
    let mut report = Report::new(Shape::Block(family));
    if !tagged {
        report.remarks.push(Remark::MissingTag(family));
    }
    let declared = body.as_bytes().get(1..5).and_then(number);
    match declared {
        Some(declared) if declared != body.len() => {
            report.remarks.push(Remark::BlockLength { declared, actual: body.len() });
        }
        _ => {}
    }
    // The version number of a component is lower case, and optional blocks may be.
    if body.chars().enumerate().any(|(at, c)| c.is_ascii_lowercase() && at != 9)
        && body.as_bytes().get(12..14) == Some(b"00")
    {
        report.remarks.push(Remark::LowerCase);
    }
    let openers = Opener::all(query, family);
    report.tried = openers.len();
    let verdicts: Vec<Verdict> = openers.iter().map(|opener| opener.verdict(query, body.as_bytes())).collect();
    let parsed = key_block::inspect(family, body.as_bytes());
    report.block = Some(BlockReport {
        family,
        tagged,
        header: describe_header(family, body.as_bytes()),
        optional: parsed.as_ref().map(|(_, optional)| optional_fields(optional)).map_err(|error| *error),
        permitted: parsed.ok().and_then(|(header, _)| permitted(family, &header.attributes)),
        verdicts,
    });
    let opens = report.block.iter().flat_map(|block| &block.verdicts).any(|v| v.authenticated() == Some(true));
    if !opens {
        report.repairs = damage::of_block(query, &openers, family, body);
    }
    report
}

fn permitted(family: Family, attributes: &Attributes) -> Option<Result<(), KeyBlockError>> {
    (family == Family::Thales).then(|| rules::check(attributes).map(drop))
}

fn optional_fields(optional: &OptionalBlocks) -> Vec<OptionalField> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    optional
        .iter()
        .map(|block| OptionalField { id: text(&block.id()), name: optional_name(block.id()), data: text(block.data()) })
        .collect()
}

/// A key that may open blocks of a family.
pub(super) struct Opener<'a> {
    under: Under,
    keys: Keys<'a>,
}

enum Keys<'a> {
    Lmk(&'a Lmk),
    Thales(Box<ProtectionKeys>),
    Tr31(&'a WrappingKey),
}

impl<'a> Opener<'a> {
    fn all(query: &Query<'a>, family: Family) -> Vec<Self> {
        let lmks = query.lmks.iter().filter(|(_, lmk)| lmk.scheme() == LmkScheme::KeyBlock);
        let lmks = lmks.filter(|_| family == Family::Thales);
        let lmks = lmks.map(|(id, lmk)| Self { under: Under::Lmk(*id), keys: Keys::Lmk(lmk) });
        let others = query.wrapping_keys.iter().filter_map(|wrapping| {
            let keys = match family {
                Family::Thales => Keys::Thales(Box::new(ProtectionKeys::derive(&wrapping.key).ok()?)),
                Family::X9143 => Keys::Tr31(wrapping),
            };
            Some(Self { under: Under::Key(wrapping.name.clone()), keys })
        });
        lmks.chain(others).collect()
    }

    pub(super) fn verdict(&self, query: &Query<'_>, block: &[u8]) -> Verdict {
        let opened = match &self.keys {
            Keys::Lmk(lmk) => lmk.protection_keys().and_then(|keys| thales::unwrap(keys, None, block)),
            Keys::Thales(keys) => thales::unwrap(keys, None, block),
            Keys::Tr31(wrapping) => tr31::unwrap(&wrapping.key, block),
        };
        let scheme = if matches!(self.keys, Keys::Tr31(_)) { KeyScheme::R } else { KeyScheme::S };
        let reading = Reading::new(self.under.clone(), scheme, true);
        let opened = opened.map(|opened| Candidate::new(reading, opened.key, query));
        Verdict { under: self.under.clone(), opened }
    }
}

fn first(text: &[u8]) -> u8 {
    text.first().copied().unwrap_or_default()
}

fn array(text: &[u8]) -> Option<[u8; 2]> {
    text.try_into().ok()
}

fn number(digits: &[u8]) -> Option<usize> {
    digits.iter().try_fold(0, |n, d| Some(10 * n + (*d as char).to_digit(10)? as usize))
}
