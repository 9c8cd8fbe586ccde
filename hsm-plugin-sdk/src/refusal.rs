//! Why a command refuses a request.

use crate::abi::ErrorCode;

/// The result of reading a field, of a host operation or of a whole command.
pub type Result<T, E = Refusal> = core::result::Result<T, E>;

/// A refusal: the code for the wire, and for the operator the field, its offset and the rule it broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The error code of the response.
    pub code: ErrorCode,
    /// The field, as the manual names it; empty where a host operation refused and has said why itself.
    pub field: &'static str,
    /// Offset of the field in the request's body, in bytes.
    pub offset: usize,
    /// The rule, as a clause that follows the field's name: "must be decimal digits".
    pub rule: &'static str,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, field: "", offset: 0, rule: "" }
    }
}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.code)?;
        if self.field.is_empty() { Ok(()) } else { write!(f, ": {} at {} {}", self.field, self.offset, self.rule) }
    }
}

impl core::error::Error for Refusal {}
