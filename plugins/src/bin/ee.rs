//! EE: derive a PIN with the IBM method.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | PVK | key | type 002, single length |
//! | Offset | 12H | filled with `F`; as many digits as the PIN |
//! | Check length | 2N | 04 to 12 |
//! | Account number | 12N | |
//! | Decimalisation table | 16H | 16N if the device takes plain tables, `L` + 32H under an AES LMK, `K` + 3H in user storage |
//! | PIN validation data | 12A | `N` stands for the last 5 digits of the account; or `P` + 16H |
//! | `*` count, PIN length, excluded PINs | 2N, 2N, nN | optional |
//!
//! Response: PIN under the LMK LN, `J` + 32H under an AES LMK, also with 02. Errors: 02 PVK of more than single length, 03, 10 PVK
//! parity, 12, 15 also for an offset shorter than the check length, 21, 25, 81, 86 the PIN is excluded. Source: pins.md 2.23.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::pins::ibm_response;

command! {
    code: "EE",
    title: "Derive a PIN using the IBM method",
    run: derive,
}

fn derive<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let pvk = req.key("PVK", KeyPurpose::PVK)?;
    let offset = req.pin_offset()?;
    let ibm = req.ibm_fields(&[])?;
    let excluded = req.excluded_pins()?;
    req.end()?;

    let pvk = hsm.open_source(&pvk)?;
    let (natural, long_pvk) = hsm.ibm_natural_pin(pvk, ibm)?;
    let pin = hsm.ibm_pin(natural, offset)?;
    hsm.pin_may_be_chosen(pin, excluded)?;
    let mut resp = ibm_response(hsm, long_pvk);
    resp.lmk_pin("PIN under the LMK", hsm.lmk_pin_encrypt(pin, ibm.account)?);
    Ok(resp)
}
