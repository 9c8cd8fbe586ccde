//! DES, TDES and AES as the device uses them: whole-block ECB and CBC over a key whose length picks the cipher.

use ::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use des::{Des, TdesEde2, TdesEde3};
use hsm_pinblock::BlockCipher16;
use zeroize::Zeroizing;

/// A key or a message has a length the cipher cannot take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CipherError {
    /// No cipher of the algorithm has keys of this many bytes.
    #[error("{algorithm} keys cannot be {len} bytes long")]
    KeyLength {
        /// Name of the algorithm.
        algorithm: &'static str,
        /// Length of the key in bytes.
        len: usize,
    },
    /// The data is not a whole number of cipher blocks.
    #[error("{len} bytes are not a multiple of the cipher block of {block} bytes")]
    BlockLength {
        /// Length of the data in bytes.
        len: usize,
        /// Block length of the cipher in bytes.
        block: usize,
    },
}

/// A block cipher with an expanded key: DES, two- or three-key TDES, or AES.
///
/// The expanded key is erased when the value is dropped.
#[derive(Clone)]
pub struct BlockCipher(Inner);

#[derive(Clone)]
enum Inner {
    Des(Des),
    Tdes2(Box<TdesEde2>),
    Tdes3(Box<TdesEde3>),
    Aes128(Box<Aes128>),
    Aes192(Box<Aes192>),
    Aes256(Box<Aes256>),
}

impl core::fmt::Debug for BlockCipher {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self.0 {
            Inner::Des(_) => "Des { .. }",
            Inner::Tdes2(_) | Inner::Tdes3(_) => "Tdes { .. }",
            Inner::Aes128(_) | Inner::Aes192(_) | Inner::Aes256(_) => "Aes { .. }",
        })
    }
}

macro_rules! on_cipher {
    ($self:expr, $c:ident => $body:expr) => {
        match &$self.0 {
            Inner::Des($c) => $body,
            Inner::Tdes2($c) => $body,
            Inner::Tdes3($c) => $body,
            Inner::Aes128($c) => $body,
            Inner::Aes192($c) => $body,
            Inner::Aes256($c) => $body,
        }
    };
}

impl BlockCipher {
    /// DES (8 bytes), two-key TDES (16 bytes) or three-key TDES (24 bytes). Parity bits are ignored.
    ///
    /// # Errors
    /// [`CipherError::KeyLength`] for any other length.
    pub fn des(key: &[u8]) -> Result<Self, CipherError> {
        let wrong = CipherError::KeyLength { algorithm: "DES", len: key.len() };
        Ok(Self(match key.len() {
            8 => Inner::Des(Des::new_from_slice(key).map_err(|_| wrong)?),
            16 => Inner::Tdes2(Box::new(TdesEde2::new_from_slice(key).map_err(|_| wrong)?)),
            24 => Inner::Tdes3(Box::new(TdesEde3::new_from_slice(key).map_err(|_| wrong)?)),
            _ => return Err(wrong),
        }))
    }

    /// AES with a key of 16, 24 or 32 bytes.
    ///
    /// # Errors
    /// [`CipherError::KeyLength`] for any other length.
    pub fn aes(key: &[u8]) -> Result<Self, CipherError> {
        let wrong = CipherError::KeyLength { algorithm: "AES", len: key.len() };
        Ok(Self(match key.len() {
            16 => Inner::Aes128(Box::new(Aes128::new_from_slice(key).map_err(|_| wrong)?)),
            24 => Inner::Aes192(Box::new(Aes192::new_from_slice(key).map_err(|_| wrong)?)),
            32 => Inner::Aes256(Box::new(Aes256::new_from_slice(key).map_err(|_| wrong)?)),
            _ => return Err(wrong),
        }))
    }

