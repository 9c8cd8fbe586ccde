//! JA: generate a random PIN.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Account number | 12N | |
//! | PIN length | 2N | optional, 04 |
//! | `*` count, PIN length, excluded PINs | 2N, 2N, nN | optional |
//!
//! Response: PIN under the LMK LN, `J` + 32H under an AES LMK. Errors: 03, 15, 24 shorter than 4 or longer than the device's
//! PIN length, 81. Source: pins.md 2.31.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "JA",
    title: "Generate a random PIN",
    run: generate,
}

fn generate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let account = req.account_12("Account number")?;
    let length = if req.peek().is_some_and(|c| c.is_ascii_digit()) { req.number("PIN length", 2)? as u8 } else { 4 };
    let excluded = req.excluded_pins()?;
    req.end()?;

    let pin = hsm.pin_random(length, excluded)?;
    hsm_plugins::pins::lmk_pin_response(hsm, pin, account)
}
