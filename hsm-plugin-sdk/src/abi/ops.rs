//! The host operations, by family. One table per family makes the host's trait, the guest's functions and the import table.

mod asymmetric;
mod authorisation;
mod base;
mod card;
mod dukpt;
mod emv;
mod keys;
mod lmk_pins;
mod migration;
mod pin_choice;
mod pins;
mod print;
mod solicitation;
mod storage;
mod verify;

pub use asymmetric::{
    Agreement, AsymmetricOps, CertificateParts, ImportedKey, RsaPadding, SignatureAlgorithm, SignatureMethod,
    Tr34Exchange, Tr34Token,
};
pub use authorisation::AuthorisationOps;
pub use base::{BaseOps, FieldKind};
pub use card::CardOps;
pub use dukpt::DukptOps;
pub use emv::EmvOps;
pub use keys::KeyOps;
pub use lmk_pins::LmkPinOps;
pub use migration::MigrationOps;
pub use pin_choice::PinChoiceOps;
pub use pins::PinOps;
pub use print::PrintOps;
pub use solicitation::SolicitationOps;
pub use storage::StorageOps;
pub use verify::VerifyOps;

use super::ErrorCode;

/// Declares [`Host`] as all families and [`operations`] as all their tables, from one list.
macro_rules! families {
    ($($module:ident $Trait:ident),* $(,)?) => {
        /// All operations: what a security module offers to a command.
        pub trait Host: $($Trait +)* {}

        impl<T: $($Trait +)*> Host for T {}

        /// Every operation of every family.
        pub fn operations() -> impl Iterator<Item = &'static OpInfo> {
            [$($module::OPERATIONS),*].into_iter().flatten()
        }
    };
}

families! {
    asymmetric AsymmetricOps,
    authorisation AuthorisationOps,
    base BaseOps,
    card CardOps,
    dukpt DukptOps,
    emv EmvOps,
    keys KeyOps,
    lmk_pins LmkPinOps,
    migration MigrationOps,
    pin_choice PinChoiceOps,
    pins PinOps,
    print PrintOps,
    solicitation SolicitationOps,
    storage StorageOps,
    verify VerifyOps,
}

/// Decodes the arguments of an operation, calls it and encodes its result.
///
/// # Errors
/// The operation's own code, or [`ErrorCode::INTERNAL`] if the arguments do not decode.
pub type Operation = fn(&mut dyn Host, &[u8], &mut Vec<u8>) -> Result<(), ErrorCode>;

/// One host operation as an import.
pub struct OpInfo {
    /// Name of the import.
    pub name: &'static str,
    /// First line of the operation's documentation.
    pub summary: &'static str,
    /// Whether it can take milliseconds. A plugin that imports a slow operation runs on the worker pool.
    pub slow: bool,
    /// Types of the arguments, as the table of the family has them.
    pub arguments: &'static [&'static str],
    /// The operation itself.
    pub call: Operation,
}

impl core::fmt::Debug for OpInfo {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "OpInfo {{ {}, slow: {} }}", self.name, self.slow)
    }
}

/// Makes a family of operations from its table.
///
/// Gives the trait for hosts, `OPERATIONS` for the import table, and methods of [`Hsm`](crate::Hsm) for commands. In a guest each
/// method names its own import, so a module imports exactly the operations it uses. `@slow fn` marks an operation that can
/// take milliseconds.
macro_rules! host_operations {
    (@slow slow) => { true };
    (@slow) => { false };
    (
        $(#[$trait_doc:meta])*
        pub trait $Trait:ident {
            $(
                #[doc = $summary:literal]
                $(#[$doc:meta])*
                $(@$slow:ident)? fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $ret:ty;
            )*
        }
    ) => {
        $(#[$trait_doc])*
        pub trait $Trait {
            $(
                #[doc = $summary]
                $(#[$doc])*
                fn $name(&mut self, $($arg: $ty),*) -> Result<$ret, $crate::abi::ErrorCode>;
            )*
        }

        pub(super) static OPERATIONS: &[$crate::abi::OpInfo] = &[
            $($crate::abi::OpInfo {
                name: stringify!($name),
                summary: $summary.trim_ascii(),
                slow: host_operations!(@slow $($slow)?),
                arguments: &[$(stringify!($ty)),*],
                call: {
                    #[allow(unused_variables, unused_mut, reason = "operations without arguments")]
                    fn call(
                        host: &mut dyn $crate::abi::Host,
                        args: &[u8],
                        out: &mut Vec<u8>,
                    ) -> Result<(), $crate::abi::ErrorCode> {
                        let mut reader = $crate::abi::wire::Reader::new(args);
                        $(let $arg = <$ty as $crate::abi::wire::Wire<'_>>::get(&mut reader)
                            .ok_or($crate::abi::ErrorCode::INTERNAL)?;)*
                        if !reader.is_empty() {
                            return Err($crate::abi::ErrorCode::INTERNAL);
                        }
                        let result = $Trait::$name(host, $($arg),*)?;
                        $crate::abi::wire::Wire::put(&result, out);
                        Ok(())
                    }
                    call
                },
            }),*
        ];

        impl $crate::Hsm<'_> {
            $(
                #[doc = $summary]
                $(#[$doc])*
                #[allow(unused_mut, reason = "operations without arguments")]
                #[inline]
                pub fn $name(&self, $($arg: $ty),*) -> Result<$ret, $crate::abi::ErrorCode> {
                    #[cfg(not(target_family = "wasm"))]
                    {
                        self.with_host(|host| $Trait::$name(host, $($arg),*))
                    }
                    #[cfg(target_family = "wasm")]
                    {
                        #[allow(unsafe_code, reason = "declares the import of this operation")]
                        mod import {
                            #[link(wasm_import_module = "hsm")]
                            unsafe extern "C" {
                                pub(super) fn $name(args: *const u8, len: usize, result: *mut u8, cap: usize) -> i32;
                            }
                        }
                        let mut args = $crate::guest::arguments();
                        $($crate::abi::wire::Wire::put(&$arg, &mut args);)*
                        $crate::guest::call(import::$name, &args)
                    }
                }
            )*
        }
    };
}
pub(crate) use host_operations;
