//! The LMKs of a command: those of the settings and the LMK store, as the server has them, or the published test LMKs.

use crate::cmd::config::SettingsFrom;
use crate::cmd::lmk::{for_store, unattended};
use crate::exit::usage;
use crate::parse;
use anyhow::Context;
use hsm_core::config::{Config, Effective, LmkLoadError};
use hsm_core::lmk::{Lmk, LmkScheme};
use hsm_core::scheme::KeyScheme;
use hsm_core::{Algorithm, ClearKey, LmkSlots, SecurityModule, Settings};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Heading of the options in help texts.
const HEADING: &str = "LMKs";

/// Where the LMK store and its secret are.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct StoreArgs {
    /// File of the LMK store [default: lmk_store of the settings]
    #[arg(long, visible_alias = "lmk-store", global = true, help_heading = HEADING, value_name = "FILE")]
    store: Option<PathBuf>,

    /// File whose first line is the passphrase of the store
    #[arg(long, global = true, help_heading = HEADING, value_name = "FILE", conflicts_with = "key_file")]
    passphrase_file: Option<PathBuf>,

    /// Key file of the store
    #[arg(long, global = true, help_heading = HEADING, value_name = "FILE")]
    key_file: Option<PathBuf>,

    #[command(flatten)]
    from: SettingsFrom,
}

impl StoreArgs {
    /// The settings in force. `flags` are those that have a flag of their own besides these.
    ///
    /// # Errors
    /// Usage, with everything that is wrong.
    pub(crate) fn load(&self, flags: &[(&'static str, Option<String>)]) -> anyhow::Result<Effective> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let (mut phrase, mut key) = (path(&self.passphrase_file), path(&self.key_file));
        // A secret that is named here replaces one of either kind in the settings.
        if phrase.is_some() {
            key = Some(String::new());
        } else if key.is_some() {
            phrase = Some(String::new());
        }
        let own = [("lmk_store", path(&self.store)), ("lmk_passphrase_file", phrase), ("lmk_key_file", key)];
        self.from.load(&[&own[..], flags].concat())
    }
}

/// The LMKs of the settings and the store.
///
/// # Errors
/// If the store cannot be used or there is no secret for it, or a live LMK is in it that nobody said is meant.
pub(crate) fn load(config: &Config) -> anyhow::Result<LmkSlots> {
    config.load_lmks(for_store).map_err(as_shown)
}

/// As [`load`], but asks nobody: `None` if the passphrase of the store would have to be typed.
///
/// # Errors
/// As [`load`].
pub(crate) fn load_unattended(config: &Config) -> anyhow::Result<Option<LmkSlots>> {
    let mut typed = false;
    let loaded = config.load_lmks(|store, is_key_file| {
        let secret = unattended(store, is_key_file)?;
        typed = secret.is_none();
        secret.context("its passphrase is not at hand")
    });
    if typed { Ok(None) } else { loaded.map(Some).map_err(as_shown) }
}

fn as_shown(error: LmkLoadError<anyhow::Error>) -> anyhow::Error {
    match error {
        LmkLoadError::Secret(error) => error,
        other => anyhow::anyhow!("{other}"),
    }
}

/// The LMKs that a command works with.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LmkArgs {
    /// Slot of the LMK, 00 to 19 [default: the one that a key block names, else the default LMK, or the first that suits]
    #[arg(long, help_heading = HEADING, value_name = "NN", value_parser = parse::lmk_id)]
    lmk: Option<u8>,

    #[command(flatten)]
    store: StoreArgs,
}

impl LmkArgs {
    /// The LMKs. Nothing is read before the first key needs one.
    pub(crate) fn lmks(&self) -> Lmks {
        Lmks { asked: self.lmk, store: Some(self.store.clone()), config: OnceCell::new(), slots: OnceCell::new() }
    }
}

/// LMKs in their slots, opened when they are needed.
pub(crate) struct Lmks {
    asked: Option<u8>,
    /// `None` for the published test LMKs.
    store: Option<StoreArgs>,
    config: OnceCell<Config>,
    slots: OnceCell<Arc<LmkSlots>>,
}

impl Lmks {
    /// The published test LMKs, whatever the settings say.
    pub(crate) fn published() -> Self {
        Self { asked: None, store: None, config: OnceCell::new(), slots: OnceCell::new() }
    }

    /// The slot that was asked for.
    pub(crate) fn asked(&self) -> Option<u8> {
        self.asked
    }

    /// All slots.
    ///
    /// # Errors
    /// As [`load`] and [`StoreArgs::load`].
    pub(crate) fn slots(&self) -> anyhow::Result<&LmkSlots> {
        if let Some(slots) = self.slots.get() {
            return Ok(slots);
        }
        let slots = match &self.store {
            Some(_) => Arc::new(load(self.config()?)?),
            None => SecurityModule::with_test_lmks().lmks(),
        };
        Ok(self.slots.get_or_init(|| slots))
    }

