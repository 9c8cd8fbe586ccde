//! What a payment HSM knows: keys, LMKs, algorithms and the security module. No sockets, no WASM.
//!
//! A [`SecurityModule`] holds LMKs and settings. A [`Session`] serves one request at a time and implements the
//! [host operations](hsm_plugin_sdk::abi) that commands are written with. The modules below are usable by themselves.

pub mod card;
pub mod cipher;
pub mod clear_key;
pub mod dukpt;
pub mod emv;
pub mod hex;
pub mod inspect;
pub mod kcv;
pub mod key_block;
pub mod key_type;
pub mod lmk;
pub mod mac;
mod module;
pub mod pin_verify;
pub mod purpose;
pub mod rsa_encoding;
pub mod scheme;
mod session;
mod settings;
pub mod variant;

pub use clear_key::{Algorithm, ClearKey};
pub use module::{Clock, LmkSlots, MAX_LMK_ID, SecurityModule, SystemClock};
pub use session::{Explanation, Session, TracedField, Transcript};
pub use settings::Settings;
