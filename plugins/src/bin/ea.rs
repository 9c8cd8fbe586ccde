//! EA: verify a interchange PIN using the IBM method.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | ZPK | key | |
//! | PVK | key | type 002, single length |
//! | Maximum PIN length | 2N | 12 |
//! | PIN block | 16H | 32H under an AES key |
//! | PIN block format | 2N | |
//! | Check length | 2N | 04 to 12 |
//! | Account number | 12N | 18 characters with format 04; PAN and `;` with format 48 |
//! | Decimalisation table | 16H | 16N if the device takes plain tables, `L` + 32H under an AES LMK, `K` + 3H in user storage |
//! | PIN validation data | 12A | `N` stands for the last 5 digits of the account; or `P` + 16H |
//! | Offset | 12H | filled with `F` |
//!
//! Errors: 01 the offset is wrong, 02 verified with a PVK of more than single length, 10 ZPK parity, 11 PVK parity, 12, 20, 21, 22,
//! 23, 24, 25, 39, 69. Source: pins.md 2.18.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "EA",
    title: "Verify an interchange PIN using the IBM method",
    run: verify,
}

fn verify<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    hsm_plugins::pins::verify_ibm(req, hsm, KeyPurpose::ZPK)
}
