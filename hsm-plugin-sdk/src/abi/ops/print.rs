//! Operations on the virtual printer.

use super::host_operations;
use crate::abi::{AccountField, KeyAttributes, KeyHandle, KeyPurpose};

host_operations! {
    /// Operations on the virtual printer (pins.md 2.35). What is printed in clear never comes back to the guest.
    ///
    /// Each printing operation refuses with 17 where its activity is not authorised, 16 without a printer, 18 without a print format, in that
    /// order. `fields` are print fields with `;` between them. The flag in a result tells whether the document was printed.
    pub trait PrintOps {
        /// Loads a print format, or appends to it: 15 for a symbol that does not exist or more than 299 of them.
        fn print_format_load(text: &[u8], append: bool) -> ();

        /// Loads the word that stands for a digit (0 to 9) where a PIN is printed in words.
        fn print_word_load(digit: u8, word: &[u8]) -> ();

        /// Prints a PIN mailer. `document` is `A` or `B` for the first or second mailer of a two-up form, `C` for a one-up form; `pin` is a PIN
        /// under the LMK. Gives the check value: 12 digits more than a PIN under the LMK has.
        @slow fn print_pin(document: u8, account: AccountField<'_>, pin: &[u8], fields: &[u8]) -> (Vec<u8>, bool);

        /// Whether a PIN under the LMK and its account have this check value.
        fn print_pin_verify(account: AccountField<'_>, pin: &[u8], check_value: &[u8]) -> bool;

        /// Prints a PIN solicitation mailer. Gives the check value of the reference number, 12 digits.
        @slow fn print_solicitation(document: u8, account: AccountField<'_>, fields: &[u8]) -> ([u8; 12], bool);

        /// Whether the reference number of an account has this check value.
        fn print_solicitation_verify(account: AccountField<'_>, check_value: [u8; 12]) -> bool;

        /// Generates a key component and prints it. Gives the component under the LMK as a key field of the scheme, and its check value.
        /// `attributes` are those of its key block; without them a key block gets the usual ones for the purpose.
        @slow fn print_component(
            purpose: KeyPurpose,
            scheme: u8,
            attributes: Option<KeyAttributes<'_>>,
            fields: &[u8],
        ) -> (Vec<u8>, [u8; 8], bool);

        /// Generates a key and prints it, in parts if it is to be `split`. Gives the key under the LMK as a key field of the scheme, and
        /// its check value. `attributes` as for a component.
        @slow fn print_new_key(
            purpose: KeyPurpose,
            scheme: u8,
            attributes: Option<KeyAttributes<'_>>,
            split: bool,
            fields: &[u8],
        ) -> (Vec<u8>, [u8; 8], bool);

        /// Prints a TMK.
        @slow fn print_terminal_key(key: KeyHandle, fields: &[u8]) -> bool;
    }
}
