//! GO: verify a PIN using the IBM offset method, TDES or AES DUKPT, optionally with a MAC.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Mode | 1N | 0 PIN, 1 PIN and MAC |
//! | MAC mode, MAC method | 1N, 1N | mode 1: 1 8 bytes, 2 left 4, 3 right 4; 1 X9.19, 2 X9.9, 3 CMAC |
//! | BDK | key | `*` or `~` in front: BDK-1 or BDK-2 |
//! | PVK | key | |
//! | KSN descriptor, KSN | 3H, 12–20H | 24H with an AES BDK |
//! | PIN block | 16H | 32H with an AES BDK |
//! | PIN block format | 2N | 01 04 05 47 48 |
//! | Check length | 2N | |
//! | Account number | 12N | 18 characters with format 04; PAN and `;` with format 48 |
//! | Decimalisation table | 16N/16H | `L` and 32H, or `K` and 3H |
//! | PIN validation data | 12A | or `P` and 16H |
//! | Offset | 12H | |
//! | MAC | 16H or 8H | mode 1 |
//! | Message length, message | 4N, nB | mode 1 |
//!
//! Response: in mode 1 MAC status 2N (00 right, 01 wrong), also with 01 for the PIN. Errors: 01 the PIN is wrong, 02 long PVK
//! (advice), 10 BDK parity, 11 PVK parity, 12, 15, 20, 23, 24, 25, 27, 39, 69. Source: pins.md 2.27.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

use hsm_plugins::dukpt;

command! {
    code: "GO",
    title: "Verify a PIN using the IBM offset method (DUKPT)",
    run: verify,
}

fn verify<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    hsm.pin_verification_allowed()?;
    let mode = dukpt::Mode::read(req)?;
    let bdk = req.bdk("BDK")?;
    let pvk = req.key("PVK", KeyPurpose::PVK)?;
    let terminal = dukpt::TerminalPin::read(req, bdk)?;
    let ibm = req.ibm_fields(&[terminal.format])?;
    let offset = req.pin_offset()?;
    let mac = mode.read_mac(req)?;
    req.end()?;

    let bdk = terminal.open_bdk(hsm)?;
    let pvk = hsm.open_destination(&pvk)?;
    let key = terminal.key(hsm, bdk)?;
    dukpt::check_format(hsm, key, terminal.format)?;
    let (natural, long_pvk) = hsm.ibm_natural_pin(pvk, ibm)?;
    let pin = terminal.decode(hsm, key, ibm.account)?;
    let verified = hsm.ibm_verify(pin, natural, offset)?;
    dukpt::answer(hsm, verified, long_pvk, bdk, &terminal, mac)
}
