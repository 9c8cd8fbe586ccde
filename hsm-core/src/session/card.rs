//! Operations on card verification values.

use super::Session;
use super::keys::KeyUse;
use crate::card::{CardError, Cvk};
use hsm_plugin_sdk::abi::{CardOps, ErrorCode, KeyHandle, KeyPurpose};

/// Key usage of CSCKs, which are of the key type of CVKs under a variant LMK.
const CSC_KEY: [u8; 2] = *b"11";

impl CardOps for Session {
    fn cvv(
        &mut self,
        cvk: KeyHandle,
        pan: &[u8],
        expiry: [u8; 4],
        service_code: [u8; 3],
    ) -> Result<[u8; 3], ErrorCode> {
        let cvk = self.cvk(cvk, KeyUse::Generate)?;
        cvk.cvv(pan, &expiry, &service_code).or_else(|error| self.refuse(code(&error), error.to_string()))
    }

    fn cvv_verify(
        &mut self,
        cvk: KeyHandle,
        pan: &[u8],
        expiry: [u8; 4],
        service_code: [u8; 3],
        cvv: [u8; 3],
    ) -> Result<bool, ErrorCode> {
        let cvk = self.cvk(cvk, KeyUse::Verify)?;
        let verified = cvk.verify_cvv(pan, &expiry, &service_code, &cvv);
        verified.or_else(|error| self.refuse(code(&error), error.to_string()))
    }
}

impl Session {
    fn cvk(&mut self, handle: KeyHandle, usage: KeyUse) -> Result<Cvk, ErrorCode> {
        let key = self.des_key_for_use(handle, &[KeyPurpose::CVK], usage)?;
        if key.attributes().is_some_and(|attributes| attributes.usage.id() == CSC_KEY) {
            return self.refuse(ErrorCode::KEY_USAGE, "a CSCK makes card security codes, not CVVs");
        }
        Cvk::new(key.key()).or_else(|error| self.refuse(ErrorCode::KEY_LENGTH, format!("the CVK: {error}")))
    }
}

fn code(error: &CardError) -> ErrorCode {
    match error {
        CardError::Cipher(_) | CardError::Mac(_) => ErrorCode::KEY_LENGTH,
        _ => ErrorCode::INPUT_DATA,
    }
}
