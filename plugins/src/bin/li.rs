//! LI: load the words that a PIN is printed in.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Length, text | 1H, nB | ten times, for the digits 0 to 9; length 0 stands for 16 |
//!
//! Errors: 15. Source: host.md 3.8.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "LI",
    title: "Load PIN text strings",
    run: load,
}

fn load<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let mut words = [&[][..]; 10];
    for word in &mut words {
        let len = match req.hex_number("Length", 1)? {
            0 => 16,
            len => len,
        };
        *word = req.bytes("Text", len)?;
    }
    req.end()?;

    for (digit, word) in (0..).zip(words) {
        hsm.print_word_load(digit, word)?;
    }
    Ok(hsm.response())
}
