//! The formats: their codes, names, and what each needs.

use core::fmt;
use core::ops::RangeInclusive;

use crate::fill::Alphabet;
use crate::layout::{Fill, Layout, Mask, PadRule};

/// A PIN block format: one variant per layout, whatever the number of names the industry has for it.
///
/// The Thales codes and layouts are those of the payShield host manuals; the others are IBM CCA's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// Thales 01: ISO 9564 format 0, ANSI X9.8, VISA-1, ECI-1.
    Iso0,
    /// Thales 02: Docutel ATM, VISA-2. PINs of 4 to 6 digits.
    Docutel,
    /// Thales 03: Diebold and IBM ATM. PIN and `F` fill, no length.
    Diebold,
    /// Thales 04: PLUS network, VISA-4. ISO format 0 over the leftmost account digits.
    Plus,
    /// Thales 05: ISO 9564 format 1, ECI-4. No account.
    Iso1,
    /// Thales 34: ISO 9564 format 2, what EMV sends to the card.
    Iso2,
    /// Thales 35: Mastercard Pay Now & Pay Later.
    PayNowPayLater,
    /// Thales 41: Visa / Amex PIN change with the new PIN only.
    VisaNewPin,
    /// Thales 42: Visa / Amex PIN change with the new and the old PIN.
    VisaNewAndOldPin,
    /// Thales 46: AS2805. Known to exist; no public source gives its layout, so nothing can be done with it.
    As2805,
    /// Thales 47: ISO 9564 format 3.
    Iso3,
    /// Thales 48: ISO 9564 format 4, for AES: use [`encipher_iso4`](crate::encipher_iso4).
    Iso4,
    /// ECI-2: 4 PIN digits, 12 random nibbles.
    Eci2,
    /// ECI-3: as Docutel, with any hex digit as pad.
    Eci3,
    /// VISA-3: PIN, an `F`, pad.
    Visa3,
    /// OEM-1, used by Diebold, Docutel and NCR: PIN, and one pad nibble that is no digit of the PIN, repeated.
    Oem1,
    /// IBM 3624, NCR: PIN and a configured pad nibble.
    Ibm3624,
    /// IBM 3621: 4-nibble sequence number, PIN, configured pad nibble.
    Ibm3621,
    /// IBM 4704 encrypting PIN pad: length, PIN, `F` fill, 2-nibble sequence number.
    Ibm4704Epp,
}

/// The part of the account number a format mixes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountUse {
    /// None: the account is ignored.
    None,
    /// The 12 rightmost digits without the check digit. Any [`Account`](crate::Account) has them.
    Rightmost12,
    /// The 12 leftmost digits. A [`Pan`](crate::Pan) or [`PlusField`](crate::PlusField) has them.
    Leftmost12,
    /// The whole account number with its check digit.
    FullPan,
}

impl Format {
    /// Every format, Thales codes first.
    pub fn all() -> impl ExactSizeIterator<Item = Format> + Clone {
        TABLE.iter().map(|entry| entry.format)
    }

    /// The format of a two-character Thales code, e.g. `b"01"`. `None` if the code is unknown (host error 23).
    pub fn from_thales_code(code: &[u8]) -> Option<Format> {
        TABLE.iter().find(|entry| entry.code.is_some_and(|known| known.as_bytes() == code)).map(|entry| entry.format)
    }

    /// The format of a name or Thales code, ignoring case and everything that is not a letter or digit: `"ISO-0"`,
    /// `"iso0"`, `"ISO 9564-0"`, `"Visa 1"`, `"ANSI X9.8"`, `"01"`.
    pub fn from_name(name: &str) -> Option<Format> {
        TABLE.iter().find(|entry| entry.names().any(|known| same_name(known, name))).map(|entry| entry.format)
    }

