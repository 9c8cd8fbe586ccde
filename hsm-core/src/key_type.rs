//! Key types of variant LMKs (keys.md 2).

use crate::lmk::{LmkPair, LmkVariant};

/// A key type: a variant of an LMK pair that has a pair code.
///
/// Written as three hex digits: variant digit, then pair code, such as `402` (CVK: pair 14-15, variant 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyType {
    variant: LmkVariant,
    pair_code: PairCode,
}

/// 00 to 0E.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct PairCode(u8);

impl KeyType {
    /// Zone Master Key.
    pub const ZMK: Self = kt(0, 0x0);
    /// Zone PIN Key.
    pub const ZPK: Self = kt(0, 0x1);
    /// PIN Verification Key; also TMK and TPK while "002 separation" is off.
    pub const PVK: Self = kt(0, 0x2);
    /// Initial DUKPT key.
    pub const IKEY: Self = kt(3, 0x2);
    /// Card Verification Key.
    pub const CVK: Self = kt(4, 0x2);
    /// Terminal Authentication Key.
    pub const TAK: Self = kt(0, 0x3);
    /// Watchword Key.
    pub const WWK: Self = kt(0, 0x6);
    /// Zone Authentication Key.
    pub const ZAK: Self = kt(0, 0x8);
    /// Base Derivation Key, type 1.
    pub const BDK: Self = kt(0, 0x9);
    /// Zone Encryption Key.
    pub const ZEK: Self = kt(0, 0xA);
    /// Data Encryption Key.
    pub const DEK: Self = kt(0, 0xB);
    /// RSA private key.
    pub const RSA_PRIVATE: Self = kt(0, 0xC);
    /// HMAC key.
    pub const HMAC: Self = kt(1, 0xC);
    /// RSA public key.
    pub const RSA_PUBLIC: Self = kt(0, 0xD);

    /// Three hex digits of either case.
    ///
    /// # Errors
    /// [`KeyTypeError`] (04): not a decimal variant digit and a pair code `00` to `0E`. Types missing from the
    /// [table](KEY_TYPES) are accepted, as the pair alone decides.
    pub fn parse(code: &[u8]) -> Result<Self, KeyTypeError> {
        let &[variant, high, low] = code else { return Err(KeyTypeError::Digits) };
        let pair = hex_digit(high)? << 4 | hex_digit(low)?;
        Self::from_digits(decimal_digit(variant)?, pair)
    }

    /// The two-digit code of `BU`, `BW` and `KA`: variant digit and the pair code's last digit, such as `02`, `0A`, `10`, `42`.
    ///
    /// # Errors
    /// As [`KeyType::parse`]. `FF` and `F2` stand for no type and are the command's to recognise.
    pub fn parse_short(code: &[u8]) -> Result<Self, KeyTypeError> {
        let &[variant, pair] = code else { return Err(KeyTypeError::Digits) };
        Self::from_digits(decimal_digit(variant)?, hex_digit(pair)?)
    }

    /// The four decimal digits of `GI` and `GK`: first number of the pair and variant, such as `0600` (ZPK), `1404` (CVK).
    ///
    /// # Errors
    /// [`KeyTypeError`] (04): other characters, a pair without pair code, or a variant above 9.
    pub fn parse_pair_and_variant(code: &[u8]) -> Result<Self, KeyTypeError> {
        let &[p1, p0, v1, v0] = code else { return Err(KeyTypeError::Digits) };
        let first = 10 * decimal_digit(p1)? + decimal_digit(p0)?;
        let pair_code = (0..=0xE).find(|c| pair_of_code(*c).first() == first).ok_or(KeyTypeError::Pair)?;
        Self::from_digits(10 * decimal_digit(v1)? + decimal_digit(v0)?, pair_code)
    }

    fn from_digits(variant: u8, pair_code: u8) -> Result<Self, KeyTypeError> {
        let variant = LmkVariant::new(variant).ok_or(KeyTypeError::Digits)?;
        if pair_code > 0xE {
            return Err(KeyTypeError::Pair);
        }
        Ok(Self { variant, pair_code: PairCode(pair_code) })
    }

