//! Operations on DUKPT keys.

use super::host_operations;
use crate::abi::{AccountField, KeyHandle, PinHandle};

host_operations! {
    /// Operations on DUKPT keys other than PIN keys of TDES and AES, which [`PinOps`](super::PinOps) has. A key serial number is its
    /// descriptor (3 hexadecimal digits) and its digits, or `K` and the index of user storage where they are.
    ///
    /// `direction` says which MAC key of a transaction is meant: 0 of a request, from the terminal to the host, 1 in both
    /// directions, 2 of a response. `method` is 1 for ISO 9797-1 algorithm 3 (X9.19), 2 for algorithm 1 (X9.9), 3 for CMAC.
    pub trait DukptOps {
        /// The key that a BDK gives for a key serial number by single DES (X9.24-1998). 27 if the BDK is not of double length.
        fn dukpt_single_des_key(bdk: KeyHandle, descriptor: [u8; 3], ksn: &[u8]) -> KeyHandle;

        /// Decrypts and decodes an ISO-0 PIN block under a single-DES DUKPT key: 20, 22, 24.
        fn dukpt_single_des_decode(key: KeyHandle, block: [u8; 8], account: AccountField<'_>) -> PinHandle;

        /// The MAC of a message under the MAC key of a transaction. 15 for a method that does not exist.
        fn dukpt_mac(
            bdk: KeyHandle,
            descriptor: [u8; 3],
            ksn: &[u8],
            direction: u8,
            method: u8,
            message: &[u8],
        ) -> [u8; 8];

        /// Whether a MAC is right: 8 bytes, or the left (`right` is false) or right 4 of them.
        fn dukpt_mac_verify(
            bdk: KeyHandle,
            descriptor: [u8; 3],
            ksn: &[u8],
            direction: u8,
            method: u8,
            message: &[u8],
            mac: &[u8],
            right: bool,
        ) -> bool;
    }
}
