//! QC: load the last PIN solicitation data of a batch and process the batch.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Reference number | 12N | as the mailer of OA shows it |
//! | PIN | 4–12N | that the customer chose |
//! | Delimiter | `;` | |
//!
//! The fields are repeated for 1 to 25 records, as in QA. Response: processed records, each the last 10 digits of the account and the PIN under
//! the LMK, filled with `F` to an even length; the response is repeated until all records of the batch have been returned. Errors: 13,
//! 15 form or number of records, batch full; 30 reference number, 31 the batch has too few records. Source: pins.md 2.35.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "QC",
    title: "Final load of solicitation data to user storage",
    run: process,
}

fn process<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let records = req.solicitation_records()?;
    req.end()?;

    let (processed, len) = hsm.solicitation_process(records)?;
    let mut responses = processed.chunks(usize::from(len).max(1));
    let mut resp = hsm.response();
    resp.secret("Processed data", responses.next().unwrap_or_default());
    for records in responses {
        let body = [ErrorCode::OK.as_bytes(), records, req.message_trailer()].concat();
        hsm.also_respond(*b"QD", &body)?;
    }
    Ok(resp)
}
