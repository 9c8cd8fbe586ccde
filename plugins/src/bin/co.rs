//! CO: verify a PIN using the Diebold method (single-DES DUKPT).
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | BDK | 32H or key | double length |
//! | Diebold table, algorithm number | `K` 3H, 2H | |
//! | KSN descriptor, KSN | 3H, 12–20H | |
//! | PIN block | 16H | ISO-0 |
//! | Account number | 12N | |
//! | Validation data | 16A | |
//! | Offset | 4N | |
//!
//! Errors: 01 the PIN is wrong, 10 BDK parity, 12, 15, 19 table or algorithm, 20, 21, 24, 27, 39, 69. Source: pins.md 2.15.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

use hsm_plugins::{dukpt, pins};

command! {
    code: "CO",
    title: "Verify a PIN using the Diebold method (single-DES DUKPT)",
    run: verify,
}

fn verify<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    hsm.pin_verification_allowed()?;
    let bdk = req.bdk("BDK")?;
    let table = req.diebold_table()?;
    let terminal = dukpt::LegacyPin::read(req, bdk)?;
    let account = req.account_12("Account number")?;
    let validation_data = req.diebold_validation_data()?;
    let diebold = DieboldFields { table, account, validation_data };
    let offset = req.secret_digit_array("Offset")?;
    req.end()?;

    let bdk = terminal.open_bdk(hsm)?;
    let key = terminal.key(hsm, bdk)?;
    hsm.diebold_check(table)?;
    let pin = terminal.decode(hsm, key, account)?;
    pins::verified(hsm.diebold_verify(pin, diebold, offset)?)?;
    Ok(hsm.response())
}
