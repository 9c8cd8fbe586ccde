//! EM: translate a private key from the old LMK to the new one.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Private key length, private key | 4N, nB | under the old LMK; `FFFF` and a key block under a key-block LMK |
//! | `#` key version number, optional blocks | 2A, 2N, nA | from a variant LMK to a key-block LMK |
//! | `&` exportability | 1A | optional with `#`, else S |
//!
//! Response: private key length 4N or `FFFF`, private key nB or key block. Errors: 33 nothing in key change storage, 49 private key,
//! 78 private key length, A1 from a key-block LMK to a variant LMK, A3 to BE. Source: keys.md 7 (EM).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::asymmetric::{end_with_optional_attributes, put_private_field, read_private_key};

command! {
    code: "EM",
    title: "Translate a private key from the old LMK to the new LMK",
    run: translate,
}

fn translate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let key = read_private_key(req)?;
    let attributes = end_with_optional_attributes(req, &AttributeGroup::VERSION)?;

    let (is_block, field) = hsm.private_key_translate(key, attributes)?;
    let mut resp = hsm.response();
    put_private_field(&mut resp, is_block, &field);
    Ok(resp)
}
