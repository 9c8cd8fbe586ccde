//! PC: load further formatting data, after that of PA.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Data | nA | symbols and constants, 299 at most with those of PA |
//!
//! Errors: 15. Source: pins.md 2.35.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "PC",
    title: "Load additional formatting data to the HSM",
    run: load,
}

fn load<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    hsm_plugins::printing::load_format(req, hsm, true)
}