    /// The two-digit Thales code, if Thales has one for this layout.
    pub fn thales_code(self) -> Option<&'static str> {
        self.entry().code
    }

    /// The usual name, e.g. `ISO-0`.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// The other names [`from_name`](Format::from_name) knows, not counting the Thales code.
    pub fn aliases(self) -> &'static [&'static str] {
        self.entry().aliases
    }

    /// The layout in one line. `N` is the length nibble, `P` a PIN digit, `A12` the 12 account digits.
    pub fn description(self) -> &'static str {
        self.entry().description
    }

    /// The length of a block in bytes: 16 for ISO format 4, otherwise 8.
    pub fn block_len(self) -> usize {
        if matches!(self, Format::Iso4) { 16 } else { 8 }
    }

    /// How many PIN digits fit.
    pub fn pin_len(self) -> RangeInclusive<usize> {
        match self.layout() {
            Layout::SixPositions { .. } => 4..=6,
            Layout::FourDigits => 4..=4,
            _ => 4..=12,
        }
    }

    /// What the format needs of the account number.
    pub fn account(self) -> AccountUse {
        match self.layout() {
            Layout::Control { mask: Mask::Rightmost12, .. } => AccountUse::Rightmost12,
            Layout::Control { mask: Mask::Leftmost12, .. } => AccountUse::Leftmost12,
            Layout::Iso4 => AccountUse::FullPan,
            _ => AccountUse::None,
        }
    }

    /// Whether the format needs the card's [`UdkA`](crate::UdkA).
    pub fn needs_udk(self) -> bool {
        matches!(self.layout(), Layout::Control { mask: Mask::Udk | Mask::UdkAndOldPin, .. })
    }

    /// Whether the format needs the PIN that is being replaced.
    pub fn needs_old_pin(self) -> bool {
        matches!(self.layout(), Layout::Control { mask: Mask::UdkAndOldPin, .. })
    }

    /// Whether the layout is known, so that blocks can be made and read. False for [`Format::As2805`] only.
    pub fn is_supported(self) -> bool {
        !matches!(self.layout(), Layout::Unknown)
    }

    /// Whether the HSM takes the format only in the EMV script commands KU and KY (codes 34, 35, 41 and 42). Any other
    /// command answers 23.
    pub fn is_script_only(self) -> bool {
        matches!(self, Format::Iso2 | Format::PayNowPayLater | Format::VisaNewPin | Format::VisaNewAndOldPin)
    }

    pub(crate) fn layout(self) -> Layout {
        self.entry().layout
    }

    fn entry(self) -> &'static Entry {
        // The table is in the order of the variants; a test holds it to that.
        &TABLE[self as usize]
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

struct Entry {
    format: Format,
    code: Option<&'static str>,
    name: &'static str,
    aliases: &'static [&'static str],
    description: &'static str,
    layout: Layout,
}

impl Entry {
    fn names(&self) -> impl Iterator<Item = &'static str> {
        core::iter::once(self.name).chain(self.code).chain(self.aliases.iter().copied())
    }
}

fn same_name(a: &str, b: &str) -> bool {
    let essence = |name: &str, n: usize| {
        name.bytes().filter(u8::is_ascii_alphanumeric).nth(n).map(|byte| byte.to_ascii_lowercase())
    };
    (0..).map(|n| (essence(a, n), essence(b, n))).find(|(a, b)| a != b || a.is_none()) == Some((None, None))
}

