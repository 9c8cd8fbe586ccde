//! JE: translate a interchange PIN to encryption under the LMK.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | ZPK | key | |
//! | PIN block | 16H | 32H under an AES key |
//! | PIN block format | 2N | |
//! | Account number | 12N | 18 characters with format 04; PAN and `;` with format 48 |
//!
//! Response: PIN under the LMK LN, `J` + 32H under an AES LMK. Errors: 10 ZPK parity, 15 also for a PIN longer than the device's
//! PIN length, 20, 22, 23, 24, 69. Source: pins.md 2.32.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "JE",
    title: "Translate a interchange PIN to encryption under the LMK",
    run: translate,
}

fn translate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    hsm_plugins::pins::translate_to_lmk(req, hsm, KeyPurpose::ZPK)
}
