//! Exchanges as a person reads them, with secrets redacted by the kind of their field.

use crate::net::ConnectionInfo;
use hsm_core::{Explanation, Transcript};
use hsm_plugin_sdk::FieldKind;
use std::fmt::Write;

/// Longest value shown of a field without secrets.
const SHOWN: usize = 64;

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
        let _ = write!(text, "\n  ! {}: {}", explanation.code, explanation.text);
    }
    log::info!(target: "hsm::trace", "{text}");
}

/// Logs why a request was refused.
pub(crate) fn log_refusal(connection: &ConnectionInfo, message: &[u8], explanation: &Explanation) {
    log::info!("connection {} {}: {}: {}", connection.id, code(message), explanation.code, explanation.text);
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
            let (first, rest) = value.split_at(6);
            let (hidden, last) = rest.split_at(rest.len() - 4);
            format!("{}{}{}", printable(first), "*".repeat(hidden.len()), printable(last))
        }
        FieldKind::Account | FieldKind::PinBlock | FieldKind::Secret => "*".repeat(value.len().min(SHOWN)),
        FieldKind::Binary => {
            let mut text = String::from("<");
            for byte in value.iter().take(SHOWN / 2) {
                let _ = write!(text, "{byte:02X}");
            }
            text.push_str(if value.len() > SHOWN / 2 { "...>" } else { ">" });
            text
        }
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
