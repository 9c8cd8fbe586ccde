//! Operations on RSA and elliptic-curve keys.

use super::host_operations;

host_operations! {
    /// Operations on RSA and elliptic-curve keys.
    pub trait AsymmetricOps {
    }
}
