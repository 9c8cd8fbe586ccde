//! Message authentication codes: ISO/IEC 9797-1 algorithms 1 and 3, CMAC, and HMAC with the hashes under it.
//!
//! Names used elsewhere: X9.9 is algorithm 1 with a single-length DES key, X9.19 (the "retail MAC") is algorithm 3;
//! both pad with zeros (method 1) and often keep only the leftmost 4 bytes. Source: card-emv-mac.md sections 4, 5 and
//! 7.

use crate::cipher::{BlockCipher, CipherError, xor_in_place};
use crate::clear_key::{Algorithm, ClearKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Digest;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Why a MAC cannot be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MacError {
    /// The key or the data does not fit the cipher.
    #[error(transparent)]
    Cipher(#[from] CipherError),
    /// The algorithm does not work with keys of this kind.
    #[error("{0:?} does not work with this kind of key")]
    KeyKind(MacAlgorithm),
    /// The value carried over from the previous segment is not one cipher block.
    #[error("the running value is {len} bytes, a cipher block is {block}")]
    RunningValue {
        /// Length given in bytes.
        len: usize,
        /// Block length of the cipher in bytes.
        block: usize,
    },
    /// Padding method 3 starts with the length of the whole message, which a segment does not know.
    #[error("padding method 3 cannot be used on a message in segments")]
    LengthUnknown,
    /// CMAC must see the last block of the message in the last segment.
    #[error("the last segment of a CMAC is empty")]
    EmptyLastSegment,
    /// No cipher has blocks of this many bytes.
    #[error("a message cannot be padded to blocks of {0} bytes")]
    PaddingBlock(usize),
}

/// The MAC algorithms over a block cipher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MacAlgorithm {
    /// ISO/IEC 9797-1 algorithm 1: CBC-MAC with the whole key on every block. DES, TDES or AES; X9.9 with single DES.
    Alg1,
    /// ISO/IEC 9797-1 algorithm 3: CBC-MAC with the left key part, then decipherment with the second part and
    /// encipherment with the third (or again the left) one. DES keys only; with a single-length key it equals algorithm
    /// 1.
    Alg3,
    /// CMAC (SP 800-38B) with DES, TDES or AES. It brings its own padding.
    Cmac,
}

/// Padding of ISO/IEC 9797-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Padding {
    /// The message must be a whole number of blocks, and not empty.
    None,
    /// Method 1: zeros up to the block length; nothing if aligned already, one zero block for the empty message.
    Method1,
    /// Method 2: byte 80, then zeros up to the block length.
    Method2,
    /// Method 3: a block with the length of the message in bits, then method 1.
    Method3,
}

impl Padding {
    /// The padded message.
    ///
    /// # Errors
    /// [`CipherError::BlockLength`] if nothing may be added and the message is not whole blocks;
    /// [`MacError::PaddingBlock`] for blocks of 0 or more than 16 bytes.
    pub fn pad(self, message: &[u8], block: usize) -> Result<Zeroizing<Vec<u8>>, MacError> {
        if !(1..=16).contains(&block) {
            return Err(MacError::PaddingBlock(block));
        }
        let mut padded = Zeroizing::new(Vec::with_capacity(message.len() + 2 * block));
        if self == Self::Method3 {
            padded.extend_from_slice(&length_block(message.len(), block));
        }
        padded.extend_from_slice(message);
        match self {
            Self::None if !message.len().is_multiple_of(block) || message.is_empty() => {
                return Err(CipherError::BlockLength { len: message.len(), block }.into());
            }
            Self::None => {}
            Self::Method2 => padded.push(0x80),
            Self::Method1 | Self::Method3 if message.is_empty() => padded.push(0),
            Self::Method1 | Self::Method3 => {}
        }
        let len = padded.len().next_multiple_of(block);
        padded.resize(len, 0);
        Ok(padded)
    }
}

/// The message length in bits as one big-endian block.
fn length_block(bytes: usize, block: usize) -> Vec<u8> {
    let bits = (bytes as u128 * 8).to_be_bytes();
    let digits = bits.get(bits.len().saturating_sub(block)..).unwrap_or(&bits);
    let mut out = vec![0; block - digits.len()];
    out.extend_from_slice(digits);
    out
}

