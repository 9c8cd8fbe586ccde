//! PIN solicitation data: reference numbers of mailers and the PINs that customers chose (pins.md 2.35).

use hsm_pinblock::Pin;

/// Digits of a reference number, and of the account that it stands for.
pub(crate) const REFERENCE_DIGITS: usize = 12;

/// Most records of a message.
const MAX_RECORDS: usize = 25;

/// Most records of a batch: the largest batch size that a device can be set to (host.md 6).
pub(crate) const MAX_BATCH: usize = 1024;

/// Why solicitation data is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SolicitationError {
    /// Something else than records, or too many of them.
    #[error("the data is not 1 to {MAX_RECORDS} records of reference number, PIN of 4 to 12 digits and ;")]
    Record,
    /// A reference number with another character than a digit.
    #[error("a reference number is not {REFERENCE_DIGITS} decimal digits")]
    Reference,
    /// More records than a batch can have.
    #[error("a batch has {MAX_BATCH} records at most")]
    Full,
    /// Fewer records than the device wants of a batch.
    #[error("the batch has {0} of the {1} records that it must have")]
    TooFew(usize, usize),
}

impl SolicitationError {
    /// The payShield error code.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Record | Self::Full => "15",
            Self::Reference => "30",
            Self::TooFew(..) => "31",
        }
    }
}

/// A record as a message has it.
pub(crate) struct Record {
    /// ASCII digits.
    pub(crate) reference: [u8; REFERENCE_DIGITS],
    pub(crate) pin: Pin,
}

impl Record {
    /// The records of a message, each ended by `;`.
    pub(crate) fn parse_all(text: &[u8]) -> Result<Vec<Self>, SolicitationError> {
        let text = text.strip_suffix(b";").ok_or(SolicitationError::Record)?;
        // What grows leaves PINs behind where it was.
        let mut records = Vec::with_capacity(MAX_RECORDS);
        for record in text.split(|c| *c == b';') {
            if records.len() == MAX_RECORDS {
                return Err(SolicitationError::Record);
            }
            records.push(Self::parse(record)?);
        }
        Ok(records)
    }

    fn parse(text: &[u8]) -> Result<Self, SolicitationError> {
        let (reference, pin) = text.split_first_chunk().ok_or(SolicitationError::Record)?;
        if !(Pin::MIN_LEN..=Pin::MAX_LEN).contains(&pin.len()) {
            return Err(SolicitationError::Record);
        }
        if !reference.iter().all(u8::is_ascii_digit) {
            return Err(SolicitationError::Reference);
        }
        Ok(Self { reference: *reference, pin: Pin::from_digits(pin).map_err(|_| SolicitationError::Record)? })
    }
}

/// An account, in ASCII digits, and the PIN that was chosen for it.
pub(crate) struct Entry {
    pub(crate) account: [u8; REFERENCE_DIGITS],
    pub(crate) pin: Pin,
}

/// What has been loaded since the last batch was processed.
#[derive(Default)]
pub(crate) struct Batch(Vec<Entry>);

impl Batch {
    /// Adds entries: all or, if there is no room, none. The last place is for the entries that finish the batch.
    pub(crate) fn add(&mut self, entries: Vec<Entry>) -> Result<(), SolicitationError> {
        self.extend(entries, MAX_BATCH - 1)
    }

    fn extend(&mut self, entries: Vec<Entry>, most: usize) -> Result<(), SolicitationError> {
        if self.0.len() + entries.len() > most {
            return Err(SolicitationError::Full);
        }
        // What grows leaves PINs behind where it was.
        self.0.reserve_exact(MAX_BATCH - self.0.len());
        self.0.extend(entries);
        Ok(())
    }

    /// Adds the last entries and takes all, if they are at least `minimum`; else the batch stays as it was.
    pub(crate) fn finish(&mut self, entries: Vec<Entry>, minimum: usize) -> Result<Vec<Entry>, SolicitationError> {
        let count = self.0.len() + entries.len();
        if count < minimum {
            return Err(SolicitationError::TooFew(count, minimum));
        }
        self.extend(entries, MAX_BATCH)?;
        Ok(core::mem::take(&mut self.0))
    }

    /// Erases everything.
    pub(crate) fn erase(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records(text: &str) -> Result<Vec<(String, usize)>, SolicitationError> {
        let records = Record::parse_all(text.as_bytes())?;
        Ok(records.iter().map(|r| (r.reference.escape_ascii().to_string(), r.pin.len())).collect())
    }

    fn entries(count: usize) -> Vec<Entry> {
        (0..count).map(|_| Entry { account: *b"400000123456", pin: Pin::from_digits(b"1234").unwrap() }).collect()
    }

    #[test]
    fn records_are_reference_number_and_pin() {
        let two = records("1234567890121234;999999999999123456789012;").unwrap();
        assert_eq!(two, [("123456789012".to_owned(), 4), ("999999999999".to_owned(), 12)]);
        for text in
            ["", ";", "1234567890121234", "123456789012123;", "1234567890121234567890123;", "1234567890121234;;"]
        {
            assert_eq!(records(text), Err(SolicitationError::Record), "{text}");
        }
        assert_eq!(records("12345678901X1234;"), Err(SolicitationError::Reference));
        assert_eq!(records("12345678901212X4;"), Err(SolicitationError::Record));
        assert_eq!(records(&"1234567890121234;".repeat(25)).unwrap().len(), 25);
        assert_eq!(records(&"1234567890121234;".repeat(26)), Err(SolicitationError::Record));
    }

    #[test]
    fn a_batch_is_taken_whole_or_stays_as_it_was() {
        let mut batch = Batch::default();
        batch.add(entries(3)).unwrap();
        assert_eq!(batch.finish(entries(2), 6).err(), Some(SolicitationError::TooFew(5, 6)));
        assert_eq!(batch.finish(entries(MAX_BATCH - 2), 6).err(), Some(SolicitationError::Full));
        assert_eq!(batch.finish(entries(3), 6).unwrap().len(), 6);
        assert_eq!(batch.finish(entries(1), 1).unwrap().len(), 1);
        // A full batch still has room for what finishes it.
        batch.add(entries(MAX_BATCH - 1)).unwrap();
        assert_eq!(batch.add(entries(1)), Err(SolicitationError::Full));
        assert_eq!(batch.finish(entries(1), MAX_BATCH).unwrap().len(), MAX_BATCH);
        batch.add(entries(1)).unwrap();
        batch.erase();
        assert_eq!(batch.finish(Vec::new(), 1).err(), Some(SolicitationError::TooFew(0, 1)));
    }

    proptest! {
        #[test]
        fn any_text_is_records_or_an_error(text in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Record::parse_all(&text);
        }
    }
}
