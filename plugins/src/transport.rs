//! What the commands share that send and receive keys (keys.md 7 `A0`, `A6`, `A8`).

use hsm_plugin_sdk::prelude::*;

/// Reads the ZMK/TMK flag, `;` and 1N: whether a TMK wraps the key. Without the flag, a ZMK does.
///
/// # Errors
/// 15.
pub fn read_terminal_flag(req: &mut Request<'_>, purpose: KeyPurpose) -> Result<bool> {
    let is_flag = |c: &u8| matches!(c, b'0' | b'1');
    if req.accept(b';') {
        return Ok(req.chars("ZMK/TMK flag", 1, is_flag, "must be 0 or 1")? == b"1");
    }
    // With a key block behind it, devices take the flag without its delimiter as well.
    if purpose == KeyPurpose::KEY_BLOCK && matches!(req.rest(), [b'0' | b'1', b'S', ..]) {
        req.chars("ZMK/TMK flag", 1, is_flag, "must be 0 or 1")?;
    }
    Ok(false)
}

/// The check value of a key that came in a field, 3 bytes. RSA and elliptic-curve keys have none: zeros.
///
/// # Errors
/// A7 for a key without a cipher.
pub fn check_value(hsm: &Hsm<'_>, field: &KeyField<'_>, key: KeyHandle) -> Result<[u8; 3]> {
    if field.is_asymmetric() {
        return Ok([0; 3]);
    }
    let [a, b, c, ..] = hsm.key_check_value(key)?;
    Ok([a, b, c])
}

/// Whether a new key goes into a key block: scheme `S`. Comes after the LMK identifier, before the attributes that a key block needs.
///
/// # Errors
/// 13; 26 for another scheme under a key-block LMK.
pub fn goes_into_block(hsm: &Hsm<'_>, purpose: KeyPurpose, scheme: u8) -> Result<bool> {
    if scheme != b'S' && purpose == KeyPurpose::KEY_BLOCK && hsm.is_key_block_lmk()? {
        return Err(ErrorCode::KEY_SCHEME.into());
    }
    Ok(scheme == b'S')
}
