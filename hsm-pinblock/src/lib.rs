#![doc = include_str!("../README.md")]
#![no_std]

mod block;
mod context;
mod decode;
mod encode;
mod error;
mod fill;
mod format;
mod iso4;
mod layout;
mod pin;
mod translation;

pub use crate::block::ClearBlock;
pub use crate::context::{Account, Account12, Context, Pad, Pan, PlusField, UdkA};
pub use crate::decode::decode;
pub use crate::encode::encode;
pub use crate::error::{AccountError, ContextError, DecodeError, EncodeError, ErrorClass, PinError};
pub use crate::fill::FillSource;
pub use crate::format::{AccountUse, Format};
pub use crate::iso4::{
    BlockCipher16, decipher_iso4, encipher_iso4, iso4_pan_field, iso4_pin_field, read_iso4_pin_field,
};
pub use crate::pin::Pin;
pub use crate::translation::Translation;
