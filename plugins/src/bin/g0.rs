//! G0: translate a PIN from a BDK to a BDK or ZPK (TDES or AES DUKPT).
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Source flag, source BDK | 1A, key | flag optional: `*` BDK-1, `~` BDK-2 |
//! | Destination flag, destination key | 1A, key | flag optional: none ZPK, `*` BDK-1, `~` BDK-2 |
//! | Source KSN descriptor, KSN | 3H, 12–20H | 24H with an AES BDK |
//! | Destination KSN descriptor, KSN | 3H, 12–20H | only if the destination is a BDK |
//! | Source PIN block | 16H | 32H with an AES BDK |
//! | Source and destination PIN block format | 2N, 2N | |
//! | Account number | 12N | 18 characters with format 04; PAN and `;` with format 48 |
//! | `;` destination account number | 12N | optional, a setting |
//!
//! Response: PIN length 2N, destination PIN block, destination format 2N. Errors: 10 source BDK parity, 11 destination key parity,
//! 20, 22, 23, 24, 27 BDK of single length, 69. Source: pins.md 2.25.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "G0",
    title: "Translate a PIN from BDK to BDK or ZPK encryption",
    run: translate_pin,
}

fn translate_pin<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    req.leave_accounts_to_host();
    let bdk = req.bdk("Source BDK")?;
    let (key, is_bdk) = req.pin_destination_key()?;
    let source = req.ksn(&bdk)?;
    let ksn = if is_bdk { Some(req.ksn(&key)?) } else { None };
    let block = req.pin_block("Source PIN block", &bdk)?;
    let from = req.digit_array("Source PIN block format")?;
    let to = req.digit_array("Destination PIN block format")?;
    let account = req.account("Account number", &[from, to])?;
    let destination_account = req.destination_account(account, to)?;
    req.end()?;

    let bdk = hsm.open_source(&bdk)?;
    let destination = hsm.open_destination(&key)?;
    let source = hsm.pin_dukpt_key(bdk, source)?;
    let destination = match ksn {
        Some(ksn) => hsm.pin_dukpt_key(destination, ksn)?,
        None => destination,
    };
    hsm_plugins::dukpt::check_format(hsm, source, from)?;
    hsm.pin_translation(source, from, destination, to)?;
    if is_bdk {
        hsm_plugins::dukpt::terminal_format(to)?;
    }
    hsm.account_check(account)?;
    if destination_account != account {
        hsm.pin_account_change(from, account, to, destination_account)?;
    }
    let pin = hsm.pin_decode(source, from, &block, account)?;

    let mut resp = hsm.response();
    resp.number("PIN length", hsm.pin_length(pin)?.into(), 2);
    resp.pin_block("Destination PIN block", hsm.pin_encode(pin, destination, to, destination_account)?);
    resp.digits("Destination PIN block format", to);
    Ok(resp)
}
