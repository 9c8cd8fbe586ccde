//! PA: load a print format.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Data | nA | symbols and constants, 299 at most |
//!
//! `>L` line feed, `>F` form feed, `>nnn` column, `^0` to `^F` print field, `^P` `^Q` `^R` secrets, `^T` check value, `^V` `^W` PIN in
//! words, `|` escape sequence. The format replaces the one before and is lost with the device's power. Errors: 15.
//! Source: pins.md 2.35.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "PA",
    title: "Load formatting data to the HSM",
    run: load,
}

fn load<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    hsm_plugins::printing::load_format(req, hsm, false)
}
