//! LC: verify the Diebold table in user storage.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Index | `K`, 3H | first of the 32 slots, at most FE0 |
//!
//! Errors: 12 nothing loaded, 15, 19 table incomplete, 21 index. Source: host.md 3.7 and 4, pins.md 8.3.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "LC",
    title: "Verify the Diebold table in user storage",
    run: check,
}

fn check<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let index = req.storage_index("Diebold table index")?;
    req.end()?;

    hsm.storage_diebold_check(index)?;
    Ok(hsm.response())
}
