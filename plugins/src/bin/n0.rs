//! N0: generate random bytes.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Length | 3N | 001 to 256 |
//!
//! Response: random bytes nB. Errors: 01 length, 15. Source: host.md 3.6.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "N0",
    title: "Generate a random value",
    run: random,
}

fn random<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let at = req.offset();
    let len = req.number("Length", 3)?;
    if !(1..=256).contains(&len) {
        return Err(req.refuse_with(ErrorCode::VERIFICATION_FAILED, "Length", at, "must be 001 to 256"));
    }
    req.end()?;

    let mut resp = hsm.response();
    resp.bytes("Random value", hsm.random(len as u16)?);
    Ok(resp)
}
