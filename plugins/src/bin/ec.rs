//! EC: verify a interchange PIN using the Visa method.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | ZPK | key | |
//! | PVK pair | 32H or key | type 002, double length |
//! | PIN block | 16H | 32H under an AES key |
//! | PIN block format | 2N | |
//! | Account number | 12N | 18 characters with format 04; PAN and `;` with format 48 |
//! | `;` verification account number | 12N | optional, a setting: the PVV is that of this account |
//! | PVKI | 1N | |
//! | PVV | 4N | |
//!
//! Errors: 01 the PVV is wrong, 10 ZPK parity, 11 PVK parity, 20, 22, 23, 24, 27 PVK not of double length, 39, 69. Source: pins.md
//! 2.19.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "EC",
    title: "Verify an interchange PIN using the Visa method",
    run: verify,
}

fn verify<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    hsm_plugins::pins::verify_pvv(req, hsm, KeyPurpose::ZPK)
}
