//! Operations on user storage.

use super::host_operations;

host_operations! {
    /// Operations on user storage.
    pub trait StorageOps {
    }
}
