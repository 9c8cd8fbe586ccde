//! LA: load data into user storage.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Index | `K`, 3H | first slot; with slots of variable size the flag may be `B` too |
//! | Block count | 2H | 00 to 20 (hexadecimal) |
//! | Blocks | 16H, 32H or 48H each | as long as a slot (setting "user storage key length") |
//! | Length, data | 4N, nB | instead of count and blocks, with slots of variable size |
//!
//! Errors: 15, 21 index. Source: host.md 3.7 and 4.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "LA",
    title: "Load data to user storage",
    run: load,
}

/// Most blocks in one message.
const MAX_BLOCKS: usize = 0x20;

fn load<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let slot = usize::from(hsm.storage_slot()?);
    let variable = slot == 0;
    let index = req.storage_slot_index("User storage index", variable)?;
    let data = if variable {
        let len = req.number("Length", 4)?;
        req.secret_bytes("Data", len)?
    } else {
        let at = req.offset();
        let count = req.hex_number("Block count", 2)?;
        if count > MAX_BLOCKS {
            return Err(req.refuse("Block count", at, "must be at most 20 hexadecimal"));
        }
        req.secret_hex_digits("Blocks", 2 * slot * count)?
    };
    req.end()?;

    hsm.storage_load(index, data)?;
    Ok(hsm.response())
}
