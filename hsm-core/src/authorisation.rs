//! The authorised state: which sensitive activities operators have allowed, per LMK (host.md section 5).
//!
//! An activity is written `category[.sub][.interface][:minutes]`, as `generate.000.host`, `export..host:10` or `pin.clear`. What is left
//! out means all. Words may be shortened as long as they are unique: `p.c.h` is `pin.clear.host`. A number of minutes limits
//! the time, `p` makes the activity outlive a restart; without either it lasts until it is cancelled.

use crate::hex;
use crate::inspect::X9143_USAGES;
use crate::key_block::rules::USAGE_RULES;
use crate::key_type::KeyType;
use crate::module::{LmkSlots, MAX_LMK_ID};
use crate::private_file::{self, FileError};
use crate::settings::Settings;
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// Longest time limit in minutes: a year.
const MAX_MINUTES: u32 = 525_600;

/// Longest activity as text, and most activities of one LMK at the same time.
const MAX_TEXT: usize = 64;
const MAX_GRANTS: usize = 256;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`.")] $variant),*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The full word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),*
                }
            }

            /// A word, in full or shortened to a beginning that no other word has.
            fn parse(word: &str) -> Option<Self> {
                let word = word.to_ascii_lowercase();
                let mut fitting = Self::ALL.iter().filter(|w| !word.is_empty() && w.as_str().starts_with(&word));
                match (fitting.next(), fitting.next()) {
                    (Some(only), None) => Some(*only),
                    (Some(_), Some(_)) => Self::ALL.iter().find(|w| w.as_str() == word).copied(),
                    _ => None,
                }
            }
        }
    };
}

words! {
    /// What kind of activity.
    Category {
        Generate = "generate", Component = "component", Genprint = "genprint", Import = "import", Export = "export",
        Pin = "pin", Audit = "audit", Admin = "admin", Diag = "diag", Misc = "misc", Command = "command", Eckai = "eckai",
    }
}

words! {
    /// Where an activity happens.
    Interface { Host = "host", Console = "console" }
}

words! {
    /// The activities with PINs. The last two are names of this emulator, for BM and BQ.
    PinActivity { Mailer = "mailer", Clear = "clear", Excluded = "excluded", Algorithm = "algorithm" }
}

impl Category {
    fn bit(self) -> u16 {
        1 << self as u16
    }

    fn has_sub(self) -> bool {
        !matches!(self, Self::Audit | Self::Admin | Self::Diag | Self::Misc)
    }

    /// A subcategory in the form that activities are compared in; `None` if it cannot be one.
    fn sub(self, text: &str) -> Option<String> {
        let lower = text.to_ascii_lowercase();
        let alphanumeric = lower.bytes().all(|c| c.is_ascii_alphanumeric());
        match self {
            Self::Pin => PinActivity::parse(text).map(|sub| sub.as_str().to_owned()),
            Self::Command => (alphanumeric && lower.len() == 2).then_some(lower),
            _ if KINDS.contains(&lower.as_str()) => Some(lower),
            _ => match KeyType::by_name(text, false) {
                Some(key_type) => Some(key_type.to_string().to_ascii_lowercase()),
                None => (KeyType::parse(lower.as_bytes()).is_ok() || is_usage(&lower)).then_some(lower),
            },
        }
    }

    /// Its subcategories, in words.
    fn subs(self) -> String {
        match self {
            Self::Pin => list(PinActivity::ALL.iter().map(|sub| sub.as_str())),
            Self::Command => "a command code of two letters or digits, such as RA".to_owned(),
            _ if !self.has_sub() => "it has none".to_owned(),
            _ => format!(
                "a key type, code such as 001 or name such as ZPK (`hsm key types` lists them), {}, or a key usage: {}",
                list(KINDS.into_iter()),
                list(usages())
            ),
        }
    }
}

/// Kinds of keys that have no key type or usage of their own: those of the first two are a security setting.
const KINDS: [&str; 4] = ["tpk", "tmk", "rsa", "ecc"];

/// Key usages of S blocks, and those that R blocks have besides.
fn usages() -> impl Iterator<Item = &'static str> {
    let thales = || USAGE_RULES.iter().map(|rule| rule.usage);
    thales().chain(X9143_USAGES.iter().map(|(id, _)| *id).filter(move |id| !thales().any(|known| known == *id)))
}

fn is_usage(sub: &str) -> bool {
    usages().any(|usage| usage.eq_ignore_ascii_case(sub))
}

/// How long an activity stays authorised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Term {
    /// Until it is cancelled or the emulator stops.
    #[default]
    UntilCancelled,
    /// Minutes.
    Minutes(u32),
    /// Until it is cancelled; outlives a restart.
    Persistent,
}

/// An activity as an operator names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// `None`, written `all`: every category, diagnostics excepted where there are several activities.
    pub category: Option<Category>,
    /// Key type code, key usage, `rsa`, a [`PinActivity`] or a command code, in lower case. `None` means all.
    pub sub: Option<String>,
    /// `None` means both.
    pub interface: Option<Interface>,
    /// How long.
    pub term: Term,
}

/// Text that is no activity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActivityError {
    /// The category is unknown, or shortened so that it could be several.
    #[error("{0:?} is no category of activities, or could be several: {known}", known = list(Category::ALL.iter().map(|c| c.as_str())))]
    Category(String),
    /// The subcategory does not fit the category.
    #[error("{sub:?} is no subcategory of {category}: {possible}", category = category.as_str(), possible = category.subs())]
    Sub {
        /// The category.
        category: Category,
        /// What was given.
        sub: String,
    },
    /// Not an interface.
    #[error("{0:?} is no interface: host or console")]
    Interface(String),
    /// Not a time limit.
    #[error("{0:?} is no time limit: minutes from 1 to {MAX_MINUTES}, or p")]
    Term(String),
    /// More parts than an activity has, or more text.
    #[error("an activity is category[.sub][.interface][:minutes]")]
    Form,
    /// The model knows only one authorised state.
    #[error("with single authorisation there is only \"all\"")]
    SingleModel,
    /// There are more activities than anybody needs.
    #[error("more than {MAX_GRANTS} activities")]
    TooMany,
}

fn list(words: impl Iterator<Item = &'static str>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

impl FromStr for Activity {
    type Err = ActivityError;

    fn from_str(text: &str) -> Result<Self, ActivityError> {
        if text.len() > MAX_TEXT || !text.is_ascii() {
            return Err(ActivityError::Form);
        }
        let (activity, term) = match text.split_once(':') {
            Some((activity, term)) => (activity, parse_term(term)?),
            None => (text, Term::UntilCancelled),
        };
        let mut parts = activity.split('.');
        let first = parts.next().unwrap_or_default();
        let (second, third) = (parts.next(), parts.next());
        if parts.next().is_some() {
            return Err(ActivityError::Form);
        }
        if first.eq_ignore_ascii_case("all") {
            if second.is_some() {
                return Err(ActivityError::Form);
            }
            return Ok(Self { category: None, sub: None, interface: None, term });
        }
        // The manual itself shortens generate to gen, although genprint begins so too.
        let category = match first {
            word if word.eq_ignore_ascii_case("gen") => Some(Category::Generate),
            word => Category::parse(word),
        };
        let category = category.ok_or_else(|| ActivityError::Category(first.to_owned()))?;
        let (sub, interface) = match (second, third) {
            (Some(word), None) if !category.has_sub() => ("", word),
            // A subcategory was left out together with its dot.
            (Some(word), None) if category.sub(word).is_none() && Interface::parse(word).is_some() => ("", word),
            (second, third) => (second.unwrap_or_default(), third.unwrap_or_default()),
        };
        let sub = match sub {
            "" => None,
            word => match category.sub(word).filter(|_| category.has_sub()) {
                Some(sub) => Some(sub),
                None => return Err(ActivityError::Sub { category, sub: word.to_owned() }),
            },
        };
        let interface = match interface {
            "" => None,
            word => Some(Interface::parse(word).ok_or_else(|| ActivityError::Interface(word.to_owned()))?),
        };
        Ok(Self { category: Some(category), sub, interface, term })
    }
}

fn parse_term(text: &str) -> Result<Term, ActivityError> {
    if text.eq_ignore_ascii_case("p") {
        return Ok(Term::Persistent);
    }
    let wrong = || ActivityError::Term(text.to_owned());
    if !text.bytes().all(|c| c.is_ascii_digit()) {
        return Err(wrong());
    }
    match text.parse() {
        Ok(minutes @ 1..=MAX_MINUTES) => Ok(Term::Minutes(minutes)),
        _ => Err(wrong()),
    }
}

impl Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.category.map_or("all", Category::as_str))?;
        if let Some(category) = self.category {
            if let Some(sub) = &self.sub {
                write!(f, ".{sub}")?;
            } else if category.has_sub() && self.interface.is_some() {
                f.write_str(".")?;
            }
        }
        if let Some(interface) = self.interface {
            write!(f, ".{}", interface.as_str())?;
        }
        match self.term {
            Term::UntilCancelled => Ok(()),
            Term::Minutes(minutes) => write!(f, ":{minutes}"),
            Term::Persistent => f.write_str(":p"),
        }
    }
}

/// What a command needs, as the host names it: full words in lower case.
struct Required<'a> {
    category: Category,
    sub: Option<&'a str>,
    interface: Interface,
}

impl<'a> Required<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split('.');
        let category = parts.next()?;
        let category = *Category::ALL.iter().find(|c| c.as_str() == category)?;
        let sub = if category.has_sub() { parts.next().filter(|sub| !sub.is_empty()) } else { None };
        let interface = parts.next().map_or(Some(Interface::Host), Interface::parse)?;
        parts.next().is_none().then_some(Self { category, sub, interface })
    }

    fn is_covered_by(&self, activity: &Activity, settings: &Settings) -> bool {
        let Some(category) = activity.category else {
            return !settings.multiple_activities || self.category != Category::Diag;
        };
        let code = |sub: &str| match KeyType::by_name(sub, settings.separate_002) {
            Some(key_type) => key_type.to_string(),
            None => sub.to_ascii_uppercase(),
        };
        let fits = |sub: &String| self.sub.is_some_and(|required| code(sub) == code(required));
        category == self.category
            && activity.sub.as_ref().is_none_or(fits)
            && activity.interface.is_none_or(|interface| interface == self.interface)
    }

    /// With one authorised state, import and generation of working keys need none (host.md 5).
    fn is_free_in_single_model(&self) -> bool {
        let is_zmk = matches!(self.sub, Some("000" | "k0" | "52"));
        matches!(self.category, Category::Import | Category::Generate) && !is_zmk
    }
}

/// An activity that is authorised, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The activity as it was authorised.
    pub activity: Activity,
    /// When its time limit ends; `None` for none.
    pub until: Option<SystemTime>,
}

impl Grant {
    fn is_over(&self, now: SystemTime) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct OfLmk {
    grants: Vec<Grant>,
    /// Categories that the settings authorise from the start and that were cancelled since: one bit each.
    withdrawn: u16,
}

/// What is authorised, LMK by LMK.
///
/// A module hands out snapshots; it changes through the module, which writes audit events and saves what persists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authorisation {
    lmks: BTreeMap<u8, OfLmk>,
}

impl Authorisation {
    /// Whether an activity (`export.000.host`, in full and in lower case) is authorised for an LMK at a time.
    #[must_use]
    pub fn check(&self, lmk: u8, activity: &str, settings: &Settings, now: SystemTime) -> bool {
        let Some(required) = Required::parse(activity) else { return false };
        let single = !settings.multiple_activities;
        if single && required.is_free_in_single_model() {
            return true;
        }
        let state = self.lmks.get(&lmk);
        let from_the_start =
            if required.category == Category::Diag { settings.authorise_diagnostics } else { settings.authorise_all };
        let withdrawn = state.is_some_and(|state| state.withdrawn & required.category.bit() != 0);
        if from_the_start && !withdrawn {
            return true;
        }
        let grants = state.map(|state| state.grants.as_slice()).unwrap_or_default();
        grants.iter().any(|grant| {
            (!single || grant.activity.category.is_none())
                && !grant.is_over(now)
                && required.is_covered_by(&grant.activity, settings)
        })
    }

    /// Activities in force for an LMK, those that the settings authorise from the start first.
    #[must_use]
    pub fn in_force(&self, lmk: u8, settings: &Settings, now: SystemTime) -> Vec<Grant> {
        let withdrawn = self.lmks.get(&lmk).map_or(0, |state| state.withdrawn);
        let from_the_start = Category::ALL.iter().filter(|category| {
            let set =
                if **category == Category::Diag { settings.authorise_diagnostics } else { settings.authorise_all };
            set && withdrawn & category.bit() == 0
        });
        let from_the_start = from_the_start.map(|category| Grant {
            activity: Activity { category: Some(*category), sub: None, interface: None, term: Term::UntilCancelled },
            until: None,
        });
        let granted = self.lmks.get(&lmk).into_iter().flat_map(|state| &state.grants);
        from_the_start.chain(granted.filter(|grant| !grant.is_over(now)).cloned()).collect()
    }

    /// Activities in force for an LMK by interface, host and console: `(2H,1C)` of the device's LMK table.
    #[must_use]
    pub fn counts(&self, lmk: u8, settings: &Settings, now: SystemTime) -> (usize, usize) {
        let grants = self.in_force(lmk, settings, now);
        let count = |interface| {
            grants.iter().filter(|grant| grant.activity.interface.is_none_or(|other| other == interface)).count()
        };
        (count(Interface::Host), count(Interface::Console))
    }

    /// Authorises an activity. One that differs only in its term is replaced.
    ///
    /// # Errors
    /// [`ActivityError::SingleModel`] where there is only one authorised state, [`ActivityError::TooMany`].
    pub(crate) fn authorise(
        &mut self,
        lmk: u8,
        activity: &Activity,
        settings: &Settings,
        now: SystemTime,
    ) -> Result<(), ActivityError> {
        if !settings.multiple_activities && activity.category.is_some() {
            return Err(ActivityError::SingleModel);
        }
        let until = match activity.term {
            // A clock so far in the future that minutes cannot be added has no use for limits.
            Term::Minutes(minutes) => now.checked_add(Duration::from_secs(60 * u64::from(minutes))),
            Term::UntilCancelled | Term::Persistent => None,
        };
        let grants = &mut self.lmks.entry(lmk).or_default().grants;
        grants.retain(|grant| Activity { term: activity.term, ..grant.activity.clone() } != *activity);
        if grants.len() >= MAX_GRANTS {
            return Err(ActivityError::TooMany);
        }
        grants.push(Grant { activity: activity.clone(), until });
        Ok(())
    }

    /// Cancels everything, or these activities, and returns those that were in force. An activity is cancelled by the term it
    /// was authorised with.
    pub(crate) fn cancel(
        &mut self,
        lmk: u8,
        which: Option<&[Activity]>,
        settings: &Settings,
        now: SystemTime,
    ) -> Vec<Activity> {
        let before = self.in_force(lmk, settings, now);
        let state = self.lmks.entry(lmk).or_default();
        let all = !settings.multiple_activities
            || which.is_none_or(|activities| activities.iter().any(|activity| activity.category.is_none()));
        if all {
            *state = OfLmk { grants: Vec::new(), withdrawn: u16::MAX };
        }
        for activity in which.unwrap_or_default() {
            state.grants.retain(|grant| grant.activity != *activity);
            let host = activity.interface.is_none_or(|interface| interface == Interface::Host);
            if let (Some(category), None, true, Term::UntilCancelled) =
                (activity.category, &activity.sub, host, activity.term)
            {
                state.withdrawn |= category.bit();
            }
        }
        let after = self.in_force(lmk, settings, now);
        before.into_iter().filter(|grant| !after.contains(grant)).map(|grant| grant.activity).collect()
    }

    /// Forgets what has been changed for LMKs but those that stay, and returns the activities that were in force with their LMK. What the
    /// settings authorise from the start is so for whichever LMK comes next.
    pub(crate) fn end_others(&mut self, stays: impl Fn(&u8) -> bool, now: SystemTime) -> Vec<(u8, Activity)> {
        let ended = self.lmks.extract_if(.., |lmk, _| !stays(lmk));
        let grants = ended.flat_map(|(lmk, state)| state.grants.into_iter().map(move |grant| (lmk, grant)));
        grants.filter(|(_, grant)| !grant.is_over(now)).map(|(lmk, grant)| (lmk, grant.activity)).collect()
    }

    /// Removes activities whose time is over and returns them with their LMK.
    pub(crate) fn expire(&mut self, now: SystemTime) -> Vec<(u8, Activity)> {
        let mut over = Vec::new();
        for (lmk, state) in &mut self.lmks {
            over.extend(state.grants.extract_if(.., |grant| grant.is_over(now)).map(|grant| (*lmk, grant.activity)));
        }
        over
    }

    /// Whether an activity's time is over but it is still listed.
    pub(crate) fn has_expired(&self, now: SystemTime) -> bool {
        self.lmks.values().flat_map(|state| &state.grants).any(|grant| grant.is_over(now))
    }

    /// The file of the activities that outlive a restart: lines `LMK check-value activity` of those LMKs that are loaded.
    pub(crate) fn persistent(&self, lmks: &LmkSlots) -> String {
        let mut lines = String::from(HEAD);
        for (id, state) in &self.lmks {
            let Some(lmk) = lmks.slots.get(id) else { continue };
            let check_value = hex::encode(&lmk.check_value());
            for grant in state.grants.iter().filter(|grant| grant.activity.term == Term::Persistent) {
                lines += &format!("{id:02} {check_value} {}\n", grant.activity);
            }
        }
        lines
    }
}

/// First line of the file of persistent activities.
const HEAD: &str =
    "# Activities that stay authorised after a restart. Written by the emulator: LMK, its check value, activity.\n";

/// Longest file of persistent activities.
const MAX_FILE: u64 = 256 * 1024;

/// What keeps persistent activities or user storage from being read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PersistenceError {
    /// The file cannot be read or replaced.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line is no activity.
    #[error(
        "line {line} of the authorised activities is not an LMK identifier, its check value and a persistent activity"
    )]
    Line {
        /// Number of the line, from 1.
        line: usize,
    },
    /// A line of the file of user storage is not what it should be.
    #[error("line {line} of the user storage file is not a slot that this emulator wrote")]
    Slot {
        /// Number of the line, from 1.
        line: usize,
    },
}

/// A line of the file of persistent activities.
pub(crate) struct PersistentActivity {
    pub(crate) lmk: u8,
    /// Check value of the LMK, in full. Files of earlier versions do not have it.
    pub(crate) check_value: Option<[u8; 8]>,
    pub(crate) activity: Activity,
}

impl PersistentActivity {
    fn parse(line: &str) -> Option<Self> {
        let (lmk, rest) = line.split_once(' ')?;
        let (check_value, activity) = match rest.split_once(' ') {
            Some((digits, activity)) => (Some(hex::decode(digits.as_bytes())?.as_slice().try_into().ok()?), activity),
            None => (None, rest),
        };
        let lmk = lmk.parse().ok().filter(|lmk| *lmk <= MAX_LMK_ID)?;
        let activity = activity.parse().ok().filter(|a: &Activity| a.term == Term::Persistent)?;
        Some(Self { lmk, check_value, activity })
    }
}

/// Reads the file of persistent activities; none if there is no file.
pub(crate) fn read_persistent(path: &Path) -> Result<Vec<PersistentActivity>, PersistenceError> {
    let bytes = match private_file::read(path, MAX_FILE) {
        Err(FileError::NotFound(_)) => return Ok(Vec::new()),
        other => other?,
    };
    let text = core::str::from_utf8(&bytes).map_err(|_| PersistenceError::Line { line: 1 })?;
    let mut activities = Vec::new();
    for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        activities.push(PersistentActivity::parse(line).ok_or(PersistenceError::Line { line: n + 1 })?);
    }
    Ok(activities)
}

/// What happened to the authorised state: goes to the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// The device's two-character code of the user action: `AA` activity authorised, `AC` cancelled, `AT` timed out; `A1` and `A0`
    /// for the single authorised state (host.md 3.10).
    pub action: [u8; 2],
    /// The LMK.
    pub lmk: u8,
    /// The activity.
    pub activity: String,
}

/// Takes audit events. Called while a request waits, so it must be quick.
pub trait AuditHook: Send + Sync {
    /// One event, in the order of events.
    fn record(&self, event: &AuditEvent);
}

impl Display for AuditEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match &self.action {
            b"AA" | b"A1" => "authorised",
            b"AT" => "timed out",
            _ => "cancelled",
        };
        write!(f, "LMK {:02}: {} {what}", self.lmk, self.activity)
    }
}
