//! What the DUKPT commands share: base derivation keys, PIN blocks under derived keys, and the MAC that may follow a PIN (pins.md
//! 2.12-2.16, 2.25, 2.27-2.30, card-emv-mac.md 4).

use hsm_plugin_sdk::prelude::*;

/// PIN block formats that terminals send under DUKPT keys.
const FORMATS: [&[u8; 2]; 5] = [b"01", b"04", b"05", b"47", b"48"];

/// The only format of single-DES DUKPT: ISO-0.
const ISO_0: [u8; 2] = *b"01";

/// Checks the format of a PIN block under a DUKPT key.
///
/// # Errors
/// 23 for a format that does not exist, does not occur here or is not for the key, 69 if it is disabled.
pub fn check_format(hsm: &Hsm<'_>, key: KeyHandle, format: [u8; 2]) -> Result<()> {
    hsm.pin_format(key, format)?;
    terminal_format(format)
}

/// Checks that PIN blocks of a format occur under DUKPT keys.
///
/// # Errors
/// 23.
pub fn terminal_format(format: [u8; 2]) -> Result<()> {
    if FORMATS.contains(&&format) { Ok(()) } else { Err(ErrorCode::PIN_BLOCK_FORMAT.into()) }
}

/// A PIN block under a key that a BDK and a key serial number give, as GO, GQ, GS and GU carry it.
#[derive(Debug)]
pub struct TerminalPin<'h> {
    bdk: KeyField<'h>,
    ksn: KsnField<'h>,
    block: Vec<u8>,
    /// Its format.
    pub format: [u8; 2],
}

impl<'h> TerminalPin<'h> {
    /// Reads key serial number, PIN block and format.
    ///
    /// # Errors
    /// 15; 12 or 21 for a reference into user storage.
    pub fn read(req: &mut Request<'h>, bdk: KeyField<'h>) -> Result<Self> {
        Ok(Self {
            bdk,
            ksn: req.ksn(&bdk)?,
            block: req.pin_block("PIN block", &bdk)?,
            format: req.digit_array("PIN block format")?,
        })
    }

    /// Opens the BDK: parity 10.
    ///
    /// # Errors
    /// As [`Hsm::key_open`].
    pub fn open_bdk(&self, hsm: &Hsm<'_>) -> Result<KeyHandle> {
        Ok(hsm.open_source(&self.bdk)?)
    }

    /// The key the PIN block is under.
    ///
    /// # Errors
    /// 27 for a BDK of single length, 15 for the key serial number.
    pub fn key(&self, hsm: &Hsm<'_>, bdk: KeyHandle) -> Result<KeyHandle> {
        Ok(hsm.pin_dukpt_key(bdk, self.ksn)?)
    }

    /// The PIN.
    ///
    /// # Errors
    /// 20, 22, 24.
    pub fn decode(&self, hsm: &Hsm<'_>, key: KeyHandle, account: AccountField<'_>) -> Result<PinHandle> {
        Ok(hsm.pin_decode(key, self.format, &self.block, account)?)
    }
}

/// Mode of GO, GQ, GS and GU: whether a MAC follows the PIN, and which part of it (pins.md 2.27).
#[derive(Debug, Clone, Copy)]
pub struct Mode {
    mac: Option<(u8, u8)>,
}

/// The MAC part of a request.
#[derive(Debug, Clone)]
pub struct MacPart<'h> {
    mode: u8,
    method: u8,
    mac: Vec<u8>,
    message: &'h [u8],
}

impl Mode {
    /// Reads the mode (0 PIN, 1 PIN and MAC), and in mode 1 MAC mode and MAC method.
    ///
    /// # Errors
    /// 15 for other values.
    pub fn read(req: &mut Request<'_>) -> Result<Self> {
        if req.chars("Mode", 1, |c| matches!(c, b'0' | b'1'), "must be 0 or 1")? == b"0" {
            return Ok(Self { mac: None });
        }
        let mode = req.chars("MAC mode", 1, |c| matches!(c, b'1'..=b'3'), "must be 1, 2 or 3")?[0] - b'0';
        let method = mac_method(req)?;
        Ok(Self { mac: Some((mode, method)) })
    }

