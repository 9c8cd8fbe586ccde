//! Print fields.

use super::{Request, TRAILER};
use crate::{Result, abi::FieldKind};

impl<'h> Request<'h> {
    /// Reads the print fields of a printing command, with the `;` between them: up to `~`, which is read too, to one of `stops`, or to the
    /// trailer. A `%nn` that is all there is selects the LMK instead.
    ///
    /// # Errors
    /// None that a client can cause.
    pub fn print_fields(&mut self, stops: &[u8]) -> Result<&'h [u8]> {
        let rest = self.rest();
        let message = rest.split(|c| *c == TRAILER).next().unwrap_or_default();
        if let [b'%', b'0'..=b'9', b'0'..=b'9'] = message {
            return Ok(&[]);
        }
        let len = rest.iter().position(|c| matches!(*c, b'~' | TRAILER) || stops.contains(c)).unwrap_or(rest.len());
        // Names and addresses are nobody's business but the printer's.
        let fields = self.take("Print fields", FieldKind::Secret, len)?;
        self.accept(b'~');
        Ok(fields)
    }

    /// The message trailer with its delimiter, empty if there is none. Known after [`Request::end`].
    #[must_use]
    pub fn message_trailer(&self) -> &'h [u8] {
        self.trailer
    }
}
