//! DE: generate the IBM offset of a PIN under the LMK.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | PVK | key | type 002, single length |
//! | PIN under the LMK | LN | `J` + 32H under an AES LMK |
//! | Check length | 2N | 04 to 12 |
//! | Account number | 12N | |
//! | Decimalisation table | 16H | 16N if the device takes plain tables, `L` + 32H under an AES LMK, `K` + 3H in user storage |
//! | PIN validation data | 12A | `N` stands for the last 5 digits of the account; or `P` + 16H |
//! | `*` count, PIN length, excluded PINs | 2N, 2N, nN | optional |
//!
//! Response: offset 12H filled with `F`, also with 02. Errors: 02 PVK of more than single length, 03, 10 PVK parity, 12, 14, 15,
//! 21, 24 the PIN is shorter than the check length, 25, 46, 81, 86 the PIN is excluded. Source: pins.md 2.20.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::pins::ibm_response;

command! {
    code: "DE",
    title: "Generate an IBM PIN offset of an LMK-encrypted PIN",
    run: generate,
}

fn generate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let pvk = req.key("PVK", KeyPurpose::PVK)?;
    let pin = req.lmk_pin("PIN under the LMK")?;
    let ibm = req.ibm_fields(&[])?;
    let excluded = req.excluded_pins()?;
    req.end()?;

    let pvk = hsm.open_source(&pvk)?;
    let (natural, long_pvk) = hsm.ibm_natural_pin(pvk, ibm)?;
    let pin = hsm.lmk_pin_decrypt(pin, ibm.account)?;
    let offset = hsm.ibm_offset(pin, natural)?;
    hsm.pin_may_be_chosen(pin, excluded)?;
    let mut resp = ibm_response(hsm, long_pvk);
    resp.secret("Offset", offset);
    Ok(resp)
}
