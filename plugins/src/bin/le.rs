//! LE: read data from user storage.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Index | `K`, 3H | first slot |
//! | Block count | 2H | 00 to 20 (hexadecimal); not with slots of variable size |
//!
//! Response: blocks, each as long as a slot; with slots of variable size length 4N and data. Errors: 12 nothing loaded, 15, 21 index.
//! Source: host.md 3.7 and 4.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "LE",
    title: "Read data from user storage",
    run: read,
}

/// Most blocks in one message.
const MAX_BLOCKS: usize = 0x20;

fn read<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let variable = hsm.storage_slot()? == 0;
    let index = req.storage_slot_index("User storage index", variable)?;
    let at = req.offset();
    let count = if variable { 1 } else { req.hex_number("Block count", 2)? };
    if count > MAX_BLOCKS {
        return Err(req.refuse("Block count", at, "must be at most 20 hexadecimal"));
    }
    req.end()?;

    let data = hsm.storage_read(index, count as u16)?;
    let mut resp = hsm.response();
    if variable {
        resp.number("Length", data.len(), 4);
    }
    resp.secret("Data", data);
    Ok(resp)
}
