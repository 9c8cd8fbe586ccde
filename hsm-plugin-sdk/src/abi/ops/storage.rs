//! Operations on user storage.

use super::host_operations;

host_operations! {
    /// Operations on user storage (host.md 4). Indices are numbers, 000 to FFF in a message.
    pub trait StorageOps {
        /// Bytes of a slot of user storage: 8, 16 or 24; 0 where slots are of variable size.
        fn storage_slot() -> u8;

        /// Loads slots from an index on: the hexadecimal digits of whole slots, or any characters into one slot of variable size.
        ///
        /// 21 for an index that does not exist, 15 for data that does not fit.
        fn storage_load(index: u16, data: &[u8]) -> ();

        /// Reads consecutive slots as hexadecimal digits, or one slot of variable size as it was loaded.
        ///
        /// 21 for an index that does not exist, 12 if one of the slots is not loaded.
        fn storage_read(index: u16, count: u16) -> Vec<u8>;

        /// The first characters of the key field that a reference stands for: of a key block its tag, version, length, usage and algorithm.
        ///
        /// The reference is `K` and 3 hexadecimal digits, with a scheme tag in front or not, or two of them for a double-length key.
        /// 12 if there is no key, 21 for a wrong index, 15 or 26 for a reference that does not fit what is stored.
        fn stored_key_start(reference: &[u8]) -> [u8; 9];

        /// Checks that at least `len` hexadecimal digits are stored at an index of 3 hexadecimal digits: 12 if not, 21 for a wrong index.
        fn stored_check(index: [u8; 3], len: u16) -> ();

        /// The hexadecimal digits stored in user storage at an index of 3 hexadecimal digits: 12 if there are none, 21 for a wrong index.
        fn stored_digits(index: [u8; 3], len: u16) -> Vec<u8>;

        /// Checks the Diebold table that begins at an index: 12 if there is none, 19 if it is incomplete, 21 for the index.
        fn storage_diebold_check(index: u16) -> ();
    }
}
