//! BS: erase the key change storage of the selected LMK's slot. No fields.
//!
//! Response: no fields. Errors: 13 no such LMK. Source: keys.md 7 (BW), host.md 3.11.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "BS",
    title: "Erase the key change storage",
    run: erase,
}

fn erase<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    req.end()?;

    hsm.change_storage_erase()?;
    Ok(hsm.response())
}
