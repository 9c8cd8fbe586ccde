//! A2: generate and print a key component.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Key type | 3H | keys.md section 2 |
//! | Check value flag | 1N | optional: 1 no check value, 2 with one |
//! | Key scheme (LMK) | 1A | |
//! | Print fields | nA | separated by `;`; ended by `~` if an LMK identifier or attributes follow |
//! | `#` key block attributes | usage 2A, algorithm 2A, mode 1A, version 2A, exportability 1A, optional blocks | key-block LMK |
//!
//! Response A3: component under the LMK, check value 6H (flag 2). Response AZ after printing: error code only. Errors of A3: 04, 15, 16 no
//! printer, 17, 18 no print format, 26, 28 key type for the other kind of LMK, A6 to AC; of AZ: 16. Source: keys.md 7 (A2).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::printing::{NewKey, then_printed};

command! {
    code: "A2",
    title: "Generate and print a component",
    run: print,
}

fn print<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let new = NewKey::read(req, hsm)?;
    let (component, check_value, printed) = hsm.print_component(new.purpose, new.scheme, new.attributes, new.fields)?;
    then_printed(req, hsm, b"AZ", printed)?;
    Ok(new.response(hsm, ["Component under the LMK", "Component check value"], component, &check_value))
}