    /// The security settings, as the server has them.
    ///
    /// # Errors
    /// As [`StoreArgs::load`].
    pub(crate) fn settings(&self) -> anyhow::Result<&Settings> {
        Ok(&self.config()?.settings)
    }

    fn config(&self) -> anyhow::Result<&Config> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let config = match &self.store {
            Some(store) => store.load(&[])?.config,
            None => Config::default(),
        };
        Ok(self.config.get_or_init(|| config))
    }

    /// Whether the HSM makes, takes and gives away keys of this length.
    ///
    /// # Errors
    /// Usage, for a single-length DES key if the settings disable them; as [`Lmks::settings`].
    pub(crate) fn check_length(&self, key: &ClearKey) -> anyhow::Result<()> {
        if key.algorithm() == Algorithm::Des && key.len() == 8 && !self.settings()?.single_des {
            let why = "single-length DES keys are disabled by the setting single_des (the HSM answers 17); --set single_des=true allows them";
            return Err(usage(why));
        }
        Ok(())
    }

    /// Whether the HSM puts a key under an LMK.
    ///
    /// # Errors
    /// Usage, if the LMK is too weak for it; as [`Lmks::lmk`].
    pub(crate) fn check_strength(&self, id: u8, key: &ClearKey) -> anyhow::Result<()> {
        let lmk = self.lmk(id)?;
        if lmk.may_protect(key, self.settings()?.strong_keys_under_weak_lmk) {
            return Ok(());
        }
        let why = match key.algorithm() {
            Algorithm::Aes => "a TDES key-block LMK protects no AES keys: --lmk names an AES key-block LMK, such as 01",
            _ => "an LMK of two-key pairs protects no triple-length keys while strong_keys_under_weak_lmk is off",
        };
        Err(usage(format!("LMK {id:02} is weaker than the key (the HSM answers 48): {why}")))
    }

    /// The LMK in a slot.
    ///
    /// # Errors
    /// Usage, if the slot is empty; as [`Lmks::slots`].
    pub(crate) fn lmk(&self, id: u8) -> anyhow::Result<&Lmk> {
        let lmk = self.slots()?.slots.get(&id).map(Arc::as_ref);
        let Some(lmk) = lmk else {
            return Err(usage(format!("no LMK is loaded in slot {id:02}; {}", self.in_use()?)));
        };
        Ok(lmk)
    }

    /// The LMKs that a key is looked for under: the one asked for, or all.
    ///
    /// # Errors
    /// As [`Lmks::lmk`].
    pub(crate) fn searched(&self) -> anyhow::Result<BTreeMap<u8, Arc<Lmk>>> {
        let mut slots = self.slots()?.slots.clone();
        if let Some(id) = self.asked {
            self.lmk(id)?;
            slots.retain(|slot, _| *slot == id);
        }
        Ok(slots)
    }

    /// The slot that is usual for keys of a kind: the one asked for, the default, or else the first of the kind.
    ///
    /// # Errors
    /// Usage, if there is none; as [`Lmks::slots`].
    pub(crate) fn of_kind(&self, scheme: LmkScheme) -> anyhow::Result<u8> {
        let slots = self.slots()?;
        let all = slots.slots.keys().copied();
        let found = self.asked.into_iter().chain([slots.default]).chain(all);
        let found = found.into_iter().find(|id| slots.slots.get(id).is_some_and(|lmk| lmk.scheme() == scheme));
        let Some(id) = found else {
            let kind = match scheme {
                LmkScheme::Variant => "variant",
                LmkScheme::KeyBlock => "key-block",
            };
            return Err(usage(format!("no {kind} LMK is loaded; {}", self.in_use()?)));
        };
        Ok(id)
    }

    /// The slot that a new key goes to: the one asked for, or one that suits its scheme, or for key block attributes a
    /// key-block LMK.
    ///
    /// # Errors
    /// As [`Lmks::of_kind`].
    pub(crate) fn destination(&self, scheme: Option<KeyScheme>, attributes: bool) -> anyhow::Result<u8> {
        match (self.asked, scheme) {
            (Some(id), _) => Ok(id),
            (None, Some(KeyScheme::S)) => self.of_kind(LmkScheme::KeyBlock),
            (None, Some(_)) => self.of_kind(LmkScheme::Variant),
            (None, None) if attributes => self.of_kind(LmkScheme::KeyBlock),
            (None, None) => Ok(self.slots()?.default),
        }
    }

    /// The slots in use, in words.
    fn in_use(&self) -> anyhow::Result<String> {
        let ids: Vec<String> = self.slots()?.slots.keys().map(|id| format!("{id:02}")).collect();
        Ok(match ids.split_last() {
            None => "there are none".to_owned(),
            Some((only, [])) => format!("there is {only}"),
            Some((last, rest)) => format!("there are {} and {last}", rest.join(", ")),
        })
    }
}
