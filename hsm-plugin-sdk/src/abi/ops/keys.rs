//! Operations on keys.

use super::host_operations;
use crate::abi::{KeyHandle, KeyPurpose};

host_operations! {
    /// Operations on keys. A guest never sees a clear key.
    pub trait KeyOps {
        /// Opens a key field under the selected LMK for a purpose.
        ///
        /// 10 if a key under a variant LMK has not odd parity, 26 for an unknown scheme, 12 or 21 for a user-storage
        /// reference, A1 to BD for key blocks.
        fn key_open(purpose: KeyPurpose, field: &[u8]) -> KeyHandle;

        /// Checks that keys may be generated for a purpose: 04 or 28 for an unknown type, 29 and 17 where it is not allowed.
        fn key_may_generate(purpose: KeyPurpose) -> ();

        /// Checks that keys may be imported for a purpose: 04 or 28 for an unknown type, 29 and 17 where it is not allowed.
        fn key_may_import(purpose: KeyPurpose) -> ();

        /// Checks that keys may be exported: 04 or 28 for an unknown type, 29 and 17 where it is not allowed.
        fn key_may_export(purpose: KeyPurpose) -> ();

        /// Generates a random DES key with odd parity of the length that a scheme letter implies (`Z` 8, `U` `X` 16, `T` `Y` 24 bytes).
        fn key_generate(purpose: KeyPurpose, scheme: u8) -> KeyHandle;

        /// The key under the selected LMK, as a key field of the scheme (`0` for untagged).
        fn key_wrap(key: KeyHandle, scheme: u8) -> Vec<u8>;

        /// The key under a ZMK or TMK, as a key field of the scheme. `variant` is the Atalla variant, 0 for none.
        fn key_export(key: KeyHandle, wrapping_key: KeyHandle, scheme: u8, variant: u8) -> Vec<u8>;

        /// Takes a key from under a ZMK or TMK and forces odd parity; also tells whether parity had to be forced.
        fn key_import(purpose: KeyPurpose, wrapping_key: KeyHandle, field: &[u8], variant: u8) -> (KeyHandle, bool);

        /// The check value: the 8 bytes of the encrypted zero block for DES, 3 significant bytes for other algorithms.
        fn key_check_value(key: KeyHandle) -> [u8; 8];

        /// Length of the key in bytes.
        fn key_length(key: KeyHandle) -> u16;
    }
}
