//! Operations on EMV cryptograms, EMV 3.1.1 (card-emv-mac.md 2, KQ).

use super::Session;
use super::keys::KeyUse;
use crate::ClearKey;
use crate::emv::{self, CardKeyOption, EmvError, PanPsn};
use crate::mac::Padding;
use hsm_plugin_sdk::abi::{EmvOps, EmvTransaction, ErrorCode, KeyHandle, KeyPurpose};
use subtle::ConstantTimeEq;

/// Scheme 1: Mastercard session keys. Schemes 0 and 2 compute under the card key itself.
const MASTERCARD: u8 = 1;

impl EmvOps for Session {
    fn arqc_verify(
        &mut self,
        mk_ac: KeyHandle,
        transaction: EmvTransaction<'_>,
        arqc: [u8; 8],
    ) -> Result<bool, ErrorCode> {
        let expected = self.cryptogram(mk_ac, transaction)?;
        Ok(bool::from(expected.ct_eq(&arqc)))
    }

    fn arqc_diagnostic(
        &mut self,
        mk_ac: KeyHandle,
        transaction: EmvTransaction<'_>,
    ) -> Result<Option<[u8; 8]>, ErrorCode> {
        if !self.authorised("diag.host") {
            return Ok(None);
        }
        self.cryptogram(mk_ac, transaction).map(Some)
    }

    fn arpc(&mut self, mk_ac: KeyHandle, pan_psn: [u8; 8], arqc: [u8; 8], arc: [u8; 2]) -> Result<[u8; 8], ErrorCode> {
        // Under the card key in every scheme of KQ, Mastercard's too (card-emv-mac.md 9, point 7).
        let card = self.card_key(mk_ac, &[KeyPurpose::MK_AC], pan_psn)?;
        let answer = card.cipher().map_err(EmvError::from).and_then(|cipher| emv::arpc_method1(&cipher, arqc, arc));
        answer.map_err(|_| ErrorCode::INTERNAL)
    }

    fn discretionary_mac_verify(
        &mut self,
        mk_smi: KeyHandle,
        pan_psn: [u8; 8],
        atc: [u8; 2],
        data: &[u8],
        mac: [u8; 4],
    ) -> Result<bool, ErrorCode> {
        let card = self.card_key(mk_smi, &[KeyPurpose::MK_SMI], pan_psn)?;
        let session = emv::visa_script_key(&card, atc).map_err(|_| ErrorCode::INTERNAL)?;
        let expected =
            emv::application_cryptogram(&session, Padding::Method1, data).map_err(|_| ErrorCode::INTERNAL)?;
        Ok(bool::from(expected[..4].ct_eq(&mac)))
    }
}

impl Session {
    fn cryptogram(&mut self, mk_ac: KeyHandle, transaction: EmvTransaction<'_>) -> Result<[u8; 8], ErrorCode> {
        let EmvTransaction { scheme, pan_psn, atc, un, data } = transaction;
        let card = self.card_key(mk_ac, &[KeyPurpose::MK_AC], pan_psn)?;
        let key = if scheme == MASTERCARD {
            let cipher = card.cipher().map_err(|_| ErrorCode::INTERNAL)?;
            emv::common_session_key(&cipher, emv::r_from_atc_and_un(atc, un)).map_err(|_| ErrorCode::INTERNAL)?
        } else {
            card
        };
        // Zeros only where the data is not whole blocks: the host pads for cryptograms that need it.
        emv::application_cryptogram(&key, Padding::Method1, data).map_err(|_| ErrorCode::INTERNAL)
    }

    /// The card's own key, EMV option A.
    fn card_key(
        &mut self,
        master: KeyHandle,
        purposes: &[KeyPurpose],
        pan_psn: [u8; 8],
    ) -> Result<ClearKey, ErrorCode> {
        let master = self.des_key_for_use(master, purposes, KeyUse::Derive)?;
        let card = PanPsn::from_packed(&pan_psn);
        emv::card_key(master.cipher()?, CardKeyOption::A, &card)
            .or_else(|error| self.refuse(ErrorCode::KEY_LENGTH, format!("the master key: {error}")))
    }
}
