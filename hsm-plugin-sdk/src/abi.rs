//! The contract between a command and the host: numbers, error codes, layouts and operations, in one place.
//!
//! A guest imports one WASM function per operation it uses from the module [`IMPORT_MODULE`], so its import section is the list of
//! what it can do. Every import has the same type, `(args, args_len, result, result_cap) -> i32`:
//!
//! - `args` points to the encoded arguments ([`wire`]);
//! - a return value ≥ 0 is the length of the encoded result. If it is at most `result_cap` the result has been written to
//!   `result`; otherwise the guest fetches it with the import [`TAKE_RESULT`];
//! - a return value < 0 is an [`ErrorCode`].
//!
//! The operations themselves are traits made by one macro: the same table gives the guest's functions, the trait that
//! `hsm-core` implements, and the server's import table.

mod attributes;
mod error_code;
mod fields;
mod handle;
mod ops;
pub mod wire;

pub use attributes::KeyAttributes;
pub use error_code::ErrorCode;
pub use fields::{
    AccountField, AccountForm, DieboldFields, DieboldTable, DukptMac, EmvTransaction, ExcludedPins, IbmFields, KsnField,
};
pub use handle::{KeyHandle, KeyPurpose, NaturalPinHandle, PinHandle};
pub use ops::{
    Agreement, AsymmetricOps, AuthorisationOps, BaseOps, CardOps, CertificateParts, DukptOps, EmvOps, FieldKind, Host,
    ImportedKey, KeyOps, LmkPinOps, MigrationOps, OpInfo, Operation, PinChoiceOps, PinOps, PrintOps, RsaPadding,
    SignatureAlgorithm, SignatureMethod, SolicitationOps, StorageOps, Tr34Exchange, Tr34Token, VerifyOps, operations,
};

/// Version of everything in this module. A host refuses a module that was built for another one.
pub const ABI_VERSION: u32 = 1;

/// The WASM module name that host operations are imported from.
pub const IMPORT_MODULE: &str = "hsm";

/// The import that hands over a result too long for the buffer of the call that made it: `(result) -> ()`.
pub const TAKE_RESULT: &str = "take_result";

/// The custom section with the module's metadata: UTF-8 lines `key=value` with the keys `abi`, `code`, `title`, `version`,
/// `author` and `description`.
pub const METADATA_SECTION: &str = "hsm.plugin";

/// Exported memory.
pub const EXPORT_MEMORY: &str = "memory";

/// Exported `() -> ptr`: prepares the guest and returns the address of a request buffer of [`REQUEST_BUFFER`] bytes.
/// The memory image after this call is what every request starts from.
pub const EXPORT_INIT: &str = "hsm_init";

/// Exported `(len) -> ptr`: room for a request longer than [`REQUEST_BUFFER`]; 0 if there is none.
pub const EXPORT_ALLOC: &str = "hsm_alloc";

/// Exported `(ptr, len, flags) -> ptr << 32 | len`: runs the command on the request at `ptr` and returns where the response is:
/// error code, fields and trailer.
pub const EXPORT_CALL: &str = "hsm_call";

/// Flag of [`EXPORT_CALL`]: the guest reports each field it reads and writes.
pub const FLAG_TRACE: u32 = 1;

/// Requests up to this many bytes need no allocation. Nearly every command fits.
pub const REQUEST_BUFFER: u32 = 1024;

/// The response code of a command: its second character's successor (host.md 1.5).
#[must_use]
pub const fn response_code(code: [u8; 2]) -> [u8; 2] {
    [code[0], code[1].wrapping_add(1)]
}
