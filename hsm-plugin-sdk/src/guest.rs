//! The guest's side of the ABI: exports, imports and the allocator. The only module with unsafe code.
#![allow(unsafe_code, reason = "WASM imports, raw request memory and the global allocator")]

use crate::abi::{ErrorCode, FLAG_TRACE, REQUEST_BUFFER, wire::Reader, wire::Wire};
use crate::{Hsm, Request, Response, Result};
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;

/// The type of every operation's import.
type Import = unsafe extern "C" fn(*const u8, usize, *mut u8, usize) -> i32;

#[link(wasm_import_module = "hsm")]
unsafe extern "C" {
    fn take_result(result: *mut u8);
}

/// A place for the arguments of one operation.
#[must_use]
pub fn arguments() -> Vec<u8> {
    Vec::with_capacity(192)
}

/// Calls an operation and decodes its result.
///
/// # Errors
/// The operation's own code, or 41 if its result does not decode.
pub fn call<T: for<'a> Wire<'a>>(import: Import, args: &[u8]) -> Result<T, ErrorCode> {
    let mut short = [0u8; 160];
    // SAFETY: both buffers are live and of the stated lengths; the host checks them against the guest's memory.
    let len = unsafe { import(args.as_ptr(), args.len(), short.as_mut_ptr(), short.len()) };
    let Ok(len) = usize::try_from(len) else { return Err(ErrorCode::from_abi(len)) };
    let decode = |bytes: &[u8]| T::get(&mut Reader::new(bytes)).ok_or(ErrorCode::INTERNAL);
    match short.get(..len) {
        Some(result) => decode(result),
        None => {
            let mut long = vec![0u8; len];
            // SAFETY: the host writes exactly the `len` bytes it announced.
            unsafe { take_result(long.as_mut_ptr()) };
            decode(&long)
        }
    }
}

struct RequestBuffer(UnsafeCell<[u8; REQUEST_BUFFER as usize]>);

// SAFETY: a guest has one thread.
unsafe impl Sync for RequestBuffer {}

static BUFFER: RequestBuffer = RequestBuffer(UnsafeCell::new([0; REQUEST_BUFFER as usize]));

/// Prepares the guest; returns the request buffer.
pub fn init() -> *mut u8 {
    std::panic::set_hook(Box::new(|info| {
        use core::fmt::Write;
        let mut text = String::from("panic");
        if let Some(at) = info.location() {
            let _ = write!(text, " at {}:{}", at.file(), at.line());
        }
        let _ = Hsm::new(false).log(&text);
    }));
    BUFFER.0.get().cast()
}

/// Room for a long request.
#[must_use]
pub fn alloc(len: u32) -> *mut u8 {
    let mut room = Vec::<u8>::with_capacity(len as usize);
    let ptr = room.as_mut_ptr();
    core::mem::forget(room);
    ptr
}

/// Runs a command on the request at `ptr`; returns the response's address and length.
#[must_use]
pub fn run(
    command: for<'h> fn(&mut Request<'h>, &Hsm<'h>) -> Result<Response<'h>>,
    ptr: *const u8,
    len: u32,
    flags: u32,
) -> u64 {
    // SAFETY: the host wrote `len` bytes at the address that `init` or `alloc` gave it, and writes no more while the command runs.
    let body = unsafe { core::slice::from_raw_parts(ptr, len as usize) };
    let response = crate::respond(command, body, Hsm::new(flags & FLAG_TRACE != 0));
    let at = (response.as_ptr() as u64) << 32 | response.len() as u64;
    core::mem::forget(response);
    at
}

/// The bytes of a text as an array, for the metadata section.
#[must_use]
pub const fn to_array<const N: usize>(text: &str) -> [u8; N] {
    let mut out = [0; N];
    let mut i = 0;
    while i < N {
        out[i] = text.as_bytes()[i];
        i += 1;
    }
    out
}

/// Hands out memory and takes none back: the host restores the whole memory after every request.
struct Bump(UnsafeCell<Heap>);

struct Heap {
    /// Where the next block goes; 0 before the first.
    next: usize,
    /// Where the memory ends. Asking for its size is a call into the host.
    end: usize,
}

// SAFETY: a guest has one thread.
unsafe impl Sync for Bump {}

#[global_allocator]
static ALLOCATOR: Bump = Bump(UnsafeCell::new(Heap { next: 0, end: 0 }));

const PAGE: usize = 65536;

unsafe extern "C" {
    static __heap_base: u8;
}

impl Heap {
    /// Makes the memory reach up to `end`.
    fn reserve(&mut self, end: usize) -> bool {
        if end <= self.end {
            return true;
        }
        let pages = end.div_ceil(PAGE);
        let now = core::arch::wasm32::memory_size::<0>();
        if pages > now && core::arch::wasm32::memory_grow::<0>(pages - now) == usize::MAX {
            return false;
        }
        self.end = pages.max(now) * PAGE;
        true
    }

    fn allocate(&mut self, layout: Layout) -> *mut u8 {
        if self.next == 0 {
            self.next = &raw const __heap_base as usize;
        }
        let start = self.next.next_multiple_of(layout.align());
        match start.checked_add(layout.size()) {
            Some(end) if self.reserve(end) => {
                self.next = end;
                start as *mut u8
            }
            _ => core::ptr::null_mut(),
        }
    }
}

// SAFETY: every block lies between the end of the previous one and the end of memory, so blocks never overlap.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: a guest has one thread and an allocator is not entered twice.
        unsafe { &mut *self.0.get() }.allocate(layout)
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as in `alloc`.
        let heap = unsafe { &mut *self.0.get() };
        let start = ptr as usize;
        if start + layout.size() == heap.next && heap.reserve(start.saturating_add(new_size)) {
            heap.next = start + new_size;
            return ptr;
        }
        // SAFETY: the caller vouches that `new_size` with this alignment is a valid layout.
        let new = heap.allocate(unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) });
        if !new.is_null() {
            // SAFETY: the old block has `layout.size()` bytes, the new one `new_size`, and blocks never overlap.
            unsafe { core::ptr::copy_nonoverlapping(ptr, new, layout.size().min(new_size)) };
        }
        new
    }
}
