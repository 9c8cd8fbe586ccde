//! NE: generate a key and print it as split components.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Key type | 3H | keys.md section 2 |
//! | Check value flag | 1N | optional: 1 no check value, 2 with one |
//! | Key scheme (LMK) | 1A | |
//! | Print fields | nA | separated by `;`; ended by `~` if an LMK identifier or attributes follow |
//! | `#` key block attributes | usage 2A, algorithm 2A, mode 1A, version 2A, exportability 1A, optional blocks | key-block LMK |
//!
//! The parts are printed by `^P`, `^Q` and `^R`, the check value by `^T`. Response NF: key under the LMK, check value 6H (flag 2). Response NZ after
//! printing: error code only. Errors of NF: 04, 15, 16 no printer, 17, 18 no print format, 26, 28, 29, A6 to AC; of NZ: 16. Source: keys.md 7 (NE).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::printing::{NewKey, then_printed};

command! {
    code: "NE",
    title: "Generate and print a key as split components",
    run: print,
}

fn print<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let new = NewKey::read(req, hsm)?;
    let (key, check_value, printed) = hsm.print_new_key(new.purpose, new.scheme, new.attributes, true, new.fields)?;
    then_printed(req, hsm, b"NZ", printed)?;
    Ok(new.response(hsm, ["Key under the LMK", "Key check value"], key, &check_value))
}
