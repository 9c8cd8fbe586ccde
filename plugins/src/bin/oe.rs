//! OE: generate and print a TMK, TPK or PVK.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Print fields | nA | separated by `;`; ended by `~` if an LMK identifier follows |
//! | `\|` key schemes, check value type | 1A, 1A, 1A | optional: ZMK (ignored), LMK, check value type (ignored) |
//!
//! Response OF: key under LMK pair 14-15. Response OZ after printing: error code only. Errors of OF: 15, 16 no printer, 17, 18 no print format, 26,
//! 68 with key type 002 separation; of OZ: 16. Source: keys.md 7 (OE).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "OE",
    title: "Generate and print a TMK, TPK or PVK",
    run: print,
}

fn print<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let fields = req.print_fields(b"|")?;
    let scheme = hsm_plugins::printing::lmk_scheme(req)?;
    req.end()?;

    let (key, _, printed) = hsm.print_new_key(KeyPurpose::TERMINAL, scheme, None, false, fields)?;
    hsm_plugins::printing::then_printed(req, hsm, b"OZ", printed)?;
    let mut resp = hsm.response();
    resp.key("Key under the LMK", key);
    Ok(resp)
}
