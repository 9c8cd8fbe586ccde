//! The bundled host commands. Each is a file of `src/bin`, built for wasm32 as a plugin; natively they are modules of this library, so
//! that an embedder can link them and tests can run them without WASM. What commands of a family share is here.

extern crate self as hsm_plugins;

pub mod asymmetric;
pub mod dukpt;
pub mod legacy;
pub mod length_flag;
pub mod pins;
pub mod printing;
pub mod transport;

/// Text without the LMK identifier (`%` and two digits) at its end, for fields that only the end of the message ends.
pub(crate) fn without_lmk_identifier(text: &[u8]) -> &[u8] {
    match text {
        [before @ .., b'%', a, b] if a.is_ascii_digit() && b.is_ascii_digit() => before,
        _ => text,
    }
}

#[cfg(not(target_family = "wasm"))]
mod native {
    include!(concat!(env!("OUT_DIR"), "/commands.rs"));
}

#[cfg(not(target_family = "wasm"))]
pub use native::*;
