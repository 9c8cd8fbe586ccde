//! The security module: what all requests share.

use crate::authorisation::{
    self, Activity, ActivityError, AuditEvent, AuditHook, Authorisation, PersistenceError, PersistentActivity,
};
use crate::file_saver::FileSaver;
use crate::pin_guard::PinGuard;
use crate::printer::{PrintFormat, PrintSink};
use crate::solicitation::{Batch, SolicitationError};
use crate::user_storage::{self, UserStorage};
use crate::{lmk::Lmk, memory, settings::Settings};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::SystemTime;
use zeroize::Zeroizing;

/// Where a module's time comes from. The system's clock, unless something else is injected.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> SystemTime;
}

/// The system's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// Randomness as a module hands it to its sessions.
pub(crate) type Randomness = Box<dyn Rng + Send>;

/// Makes the random generator of each session.
pub(crate) type RandomSource = Arc<dyn Fn() -> Randomness + Send + Sync>;

/// Target of audit events in the log, so that they can be shown where other messages are not.
pub const AUDIT_TARGET: &str = "hsm::audit";

/// Highest LMK identifier (host.md 7.1).
pub const MAX_LMK_ID: u8 = 19;

/// The LMKs in their slots, and the identifier of the default one.
#[derive(Debug, Clone, Default)]
pub struct LmkSlots {
    /// LMKs by identifier.
    pub slots: BTreeMap<u8, Arc<Lmk>>,
    /// The LMK of requests that name none.
    pub default: u8,
    /// Key change storage: what BW and its like translate from or to, by the identifier of the slot (host.md 7.4).
    pub change_storage: BTreeMap<u8, ChangeEntry>,
    /// What else the LMK table says of an LMK, by identifier. An LMK without an entry is a test LMK.
    pub info: BTreeMap<u8, LmkInfo>,
}

/// An LMK in key change storage.
#[derive(Debug, Clone)]
pub struct ChangeEntry {
    /// The LMK.
    pub lmk: Arc<Lmk>,
    /// Which of the two it is.
    pub role: ChangeRole,
}

/// What an LMK in key change storage is to the one in its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeRole {
    /// The LMK before: keys are translated from it to the one in the slot (console command LO).
    Old,
    /// The LMK to come: keys are translated to it from the one in the slot (console command LN).
    New,
}

/// What the LMK table says of an LMK besides the LMK itself (host.md 7.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LmkInfo {
    /// Whether it is a live LMK, not a test LMK.
    pub live: bool,
    /// Free text.
    pub comment: String,
}

/// A payment HSM without its host interface: LMKs, settings, and what outlives a request.
///
/// Cloning is cheap and gives another handle to the same module, for another thread. Requests are served by a
/// [`Session`](crate::Session).
#[derive(Clone)]
pub struct SecurityModule {
    shared: Arc<Shared>,
}

struct Shared {
    /// Counts changes of LMKs and settings, so that sessions notice them without taking a lock.
    generation: AtomicU64,
    state: RwLock<State>,
    random: RandomSource,
    clock: Arc<dyn Clock>,
    /// Shared with the thread that saves it.
    storage: Arc<Mutex<Storage>>,
    storage_file: Mutex<Option<FileSaver>>,
    printer: Mutex<Printer>,
    pins: PinGuard,
    /// What EK stored, by index: private keys as the LMK protects them.
    private_keys: Mutex<BTreeMap<u8, Arc<[u8]>>>,
    audit: RwLock<Option<Arc<dyn AuditHook>>>,
    /// Where activities that outlive a restart are kept. Held while activities change.
    persistence: Mutex<Option<PersistentActivities>>,
}

/// The file of activities that outlive a restart.
struct PersistentActivities {
    /// What it is to hold.
    text: Arc<Mutex<String>>,
    file: FileSaver,
}

impl PersistentActivities {
    fn set(&self, text: String) {
        let mut newest = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        if *newest != text {
            *newest = text;
            self.file.changes().tell();
        }
    }
}

/// Called with the whole of user storage after each change.
pub type StorageHook = Box<dyn Fn(&UserStorage) + Send>;

/// User storage and who saves it, or the solicitation data that takes its memory.
#[derive(Default)]
pub(crate) struct Storage {
    pub(crate) slots: UserStorage,
    pub(crate) hook: Option<StorageHook>,
    pub(crate) batch: Batch,
}

