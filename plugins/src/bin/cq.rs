//! CQ: verify a PIN by comparison with one under the LMK (single-DES DUKPT).
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | BDK | 32H or key | double length |
//! | KSN descriptor, KSN | 3H, 12–20H | |
//! | PIN block | 16H | ISO-0 |
//! | Account number | 12N | |
//! | PIN under the LMK | L | `J` and 32H under an AES LMK |
//!
//! Errors: 01 the PIN is wrong, 10 BDK parity, 12, 14, 15, 20, 24, 27, 39, 69. Source: pins.md 2.16.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

use hsm_plugins::{dukpt, pins};

command! {
    code: "CQ",
    title: "Verify a PIN using the comparison method (single-DES DUKPT)",
    run: verify,
}

fn verify<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    hsm.pin_verification_allowed()?;
    let bdk = req.bdk("BDK")?;
    let terminal = dukpt::LegacyPin::read(req, bdk)?;
    let account = req.account_12("Account number")?;
    let stored = req.lmk_pin("PIN under the LMK")?;
    req.end()?;

    let bdk = terminal.open_bdk(hsm)?;
    let key = terminal.key(hsm, bdk)?;
    let stored = hsm.lmk_pin_decrypt(stored, account)?;
    let pin = terminal.decode(hsm, key, account)?;
    pins::verified(hsm.pin_matches(pin, stored)?)?;
    Ok(hsm.response())
}
