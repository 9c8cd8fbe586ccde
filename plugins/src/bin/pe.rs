//! PE: print a PIN mailer.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Document type | 1A | `A` first, `B` second mailer of a two-up form, `C` one-up form |
//! | Account number | 12N | |
//! | PIN under the LMK | L | `J` and 32H under an AES LMK |
//! | Print fields | nA | separated by `;`; ended by `~` if an LMK identifier follows |
//!
//! Response PF: PIN and reference number check value, L and 12 digits. Response PZ after printing: error code only.
//! Errors of PF: 14, 15, 16 no printer, 17, 18 no print format; of PZ: 16. Source: pins.md 2.35.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "PE",
    title: "Print a PIN mailer",
    run: print,
}

fn print<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let document = hsm_plugins::printing::document_type(req)?;
    let account = req.account_12("Account number")?;
    let pin = req.lmk_pin("PIN under the LMK")?;
    let fields = req.print_fields(&[])?;
    req.end()?;

    let (check_value, printed) = hsm.print_pin(document, account, pin, fields)?;
    hsm_plugins::printing::then_printed(req, hsm, b"PZ", printed)?;
    let mut resp = hsm.response();
    resp.digits("PIN and reference number check value", check_value);
    Ok(resp)
}
