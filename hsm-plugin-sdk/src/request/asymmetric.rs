//! Fields of the commands on RSA and elliptic-curve keys.

use super::Request;
use crate::{FieldKind, Result};

impl<'h> Request<'h> {
    /// Reads `len` bytes of an encrypted key that is binary, such as an RSA private key under a variant LMK.
    ///
    /// # Errors
    /// 15 for a short field.
    pub fn key_bytes(&mut self, name: &'static str, len: usize) -> Result<&'h [u8]> {
        self.take(name, FieldKind::Key, len)
    }
}
