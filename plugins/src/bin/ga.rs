//! GA: derive a PIN with the Diebold method.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Diebold table pointer | `K` + 3H | user storage |
//! | Algorithm number | 2H | |
//! | Offset | 4N | |
//! | Account number | 12N | |
//! | Validation data | 16A | right-justified, filled with `F` |
//!
//! Response: PIN under the LMK LN, `J` + 32H under an AES LMK. Errors: 12, 15, 19 no table or no algorithm, 21. Source: pins.md
//! 2.26.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "GA",
    title: "Derive a PIN using the Diebold method",
    run: derive,
}

fn derive<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let table = req.diebold_table()?;
    let offset = req.secret_digit_array("Offset")?;
    let account = req.account_12("Account number")?;
    let validation_data = req.diebold_validation_data()?;
    let diebold = DieboldFields { table, account, validation_data };
    req.end()?;

    hsm.diebold_check(table)?;
    let pin = hsm.diebold_pin(diebold, offset)?;
    hsm_plugins::pins::lmk_pin_response(hsm, pin, account)
}
