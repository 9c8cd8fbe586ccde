//! The LMK store: LMKs at rest, in one file encrypted under a passphrase or a key file.
//!
//! | Bytes | Contents |
//! |---|---|
//! | 8 | `HSM-LMK` and a line feed |
//! | 2 | format version, 1 |
//! | 1 | what the secret is: 0 passphrase, 1 key file |
//! | 1 | lanes of Argon2id |
//! | 4 | memory of Argon2id in KiB |
//! | 4 | passes of Argon2id |
//! | 16 | salt |
//! | 12 | nonce |
//! | 4 | length of the rest |
//! | n | the LMKs under AES-256-GCM, and its tag of 16 bytes; everything before is authenticated too |
//!
//! Numbers are big-endian. Salt and nonce are new with every write. A file that is anything else is refused and never replaced:
//! only what could be opened can be changed. Keys in memory are erased when they are dropped.

mod contents;
mod generate;
mod table;

pub use generate::{ComponentError, Components, LmkKind};
pub use table::{LmkRow, lmk_table, vt_table};

use crate::lmk::{Lmk, LmkScheme};
use crate::module::{ChangeEntry, ChangeRole, LmkInfo, LmkSlots, MAX_LMK_ID, system_random};
use crate::private_file::{self, FileError, WriteLock};
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use argon2::{Argon2, Params, Version};
use rand_core::Rng;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"HSM-LMK\n";
const VERSION: u16 = 1;
const HEADER: usize = 52;
const TAG: usize = 16;

/// Longest store: 20 slots with two variant LMKs each and comments take some 30 KiB.
const MAX_FILE: u64 = 64 * 1024;

/// Longest key file, and shortest.
const MAX_KEY_FILE: u64 = 64 * 1024;
const MIN_KEY_FILE: usize = 16;

/// Shortest passphrase of a new store, in characters.
const MIN_PASSPHRASE: usize = 8;

/// Longest comment in bytes.
pub const MAX_COMMENT: usize = 100;

/// What a store is encrypted under.
pub struct StoreSecret {
    bytes: Zeroizing<Vec<u8>>,
    is_key_file: bool,
}

impl core::fmt::Debug for StoreSecret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(if self.is_key_file { "StoreSecret { key file }" } else { "StoreSecret { passphrase }" })
    }
}

impl StoreSecret {
    /// A passphrase.
    #[must_use]
    pub fn passphrase(text: &str) -> Self {
        Self { bytes: Zeroizing::new(text.as_bytes().to_vec()), is_key_file: false }
    }

    /// The first line of a file as passphrase. Only the file's owner may have access to it.
    ///
    /// # Errors
    /// [`StoreError::File`], or [`StoreError::Secret`] if the line is empty or not UTF-8.
    pub fn passphrase_file(path: &Path) -> Result<Self, StoreError> {
        let bytes = private_file::read(path, MAX_KEY_FILE)?;
        let line = bytes.split(|c| *c == b'\n').next().unwrap_or_default();
        let line = core::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)).unwrap_or_default();
        if line.is_empty() {
            return Err(StoreError::Secret("the passphrase file does not begin with a line of text"));
        }
        Ok(Self::passphrase(line))
    }

    /// A key file: all its bytes, at least 16. Only its owner may have access to it.
    ///
    /// # Errors
    /// [`StoreError::File`], or [`StoreError::Secret`] for fewer bytes.
    pub fn key_file(path: &Path) -> Result<Self, StoreError> {
        let bytes = private_file::read(path, MAX_KEY_FILE)?;
        if bytes.len() < MIN_KEY_FILE {
            return Err(StoreError::Secret("a key file has at least 16 bytes"));
        }
        Ok(Self { bytes, is_key_file: true })
    }

    fn kind(&self) -> u8 {
        u8::from(self.is_key_file)
    }

    /// Whether a store may be encrypted under it from now on.
    fn check_new(&self) -> Result<(), StoreError> {
        let characters = || core::str::from_utf8(&self.bytes).map_or(0, |text| text.chars().count());
        if !self.is_key_file && characters() < MIN_PASSPHRASE {
            return Err(StoreError::Secret("a new passphrase has at least 8 characters"));
        }
        Ok(())
    }
}

/// How hard it is made to try secrets: the parameters of Argon2id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hardness {
    /// Memory in KiB, 8 times `lanes` to 1 GiB.
    pub memory_kib: u32,
    /// Passes over the memory, 1 to 64.
    pub passes: u32,
    /// Lanes, 1 to 16.
    pub lanes: u8,
}

impl Default for Hardness {
    /// The second recommendation of RFC 9106: 64 MiB, 3 passes, 4 lanes.
    fn default() -> Self {
        Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 }
    }
}

