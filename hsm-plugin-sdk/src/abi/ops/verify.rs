//! Operations on PIN verification values, offsets and PINs under the LMK.

use super::host_operations;

host_operations! {
    /// Operations on PIN verification values, offsets and PINs under the LMK.
    pub trait VerifyOps {
    }
}