    /// The type a name stands for, ignoring case. Names are those of the [table](KEY_TYPES); the first row wins.
    ///
    /// With "002 separation" TPK and TMK are types of their own.
    #[must_use]
    pub fn by_name(name: &str, separation: bool) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "TPK" => Some(Self::tpk(separation)),
            "TMK" => Some(Self::tmk(separation)),
            name => KEY_TYPES
                .iter()
                .find(|info| info.names.iter().any(|n| n.eq_ignore_ascii_case(name)))
                .map(|info| info.key_type),
        }
    }

    /// Terminal PIN Key: `002`, or `70D` with "002 separation".
    #[must_use]
    pub const fn tpk(separation: bool) -> Self {
        if separation { kt(7, 0xD) } else { Self::PVK }
    }

    /// Terminal Master Key: `002`, or `80D` with "002 separation".
    #[must_use]
    pub const fn tmk(separation: bool) -> Self {
        if separation { kt(8, 0xD) } else { Self::PVK }
    }

    /// The LMK pair keys of this type are under.
    #[must_use]
    pub const fn pair(self) -> LmkPair {
        pair_of_code(self.pair_code.0)
    }

    /// The variant of the pair.
    #[must_use]
    pub const fn variant(self) -> LmkVariant {
        self.variant
    }

    /// Its row in the [table](KEY_TYPES); `None` for a combination that no known key uses.
    #[must_use]
    pub fn info(self) -> Option<&'static KeyTypeInfo> {
        KEY_TYPES.iter().find(|info| info.key_type == self)
    }
}

impl core::fmt::Display for KeyType {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}{:02X}", self.variant.number(), self.pair_code.0)
    }
}

/// The 3-character key type field of host commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyTypeField {
    /// `FFF`: the key is in a key block, whose header says what it is.
    KeyBlock,
    /// A type of a variant LMK.
    Variant(KeyType),
}

impl KeyTypeField {
    /// Three characters.
    ///
    /// # Errors
    /// As [`KeyType::parse`].
    pub fn parse(field: &[u8]) -> Result<Self, KeyTypeError> {
        if field.eq_ignore_ascii_case(b"FFF") { Ok(Self::KeyBlock) } else { KeyType::parse(field).map(Self::Variant) }
    }
}

/// Text that names no key type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyTypeError {
    /// Wrong number of characters, or not digits.
    #[error("a key type is a variant digit and a two-digit pair code")]
    Digits,
    /// No LMK pair has the code.
    #[error("no LMK pair has this code")]
    Pair,
}

impl KeyTypeError {
    /// The payShield error code (keys.md 2).
    #[must_use]
    pub fn code(&self) -> &'static str {
        "04"
    }
}

/// What is known about a key type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyTypeInfo {
    /// The type.
    pub key_type: KeyType,
    /// Names of keys of this type, the usual one first.
    pub names: &'static [&'static str],
    /// What the RG7000 allows, if known.
    pub rg7000: Option<Rg7000>,
    /// Whether payShield lists `import.{type}` among the activities to authorise.
    pub payshield_import: Listing,
    /// Whether payShield lists `export.{type}` among the activities to authorise. Not listed means not exportable.
    pub payshield_export: Listing,
    /// Key usages (keys.md 4.4) of such keys under a key-block LMK, the closest first; empty where none is known.
    pub usages: &'static [&'static str],
}

/// What the RG7000 allows with keys of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rg7000 {
    /// Generating one.
    pub generate: Permission,
    /// Importing one from under a ZMK.
    pub import: Permission,
    /// Exporting one under a ZMK.
    pub export: Permission,
}

/// Whether an action is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Never (error 29).
    No,
    /// Always.
    Free,
    /// In authorised state (else error 17).
    Authorised,
}

/// Whether an activity is in payShield's list of those that need authorisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// It is: needs authorisation.
    Listed,
    /// It is not.
    NotListed,
    /// No source says.
    Unknown,
}