impl Hardness {
    fn is_sane(self) -> bool {
        (1..=16).contains(&self.lanes)
            && (8 * u32::from(self.lanes)..=1024 * 1024).contains(&self.memory_kib)
            && (1..=64).contains(&self.passes)
    }

    fn key(self, secret: &StoreSecret, salt: &[u8; 16]) -> Result<Zeroizing<[u8; 32]>, StoreError> {
        let unusable = |_| StoreError::Damaged("the key derivation parameters are unusable");
        let params = Params::new(self.memory_kib, self.passes, u32::from(self.lanes), Some(32)).map_err(unusable)?;
        let mut key = Zeroizing::new([0u8; 32]);
        Argon2::new(argon2::Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(&secret.bytes, salt, &mut *key)
            .map_err(unusable)?;
        Ok(key)
    }
}

/// Why a store cannot be opened, made or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file itself.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is a file already.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// The file is something else.
    #[error("{} is not an LMK store", .0.display())]
    Foreign(PathBuf),
    /// The store was written by a later version.
    #[error("the LMK store has format version {0}, this program knows version {VERSION}")]
    Version(u16),
    /// The store needs the other kind of secret.
    #[error("the LMK store is encrypted under a {0}")]
    SecretKind(&'static str),
    /// The secret is wrong, or the store was changed.
    #[error(
        "the LMK store does not open: the passphrase or key file is wrong, or the file was damaged or tampered with"
    )]
    Authentication,
    /// The store's header or contents are impossible.
    #[error("the LMK store is damaged: {0}")]
    Damaged(&'static str),
    /// Another program replaced the store since it was opened.
    #[error("the LMK store was replaced by another program meanwhile; nothing was written")]
    Replaced,
    /// A secret that cannot be used.
    #[error("{0}")]
    Secret(&'static str),
    /// A change that the device does not allow either.
    #[error("{0}")]
    Rule(String),
}

/// A slot's entry in key change storage.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredChange {
    /// Whether keys are translated from it, or to it.
    pub role: ChangeRole,
    /// The LMK.
    pub lmk: Arc<Lmk>,
    /// Its comment.
    pub comment: String,
}

/// An LMK in its slot.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredLmk {
    /// The LMK.
    pub lmk: Arc<Lmk>,
    /// Whether it is a live LMK, not a test LMK.
    pub live: bool,
    /// Free text without control characters, up to [`MAX_COMMENT`] bytes.
    pub comment: String,
    /// The slot's entry in key change storage.
    pub change: Option<StoredChange>,
}

/// What a store holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StoredLmks {
    slots: BTreeMap<u8, StoredLmk>,
    default: u8,
}

impl StoredLmks {
    /// The slots in use, by identifier.
    #[must_use]
    pub fn slots(&self) -> &BTreeMap<u8, StoredLmk> {
        &self.slots
    }

    /// Identifier of the default LMK.
    #[must_use]
    pub fn default_id(&self) -> u8 {
        self.default
    }

    /// Names the default LMK.
    ///
    /// # Errors
    /// [`StoreError::Rule`] for an empty slot.
    pub fn set_default(&mut self, id: u8) -> Result<(), StoreError> {
        self.slot(id)?;
        self.default = id;
        Ok(())
    }

    /// Loads an LMK into an empty slot. The first LMK becomes the default one.
    ///
    /// # Errors
    /// [`StoreError::Rule`]: the slot is in use or does not exist, a bad comment, a published test LMK that is to be live.
    pub fn load(&mut self, id: u8, lmk: Lmk, live: bool, comment: &str) -> Result<(), StoreError> {
        self.check_load(id, comment)?;
        check_status(&lmk, live)?;
        if self.slots.is_empty() {
            self.default = id;
        }
        let lmk = StoredLmk { lmk: Arc::new(lmk), live, comment: comment.to_owned(), change: None };
        self.slots.insert(id, lmk);
        Ok(())
    }

    /// Whether an LMK can be loaded into a slot, as far as that does not depend on the LMK.
    ///
    /// # Errors
    /// [`StoreError::Rule`]: the slot is in use or does not exist, or a bad comment.
    pub fn check_load(&self, id: u8, comment: &str) -> Result<(), StoreError> {
        if id > MAX_LMK_ID {
            return Err(StoreError::Rule(format!("LMK identifiers are 00 to {MAX_LMK_ID}, not {id:02}")));
        }
        if self.slots.contains_key(&id) {
            return Err(StoreError::Rule(format!("slot {id:02} is in use")));
        }
        check_comment(comment)
    }

