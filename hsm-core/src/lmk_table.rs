//! Decimalisation tables encrypted under an LMK (pins.md section 4).

use crate::cipher::CipherError;
use crate::lmk::{Lmk, LmkAlgorithm, LmkPair, LmkVariant};
use crate::pin_verify::{DecimalisationTable, PinVerifyError};
use zeroize::Zeroizing;

/// A table is not one under this LMK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LmkTableError {
    /// The field has not the form that tables have under this LMK.
    #[error("a table is L and 32 hexadecimal digits under an AES LMK, 16 hexadecimal digits under others")]
    Form,
    /// The decrypted table is not decimal: wrong LMK, or not encrypted.
    #[error("the decrypted table is not decimal")]
    Table,
    /// The LMK cannot encrypt.
    #[error(transparent)]
    Cipher(#[from] CipherError),
}

impl LmkTableError {
    /// The payShield error code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Form => "15",
            Self::Table => "25",
            Self::Cipher(_) => "42",
        }
    }
}

impl From<PinVerifyError> for LmkTableError {
    fn from(_: PinVerifyError) -> Self {
        Self::Table
    }
}

const VARIANT: Option<LmkVariant> = LmkVariant::new(1);
const LETTER: u8 = b'T';

/// Encrypts a table: 16 hexadecimal digits, with an AES LMK `L` and 32.
///
/// # Errors
/// [`LmkTableError::Cipher`], which no LMK gives.
pub fn encrypt(lmk: &Lmk, table: &DecimalisationTable) -> Result<Vec<u8>, LmkTableError> {
    let cipher = lmk.data_cipher(LmkPair::DECIMALISATION, VARIANT.unwrap_or(LmkVariant::ZERO), LETTER)?;
    let mut block = Zeroizing::new(table.packed().to_vec());
    block.resize(cipher.block_len(), 0);
    cipher.ecb_encrypt(&mut block)?;
    let tag: &[u8] = if is_aes(lmk) { b"L" } else { b"" };
    Ok([tag, crate::hex::encode(&block).as_bytes()].concat())
}

/// Decrypts a field that [`encrypt`] made.
///
/// # Errors
/// [`LmkTableError::Form`], [`LmkTableError::Table`].
pub fn decrypt(lmk: &Lmk, field: &[u8]) -> Result<DecimalisationTable, LmkTableError> {
    let cipher = lmk.data_cipher(LmkPair::DECIMALISATION, VARIANT.unwrap_or(LmkVariant::ZERO), LETTER)?;
    let digits = if is_aes(lmk) { field.strip_prefix(b"L").ok_or(LmkTableError::Form)? } else { field };
    let block = crate::hex::decode(digits).filter(|block| block.len() == cipher.block_len());
    let mut block = block.ok_or(LmkTableError::Form)?;
    cipher.ecb_decrypt(&mut block)?;
    let (table, fill) = block.split_first_chunk::<8>().ok_or(LmkTableError::Form)?;
    if fill.iter().any(|byte| *byte != 0) {
        return Err(LmkTableError::Table);
    }
    Ok(DecimalisationTable::from_packed(table)?)
}

fn is_aes(lmk: &Lmk) -> bool {
    lmk.algorithm() == LmkAlgorithm::Aes256
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published tables, all reproduced (pins.md section 4).
    #[test]
    fn tables_under_the_test_lmks() {
        let (variant, tdes, aes) = (Lmk::test_variant(), Lmk::test_keyblock_tdes(), Lmk::test_keyblock_aes());
        for (lmk, table, field) in [
            (&variant, b"0123456789012345", "FD64FC3FAD504BB3"),
            (&variant, b"3456789012345678", "554E254EDF2CD671"),
            (&variant, b"1234567890123456", "DD0BDFA69B41010C"),
            (&tdes, b"0123456789012345", "709F26B22464E96A"),
            (&tdes, b"1234567890123456", "C9DF59A67019D387"),
            (&aes, b"0123456789012345", "L7E852B114933025E9389968E16B8CAAB"),
        ] {
            let table = DecimalisationTable::from_digits(table).unwrap();
            assert_eq!(encrypt(lmk, &table).unwrap(), field.as_bytes());
            assert_eq!(decrypt(lmk, field.as_bytes()).unwrap(), table);
        }
        assert_eq!(decrypt(&variant, b"0123456789012345"), Err(LmkTableError::Table));
        assert_eq!(decrypt(&variant, b"L7E852B114933025E9389968E16B8CAAB"), Err(LmkTableError::Form));
        assert_eq!(decrypt(&aes, b"FD64FC3FAD504BB3"), Err(LmkTableError::Form));
        assert_eq!(decrypt(&aes, b"L00000000000000000000000000000000"), Err(LmkTableError::Table));
    }
}
