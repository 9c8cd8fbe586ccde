//! Operations on PINs under the LMK and in clear.

use super::host_operations;
use crate::abi::{AccountField, PinHandle};

host_operations! {
    /// Operations on PINs under the LMK and in clear.
    pub trait LmkPinOps {
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
    }
}