    /// Replaces the LMK of a slot; the LMK it had goes to key change storage as the old one.
    ///
    /// # Errors
    /// [`StoreError::Rule`]: an empty slot, an occupied key change storage, the same LMK again, a variant LMK after a key-block
    /// LMK (host.md 7.4), a published test LMK where a live one was.
    pub fn change(&mut self, id: u8, lmk: Lmk, comment: &str) -> Result<(), StoreError> {
        self.check_change(id, &lmk, comment)?;
        let slot = self.slot(id)?;
        let old = core::mem::replace(&mut slot.lmk, Arc::new(lmk));
        let old_comment = core::mem::replace(&mut slot.comment, comment.to_owned());
        slot.change = Some(StoredChange { role: ChangeRole::Old, lmk: old, comment: old_comment });
        Ok(())
    }

    /// Puts a new LMK into key change storage, where it waits for [`activate`](Self::activate).
    ///
    /// # Errors
    /// As [`change`](Self::change).
    pub fn load_new(&mut self, id: u8, lmk: Lmk, comment: &str) -> Result<(), StoreError> {
        self.check_change(id, &lmk, comment)?;
        let entry = StoredChange { role: ChangeRole::New, lmk: Arc::new(lmk), comment: comment.to_owned() };
        self.slot(id)?.change = Some(entry);
        Ok(())
    }

    /// Exchanges the LMK of a slot and the new one that waits in key change storage.
    ///
    /// # Errors
    /// [`StoreError::Rule`] if none waits.
    pub fn activate(&mut self, id: u8) -> Result<(), StoreError> {
        let slot = self.slot(id)?;
        let Some(entry) = slot.change.as_mut().filter(|entry| entry.role == ChangeRole::New) else {
            return Err(StoreError::Rule(format!("no new LMK waits in key change storage for slot {id:02}")));
        };
        core::mem::swap(&mut slot.lmk, &mut entry.lmk);
        core::mem::swap(&mut slot.comment, &mut entry.comment);
        entry.role = ChangeRole::Old;
        Ok(())
    }

    /// Deletes a slot's entry in key change storage.
    ///
    /// # Errors
    /// [`StoreError::Rule`] if there is none.
    pub fn delete_change(&mut self, id: u8) -> Result<(), StoreError> {
        match self.slot(id)?.change.take() {
            Some(_) => Ok(()),
            None => Err(StoreError::Rule(format!("key change storage holds no LMK for slot {id:02}"))),
        }
    }

    /// Deletes an LMK and its entry in key change storage.
    ///
    /// # Errors
    /// [`StoreError::Rule`]: an empty slot, or the default LMK while there are others.
    pub fn delete(&mut self, id: u8) -> Result<(), StoreError> {
        self.slot(id)?;
        if self.default == id && self.slots.len() > 1 {
            return Err(StoreError::Rule(format!("LMK {id:02} is the default LMK: name another one first")));
        }
        self.slots.remove(&id);
        Ok(())
    }

    /// Whether any LMK is live.
    #[must_use]
    pub fn has_live(&self) -> bool {
        self.slots.values().any(|slot| slot.live)
    }

    /// Puts the LMKs into the slots of a module, over those that are there.
    pub fn load_into(&self, slots: &mut LmkSlots) {
        for (id, stored) in &self.slots {
            slots.slots.insert(*id, stored.lmk.clone());
            slots.info.insert(*id, LmkInfo { live: stored.live, comment: stored.comment.clone() });
            match &stored.change {
                Some(entry) => {
                    let entry = ChangeEntry { lmk: entry.lmk.clone(), role: entry.role };
                    slots.change_storage.insert(*id, entry)
                }
                None => slots.change_storage.remove(id),
            };
        }
        if !self.slots.is_empty() {
            slots.default = self.default;
        }
    }

    fn slot(&mut self, id: u8) -> Result<&mut StoredLmk, StoreError> {
        self.slots.get_mut(&id).ok_or_else(|| empty(id))
    }

    /// Whether the LMK of a slot can be replaced by one of a scheme, as far as that does not depend on the new LMK.
    ///
    /// # Errors
    /// [`StoreError::Rule`]: an empty slot, a bad comment, an occupied key change storage, a variant LMK after a key-block LMK.
    pub fn check_change_to(&self, id: u8, scheme: LmkScheme, comment: &str) -> Result<(), StoreError> {
        check_comment(comment)?;
        let slot = self.slots.get(&id).ok_or_else(|| empty(id))?;
        if slot.change.is_some() {
            return Err(StoreError::Rule(format!(
                "key change storage holds an LMK for slot {id:02}: `hsm lmk change {id:02} --erase` erases it"
            )));
        }
        if slot.lmk.scheme() == LmkScheme::KeyBlock && scheme == LmkScheme::Variant {
            return Err(StoreError::Rule("keys cannot go from a key-block LMK to a variant LMK".to_owned()));
        }
        Ok(())
    }

