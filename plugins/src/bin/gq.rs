//! GQ: verify a PIN using the Visa method, TDES or AES DUKPT, optionally with a MAC.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Mode | 1N | 0 PIN, 1 PIN and MAC |
//! | MAC mode, MAC method | 1N, 1N | mode 1: 1 8 bytes, 2 left 4, 3 right 4; 1 X9.19, 2 X9.9, 3 CMAC |
//! | BDK | key | `*` or `~` in front: BDK-1 or BDK-2 |
//! | PVK pair | 32H or key | type 002, double length |
//! | KSN descriptor, KSN | 3H, 12–20H | 24H with an AES BDK |
//! | PIN block | 16H | 32H with an AES BDK |
//! | PIN block format | 2N | 01 04 05 47 48 |
//! | Account number | 12N | 18 characters with format 04; PAN and `;` with format 48 |
//! | `;` verification account number | 12N | optional, a setting |
//! | PVKI | 1N | |
//! | PVV | 4N | |
//! | MAC | 16H or 8H | mode 1 |
//! | Message length, message | 4N, nB | mode 1 |
//!
//! Response: in mode 1 MAC status 2N (00 right, 01 wrong), also with 01 for the PIN. Errors: 01 the PIN is wrong, 10 BDK
//! parity, 11 PVK parity, 12, 15, 20, 23, 24, 27, 39, 69. Source: pins.md 2.28.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

use hsm_plugins::{dukpt, pins};

command! {
    code: "GQ",
    title: "Verify a PIN using the Visa method (DUKPT)",
    run: verify,
}

fn verify<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    hsm.pin_verification_allowed()?;
    let mode = dukpt::Mode::read(req)?;
    let bdk = req.bdk("BDK")?;
    let pvk = req.double_key("PVK pair", KeyPurpose::PVK)?;
    let terminal = dukpt::TerminalPin::read(req, bdk)?;
    let account = req.account("Account number", &[terminal.format])?;
    let verification_account = req.verification_account(account)?;
    let pvki = req.digits("PVKI", 1)?[0];
    let pvv = req.secret_digit_array("PVV")?;
    let mac = mode.read_mac(req)?;
    req.end()?;

    let bdk = terminal.open_bdk(hsm)?;
    let pvk = pins::open_pvk_pair(hsm, &pvk)?;
    let key = terminal.key(hsm, bdk)?;
    dukpt::check_format(hsm, key, terminal.format)?;
    let pin = terminal.decode(hsm, key, account)?;
    let verified = hsm.pvv_verify(pin, pvk, verification_account, pvki, pvv)?;
    dukpt::answer(hsm, verified, false, bdk, &terminal, mac)
}
