//! Operations on DUKPT keys.

use super::host_operations;

host_operations! {
    /// Operations on DUKPT keys.
    pub trait DukptOps {
    }
}