    fn check_change(&self, id: u8, lmk: &Lmk, comment: &str) -> Result<(), StoreError> {
        self.check_change_to(id, lmk.scheme(), comment)?;
        let slot = self.slots.get(&id).ok_or_else(|| empty(id))?;
        check_status(lmk, slot.live)?;
        if *slot.lmk == *lmk {
            return Err(StoreError::Rule(format!("slot {id:02} has this LMK already")));
        }
        Ok(())
    }
}

fn empty(id: u8) -> StoreError {
    StoreError::Rule(format!("no LMK is loaded in slot {id:02}"))
}

fn check_comment(comment: &str) -> Result<(), StoreError> {
    if comment.len() > MAX_COMMENT || comment.chars().any(char::is_control) {
        return Err(StoreError::Rule(format!("a comment has at most {MAX_COMMENT} bytes and no control characters")));
    }
    Ok(())
}

fn check_status(lmk: &Lmk, live: bool) -> Result<(), StoreError> {
    if live && lmk.is_published() {
        return Err(StoreError::Rule("a published test LMK cannot be live".to_owned()));
    }
    Ok(())
}

/// Whether a file begins as an LMK store does.
///
/// # Errors
/// [`StoreError::File`] if it cannot be read.
pub fn is_store(path: &Path) -> Result<bool, StoreError> {
    Ok(private_file::read(path, MAX_FILE)?.starts_with(MAGIC))
}

/// Whether a store is encrypted under a key file, for asking for the right secret.
///
/// # Errors
/// [`StoreError::File`], [`StoreError::Foreign`].
pub fn wants_key_file(path: &Path) -> Result<bool, StoreError> {
    match private_file::read(path, MAX_FILE)?.strip_prefix(MAGIC) {
        Some([_, _, kind, ..]) => Ok(*kind == 1),
        _ => Err(StoreError::Foreign(path.to_owned())),
    }
}

/// Reads a store.
///
/// # Errors
/// [`StoreError`]; the file is never changed.
pub fn read(path: &Path, secret: &StoreSecret) -> Result<StoredLmks, StoreError> {
    let bytes = private_file::read(path, MAX_FILE)?;
    decrypt(&bytes, path, secret).map(|(contents, _)| contents)
}

/// A store that is being changed. Nothing is written before [`save`](Self::save); no other writer gets in meanwhile.
#[derive(Debug)]
pub struct StoreWriter {
    lock: WriteLock,
    secret: StoreSecret,
    hardness: Hardness,
    /// Header of the file that was opened; `None` for a new store.
    header: Option<[u8; HEADER]>,
    /// The LMKs, to be changed.
    pub contents: StoredLmks,
}

impl StoreWriter {
    /// Begins a new store.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if there is a file, [`StoreError::Secret`] for a short passphrase, or [`StoreError::File`].
    pub fn create(path: &Path, secret: StoreSecret, hardness: Hardness) -> Result<Self, StoreError> {
        secret.check_new()?;
        if !hardness.is_sane() {
            return Err(StoreError::Secret("the key derivation parameters are out of range"));
        }
        let lock = WriteLock::take(path)?;
        if std::fs::symlink_metadata(lock.path()).is_ok() {
            return Err(StoreError::Exists(lock.path().to_owned()));
        }
        Ok(Self { lock, secret, hardness, header: None, contents: StoredLmks::default() })
    }

    /// Opens a store to change it.
    ///
    /// # Errors
    /// As [`read`], and [`FileError::Locked`] while another process changes it.
    pub fn open(path: &Path, secret: StoreSecret) -> Result<Self, StoreError> {
        let lock = WriteLock::take(path)?;
        let bytes = private_file::read(lock.path(), MAX_FILE)?;
        let (contents, hardness) = decrypt(&bytes, path, &secret)?;
        let header = bytes.first_chunk().copied();
        Ok(Self { lock, secret, hardness, header, contents })
    }

    /// Encrypts the store under another secret from the next [`save`](Self::save) on.
    ///
    /// # Errors
    /// [`StoreError::Secret`] for a short passphrase.
    pub fn set_secret(&mut self, secret: StoreSecret) -> Result<(), StoreError> {
        secret.check_new()?;
        self.secret = secret;
        Ok(())
    }

