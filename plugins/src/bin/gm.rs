//! GM: hash a block of data.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Hash identifier | 2N | 01 SHA-1, 02 MD5, 05 SHA-224, 06 SHA-256, 07 SHA-384, 08 SHA-512 |
//! | Data length | 5N | |
//! | Data | nB | |
//!
//! Response: hash nB. Errors: 05 hash identifier (03, ISO 10118-2, is not supported), 80 data length. Source: card-emv-mac.md 7.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::asymmetric::read_hash;

command! {
    code: "GM",
    title: "Hash a block of data",
    run: hash,
}

fn hash<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let id = read_hash(req, false)?;
    let len = req.number("Data length", 5)?;
    let data = req.bytes("Data", len).map_err(|refusal| Refusal { code: ErrorCode::DATA_LENGTH, ..refusal })?;
    req.end()?;

    let mut resp = hsm.response();
    resp.bytes("Hash", hsm.hash(id, data)?);
    Ok(resp)
}
