//! KQ: verify an ARQC, TC or AAC and/or generate an ARPC (EMV 3.1.1).
//!
//! | Field | Length | Modes | Notes |
//! |---|---|---|---|
//! | Mode | 1N | | 0 verify, 1 verify and ARPC, 2 ARPC, 3 verify with discretionary data, 4 both |
//! | Scheme | 1N | | 0 Visa VSDC, 1 Mastercard M/Chip, 2 Amex AEIPS |
//! | MK-AC | key | | type 109 |
//! | MK-SMI | key | 3 4 | type 209 |
//! | PAN and PAN sequence number | 8B | | |
//! | ATC | 2B | | |
//! | Unpredictable number | 4B | | |
//! | Transaction data length, data, `;` | 2H, nB, 1A | 0 1 3 4 | |
//! | ARQC | 8B | | |
//! | ARC | 2B | 1 2 4 | |
//! | Discretionary MAC | 4B | 3 4 | |
//! | Discretionary data length, data | 2H, nB | 3 4 | an optional `;` may follow |
//!
//! Response: ARPC 8B (modes 1 2 4). With 01 the expected cryptogram 8B, where `diag.host` is authorised.
//! Errors: 01 cryptogram, 03 mode 3 or 4 with another scheme than 0, 04 mode, 05 scheme, 06 discretionary MAC, 10 MK-AC parity, 11 MK-SMI
//! parity, 80 81 transaction data length, 82 discretionary data length. Source: card-emv-mac.md 2.
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;

command! {
    code: "KQ",
    title: "Verify an ARQC and/or generate an ARPC",
    run: verify_arqc,
}

const MODE: ErrorCode = ErrorCode::KEY_TYPE_CODE;
const SCHEME: ErrorCode = ErrorCode::KEY_LENGTH_FLAG;
const COMBINATION: ErrorCode = ErrorCode::COMPONENT_COUNT;
const DISCRETIONARY_MAC: ErrorCode = ErrorCode::COMMAND_06;
const ZERO_LENGTH: ErrorCode = ErrorCode::CERTIFICATE_HEADER;

fn verify_arqc<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let at = req.offset();
    let mode = match req.bytes("Mode", 1)? {
        [c @ b'0'..=b'4'] => c - b'0',
        _ => return Err(req.refuse_with(MODE, "Mode", at, "must be 0 to 4")),
    };
    let at = req.offset();
    let scheme = match req.bytes("Scheme", 1)? {
        [c @ b'0'..=b'2'] => c - b'0',
        _ => return Err(req.refuse_with(SCHEME, "Scheme", at, "must be 0, 1 or 2")),
    };
    let (verifies, answers, discretionary) = (mode != 2, matches!(mode, 1 | 2 | 4), mode >= 3);
    if discretionary && scheme != 0 {
        return Err(req.refuse_with(COMBINATION, "Scheme", at, "must be 0 in modes 3 and 4"));
    }
    let mk_ac = req.double_key("MK-AC", KeyPurpose::MK_AC)?;
    let mk_smi = if discretionary { Some(req.double_key("MK-SMI", KeyPurpose::MK_SMI)?) } else { None };
    let pan_psn = req.account_bytes("PAN and PAN sequence number")?;
    let atc = req.byte_array("ATC")?;
    let un = req.byte_array("Unpredictable number")?;
    let at = req.offset();
    let data = if verifies {
        let data = req.short_data("Transaction data", ErrorCode::DATA_LENGTH)?;
        req.delimiter("Delimiter after the transaction data", b';')?;
        data
    } else {
        &[]
    };
    let transaction = EmvTransaction { scheme, pan_psn, atc, un, data };
    let arqc = req.byte_array("ARQC")?;
    let arc = if answers { req.byte_array("ARC")? } else { [0; 2] };
    let issuer_data = if discretionary {
        let mac = req.byte_array("Discretionary MAC")?;
        let data = req.short_data("Discretionary data", ErrorCode::CHECK_VALUE_LENGTH)?;
        req.accept(b';');
        Some((mac, data))
    } else {
        None
    };
    req.end()?;

    let mk_ac = hsm.open_source(&mk_ac)?;
    let mk_smi = mk_smi.map(|key| hsm.open_destination(&key)).transpose()?;
    if verifies {
        if data.is_empty() {
            return Err(req.refuse_with(ZERO_LENGTH, "Transaction data length", at, "must not be zero"));
        }
        if !hsm.arqc_verify(mk_ac, transaction, arqc)? {
            let mut resp = hsm.response();
            resp.advice(ErrorCode::VERIFICATION_FAILED);
            if let Some(expected) = hsm.arqc_diagnostic(mk_ac, transaction)? {
                resp.bytes("Expected cryptogram", expected);
            }
            return Ok(resp);
        }
    }
    if let (Some(mk_smi), Some((mac, data))) = (mk_smi, issuer_data)
        && !hsm.discretionary_mac_verify(mk_smi, pan_psn, atc, data, mac)?
    {
        return Err(DISCRETIONARY_MAC.into());
    }
    let mut resp = hsm.response();
    if answers {
        resp.bytes("ARPC", hsm.arpc(mk_ac, pan_psn, arqc, arc)?);
    }
    Ok(resp)
}
