//! B2: echo test. The response carries the request's data back.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Length | 4H | number of bytes that follow |
//! | Data | nB | |
//!
//! Response: the data. Errors: 80 if there is less data than the length says, 15 if there is more. Source: host.md 3.5.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "B2",
    title: "Echo command",
    run: echo,
}

fn echo<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let len = req.hex_number("Length", 4)?;
    let data = req.bytes("Data", len).map_err(|refusal| Refusal { code: ErrorCode::DATA_LENGTH, ..refusal })?;
    req.end()?;

    let mut resp = hsm.response();
    resp.bytes("Data", data);
    Ok(resp)
}
