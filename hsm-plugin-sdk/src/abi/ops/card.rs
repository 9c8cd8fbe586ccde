//! Operations on card verification values.

use super::host_operations;
use crate::abi::KeyHandle;

host_operations! {
    /// Operations on card verification values.
    pub trait CardOps {
        /// The CVV or CVC as 3 ASCII digits. PAN, expiry date (4) and service code (3) are ASCII digits.
        fn cvv(cvk: KeyHandle, pan: &[u8], expiry: [u8; 4], service_code: [u8; 3]) -> [u8; 3];

        /// Whether the CVV or CVC is right.
        fn cvv_verify(cvk: KeyHandle, pan: &[u8], expiry: [u8; 4], service_code: [u8; 3], cvv: [u8; 3]) -> bool;
    }
}
