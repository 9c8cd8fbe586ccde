//! BK: generate the IBM offset of a PIN that the customer chose.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Key type | 3H | `001` ZPK, `002` or `70D` TPK, `FFF` as the key block says |
//! | ZPK or TPK | key | |
//! | PVK | key | type 002, single length |
//! | PIN block | 16H | 32H under an AES key |
//! | PIN block format | 2N | |
//! | Check length | 2N | 04 to 12 |
//! | Account number | 12N | 18 characters with format 04; PAN and `;` with format 48 |
//! | Decimalisation table | 16H | 16N if the device takes plain tables, `L` + 32H under an AES LMK, `K` + 3H in user storage |
//! | PIN validation data | 12A | `N` stands for the last 5 digits of the account; or `P` + 16H |
//! | `*` count, PIN length, excluded PINs | 2N, 2N, nN | optional |
//!
//! Response: offset 12H filled with `F`, also with 02. Errors: 02 PVK of more than single length, 03, 10, 11 PVK parity, 12, 20,
//! 21, 23, 24 also for a PIN shorter than the check length, 25, 69, 81, 86 the PIN is excluded. Source: pins.md 2.5.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::pins::ibm_response;

command! {
    code: "BK",
    title: "Generate an IBM PIN offset of a customer-selected PIN",
    run: generate,
}

fn generate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let purpose = req.pin_key_type()?;
    let key = req.key("PIN key", purpose)?;
    let pvk = req.key("PVK", KeyPurpose::PVK)?;
    let block = req.pin_block("PIN block", &key)?;
    let format = req.digit_array("PIN block format")?;
    let ibm = req.ibm_fields(&[format])?;
    let excluded = req.excluded_pins()?;
    req.end()?;

    let key = hsm.open_source(&key)?;
    let pvk = hsm.open_destination(&pvk)?;
    hsm.pin_format(key, format)?;
    let (natural, long_pvk) = hsm.ibm_natural_pin(pvk, ibm)?;
    let pin = hsm.pin_decode(key, format, &block, ibm.account)?;
    let offset = hsm.ibm_offset(pin, natural)?;
    hsm.pin_may_be_chosen(pin, excluded)?;
    let mut resp = ibm_response(hsm, long_pvk);
    resp.secret("Offset", offset);
    Ok(resp)
}
