//! HC: generate a TMK, TPK or PVK under another TMK, TPK or PVK.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Current key | key | LMK pair 14-15 |
//! | `;` key scheme (TMK), key scheme (LMK), reserved | 1A, 1A, 1A | optional group |
//!
//! Response: the new key under the current key, the new key under the LMK. No check value. Errors: 10, 26, 68 where key type
//! 002 is separated. Source: keys.md 7 (HA, HC).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "HC",
    title: "Generate a TMK, TPK or PVK",
    run: generate,
}

fn generate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let current = req.key("Current key", KeyPurpose::TERMINAL)?;
    let options = req.legacy_options()?;
    req.end()?;

    let current = hsm.open_source(&current)?;
    let new = hsm.key_generate(KeyPurpose::TERMINAL, options.scheme_lmk)?;
    let mut resp = hsm.response();
    resp.key("New key under the current key", hsm.key_export(new, current, options.scheme_zmk, 0)?);
    resp.key("New key under the LMK", hsm.key_wrap(new, options.scheme_lmk)?);
    Ok(resp)
}
