//! Operations every command may use: tracing, the LMK selector, settings, second responses.

use super::host_operations;

/// What a field of a message holds. It decides how a trace shows the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum FieldKind {
    /// Printable text without secrets.
    Text = 0,
    /// Decimal digits without secrets.
    Digits = 1,
    /// Hexadecimal digits without secrets.
    Hex = 2,
    /// Raw bytes without secrets.
    Binary = 3,
    /// A key under an LMK, ZMK or TMK: shown as its scheme and length only.
    Key = 4,
    /// An account number: of a whole PAN the first six and last four digits are shown, of shorter fields the last four.
    Account = 5,
    /// An encrypted PIN or PIN block: never shown.
    PinBlock = 6,
    /// Secret in clear, such as a PIN, a PVV or a CVV: never shown.
    Secret = 7,
}

impl FieldKind {
    /// The kind with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Text,
            1 => Self::Digits,
            2 => Self::Hex,
            3 => Self::Binary,
            4 => Self::Key,
            5 => Self::Account,
            6 => Self::PinBlock,
            7 => Self::Secret,
            _ => return None,
        })
    }
}

host_operations! {
    /// Operations every command may use.
    pub trait BaseOps {
        /// Reports a field of the request (`false`) or the response (`true`): name, offset and length in bytes, [`FieldKind`].
        fn trace_field(response: bool, name: &str, offset: u32, len: u32, kind: u8) -> ();

        /// Forgets the fields that were reported: the request is read again in another way.
        fn trace_restart() -> ();

        /// Says why a request is refused: the field, its offset in the body and the rule it broke.
        fn explain(code: u16, field: &str, offset: u32, rule: &str) -> ();

        /// Writes a line to the host's log, for a plugin's author.
        fn log(text: &str) -> ();

        /// Selects the LMK for this request (`%nn`). 13 if there is no such LMK.
        fn select_lmk(id: u8) -> ();

        /// Whether an untagged ZMK is 32 hex digits (setting "ZMK length").
        fn double_length_zmk() -> bool;

        /// Whether the selected LMK wraps keys in key blocks.
        fn is_key_block_lmk() -> bool;

        /// The check value of the selected LMK: 16 hex digits in ASCII (NC).
        fn lmk_check_value() -> [u8; 16];

        /// The firmware number: 9 characters `xxxx-xxxx` (NC, NO).
        fn firmware() -> [u8; 9];

        /// Whether the settings are those of PCI HSM: 1 all of them; 0 not all, key type 002 separation among those that are not; 2 not all,
        /// but that one is (NO).
        fn pci_hsm_state() -> u8;

        /// Random bytes, 256 at most (N0).
        fn random(len: u16) -> Vec<u8>;

        /// Sends another message after the response, as the print commands and QC do: response code and everything after it.
        fn also_respond(code: [u8; 2], body: &[u8]) -> ();
    }
}
