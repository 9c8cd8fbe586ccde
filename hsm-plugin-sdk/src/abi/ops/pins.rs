//! Operations on PINs.

use super::host_operations;
use crate::abi::{AccountField, KeyHandle, KsnField, PinHandle};

host_operations! {
    /// Operations on PINs. A guest never sees a clear PIN.
    pub trait PinOps {
        /// Checks the format code (2 digits) of a PIN block under a key: 23 if unknown, not allowed here or not for the key's algorithm, 69 if
        /// disabled.
        fn pin_format(key: KeyHandle, code: [u8; 2]) -> ();

        /// Checks a format code for a PIN block that is made: as [`pin_format`](PinOps::pin_format), and 34 where a setting allows it.
        fn pin_output_format(key: KeyHandle, code: [u8; 2]) -> ();

        /// Checks that a PIN block under a key may become one of another format under a destination key: 23 and 69 as
        /// [`pin_format`](PinOps::pin_format), 23 where PIN blocks are restricted.
        fn pin_translation(key: KeyHandle, from: [u8; 2], destination: KeyHandle, to: [u8; 2]) -> ();

        /// Whether the setting "tokens in PIN translation" is on.
        fn tokens_in_translation() -> bool;

        /// Checks that a PIN block for an account may become one for a destination account, each of a format: 23 where PIN blocks are
        /// restricted and the account must stay the same; 22.
        fn pin_account_change(
            from: [u8; 2],
            account: AccountField<'_>,
            to: [u8; 2],
            destination_account: AccountField<'_>,
        ) -> ();

        /// Checks the characters of an account field: 22.
        fn account_check(account: AccountField<'_>) -> ();

        /// Decrypts and decodes a PIN block of 8 bytes, or 16 for format 48.
        ///
        /// 20 for a bad structure, 22 for the account, 24 for the PIN length.
        fn pin_decode(key: KeyHandle, format: [u8; 2], block: &[u8], account: AccountField<'_>) -> PinHandle;

        /// Encodes and encrypts a PIN into a block of 8 or 16 bytes.
        fn pin_encode(pin: PinHandle, key: KeyHandle, format: [u8; 2], account: AccountField<'_>) -> Vec<u8>;

        /// Number of digits of a PIN.
        fn pin_length(pin: PinHandle) -> u8;

        /// The key that a BDK gives for a key serial number.
        fn pin_dukpt_key(bdk: KeyHandle, ksn: KsnField<'_>) -> KeyHandle;
    }
}
