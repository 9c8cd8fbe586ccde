//! FM: translate a ZEK or ZAK from LMK to ZMK encryption.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Flag | 1N | 0 ZEK, 1 ZAK |
//! | ZMK | key | untagged length is a setting |
//! | ZEK or ZAK under the LMK | key | |
//! | Atalla variant | 1–2N | optional |
//! | `;` key scheme (ZMK), reserved, check value type | 1A, 1A, 1A | optional group |
//!
//! Response: ZEK or ZAK under the ZMK, check value, 16H or (type 1) 6H. Errors: 10 ZMK parity, 11 key parity, 26. Source:
//! keys.md 7 (FM).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::legacy;

command! {
    code: "FM",
    title: "Translate a ZEK or ZAK from LMK to ZMK encryption",
    run: export,
}

fn export<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let key = legacy::zone_key(req)?;
    legacy::export(req, hsm, key)
}
