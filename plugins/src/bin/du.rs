//! DU: verify a PIN with the IBM method and generate the offset of a new one.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Key type | 3H | `001` ZPK, `002` or `70D` TPK, `FFF` as the key block says |
//! | ZPK or TPK | key | |
//! | PVK | key | type 002, single length |
//! | Current PIN block | 16H | 32H under an AES key |
//! | PIN block format | 2N | |
//! | Check length | 2N | 04 to 12 |
//! | Account number | 12N | 18 characters with format 04; PAN and `;` with format 48 |
//! | Decimalisation table | 16H | 16N if the device takes plain tables, `L` + 32H under an AES LMK, `K` + 3H in user storage |
//! | PIN validation data | 12A | `N` stands for the last 5 digits of the account; or `P` + 16H |
//! | Current offset | 12H | filled with `F` |
//! | New PIN block | 16H | same format, key and account |
//! | `*` count, PIN length, excluded PINs | 2N, 2N, nN | optional |
//!
//! Response: offset 12H filled with `F`, also with 02. Errors: 01 the current offset is wrong, 02 PVK of more than single length,
//! 03, 10, 11 PVK parity, 12, 20, 21, 23, 24, 25, 39, 69, 81, 86 the new PIN is excluded. Source: pins.md 2.22.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::pins::{ibm_response, verified};

command! {
    code: "DU",
    title: "Verify a PIN and generate an IBM PIN offset",
    run: change,
}

fn change<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    hsm.pin_verification_allowed()?;
    let purpose = req.pin_key_type()?;
    let key = req.key("PIN key", purpose)?;
    let pvk = req.key("PVK", KeyPurpose::PVK)?;
    let current = req.pin_block("Current PIN block", &key)?;
    let format = req.digit_array("PIN block format")?;
    let ibm = req.ibm_fields(&[format])?;
    let current_offset = req.pin_offset()?;
    let new = req.pin_block("New PIN block", &key)?;
    let excluded = req.excluded_pins()?;
    req.end()?;

    let key = hsm.open_source(&key)?;
    let pvk = hsm.open_destination(&pvk)?;
    hsm.pin_format(key, format)?;
    let (natural, long_pvk) = hsm.ibm_natural_pin(pvk, ibm)?;
    let current = hsm.pin_decode(key, format, &current, ibm.account)?;
    verified(hsm.ibm_verify(current, natural, current_offset)?)?;
    let new = hsm.pin_decode(key, format, &new, ibm.account)?;
    let offset = hsm.ibm_offset(new, natural)?;
    hsm.pin_may_be_chosen(new, excluded)?;
    let mut resp = ibm_response(hsm, long_pvk);
    resp.secret("Offset", offset);
    Ok(resp)
}
