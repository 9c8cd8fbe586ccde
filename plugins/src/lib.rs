//! The bundled host commands. Each is a file of `src/bin`, built for wasm32 as a plugin; natively they are modules of this library, so
//! that an embedder can link them and tests can run them without WASM. What commands of a family share is here.

extern crate self as hsm_plugins;

pub mod asymmetric;

use hsm_plugin_sdk::prelude::*;

#[cfg(not(target_family = "wasm"))]
mod native {
    include!(concat!(env!("OUT_DIR"), "/commands.rs"));
}

#[cfg(not(target_family = "wasm"))]
pub use native::*;

/// DC and EC: verify a PIN with the Visa PVV method (pins.md 2.19).
///
/// # Errors
/// The codes of the command's page.
pub fn verify_pvv<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>, pin_key: KeyPurpose) -> Result<Response<'h>> {
    let key = req.key("PIN key", pin_key)?;
    let pvk = req.double_key("PVK pair", KeyPurpose::PVK)?;
    let block = req.pin_block("PIN block", &key)?;
    let format = req.digit_array("PIN block format")?;
    let account = req.account("Account number", &[format])?;
    let pvki = req.digits("PVKI", 1)?[0];
    let pvv = req.secret_digit_array("PVV")?;
    req.end()?;

    let key = hsm.open_source(&key)?;
    let pvk = hsm.open_destination(&pvk)?;
    hsm.pin_format(format)?;
    let pin = hsm.pin_decode(key, format, &block, account)?;
    if !hsm.pvv_verify(pin, pvk, account, pvki, pvv)? {
        return Err(ErrorCode::VERIFICATION_FAILED.into());
    }
    Ok(hsm.response())
}
