//! What the fuzz targets do, as ordinary functions: each takes any bytes and panics if a promise of the code is broken.
//!
//! The targets of `fuzz_targets` hand their input to one of them; `tests/replay.rs` hands them the corpus, on a stable compiler.

#![forbid(unsafe_code)]

mod blocks;
mod fields;
mod frames;
mod net;
mod pins;
mod requests;

pub use blocks::{key_block, tr31};
pub use fields::key_field;
pub use frames::frame;
pub use pins::pin_block;
pub use requests::{every_command, request_fields};

#[cfg(fuzzing)]
#[doc(hidden)]
pub use libfuzzer_sys;

/// A target and the function that runs it.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, by the name of its file and its corpus.
pub const TARGETS: &[Target] = &[
    ("frame", frame),
    ("key_block", key_block),
    ("key_field", key_field),
    ("pin_block", pin_block),
    ("request_fields", request_fields),
    ("tr31", tr31),
];

/// Makes a fuzz target of a function; without cargo-fuzz, a program that runs it on the files it is given.
#[cfg(fuzzing)]
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$name(data));
    };
}

/// Makes a fuzz target of a function; without cargo-fuzz, a program that runs it on the files it is given.
#[cfg(not(fuzzing))]
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        fn main() -> std::io::Result<()> {
            for file in std::env::args_os().skip(1) {
                $crate::$name(&std::fs::read(file)?);
            }
            Ok(())
        }
    };
}

/// Bytes that a target takes its choices from; zero when there are no more.
struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit.max(1)
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// A fill that follows from the input, so that a finding can be repeated.
fn fill(mut seed: u64) -> impl FnMut(&mut [u8]) {
    move |buffer: &mut [u8]| {
        for byte in buffer {
            // splitmix64
            seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            *byte = (z ^ (z >> 31)) as u8;
        }
    }
}
