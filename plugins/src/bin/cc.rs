//! CC: translate a PIN from encryption under one ZPK to encryption under another.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Source ZPK | key | |
//! | Destination ZPK | key | |
//! | Maximum PIN length | 2N | 12 |
//! | Source PIN block | 16H | 32H under an AES key |
//! | Source and destination PIN block format | 2N, 2N | |
//! | Account number | 12N | 18 characters with format 04; PAN and `;` with format 48 |
//! | `;` destination account number | 12N | optional, a setting |
//!
//! Response: PIN length 2N, destination PIN block, destination format 2N. Errors: 10 source parity, 11 destination parity, 12, 20,
//! 21, 22, 23, 24, 69. Source: pins.md 2.9.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "CC",
    title: "Translate a PIN from one ZPK to another",
    run: translate,
}

fn translate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let source = req.key("Source ZPK", KeyPurpose::ZPK)?;
    let destination = PinDestination { key: req.key("Destination ZPK", KeyPurpose::ZPK)?, ksn: None };
    hsm_plugins::pins::translate_block(req, hsm, &source, &destination)
}
