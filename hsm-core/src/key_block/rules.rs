//! Which usages, algorithms and modes go together, how usages convert, and what exportability allows (keys.md 4.4, 7 `A8`).

use super::KeyBlockError;
use super::header::{Attributes, BlockAlgorithm, Exportability, ModeOfUse, Usage};

/// What is known about a usage of S blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageRule {
    /// The usage's two characters.
    pub usage: &'static str,
    /// What keys of this usage are.
    pub name: &'static str,
    /// The X9.143 usage written when such a key is exported in an R block; `None` if it cannot be.
    pub x9143: Option<&'static str>,
    /// Header characters of algorithms and of the modes they may have.
    pub permitted: &'static [(&'static str, &'static str)],
}

/// The rule of a usage; `None` if S blocks do not have it.
#[must_use]
pub fn rule(usage: Usage) -> Option<&'static UsageRule> {
    USAGE_RULES.iter().find(|rule| rule.usage.as_bytes() == usage.id())
}

/// Whether an S block may have these attributes.
///
/// # Errors
/// [`KeyBlockError`]: A6 unknown usage, A7 algorithm, A8 mode.
pub fn check(attributes: &Attributes) -> Result<&'static UsageRule, KeyBlockError> {
    let rule = rule(attributes.usage).ok_or(KeyBlockError::Usage)?;
    let has = |set: &str, id: u8| set.as_bytes().contains(&id);
    let mut modes = rule.permitted.iter().filter(|(ids, _)| has(ids, attributes.algorithm.id())).peekable();
    modes.peek().ok_or(KeyBlockError::Algorithm)?;
    if modes.any(|(_, modes)| has(modes, attributes.mode.id())) { Ok(rule) } else { Err(KeyBlockError::Mode) }
}

/// The attributes a key has in an R block, converted from those of its S block.
///
/// # Errors
/// [`KeyBlockError::Usage`] (A6) if its usage is unknown or has no equivalent.
pub fn to_x9143(attributes: &Attributes) -> Result<Attributes, KeyBlockError> {
    let &[a, b] = rule(attributes.usage).and_then(|rule| rule.x9143).map(str::as_bytes).ok_or(KeyBlockError::Usage)?
    else {
        return Err(KeyBlockError::Usage);
    };
    Ok(Attributes { usage: Usage::new([a, b])?, ..*attributes })
}

/// Whether a usage read from an R block may be replaced by another when the key is imported: the other's equivalent must be it.
///
/// # Errors
/// [`KeyBlockError::Usage`] (A6).
pub fn check_modified_usage(imported: Usage, modified: Usage) -> Result<(), KeyBlockError> {
    let equivalent = rule(modified).and_then(|rule| rule.x9143);
    if imported == modified || equivalent.is_some_and(|usage| usage.as_bytes() == imported.id()) {
        Ok(())
    } else {
        Err(KeyBlockError::Usage)
    }
}

/// The form a key leaves a key-block LMK in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportForm {
    /// An S or R block.
    KeyBlock,
    /// A variant or X9.17 cryptogram.
    VariantOrX917,
}

/// Whether a key may be exported. `sensitive_enabled` is the security setting that lets keys of exportability `S` out.
///
/// # Errors
/// [`KeyBlockError::Exportability`] (AA).
pub fn check_export(attributes: &Attributes, form: ExportForm, sensitive_enabled: bool) -> Result<(), KeyBlockError> {
    let allowed = match (attributes.exportability, form) {
        (Exportability::NonExportable, _) | (Exportability::Exportable, ExportForm::VariantOrX917) => false,
        (Exportability::Exportable, ExportForm::KeyBlock) => true,
        (Exportability::Sensitive, ExportForm::KeyBlock) => sensitive_enabled,
        (Exportability::Sensitive, ExportForm::VariantOrX917) => {
            sensitive_enabled && !KEY_BLOCK_ONLY.contains(&attributes.usage.id())
        }
    };
    if allowed { Ok(()) } else { Err(KeyBlockError::Exportability) }
}