/// Every known key type (keys.md 2), by pair code and variant.
pub static KEY_TYPES: &[KeyTypeInfo] = &[
    row(0, 0x0, &["ZMK"], AUTH_GENERATE, Listed, NotListed, &["52", "K0"]),
    row(1, 0x0, &["ZMK component"], AUTH_EXPORT, NotListed, Listed, &[]),
    row(2, 0x0, &["KML"], AUTH_EXPORT, NotListed, Listed, &[]),
    row(3, 0x0, &["KEKr"], None, Unknown, Unknown, &[]),
    row(4, 0x0, &["KEKs"], None, Unknown, Unknown, &[]),
    row(0, 0x1, &["ZPK"], AUTH_EXPORT, NotListed, Listed, &["72", "P0"]),
    row(1, 0x1, &["Auth Para"], None, Unknown, Unknown, &[]),
    row(0, 0x2, &["PVK", "TMK", "TPK"], AUTH_EXPORT, NotListed, Listed, &["V0", "V1", "V2", "51", "71"]),
    row(1, 0x2, &["TMK1"], None, Unknown, Unknown, &[]),
    row(2, 0x2, &["TMK2"], None, Unknown, Unknown, &[]),
    row(3, 0x2, &["IKEY", "IPEK"], None, NotListed, Listed, &["B1"]),
    row(4, 0x2, &["CVK", "CSCK"], AUTH_EXPORT, NotListed, Listed, &["C0", "13", "12", "11"]),
    row(6, 0x2, &["KIA"], None, Unknown, Unknown, &[]),
    row(7, 0x2, &["PPASN"], None, Unknown, Unknown, &[]),
    row(0, 0x3, &["TAK"], AUTH_EXPORT, NotListed, Listed, MAC_USAGES),
    row(1, 0x3, &["TAKs"], None, Unknown, Unknown, &[]),
    row(2, 0x3, &["TAKr"], None, Unknown, Unknown, &[]),
    row(1, 0x4, &["DTAB"], None, Unknown, Unknown, &[]),
    row(2, 0x4, &["IPB"], None, Unknown, Unknown, &[]),
    // OBKM is the platform this row of 20-21 belongs to; its KML is not that of 200.
    row(1, 0x5, &["KML (OBKM)"], None, NotListed, Listed, &[]),
    row(2, 0x5, &["KMX"], None, NotListed, Listed, &[]),
    row(3, 0x5, &["KMP"], None, NotListed, Listed, &[]),
    row(4, 0x5, &["KIS.5"], None, NotListed, Listed, &[]),
    row(5, 0x5, &["KM3L"], None, NotListed, Listed, &[]),
    row(6, 0x5, &["KM3X"], None, NotListed, Listed, &[]),
    row(7, 0x5, &["KMACS4"], None, NotListed, Listed, &[]),
    row(8, 0x5, &["KMACS5"], None, NotListed, Listed, &[]),
    row(9, 0x5, &["KMACACQ"], None, NotListed, Listed, &[]),
    row(0, 0x6, &["WWK"], AUTH_EXPORT, NotListed, Listed, &["01"]),
    row(1, 0x6, &["KMACUPD"], None, NotListed, Listed, &[]),
    row(2, 0x6, &["KMACMA"], None, NotListed, Listed, &[]),
    row(3, 0x6, &["KMACCI"], None, NotListed, Listed, &[]),
    row(4, 0x6, &["KMSCISS"], None, NotListed, Listed, &[]),
    row(5, 0x6, &["BKEM"], None, NotListed, Listed, &[]),
    row(6, 0x6, &["BKAM"], None, NotListed, Listed, &[]),
    row(1, 0x7, &["KEK"], None, Listed, Listed, &["54"]),
    row(2, 0x7, &["KMC"], None, Listed, Listed, &["E7"]),
    row(3, 0x7, &["SK-ENC"], None, Unknown, Listed, &[]),
    row(4, 0x7, &["SK-MAC"], None, Unknown, Listed, &[]),
    row(5, 0x7, &["SK-DEK", "KD-PERSO"], None, Unknown, NotListed, &[]),
    row(6, 0x7, &["ZKA master key", "MK-ZKA"], None, NotListed, Listed, &["53"]),
    row(8, 0x7, &["MK-KE"], None, NotListed, Listed, &[]),
    row(9, 0x7, &["MK-AS"], None, NotListed, Listed, &[]),
    row(0, 0x8, &["ZAK"], AUTH_EXPORT, NotListed, Listed, MAC_USAGES),
    row(1, 0x8, &["ZAKs"], None, Unknown, Unknown, &[]),
    row(2, 0x8, &["ZAKr"], None, Unknown, Unknown, &[]),
    row(0, 0x9, &["BDK-1", "BDK"], AUTH_EXPORT, NotListed, Listed, &["B0"]),
    row(1, 0x9, &["MK-AC"], AUTH_EXPORT, NotListed, Listed, &["E0"]),
    row(2, 0x9, &["MK-SMI"], AUTH_EXPORT, NotListed, Listed, &["E2"]),
    row(3, 0x9, &["MK-SMC"], AUTH_EXPORT, NotListed, Listed, &["E1"]),
    row(4, 0x9, &["MK-DAC"], AUTH_EXPORT, NotListed, Listed, &["E3"]),
    row(5, 0x9, &["MK-DN"], AUTH_EXPORT, NotListed, Listed, &["E4"]),
    row(6, 0x9, &["BDK-2"], None, NotListed, Listed, &["41"]),
    row(7, 0x9, &["MK-CVC3"], None, NotListed, Listed, &["32"]),
    row(8, 0x9, &["BDK-3"], None, NotListed, Listed, &["42"]),
    row(9, 0x9, &["BDK-4"], None, NotListed, Listed, &["43"]),
    row(0, 0xA, &["ZEK"], AUTH_EXPORT, Listed, Listed, &["22"]),
    row(1, 0xA, &["ZEKs"], None, Unknown, NotListed, &[]),
    row(2, 0xA, &["ZEKr"], None, Unknown, NotListed, &[]),
    row(0, 0xB, &["DEK", "TEK"], None, NotListed, NotListed, &["21"]),
    row(1, 0xB, &["TEKs"], None, Unknown, Unknown, &[]),
    row(2, 0xB, &["TEKr"], None, Unknown, Unknown, &[]),
    row(3, 0xB, &["TEK"], None, NotListed, Listed, &["23"]),
    row(0, 0xC, &["RSA private key"], None, Listed, Listed, &["03", "04", "05", "06"]),
    row(1, 0xC, &["HMAC key", "HMAC"], None, NotListed, Listed, &["61", "62", "63", "64", "65"]),
    row(0, 0xD, &["RSA public key MAC"], None, Listed, NotListed, &["02"]),
    row(3, 0xD, &["CK-ENC"], None, NotListed, Listed, &[]),
    row(4, 0xD, &["CK-MAC"], None, NotListed, Listed, &[]),
    row(5, 0xD, &["CK-DEK"], None, NotListed, Listed, &[]),
    row(6, 0xD, &["DbTAB"], None, NotListed, NotListed, &[]),
    row(7, 0xD, &["TPK", "KEYVAL", "PEK"], None, NotListed, Listed, &["71", "P0"]),
    row(8, 0xD, &["TMK", "KT"], None, NotListed, Listed, &["51"]),
    row(9, 0xD, &["TKR"], None, NotListed, Listed, &["73"]),
];

