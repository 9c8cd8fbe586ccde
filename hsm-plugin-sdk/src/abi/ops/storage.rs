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

        /// Tag, version, length, usage and algorithm of the key block in a slot of variable size; nothing for other contents, or an index without contents.
        fn storage_block_header(index: u16) -> Option<[u8; 9]>;

        /// The hexadecimal digits stored in user storage at an index of 3 hexadecimal digits: 12 if there are none, 21 for a wrong index.
        fn stored_digits(index: [u8; 3], len: u16) -> Vec<u8>;

        /// Checks the Diebold table that begins at an index: 12 if there is none, 19 if it is incomplete, 21 for the index.
        fn storage_diebold_check(index: u16) -> ();
    }
}
