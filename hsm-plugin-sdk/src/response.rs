//! Writing a response field by field.

use crate::{Hsm, LegacyOptions, abi::ErrorCode, abi::FieldKind};

/// A response in the making: the error code, then the fields in order.
pub struct Response<'h> {
    hsm: Hsm<'h>,
    out: Vec<u8>,
}

impl core::fmt::Debug for Response<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Response {{ {} bytes }}", self.out.len())
    }
}

impl<'h> Response<'h> {
    pub(crate) fn new(hsm: Hsm<'h>) -> Self {
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(ErrorCode::OK.as_bytes());
        Self { hsm, out }
    }

    /// Answers another code than 00 although fields follow: an advice (01, 02), or a diagnosis after 01.
    pub fn advice(&mut self, code: ErrorCode) {
        if let Some(at) = self.out.first_chunk_mut() {
            *at = *code.as_bytes();
        }
    }

    /// Writes printable text without secrets.
    pub fn text(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.put(name, FieldKind::Text, value.as_ref());
    }

    /// Writes ASCII digits without secrets.
    pub fn digits(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.put(name, FieldKind::Digits, value.as_ref());
    }

    /// Writes a number as `width` decimal digits, zero-filled on the left; digits that do not fit are lost.
    pub fn number(&mut self, name: &str, value: usize, width: usize) {
        let start = self.out.len();
        let mut value = value;
        self.out.resize(start + width, b'0');
        for digit in self.out.iter_mut().skip(start).rev() {
            *digit = b'0' + (value % 10) as u8;
            value /= 10;
        }
        self.trace(name, FieldKind::Digits, start);
    }

    /// Writes bytes as upper-case hexadecimal digits.
    pub fn hex(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.put_hex(name, FieldKind::Hex, value.as_ref());
    }

    /// Writes a check value as the legacy commands do: 6 hexadecimal digits for check value type 1, else 16 (keys.md 0.4).
    pub fn legacy_check_value(&mut self, options: LegacyOptions, kcv: [u8; 8]) {
        self.hex("Key check value", if options.kcv_type == b'1' { &kcv[..3] } else { &kcv[..] });
    }

    /// Writes bytes as they are.
    pub fn bytes(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.put(name, FieldKind::Binary, value.as_ref());
    }

    /// Writes a key field.
    pub fn key(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.put(name, FieldKind::Key, value.as_ref());
    }

    /// Writes an encrypted PIN block as hexadecimal digits.
    pub fn pin_block(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.put_hex(name, FieldKind::PinBlock, value.as_ref());
    }

    /// Writes a PIN under the LMK as it stands.
    pub fn lmk_pin(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.put(name, FieldKind::PinBlock, value.as_ref());
    }

    /// Writes something that no trace may show, such as a CVV or a PIN.
    pub fn secret(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.put(name, FieldKind::Secret, value.as_ref());
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    fn put(&mut self, name: &str, kind: FieldKind, value: &[u8]) {
        let start = self.out.len();
        self.out.extend_from_slice(value);
        self.trace(name, kind, start);
    }

    fn put_hex(&mut self, name: &str, kind: FieldKind, value: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let start = self.out.len();
        self.out.reserve(2 * value.len());
        for byte in value {
            self.out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        self.trace(name, kind, start);
    }

    fn trace(&self, name: &str, kind: FieldKind, start: usize) {
        if self.hsm.traces() {
            // A trace is a courtesy: a host that does not take it changes nothing.
            let _ = self.hsm.trace_field(true, name, start as u32, (self.out.len() - start) as u32, kind as u8);
        }
    }
}
