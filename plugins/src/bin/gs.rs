//! GS: verify a PIN using the Diebold method, TDES or AES DUKPT, optionally with a MAC.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Mode | 1N | 0 PIN, 1 PIN and MAC |
//! | MAC mode, MAC method | 1N, 1N | mode 1: 1 8 bytes, 2 left 4, 3 right 4; 1 X9.19, 2 X9.9, 3 CMAC |
//! | BDK | key | `*` or `~` in front: BDK-1 or BDK-2 |
//! | Diebold table, algorithm number | `K` 3H, 2H | |
//! | KSN descriptor, KSN | 3H, 12–20H | 24H with an AES BDK |
//! | PIN block | 16H | 32H with an AES BDK |
//! | PIN block format | 2N | 01 04 05 47 48 |
//! | Account number | 12N | 18 characters with format 04; PAN and `;` with format 48 |
//! | Validation data | 16A | |
//! | Offset | 4N | |
//! | MAC | 16H or 8H | mode 1 |
//! | Message length, message | 4N, nB | mode 1 |
//!
//! Response: in mode 1 MAC status 2N (00 right, 01 wrong), also with 01 for the PIN. Errors: 01 the PIN is wrong, 10 BDK
//! parity, 12, 15, 19 table or algorithm, 20, 21, 23, 24, 27, 39, 69. Source: pins.md 2.29.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

use hsm_plugins::dukpt;

command! {
    code: "GS",
    title: "Verify a PIN using the Diebold method (DUKPT)",
    run: verify,
}

fn verify<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    hsm.pin_verification_allowed()?;
    let mode = dukpt::Mode::read(req)?;
    let bdk = req.bdk("BDK")?;
    let table = req.diebold_table()?;
    let terminal = dukpt::TerminalPin::read(req, bdk)?;
    let account = req.account("Account number", &[terminal.format])?;
    let validation_data = req.diebold_validation_data()?;
    let diebold = DieboldFields { table, account, validation_data };
    let offset = req.secret_digit_array("Offset")?;
    let mac = mode.read_mac(req)?;
    req.end()?;

    let bdk = terminal.open_bdk(hsm)?;
    let key = terminal.key(hsm, bdk)?;
    dukpt::check_format(hsm, key, terminal.format)?;
    hsm.diebold_check(table)?;
    let pin = terminal.decode(hsm, key, account)?;
    let verified = hsm.diebold_verify(pin, diebold, offset)?;
    dukpt::answer(hsm, verified, false, bdk, &terminal, mac)
}
