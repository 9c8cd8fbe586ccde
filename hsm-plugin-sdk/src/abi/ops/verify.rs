//! Operations on PIN verification values, offsets and PINs under the LMK.

use super::host_operations;
use crate::abi::{AccountField, KeyHandle, NaturalPinHandle, PinHandle};

host_operations! {
    /// Operations on PIN verification values, offsets and PINs under the LMK.
    pub trait VerifyOps {
        /// Refuses with 39 once a fraud detection limit was reached: the first thing a command does that verifies a PIN.
        fn pin_verification_allowed() -> ();

        /// Checks the characters of an account field: 22.
        fn account_check(account: AccountField<'_>) -> ();

        /// Whether the setting "tokens in PIN verification" is on.
        fn tokens_in_verification() -> bool;

        /// Whether the setting "tokens in PIN translation" is on.
        fn tokens_in_translation() -> bool;

        /// Checks that a translated PIN may go to another account: 23 where PCI PIN forbids it.
        fn pin_account_change(from: AccountField<'_>, to: AccountField<'_>) -> ();

        /// The hexadecimal digits stored in user storage at an index of 3 hexadecimal digits: 12 if there are none, 21 for a wrong index.
        fn stored_digits(index: [u8; 3], len: u16) -> Vec<u8>;

        /// Checks that a PVK is a pair, as the Visa method needs: 27.
        fn pvk_pair_check(pvk: KeyHandle) -> ();

        /// The Visa PVV of a PIN, 4 ASCII digits. `pvki` is an ASCII digit. 27 if the PVK is not of double length.
        fn pvv(pin: PinHandle, pvk: KeyHandle, account: AccountField<'_>, pvki: u8) -> [u8; 4];

        /// The natural PIN of the IBM method from decimalisation table, validation data (pins.md 1.6) and check length (2 digits).
        ///
        /// The flag says whether to answer 02: the PVK is longer than the method needs. 22 for the account, 12, 21 or 25 for the table, 15 for
        /// validation data or check length, 27 for a PVK that is not a DES key.
        fn ibm_natural_pin(
            pvk: KeyHandle,
            account: AccountField<'_>,
            check_length: [u8; 2],
            table: &[u8],
            validation_data: &[u8],
        ) -> (NaturalPinHandle, bool);

        /// Whether a PIN has this IBM offset (12 characters). A failure counts for fraud detection.
        fn ibm_verify(pin: PinHandle, natural: NaturalPinHandle, offset: [u8; 12]) -> bool;

        /// The IBM offset of a PIN, 12 characters. 24 if the PIN is shorter than the check length.
        fn ibm_offset(pin: PinHandle, natural: NaturalPinHandle) -> [u8; 12];

        /// The PIN that an IBM offset makes. 15 if the offset is shorter than the check length.
        fn ibm_pin(natural: NaturalPinHandle, offset: [u8; 12]) -> PinHandle;

        /// Checks the Diebold table at a user-storage index and the algorithm number: 12, 19, 21.
        fn diebold_check(table: [u8; 3], algorithm: [u8; 2]) -> ();

        /// The Diebold offset of a PIN, 4 digits.
        fn diebold_offset(
            pin: PinHandle,
            table: [u8; 3],
            algorithm: [u8; 2],
            account: AccountField<'_>,
            validation_data: [u8; 16],
        ) -> [u8; 4];

        /// Whether a PIN has this Diebold offset. A failure counts for fraud detection.
        fn diebold_verify(
            pin: PinHandle,
            table: [u8; 3],
            algorithm: [u8; 2],
            account: AccountField<'_>,
            validation_data: [u8; 16],
            offset: [u8; 4],
        ) -> bool;

        /// The PIN that a Diebold offset makes.
        fn diebold_pin(
            table: [u8; 3],
            algorithm: [u8; 2],
            account: AccountField<'_>,
            validation_data: [u8; 16],
            offset: [u8; 4],
        ) -> PinHandle;

        /// Whether two PINs are the same. A difference counts for fraud detection.
        fn pin_matches(pin: PinHandle, reference: PinHandle) -> bool;

        /// Checks a PIN that is being chosen against excluded PINs (count, length, digits) and the device's own rules: 03, 81, 86.
        fn pin_may_be_chosen(pin: PinHandle, excluded: Option<(u8, u8, &[u8])>) -> ();

        /// A random PIN that may be chosen. 24 for a length that a PIN under the LMK cannot have; 03, 81.
        fn pin_random(length: u8, excluded: Option<(u8, u8, &[u8])>) -> PinHandle;

        /// Replaces the device's table of excluded PINs of one length: 03, 17, 81.
        fn excluded_pins_load(count: u8, length: u8, digits: &[u8]) -> ();

        /// Number of digits of a PIN under a variant or TDES LMK (device's PIN length + 1).
        fn lmk_pin_digits() -> u8;

        /// A PIN under the selected LMK and an account. 15 if the PIN is longer than the device's PIN length.
        fn lmk_pin_encrypt(pin: PinHandle, account: AccountField<'_>) -> Vec<u8>;

        /// Opens a PIN under the selected LMK: 14, 46.
        fn lmk_pin_decrypt(field: &[u8], account: AccountField<'_>) -> PinHandle;

        /// Opens a PIN under the LMK in key change storage: 14, 33.
        fn old_lmk_pin_decrypt(field: &[u8], account: AccountField<'_>) -> PinHandle;

        /// Takes a PIN under the LMK from algorithm A to algorithm B (BQ): 14, 17.
        fn lmk_pin_to_algorithm_b(field: &[u8], account: AccountField<'_>) -> Vec<u8>;

        /// Checks that the account of a PIN under the LMK may be changed (QK): 17.
        fn lmk_pin_account_change_allowed() -> ();

        /// Checks that PINs may enter and leave in clear: 17 (setting "select clear PINs", activity `pin.clear.host`).
        fn clear_pins_allowed() -> ();

        /// Takes a clear PIN, filled with `F`: 15, 17, 24.
        fn pin_from_clear(field: &[u8]) -> PinHandle;

        /// The digits of a PIN, filled with `F` to the length of a PIN under the LMK: 17.
        fn pin_to_clear(pin: PinHandle) -> Vec<u8>;

        /// The reference number of an account: the account under the LMK, 12 digits.
        fn reference_number(account: AccountField<'_>) -> [u8; 12];

        /// A decimalisation table from the LMK in key change storage to the selected LMK: 15, 25, 33.
        fn decimalisation_table_translate(field: &[u8]) -> Vec<u8>;
    }
}
