//! A key behind a key length flag (keys.md 7 `BU`, `BW`, `GK`).

use hsm_plugin_sdk::prelude::*;

/// A key field and the flag before it: 0 single, 1 double, 2 triple length, `F` key block.
#[derive(Debug)]
pub struct FlaggedKey<'h> {
    /// The key.
    pub key: KeyField<'h>,
    /// Where the flag is.
    at: usize,
    /// Key length in bytes; `None` for a key block.
    len: Option<u16>,
}

impl<'h> FlaggedKey<'h> {
    /// Reads flag and key. `triple` are the flags for triple length.
    ///
    /// # Errors
    /// 05 for an unknown flag, or one that is not that of the key; 15, 26 for the key.
    pub fn read(req: &mut Request<'h>, name: &'static str, purpose: KeyPurpose, triple: &[u8]) -> Result<Self> {
        let at = req.offset();
        let flag = read_flag(req, triple)?;
        let (len, schemes): (_, &[u8]) = match flag {
            b'0' => (Some(8), b"Z"),
            b'1' => (Some(16), b"UX"),
            b'F' => (None, b"SR"),
            _ => (Some(24), b"TY"),
        };
        let key = req.sized_key(name, purpose, len.map_or(16, |len| 2 * usize::from(len)))?;
        let fits = match key.scheme() {
            // A key block in user storage shows its tag.
            None => len.is_some(),
            Some(scheme) => schemes.contains(&scheme),
        };
        if fits { Ok(Self { key, at, len }) } else { Err(refuse(req, at, "must be that of the key")) }
    }

    /// Checks the flag against the key that was opened: a reference into user storage does not show what is there.
    ///
    /// # Errors
    /// 05.
    pub fn check(&self, req: &Request<'h>, hsm: &Hsm<'h>, key: KeyHandle) -> Result<()> {
        match self.len {
            Some(len) if self.key.is_untagged_reference() && hsm.key_length(key)? != len => {
                Err(refuse(req, self.at, "must be that of the key"))
            }
            _ => Ok(()),
        }
    }
}

/// Reads a flag, whatever key follows.
///
/// # Errors
/// 05 for an unknown flag.
pub fn read_flag(req: &mut Request<'_>, triple: &[u8]) -> Result<u8> {
    let at = req.offset();
    match req.text("Key length flag", 1)? {
        [flag] if b"01F".contains(flag) || triple.contains(flag) => Ok(*flag),
        _ => Err(refuse(req, at, "must be 0 single, 1 double, 2 triple or F key block")),
    }
}

fn refuse(req: &Request<'_>, at: usize, rule: &'static str) -> Refusal {
    req.refuse_with(ErrorCode::KEY_LENGTH_FLAG, "Key length flag", at, rule)
}
