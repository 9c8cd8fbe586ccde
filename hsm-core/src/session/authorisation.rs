//! Operations on the authorised state.

use super::Session;
use crate::authorisation::Activity;
use hsm_plugin_sdk::abi::{AuthorisationOps, ErrorCode};

impl AuthorisationOps for Session {
    fn cancel_authorisation(&mut self, activities: Option<&[u8]>) -> Result<u16, ErrorCode> {
        let mut which = Vec::new();
        for activity in activities.into_iter().flat_map(|list| list.split(|c| *c == b';')) {
            // Only the host's own parser says why; a bad activity leaves the others authorised too.
            match core::str::from_utf8(activity).unwrap_or_default().parse::<Activity>() {
                Ok(activity) => which.push(activity),
                Err(error) => return self.refuse(ErrorCode::INPUT_DATA, error.to_string()),
            }
        }
        self.lmk()?;
        let cancelled = self.module.cancel_authorisation(self.lmk_id, activities.map(|_| which.as_slice()));
        Ok(u16::try_from(cancelled).unwrap_or(u16::MAX))
    }
}
