//! Which translations of PIN blocks are allowed while they are restricted (pins.md 6).

use core::fmt::{self, Display};
use core::str::FromStr;
use hsm_pinblock::{Format, Translation};

/// A translation of PIN blocks that is allowed while PIN blocks are restricted, in text `05>01` or `01>47 same-pan`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinTranslation {
    /// The format of the block that is translated.
    pub from: Format,
    /// The format of the new block.
    pub to: Format,
    /// Whether the new block may be for another account than the field of the old one names.
    pub pan_may_change: bool,
}

/// Why text is no [`PinTranslation`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinTranslationError {
    /// Not two codes with `>` between them.
    #[error("must be the codes of two PIN block formats, such as 05>01")]
    Form,
    /// A code that no format has.
    #[error("no PIN block format has the code {0:?}")]
    Unknown(String),
    /// A format that no command translates from, or to.
    #[error("PIN blocks are not translated {0} format {1}")]
    Unusable(&'static str, String),
    /// Something else than `same-pan` behind the codes.
    #[error("{0:?} is not same-pan, which says that the account may not change")]
    Condition(String),
}

/// What follows the codes if the account may not change.
const SAME_PAN: &str = "same-pan";

impl PinTranslation {
    /// What PCI PIN requirement 3-3 allows a host command to translate.
    #[must_use]
    pub fn pci() -> Vec<Self> {
        let formats = || Format::all().filter(|format| format.thales_code().is_some());
        let pairs = formats().flat_map(|from| formats().map(move |to| (from, to)));
        pairs
            .filter_map(|(from, to)| match from.pci_translation(to) {
                Translation::Allowed => Some(Self { from, to, pan_may_change: true }),
                Translation::SameAccount => Some(Self { from, to, pan_may_change: false }),
                Translation::ToCardOnly | Translation::Forbidden => None,
            })
            .collect()
    }

    /// Whether PCI PIN requirement 3-3 allows it.
    #[must_use]
    pub fn is_pci(self) -> bool {
        match self.from.pci_translation(self.to) {
            Translation::Allowed => true,
            Translation::SameAccount => !self.pan_may_change,
            Translation::ToCardOnly | Translation::Forbidden => false,
        }
    }
}

impl FromStr for PinTranslation {
    type Err = PinTranslationError;

    fn from_str(text: &str) -> Result<Self, PinTranslationError> {
        let text = text.trim();
        let (codes, condition) = text.split_once(' ').unwrap_or((text, ""));
        let (from, to) = codes.split_once('>').ok_or(PinTranslationError::Form)?;
        let pan_may_change = match condition.trim() {
            "" => true,
            SAME_PAN => false,
            other => return Err(PinTranslationError::Condition(other.to_owned())),
        };
        Ok(Self { from: format(from, "from")?, to: format(to, "to")?, pan_may_change })
    }
}

/// The format of a code on one side of a translation. Of the formats for cards only 34 can be made outside of scripts.
fn format(code: &str, side: &'static str) -> Result<Format, PinTranslationError> {
    let format =
        Format::from_thales_code(code.as_bytes()).ok_or_else(|| PinTranslationError::Unknown(code.to_owned()))?;
    let card = format.is_script_only() && !(side == "to" && format == Format::Iso2);
    if card || !format.is_supported() {
        return Err(PinTranslationError::Unusable(side, code.to_owned()));
    }
    Ok(format)
}

impl Display for PinTranslation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = |format: Format| format.thales_code().unwrap_or("??");
        write!(f, "{}>{}", code(self.from), code(self.to))?;
        if self.pan_may_change { Ok(()) } else { write!(f, " {SAME_PAN}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_says_formats_and_condition() {
        for text in ["01>47 same-pan", "05>01", "03>34", "48>48 same-pan"] {
            assert_eq!(text.parse::<PinTranslation>().unwrap().to_string(), text);
        }
        assert_eq!(" 01>05   same-pan ".parse::<PinTranslation>().unwrap().to_string(), "01>05 same-pan");
        let wrong = |text: &str| text.parse::<PinTranslation>().unwrap_err().to_string();
        for text in ["", "01", "01 05", "same-pan"] {
            assert!(wrong(text).contains("such as 05>01"), "{text}");
        }
        assert_eq!(wrong("01>99"), "no PIN block format has the code \"99\"");
        assert_eq!(wrong("ISO-0>01"), "no PIN block format has the code \"ISO-0\"");
        assert_eq!(wrong("34>01"), "PIN blocks are not translated from format 34");
        assert_eq!(wrong("01>41"), "PIN blocks are not translated to format 41");
        assert_eq!(wrong("46>01"), "PIN blocks are not translated from format 46");
        assert_eq!(wrong("01>05 any-pan"), "\"any-pan\" is not same-pan, which says that the account may not change");
    }

    #[test]
    fn what_pci_allows_is_within_pci_and_can_be_written() {
        let allowed = PinTranslation::pci();
        assert!(allowed.iter().all(|translation| translation.is_pci()));
        for translation in &allowed {
            assert_eq!(translation.to_string().parse(), Ok(*translation));
        }
        for text in ["01>05", "01>47", "01>34 same-pan", "03>01 same-pan", "04>04"] {
            assert!(!text.parse::<PinTranslation>().unwrap().is_pci(), "{text}");
        }
    }
}
