//! CS: modify the header of a key block.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Key block | key | |
//! | Change field | 1A | 1 usage, 2 mode of use, 3 key version number, 4 exportability, 5 key status, 6 start and 7 end of validity |
//! | Old value | nA | ended by `;` |
//! | New value | nA | as long as the old value |
//! | `%` LMK identifier | 2N | optional |
//!
//! Response: the key block. Errors: A1 under a variant LMK, A4 to BE for the block, B7 change field, B8 old value, B9 new value, BA no
//! such optional block. Source: keys.md 7 (CS); the numbers of the change field are not documented there.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "CS",
    title: "Modify a key block header",
    run: modify,
}

/// Longest value of a header field or optional block: a date.
const MAX_VALUE: usize = 13;

fn modify<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let block = req.key("Key block", KeyPurpose::KEY_BLOCK)?;
    let field = req.text("Change field", 1)?[0];
    let at = req.offset();
    let Some(len) = req.rest().iter().take(MAX_VALUE + 1).position(|c| *c == b';') else {
        return Err(req.refuse("Old value", at, "must be ended by its delimiter"));
    };
    let old = req.text("Old value", len)?;
    req.delimiter("Delimiter before the new value", b';')?;
    let new = req.text("New value", len)?;
    req.end()?;

    let mut resp = hsm.response();
    resp.key("Key block", hsm.key_block_modify(block.bytes(), field, old, new)?);
    Ok(resp)
}
