//! Operations on EMV cryptograms.

use super::host_operations;
use crate::abi::{EmvTransaction, KeyHandle};

host_operations! {
    /// Operations on EMV cryptograms, EMV 3.1.1 (KQ).
    pub trait EmvOps {
        /// Whether an ARQC, TC or AAC is right for a transaction.
        fn arqc_verify(mk_ac: KeyHandle, transaction: EmvTransaction<'_>, arqc: [u8; 8]) -> bool;

        /// The cryptogram the host expected, for diagnosis; `None` unless `diag.host` is authorised.
        fn arqc_diagnostic(mk_ac: KeyHandle, transaction: EmvTransaction<'_>) -> Option<[u8; 8]>;

        /// The ARPC (method 1) of a card (PAN and PAN sequence number, packed) for a cryptogram and an authorisation response code.
        fn arpc(mk_ac: KeyHandle, pan_psn: [u8; 8], arqc: [u8; 8], arc: [u8; 2]) -> [u8; 8];

        /// Whether the MAC over issuer discretionary data is right (KQ modes 3 and 4).
        fn discretionary_mac_verify(mk_smi: KeyHandle, pan_psn: [u8; 8], atc: [u8; 2], data: &[u8], mac: [u8; 4]) -> bool;
    }
}
