//! A4: form a key from encrypted components.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Number of components | 1N | 2 to 9 |
//! | Key type | 3H | `FFF` for a key-block LMK |
//! | Key scheme (LMK) | 1A | also the length of untagged components |
//! | Components | key, 2 to 9 times | key version numbers `c1` to `c9` under a key-block LMK |
//! | `%` LMK identifier | 2N | optional |
//! | `#` key version number, optional blocks | | key-block LMK |
//!
//! Response: key under the LMK, check value 6H. Errors: 03 number of components, 10 component parity, 11 the key is all zero, 17, 26
//! scheme, 27 lengths differ, A9 no component, B5 components that do not go together, B6 their key status blocks do not. Source:
//! keys.md 7 (A4).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::transport::goes_into_block;

command! {
    code: "A4",
    title: "Form a key from encrypted components",
    run: form,
}

fn form<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let at = req.offset();
    let count = match req.digit("Number of components")? {
        count @ 2..=9 => count,
        _ => return Err(req.refuse_with(ErrorCode::COMPONENT_COUNT, "Number of components", at, "must be 2 to 9")),
    };
    let purpose = req.key_type("Key type")?;
    let scheme = req.scheme("Key scheme (LMK)")?;
    let untagged = match scheme {
        b'U' | b'X' => 32,
        b'T' | b'Y' => 48,
        _ => 16,
    };
    let mut components = Vec::new();
    for _ in 0..count {
        components.push(req.sized_key("Component", purpose, untagged)?);
    }
    req.lmk_identifier()?;
    let in_block = goes_into_block(hsm, purpose, scheme)?;
    let attributes = if in_block { req.attributes(&AttributeGroup::VERSION)? } else { None };
    req.end()?;

    hsm.key_type_fits(purpose)?;
    if purpose != KeyPurpose::KEY_BLOCK {
        hsm.key_may_form(purpose)?;
    }
    let opened = components.iter().map(|component| hsm.key_component_open(purpose, component.bytes()));
    let components = opened.collect::<Result<Vec<_>, _>>()?;
    let key = hsm.key_form(purpose, components, attributes)?;
    let mut resp = hsm.response();
    resp.key("Key under the LMK", hsm.key_wrap(key, scheme)?);
    resp.hex("Key check value", &hsm.key_check_value(key)?[..3]);
    Ok(resp)
}
