//! What a reload reads besides plugins: the settings, from where the server had them, and the LMK store.

use super::{Args, printer};
use crate::lmks;
use hsm_core::config::{Config, Key};
use hsm_core::{LmkSlots, SecurityModule, lmk_store};
use hsm_server::{NewSettings, ReadSettings};
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

/// Sections whose settings can change while the server runs.
const LIVE: [&str; 4] = ["security", "commands", "lmk", "printing"];

/// Reads settings again for a server that was started with these.
/// `store` is what the file of the LMK store held before its LMKs were loaded: what comes after that is a change.
pub(super) fn settings(args: Args, started: Config, store: Option<Vec<u8>>, module: SecurityModule) -> ReadSettings {
    let ports = module.lmks().slots.keys().copied().collect();
    let running = Running { store, config: started, ports };
    let running = Arc::new(Mutex::new(running));
    Box::new(move || {
        let now = running.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let next = Next::read(&args, now, &module).map_err(|error| format!("{error:#}"))?;
        let (running, module) = (running.clone(), module.clone());
        let put_in_force: NewSettings = Box::new(move |reloaded| {
            (reloaded.changed, reloaded.restart) = (next.changed.clone(), next.restart.clone());
            *running.lock().unwrap_or_else(PoisonError::into_inner) = next.put_in_force(&module);
        });
        Ok(put_in_force)
    })
}

/// What the server works with, as far as settings say it.
#[derive(Clone)]
struct Running {
    config: Config,
    /// The LMK store as it was read, encrypted.
    store: Option<Vec<u8>>,
    /// The LMKs that have a port, if LMKs have ports.
    ports: Vec<u8>,
}

/// What a reload makes of it.
struct Next {
    running: Running,
    lmks: Option<LmkSlots>,
    reopen_printer: bool,
    changed: Vec<String>,
    restart: Vec<String>,
}

impl Next {
    fn read(args: &Args, mut now: Running, module: &SecurityModule) -> anyhow::Result<Self> {
        let new = args.settings()?.config;
        // What hsm ctl has set counts as a change: a reload puts back what the settings say.
        now.config.settings = (*module.settings()).clone();
        if let Some(path) = &new.lmk.lmk_store {
            // That it still is a store, and its owner's, even if it holds what it held.
            lmk_store::is_store(path)?;
        }
        let bytes = store(&new);
        let other_lmks = new.lmk != now.config.lmk || bytes != now.store;
        let lmks = if other_lmks { lmks::load_unattended(&new)? } else { None };
        // Nobody is asked for a passphrase while the server runs.
        let locked = other_lmks && lmks.is_none();

        // The profile gives security settings only their values.
        let is_live =
            |key: &&Key| key.name == "profile" || LIVE.contains(&key.section) && !(locked && key.section == "lmk");
        let (changed, restart): (Vec<&Key>, Vec<&Key>) = now.config.changes(&new).into_iter().partition(is_live);
        let names = |keys: Vec<&Key>| keys.iter().map(|key| key.name.to_owned()).collect::<Vec<_>>();
        let (mut changed, mut restart) = (names(changed), names(restart));
        if bytes != now.store {
            let list = if locked { &mut restart } else { &mut changed };
            if !list.iter().any(|name| name == "lmk_store") {
                list.push("lmk_store".to_owned());
            }
        }

        let loaded = lmks.as_ref().map_or_else(|| module.lmks().slots.clone(), |lmks| lmks.slots.clone());
        let without_port = now.config.network.lmk_ports && loaded.keys().any(|id| !now.ports.contains(id));
        if without_port && !restart.iter().any(|name| name == "lmk_ports") {
            restart.push("lmk_ports".to_owned());
        }

        let reopen_printer = new.printing != now.config.printing;
        now.config.profile = new.profile;
        now.config.settings = new.settings;
        now.config.printing = new.printing;
        if !locked {
            (now.config.lmk, now.store) = (new.lmk, bytes);
        }
        Ok(Self { running: now, lmks, reopen_printer, changed, restart })
    }

    fn put_in_force(self, module: &SecurityModule) -> Running {
        module.set_settings(self.running.config.settings.clone());
        if let Some(lmks) = self.lmks {
            let before = module.lmks();
            let others = lmks.slots.iter().filter(|(id, lmk)| before.slots.get(id) != Some(lmk));
            let others: Vec<u8> = others.map(|(id, _)| *id).collect();
            module.set_lmks(lmks);
            self.running.config.authorise_from_start(module, &others);
        }
        if self.reopen_printer {
            module.set_printer(printer(&self.running.config));
        }
        self.running
    }
}

/// What the file of the LMK store holds, encrypted.
pub(super) fn store(config: &Config) -> Option<Vec<u8>> {
    fs::read(config.lmk.lmk_store.as_ref()?).ok()
}
