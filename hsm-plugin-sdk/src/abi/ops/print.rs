//! Operations on the virtual printer.

use super::host_operations;

host_operations! {
    /// Operations on the virtual printer.
    pub trait PrintOps {
    }
}
