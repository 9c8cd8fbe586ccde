//! Operations on keys and data under an old LMK, and key components.

use super::host_operations;

host_operations! {
    /// Operations on keys and data under an old LMK, and key components.
    pub trait MigrationOps {
    }
}
