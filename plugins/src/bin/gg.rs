//! GG: form a ZMK from three components under the component variant of LMK pair 04-05.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Components | 3 × 16H or 32H | the length is a setting; key blocks under a key-block LMK |
//! | `;` reserved, key scheme (LMK), check value type | 1A, 1A, 1A | optional group |
//! | `#` key version number, optional blocks | 4A, nA | key-block LMK |
//!
//! Response: ZMK under the LMK, check value, 16H or (type 1) 6H. Errors: 10 parity of the first component, 11 of another, 15,
//! 17 authorised state, 26, 27 lengths differ, A9 no component, B5, B6. Source: keys.md 7 (GG).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::legacy;

command! {
    code: "GG",
    title: "Form a ZMK from three components",
    run: form,
}

fn form<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    legacy::form_zmk(req, hsm, 3)
}