/// Which part of a message a call covers, with the running CBC value of the part before (M6 modes 0 to 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment<'a> {
    /// The whole message (mode 0).
    Only,
    /// The start of a message (mode 1).
    First,
    /// A part between, after this running value (mode 2).
    Middle(&'a [u8]),
    /// The end, after this running value (mode 3).
    Last(&'a [u8]),
}

/// A MAC algorithm with its expanded key.
#[derive(Debug, Clone)]
pub struct MacKey {
    algorithm: MacAlgorithm,
    chain: BlockCipher,
    /// Algorithm 3: the cipher that deciphers the last CBC value, and the one that enciphers the result.
    output: Option<(BlockCipher, BlockCipher)>,
}

impl MacKey {
    /// Expands `key` for `algorithm`.
    ///
    /// # Errors
    /// [`MacError::KeyKind`] for algorithm 3 with AES, or for keys of no block cipher.
    pub fn new(algorithm: MacAlgorithm, key: &ClearKey) -> Result<Self, MacError> {
        match (algorithm, key.algorithm()) {
            (MacAlgorithm::Alg3, Algorithm::Des) => Self::retail(key.bytes()),
            (MacAlgorithm::Alg1 | MacAlgorithm::Cmac, Algorithm::Des | Algorithm::Aes) => {
                Ok(Self { algorithm, chain: key.cipher()?, output: None })
            }
            _ => Err(MacError::KeyKind(algorithm)),
        }
    }

    fn retail(key: &[u8]) -> Result<Self, MacError> {
        let mut parts = key.chunks_exact(8);
        let chain = BlockCipher::des(parts.next().unwrap_or_default())?;
        let output = match (parts.next(), parts.next()) {
            (Some(second), Some(third)) => Some((BlockCipher::des(second)?, BlockCipher::des(third)?)),
            (Some(second), None) => Some((BlockCipher::des(second)?, chain.clone())),
            (None, _) => None,
        };
        Ok(Self { algorithm: MacAlgorithm::Alg3, chain, output })
    }

    /// The algorithm.
    #[must_use]
    pub fn algorithm(&self) -> MacAlgorithm {
        self.algorithm
    }

    /// Length of MACs and running values in bytes: 8, or 16 with AES.
    #[must_use]
    pub fn block_len(&self) -> usize {
        self.chain.block_len()
    }

    /// The full-length MAC of a whole message. CMAC ignores `padding`.
    ///
    /// # Errors
    /// As [`MacKey::segment`].
    pub fn mac(&self, padding: Padding, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, MacError> {
        self.segment(Segment::Only, padding, message)
    }

    /// The MAC after the only or the last segment, or the running value after another one: always one cipher block.
    ///
    /// The first and middle segments are whole blocks and never padded; CMAC ignores `padding` altogether. An empty
    /// last segment adds no block under padding none and 1.
    ///
    /// # Errors
    /// [`CipherError::BlockLength`] if unpadded data is not whole blocks, and the other variants of [`MacError`] for
    /// arguments that do not fit together.
    pub fn segment(
        &self,
        segment: Segment<'_>,
        padding: Padding,
        message: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, MacError> {
        let block = self.block_len();
        let (running, last) = match segment {
            Segment::Only => (None, true),
            Segment::First => (None, false),
            Segment::Middle(running) => (Some(running), false),
            Segment::Last(running) => (Some(running), true),
        };
        let mut value = Zeroizing::new(vec![0; block]);
        if let Some(running) = running {
            if running.len() != block {
                return Err(MacError::RunningValue { len: running.len(), block });
            }
            value.copy_from_slice(running);
        }
        if !last {
            self.absorb(&mut value, message)?;
        } else if self.algorithm == MacAlgorithm::Cmac {
            if running.is_some() && message.is_empty() {
                return Err(MacError::EmptyLastSegment);
            }
            self.finish_cmac(&mut value, message)?;
        } else {
            self.finish_cbc(&mut value, running.is_some(), padding, message)?;
        }
        Ok(value)
    }

    /// CBC over whole blocks, without copying the message.
    fn absorb(&self, value: &mut [u8], message: &[u8]) -> Result<(), MacError> {
        let block = self.block_len();
        if !message.len().is_multiple_of(block) {
            return Err(CipherError::BlockLength { len: message.len(), block }.into());
        }
        for chunk in message.chunks_exact(block) {
            xor_in_place(value, chunk);
            self.chain.ecb_encrypt(value)?;
        }
        Ok(())
    }

    fn finish_cbc(&self, value: &mut [u8], continued: bool, padding: Padding, message: &[u8]) -> Result<(), MacError> {
        let block = self.block_len();
        if padding == Padding::Method3 {
            if continued {
                return Err(MacError::LengthUnknown);
            }
            self.absorb(value, &length_block(message.len(), block))?;
        }
        let (whole, tail) = message.split_at(message.len() - message.len() % block);
        self.absorb(value, whole)?;
        let padding = if padding == Padding::Method3 { Padding::Method1 } else { padding };
        let nothing_left = tail.is_empty() && (!whole.is_empty() || continued);
        if !(nothing_left && matches!(padding, Padding::None | Padding::Method1)) {
            self.absorb(value, &padding.pad(tail, block)?)?;
        }
        if let Some((second, third)) = &self.output {
            second.ecb_decrypt(value)?;
            third.ecb_encrypt(value)?;
        }
        Ok(())
    }

    fn finish_cmac(&self, value: &mut [u8], message: &[u8]) -> Result<(), MacError> {
        let block = self.block_len();
        let tail_len = if message.is_empty() { 0 } else { (message.len() - 1) % block + 1 };
        let (whole, tail) = message.split_at(message.len() - tail_len);
        self.absorb(value, whole)?;

        let mut subkey = Zeroizing::new(vec![0; block]);
        self.chain.ecb_encrypt(&mut subkey)?;
        double(&mut subkey);
        let mut last = Zeroizing::new(tail.to_vec());
        if tail_len < block {
            double(&mut subkey);
            last = Padding::Method2.pad(tail, block)?;
        }
        xor_in_place(&mut last, &subkey);
        self.absorb(value, &last)
    }
}

/// Doubling in GF(2^64) or GF(2^128): the step between the CMAC subkeys.
fn double(block: &mut [u8]) {
    let polynomial = if block.len() == 8 { 0x1B } else { 0x87 };
    let mut carry = 0;
    for byte in block.iter_mut().rev() {
        let out = *byte >> 7;
        *byte = *byte << 1 | carry;
        carry = out;
    }
    if let Some(lowest) = block.last_mut() {
        *lowest ^= polynomial * carry;
    }
}

/// Whether `given` is the leftmost part of `computed`, in constant time for its length. An empty `given` never matches.
#[must_use]
pub fn mac_matches(computed: &[u8], given: &[u8]) -> bool {
    match computed.get(..given.len()) {
        Some(leftmost) if !given.is_empty() => bool::from(leftmost.ct_eq(given)),
        _ => false,
    }
}

/// The hash functions of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// MD5, 16 bytes.
    Md5,
    /// SHA-1, 20 bytes.
    Sha1,
    /// SHA-224, 28 bytes.
    Sha224,
    /// SHA-256, 32 bytes.
    Sha256,
    /// SHA-384, 48 bytes.
    Sha384,
    /// SHA-512, 64 bytes.
    Sha512,
}

impl HashAlgorithm {
    /// Length of the digest, and of the HMAC, in bytes.
    #[must_use]
    pub fn output_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The digest of `message`.
    #[must_use]
    pub fn digest(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Md5 => md5::Md5::digest(message).to_vec(),
            Self::Sha1 => sha1::Sha1::digest(message).to_vec(),
            Self::Sha224 => sha2::Sha224::digest(message).to_vec(),
            Self::Sha256 => sha2::Sha256::digest(message).to_vec(),
            Self::Sha384 => sha2::Sha384::digest(message).to_vec(),
            Self::Sha512 => sha2::Sha512::digest(message).to_vec(),
        }
    }

    /// The full-length HMAC (RFC 2104) of `message` under a key of any length.
    ///
    /// # Errors
    /// [`MacError::Cipher`] if the hash refuses the key, which none of these does.
    pub fn hmac(self, key: &[u8], message: &[u8]) -> Result<Zeroizing<Vec<u8>>, MacError> {
        fn tag<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Result<Zeroizing<Vec<u8>>, MacError> {
            let mut mac = <M as KeyInit>::new_from_slice(key)
                .map_err(|_| CipherError::KeyLength { algorithm: "HMAC", len: key.len() })?;
            mac.update(message);
            Ok(Zeroizing::new(mac.finalize().into_bytes().to_vec()))
        }
        match self {
            Self::Md5 => tag::<Hmac<md5::Md5>>(key, message),
            Self::Sha1 => tag::<Hmac<sha1::Sha1>>(key, message),
            Self::Sha224 => tag::<Hmac<sha2::Sha224>>(key, message),
            Self::Sha256 => tag::<Hmac<sha2::Sha256>>(key, message),
            Self::Sha384 => tag::<Hmac<sha2::Sha384>>(key, message),
            Self::Sha512 => tag::<Hmac<sha2::Sha512>>(key, message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn retail_key() -> MacKey {
        MacKey::new(MacAlgorithm::Alg3, &ClearKey::des(b"\x01\x23\x45\x67\x89\xAB\xCD\xEF********").unwrap()).unwrap()
    }

    #[test]
    fn algorithm_3_with_a_single_length_key_is_algorithm_1() {
        let key = ClearKey::des(&[0x1C; 8]).unwrap();
        let retail = MacKey::new(MacAlgorithm::Alg3, &key).unwrap().mac(Padding::Method1, b"hello").unwrap();
        assert_eq!(retail, MacKey::new(MacAlgorithm::Alg1, &key).unwrap().mac(Padding::Method1, b"hello").unwrap());
    }

    #[test]
    fn algorithm_3_refuses_aes_and_every_algorithm_refuses_hmac_keys() {
        let aes = ClearKey::aes(&[0; 16]).unwrap();
        assert_eq!(MacKey::new(MacAlgorithm::Alg3, &aes).unwrap_err(), MacError::KeyKind(MacAlgorithm::Alg3));
        let hmac = ClearKey::new(Algorithm::Hmac, &[0; 16]).unwrap();
        for algorithm in [MacAlgorithm::Alg1, MacAlgorithm::Alg3, MacAlgorithm::Cmac] {
            assert_eq!(MacKey::new(algorithm, &hmac).unwrap_err(), MacError::KeyKind(algorithm));
        }
    }

    #[test]
    fn unpadded_messages_must_be_whole_blocks_and_not_empty() {
        for message in [&b""[..], b"1234567", b"123456789"] {
            assert!(matches!(retail_key().mac(Padding::None, message), Err(MacError::Cipher(_))), "{message:?}");
        }
        assert!(matches!(
            retail_key().segment(Segment::First, Padding::Method2, b"1"),
            Err(MacError::Cipher(CipherError::BlockLength { len: 1, block: 8 }))
        ));
    }

    #[test]
    fn segments_need_a_whole_running_value_and_a_known_length() {
        let key = retail_key();
        assert_eq!(
            key.segment(Segment::Last(&[0; 16]), Padding::Method1, b"x"),
            Err(MacError::RunningValue { len: 16, block: 8 })
        );
        assert_eq!(key.segment(Segment::Last(&[0; 8]), Padding::Method3, b"x"), Err(MacError::LengthUnknown));
        let cmac = MacKey::new(MacAlgorithm::Cmac, &ClearKey::aes(&[0; 16]).unwrap()).unwrap();
        assert_eq!(cmac.segment(Segment::Last(&[0; 16]), Padding::None, b""), Err(MacError::EmptyLastSegment));
    }

    #[test]
    fn an_empty_mac_matches_nothing() {
        assert!(!mac_matches(&[1, 2, 3, 4], &[]));
        assert!(mac_matches(&[1, 2, 3, 4], &[1, 2]));
        assert!(!mac_matches(&[1, 2, 3, 4], &[1, 2, 3, 4, 5]));
        assert!(!mac_matches(&[1, 2, 3, 4], &[1, 2, 3, 5]));
    }

    fn any_key() -> impl Strategy<Value = ClearKey> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 8).prop_map(|k| ClearKey::des(&k).unwrap()),
            prop::collection::vec(any::<u8>(), 16).prop_map(|k| ClearKey::des(&k).unwrap()),
            prop::collection::vec(any::<u8>(), 24).prop_map(|k| ClearKey::des(&k).unwrap()),
            prop::collection::vec(any::<u8>(), 16).prop_map(|k| ClearKey::aes(&k).unwrap()),
            prop::collection::vec(any::<u8>(), 32).prop_map(|k| ClearKey::aes(&k).unwrap()),
        ]
    }

    fn any_algorithm() -> impl Strategy<Value = MacAlgorithm> {
        prop_oneof![Just(MacAlgorithm::Alg1), Just(MacAlgorithm::Alg3), Just(MacAlgorithm::Cmac)]
    }

    fn any_padding() -> impl Strategy<Value = Padding> {
        prop_oneof![Just(Padding::None), Just(Padding::Method1), Just(Padding::Method2), Just(Padding::Method3)]
    }

    proptest! {
        #[test]
        fn padding_is_total(message: Vec<u8>, block in 0usize..40, padding in any_padding()) {
            if let Ok(padded) = padding.pad(&message, block) {
                prop_assert!(padded.len().is_multiple_of(block));
                prop_assert!(!padded.is_empty());
            }
        }

        #[test]
        fn segments_are_total(
            key in any_key(), algorithm in any_algorithm(), padding in any_padding(), message: Vec<u8>,
            running: Vec<u8>,
        ) {
            if let Ok(key) = MacKey::new(algorithm, &key) {
                for s in [Segment::Only, Segment::First, Segment::Middle(&running), Segment::Last(&running)] {
                    let _ = key.segment(s, padding, &message);
                }
            }
        }

        #[test]
        fn chained_segments_give_the_mac_of_the_whole(
            key in any_key(), algorithm in any_algorithm(),
            padding in prop_oneof![Just(Padding::None), Just(Padding::Method1), Just(Padding::Method2)],
            message in prop::collection::vec(any::<u8>(), 1..200), cut in 0usize..6,
        ) {
            if let Ok(key) = MacKey::new(algorithm, &key)
                && let Ok(whole) = key.mac(padding, &message)
            {
                let (first, rest) = message.split_at((cut * key.block_len()).min((message.len() - 1) / 16 * 16));
                let (middle, last) = rest.split_at((rest.len() - 1) / 16 * 16);
                let running = key.segment(Segment::First, padding, first).unwrap();
                let running = key.segment(Segment::Middle(&running), padding, middle).unwrap();
                prop_assert_eq!(key.segment(Segment::Last(&running), padding, last).unwrap(), whole);
            }
        }

        #[test]
        fn in_place_padding_agrees_with_the_padded_message(
            key in any_key(), padding in any_padding(), message: Vec<u8>,
        ) {
            let key = MacKey::new(MacAlgorithm::Alg1, &key).unwrap();
            let copied = padding.pad(&message, key.block_len()).and_then(|padded| key.mac(Padding::None, &padded));
            prop_assert_eq!(key.mac(padding, &message).is_ok(), copied.is_ok());
            if let (Ok(a), Ok(b)) = (key.mac(padding, &message), copied) {
                prop_assert_eq!(a, b);
            }
        }

        #[test]
        fn hmac_is_total(key: Vec<u8>, message: Vec<u8>) {
            for hash in [HashAlgorithm::Md5, HashAlgorithm::Sha1, HashAlgorithm::Sha224, HashAlgorithm::Sha256,
                HashAlgorithm::Sha384, HashAlgorithm::Sha512] {
                prop_assert_eq!(hash.hmac(&key, &message).unwrap().len(), hash.output_len());
                prop_assert_eq!(hash.digest(&message).len(), hash.output_len());
            }
        }
    }
}
