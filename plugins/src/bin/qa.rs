//! QA: load PIN solicitation data to user storage.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Reference number | 12N | as the mailer of OA shows it |
//! | PIN | 4–12N | that the customer chose |
//! | Delimiter | `;` | |
//!
//! The fields are repeated for 1 to 25 records. User storage is erased: it has to be loaded again when the batch has been processed (QC).
//! Errors: 15 form or number of records, batch full; 30 reference number. Source: pins.md 2.35.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "QA",
    title: "Load solicitation data to user storage",
    run: load,
}

fn load<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let records = req.solicitation_records()?;
    req.end()?;

    hsm.solicitation_load(records)?;
    Ok(hsm.response())
}