static TABLE: [Entry; 19] = [
    Entry {
        format: Format::Iso0,
        code: Some("01"),
        name: "ISO-0",
        aliases: &[
            "ISO 9564-0",
            "ISO 9564 format 0",
            "ISO format 0",
            "format 0",
            "ANSI",
            "ANSI X9.8",
            "X9.8",
            "VISA-1",
            "ECI-1",
        ],
        description: "0 N P..P F..F xor 0000 A12 (12 rightmost)",
        layout: Layout::Control { control: 0, fill: Fill::Fixed(0xF), mask: Mask::Rightmost12 },
    },
    Entry {
        format: Format::Docutel,
        code: Some("02"),
        name: "Docutel",
        aliases: &["Docutel ATM", "VISA-2"],
        description: "N, PIN in 6 positions filled with 0, 9 decimal pad digits",
        layout: Layout::SixPositions { pad: Alphabet::Decimal },
    },
    Entry {
        format: Format::Diebold,
        code: Some("03"),
        name: "Diebold",
        aliases: &["IBM ATM", "Diebold IBM ATM", "Diebold & IBM ATM"],
        description: "P..P F..F, no length",
        layout: Layout::Padded { sequence: false, pad: PadRule::F },
    },
    Entry {
        format: Format::Plus,
        code: Some("04"),
        name: "PLUS",
        aliases: &["PLUS network", "VISA-4"],
        description: "0 N P..P F..F xor 0000 A12 (12 leftmost)",
        layout: Layout::Control { control: 0, fill: Fill::Fixed(0xF), mask: Mask::Leftmost12 },
    },
    Entry {
        format: Format::Iso1,
        code: Some("05"),
        name: "ISO-1",
        aliases: &["ISO 9564-1", "ISO 9564 format 1", "ISO format 1", "format 1", "ECI-4"],
        description: "1 N P..P, random hex fill",
        layout: Layout::Control { control: 1, fill: Fill::Random(Alphabet::Hex), mask: Mask::None },
    },
    Entry {
        format: Format::Iso2,
        code: Some("34"),
        name: "ISO-2",
        aliases: &["ISO 9564-2", "ISO 9564 format 2", "ISO format 2", "format 2", "EMV", "EMV standard"],
        description: "2 N P..P F..F",
        layout: Layout::Control { control: 2, fill: Fill::Fixed(0xF), mask: Mask::None },
    },
    Entry {
        format: Format::PayNowPayLater,
        code: Some("35"),
        name: "Mastercard Pay Now & Pay Later",
        aliases: &["Mastercard", "Pay Now Pay Later", "Mastercard Pay Now Pay Later"],
        description: "2 N P..P F..F xor 0000 A12 (12 rightmost)",
        layout: Layout::Control { control: 2, fill: Fill::Fixed(0xF), mask: Mask::Rightmost12 },
    },
    Entry {
        format: Format::VisaNewPin,
        code: Some("41"),
        name: "Visa new PIN",
        aliases: &["Visa Amex new PIN", "Visa new PIN only", "Amex new PIN"],
        description: "0 N P..P F..F xor 00000000 UDK-A (8 rightmost nibbles of the left half)",
        layout: Layout::Control { control: 0, fill: Fill::Fixed(0xF), mask: Mask::Udk },
    },
    Entry {
        format: Format::VisaNewAndOldPin,
        code: Some("42"),
        name: "Visa new and old PIN",
        aliases: &["Visa new+old PIN", "Visa Amex new and old PIN", "Amex new and old PIN"],
        description: "as Visa new PIN, xor old PIN 0..0",
        layout: Layout::Control { control: 0, fill: Fill::Fixed(0xF), mask: Mask::UdkAndOldPin },
    },
    Entry {
        format: Format::As2805,
        code: Some("46"),
        name: "AS2805",
        aliases: &["AS 2805"],
        description: "layout not public",
        layout: Layout::Unknown,
    },
    Entry {
        format: Format::Iso3,
        code: Some("47"),
        name: "ISO-3",
        aliases: &["ISO 9564-3", "ISO 9564 format 3", "ISO format 3", "format 3"],
        description: "3 N P..P, random fill A-F, xor 0000 A12 (12 rightmost)",
        layout: Layout::Control { control: 3, fill: Fill::Random(Alphabet::Letters), mask: Mask::Rightmost12 },
    },
    Entry {
        format: Format::Iso4,
        code: Some("48"),
        name: "ISO-4",
        aliases: &["ISO 9564-4", "ISO 9564 format 4", "ISO format 4", "format 4"],
        description: "AES(AES(4 N P..P A..A, 16 random nibbles) xor PAN field)",
        layout: Layout::Iso4,
    },
    Entry {
        format: Format::Eci2,
        code: None,
        name: "ECI-2",
        aliases: &[],
        description: "PPPP, 12 random hex nibbles",
        layout: Layout::FourDigits,
    },
    Entry {
        format: Format::Eci3,
        code: None,
        name: "ECI-3",
        aliases: &[],
        description: "N, PIN in 6 positions filled with 0, 9 random hex nibbles",
        layout: Layout::SixPositions { pad: Alphabet::Hex },
    },
    Entry {
        format: Format::Visa3,
        code: None,
        name: "VISA-3",
        aliases: &[],
        description: "P..P F, pad",
        layout: Layout::Padded { sequence: false, pad: PadRule::AfterDelimiter },
    },
    Entry {
        format: Format::Oem1,
        code: None,
        name: "OEM-1",
        aliases: &["Diebold Docutel NCR"],
        description: "P..P, one repeated pad nibble that is no PIN digit",
        layout: Layout::Padded { sequence: false, pad: PadRule::Repeated },
    },
    Entry {
        format: Format::Ibm3624,
        code: None,
        name: "IBM 3624",
        aliases: &["3624", "NCR", "NCR ATM"],
        description: "P..P, configured pad nibble",
        layout: Layout::Padded { sequence: false, pad: PadRule::Configured },
    },
    Entry {
        format: Format::Ibm3621,
        code: None,
        name: "IBM 3621",
        aliases: &["3621"],
        description: "SSSS sequence number, P..P, configured pad nibble",
        layout: Layout::Padded { sequence: true, pad: PadRule::Configured },
    },
    Entry {
        format: Format::Ibm4704Epp,
        code: None,
        name: "IBM 4704-EPP",
        aliases: &["4704-EPP", "IBM 4704", "4704"],
        description: "N P..P F..F in 14 nibbles, SS sequence number",
        layout: Layout::Epp,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_finds_itself_by_each_of_its_names() {
        for (index, format) in Format::all().enumerate() {
            assert_eq!(format as usize, index, "the table is out of order at {format}");
            assert_eq!(format.entry().format, format);
            for name in format.entry().names() {
                // The first entry that knows a name wins, so this also proves that no two formats share one.
                assert_eq!(Format::from_name(name), Some(format), "{name}");
            }
            if let Some(code) = format.thales_code() {
                assert_eq!(Format::from_thales_code(code.as_bytes()), Some(format));
            }
        }
    }

    #[test]
    fn names_forgive_case_and_punctuation_but_nothing_else() {
        for name in ["ISO-0", "iso0", "iso9564-0", " Iso_9564 / 0 ", "visa 1", "ansi-x98", "01"] {
            assert_eq!(Format::from_name(name), Some(Format::Iso0), "{name}");
        }
        for name in ["", "-", "ISO", "ISO-00", "ISO-5", "VISA", "1"] {
            assert_eq!(Format::from_name(name), None, "{name}");
        }
        for code in [b"".as_slice(), b"1", b"00", b"06", b"011", b"99"] {
            assert_eq!(Format::from_thales_code(code), None);
        }
    }
}
