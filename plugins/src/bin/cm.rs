//! CM: verify a PIN using the Visa method (single-DES DUKPT).
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | BDK | 32H or key | double length |
//! | PVK pair | 32H or key | type 002, double length |
//! | KSN descriptor, KSN | 3H, 12–20H | |
//! | PIN block | 16H | ISO-0 |
//! | Account number | 12N | |
//! | PVKI | 1N | |
//! | PVV | 4N | |
//!
//! Errors: 01 the PIN is wrong, 10 BDK parity, 11 PVK parity, 12, 15, 20, 24, 27, 39, 69. Source: pins.md 2.14.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

use hsm_plugins::{dukpt, pins};

command! {
    code: "CM",
    title: "Verify a PIN using the Visa method (single-DES DUKPT)",
    run: verify,
}

fn verify<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    hsm.pin_verification_allowed()?;
    let bdk = req.bdk("BDK")?;
    let pvk = req.double_key("PVK pair", KeyPurpose::PVK)?;
    let terminal = dukpt::LegacyPin::read(req, bdk)?;
    let account = req.account_12("Account number")?;
    let pvki = req.digits("PVKI", 1)?[0];
    let pvv = req.secret_digit_array("PVV")?;
    req.end()?;

    let bdk = terminal.open_bdk(hsm)?;
    let pvk = pins::open_pvk_pair(hsm, &pvk)?;
    let key = terminal.key(hsm, bdk)?;
    let pin = terminal.decode(hsm, key, account)?;
    pins::verified(hsm.pvv_verify(pin, pvk, account, pvki, pvv)?)?;
    Ok(hsm.response())
}