    /// Block length in bytes: 8 for DES and TDES, 16 for AES.
    #[must_use]
    pub fn block_len(&self) -> usize {
        match self.0 {
            Inner::Des(_) | Inner::Tdes2(_) | Inner::Tdes3(_) => 8,
            Inner::Aes128(_) | Inner::Aes192(_) | Inner::Aes256(_) => 16,
        }
    }

    /// Encrypts every block of `data` by itself (ECB).
    ///
    /// # Errors
    /// [`CipherError::BlockLength`] if `data` is not a whole number of blocks.
    pub fn ecb_encrypt(&self, data: &mut [u8]) -> Result<(), CipherError> {
        self.whole_blocks(data)?;
        on_cipher!(self, c => for block in data.chunks_exact_mut(self.block_len()) {
            if let Ok(block) = block.try_into() { c.encrypt_block(block); }
        });
        Ok(())
    }

    /// Decrypts every block of `data` by itself (ECB).
    ///
    /// # Errors
    /// [`CipherError::BlockLength`] if `data` is not a whole number of blocks.
    pub fn ecb_decrypt(&self, data: &mut [u8]) -> Result<(), CipherError> {
        self.whole_blocks(data)?;
        on_cipher!(self, c => for block in data.chunks_exact_mut(self.block_len()) {
            if let Ok(block) = block.try_into() { c.decrypt_block(block); }
        });
        Ok(())
    }

    /// Encrypts `data` in CBC mode and leaves the last ciphertext block in `iv`.
    ///
    /// # Errors
    /// [`CipherError::BlockLength`] if `data` or `iv` does not fit the block length.
    pub fn cbc_encrypt(&self, iv: &mut [u8], data: &mut [u8]) -> Result<(), CipherError> {
        self.whole_blocks(data)?;
        self.one_block(iv)?;
        for block in data.chunks_exact_mut(self.block_len()) {
            xor_in_place(block, iv);
            self.ecb_encrypt(block)?;
            iv.copy_from_slice(block);
        }
        Ok(())
    }

    /// Decrypts `data` in CBC mode and leaves the last ciphertext block in `iv`.
    ///
    /// # Errors
    /// [`CipherError::BlockLength`] if `data` or `iv` does not fit the block length.
    pub fn cbc_decrypt(&self, iv: &mut [u8], data: &mut [u8]) -> Result<(), CipherError> {
        self.whole_blocks(data)?;
        self.one_block(iv)?;
        let mut ciphertext = Zeroizing::new([0u8; 16]);
        let ciphertext = &mut ciphertext[..self.block_len()];
        for block in data.chunks_exact_mut(self.block_len()) {
            ciphertext.copy_from_slice(block);
            self.ecb_decrypt(block)?;
            xor_in_place(block, iv);
            iv.copy_from_slice(ciphertext);
        }
        Ok(())
    }

    fn whole_blocks(&self, data: &[u8]) -> Result<(), CipherError> {
        let block = self.block_len();
        if data.len().is_multiple_of(block) { Ok(()) } else { Err(CipherError::BlockLength { len: data.len(), block }) }
    }

    fn one_block(&self, iv: &[u8]) -> Result<(), CipherError> {
        let block = self.block_len();
        if iv.len() == block { Ok(()) } else { Err(CipherError::BlockLength { len: iv.len(), block }) }
    }
}

/// An AES key as ISO format 4 uses it. For whoever has made sure that it is AES: a DES key takes the 16 bytes as two blocks.
impl BlockCipher16 for BlockCipher {
    fn encrypt(&self, block: &mut [u8; 16]) {
        // Sixteen bytes are whole blocks of every cipher here, so this cannot fail.
        let _ = self.ecb_encrypt(block);
    }

    fn decrypt(&self, block: &mut [u8; 16]) {
        // As above.
        let _ = self.ecb_decrypt(block);
    }
}

/// `to[i] ^= from[i]` for the bytes both have.
pub fn xor_in_place(to: &mut [u8], from: &[u8]) {
    for (t, f) in to.iter_mut().zip(from) {
        *t ^= f;
    }
}
