//! Operations of the legacy key-management commands: keys under an old LMK, and key components.

use super::host_operations;
use crate::abi::{KeyHandle, KeyPurpose};

host_operations! {
    /// Operations of the legacy key-management commands: keys under an old LMK, and key components.
    ///
    /// `attributes` is the `#` group of a request without its `#`: usage 2A, mode of use 1A, key version number 2A, exportability 1A,
    /// number of optional blocks 2N, optional blocks. It is empty where the request has none.
    pub trait MigrationOps {
        /// Checks that the running command may be run, as its page of the manual asks.
        ///
        /// 68 where key type 002 is separated and the command cannot tell TMK, TPK and PVK apart; 17 where an activity is not
        /// authorised or a security setting forbids the command.
        fn command_permitted() -> ();

        /// The key under the selected LMK: a key field of the scheme (`0` for untagged), or under a key-block LMK a key block.
        ///
        /// A key block has the attributes given, else those the key came with, else the usual ones of its purpose: the closest
        /// usage, mode N, version 00, exportability S. 26 for a scheme the LMK or the key does not have, 15 for attributes under
        /// a variant LMK, A6 to BE for attributes that do not suit the key.
        fn legacy_wrap(key: KeyHandle, scheme: u8, attributes: &[u8]) -> Vec<u8>;

        /// The check values of every 8-byte part of a DES key, each taken as a single-length key: 8 bytes a part.
        fn key_part_check_values(key: KeyHandle) -> Vec<u8>;

        /// Opens a component of a key of a purpose. 10 for parity, B5 for a key block that holds no component.
        fn component_open(purpose: KeyPurpose, field: &[u8]) -> KeyHandle;

        /// The exclusive-or of two components, itself a component. 15 if their lengths differ.
        fn component_add(sum: KeyHandle, component: KeyHandle) -> KeyHandle;

        /// The key of a purpose whose components have this sum, with odd parity.
        fn component_form(purpose: KeyPurpose, sum: KeyHandle) -> KeyHandle;

        /// Translates a key field from the old LMK to the new one, of which one is in the slot and the other in its key change
        /// storage. Returns the field under the new LMK (`legacy_wrap`) and the key, as one of `destination`.
        ///
        /// 33 if nothing is in key change storage, 04 for a key type that does not exist, 10 for parity, A1 from a key-block LMK to a
        /// variant LMK. A `destination` other than `purpose` migrates a key of type 002: 44 unless key type 002 is separated, 45
        /// unless it becomes a TPK (70D), TMK (80D) or TKR (90D). 15 if `attributes` are missing although the LMK changes from
        /// variant to key block, or given although it does not.
        fn old_lmk_translate(
            purpose: KeyPurpose,
            destination: KeyPurpose,
            field: &[u8],
            scheme: u8,
            attributes: &[u8],
        ) -> (Vec<u8>, KeyHandle);

        /// Erases the key change storage of the selected LMK's slot.
        fn change_storage_erase() -> ();
    }
}
