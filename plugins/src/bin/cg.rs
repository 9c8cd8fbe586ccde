//! CG: verify a terminal PIN using the Diebold method.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | TPK | key | |
//! | Diebold table pointer | `K` + 3H | user storage |
//! | Algorithm number | 2H | |
//! | PIN block | 16H | 32H under an AES key |
//! | PIN block format | 2N | |
//! | Account number | 12N | 18 characters with format 04; PAN and `;` with format 48 |
//! | Validation data | 16A | right-justified, filled with `F` |
//! | Offset | 4N | |
//!
//! Errors: 01 the offset is wrong, 10 TPK parity, 12, 19, 20, 21, 23, 24, 39, 69. Source: pins.md 2.11.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "CG",
    title: "Verify a terminal PIN using the Diebold method",
    run: verify,
}

fn verify<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    hsm_plugins::pins::verify_diebold(req, hsm, KeyPurpose::TPK)
}
