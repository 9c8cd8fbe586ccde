//! RA: cancel authorised activities.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Mode | 2H | optional: 00 all, 01 those that follow; nothing means 00 |
//! | Number of activities | 3N | mode 01 |
//! | Activity | nA | mode 01, repeated: `category[.sub][.interface][:timeout]` with the original timeout, ended by `;` |
//!
//! Response: number of activities cancelled 3N, with a mode. With the single authorised state, every form clears it. Errors: 13 no such LMK, 15 mode or activity. The
//! activities are those of the selected LMK. Source: host.md 3.11.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "RA",
    title: "Cancel authorised activities",
    run: cancel,
}

fn cancel<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let at = req.offset();
    let counted = req.peek().is_some_and(|c| c.is_ascii_hexdigit());
    let mode = match counted {
        true => req.chars("Mode", 2, u8::is_ascii_hexdigit, "must be hexadecimal digits")?,
        false => b"00",
    };
    let listed = match mode {
        b"00" => false,
        b"01" => true,
        _ => return Err(req.refuse("Mode", at, "must be 00 or 01")),
    };
    let mut activities = Vec::new();
    let mut count = 0;
    if listed {
        count = req.number("Number of activities", 3)?;
        for n in 0..count {
            if n > 0 {
                activities.push(b';');
            }
            let at = req.offset();
            let Some(len) = req.rest().iter().take(LONGEST_ACTIVITY + 1).position(|c| *c == b';') else {
                return Err(req.refuse("Activity", at, "must be at most 64 characters ended by ;"));
            };
            activities.extend_from_slice(req.text("Activity", len)?);
            req.delimiter("Delimiter", b';')?;
        }
    }
    req.end()?;

    // An empty list is not "all".
    let cancelled = match listed && count == 0 {
        true => 0,
        false => hsm.cancel_authorisation(listed.then_some(activities.as_slice()))?,
    };
    let mut resp = hsm.response();
    if counted {
        resp.number("Number of activities", usize::from(cancelled).min(999), 3);
    }
    Ok(resp)
}

/// In characters, without the delimiter.
const LONGEST_ACTIVITY: usize = 64;
