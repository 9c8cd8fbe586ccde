//! GW: generate or verify a MAC (TDES or AES DUKPT).
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | MAC mode | 1A | verify 1 8 bytes, 2 left 4, 3 right 4; generate 4, 5, 6 alike; A to F and G to L as 1 to 6 |
//! | MAC method | 1N | 1 X9.19, 2 X9.9, 3 CMAC |
//! | BDK | key | `*` or `~` in front: BDK-1 or BDK-2; in modes A to L BDK-2 |
//! | KSN descriptor, KSN | 3H, 12–20H | 24H with an AES BDK |
//! | MAC | 16H or 8H | verify modes |
//! | Message length, message | 4N, nB | |
//!
//! Modes 1 to 6 take the MAC key of requests, A to F the one of both directions of a bidirectional BDK, G to L its key of responses.
//! Response: MAC 16H or 8H (generate modes). Errors: 01 the MAC is wrong, 10 BDK parity, 12, 15, 27. Source: card-emv-mac.md 4 (GW).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

use hsm_plugins::dukpt;

command! {
    code: "GW",
    title: "Generate or verify a MAC (DUKPT)",
    run: mac,
}

fn mac<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let at = req.offset();
    // Direction, and mode 0 to 5 in it.
    let (direction, mode) = match req.chars("MAC mode", 1, |_| true, "")?[0] {
        c @ b'1'..=b'6' => (0, c - b'1'),
        c @ b'A'..=b'F' => (1, c - b'A'),
        c @ b'G'..=b'L' => (2, c - b'G'),
        _ => return Err(req.refuse("MAC mode", at, "must be 1 to 6 or A to L")),
    };
    let (generates, part) = (mode >= 3, mode % 3);
    let method = dukpt::mac_method(req)?;
    let mut bdk = req.bdk("BDK")?;
    if direction != 0 && bdk.purpose() == KeyPurpose::BDK && bdk.scheme() != Some(b'S') {
        bdk = bdk.with_purpose(KeyPurpose::BDK_2);
    }
    let ksn = req.ksn(&bdk)?;
    let given = if generates { None } else { Some(req.hex("MAC", if part == 0 { 8 } else { 4 })?) };
    let data = DukptMac { ksn, direction, method, message: dukpt::message(req)? };
    req.end()?;

    let bdk = hsm.open_source(&bdk)?;
    let mut resp = hsm.response();
    match given {
        Some(mac) => {
            let right = part == 2;
            hsm_plugins::pins::verified(hsm.dukpt_mac_verify(bdk, data, &mac, right)?)?;
        }
        None => {
            let mac = hsm.dukpt_mac(bdk, data)?;
            let (left, right) = mac.split_at(4);
            resp.hex("MAC", [&mac[..], left, right][usize::from(part)]);
        }
    }
    Ok(resp)
}
