//! FI: generate a ZEK or ZAK under a ZMK.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Flag | 1N | 0 ZEK, 1 ZAK |
//! | ZMK | key | untagged length is a setting |
//! | Atalla variant | 1–2N | optional |
//! | `;` key scheme (ZMK), key scheme (LMK), check value type | 1A, 1A, 1A | optional group |
//! | `#` attributes | 8A, nA | optional, key-block LMK: usage, mode, version, exportability, optional blocks |
//!
//! Response: key under the ZMK, key under the LMK, check value, 16H or (type 1) 6H. Errors: 10 ZMK parity, 15 schemes of
//! different lengths, 26. Source: keys.md 7 (FI).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::legacy;

command! {
    code: "FI",
    title: "Generate a ZEK or ZAK",
    run: generate,
}

fn generate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let key = legacy::zone_key(req)?;
    legacy::generate_for_zone(req, hsm, key, false)
}
