//! One request's view of the module: selected LMK, keys and PINs behind handles, and what an operator may see of it.

mod asymmetric;
mod authorisation;
mod base;
mod card;
mod dukpt;
mod emv;
mod keys;
mod lmk_pins;
mod migration;
mod pin_choice;
mod pins;
mod print;
mod solicitation;
mod storage;
mod verify;

pub use base::{Explanation, TracedField, Transcript};

use crate::lmk::Lmk;
use crate::module::{ChangeEntry, ChangeRole, Randomness, SecurityModule, State};
use dukpt::DukptCache;
use hsm_pinblock::Pin;
use hsm_plugin_sdk::abi::{ErrorCode, KeyHandle, PinHandle};
use keys::{KeyCache, OpenKey};
use std::sync::Arc;

/// Handles per request: more than any command needs, so that a plugin cannot fill memory with keys.
const MAX_HANDLES: usize = 64;

/// One request on a security module: implements the [host operations](hsm_plugin_sdk::abi) that commands use.
///
/// A session is reused for many requests, one at a time. What it held is erased when a request ends.
pub struct Session {
    module: SecurityModule,
    generation: u64,
    state: State,
    random: Randomness,
    command: [u8; 2],
    lmk_id: u8,
    /// The LMK that the request began with, whatever `%nn` selects.
    home_lmk: u8,
    port_lmk: Option<u8>,
    keys: Vec<Arc<OpenKey>>,
    pins: Vec<Pin>,
    naturals: Vec<Arc<verify::NaturalPin>>,
    cache: KeyCache,
    dukpt: DukptCache,
    transcript: Transcript,
}

impl core::fmt::Debug for Session {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Session {{ LMK {:02}, {} keys, {} PINs }}", self.lmk_id, self.keys.len(), self.pins.len())
    }
}

impl Session {
    /// A session on a module, with its own random generator and key cache.
    #[must_use]
    pub fn new(module: SecurityModule) -> Self {
        let (generation, state, random) = (module.generation(), module.state(), module.random());
        let lmk_id = state.lmks.default;
        Self {
            module,
            generation,
            state,
            random,
            command: *b"??",
            lmk_id,
            home_lmk: lmk_id,
            port_lmk: None,
            keys: Vec::new(),
            pins: Vec::new(),
            naturals: Vec::new(),
            cache: KeyCache::default(),
            dukpt: DukptCache::default(),
            transcript: Transcript::default(),
        }
    }

    /// Begins a request of a command. `lmk` is the LMK that the port implies, if it does.
    pub fn begin(&mut self, command: [u8; 2], lmk: Option<u8>) {
        let generation = self.module.generation();
        if generation != self.generation {
            self.generation = generation;
            let state = self.module.state();
            // Whoever is authorised has no part in how a key is opened.
            if !Arc::ptr_eq(&state.lmks, &self.state.lmks) || !Arc::ptr_eq(&state.settings, &self.state.settings) {
                self.cache = KeyCache::default();
                self.dukpt = DukptCache::default();
            }
            self.state = state;
        }
        self.end();
        self.command = command;
        self.lmk_id = lmk.unwrap_or(self.state.lmks.default);
        self.home_lmk = self.lmk_id;
        self.port_lmk = lmk;
        self.transcript.clear();
    }

    /// Ends the request: all handles are void and what they stood for is erased.
    pub fn end(&mut self) {
        self.keys.clear();
        self.pins.clear();
        self.naturals.clear();
    }

    /// Whether the security settings allow a command.
    #[must_use]
    pub fn command_enabled(&self, command: [u8; 2]) -> bool {
        let settings = &self.state.settings;
        let fits = |pattern: &[u8; 2]| pattern.iter().zip(command).all(|(p, c)| *p == b'*' || *p == c);
        let is_ambiguous = settings.separate_002 && migration::AMBIGUOUS.contains(&command);
        !is_ambiguous && !settings.disabled_commands.iter().any(fits)
    }

    /// What the request's fields, refusal and second responses are.
    #[must_use]
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    fn lmk(&self) -> Result<&Arc<Lmk>, ErrorCode> {
        self.state.lmks.slots.get(&self.lmk_id).ok_or(ErrorCode::LMK_INVALID)
    }

    /// The LMK in key change storage.
    fn old_lmk(&mut self) -> Result<Arc<Lmk>, ErrorCode> {
        match self.state.lmks.change_storage.get(&self.lmk_id) {
            Some(ChangeEntry { lmk, role: ChangeRole::Old }) => Ok(lmk.clone()),
            _ => self.refuse(ErrorCode::KEY_CHANGE_STORAGE, "no old LMK is in key change storage"),
        }
    }

    fn key(&self, handle: KeyHandle) -> Result<&Arc<OpenKey>, ErrorCode> {
        // A handle that was never given out is the plugin's fault, not the client's.
        self.keys.get(handle.index() as usize).ok_or(ErrorCode::INTERNAL)
    }

    fn pin(&self, handle: PinHandle) -> Result<&Pin, ErrorCode> {
        self.pins.get(handle.index() as usize).ok_or(ErrorCode::INTERNAL)
    }

    fn hold_key(&mut self, key: Arc<OpenKey>) -> Result<KeyHandle, ErrorCode> {
        if self.keys.len() >= MAX_HANDLES {
            return Err(ErrorCode::INTERNAL);
        }
        self.keys.push(key);
        Ok(KeyHandle::from_index(self.keys.len() as u32 - 1))
    }

    fn hold_pin(&mut self, pin: Pin) -> Result<PinHandle, ErrorCode> {
        if self.pins.len() >= MAX_HANDLES {
            return Err(ErrorCode::INTERNAL);
        }
        self.pins.push(pin);
        Ok(PinHandle::from_index(self.pins.len() as u32 - 1))
    }

    /// Refuses with a code and says why to whoever looks at the transcript.
    fn refuse<T>(&mut self, code: ErrorCode, why: impl Into<String>) -> Result<T, ErrorCode> {
        self.transcript.explain(code, why.into());
        Err(code)
    }
}
