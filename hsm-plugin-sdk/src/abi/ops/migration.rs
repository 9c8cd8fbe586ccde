//! Operations of the legacy key-management commands, and on keys under an old LMK.

use super::host_operations;
use crate::abi::{KeyAttributes, KeyHandle, KeyPurpose};

host_operations! {
    /// Operations of the legacy key-management commands, and on keys under an old LMK.
    pub trait MigrationOps {
        /// Checks that the running command may be run, as its page of the manual asks.
        ///
        /// 68 where key type 002 is separated and the command cannot tell TMK, TPK and PVK apart; 17 where an activity is not
        /// authorised or a security setting forbids the command.
        fn command_permitted() -> ();

        /// The check values of every 8-byte part of a DES key, each taken as a single-length key: 8 bytes a part.
        fn key_part_check_values(key: KeyHandle) -> Vec<u8>;

        /// Translates a key field from the old LMK to the new one, of which one is in the slot and the other in its key change
        /// storage. Returns the field under the new LMK (`key_wrap`) and the key.
        ///
        /// 33 if nothing is in key change storage, 04 or 28 for a key type that does not exist, 10 for parity, A1 from a key-block
        /// LMK to a variant LMK. `migrated_to` makes another key of one of type 002: 44 unless key type 002 is
        /// separated, 45 unless it becomes a TPK (70D), TMK (80D) or TKR (90D). 15 if `attributes` are missing although the key goes
        /// from a variant LMK to a key-block LMK, or given although it does not.
        fn old_lmk_translate(
            purpose: KeyPurpose,
            migrated_to: Option<KeyPurpose>,
            field: &[u8],
            scheme: u8,
            attributes: Option<KeyAttributes<'_>>,
        ) -> (Vec<u8>, KeyHandle);

        /// Translates an HMAC key, as `hmac_key_wrap` writes it, from the old LMK to the new one: the field, a key block if there are
        /// `attributes`, and the key. `hash` is an identifier as in GM.
        ///
        /// 33 if nothing is in key change storage, 05 hash, 80 length, 10 if it is no such key, A1 from a key-block LMK, BD if the usage is
        /// not that of keys for the hash; attributes as `old_lmk_translate`.
        fn old_lmk_translate_hmac(
            hash: [u8; 2],
            field: &[u8],
            attributes: Option<KeyAttributes<'_>>,
        ) -> (Vec<u8>, KeyHandle);

        /// Erases the key change storage of the selected LMK's slot.
        fn change_storage_erase() -> ();
    }
}
