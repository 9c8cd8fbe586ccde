//! NO: HSM status.
//!
//! | Field | Length | Notes |
//! |---|---|---|
//! | Mode | 2H | 00 status, 01 PCI HSM state |
//!
//! Response, mode 00: I/O buffer 1N (3: 32 KiB), Ethernet type 1N (1: TCP), number of TCP sockets 2N, firmware number 9A, reserved 1N, reserved
//! 4A. Mode 01: 1 all settings as PCI HSM wants them; 0 not all, key type 002 separation among those that are not; 2 not all, but that
//! one is. Errors: 15 mode. Source: host.md 3.2.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "NO",
    title: "HSM status",
    run: status,
}

/// A device's own figure; how many connections this one takes is the server's setting.
const SOCKETS: usize = 64;

fn status<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let at = req.offset();
    let mode = req.hex_number("Mode", 2)?;
    if mode > 1 {
        return Err(req.refuse("Mode", at, "must be 00 or 01"));
    }
    req.end()?;

    let mut resp = hsm.response();
    if mode == 1 {
        resp.number("PCI HSM state", hsm.pci_hsm_state()?.into(), 1);
        return Ok(resp);
    }
    resp.digits("I/O buffer size", b"3");
    resp.digits("Ethernet type", b"1");
    resp.number("Number of TCP sockets", SOCKETS, 2);
    resp.text("Firmware number", hsm.firmware()?);
    resp.digits("Reserved", b"0");
    resp.text("Reserved", b"0000");
    Ok(resp)
}
