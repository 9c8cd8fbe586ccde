//! Base derivation keys with their flags.

use super::{KeyField, Request};
use crate::{KeyPurpose, Result};

impl<'h> Request<'h> {
    /// Reads a BDK with its optional flag: `*` BDK-1, `~` BDK-2, none BDK-1 or what a key block says (pins.md 2.25).
    ///
    /// # Errors
    /// As [`Request::key`].
    pub fn bdk(&mut self, name: &'static str) -> Result<KeyField<'h>> {
        let purpose = self.bdk_flag().unwrap_or(KeyPurpose::BDK);
        self.double_key(name, purpose)
    }

    /// Reads the key that a PIN is translated to, with its optional flag: `*` BDK-1, `~` BDK-2, none a ZPK or what a key block
    /// says. Also tells whether it is a BDK.
    ///
    /// # Errors
    /// As [`Request::key`].
    pub fn pin_destination_key(&mut self) -> Result<(KeyField<'h>, bool)> {
        if let Some(bdk) = self.bdk_flag() {
            return Ok((self.double_key("Destination BDK", bdk)?, true));
        }
        let key = self.key("Destination key", KeyPurpose::ZPK)?;
        Ok(if key.is_bdk() { (key.with_purpose(KeyPurpose::BDK), true) } else { (key, false) })
    }

    fn bdk_flag(&mut self) -> Option<KeyPurpose> {
        if self.accept(b'*') {
            Some(KeyPurpose::BDK_1)
        } else if self.accept(b'~') {
            Some(KeyPurpose::BDK_2)
        } else {
            None
        }
    }
}
