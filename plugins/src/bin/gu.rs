//! GU: verify a PIN by comparison with one under the LMK, TDES or AES DUKPT, optionally with a MAC.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Mode | 1N | 0 PIN, 1 PIN and MAC |
//! | MAC mode, MAC method | 1N, 1N | mode 1: 1 8 bytes, 2 left 4, 3 right 4; 1 X9.19, 2 X9.9, 3 CMAC |
//! | BDK | key | `*` or `~` in front: BDK-1 or BDK-2 |
//! | KSN descriptor, KSN | 3H, 12–20H | 24H with an AES BDK |
//! | PIN block | 16H | 32H with an AES BDK |
//! | PIN block format | 2N | 01 04 05 47 48 |
//! | Account number | 12N | 18 characters with format 04; PAN and `;` with format 48 |
//! | PIN under the LMK | L | `J` and 32H under an AES LMK |
//! | MAC | 16H or 8H | mode 1 |
//! | Message length, message | 4N, nB | mode 1 |
//!
//! Response: in mode 1 MAC status 2N (00 right, 01 wrong), also with 01 for the PIN. Errors: 01 the PIN is wrong, 10 BDK
//! parity, 12, 14, 15, 20, 23, 24, 27, 39, 69. Source: pins.md 2.30.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

use hsm_plugins::dukpt;

command! {
    code: "GU",
    title: "Verify a PIN using the comparison method (DUKPT)",
    run: verify,
}

fn verify<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    hsm.pin_verification_allowed()?;
    let mode = dukpt::Mode::read(req)?;
    let bdk = req.bdk("BDK")?;
    let terminal = dukpt::TerminalPin::read(req, bdk)?;
    let account = req.account("Account number", &[terminal.format])?;
    let stored = req.lmk_pin("PIN under the LMK")?;
    let mac = mode.read_mac(req)?;
    req.end()?;

    let bdk = terminal.open_bdk(hsm)?;
    let key = terminal.key(hsm, bdk)?;
    dukpt::check_format(hsm, key, terminal.format)?;
    let stored = hsm.lmk_pin_decrypt(stored, account)?;
    let pin = terminal.decode(hsm, key, account)?;
    let verified = hsm.pin_matches(pin, stored)?;
    dukpt::answer(hsm, verified, false, bdk, &terminal, mac)
}
