//! The LMKs that commands work with: those of the store that flags, environment or settings file name, else the test LMKs.

use crate::cmd::config::SettingsFrom;
use crate::cmd::lmk::for_store;
use crate::exit::usage;
use hsm_core::config::Config;
use hsm_core::lmk::Lmk;
use hsm_core::{LmkSlots, SecurityModule};
use std::cell::OnceCell;
use std::path::PathBuf;
use std::sync::Arc;

/// Where LMKs come from.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "LMKs")]
pub(crate) struct LmkArgs {
    /// File of the LMK store [default: lmk_store of the settings; without one there are the published test LMKs]
    #[arg(long, global = true, value_name = "FILE")]
    store: Option<PathBuf>,

    /// File whose first line is the passphrase of the store
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "key_file")]
    passphrase_file: Option<PathBuf>,

    /// Key file of the store
    #[arg(long, global = true, value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// Settings file [default: $HSM_CONFIG, else hsm.toml if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl LmkArgs {
    /// The settings with these flags over them.
    ///
    /// # Errors
    /// Usage, with everything that is wrong with the settings.
    pub(crate) fn config(&self) -> anyhow::Result<Config> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let flags = [
            ("lmk_store", path(&self.store)),
            ("lmk_passphrase_file", path(&self.passphrase_file)),
            ("lmk_key_file", path(&self.key_file)),
        ];
        Ok(SettingsFrom::of_file(self.config.clone()).load(&flags)?.config)
    }
}

/// LMKs that are loaded when a command first needs one, so that nobody is asked for a passphrase in vain.
pub(crate) struct Lmks {
    from: LmkArgs,
    loaded: OnceCell<Arc<LmkSlots>>,
}

impl Lmks {
    /// Those that arguments name.
    pub(crate) fn new(from: &LmkArgs) -> Self {
        Self { from: from.clone(), loaded: OnceCell::new() }
    }

    /// The published test LMKs, whatever the settings say.
    pub(crate) fn test() -> Self {
        Self { from: LmkArgs::default(), loaded: OnceCell::from(SecurityModule::with_test_lmks().lmks()) }
    }

    /// All LMKs.
    ///
    /// # Errors
    /// Usage for settings that are wrong; failure for a store that cannot be used.
    pub(crate) fn slots(&self) -> anyhow::Result<&LmkSlots> {
        if let Some(slots) = self.loaded.get() {
            return Ok(slots);
        }
        let slots = Arc::new(self.from.config()?.load_lmks(for_store)?);
        Ok(self.loaded.get_or_init(|| slots))
    }

    /// The LMK in a slot.
    ///
    /// # Errors
    /// As [`Lmks::slots`]; usage, if the slot is empty.
    pub(crate) fn get(&self, id: u8) -> anyhow::Result<&Lmk> {
        let slots = &self.slots()?.slots;
        slots.get(&id).map(Arc::as_ref).ok_or_else(|| {
            let there: Vec<_> = slots.keys().map(|id| format!("{id:02}")).collect();
            usage(format!("no LMK is loaded in slot {id:02}; there are {}", there.join(", ")))
        })
    }
}
