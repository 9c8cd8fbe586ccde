//! What a payment HSM knows: keys, LMKs, algorithms and the security module. No sockets, no WASM.
//!
//! A [`SecurityModule`] holds LMKs and settings. A [`Session`] serves one request at a time and implements the
//! [host operations](hsm_plugin_sdk::abi) that commands are written with. The modules below are usable by themselves.

pub mod asymmetric;
pub mod authorisation;
pub mod card;
pub mod cipher;
pub mod clear_key;
pub mod config;
pub mod dukpt;
pub mod emv;
mod file_saver;
pub mod hex;
pub mod inspect;
pub mod kcv;
pub mod key_block;
pub mod key_type;
pub mod lmk;
pub mod lmk_pin;
pub mod lmk_store;
pub mod lmk_table;
pub mod mac;
mod memory;
mod module;
mod pin_guard;
mod pin_translation;
pub mod pin_verify;
pub mod printer;
pub mod private_file;
pub mod purpose;
pub mod rsa_encoding;
pub mod scheme;
mod session;
mod settings;
mod solicitation;
pub mod tr34;
pub mod user_storage;
pub mod variant;

pub use clear_key::{Algorithm, ClearKey};
pub use module::{
    AUDIT_TARGET, ChangeEntry, ChangeRole, Clock, LmkInfo, LmkSlots, MAX_LMK_ID, SecurityModule, StorageHook,
    SystemClock,
};
pub use pin_guard::{FraudLimits, WeakPinChecks};
pub use pin_translation::{PinTranslation, PinTranslationError};
pub use session::{Explanation, Session, TracedField, Transcript};
pub use settings::Settings;
