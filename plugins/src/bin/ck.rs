//! CK: verify a PIN using the IBM offset method (single-DES DUKPT).
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | BDK | 32H or key | double length |
//! | PVK | key | |
//! | KSN descriptor, KSN | 3H, 12–20H | |
//! | PIN block | 16H | ISO-0 |
//! | Check length | 2N | |
//! | Account number | 12N | |
//! | Decimalisation table | 16N/16H | `L` and 32H, or `K` and 3H |
//! | PIN validation data | 12A | or `P` and 16H |
//! | Offset | 12H | |
//!
//! Errors: 01 the PIN is wrong, 02 long PVK (advice), 10 BDK parity, 11 PVK parity, 12, 15, 20, 24, 25, 27, 39, 69.
//! Source: pins.md 2.13.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

use hsm_plugins::{dukpt, pins};

command! {
    code: "CK",
    title: "Verify a PIN using the IBM offset method (single-DES DUKPT)",
    run: verify,
}

fn verify<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    hsm.pin_verification_allowed()?;
    let bdk = req.bdk("BDK")?;
    let pvk = req.key("PVK", KeyPurpose::PVK)?;
    let terminal = dukpt::LegacyPin::read(req, bdk)?;
    let ibm = req.ibm_fields(&[])?;
    let offset = req.pin_offset()?;
    req.end()?;

    let bdk = terminal.open_bdk(hsm)?;
    let pvk = hsm.open_destination(&pvk)?;
    let key = terminal.key(hsm, bdk)?;
    let (natural, long_pvk) = hsm.ibm_natural_pin(pvk, ibm)?;
    let pin = terminal.decode(hsm, key, ibm.account)?;
    pins::verified(hsm.ibm_verify(pin, natural, offset)?)?;
    Ok(pins::ibm_response(hsm, long_pvk))
}
