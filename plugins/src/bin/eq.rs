//! EQ: validate a public key.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | MAC | 4B | variant LMK |
//! | Public key | nB | DER; a public key block under a key-block LMK |
//! | Authentication data | nA | optional, variant LMK |
//!
//! Response: nothing more. Errors: 01 MAC, 04 public key, A1 to BE. Source: keys.md 7 (EQ), 5.3.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::asymmetric::PublicKeyField;

command! {
    code: "EQ",
    title: "Validate a public key",
    run: validate,
}

fn validate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let key = PublicKeyField::read(req, hsm)?;
    req.end()?;

    key.open(hsm)?;
    Ok(hsm.response())
}
