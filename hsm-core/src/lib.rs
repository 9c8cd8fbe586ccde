//! What a payment HSM knows: keys, LMKs, algorithms and the security module. No sockets, no WASM.

pub mod cipher;
pub mod clear_key;

pub use clear_key::{Algorithm, ClearKey};
