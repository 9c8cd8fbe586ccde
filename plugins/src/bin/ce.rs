//! CE: generate the Diebold offset of a PIN under the LMK.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Diebold table pointer | `K` + 3H | user storage |
//! | Algorithm number | 2H | |
//! | PIN under the LMK | LN | `J` + 32H under an AES LMK |
//! | Account number | 12N | |
//! | Validation data | 16A | right-justified, filled with `F` |
//! | `*` count, PIN length, excluded PINs | 2N, 2N, nN | optional |
//!
//! Response: offset 4N. Errors: 03, 12, 14, 15, 19 no table or no algorithm, 21, 46, 81, 86 the PIN is excluded. Source:
//! pins.md 2.10.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "CE",
    title: "Generate a Diebold PIN offset",
    run: generate,
}

fn generate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let table = req.diebold_table()?;
    let pin = req.lmk_pin("PIN under the LMK")?;
    let account = req.account_12("Account number")?;
    let validation_data = req.diebold_validation_data()?;
    let diebold = DieboldFields { table, account, validation_data };
    let excluded = req.excluded_pins()?;
    req.end()?;

    hsm.diebold_check(table)?;
    let pin = hsm.lmk_pin_decrypt(pin, account)?;
    hsm.pin_may_be_chosen(pin, excluded)?;
    let mut resp = hsm.response();
    resp.secret("Offset", hsm.diebold_offset(pin, diebold)?);
    Ok(resp)
}
