//! MG: translate a TAK from LMK to ZMK encryption.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | ZMK | key | untagged length is a setting |
//! | TAK under the LMK | key | |
//! | Atalla variant | 1–2N | optional |
//! | `;` key scheme (ZMK), reserved, check value type | 1A, 1A, 1A | optional group |
//!
//! Response: TAK under the ZMK, check value, 16H or (type 1) 6H. Errors: 10 ZMK parity, 11 TAK parity, 26. Source: keys.md 7
//! (MG).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::legacy;

command! {
    code: "MG",
    title: "Translate a TAK from LMK to ZMK encryption",
    run: export,
}

fn export<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    legacy::export(req, hsm, &legacy::TAK)
}
