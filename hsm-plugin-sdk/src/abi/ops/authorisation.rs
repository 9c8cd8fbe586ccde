//! Operations on the authorised state.

use super::host_operations;

host_operations! {
    /// Operations on the authorised state. A command can only take authorisation away.
    pub trait AuthorisationOps {
        /// Cancels the authorised activities of the selected LMK: all, or those of a list separated by `;`. Returns how many were in
        /// force. 15 for text that is no activity.
        fn cancel_authorisation(activities: Option<&[u8]>) -> u16;
    }
}
