//! NC: perform diagnostics.
//!
//! The request has no fields. Response: LMK check value 16H, firmware number 9A. Error 13 if the LMK named by `%nn` is not loaded.
//! Source: host.md 3.1.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "NC",
    title: "Perform diagnostics",
    run: diagnostics,
}

fn diagnostics<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    req.end()?;

    let mut resp = hsm.response();
    resp.text("LMK check value", hsm.lmk_check_value()?);
    resp.text("Firmware number", hsm.firmware()?);
    Ok(resp)
}
