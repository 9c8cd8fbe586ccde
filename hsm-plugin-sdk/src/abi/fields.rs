//! Fields of a request that operations take together.

use super::wire::{Reader, Wire, structs};
use core::fmt::{Debug, Formatter, Result};

/// An account field as it stands in a request, and which of the forms of pins.md 1.4 it has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AccountField<'a> {
    /// The form.
    pub form: AccountForm,
    /// The characters of the field. The host checks them.
    pub digits: &'a [u8],
}

/// The forms of an account field (pins.md 1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountForm {
    /// The 12 rightmost digits of the PAN without its check digit.
    Twelve,
    /// 18 characters for format 04: the PAN without its check digit, right-justified, filled with `F`.
    Plus,
    /// The whole PAN with its check digit, for format 48.
    Pan,
}

impl Debug for AccountField<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "AccountField {{ {:?}, {} characters }}", self.form, self.digits.len())
    }
}

impl Wire<'_> for AccountForm {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }
    fn get(from: &mut Reader<'_>) -> Option<Self> {
        match u8::get(from)? {
            0 => Some(Self::Twelve),
            1 => Some(Self::Plus),
            2 => Some(Self::Pan),
            _ => None,
        }
    }
}

/// A table of PINs that may not be chosen (pins.md 1.8).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ExcludedPins<'a> {
    /// How many PINs the field says that there are.
    pub count: u8,
    /// Number of digits of each PIN.
    pub length: u8,
    /// The PINs, one after the other. Whether they are `count` is for the host to check.
    pub digits: &'a [u8],
}

impl Debug for ExcludedPins<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "ExcludedPins {{ {} of {} digits }}", self.count, self.length)
    }
}

/// What the IBM method takes besides key, PIN and offset, in the order of every command (pins.md 1.5, 1.6). The host checks all of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct IbmFields<'a> {
    /// Minimum PIN length: 2 digits, `04` to `12`.
    pub check_length: [u8; 2],
    /// The account, which may also decode a PIN block.
    pub account: AccountField<'a>,
    /// The decimalisation table: plain, encrypted, or where it is in user storage.
    pub table: &'a [u8],
    /// The validation data: `P` and 16 characters, or 12 characters.
    pub validation_data: &'a [u8],
}

impl Debug for IbmFields<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "IbmFields {{ {} of {:?} }}", self.check_length.escape_ascii(), self.account)
    }
}

/// Which table in user storage the Diebold method takes, and how (pins.md 2.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DieboldTable {
    /// Index of the table: 3 hexadecimal digits.
    pub index: [u8; 3],
    /// Algorithm number: 2 hexadecimal digits.
    pub algorithm: [u8; 2],
}

/// What the Diebold method takes besides PIN and offset.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DieboldFields<'a> {
    /// The table.
    pub table: DieboldTable,
    /// The account, which may also decode a PIN block.
    pub account: AccountField<'a>,
    /// The validation data, 16 characters.
    pub validation_data: [u8; 16],
}

impl Debug for DieboldFields<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "DieboldFields {{ {:?} of {:?} }}", self.table, self.account)
    }
}

/// A key serial number (pins.md 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KsnField<'a> {
    /// KSN descriptor: 3 hexadecimal digits.
    pub descriptor: [u8; 3],
    /// The KSN's hexadecimal digits, or a reference into user storage (`K` and 3 digits), which the host follows.
    pub digits: &'a [u8],
}

/// What a MAC under a DUKPT key is over, and how it is computed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DukptMac<'a> {
    /// Key serial number of the transaction.
    pub ksn: KsnField<'a>,
    /// Which MAC key of the transaction: 0 of a request, from the terminal to the host, 1 in both directions, 2 of a response.
    pub direction: u8,
    /// 1 for ISO 9797-1 algorithm 3 (X9.19), 2 for algorithm 1 (X9.9), 3 for CMAC.
    pub method: u8,
    /// The message.
    pub message: &'a [u8],
}

impl Debug for DukptMac<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { ksn, direction, method, message } = self;
        write!(f, "DukptMac {{ {ksn:?}, direction {direction}, method {method}, {} bytes }}", message.len())
    }
}

/// A transaction of a card, as its application cryptogram sees it (card-emv-mac.md 2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EmvTransaction<'a> {
    /// How the card derives its key: 0 Visa VSDC, 1 Mastercard M/Chip, 2 Amex AEIPS.
    pub scheme: u8,
    /// PAN and PAN sequence number, packed.
    pub pan_psn: [u8; 8],
    /// Application transaction counter.
    pub atc: [u8; 2],
    /// Unpredictable number.
    pub un: [u8; 4],
    /// The transaction data.
    pub data: &'a [u8],
}

impl Debug for EmvTransaction<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "EmvTransaction {{ scheme {}, {} bytes }}", self.scheme, self.data.len())
    }
}

structs! {
    AccountField<'a> { form, digits }
    ExcludedPins<'a> { count, length, digits }
    IbmFields<'a> { check_length, account, table, validation_data }
    DieboldTable { index, algorithm }
    DieboldFields<'a> { table, account, validation_data }
    KsnField<'a> { descriptor, digits }
    DukptMac<'a> { ksn, direction, method, message }
    EmvTransaction<'a> { scheme, pan_psn, atc, un, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crosses<'a, T: Wire<'a> + PartialEq + Debug>(value: T, buffer: &'a mut Vec<u8>) {
        value.put(buffer);
        let bytes: &[u8] = buffer;
        let mut reader = Reader::new(bytes);
        assert_eq!(T::get(&mut reader), Some(value));
        assert!(reader.is_empty());
        assert!((0..bytes.len()).all(|len| T::get(&mut Reader::new(&bytes[..len])).is_none()));
    }

    #[test]
    fn groups_of_fields_cross_the_boundary_unchanged() {
        let account = AccountField { form: AccountForm::Plus, digits: b"FF2283400000123456" };
        let table = DieboldTable { index: *b"3E0", algorithm: *b"25" };
        let ksn = KsnField { descriptor: *b"605", digits: b"FFFF9876543210E00001" };
        crosses(ExcludedPins { count: 2, length: 4, digits: b"12341111" }, &mut Vec::new());
        let ibm =
            IbmFields { check_length: *b"04", account, table: b"0123456789012345", validation_data: b"4000001234N5" };
        crosses(ibm, &mut Vec::new());
        crosses(DieboldFields { table, account, validation_data: [b'F'; 16] }, &mut Vec::new());
        crosses(DukptMac { ksn, direction: 2, method: 3, message: b"message" }, &mut Vec::new());
        crosses(EmvTransaction { scheme: 1, pan_psn: [1; 8], atc: [2; 2], un: [3; 4], data: b"data" }, &mut Vec::new());
    }
}
