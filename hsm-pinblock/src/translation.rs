//! Which format may be translated to which when the HSM is held to PCI PIN.

use crate::format::Format;

/// The verdict of PCI PIN requirement 3-3 (v3.1) and ISO 9564-1 on translating one format to another.
///
/// An HSM whose setting "Restrict PIN block usage for PCI HSM compliance" is on answers 23 to what is not allowed; with
/// the setting off (the default) it translates anything it can decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Translation {
    /// Allowed.
    Allowed,
    /// Allowed if both blocks have the same account number.
    SameAccount,
    /// Allowed only to hand the PIN to the card itself.
    ToCardOnly,
    /// Not allowed.
    Forbidden,
}

impl Format {
    /// Whether PCI PIN lets a block in this format be translated to `destination`.
    ///
    /// The formats that exist only in card scripts (35, 41, 42) count as ISO format 2, PLUS as a non-ISO format.
    pub fn pci_translation(self, destination: Format) -> Translation {
        match (Family::of(self), Family::of(destination)) {
            (Family::Account, Family::Account) => Translation::SameAccount,
            (Family::Iso1, Family::Account | Family::Iso1) => Translation::Allowed,
            (Family::Account | Family::Iso1 | Family::Card, Family::Card) => Translation::ToCardOnly,
            _ => Translation::Forbidden,
        }
    }
}

enum Family {
    /// ISO formats 0, 3 and 4, which bind the PIN to an account.
    Account,
    Iso1,
    /// ISO format 2 and the script formats.
    Card,
    Other,
}

impl Family {
    fn of(format: Format) -> Family {
        match format {
            Format::Iso0 | Format::Iso3 | Format::Iso4 => Family::Account,
            Format::Iso1 => Family::Iso1,
            Format::Iso2 | Format::PayNowPayLater | Format::VisaNewPin | Format::VisaNewAndOldPin => Family::Card,
            _ => Family::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PCI PIN v3.1, requirement 3-3: row to column.
    #[test]
    fn the_matrix_of_pci_pin() {
        use Translation::{Allowed, Forbidden, SameAccount, ToCardOnly};
        let columns = [Format::Iso0, Format::Iso3, Format::Iso4, Format::Iso1, Format::Iso2, Format::Diebold];
        let account = [SameAccount, SameAccount, SameAccount, Forbidden, ToCardOnly, Forbidden];
        for (from, row) in [
            (Format::Iso0, account),
            (Format::Iso3, account),
            (Format::Iso4, account),
            (Format::Iso1, [Allowed, Allowed, Allowed, Allowed, ToCardOnly, Forbidden]),
            (Format::Iso2, [Forbidden, Forbidden, Forbidden, Forbidden, ToCardOnly, Forbidden]),
            (Format::Docutel, [Forbidden; 6]),
            (Format::Plus, [Forbidden; 6]),
        ] {
            assert_eq!(columns.map(|to| from.pci_translation(to)), row, "from {from}");
        }
    }
}
