//! OC: generate and print a ZMK component.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Print fields | nA | separated by `;`; ended by `~` if an LMK identifier follows |
//! | `\|` key schemes, check value type | 1A, 1A, 1A | optional: ZMK (ignored), LMK, check value type (ignored) |
//!
//! Response OD: component under the LMK. Response OZ after printing: error code only. Errors of OD: 15, 16 no printer, 17, 18 no print format, 26;
//! of OZ: 16. Source: keys.md 7 (OC).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "OC",
    title: "Generate and print a ZMK component",
    run: print,
}

fn print<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let fields = req.print_fields(b"|")?;
    let scheme = hsm_plugins::printing::lmk_scheme(req)?;
    req.end()?;

    let (component, _, printed) = hsm.print_component(KeyPurpose::ZMK, scheme, None, fields)?;
    hsm_plugins::printing::then_printed(req, hsm, b"OZ", printed)?;
    let mut resp = hsm.response();
    resp.key("ZMK component under the LMK", component);
    Ok(resp)
}