/// The exportability that a host asks for instead of the key's. Rights may be narrowed, E to S to N, but never widened.
///
/// # Errors
/// [`KeyBlockError::Exportability`] (AA).
pub fn narrow(from: Exportability, to: Exportability) -> Result<Exportability, KeyBlockError> {
    if to >= from { Ok(to) } else { Err(KeyBlockError::Exportability) }
}

/// Whether a header with these attributes describes a private or public key, whose data is DER.
#[must_use]
pub fn is_asymmetric(algorithm: BlockAlgorithm) -> bool {
    matches!(algorithm, BlockAlgorithm::Rsa | BlockAlgorithm::Ec)
}

/// Whether a wrapping key may be used to export (`true`) or import (`false`) keys: usage K0, 51 (export only) or 52, and a mode
/// that encrypts or decrypts (keys.md 7 `A0`, `A6`, `A8`).
///
/// # Errors
/// [`KeyBlockError`]: A6 usage, A8 mode.
pub fn check_wrapping_key(attributes: &Attributes, export: bool) -> Result<(), KeyBlockError> {
    match &attributes.usage.id() {
        b"K0" | b"52" => {}
        b"51" if export => {}
        _ => return Err(KeyBlockError::Usage),
    }
    match (attributes.mode, export) {
        (ModeOfUse::EncryptDecrypt | ModeOfUse::Any, _) | (ModeOfUse::Encrypt, true) | (ModeOfUse::Decrypt, false) => {
            Ok(())
        }
        _ => Err(KeyBlockError::Mode),
    }
}

/// Usages whose keys may not leave a key-block LMK in variant or X9.17 form (keys.md 4.4).
const KEY_BLOCK_ONLY: [[u8; 2]; 5] = [*b"K0", *b"52", *b"D0", *b"21", *b"22"];

