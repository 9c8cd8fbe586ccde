//! Operations on PIN solicitation data.

use super::host_operations;

host_operations! {
    /// Operations on PIN solicitation data (pins.md 2.35): reference numbers and the PINs that customers chose for them.
    ///
    /// Records are reference number (12 digits), PIN (4 to 12 digits) and `;` each, one after the other: 25 at most, 15 for another number or
    /// form, 30 for a reference number that is not decimal. A message that is refused adds no record. The batch is the module's, as user
    /// storage is, whose memory it takes: whatever user storage holds is erased, and loading user storage discards the batch.
    pub trait SolicitationOps {
        /// Adds records to the batch: 15 if it has no room for them.
        fn solicitation_load(records: &[u8]) -> ();

        /// Adds the last records and ends the batch, in which a PIN is put under the LMK for the account of its reference number.
        ///
        /// Gives all processed records and how many bytes of them one response holds. A processed record is the last 10 digits of the account
        /// and the PIN under the LMK, filled with `F` to an even length; a PIN longer than the device's PIN length is cut to it. 31 if the
        /// batch has too few records; then it stays as it was.
        @slow fn solicitation_process(records: &[u8]) -> (Vec<u8>, u16);
    }
}
