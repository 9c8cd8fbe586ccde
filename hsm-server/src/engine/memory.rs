//! A guest's memory as slices, and its pristine image.
#![allow(unsafe_code, reason = "one memcpy instead of a byte-wise copy; see the SAFETY comments")]

use std::ops::Range;
use wasmer::{AsStoreRef, Memory, MemoryView};

/// Runs `f` on the whole memory of a guest that is not running.
pub(super) fn with<T>(memory: &Memory, store: &impl AsStoreRef, f: impl FnOnce(&mut [u8]) -> T) -> T {
    let view: MemoryView<'_> = memory.view(store);
    // SAFETY: the memory is not shared (the feature is off), has no other view alive, and `f` can neither run the guest nor grow
    // the memory, because it holds no store.
    f(unsafe { view.data_unchecked_mut() })
}

/// The range of `len` bytes at `ptr`, if it lies within a memory of `size` bytes.
pub(super) fn range(ptr: u32, len: u32, size: usize) -> Option<Range<usize>> {
    let start = usize::try_from(ptr).ok()?;
    let end = start.checked_add(usize::try_from(len).ok()?)?;
    (end <= size).then_some(start..end)
}

/// The memory of a guest as its initialisation left it.
pub(super) struct Image {
    size: usize,
    /// The part that is not zero, and where it starts.
    start: usize,
    bytes: Vec<u8>,
}

impl Image {
    /// Takes the image of `memory`.
    pub(super) fn take(memory: &[u8]) -> Self {
        let start = memory.iter().position(|b| *b != 0).unwrap_or(memory.len());
        let end = memory.iter().rposition(|b| *b != 0).map_or(start, |last| last + 1);
        Self { size: memory.len(), start, bytes: memory.get(start..end).unwrap_or_default().to_vec() }
    }

    /// Puts `memory` back to the image. `false` if it has another size, which WASM cannot undo.
    pub(super) fn restore(&self, memory: &mut [u8]) -> bool {
        if memory.len() != self.size {
            return false;
        }
        let (before, rest) = memory.split_at_mut(self.start);
        let (image, after) = rest.split_at_mut(self.bytes.len());
        before.fill(0);
        image.copy_from_slice(&self.bytes);
        after.fill(0);
        true
    }
}
