//! CU: verify a PIN with the Visa method and generate the PVV of a new one.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Key type | 3H | `001` ZPK, `002` or `70D` TPK, `FFF` as the key block says |
//! | ZPK or TPK | key | |
//! | PVK pair | 32H or key | type 002, double length |
//! | Current PIN block | 16H | 32H under an AES key |
//! | PIN block format | 2N | |
//! | Account number | 12N | 18 characters with format 04; PAN and `;` with format 48 |
//! | PVKI | 1N | |
//! | Current PVV | 4N | |
//! | New PIN block | 16H | same format, key and account |
//! | `*` count, PIN length, excluded PINs | 2N, 2N, nN | optional |
//!
//! Response: PVV 4N. Errors: 01 the current PVV is wrong, 03, 10, 11 PVK parity, 20, 23, 24, 27 PVK not of double length, 39,
//! 69, 81, 86 the new PIN is excluded. Source: pins.md 2.17.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::pins::{open_pvk_pair, verified};

command! {
    code: "CU",
    title: "Verify a PIN and generate a Visa PVV",
    run: change,
}

fn change<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    hsm.pin_verification_allowed()?;
    let purpose = req.pin_key_type()?;
    let key = req.key("PIN key", purpose)?;
    let pvk = req.double_key("PVK pair", KeyPurpose::PVK)?;
    let current = req.pin_block("Current PIN block", &key)?;
    let format = req.digit_array("PIN block format")?;
    let account = req.account("Account number", &[format])?;
    let pvki = req.digits("PVKI", 1)?[0];
    let pvv = req.secret_digit_array("Current PVV")?;
    let new = req.pin_block("New PIN block", &key)?;
    let excluded = req.excluded_pins()?;
    req.end()?;

    let key = hsm.open_source(&key)?;
    let pvk = open_pvk_pair(hsm, &pvk)?;
    hsm.pin_format(key, format)?;
    let current = hsm.pin_decode(key, format, &current, account)?;
    verified(hsm.pvv_verify(current, pvk, account, pvki, pvv)?)?;
    let new = hsm.pin_decode(key, format, &new, account)?;
    hsm.pin_may_be_chosen(new, excluded)?;
    let mut resp = hsm.response();
    resp.secret("PVV", hsm.pvv(new, pvk, account, pvki)?);
    Ok(resp)
}
