//! Operations on PIN verification values and offsets.

use super::host_operations;
use crate::abi::{AccountField, DieboldFields, DieboldTable, IbmFields, KeyHandle, NaturalPinHandle, PinHandle};

host_operations! {
    /// Operations on PIN verification values and offsets.
    pub trait VerifyOps {
        /// Refuses with 39 once a fraud detection limit was reached: the first thing a command does that verifies a PIN.
        fn pin_verification_allowed() -> ();

        /// Whether the setting "tokens in PIN verification" is on.
        fn tokens_in_verification() -> bool;

        /// Checks that a PVK is a pair, as the Visa method needs: 27.
        fn pvk_pair_check(pvk: KeyHandle) -> ();

        /// The Visa PVV of a PIN, 4 ASCII digits. `pvki` is an ASCII digit. 27 if the PVK is not of double length.
        fn pvv(pin: PinHandle, pvk: KeyHandle, account: AccountField<'_>, pvki: u8) -> [u8; 4];

        /// Whether a PIN has this Visa PVV. `pvki` and `pvv` are ASCII digits. 27 if the PVK is not of double length.
        fn pvv_verify(pin: PinHandle, pvk: KeyHandle, account: AccountField<'_>, pvki: u8, pvv: [u8; 4]) -> bool;

        /// The natural PIN of the IBM method.
        ///
        /// The flag says whether to answer 02: the PVK is longer than the method needs. 22 for the account, 12, 21 or 25 for the table, 15 for
        /// validation data or check length, 27 for a PVK that is not a DES key.
        fn ibm_natural_pin(pvk: KeyHandle, fields: IbmFields<'_>) -> (NaturalPinHandle, bool);

        /// Whether a PIN has this IBM offset (12 characters). A failure counts for fraud detection.
        fn ibm_verify(pin: PinHandle, natural: NaturalPinHandle, offset: [u8; 12]) -> bool;

        /// The IBM offset of a PIN, 12 characters. 24 if the PIN is shorter than the check length.
        fn ibm_offset(pin: PinHandle, natural: NaturalPinHandle) -> [u8; 12];

        /// The PIN that an IBM offset makes. 15 if the offset is shorter than the check length.
        fn ibm_pin(natural: NaturalPinHandle, offset: [u8; 12]) -> PinHandle;

        /// Checks that the Diebold table is one that the HSM can use: 12, 19, 21.
        fn diebold_check(table: DieboldTable) -> ();

        /// The Diebold offset of a PIN, 4 digits.
        fn diebold_offset(pin: PinHandle, fields: DieboldFields<'_>) -> [u8; 4];

        /// Whether a PIN has this Diebold offset. A failure counts for fraud detection.
        fn diebold_verify(pin: PinHandle, fields: DieboldFields<'_>, offset: [u8; 4]) -> bool;

        /// The PIN that a Diebold offset makes.
        fn diebold_pin(fields: DieboldFields<'_>, offset: [u8; 4]) -> PinHandle;

        /// Whether two PINs are the same. A difference counts for fraud detection.
        fn pin_matches(pin: PinHandle, reference: PinHandle) -> bool;

        /// A decimalisation table from the LMK in key change storage to the selected LMK: 15, 25, 33.
        fn decimalisation_table_translate(field: &[u8]) -> Vec<u8>;
    }
}
