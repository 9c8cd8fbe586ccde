//! FE: translate a TMK, TPK or PVK from LMK to ZMK encryption.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | ZMK | key | untagged length is a setting |
//! | TMK, TPK or PVK under the LMK | key | LMK pair 14-15 |
//! | Atalla variant | 1–2N | optional |
//! | `;` key scheme (ZMK), reserved, check value type | 1A, 1A, 1A | optional group |
//!
//! Response: TMK, TPK or PVK under the ZMK, check value, 16H or (type 1) 6H. Errors: 10 ZMK parity, 11 key parity, 17
//! authorised state, 26, 68 where key type 002 is separated. Source: keys.md 7 (FE).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::legacy;

command! {
    code: "FE",
    title: "Translate a TMK, TPK or PVK from LMK to ZMK encryption",
    run: export,
}

fn export<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    legacy::export(req, hsm, &legacy::TERMINAL)
}
