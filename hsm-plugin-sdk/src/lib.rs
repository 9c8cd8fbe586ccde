#![doc = include_str!("../README.md")]

pub mod abi;
mod command;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod guest;
mod hsm;
mod refusal;
mod request;
mod response;

pub use abi::{
    AccountField, AccountForm, Agreement, CertificateParts, DieboldFields, DieboldTable, DukptMac, EmvTransaction,
    ErrorCode, ExcludedPins, FieldKind, Host, IbmFields, ImportedKey, KeyAttributes, KeyHandle, KeyPurpose, KsnField,
    NaturalPinHandle, PinHandle, RsaPadding, SignatureAlgorithm, SignatureMethod, Tr34Exchange, Tr34Token,
};
pub use command::{Command, respond};
pub use hsm::Hsm;
pub use refusal::{Refusal, Result};
pub use request::{Attribute, AttributeGroup, KeyField, LegacyOptions, PinDestination, Request, likely_trailer};
pub use response::Response;

/// What a command file imports.
pub mod prelude {
    pub use crate::{
        AccountField, AccountForm, AttributeGroup, DieboldFields, DukptMac, EmvTransaction, ErrorCode, ExcludedPins,
        FieldKind, Hsm, KeyAttributes, KeyField, KeyHandle, KeyPurpose, KsnField, LegacyOptions, NaturalPinHandle,
        PinDestination, PinHandle, Refusal, Request, Response, Result, command,
    };
}
