//! Operations on DUKPT keys.

use super::host_operations;
use crate::abi::{AccountField, DukptMac, KeyHandle, KsnField, PinHandle};

host_operations! {
    /// Operations on DUKPT keys other than PIN keys of TDES and AES, which [`PinOps`](super::PinOps) has.
    pub trait DukptOps {
        /// The key that a BDK gives for a key serial number by single DES (X9.24-1998). 27 if the BDK is not of double length.
        fn dukpt_single_des_key(bdk: KeyHandle, ksn: KsnField<'_>) -> KeyHandle;

        /// Decrypts and decodes an ISO-0 PIN block under a single-DES DUKPT key: 20, 22, 24.
        fn dukpt_single_des_decode(key: KeyHandle, block: [u8; 8], account: AccountField<'_>) -> PinHandle;

        /// The MAC of a message under the MAC key of a transaction. 15 for a method that does not exist.
        fn dukpt_mac(bdk: KeyHandle, data: DukptMac<'_>) -> [u8; 8];

        /// Whether a MAC is right: 8 bytes, or the left (`right` is false) or right 4 of them.
        fn dukpt_mac_verify(bdk: KeyHandle, data: DukptMac<'_>, mac: &[u8], right: bool) -> bool;
    }
}
