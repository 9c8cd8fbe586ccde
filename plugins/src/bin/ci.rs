//! CI: translate a PIN from a BDK to a ZPK (single-DES DUKPT).
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | BDK | 32H or key | double length |
//! | ZPK | key | |
//! | KSN descriptor, KSN | 3H, 12–20H | |
//! | PIN block | 16H | ISO-0 |
//! | Destination PIN block format | 2N | 01 or 04 |
//! | Account number | 12N | 18 characters with format 04 |
//!
//! Response: PIN length 2N, destination PIN block 16H, destination format 2N. Errors: 10 BDK parity, 11 ZPK parity, 15, 20, 23, 24,
//! 27 BDK not of double length, 69. Source: pins.md 2.12.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

use hsm_plugins::dukpt;

command! {
    code: "CI",
    title: "Translate a PIN from BDK to ZPK encryption (single-DES DUKPT)",
    run: translate_pin,
}

fn translate_pin<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let bdk = req.bdk("BDK")?;
    let zpk = req.key("ZPK", KeyPurpose::ZPK)?;
    let terminal = dukpt::LegacyPin::read(req, bdk)?;
    let to = req.digit_array("Destination PIN block format")?;
    let account = req.account("Account number", &[to])?;
    req.end()?;

    let bdk = terminal.open_bdk(hsm)?;
    let zpk = hsm.open_destination(&zpk)?;
    let key = terminal.key(hsm, bdk)?;
    if !matches!(&to, b"01" | b"04") {
        return Err(ErrorCode::PIN_BLOCK_FORMAT.into());
    }
    hsm.pin_translation(key, *b"01", zpk, to)?;
    let pin = terminal.decode(hsm, key, account)?;

    let mut resp = hsm.response();
    resp.number("PIN length", hsm.pin_length(pin)?.into(), 2);
    resp.pin_block("Destination PIN block", hsm.pin_encode(pin, zpk, to, account)?);
    resp.digits("Destination PIN block format", to);
    Ok(resp)
}
