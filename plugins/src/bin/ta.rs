//! TA: print a TMK mailer.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | TMK | key | |
//! | Print fields | nA | separated by `;`; ended by `~` if an LMK identifier follows |
//!
//! Response TB: error code only. Response TZ after printing: error code only. Errors of TB: 10 TMK parity, 15, 16 no printer, 17, 18 no print
//! format; of TZ: 16. Source: keys.md 7 (TA).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "TA",
    title: "Print a TMK mailer",
    run: print,
}

fn print<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let tmk = req.key("TMK", KeyPurpose::TMK)?;
    let fields = req.print_fields(&[])?;
    req.end()?;

    let tmk = hsm.open_source(&tmk)?;
    let printed = hsm.print_terminal_key(tmk, fields)?;
    hsm_plugins::printing::then_printed(req, hsm, b"TZ", printed)?;
    Ok(hsm.response())
}
