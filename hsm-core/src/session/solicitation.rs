//! Operations on PIN solicitation data.

use super::Session;
use crate::lmk::LmkAlgorithm;
use crate::lmk_pin;
use crate::solicitation::{Entry, Record, SolicitationError};
use hsm_pinblock::Pin;
use hsm_plugin_sdk::abi::{ErrorCode, SolicitationOps};

/// Digits of an account that a processed record has.
const SHOWN_DIGITS: usize = 10;

impl SolicitationOps for Session {
    fn solicitation_load(&mut self, records: &[u8]) -> Result<(), ErrorCode> {
        let entries = self.solicitation_entries(records)?;
        let loaded = self.module.storage().solicit(|batch| batch.add(entries));
        self.or_refuse_solicitation(loaded)
    }

    fn solicitation_process(&mut self, records: &[u8]) -> Result<(Vec<u8>, u16), ErrorCode> {
        let entries = self.solicitation_entries(records)?;
        let minimum = self.state.settings.solicitation_batch_size.into();
        let batch = self.module.storage().solicit(|batch| batch.finish(entries, minimum));
        let mut processed = Vec::new();
        for entry in self.or_refuse_solicitation(batch)? {
            processed.push(self.processed_record(&entry)?);
        }
        if self.state.settings.solicitation_sorted {
            processed.sort_by(|a, b| a.iter().take(SHOWN_DIGITS).cmp(b.iter().take(SHOWN_DIGITS)));
        }
        let record = processed.first().map_or(0, Vec::len);
        let response = record * usize::from(self.state.settings.solicitation_response_records);
        Ok((processed.concat(), u16::try_from(response).map_err(|_| ErrorCode::INTERNAL)?))
    }
}

impl Session {
    /// The records of a message, with the accounts that their reference numbers stand for under the selected LMK.
    fn solicitation_entries(&mut self, records: &[u8]) -> Result<Vec<Entry>, ErrorCode> {
        let records = self.or_refuse_solicitation(Record::parse_all(records))?;
        let lmk = self.lmk()?.clone();
        let mut entries = Vec::with_capacity(records.len());
        for Record { reference, pin } in records {
            let account = self.or_refuse_pin(lmk_pin::account_of_reference(&lmk, &reference))?;
            entries.push(Entry { account, pin });
        }
        Ok(entries)
    }

    /// The last digits of the account and the PIN under the selected LMK, filled to an even length.
    fn processed_record(&mut self, Entry { account, pin }: &Entry) -> Result<Vec<u8>, ErrorCode> {
        let (lmk, form) = (self.lmk()?.clone(), self.pin_form());
        // Under an AES LMK a PIN of any length has room.
        let longest = if lmk.algorithm() == LmkAlgorithm::Aes256 { Pin::MAX_LEN } else { form.digits - 1 };
        let cut = pin.digits().get(..longest).map_or_else(|| Ok(pin.clone()), Pin::from_values);
        let cut = cut.map_err(|_| ErrorCode::INTERNAL)?;
        let field = self.or_refuse_pin(lmk_pin::encrypt(&lmk, form, account, &cut))?;
        let shown = account.iter().skip(account.len() - SHOWN_DIGITS);
        let fill = std::iter::repeat_n(&b'F', field.len() % 2);
        Ok(shown.chain(&field).chain(fill).copied().collect())
    }

    fn or_refuse_solicitation<T>(&mut self, result: Result<T, SolicitationError>) -> Result<T, ErrorCode> {
        result.or_else(|error| self.refuse(ErrorCode::new(error.code()), format!("solicitation data: {error}")))
    }
}
