//! BC: verify a terminal PIN by comparison.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | TPK | key | |
//! | PIN block | 16H | 32H under an AES key |
//! | PIN block format | 2N | |
//! | Account number | 12N | 18 characters with format 04; PAN and `;` with format 48 |
//! | PIN under the LMK | LN | L is the PIN length and one; `J` + 32H under an AES LMK |
//!
//! Errors: 01 the PINs differ, 10 TPK parity, 14, 20, 23, 24, 39, 46, 69. Source: pins.md 2.3.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "BC",
    title: "Verify a terminal PIN by comparison",
    run: verify,
}

fn verify<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    hsm_plugins::pins::verify_by_comparison(req, hsm, KeyPurpose::TPK)
}
