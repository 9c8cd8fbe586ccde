//! EK: load a private key ("secret key") into the HSM.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Index | 2N | 00 to 20 |
//! | Private key length, private key | 4N, nB | `FFFF` and a key block under a key-block LMK |
//!
//! The key is kept in memory, as the LMK protects it. Response: nothing more. Errors: 03 index, 49 private key, 78 private key length,
//! A1 to BE. Source: keys.md 7 (EK).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::asymmetric::read_private_key;

command! {
    code: "EK",
    title: "Load a private key",
    run: load,
}

const INDEX: ErrorCode = ErrorCode::COMPONENT_COUNT;

fn load<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let at = req.offset();
    let index = match req.number("Index", 2)? {
        index @ 0..=20 => index as u8,
        _ => return Err(req.refuse_with(INDEX, "Index", at, "must be 00 to 20")),
    };
    let key = read_private_key(req)?;
    req.end()?;

    hsm.private_key_load(index, key)?;
    Ok(hsm.response())
}