/// Every usage of S blocks (keys.md 4.4).
pub static USAGE_RULES: &[UsageRule] = &[
    row("01", "watchword key", None, &[("DT", MAC)]),
    row("02", "public key", None, &[("R", "ENV"), ("E", "NVX")]),
    row("03", "private key", None, &[("R", "DNS"), ("E", "NSX")]),
    row("04", "RSA private key, ICC", None, &[("R", "DNS")]),
    row("05", "RSA private key, PIN translation", None, &[("R", "DNS")]),
    row("06", "RSA private key, TLS pre-master secret", None, &[("R", "DNS")]),
    row("B0", "BDK-1", Some("B0"), &[("AT", DERIVE)]),
    row("41", "BDK-2", Some("B0"), &[("AT", DERIVE)]),
    row("42", "BDK-3", Some("B0"), &[("T", DERIVE)]),
    row("43", "BDK-4", Some("B0"), &[("AT", DERIVE)]),
    row("44", "BDK-5", Some("B0"), &[("T", DERIVE)]),
    row("B1", "initial DUKPT key", Some("B1"), &[("AT", DERIVE)]),
    row("C0", "card verification key", Some("C0"), &[("AT", MAC)]),
    row("11", "CSCK", Some("C0"), &[("T", MAC)]),
    row("12", "CVC key", Some("C0"), &[("T", MAC)]),
    row("13", "CVV key", Some("C0"), &[("AT", MAC)]),
    row("D0", "data encryption key", Some("D0"), &[("ADT", CIPHER)]),
    row("21", "DEK", Some("D0"), &[("ADT", CIPHER)]),
    row("22", "ZEK", Some("D0"), &[("ADT", CIPHER)]),
    row("23", "TEK", Some("D0"), &[("ADT", CIPHER)]),
    row("24", "transport key", None, &[("A", CIPHER)]),
    row("25", "counter-mode DEK", Some("D0"), &[("A", CIPHER)]),
    row("E0", "MK-AC", Some("E0"), &[("AT", DERIVE)]),
    row("E1", "MK-SMC", Some("E1"), &[("AT", DERIVE)]),
    row("E2", "MK-SMI", Some("E2"), &[("AT", DERIVE)]),
    row("E3", "MK-DAC", Some("E3"), &[("AT", DERIVE)]),
    row("E4", "MK-DN", Some("E4"), &[("T", DERIVE)]),
    row("E5", "EMV card personalisation key", Some("E5"), &[("T", DERIVE)]),
    row("E6", "EMV master key, other", Some("E6"), &[("AT", DERIVE)]),
    row("E7", "EMV master personalisation key", None, &[("AT", DERIVE)]),
    row("32", "MK-CVC3", Some("E6"), &[("AT", DERIVE)]),
    row("33", "mobile master key, confidentiality", None, &[("A", DERIVE)]),
    row("34", "mobile master key, integrity", None, &[("A", DERIVE)]),
    row("35", "mobile session key, confidentiality", None, &[("A", CIPHER)]),
    row("36", "mobile session key, integrity", Some("M3"), &[("A", "CN")]),
    row("37", "EMV card key, cryptograms", None, &[("AT", DERIVE)]),
    row("38", "EMV card key, integrity", None, &[("AT", DERIVE)]),
    row("39", "EMV card key, encryption", None, &[("AT", DERIVE)]),
    row("40", "EMV personalisation system key", None, &[("T", "N")]),
    row("47", "EMV session key, cryptograms", None, &[("AT", "BN")]),
    row("48", "EMV session key, integrity", None, &[("AT", "GVN")]),
    row("49", "EMV session key, encryption", None, &[("T", "BE")]),
    row("K0", "key encryption key", Some("K0"), &[("ADT", CIPHER)]),
    row("K1", "key block protection key", Some("K1"), &[("AT", CIPHER)]),
    row("51", "TMK", Some("K0"), &[("ADT", CIPHER)]),
    row("52", "ZMK", Some("K0"), &[("ADT", CIPHER)]),
    row("53", "ZKA master key", Some("11"), &[("AT", DERIVE)]),
    row("54", "KEK", None, &[("AT", CIPHER)]),
    row("55", "transport key, encryption only", None, &[("A", "E")]),
    row("56", "MPKC", None, &[("DT", DERIVE)]),
    row("57", "MKPOS / MKSER", None, &[("DT", DERIVE)]),
    row("M0", "MAC key, ISO 16609", Some("M0"), &[("T", MAC)]),
    row("M1", "MAC key, ISO 9797-1 algorithm 1", Some("M1"), &[("DT", MAC)]),
    row("M2", "MAC key, ISO 9797-1 algorithm 2", Some("M2"), &[("DT", MAC)]),
    row("M3", "MAC key, ISO 9797-1 algorithm 3", Some("M3"), &[("T", MAC)]),
    row("M4", "MAC key, ISO 9797-1 algorithm 4", Some("M4"), &[("T", MAC)]),
    row("M5", "MAC key, ISO 9797-1:1999 algorithm 5", Some("M5"), &[("AT", MAC)]),
    row("M6", "MAC key, CMAC", Some("M6"), &[("A", MAC)]),
    row("61", "HMAC SHA-1 key", None, &[("H", MAC)]),
    row("62", "HMAC SHA-224 key", None, &[("H", MAC)]),
    row("63", "HMAC SHA-256 key", None, &[("H", MAC)]),
    row("64", "HMAC SHA-384 key", None, &[("H", MAC)]),
    row("65", "HMAC SHA-512 key", None, &[("H", MAC)]),
    row("P0", "PIN key", Some("P0"), &[("ADT", CIPHER)]),
    row("71", "TPK", Some("P0"), &[("ADT", CIPHER)]),
    row("72", "ZPK", Some("P0"), &[("ADT", CIPHER)]),
    row("73", "TKR", None, &[("DT", "N")]),
    row("V0", "PVK", Some("V0"), &[("DT", MAC)]),
    row("V1", "PVK, IBM 3624", Some("V1"), &[("DT", MAC)]),
    row("V2", "PVK, VISA PVV", Some("V2"), &[("ADT", MAC)]),
];

const MAC: &str = "CGNV";
const CIPHER: &str = "BDEN";
const DERIVE: &str = "NX";

const fn row(
    usage: &'static str,
    name: &'static str,
    x9143: Option<&'static str>,
    permitted: &'static [(&'static str, &'static str)],
) -> UsageRule {
    UsageRule { usage, name, x9143, permitted }
}
