//! OA: print a PIN solicitation mailer.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Document type | 1A | `A` first, `B` second mailer of a two-up form, `C` one-up form |
//! | Account number | 12N | |
//! | Print fields | nA | separated by `;`; ended by `~` if an LMK identifier follows |
//!
//! Response OB: reference number check value 12N. Response OZ after printing: error code only. Errors of OB: 15, 16 no printer, 17, 18 no print
//! format; of OZ: 16. Source: pins.md 2.35.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "OA",
    title: "Print a PIN solicitation mailer",
    run: print,
}

fn print<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let document = hsm_plugins::printing::document_type(req)?;
    let account = req.account_12("Account number")?;
    let fields = req.print_fields(&[])?;
    req.end()?;

    let (check_value, printed) = hsm.print_solicitation(document, account, fields)?;
    hsm_plugins::printing::then_printed(req, hsm, b"OZ", printed)?;
    let mut resp = hsm.response();
    resp.digits("Reference number check value", check_value);
    Ok(resp)
}
