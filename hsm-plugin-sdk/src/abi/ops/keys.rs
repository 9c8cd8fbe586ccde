//! Operations on keys.

use super::host_operations;
use crate::abi::{KeyAttributes, KeyHandle, KeyPurpose};

host_operations! {
    /// Operations on keys. A guest never sees a clear key.
    pub trait KeyOps {
        /// Opens a key field under the selected LMK for a purpose.
        ///
        /// 10 if a key under a variant LMK has not odd parity, 26 for an unknown scheme, 12 or 21 for a user-storage
        /// reference, A1 to BD for key blocks; BB if a key block does not hold a wrapping key where one is needed.
        fn key_open(purpose: KeyPurpose, field: &[u8]) -> KeyHandle;

        /// Checks a key type field against the selected LMK: `FFF` is for key-block LMKs and the other types for variant LMKs, else 28;
        /// 04 for an unknown type.
        fn key_type_fits(purpose: KeyPurpose) -> ();

        /// Checks that keys may be generated for a purpose: 04 or 28 for an unknown type, 29 and 17 where it is not allowed.
        fn key_may_generate(purpose: KeyPurpose) -> ();

        /// Checks that keys may be imported for a purpose: 04 or 28 for an unknown type, 29 and 17 where it is not allowed.
        fn key_may_import(purpose: KeyPurpose) -> ();

        /// Checks that keys may be exported: 04 or 28 for an unknown type, 29 and 17 where it is not allowed.
        fn key_may_export(purpose: KeyPurpose) -> ();

        /// Checks that keys may be formed from components for a purpose: 04 or 28 for an unknown type, 29 and 17 where it is not allowed.
        fn key_may_form(purpose: KeyPurpose) -> ();

        /// Checks that more than 6 digits of the key's check value may be shown, else 17.
        fn key_may_show_check_value(key: KeyHandle) -> ();

        /// Generates a random DES key with odd parity of the length that a scheme letter implies (`Z` 8, `U` `X` 16, `T` `Y` 24 bytes).
        ///
        /// For a key-block LMK (`S` or `0`: 16 bytes) it gets the attributes that are usual for its purpose.
        fn key_generate(purpose: KeyPurpose, scheme: u8) -> KeyHandle;

        /// Generates a random key with these attributes (all of them), for a key-block LMK.
        ///
        /// 17, 48 if the LMK is too weak for the key, A1 under a variant LMK, A6 usage, A7 algorithm, A8 mode, A9 version, AA, AC to BE
        /// for optional blocks.
        fn key_generate_block(attributes: KeyAttributes<'_>) -> KeyHandle;

        /// Derives the DUKPT initial key of a device from its BDK: `ksn` is 15 hex digits of TDES key serial number or 16 of AES
        /// initial key identifier. `attributes` as for `key_generate_block` under a key-block LMK, usage B1; else `None`.
        fn key_dukpt_initial(bdk: KeyHandle, ksn: &[u8], attributes: Option<KeyAttributes<'_>>) -> KeyHandle;

        /// The AES DUKPT update key that a device with the initial key of this BDK and identifier (16 hex digits) has: a new initial
        /// key is exported to the device under it.
        fn key_dukpt_update(bdk: KeyHandle, initial_key_id: &[u8]) -> KeyHandle;

        /// Derives a ZKA session key from a ZKA master key and a random number; makes the random number if there is none.
        ///
        /// 29 if neither `purpose` (001, 008, 00A) nor the usage in `attributes` (PIN, MAC, data) is a ZKA session key's.
        fn key_zka_session(
            master: KeyHandle,
            purpose: KeyPurpose,
            random: Option<[u8; 16]>,
            attributes: Option<KeyAttributes<'_>>,
        ) -> (KeyHandle, [u8; 16]);

        /// Opens a component of a key of a purpose: 10 for parity, A9 for a key block whose version number is not `c1` to `c9`.
        fn key_component_open(purpose: KeyPurpose, field: &[u8]) -> KeyHandle;

        /// Forms a key from its components, with odd parity if it is a DES key. `attributes` (key version number, optional blocks) are for
        /// a key-block LMK.
        ///
        /// 11 if the key is all zero, 17, 27 or B5 if the components do not go together, B6 if their key status blocks do not, 75.
        fn key_form(purpose: KeyPurpose, components: Vec<KeyHandle>, attributes: Option<KeyAttributes<'_>>) -> KeyHandle;

        /// The same key with key block attributes (usage, mode, version, exportability `N` or `S`, optional blocks), for a key that
        /// has none: one that leaves a variant LMK for a key-block LMK.
        ///
        /// BD if the usage is not that of the key's type, A6 to BE for attributes that do not suit the key.
        fn key_describe(key: KeyHandle, attributes: KeyAttributes<'_>) -> KeyHandle;

        /// The key under the selected LMK: a key field of the scheme (`0` for untagged), `S` with the key's attributes for key-block
        /// LMKs.
        fn key_wrap(key: KeyHandle, scheme: u8) -> Vec<u8>;

        /// Opens an HMAC key under a variant LMK, for a hash by its identifier (`06` SHA-256): 05 for no such hash, 80 for a length that no key
        /// has, 10 for a field that is no HMAC key, A1 under a key-block LMK.
        fn hmac_key_open(hash: [u8; 2], field: &[u8]) -> KeyHandle;

        /// The HMAC key under a variant LMK, without its length: 27 if it has more than 128 bytes, 29 for a key that is none, A1 under a
        /// key-block LMK.
        fn hmac_key_wrap(key: KeyHandle) -> Vec<u8>;

        /// The key under a ZMK or TMK, as a key field of the scheme. `variant` is the Atalla variant, 0 for none.
        fn key_export(key: KeyHandle, wrapping_key: KeyHandle, scheme: u8, variant: u8) -> Vec<u8>;

        /// As `key_export`, with what key blocks need besides. `attributes` describe a key from a variant LMK (scheme `R`), or
        /// narrow the exportability of one from a key-block LMK. `version` is that of the TR-31 block; without it, D under an
        /// AES key and B under a TDES key.
        ///
        /// 26 for a scheme that the key cannot leave the LMK in, AA if its exportability or the setting forbids, BB if the wrapping key
        /// may not or cannot wrap it, BD if the usage is not that of the key's type.
        fn key_export_block(
            key: KeyHandle,
            wrapping_key: KeyHandle,
            scheme: u8,
            variant: u8,
            attributes: KeyAttributes<'_>,
            version: Option<u8>,
        ) -> Vec<u8>;

        /// Takes a key from under a ZMK or TMK and forces odd parity; also tells whether parity had to be forced.
        fn key_import(purpose: KeyPurpose, wrapping_key: KeyHandle, field: &[u8], variant: u8) -> (KeyHandle, bool);

        /// As `key_import`, to a key-block LMK: `attributes` describe a key that comes without a key block, or change the usage of
        /// one from a TR-31 block to an equivalent one and add optional blocks.
        ///
        /// 15 if attributes are missing, A4 to A9 for bad key blocks, BB, BD if a key block does not hold a key of the purpose.
        fn key_import_block(
            purpose: KeyPurpose,
            wrapping_key: KeyHandle,
            field: &[u8],
            variant: u8,
            attributes: Option<KeyAttributes<'_>>,
        ) -> (KeyHandle, bool);

        /// A key field under a variant LMK in another scheme: `U` from `X` or untagged, `T` from `Y`; back only where a setting allows.
        /// With `attributes` the key goes from the variant LMK that the request began with to the selected key-block LMK.
        ///
        /// 10 parity, 17, 26 for another direction, A1, and as `key_describe`.
        fn key_translate_scheme(
            purpose: KeyPurpose,
            field: &[u8],
            scheme: u8,
            attributes: Option<KeyAttributes<'_>>,
        ) -> Vec<u8>;

        /// Changes one value in the header of a key block under the selected LMK: `1` key usage, `2` mode of use, `3` key version
        /// number, `4` exportability, `5` key status, `6` start and `7` end of validity.
        ///
        /// A1 under a variant LMK, B7 for another field, B8 if the block has another value than `old`, B9 if it may not have `new`, BA
        /// if the block has no such optional block.
        fn key_block_modify(block: &[u8], field: u8, old: &[u8], new: &[u8]) -> Vec<u8>;

        /// The check value: the 8 bytes of the encrypted zero block for DES, 3 significant bytes for other algorithms.
        fn key_check_value(key: KeyHandle) -> [u8; 8];

        /// Length of the key in bytes.
        fn key_length(key: KeyHandle) -> u16;
    }
}