impl Storage {
    /// Changes the batch of solicitation data. If that succeeds, user storage is erased: a device has one memory for both.
    pub(crate) fn solicit<T>(
        &mut self,
        change: impl FnOnce(&mut Batch) -> Result<T, SolicitationError>,
    ) -> Result<T, SolicitationError> {
        let result = change(&mut self.batch)?;
        if self.slots.items().next().is_some() {
            self.slots.erase();
            self.save();
        }
        Ok(result)
    }

    /// Has user storage saved after a change.
    pub(crate) fn save(&self) {
        if let Some(hook) = &self.hook {
            hook(&self.slots);
        }
    }
}

/// The virtual printer: what has been loaded into it, and where documents go.
#[derive(Default)]
pub(crate) struct Printer {
    pub(crate) sink: Option<Box<dyn PrintSink>>,
    pub(crate) format: Option<PrintFormat>,
    /// The digits in words, if LI has loaded them.
    pub(crate) words: Option<[Vec<u8>; 10]>,
    /// The first mailer of a two-up form, which waits for the second.
    pub(crate) first: Option<FirstMailer>,
    /// Documents printed.
    pub(crate) count: u64,
}

/// What goes on the first half of a two-up form.
pub(crate) struct FirstMailer {
    pub(crate) mailer: Mailer,
    /// PIN or reference number.
    pub(crate) secret: Zeroizing<Vec<u8>>,
    /// Print fields.
    pub(crate) fields: Vec<u8>,
}

/// What is on a mailer besides its print fields.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mailer {
    /// A PIN: `^P`, `^Q`, in words `^V`, `^W`.
    Pin,
    /// A reference number: `^P`, `^Q` as a PIN, that of the last mailer `^R`.
    Solicitation,
}

#[derive(Clone)]
pub(crate) struct State {
    pub(crate) lmks: Arc<LmkSlots>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) authorisation: Arc<Authorisation>,
}

impl State {
    /// That an activity was cancelled, in the words of the model.
    fn cancelled(&self, lmk: u8, activity: &Activity) -> AuditEvent {
        event(if self.settings.multiple_activities { *b"AC" } else { *b"A0" }, lmk, activity)
    }
}

impl core::fmt::Debug for SecurityModule {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let lmks = self.state().lmks;
        write!(f, "SecurityModule {{ LMKs: {:?}, default: {} }}", lmks.slots.keys(), lmks.default)
    }
}

impl SecurityModule {
    /// A module with these LMKs and settings, the system's randomness and clock.
    #[must_use]
    pub fn new(lmks: LmkSlots, settings: Settings) -> Self {
        Self::with_sources(lmks, settings, Arc::new(system_random), Arc::new(SystemClock))
    }

    /// A module with the published test LMKs: slot 00 the variant set, 01 the AES key block LMK, 02 the TDES key block LMK.
    #[must_use]
    pub fn with_test_lmks() -> Self {
        let slots = [(0, Lmk::test_variant()), (1, Lmk::test_keyblock_aes()), (2, Lmk::test_keyblock_tdes())];
        let slots = slots.into_iter().map(|(id, lmk)| (id, Arc::new(lmk))).collect();
        Self::new(LmkSlots { slots, ..LmkSlots::default() }, Settings::default())
    }

    /// A module whose random numbers follow from a seed: the same requests on one session give the same responses.
    ///
    /// For tests and demonstrations only: its keys can be guessed.
    #[must_use]
    pub fn with_seed(lmks: LmkSlots, settings: Settings, seed: [u8; 32], clock: Arc<dyn Clock>) -> Self {
        Self::with_sources(lmks, settings, Arc::new(move || Box::new(ChaCha20Rng::from_seed(seed))), clock)
    }

    fn with_sources(lmks: LmkSlots, settings: Settings, random: RandomSource, clock: Arc<dyn Clock>) -> Self {
        memory::lock(&lmks);
        let state = State { lmks: Arc::new(lmks), settings: Arc::new(settings), authorisation: Arc::default() };
        Self {
            shared: Arc::new(Shared {
                generation: AtomicU64::new(1),
                state: RwLock::new(state),
                random,
                clock,
                storage: Arc::default(),
                storage_file: Mutex::default(),
                printer: Mutex::default(),
                pins: PinGuard::default(),
                private_keys: Mutex::default(),
                audit: RwLock::new(None),
                persistence: Mutex::new(None),
            }),
        }
    }

