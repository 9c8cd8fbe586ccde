//! GY: form a ZMK from two to nine components under the component variant of LMK pair 04-05.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Number of components | 1N | 2 to 9 |
//! | Components | 16H or 32H each | the length is a setting; key blocks under a key-block LMK |
//! | `;` reserved, key scheme (LMK), check value type | 1A, 1A, 1A | optional group |
//! | `#` key version number, optional blocks | 4A, nA | key-block LMK |
//!
//! Response: ZMK under the LMK, check value, 16H or (type 1) 6H. Errors: 03 number of components, 10 parity of the first
//! component, 11 of another, 15, 17 authorised state, 26, 27 lengths differ, A9 no component, B5, B6. Source: keys.md 7 (GY).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::legacy;

command! {
    code: "GY",
    title: "Form a ZMK from two to nine components",
    run: form,
}

fn form<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let at = req.offset();
    let number = req.digit("Number of components")?;
    if number < 2 {
        return Err(req.refuse_with(ErrorCode::COMPONENT_COUNT, "Number of components", at, "must be 2 to 9"));
    }
    legacy::form_zmk(req, hsm, number.into())
}