    /// Reads the MAC part: MAC 16H or (MAC modes 2 and 3) 8H, message length 4N, message.
    ///
    /// # Errors
    /// 15.
    pub fn read_mac<'h>(self, req: &mut Request<'h>) -> Result<Option<MacPart<'h>>> {
        let Some((mode, method)) = self.mac else { return Ok(None) };
        let mac = req.hex("MAC", if mode == 1 { 8 } else { 4 })?;
        let message = message(req)?;
        Ok(Some(MacPart { mode, method, mac, message }))
    }
}

/// Reads a MAC method: 1 X9.19, 2 X9.9, 3 CMAC.
///
/// # Errors
/// 15 for other values.
pub fn mac_method(req: &mut Request<'_>) -> Result<u8> {
    Ok(req.chars("MAC method", 1, |c| matches!(c, b'1'..=b'3'), "must be 1, 2 or 3")?[0] - b'0')
}

/// Reads a message after its length in bytes, 4N.
///
/// # Errors
/// 15.
pub fn message<'h>(req: &mut Request<'h>) -> Result<&'h [u8]> {
    let len = req.number("Message length", 4)?;
    req.bytes("Message", len)
}

/// The answer of GO, GQ, GS and GU: in mode 1 the MAC's result follows that of the PIN, whatever that is. `warning` asks for 02 instead
/// of 00.
///
/// # Errors
/// 01 if the PIN is wrong in mode 0.
pub fn answer<'h>(
    hsm: &Hsm<'h>,
    verified: bool,
    warning: bool,
    bdk: KeyHandle,
    pin: &TerminalPin<'_>,
    mac: Option<MacPart<'_>>,
) -> Result<Response<'h>> {
    let mut resp = crate::pins::ibm_response(hsm, warning && verified);
    let Some(part) = mac else {
        crate::pins::verified(verified)?;
        return Ok(resp);
    };
    if !verified {
        resp.advice(ErrorCode::VERIFICATION_FAILED);
    }
    let data = DukptMac { ksn: pin.ksn, direction: 0, method: part.method, message: part.message };
    let right = hsm.dukpt_mac_verify(bdk, data, &part.mac, part.mode == 3)?;
    resp.text("MAC status", if right { b"00" } else { b"01" });
    Ok(resp)
}

/// An ISO-0 PIN block under a single-DES DUKPT key, as CI, CK, CM, CO and CQ carry it.
#[derive(Debug)]
pub struct LegacyPin<'h> {
    bdk: KeyField<'h>,
    ksn: KsnField<'h>,
    block: [u8; 8],
}

impl<'h> LegacyPin<'h> {
    /// Reads key serial number and PIN block.
    ///
    /// # Errors
    /// 15; 12 or 21 for a reference into user storage.
    pub fn read(req: &mut Request<'h>, bdk: KeyField<'h>) -> Result<Self> {
        Ok(Self { bdk, ksn: req.ksn(&bdk)?, block: req.des_pin_block("PIN block")? })
    }

    /// Opens the BDK: parity 10.
    ///
    /// # Errors
    /// As [`Hsm::key_open`].
    pub fn open_bdk(&self, hsm: &Hsm<'_>) -> Result<KeyHandle> {
        Ok(hsm.open_source(&self.bdk)?)
    }

    /// The key the PIN block is under.
    ///
    /// # Errors
    /// 27 for a BDK that is not of double length, 15 for the key serial number, 69 if ISO-0 is disabled.
    pub fn key(&self, hsm: &Hsm<'_>, bdk: KeyHandle) -> Result<KeyHandle> {
        let key = hsm.dukpt_single_des_key(bdk, self.ksn)?;
        hsm.pin_format(key, ISO_0)?;
        Ok(key)
    }

    /// The PIN.
    ///
    /// # Errors
    /// 20, 22, 24.
    pub fn decode(&self, hsm: &Hsm<'_>, key: KeyHandle, account: AccountField<'_>) -> Result<PinHandle> {
        Ok(hsm.dukpt_single_des_decode(key, self.block, account)?)
    }
}
