//! FW: generate the Visa PVV of a PIN that the customer chose.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Key type | 3H | `001` ZPK, `002` or `70D` TPK, `FFF` as the key block says |
//! | ZPK or TPK | key | |
//! | PVK pair | 32H or key | type 002, double length |
//! | PIN block | 16H | 32H under an AES key |
//! | PIN block format | 2N | |
//! | Account number | 12N | 18 characters with format 04; PAN and `;` with format 48 |
//! | PVKI | 1N | |
//! | `*` count, PIN length, excluded PINs | 2N, 2N, nN | optional |
//!
//! Response: PVV 4N. Errors: 03, 10, 11 PVK parity, 20, 23, 24, 27 PVK not of double length, 69, 81, 86 the PIN is excluded.
//! Source: pins.md 2.24.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::pins::open_pvk_pair;

command! {
    code: "FW",
    title: "Generate a Visa PVV of a customer-selected PIN",
    run: generate,
}

fn generate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let purpose = req.pin_key_type()?;
    let key = req.key("PIN key", purpose)?;
    let pvk = req.double_key("PVK pair", KeyPurpose::PVK)?;
    let block = req.pin_block("PIN block", &key)?;
    let format = req.digit_array("PIN block format")?;
    let account = req.account("Account number", &[format])?;
    let pvki = req.digits("PVKI", 1)?[0];
    let excluded = req.excluded_pins()?;
    req.end()?;

    let key = hsm.open_source(&key)?;
    let pvk = open_pvk_pair(hsm, &pvk)?;
    hsm.pin_format(key, format)?;
    let pin = hsm.pin_decode(key, format, &block, account)?;
    hsm.pin_may_be_chosen(pin, excluded)?;
    let mut resp = hsm.response();
    resp.secret("PVV", hsm.pvv(pin, pvk, account, pvki)?);
    Ok(resp)
}
