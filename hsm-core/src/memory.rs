//! Keeping LMKs out of swap, as far as the system allows it.

use crate::lmk::LmkPair;
use crate::module::LmkSlots;

/// Locks the pages that LMKs are on into memory. Best effort: a process may lock only so much, and keys that are derived from an
/// LMK or unwrapped with it are not locked, only erased after use.
pub(crate) fn lock(lmks: &LmkSlots) {
    let mut refused = 0;
    for lmk in lmks.slots.values().chain(lmks.change_storage.values().map(|entry| &entry.lmk)) {
        for key in LmkPair::all().filter_map(|pair| lmk.pair(pair)).chain(lmk.key_block_key()) {
            match region::lock(key.bytes().as_ptr(), key.len()) {
                // Never unlocked: the page may hold other keys, and the system does not count locks. It is a few pages.
                Ok(guard) => core::mem::forget(guard),
                Err(_) => refused += 1,
            }
        }
    }
    if refused > 0 {
        log::debug!("the system does not let all LMKs be locked into memory: {refused} keys may be swapped out");
    }
}
