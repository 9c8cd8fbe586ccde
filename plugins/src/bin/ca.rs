//! CA: translate a PIN from encryption under a TPK to encryption under a ZPK or a BDK.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Source TPK | key | |
//! | Destination flag | 1A | variant LMK only: none ZPK, `*` BDK-1, `~` BDK-2 |
//! | Destination key | key | ZPK or BDK |
//! | KSN descriptor, KSN | 3H, 12–20H | only if the destination is a BDK |
//! | Maximum PIN length | 2N | 12 |
//! | Source PIN block | 16H | 32H under an AES key |
//! | Source and destination PIN block format | 2N, 2N | |
//! | Account number | 12N | 18 characters with format 04; PAN and `;` with format 48 |
//! | `;` destination account number | 12N | optional, a setting |
//!
//! Response: PIN length 2N, destination PIN block, destination format 2N. Errors: 10 TPK parity, 11 destination key parity,
//! 20, 22, 23, 24, 27 BDK, 69. Source: pins.md 2.8.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "CA",
    title: "Translate a PIN from TPK to ZPK or BDK encryption",
    run: translate_pin,
}

fn translate_pin<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let source = req.key("Source TPK", KeyPurpose::TPK)?;
    let destination = req.pin_destination()?;
    hsm_plugins::pins::translate_block(req, hsm, &source, &destination)
}
