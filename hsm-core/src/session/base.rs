//! Operations every command may use, and what they leave for the operator.

use super::Session;
use crate::lmk::LmkScheme;
use crate::settings::Settings;
use crate::solicitation::MAX_BATCH;
use hsm_plugin_sdk::abi::{BaseOps, ErrorCode, FieldKind};
use zeroize::Zeroizing;

/// Fields a request may report; a plugin that reports more is cut short.
const MAX_REPORTS: usize = 256;

/// Responses that may follow the first: as many as a batch of solicitation data has records.
const MAX_LATER: usize = MAX_BATCH;

/// Bytes of all responses that follow the first: such a batch with PINs under an AES LMK, and a trailer in each.
const MAX_LATER_BYTES: usize = 128 * 1024;

/// A field that a command read or wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedField {
    /// Whether the field is the response's.
    pub response: bool,
    /// Name as the manual gives it.
    pub name: String,
    /// Offset in the body of the request, or in the response after the response code.
    pub offset: usize,
    /// Length in bytes.
    pub len: usize,
    /// What the field holds, which decides how it may be shown.
    pub kind: FieldKind,
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The code of the response.
    pub code: ErrorCode,
    /// The reason, for a person. Never holds a secret.
    pub text: String,
}

/// What a request leaves behind for traces and logs, which is never secret, and the messages that are still to be sent.
#[derive(Clone, Default)]
pub struct Transcript {
    /// Fields in the order they were read and written, if tracing is on.
    pub fields: Vec<TracedField>,
    /// Why the request was refused, if the command or an operation said so.
    pub explanation: Option<Explanation>,
    /// Messages that follow the response: response code and the rest. They may hold what the response may, such as PINs under the LMK.
    pub later: Vec<([u8; 2], Zeroizing<Vec<u8>>)>,
}

impl core::fmt::Debug for Transcript {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { fields, explanation, later } = self;
        write!(f, "Transcript {{ {fields:?}, {explanation:?}, {} more responses }}", later.len())
    }
}

impl Transcript {
    pub(super) fn clear(&mut self) {
        self.fields.clear();
        self.explanation = None;
        self.later.clear();
    }

    pub(super) fn explain(&mut self, code: ErrorCode, text: String) {
        self.explanation = Some(Explanation { code, text });
    }
}

impl BaseOps for Session {
    fn trace_field(&mut self, response: bool, name: &str, offset: u32, len: u32, kind: u8) -> Result<(), ErrorCode> {
        let kind = FieldKind::from_number(kind).ok_or(ErrorCode::INTERNAL)?;
        if self.transcript.fields.len() < MAX_REPORTS {
            let (offset, len) = (offset as usize, len as usize);
            self.transcript.fields.push(TracedField { response, name: printable(name), offset, len, kind });
        }
        Ok(())
    }

    fn trace_restart(&mut self) -> Result<(), ErrorCode> {
        self.transcript.fields.clear();
        Ok(())
    }

    fn explain(&mut self, code: u16, field: &str, offset: u32, rule: &str) -> Result<(), ErrorCode> {
        let text = format!("{} at offset {offset} {}", printable(field), printable(rule));
        self.transcript.explain(ErrorCode::from_bytes(code.to_be_bytes()), text);
        Ok(())
    }

    fn log(&mut self, text: &str) -> Result<(), ErrorCode> {
        let [first, second] = self.command.map(char::from);
        log::warn!("plugin {first}{second}: {}", printable(text));
        Ok(())
    }

    fn select_lmk(&mut self, id: u8) -> Result<(), ErrorCode> {
        if !self.state.lmks.slots.contains_key(&id) {
            return self.refuse(ErrorCode::LMK_INVALID, format!("no LMK is loaded in slot {id:02}"));
        }
        if let Some(port) = self.port_lmk.filter(|port| *port != id && self.state.settings.require_port_lmk) {
            let why = format!("LMK {id:02} may not be selected on the port of LMK {port:02}");
            return self.refuse(ErrorCode::LMK_INVALID, why);
        }
        self.lmk_id = id;
        Ok(())
    }

    fn double_length_zmk(&mut self) -> Result<bool, ErrorCode> {
        Ok(self.state.settings.double_length_zmk)
    }

    fn is_key_block_lmk(&mut self) -> Result<bool, ErrorCode> {
        Ok(self.lmk()?.scheme() == LmkScheme::KeyBlock)
    }

    fn lmk_check_value(&mut self) -> Result<[u8; 16], ErrorCode> {
        let Settings { long_lmk_check_value, restrict_kcv, .. } = *self.state.settings;
        let value = self.lmk()?.check_value();
        let mut digits = [b'0'; 16];
        let shown = if long_lmk_check_value && !restrict_kcv { 16 } else { 6 };
        for (digit, shown) in digits.iter_mut().zip(crate::hex::encode(&value).bytes()).take(shown) {
            *digit = shown;
        }
        Ok(digits)
    }

    fn firmware(&mut self) -> Result<[u8; 9], ErrorCode> {
        Ok(self.state.settings.firmware)
    }

    fn pci_hsm_state(&mut self) -> Result<u8, ErrorCode> {
        let settings = &self.state.settings;
        let all = settings.separate_002
            && settings.restricts_pin_blocks_as_pci()
            && settings.restrict_kcv
            && settings.refuse_single_posing
            && !settings.single_des;
        Ok(if all { 1 } else { 2 * u8::from(settings.separate_002) })
    }

    fn random(&mut self, len: u16) -> Result<Vec<u8>, ErrorCode> {
        let mut bytes = vec![0; usize::from(len.min(256))];
        self.random.fill_bytes(&mut bytes);
        Ok(bytes)
    }

    fn also_respond(&mut self, code: [u8; 2], body: &[u8]) -> Result<(), ErrorCode> {
        let later = &mut self.transcript.later;
        let bytes = later.iter().map(|(_, body)| body.len()).sum::<usize>() + body.len();
        if later.len() < MAX_LATER && bytes <= MAX_LATER_BYTES {
            later.push((code, Zeroizing::new(body.to_vec())));
        }
        Ok(())
    }
}

/// Text from a plugin, fit for a log line.
fn printable(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { '.' } else { c }).collect()
}
