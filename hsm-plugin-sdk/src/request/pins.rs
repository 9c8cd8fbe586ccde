//! Fields of PIN commands (pins.md section 1).

use super::{Request, TRAILER, storage, unhex};
use crate::{
    AccountField, AccountForm, DieboldTable, ErrorCode, ExcludedPins, FieldKind, IbmFields, KeyPurpose, Result,
};

impl<'h> Request<'h> {
    /// Reads the key type field of a command that takes a PIN block under a ZPK or a TPK: `001`, `002` or `70D`, or `FFF` for what the
    /// key block says.
    ///
    /// # Errors
    /// 15 for anything else.
    pub fn pin_key_type(&mut self) -> Result<KeyPurpose> {
        let at = self.offset();
        match self.key_type("Key type").map(KeyPurpose::code).as_ref() {
            Ok(b"001") => Ok(KeyPurpose::ZPK),
            Ok(b"002" | b"70D") => Ok(KeyPurpose::TPK),
            Ok(b"FFF") => Ok(KeyPurpose::PIN_KEY),
            _ => Err(self.refuse("Key type", at, "must be 001, 002, 70D or FFF")),
        }
    }

    /// Reads the 12-digit account field of commands without a PIN block.
    ///
    /// # Errors
    /// As [`Request::account`].
    pub fn account_12(&mut self, name: &'static str) -> Result<AccountField<'h>> {
        self.account_field(name, AccountForm::Twelve, 12)
    }

    /// Reads the account that a PIN is verified with where it is not the one of the PIN block: `;` and 12 digits, if the setting "tokens in
    /// PIN verification" is on. Without the field it is `account` itself.
    ///
    /// # Errors
    /// As [`Request::account`].
    pub fn verification_account(&mut self, account: AccountField<'h>) -> Result<AccountField<'h>> {
        if self.peek() == Some(b';') && self.hsm.tokens_in_verification()? && self.accept(b';') {
            return self.account_12("Verification account number");
        }
        Ok(account)
    }

    /// Reads the account of a translated PIN block where it is not the one of the source: `;` and 12 digits, if the setting "tokens in PIN
    /// translation" is on. Without the field it is `account` itself.
    ///
    /// # Errors
    /// As [`Request::account`].
    pub fn destination_account(&mut self, account: AccountField<'h>, format: [u8; 2]) -> Result<AccountField<'h>> {
        if self.peek() == Some(b';') && self.hsm.tokens_in_translation()? && self.accept(b';') {
            return self.account("Destination account number", &[format]);
        }
        Ok(account)
    }

    /// Reads `len` secret hexadecimal digits, such as a clear PIN with its fill.
    ///
    /// # Errors
    /// 15 for a short field or another character.
    pub fn secret_hex_digits(&mut self, name: &'static str, len: usize) -> Result<&'h [u8]> {
        self.checked(name, FieldKind::Secret, len, u8::is_ascii_hexdigit, "must be hexadecimal digits")
    }

    /// Reads a PIN under the LMK: `J` and 32 hexadecimal digits for an AES LMK, else as many digits as the device's PIN length makes it.
    /// The host checks the form.
    ///
    /// # Errors
    /// 15 for a short field or another character.
    pub fn lmk_pin(&mut self, name: &'static str) -> Result<&'h [u8]> {
        let len = if self.peek() == Some(b'J') { 33 } else { self.hsm.lmk_pin_digits()?.into() };
        self.lmk_pin_of(name, len)
    }

    /// Reads a PIN under an old LMK: everything up to the tail, because the device had another PIN length when it was encrypted.
    ///
    /// # Errors
    /// 15 if there is nothing, or for another character.
    pub fn old_lmk_pin(&mut self, name: &'static str) -> Result<&'h [u8]> {
        let len = self.rest().iter().take_while(|c| c.is_ascii_hexdigit() || **c == b'J').count();
        if len == 0 {
            return Err(self.refuse(name, self.offset(), "is missing"));
        }
        self.lmk_pin_of(name, len)
    }

    fn lmk_pin_of(&mut self, name: &'static str, len: usize) -> Result<&'h [u8]> {
        let at = self.offset();
        let field = self.take(name, FieldKind::PinBlock, len)?;
        let digits = field.strip_prefix(b"J").unwrap_or(field);
        if digits.iter().all(u8::is_ascii_hexdigit) {
            Ok(field)
        } else {
            Err(self.refuse(name, at, "must be hexadecimal digits, after J for an AES LMK"))
        }
    }

    /// Reads a decimalisation table (pins.md 1.5): 16 digits, plain or encrypted as the device is set; `L` and 32 hexadecimal digits under an
    /// AES LMK; `K` and 3 for a reference into user storage. The host checks the form.
    ///
    /// # Errors
    /// 15 for a short field or another character; 12 or 21 for a reference.
    pub fn decimalisation_table(&mut self, name: &'static str) -> Result<&'h [u8]> {
        let len = match self.peek() {
            // Under an AES LMK it is longer, but which LMK that is may stand at the end of the message.
            Some(b'K') => return self.storage_reference(name, 16),
            Some(b'L') => 33,
            _ => 16,
        };
        let at = self.offset();
        let field = self.take(name, FieldKind::Secret, len)?;
        let digits = field.strip_prefix(b"L").unwrap_or(field);
        if digits.iter().all(u8::is_ascii_hexdigit) {
            Ok(field)
        } else {
            Err(self.refuse(name, at, "must be hexadecimal digits, after L for an AES LMK"))
        }
    }

    /// Reads IBM PIN validation data: `P` and 16 characters, or 12 characters. The host checks them.
    ///
    /// # Errors
    /// 15 for a short field or a control character.
    pub fn validation_data(&mut self) -> Result<&'h [u8]> {
        let len = if self.peek() == Some(b'P') { 17 } else { 12 };
        self.account_text("PIN validation data", len)
    }

    /// Reads printable characters that hold an account number, as validation data do.
    fn account_text(&mut self, name: &'static str, len: usize) -> Result<&'h [u8]> {
        self.checked(name, FieldKind::Account, len, |c| matches!(c, 0x20..=0x7E), "must be printable characters")
    }

    /// Reads check length, account number, decimalisation table and validation data. `formats` are those of the command's PIN blocks;
    /// they decide the form of the account field.
    ///
    /// # Errors
    /// 15 for a short field or wrong characters.
    pub fn ibm_fields(&mut self, formats: &[[u8; 2]]) -> Result<IbmFields<'h>> {
        Ok(IbmFields {
            check_length: self.digit_array("Check length")?,
            account: self.account("Account number", formats)?,
            table: self.decimalisation_table("Decimalisation table")?,
            validation_data: self.validation_data()?,
        })
    }

    /// Reads an IBM offset: 12 characters, digits filled with `F` on the right.
    ///
    /// # Errors
    /// 15 for a short field or anything else.
    pub fn pin_offset(&mut self) -> Result<[u8; 12]> {
        let at = self.offset();
        let offset = self.take("Offset", FieldKind::Secret, 12)?;
        let fill = offset.iter().position(|c| !c.is_ascii_digit()).unwrap_or(12);
        if fill == 0 || !offset.iter().skip(fill).all(|c| c.eq_ignore_ascii_case(&b'F')) {
            return Err(self.refuse("Offset", at, "must be digits filled with F"));
        }
        self.array("Offset", at, offset)
    }

    /// Reads a pointer to a table in user storage: `K` and 3 hexadecimal digits, which it returns.
    ///
    /// # Errors
    /// 15 for anything else.
    pub fn table_pointer(&mut self, name: &'static str) -> Result<[u8; 3]> {
        self.delimiter(name, b'K')?;
        let at = self.offset();
        let digits = self.hex_digits(name, 3)?;
        self.array(name, at, digits)
    }

    /// Reads the pointer to a Diebold table, `K` and 3H, and the algorithm number, 2H.
    ///
    /// # Errors
    /// 15 for a short field or wrong characters, 12 if nothing is loaded there, 21 for a wrong index. Whether the table is whole is for
    /// [`diebold_check`](crate::abi::VerifyOps::diebold_check).
    pub fn diebold_table(&mut self) -> Result<DieboldTable> {
        let index = self.table_pointer("Diebold table pointer")?;
        match self.hsm.storage_diebold_check(storage::index(&index)) {
            Err(ErrorCode::DIEBOLD_TABLE) => {}
            checked => checked?,
        }
        let at = self.offset();
        let algorithm = self.hex_digits("Algorithm number", 2)?;
        Ok(DieboldTable { index, algorithm: self.array("Algorithm number", at, algorithm)? })
    }

    /// Reads the validation data of the Diebold method, 16 characters.
    ///
    /// # Errors
    /// 15 for a short field or a control character.
    pub fn diebold_validation_data(&mut self) -> Result<[u8; 16]> {
        let at = self.offset();
        let data = self.account_text("Validation data", 16)?;
        self.array("Validation data", at, data)
    }

    /// Reads the optional table of excluded PINs: `*`, count 2N, PIN length 2N, and the PINs (pins.md 1.8).
    ///
    /// # Errors
    /// 15 for a count or length that is not decimal. The host checks the rest.
    pub fn excluded_pins(&mut self) -> Result<Option<ExcludedPins<'h>>> {
        if self.accept(b'*') { self.excluded_pin_table().map(Some) } else { Ok(None) }
    }

    /// Reads a table of excluded PINs without its delimiter.
    ///
    /// # Errors
    /// As [`Request::excluded_pins`].
    pub fn excluded_pin_table(&mut self) -> Result<ExcludedPins<'h>> {
        let count = self.number("Number of excluded PINs", 2)? as u8;
        let length = self.number("Length of the excluded PINs", 2)? as u8;
        let len = self.rest().iter().take_while(|c| c.is_ascii_digit()).count();
        Ok(ExcludedPins { count, length, digits: self.take("Excluded PINs", FieldKind::Secret, len)? })
    }

    /// Reads PIN solicitation records, reference number, PIN and `;` each: everything up to the last `;` before the trailer. The host checks
    /// them.
    ///
    /// # Errors
    /// 15 if there is no `;`.
    pub fn solicitation_records(&mut self) -> Result<&'h [u8]> {
        let message = self.rest().split(|c| *c == TRAILER).next().unwrap_or_default();
        match message.iter().rposition(|c| *c == b';') {
            Some(last) => self.take("Solicitation data", FieldKind::Secret, last + 1),
            None => Err(self.refuse("Solicitation data", self.offset(), "must be records ended by ;")),
        }
    }

    /// Reads a reference into user storage (`K` + 3 digits) and gets the `len` bytes that are stored there in hexadecimal digits.
    pub(super) fn stored_hex(&mut self, name: &'static str, len: usize) -> Result<Vec<u8>> {
        let at = self.offset();
        let index = self.table_pointer(name)?;
        let digits = self.hsm.stored_digits(index, 2 * len as u16)?;
        if digits.len() == 2 * len && digits.iter().all(u8::is_ascii_hexdigit) {
            Ok(unhex(&digits))
        } else {
            Err(self.refuse(name, at, "refers to something else in user storage"))
        }
    }
}
