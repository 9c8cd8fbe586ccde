//! Keeping LMKs out of swap, as far as the system allows it.

use crate::lmk::{Lmk, LmkPair};
use crate::module::LmkSlots;

/// Locks the pages that LMKs are on into memory. Best effort: a process may lock only so much, and keys that are derived from an
/// LMK or unwrapped with it are not locked, only erased after use.
pub(crate) fn lock(lmks: &LmkSlots) {
    let all = lmks.slots.values().chain(lmks.change_storage.values().map(|entry| &entry.lmk));
    if !all.fold(true, |all, lmk| lock_one(lmk) && all) {
        log::debug!("the system does not let LMKs be locked into memory: they may be swapped out");
    }
}

fn lock_one(lmk: &Lmk) -> bool {
    let pairs = LmkPair::all().filter_map(|pair| lmk.pair(pair));
    pairs.chain(lmk.key_block_key()).fold(true, |all, key| match region::lock(key.bytes().as_ptr(), key.len()) {
        Ok(guard) => {
            // Never unlocked: the page may hold other keys, and the system does not count locks. It is a few pages.
            core::mem::forget(guard);
            all
        }
        Err(_) => false,
    })
}
