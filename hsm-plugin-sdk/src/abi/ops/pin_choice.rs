//! Operations on PINs that are being chosen.

use super::host_operations;
use crate::abi::{ExcludedPins, PinHandle};

host_operations! {
    /// Operations on PINs that are being chosen, by a customer or by the HSM (pins.md 1.8).
    pub trait PinChoiceOps {
        /// Checks a PIN that is being chosen against excluded PINs and the device's own rules: 03, 81, 86.
        fn pin_may_be_chosen(pin: PinHandle, excluded: Option<ExcludedPins<'_>>) -> ();

        /// A random PIN that may be chosen. 24 for a length that a PIN under the LMK cannot have; 03, 81.
        fn pin_random(length: u8, excluded: Option<ExcludedPins<'_>>) -> PinHandle;

        /// Replaces the device's table of excluded PINs of one length: 03, 17, 81.
        fn excluded_pins_load(excluded: ExcludedPins<'_>) -> ();
    }
}