    /// Replaces the file as a whole. If it fails, or the process dies, the file is the old one or the new one.
    ///
    /// # Errors
    /// [`StoreError::File`], or [`StoreError::Replaced`] if the file is not the one that was opened.
    pub fn save(&mut self) -> Result<(), StoreError> {
        let current = match private_file::read(self.lock.path(), MAX_FILE) {
            Ok(bytes) => bytes.first_chunk().copied(),
            Err(FileError::NotFound(_)) => None,
            Err(error) => return Err(error.into()),
        };
        // The header's salt and nonce name this very version of the file.
        if current != self.header || (self.header.is_none() && self.lock.path().exists()) {
            return Err(StoreError::Replaced);
        }
        let bytes = encrypt(&self.contents, &self.secret, self.hardness)?;
        let header = bytes.first_chunk().copied();
        self.lock.replace(&bytes)?;
        self.header = header;
        Ok(())
    }
}

fn encrypt(contents: &StoredLmks, secret: &StoreSecret, hardness: Hardness) -> Result<Vec<u8>, StoreError> {
    let mut random = system_random();
    let (mut salt, mut nonce) = ([0u8; 16], [0u8; 12]);
    random.fill_bytes(&mut salt);
    random.fill_bytes(&mut nonce);
    let mut plain = contents::encode(contents);

    let mut file = Vec::with_capacity(HEADER + plain.len() + TAG);
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&VERSION.to_be_bytes());
    file.extend_from_slice(&[secret.kind(), hardness.lanes]);
    file.extend_from_slice(&hardness.memory_kib.to_be_bytes());
    file.extend_from_slice(&hardness.passes.to_be_bytes());
    file.extend_from_slice(&salt);
    file.extend_from_slice(&nonce);
    file.extend_from_slice(&((plain.len() + TAG) as u32).to_be_bytes());

    let key = hardness.key(secret, &salt)?;
    let cipher = Aes256Gcm::new(&(*key).into());
    let tag = cipher
        .encrypt_inout_detached(&Nonce::from(nonce), &file, plain.as_mut_slice().into())
        .map_err(|_| StoreError::Damaged("the contents are too long"))?;
    file.extend_from_slice(&plain);
    file.extend_from_slice(&tag);
    Ok(file)
}

fn decrypt(bytes: &[u8], path: &Path, secret: &StoreSecret) -> Result<(StoredLmks, Hardness), StoreError> {
    const SHORT: StoreError = StoreError::Damaged("the file is too short");
    if !bytes.starts_with(MAGIC) {
        return Err(StoreError::Foreign(path.to_owned()));
    }
    let (header, body) = bytes.split_first_chunk::<HEADER>().ok_or(SHORT)?;
    let mut rest = header.get(MAGIC.len()..).unwrap_or_default();
    let version = u16::from_be_bytes(take(&mut rest).ok_or(SHORT)?);
    if version != VERSION {
        return Err(StoreError::Version(version));
    }
    let [kind, lanes] = take(&mut rest).ok_or(SHORT)?;
    let memory_kib = u32::from_be_bytes(take(&mut rest).ok_or(SHORT)?);
    let passes = u32::from_be_bytes(take(&mut rest).ok_or(SHORT)?);
    let salt: [u8; 16] = take(&mut rest).ok_or(SHORT)?;
    let nonce: [u8; 12] = take(&mut rest).ok_or(SHORT)?;
    let len = u32::from_be_bytes(take(&mut rest).ok_or(SHORT)?);
    let hardness = Hardness { memory_kib, passes, lanes };
    if !hardness.is_sane() {
        return Err(StoreError::Damaged("the key derivation parameters are out of range"));
    }
    if len as usize != body.len() {
        return Err(StoreError::Damaged("the file has another length than it says"));
    }
    let Some((sealed, tag)) = body.split_last_chunk::<TAG>() else { return Err(SHORT) };
    match kind {
        0 | 1 if kind == secret.kind() => {}
        0 => return Err(StoreError::SecretKind("passphrase")),
        1 => return Err(StoreError::SecretKind("key file")),
        _ => return Err(StoreError::Damaged("the kind of its secret is unknown")),
    }
    let key = hardness.key(secret, &salt)?;
    let mut plain = Zeroizing::new(sealed.to_vec());
    Aes256Gcm::new(&(*key).into())
        .decrypt_inout_detached(&Nonce::from(nonce), header, plain.as_mut_slice().into(), &(*tag).into())
        .map_err(|_| StoreError::Authentication)?;
    let contents = contents::decode(&plain).ok_or(StoreError::Damaged("its contents make no sense"))?;
    Ok((contents, hardness))
}

/// The first `N` bytes of what is left.
fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*taken)
}

#[cfg(test)]
mod tests;
