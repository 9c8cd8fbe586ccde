//! Exchanges as a person reads them, with secrets redacted by the kind of their field.

use crate::net::ConnectionInfo;
use hsm_core::{Explanation, Transcript, hex};
use hsm_plugin_sdk::{ErrorCode, FieldKind};
use std::fmt::Write;

/// Longest value shown of a field without secrets.
const SHOWN: usize = 64;
/// Longest binary value shown, a MAC. What is longer may have an account number in it.
const SHOWN_BINARY: usize = 8;

/// Logs a request and its response field by field.
pub(crate) fn log_exchange(connection: &ConnectionInfo, message: &[u8], response: &[u8], transcript: &Transcript) {
    let mut text = format!("connection {} {} -> {}", connection.id, code(message), code(response));
    let body = message.get(2..).unwrap_or_default();
    let answer = response.get(2..).unwrap_or_default();
    if let Some(error) = answer.get(..2) {
        let _ = write!(text, " {}", String::from_utf8_lossy(error));
    }
    for field in &transcript.fields {
        let from = if field.response { answer } else { body };
        let value = from.get(field.offset..field.offset.saturating_add(field.len)).unwrap_or_default();
        let arrow = if field.response { '<' } else { '>' };
        let _ = write!(
            text,
            "\n  {arrow} {:<32} {:>5} {:>5}  {}",
            field.name,
            field.offset,
            field.len,
            show(field.kind, value)
        );
    }
    if let Some(explanation) = &transcript.explanation {
        let _ = write!(text, "\n  ! {}: {}", answered(response, explanation), explanation.text);
    }
    log::info!(target: "hsm::trace", "{text}");
}

/// Logs why a request was refused.
pub(crate) fn log_refusal(connection: &ConnectionInfo, message: &[u8], response: &[u8], explanation: &Explanation) {
    let error = answered(response, explanation);
    log::info!("connection {} {}: {error}: {}", connection.id, code(message), explanation.text);
}

/// The error code that went out: a command may have made another of the one that is explained, as 11 of 10.
fn answered(response: &[u8], explanation: &Explanation) -> ErrorCode {
    match response.get(2..4) {
        Some(&[a, b]) => ErrorCode::from_bytes([a, b]),
        _ => explanation.code,
    }
}

/// A field's value as a trace may show it.
#[must_use]
pub fn show(kind: FieldKind, value: &[u8]) -> String {
    match kind {
        FieldKind::Key => match value.first() {
            Some(scheme) if !scheme.is_ascii_hexdigit() => {
                format!("{}*** key of {} characters", char::from(*scheme), value.len())
            }
            _ => format!("*** key of {} digits", value.len()),
        },
        FieldKind::Account if value.len() > 10 => {
            // Of a whole PAN the BIN may be shown, too; shorter fields and those of 18 characters have no room to hide what follows it.
            let first = if value.len() == 18 || value.len() < 15 { 0 } else { 6 };
            let (first, rest) = value.split_at(first);
            let (hidden, last) = rest.split_at(rest.len() - 4);
            format!("{}{}{}", printable(first), "*".repeat(hidden.len()), printable(last))
        }
        FieldKind::Account | FieldKind::PinBlock | FieldKind::Secret => "*".repeat(value.len().min(SHOWN)),
        FieldKind::Binary if value.len() > SHOWN_BINARY => format!("<{} bytes>", value.len()),
        FieldKind::Binary => format!("<{}>", hex::encode(value)),
        _ if value.len() > SHOWN => format!("{}...", printable(&value[..SHOWN])),
        _ => printable(value),
    }
}

fn printable(value: &[u8]) -> String {
    value.iter().map(|c| if c.is_ascii_graphic() || *c == b' ' { char::from(*c) } else { '.' }).collect()
}

fn code(message: &[u8]) -> String {
    printable(message.get(..2).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_shows_no_secret_and_no_whole_account_number() {
        for (kind, value, shown) in [
            (FieldKind::Account, &b"4111111111111111"[..], "411111******1111"),
            (FieldKind::Account, b"P4111111111111111", "P41111*******1111"),
            // Without BIN and check digit few digits would be left to guess.
            (FieldKind::Account, b"111111111111", "********1111"),
            (FieldKind::Account, b"50103093936N", "********936N"),
            (FieldKind::Account, b"FF2283400000123456", "**************3456"),
            (FieldKind::Account, &[0x11; 8], "********"),
            (FieldKind::Key, b"U1EF828AA8F6B80EB83E19FBC373F3A85", "U*** key of 33 characters"),
            (FieldKind::Key, b"BAB32D775A38E4AB", "*** key of 16 digits"),
            (FieldKind::Secret, b"1234", "****"),
            (FieldKind::PinBlock, b"97793852608C59BF", "****************"),
            (FieldKind::Binary, b"\x01\x02\xFF", "<0102FF>"),
            (FieldKind::Binary, b"02004111111111111111", "<20 bytes>"),
            (FieldKind::Text, b"a\x07b", "a.b"),
        ] {
            assert_eq!(show(kind, value), shown);
        }
    }

    #[test]
    fn the_code_that_went_out_is_the_one_that_is_explained() {
        let explanation = Explanation { code: ErrorCode::SOURCE_KEY_PARITY, text: String::new() };
        assert_eq!(answered(b"CB11", &explanation), ErrorCode::DESTINATION_KEY_PARITY);
        assert_eq!(answered(b"", &explanation), ErrorCode::SOURCE_KEY_PARITY);
    }
}
