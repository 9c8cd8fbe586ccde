//! DY: translate a BDK from LMK to ZMK encryption.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | ZMK | key | untagged length is a setting |
//! | BDK under the LMK | key | untagged 32H |
//! | Atalla variant | 1–2N | optional |
//! | `;` key scheme (ZMK), reserved, check value type | 1A, 1A, 1A | optional group |
//!
//! Response: BDK under the ZMK, check value 8H or (type 1) 6H. Errors: 10 ZMK parity, 11 BDK parity, 26, 27 of single length.
//! Source: keys.md 7 (DY).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::legacy;

command! {
    code: "DY",
    title: "Translate a BDK from LMK to ZMK encryption",
    run: export,
}

fn export<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    legacy::export(req, hsm, &legacy::BDK)
}