    /// The LMKs as they are now.
    #[must_use]
    pub fn lmks(&self) -> Arc<LmkSlots> {
        self.state().lmks
    }

    /// The settings as they are now.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        self.state().settings
    }

    /// Replaces the LMKs. Requests that run keep the old ones; cached keys are dropped. What was authorised for an LMK that goes, or that another
    /// one replaces in its slot, ends.
    pub fn set_lmks(&self, lmks: LmkSlots) {
        memory::lock(&lmks);
        self.change_state(Some(Arc::new(lmks)), |authorisation, new, old, now| {
            let stays = |id: &u8| old.lmks.slots.get(id).is_some_and(|lmk| new.slots.get(id) == Some(lmk));
            // What fraud detection has counted goes with the LMK that the PINs are under.
            if !old.lmks.slots.keys().all(stays) {
                self.shared.pins.forget();
            }
            let ended = authorisation.end_others(stays, now);
            ((), ended.iter().map(|(lmk, activity)| old.cancelled(*lmk, activity)).collect())
        });
    }

    /// Replaces the settings. Requests that run keep the old ones. Slots of another size erase user storage.
    pub fn set_settings(&self, settings: Settings) {
        let mut storage = self.storage();
        if storage.slots.set_size(settings.user_storage) {
            log::warn!("user storage is erased: its slots have another size now");
            storage.save();
        }
        drop(storage);
        self.change(|state| state.settings = Arc::new(settings));
    }

    /// Erases the key change storage of a slot (BS).
    pub(crate) fn erase_change_storage(&self, id: u8) {
        // Nothing to erase is nothing to change: sessions keep their caches.
        if self.lmks().change_storage.contains_key(&id) {
            self.change(|state| drop(Arc::make_mut(&mut state.lmks).change_storage.remove(&id)));
        }
    }

    /// The authorised state as it is now.
    #[must_use]
    pub fn authorisation(&self) -> Arc<Authorisation> {
        self.state().authorisation
    }

    /// Whether an activity, in full and in lower case, is authorised for an LMK now.
    #[must_use]
    pub fn is_authorised(&self, lmk: u8, activity: &str) -> bool {
        let state = self.state();
        state.authorisation.check(lmk, activity, &state.settings, self.now())
    }

    /// Authorises an activity for an LMK.
    ///
    /// # Errors
    /// [`ActivityError::SingleModel`] where there is only one authorised state, [`ActivityError::TooMany`].
    pub fn authorise(&self, lmk: u8, activity: &Activity) -> Result<(), ActivityError> {
        self.authorise_all(lmk, core::slice::from_ref(activity)).map_err(|(_, error)| error)
    }

    /// Authorises activities for an LMK: all of them, or none.
    ///
    /// # Errors
    /// The first that is refused, by its place, and why: as [`authorise`](Self::authorise).
    pub fn authorise_all(&self, lmk: u8, activities: &[Activity]) -> Result<(), (usize, ActivityError)> {
        self.change_authorisation(|authorisation, State { settings, .. }, now| {
            let mut changed = authorisation.clone();
            for (n, activity) in activities.iter().enumerate() {
                if let Err(error) = changed.authorise(lmk, activity, settings, now) {
                    return (Err((n, error)), Vec::new());
                }
            }
            *authorisation = changed;
            let action = if settings.multiple_activities { *b"AA" } else { *b"A1" };
            (Ok(()), activities.iter().map(|activity| event(action, lmk, activity)).collect())
        })
    }

    /// Cancels all activities of an LMK, or these, and returns how many were in force.
    ///
    /// An activity is cancelled by the term it was authorised with. What the settings authorise from the start is cancelled by
    /// its category alone, or with all.
    pub fn cancel_authorisation(&self, lmk: u8, which: Option<&[Activity]>) -> usize {
        self.change_authorisation(|authorisation, state, now| {
            let cancelled = authorisation.cancel(lmk, which, &state.settings, now);
            (cancelled.len(), cancelled.iter().map(|activity| state.cancelled(lmk, activity)).collect())
        })
    }

    /// Removes activities whose time is over, for the audit log; a check never finds them in force anyway.
    pub fn expire_authorisation(&self) {
        if self.state().authorisation.has_expired(self.now()) {
            self.change_authorisation(|authorisation, _, now| {
                let over = authorisation.expire(now);
                ((), over.iter().map(|(lmk, activity)| event(*b"AT", *lmk, activity)).collect())
            });
        }
    }

    /// Keeps activities that outlive a restart in a file, and authorises those that are in it for the very LMK that they were
    /// authorised for. The others are logged, and leave the file with its next change.
    ///
    /// The file is written by a thread, soon after a change, and replaced as a whole; [`flush`](Self::flush) waits for it.
    ///
    /// # Errors
    /// [`PersistenceError`]: the file is open to others, or a line of it is no persistent activity; nothing is authorised then.
    pub fn persist_authorisation(&self, file: PathBuf) -> Result<(), PersistenceError> {
        for PersistentActivity { lmk, check_value, activity } in authorisation::read_persistent(&file)? {
            let now = self.lmks().slots.get(&lmk).map(|lmk| lmk.check_value());
            let problem = match (now, check_value) {
                (None, _) => "no LMK is loaded there".to_owned(),
                (Some(_), None) => "the file does not say by its check value for which LMK".to_owned(),
                (Some(now), Some(then)) if now != then => "there is another LMK now".to_owned(),
                _ => match self.authorise(lmk, &activity) {
                    Ok(()) => continue,
                    Err(error) => error.to_string(),
                },
            };
            log::warn!("LMK {lmk:02}: {activity} is not authorised again: {problem}");
        }
        let mut persistence = self.shared.persistence.lock().unwrap_or_else(PoisonError::into_inner);
        let State { authorisation, lmks, .. } = self.state();
        let text = Arc::new(Mutex::new(authorisation.persistent(&lmks)));
        let newest = text.clone();
        let contents = move || newest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let file = FileSaver::start(file, "persistent activities", contents)?;
        *persistence = Some(PersistentActivities { text, file });
        Ok(())
    }

    /// Waits until the files of persistent activities and user storage hold what there is now, or the log says why not.
    pub fn flush(&self) {
        if let Some(activities) = &*self.shared.persistence.lock().unwrap_or_else(PoisonError::into_inner) {
            activities.file.flush();
        }
        if let Some(file) = &*self.shared.storage_file.lock().unwrap_or_else(PoisonError::into_inner) {
            file.flush();
        }
    }

    /// Has audit events sent somewhere.
    pub fn set_audit_hook(&self, hook: Arc<dyn AuditHook>) {
        *self.shared.audit.write().unwrap_or_else(PoisonError::into_inner) = Some(hook);
    }

    fn change_authorisation<T>(
        &self,
        change: impl FnOnce(&mut Authorisation, &State, SystemTime) -> (T, Vec<AuditEvent>),
    ) -> T {
        self.change_state(None, |authorisation, _, state, now| change(authorisation, state, now))
    }

    /// Changes the authorised state, and the LMKs with it. `change` sees the LMKs as they will be, and the state as it was.
    fn change_state<T>(
        &self,
        lmks: Option<Arc<LmkSlots>>,
        change: impl FnOnce(&mut Authorisation, &LmkSlots, &State, SystemTime) -> (T, Vec<AuditEvent>),
    ) -> T {
        let persistence = self.shared.persistence.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody else changes the authorised state while the lock above is held.
        let old = self.state();
        let mut new = Authorisation::clone(&old.authorisation);
        let lmks_then = lmks.as_deref().unwrap_or(&old.lmks);
        let (result, events) = change(&mut new, lmks_then, &old, self.now());
        if let Some(file) = &*persistence {
            file.set(new.persistent(lmks_then));
        }
        if lmks.is_some() || new != *old.authorisation {
            self.change(|state| {
                state.authorisation = Arc::new(new);
                if let Some(lmks) = lmks {
                    state.lmks = lmks;
                }
            });
        }
        let hook = self.shared.audit.read().unwrap_or_else(PoisonError::into_inner).clone();
        for event in events {
            log::info!(target: AUDIT_TARGET, "{event}");
            if let Some(hook) = &hook {
                hook.record(&event);
            }
        }
        result
    }

    /// The module's clock.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.shared.clock.now()
    }

    /// Connects a printer, or disconnects it: without one, printing commands answer 16.
    pub fn set_printer(&self, sink: Option<Box<dyn PrintSink>>) {
        self.printer().sink = sink;
    }

    /// Sets what is called after each change of user storage, to save it. There is none at first: user storage is lost with
    /// the module, as a device loses it with its power.
    pub fn set_storage_hook(&self, hook: Option<StorageHook>) {
        self.storage().hook = hook;
    }

    /// Replaces user storage, by what a hook has saved. Slots of another size than the setting are erased at the next use, and the hook is called.
    pub fn set_user_storage(&self, slots: UserStorage) {
        self.storage().slots = slots;
    }

    /// Keeps user storage in a file, and loads what is in it.
    ///
    /// The file is written by a thread, soon after a change, and replaced as a whole; [`flush`](Self::flush) waits for it.
    ///
    /// # Errors
    /// [`PersistenceError`]: the file is open to others, or a line of it is no slot; user storage is as it was then.
    pub fn persist_user_storage(&self, file: PathBuf) -> Result<(), PersistenceError> {
        if let Some(slots) = user_storage::read_file(&file)? {
            if slots.size() != self.settings().user_storage {
                log::warn!("{}: the slots have another size than user_storage says and are erased", file.display());
            }
            self.set_user_storage(slots);
        }
        let storage = self.shared.storage.clone();
        let contents = move || {
            // Requests wait for the copy, not for the text.
            let slots = storage.lock().unwrap_or_else(PoisonError::into_inner).slots.clone();
            user_storage::file_text(&slots)
        };
        let saver = FileSaver::start(file, "user storage", contents)?;
        let changes = saver.changes().clone();
        *self.shared.storage_file.lock().unwrap_or_else(PoisonError::into_inner) = Some(saver);
        self.set_storage_hook(Some(Box::new(move |_| changes.tell())));
        Ok(())
    }

    pub(crate) fn storage(&self) -> MutexGuard<'_, Storage> {
        // A change of a slot is one insertion, so a poisoned lock still holds whole slots.
        self.shared.storage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn printer(&self) -> MutexGuard<'_, Printer> {
        self.shared.printer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether fraud detection has stopped PIN verification (39).
    #[must_use]
    pub fn pin_verification_locked(&self) -> bool {
        self.shared.pins.is_locked()
    }

    /// Allows PIN verification again after fraud detection stopped it (console command A7). Returns whether it is allowed now: it is not once the
    /// number of attacks has reached its limit.
    pub fn unlock_pin_verification(&self) -> bool {
        self.shared.pins.unlock(self.settings().fraud_limits)
    }

    pub(crate) fn pins(&self) -> &PinGuard {
        &self.shared.pins
    }

    /// Stores a private key, as the LMK protects it, at an index (EK). It is kept in memory only.
    pub(crate) fn store_private_key(&self, index: u8, field: &[u8]) {
        self.shared.private_keys.lock().unwrap_or_else(PoisonError::into_inner).insert(index, field.into());
    }

    /// The private key that was stored at an index.
    pub(crate) fn private_key(&self, index: u8) -> Option<Arc<[u8]>> {
        self.shared.private_keys.lock().unwrap_or_else(PoisonError::into_inner).get(&index).cloned()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    pub(crate) fn state(&self) -> State {
        // A change is one assignment, so a poisoned lock still holds a whole state.
        self.shared.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn random(&self) -> Randomness {
        (self.shared.random)()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.state.write().unwrap_or_else(PoisonError::into_inner));
        self.shared.generation.fetch_add(1, Ordering::AcqRel);
    }
}

fn event(action: [u8; 2], lmk: u8, activity: &Activity) -> AuditEvent {
    AuditEvent { action, lmk, activity: activity.to_string() }
}

/// ChaCha20 seeded by the operating system. Without the system's randomness there is no safe way on, so a module that cannot
/// seed itself stops the process.
#[allow(clippy::expect_used, reason = "no key may ever be made from guessable randomness")]
pub(crate) fn system_random() -> Randomness {
    let mut seed = zeroize::Zeroizing::new([0u8; 32]);
    getrandom::fill(&mut *seed).expect("the operating system's random numbers are unavailable");
    Box::new(ChaCha20Rng::from_seed(*seed))
}