use Listing::{Listed, NotListed, Unknown};

/// MAC keys, whatever the algorithm, the usual one first; a single-length key has no other than M1 and M2.
const MAC_USAGES: &[&str] = &["M3", "M0", "M1", "M2", "M4", "M5"];

/// `y/y/A`, as most rows have it.
const AUTH_EXPORT: Option<Rg7000> =
    Some(Rg7000 { generate: Permission::Free, import: Permission::Free, export: Permission::Authorised });
/// `A/-/-`, ZMKs only.
const AUTH_GENERATE: Option<Rg7000> =
    Some(Rg7000 { generate: Permission::Authorised, import: Permission::No, export: Permission::No });

const fn row(
    variant: u8,
    pair_code: u8,
    names: &'static [&'static str],
    rg7000: Option<Rg7000>,
    payshield_import: Listing,
    payshield_export: Listing,
    usages: &'static [&'static str],
) -> KeyTypeInfo {
    KeyTypeInfo { key_type: kt(variant, pair_code), names, rg7000, payshield_import, payshield_export, usages }
}

/// For constants: out-of-range numbers give variant 0 or the last pair.
const fn kt(variant: u8, pair_code: u8) -> KeyType {
    let variant = match LmkVariant::new(variant) {
        Some(variant) => variant,
        None => LmkVariant::ZERO,
    };
    KeyType { variant, pair_code: PairCode(if pair_code > 0xE { 0xE } else { pair_code }) }
}

/// 00 is pair 04-05, 01 is 06-07, 02 to 0E are 14-15 to 38-39.
const fn pair_of_code(pair_code: u8) -> LmkPair {
    let first = if pair_code < 2 { 4 + 2 * pair_code } else { 10 + 2 * pair_code };
    match LmkPair::from_first(first) {
        Some(pair) => pair,
        None => LmkPair::ZMK,
    }
}

fn hex_digit(digit: u8) -> Result<u8, KeyTypeError> {
    (digit as char).to_digit(16).map(|d| d as u8).ok_or(KeyTypeError::Digits)
}

fn decimal_digit(digit: u8) -> Result<u8, KeyTypeError> {
    (digit as char).to_digit(10).map(|d| d as u8).ok_or(KeyTypeError::Digits)
}
