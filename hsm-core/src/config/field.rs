//! How the values of settings are read and written.

use super::{LmkSpec, StartActivity};
use crate::lmk_pin::{PinAlgorithm, PinMode};
use crate::pin_guard::FraudLimits;
use crate::pin_translation::PinTranslation;
use crate::printer::DocumentForm;
use crate::user_storage::SlotSize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use toml::de::DeValue;

/// A value as somebody gave it.
#[derive(Debug, Clone)]
pub(super) enum Given<'a> {
    /// Text of a flag or an environment variable, whatever the type.
    Words(&'a str),
    /// A TOML string.
    Text(&'a str),
    /// A TOML boolean.
    Bool(bool),
    /// A TOML number, as written.
    Number(&'a str),
    /// A TOML array.
    List(Vec<Given<'a>>),
    /// Anything else.
    Other,
}

impl<'a> Given<'a> {
    pub(super) fn of_toml(value: &'a DeValue<'a>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text),
            DeValue::Boolean(value) => Self::Bool(*value),
            DeValue::Integer(number) if number.radix() == 10 => Self::Number(number.as_str()),
            DeValue::Float(number) => Self::Number(number.as_str()),
            DeValue::Array(items) => Self::List(items.iter().map(|item| Self::of_toml(item.get_ref())).collect()),
            _ => Self::Other,
        }
    }

    fn text(&self) -> Option<&'a str> {
        match self {
            Self::Words(text) | Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The name of a choice, which may look like a number.
    pub(super) fn name(&self) -> Option<&'a str> {
        self.text().or(self.number())
    }

    fn number(&self) -> Option<&'a str> {
        match self {
            Self::Words(text) | Self::Number(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a list; the words of a flag are separated by commas.
    fn items(&self) -> Option<Vec<&'a str>> {
        match self {
            Self::Words(text) => Some(words(text).map(|item| item.trim_matches('"')).collect()),
            Self::List(items) => items.iter().map(Self::text).collect(),
            _ => None,
        }
    }
}

/// The items of a list in the words of a flag: separated by commas, in brackets as in a file or without.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let text = text.trim();
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    inner.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// A type of settings.
pub(super) trait Field: Sized {
    /// What values there are.
    fn kind() -> String;

    /// Reads a value, or says what it must be.
    fn read(given: &Given<'_>) -> Result<Self, String>;

    /// The value as in a TOML file.
    fn write(&self) -> String;
}

/// A TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn must<T: Field>() -> String {
    format!("must be {}", T::kind())
}

impl Field for bool {
    fn kind() -> String {
        "true or false".to_owned()
    }

    fn read(given: &Given<'_>) -> Result<Self, String> {
        match given {
            Given::Bool(value) => Ok(*value),
            Given::Words(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Ok(true),
                "false" | "no" | "off" | "0" | "" => Ok(false),
                _ => Err(must::<Self>()),
            },
            _ => Err(must::<Self>()),
        }
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

macro_rules! integers {
    ($($ty:ty),*) => {$(
        impl Field for $ty {
            fn kind() -> String {
                "a whole number".to_owned()
            }

            fn read(given: &Given<'_>) -> Result<Self, String> {
                given.number().and_then(|digits| digits.parse().ok()).ok_or_else(must::<Self>)
            }

            fn write(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
integers!(u8, u16, u32, u64);

impl Field for Duration {
    fn kind() -> String {
        "seconds, with a fraction if need be".to_owned()
    }

    fn read(given: &Given<'_>) -> Result<Self, String> {
        let seconds = given.number().and_then(|number| number.parse::<f64>().ok());
        // A year is more than anybody waits.
        let seconds = seconds.filter(|seconds| (0.0..=31_536_000.0).contains(seconds));
        seconds.map(Self::from_secs_f64).ok_or_else(must::<Self>)
    }

    fn write(&self) -> String {
        self.as_secs_f64().to_string()
    }
}

impl Field for String {
    fn kind() -> String {
        "text".to_owned()
    }

    fn read(given: &Given<'_>) -> Result<Self, String> {
        match given.text() {
            Some(text) if !text.is_empty() && !text.chars().any(char::is_control) => Ok(text.to_owned()),
            _ => Err("must be text, and not empty".to_owned()),
        }
    }

    fn write(&self) -> String {
        quoted(self)
    }
}

impl Field for Option<PathBuf> {
    fn kind() -> String {
        "a path; \"\" for none".to_owned()
    }

    fn read(given: &Given<'_>) -> Result<Self, String> {
        let text = given.text().ok_or_else(must::<Self>)?;
        Ok((!text.is_empty()).then(|| PathBuf::from(text)))
    }

    fn write(&self) -> String {
        quoted(&self.as_deref().unwrap_or("".as_ref()).to_string_lossy())
    }
}

/// An LMK identifier, or nothing in particular.
impl Field for Option<u8> {
    fn kind() -> String {
        "a number from 0 to 19, or \"auto\"".to_owned()
    }

    fn read(given: &Given<'_>) -> Result<Self, String> {
        if given.text() == Some("auto") {
            return Ok(None);
        }
        let id = given.number().and_then(|digits| digits.parse().ok());
        id.filter(|id| *id <= crate::module::MAX_LMK_ID).map(Some).ok_or_else(must::<Self>)
    }

    fn write(&self) -> String {
        self.map_or_else(|| quoted("auto"), |id| id.to_string())
    }
}

/// A firmware number.
impl Field for [u8; 9] {
    fn kind() -> String {
        "four characters, a hyphen and four characters".to_owned()
    }

    fn read(given: &Given<'_>) -> Result<Self, String> {
        let bytes: Option<[u8; 9]> = given.text().and_then(|text| text.as_bytes().try_into().ok());
        let fits = |bytes: &[u8; 9]| {
            bytes.iter().enumerate().all(|(n, c)| if n == 4 { *c == b'-' } else { c.is_ascii_alphanumeric() })
        };
        bytes.filter(fits).ok_or_else(must::<Self>)
    }

    fn write(&self) -> String {
        quoted(&String::from_utf8_lossy(self))
    }
}

fn read_list<T>(given: &Given<'_>, kind: &str, item: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let items = given.items().ok_or_else(|| format!("must be {kind}"))?;
    let (mut good, mut wrong) = (Vec::new(), Vec::new());
    for read in items.into_iter().map(item) {
        match read {
            Ok(value) => good.push(value),
            Err(why) => wrong.push(why),
        }
    }
    if wrong.is_empty() { Ok(good) } else { Err(wrong.join("; ")) }
}

fn write_list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.map(|item| quoted(&item)).collect::<Vec<_>>().join(", "))
}

/// Command codes or PIN block formats.
impl Field for Vec<[u8; 2]> {
    fn kind() -> String {
        "a list of codes of two characters".to_owned()
    }

    fn read(given: &Given<'_>) -> Result<Self, String> {
        read_list(given, &Self::kind(), |code| {
            let code = code.to_ascii_uppercase();
            let fits = |bytes: &[u8; 2]| bytes.iter().all(|c| c.is_ascii_alphanumeric() || *c == b'*');
            code.as_bytes().try_into().ok().filter(fits).ok_or_else(|| format!("{code:?} is no code of two characters"))
        })
    }

    fn write(&self) -> String {
        write_list(self.iter().map(|code| String::from_utf8_lossy(code).into_owned()))
    }
}

impl Field for Vec<LmkSpec> {
    fn kind() -> String {
        "a list of slots and test LMKs: NN=test-variant, NN=test-aes, NN=test-tdes".to_owned()
    }

    fn read(given: &Given<'_>) -> Result<Self, String> {
        read_list(given, &Self::kind(), LmkSpec::from_str)
    }

    fn write(&self) -> String {
        write_list(self.iter().map(ToString::to_string))
    }
}

impl Field for Vec<StartActivity> {
    fn kind() -> String {
        "a list of activities, each with an LMK identifier and a space before it if need be".to_owned()
    }

    fn read(given: &Given<'_>) -> Result<Self, String> {
        read_list(given, &Self::kind(), StartActivity::from_str)
    }

    fn write(&self) -> String {
        write_list(self.iter().map(ToString::to_string))
    }
}

impl Field for Vec<PinTranslation> {
    fn kind() -> String {
        "a list of translations: FROM>TO or FROM>TO same-pan".to_owned()
    }

    fn read(given: &Given<'_>) -> Result<Self, String> {
        let list = read_list(given, &Self::kind(), |item| {
            item.parse::<PinTranslation>().map_err(|error| format!("{item:?}: {error}"))
        })?;
        let twice = list.iter().enumerate().find(|(n, translation)| {
            list.iter().take(*n).any(|other| (other.from, other.to) == (translation.from, translation.to))
        });
        match twice {
            Some((_, translation)) => Err(format!("\"{translation}\": these formats are given twice")),
            None => Ok(list),
        }
    }

    fn write(&self) -> String {
        write_list(self.iter().map(ToString::to_string))
    }
}

/// Makes settings of an enumeration whose values have names.
macro_rules! named {
    ($name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        impl $crate::config::field::Field for $name {
            fn kind() -> String {
                let quoted: &[&str] = &[$(concat!("\"", $text, "\"")),*];
                match quoted.split_last() {
                    Some((last, others)) => format!("{} or {last}", others.join(", ")),
                    None => String::new(),
                }
            }

            fn read(given: &$crate::config::field::Given<'_>) -> Result<Self, String> {
                let name = given.name().unwrap_or_default();
                $(if name.eq_ignore_ascii_case($text) {
                    return Ok(Self::$variant);
                })*
                Err(format!("must be {}", Self::kind()))
            }

            fn write(&self) -> String {
                $crate::config::field::quoted(match self {
                    $(Self::$variant => $text),*
                })
            }
        }
    };
}
pub(super) use named;

/// Declares a setting with a few named values.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant),*
        }

        impl $name {
            /// All values.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The value's name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),*
                }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl core::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let found = Self::ALL.iter().find(|value| value.as_str().eq_ignore_ascii_case(text));
                found.copied().ok_or_else(|| format!("{text:?} is none of {}", [$($text),*].join(", ")))
            }
        }

        $crate::config::field::named! { $name { $($variant = $text),* } }
    };
}
pub(super) use choice;

named! { DocumentForm { Text = "text", Pdf = "pdf" } }
named! { PinMode { Clear = "clear", Native = "encrypted" } }
named! { PinAlgorithm { A = "A", B = "B" } }
named! { SlotSize { Single = "single", Double = "double", Triple = "triple", Variable = "variable" } }

impl Field for Option<FraudLimits> {
    fn kind() -> String {
        "\"off\", or a list of three numbers".to_owned()
    }

    fn read(given: &Given<'_>) -> Result<Self, String> {
        if given.text() == Some("off") {
            return Ok(None);
        }
        let numbers: Option<Vec<u32>> = match given {
            Given::List(items) => items.iter().map(|item| item.number()?.parse().ok()).collect(),
            Given::Words(text) => words(text).map(|number| number.parse().ok()).collect(),
            _ => None,
        };
        match numbers.as_deref() {
            Some(&[per_minute, per_hour, attacks]) => Ok(Some(FraudLimits { per_minute, per_hour, attacks })),
            _ => Err(must::<Self>()),
        }
    }

    fn write(&self) -> String {
        match self {
            None => quoted("off"),
            Some(FraudLimits { per_minute, per_hour, attacks }) => format!("[{per_minute}, {per_hour}, {attacks}]"),
        }
    }
}
