//! EMV issuer cryptography: card keys, session keys, application cryptograms and their responses, secure messaging
//! (card-emv-mac.md sections 2 and 3, EMV 4.3 book 2).
//!
//! Derived DES keys have odd parity. The PIN blocks of the PIN change commands are the business of `hsm-pinblock`.

use crate::card::decimalise;
use crate::cipher::{BlockCipher, CipherError, xor_in_place};
use crate::clear_key::{Algorithm, ClearKey, force_odd_parity};
use crate::mac::{HashAlgorithm, MacAlgorithm, MacError, MacKey, Padding};
use zeroize::Zeroizing;

/// Why an EMV value cannot be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmvError {
    /// The key does not fit the algorithm.
    #[error(transparent)]
    Cipher(#[from] CipherError),
    /// A MAC could not be computed.
    #[error(transparent)]
    Mac(#[from] MacError),
    /// A character of the account number or sequence number is not a decimal digit.
    #[error("the account number or its sequence number has a character that is not a digit")]
    NotADigit,
    /// Proprietary authentication data of an ARPC has at most 8 bytes.
    #[error("{0} bytes of proprietary authentication data, at most 8 are possible")]
    ProprietaryData(usize),
    /// Visa confidentiality puts the length of the data into one byte.
    #[error("{0} bytes do not fit the length byte of enciphered Visa script data")]
    ScriptData(usize),
    /// The digits YHHHHCC of a limited-use key have another length.
    #[error("{0} digits of year, hour and counter, 7 are needed")]
    LimitedUse(usize),
    /// AES card keys use 16 bytes of account and sequence number.
    #[error("{0} bytes of account number and sequence number do not fit an AES block")]
    AccountLength(usize),
}

/// An account number followed by its two-digit sequence number, packed two digits a byte with a zero digit on the left
/// if their number is odd.
#[derive(Clone, PartialEq, Eq)]
pub struct PanPsn(Zeroizing<Vec<u8>>);

impl core::fmt::Debug for PanPsn {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "PanPsn {{ {} bytes }}", self.0.len())
    }
}

impl PanPsn {
    /// From ASCII digits. The sequence number is `00` where a card has none.
    ///
    /// # Errors
    /// [`EmvError::NotADigit`].
    pub fn from_digits(pan: &[u8], psn: &[u8; 2]) -> Result<Self, EmvError> {
        let count = pan.len() + psn.len();
        let mut packed = Zeroizing::new(vec![0; count.div_ceil(2)]);
        for (i, c) in pan.iter().chain(psn).enumerate() {
            if !c.is_ascii_digit() {
                return Err(EmvError::NotADigit);
            }
            let place = i + count % 2;
            packed[place / 2] = packed[place / 2] << 4 | (c - b'0');
        }
        Ok(Self(packed))
    }

    /// From the bytes of a command: 8 for option A, the whole packed number for option B. The digits are not checked,
    /// just as the device takes what it is given.
    #[must_use]
    pub fn from_packed(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// The rightmost 16 digits, zero-filled on the left.
    #[must_use]
    pub fn rightmost_16(&self) -> [u8; 8] {
        let mut block = [0; 8];
        for (to, from) in block.iter_mut().rev().zip(self.0.iter().rev()) {
            *to = *from;
        }
        block
    }

    /// The 16 digits that option B takes from the SHA-1 digest of the packed number.
    fn hashed_16(&self) -> [u8; 8] {
        let digest = Zeroizing::new(HashAlgorithm::Sha1.digest(&self.0));
        let mut block = [0; 8];
        for (i, digit) in decimalise(&digest).take(16).enumerate() {
            block[i / 2] = block[i / 2] << 4 | digit;
        }
        block
    }
}

/// How a card's key comes from the issuer's master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CardKeyOption {
    /// Option A: the rightmost 16 digits of account and sequence number.
    A,
    /// Option B: as A up to 16 digits of account number, 16 digits of a SHA-1 digest for longer ones.
    B,
    /// Option B with the digest whatever the length, as jPOS does for dCVV and CVC3.
    BAlwaysHashed,
}

/// The card's unique DES key (UDK): the block of digits and its complement enciphered under the master key.
///
/// # Errors
/// [`CipherError::BlockLength`] for a master key that is not a DES key.
pub fn card_key(master: &BlockCipher, option: CardKeyOption, card: &PanPsn) -> Result<ClearKey, EmvError> {
    // Sixteen digits of account number and two of sequence number are nine bytes.
    let hashed = match option {
        CardKeyOption::A => false,
        CardKeyOption::B => card.0.len() > 9,
        CardKeyOption::BAlwaysHashed => true,
    };
    let left = if hashed { card.hashed_16() } else { card.rightmost_16() };
    two_blocks(master, left, left.map(|b| !b))
}

/// The card's AES key of the master key's length (option C). \[EMV 4.3 book 2 A1.4.3; no published vector.\]
///
/// # Errors
/// [`CipherError::KeyLength`] for a master key that is not an AES key; [`EmvError::AccountLength`] beyond 16 bytes.
pub fn card_key_aes(master: &ClearKey, card: &PanPsn) -> Result<ClearKey, EmvError> {
    let mut first = Zeroizing::new([0u8; 16]);
    let unused = first.len().checked_sub(card.0.len()).ok_or(EmvError::AccountLength(card.0.len()))?;
    first[unused..].copy_from_slice(&card.0);
    aes_blocks(master, &first, &first.map(|b| !b))
}

/// The EMV common session key from the card's key and `r`: byte 2 of `r` is replaced by F0 for the left half of the key
/// and by 0F for the right half.
///
/// The helpers [`r_from_atc`], [`r_from_atc_and_un`] and [`r_for_script`] give the `r` of the known uses.
///
/// # Errors
/// [`CipherError::BlockLength`] for a card key that is not a DES key.
pub fn common_session_key(card_key: &BlockCipher, r: [u8; 8]) -> Result<ClearKey, EmvError> {
    let (mut left, mut right) = (r, r);
    left[2] = 0xF0;
    right[2] = 0x0F;
    two_blocks(card_key, left, right)
}

/// `r` of a cryptogram session key: the ATC and zeros (EMV CSK).
#[must_use]
pub fn r_from_atc(atc: [u8; 2]) -> [u8; 8] {
    [atc[0], atc[1], 0, 0, 0, 0, 0, 0]
}

/// `r` of the Mastercard SKD: ATC, two bytes of zeros, unpredictable number.
#[must_use]
pub fn r_from_atc_and_un(atc: [u8; 2], un: [u8; 4]) -> [u8; 8] {
    [atc[0], atc[1], 0, 0, un[0], un[1], un[2], un[3]]
}

/// `r` of a script session key (RANDi): the application cryptogram plus the number of script commands before this one.
#[must_use]
pub fn r_for_script(ac: [u8; 8], script: u64) -> [u8; 8] {
    u64::from_be_bytes(ac).wrapping_add(script).to_be_bytes()
}

/// The AES common session key, of the card key's length. \[EMV 4.3 book 2 A1.3.1; no published vector.\]
///
/// # Errors
/// [`CipherError::KeyLength`] for a card key that is not an AES key.
pub fn common_session_key_aes(card_key: &ClearKey, atc: [u8; 2]) -> Result<ClearKey, EmvError> {
    let mut r = [0u8; 16];
    r[..2].copy_from_slice(&atc);
    if card_key.len() == 16 {
        return aes_blocks(card_key, &r, &r);
    }
    let (mut left, mut right) = (r, r);
    left[2] = 0xF0;
    right[2] = 0x0F;
    aes_blocks(card_key, &left, &right)
}

/// The Visa secure messaging key: the ATC added (exclusive or) to the end of the left half of the card's key, its
/// complement to the end of the right half.
///
/// # Errors
/// [`CipherError::KeyLength`] for a card key that is not a double-length DES key.
pub fn visa_script_key(card_key: &ClearKey, atc: [u8; 2]) -> Result<ClearKey, EmvError> {
    let mut key = double_length(card_key)?;
    xor_in_place(&mut key[6..8], &atc);
    xor_in_place(&mut key[14..16], &atc.map(|b| !b));
    force_odd_parity(key.as_mut_slice());
    Ok(ClearKey::des(key.as_slice())?)
}

/// The limited-use key of Visa cloud-based payments: the digits YHHHHCC (year, hour of the year, counter) behind a
/// digit 1 for the left half and a digit 2 for the right half, padded with a digit 8 and zeros, enciphered under the
/// card's key.
///
/// No document gives the derivation; it was read off two published keys (vectors emv-267 and emv-268), one of which has
/// two digits of year.
///
/// # Errors
/// [`EmvError::NotADigit`]; [`EmvError::LimitedUse`] unless there are 7 or 8 digits; [`CipherError::BlockLength`] for a
/// card key that is not a DES key.
pub fn limited_use_key(card_key: &BlockCipher, yhhhhcc: &[u8]) -> Result<ClearKey, EmvError> {
    if !matches!(yhhhhcc.len(), 7 | 8) {
        return Err(EmvError::LimitedUse(yhhhhcc.len()));
    }
    let mut left = 1u64;
    for c in yhhhhcc {
        if !c.is_ascii_digit() {
            return Err(EmvError::NotADigit);
        }
        left = left << 4 | u64::from(c - b'0');
    }
    // Leading digit, the digits, 8, and zeros up to 16 digits.
    left = (left << 4 | 8) << (4 * (14 - yhhhhcc.len()));
    let right = left ^ (3 << 60);
    two_blocks(card_key, left.to_be_bytes(), right.to_be_bytes())
}

/// The shape of an EMV2000 session key tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tree {
    /// Branch factor 2, height 16 (flag 0 of the commands).
    Branch2Height16,
    /// Branch factor 4, height 8 (flag 1 of the commands).
    Branch4Height8,
}

/// The EMV2000 session key: a walk down a key tree along the digits of the ATC. `iv` is 16 zero bytes in practice.
///
/// # Errors
/// [`CipherError::KeyLength`] for a card key that is not a double-length DES key.
pub fn emv2000_session_key(card_key: &ClearKey, tree: Tree, iv: &[u8; 16], atc: [u8; 2]) -> Result<ClearKey, EmvError> {
    let atc = u16::from_be_bytes(atc);
    let (digit_bits, height) = match tree {
        Tree::Branch2Height16 => (1, 16),
        Tree::Branch4Height8 => (2, 8),
    };
    let branch = |level: u32| (atc >> (digit_bits * (height - level))) & ((1 << digit_bits) - 1);

    let mut parent = double_length(card_key)?;
    let mut grandparent = Zeroizing::new(*iv);
    for level in 1..height {
        let child = tree_step(&parent, &grandparent, branch(level))?;
        grandparent = parent;
        parent = child;
    }
    let mut key = tree_step(&parent, &grandparent, branch(height))?;
    xor_in_place(key.as_mut_slice(), grandparent.as_slice());
    force_odd_parity(key.as_mut_slice());
    Ok(ClearKey::des(key.as_slice())?)
}

fn tree_step(parent: &[u8; 16], grandparent: &[u8; 16], branch: u16) -> Result<Zeroizing<[u8; 16]>, EmvError> {
    let mut child = Zeroizing::new(*grandparent);
    let branch = (branch & 0xFF) as u8;
    child[7] ^= branch;
    child[15] ^= branch ^ 0xF0;
    BlockCipher::des(parent)?.ecb_encrypt(child.as_mut_slice())?;
    Ok(child)
}

/// The application cryptogram (ARQC, TC, AAC): the retail MAC under a DES key, 8 bytes of CMAC under an AES key.
///
/// `padding` is [`Padding::Method1`] for CVN 10 and KQ, [`Padding::Method2`] for the others; AES ignores it.
///
/// # Errors
/// [`EmvError::Mac`] for a key of another kind, or data that may not be padded and is not whole blocks.
pub fn application_cryptogram(session_key: &ClearKey, padding: Padding, data: &[u8]) -> Result<[u8; 8], EmvError> {
    emv_mac(session_key, padding, data)
}

/// The response cryptogram of method 1: the ARQC, with the response code added to its first two bytes, enciphered.
///
/// The key is the card's own for schemes without session keys and for Mastercard SKD, the session key for CSK and
/// EMV2000.
///
/// # Errors
/// [`CipherError::BlockLength`] for a key that is not a DES key.
pub fn arpc_method1(key: &BlockCipher, arqc: [u8; 8], response_code: [u8; 2]) -> Result<[u8; 8], EmvError> {
    let mut block = arqc;
    xor_in_place(&mut block, &response_code);
    key.ecb_encrypt(&mut block)?;
    Ok(block)
}

/// The response cryptogram of method 2: the first four bytes of the MAC, padding method 2, over ARQC, card status
/// update and up to 8 bytes of proprietary authentication data.
///
/// # Errors
/// [`EmvError::ProprietaryData`] for more than 8 bytes; [`EmvError::Mac`] for a key of another kind.
pub fn arpc_method2(
    session_key: &ClearKey,
    arqc: [u8; 8],
    csu: [u8; 4],
    proprietary: &[u8],
) -> Result<[u8; 4], EmvError> {
    if proprietary.len() > 8 {
        return Err(EmvError::ProprietaryData(proprietary.len()));
    }
    let [a, b, c, d, ..] = emv_mac(session_key, Padding::Method2, &[&arqc[..], &csu, proprietary].concat())?;
    Ok([a, b, c, d])
}

/// The MAC of a script command, 8 bytes: retail MAC (CMAC under AES) with padding method 2 over what the host composed,
/// usually command header, ATC, application cryptogram and command data.
///
/// # Errors
/// [`EmvError::Mac`] for a key of another kind.
pub fn script_mac(session_key: &ClearKey, data: &[u8]) -> Result<[u8; 8], EmvError> {
    emv_mac(session_key, Padding::Method2, data)
}

/// How script data is prepared for encipherment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Confidentiality {
    /// Visa: a length byte, the data, padding method 2; ECB.
    Visa,
    /// Mastercard: padding method 2 unless the data is whole blocks already; CBC from zeros.
    Mastercard,
    /// EMV CSK and CCD: padding method 2 always; CBC from zeros.
    Emv,
}

/// The script data, prepared and enciphered under the confidentiality session key.
///
/// # Errors
/// [`EmvError::ScriptData`] for more than 255 bytes of Visa data.
pub fn encipher_script_data(
    session_key: &BlockCipher,
    kind: Confidentiality,
    data: &[u8],
) -> Result<Zeroizing<Vec<u8>>, EmvError> {
    let block = session_key.block_len();
    let mut prepared = match kind {
        Confidentiality::Visa => {
            let len = u8::try_from(data.len()).map_err(|_| EmvError::ScriptData(data.len()))?;
            let mut with_length = Zeroizing::new(Vec::with_capacity(data.len() + 1));
            with_length.push(len);
            with_length.extend_from_slice(data);
            Padding::Method2.pad(&with_length, block)?
        }
        Confidentiality::Mastercard if data.len().is_multiple_of(block) => Zeroizing::new(data.to_vec()),
        Confidentiality::Mastercard | Confidentiality::Emv => Padding::Method2.pad(data, block)?,
    };
    if kind == Confidentiality::Visa {
        session_key.ecb_encrypt(&mut prepared)?;
    } else {
        session_key.cbc_encrypt(&mut vec![0; block], &mut prepared)?;
    }
    Ok(prepared)
}

/// The data authentication code of KS mode 0: the first two bytes of account and sequence number enciphered under the
/// MK-DAC. Provisional: no source shows a vector.
///
/// # Errors
/// [`CipherError::BlockLength`] for a key that is not a DES key.
pub fn data_authentication_code(mk_dac: &BlockCipher, card: &PanPsn) -> Result<[u8; 2], EmvError> {
    let mut block = Zeroizing::new(card.rightmost_16());
    mk_dac.ecb_encrypt(block.as_mut_slice())?;
    Ok([block[0], block[1]])
}

/// The ICC dynamic number of KS mode 1: the first two bytes of ATC, zeros and unpredictable number enciphered under the
/// card's key (MK-DN, option A). Provisional: no source shows a vector.
///
/// # Errors
/// [`CipherError::BlockLength`] for a key that is not a DES key.
pub fn icc_dynamic_number(card_key: &BlockCipher, atc: [u8; 2], un: [u8; 4]) -> Result<[u8; 2], EmvError> {
    let mut block = r_from_atc_and_un(atc, un);
    card_key.ecb_encrypt(&mut block)?;
    Ok([block[0], block[1]])
}

fn emv_mac(key: &ClearKey, padding: Padding, data: &[u8]) -> Result<[u8; 8], EmvError> {
    let algorithm = if key.algorithm() == Algorithm::Aes { MacAlgorithm::Cmac } else { MacAlgorithm::Alg3 };
    let mac = MacKey::new(algorithm, key)?.mac(padding, data)?;
    Ok(mac.first_chunk().copied().unwrap_or_default())
}

/// A double-length DES key of two enciphered blocks.
fn two_blocks(cipher: &BlockCipher, left: [u8; 8], right: [u8; 8]) -> Result<ClearKey, EmvError> {
    let mut key = Zeroizing::new([0u8; 16]);
    let (to_left, to_right) = key.split_at_mut(8);
    to_left.copy_from_slice(&left);
    to_right.copy_from_slice(&right);
    cipher.ecb_encrypt(to_left)?;
    cipher.ecb_encrypt(to_right)?;
    force_odd_parity(key.as_mut_slice());
    Ok(ClearKey::des(key.as_slice())?)
}

/// An AES key of the length of `key`, cut from two blocks enciphered under it.
fn aes_blocks(key: &ClearKey, left: &[u8; 16], right: &[u8; 16]) -> Result<ClearKey, EmvError> {
    if key.algorithm() != Algorithm::Aes {
        return Err(CipherError::KeyLength { algorithm: "AES", len: key.len() }.into());
    }
    let mut blocks = Zeroizing::new([*left, *right].concat());
    key.cipher()?.ecb_encrypt(&mut blocks)?;
    blocks.truncate(key.len());
    Ok(ClearKey::aes(&blocks)?)
}

fn double_length(key: &ClearKey) -> Result<Zeroizing<[u8; 16]>, EmvError> {
    match (key.algorithm(), key.bytes().try_into()) {
        (Algorithm::Des, Ok(bytes)) => Ok(Zeroizing::new(bytes)),
        _ => Err(CipherError::KeyLength { algorithm: "double-length DES", len: key.len() }.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn des(len: usize) -> ClearKey {
        ClearKey::des(&[0x13; 24][..len]).unwrap()
    }

    #[test]
    fn account_numbers_are_packed_from_the_right() {
        let card = PanPsn::from_digits(b"1234567890123456", b"07").unwrap();
        assert_eq!(card.rightmost_16(), *b"\x34\x56\x78\x90\x12\x34\x56\x07");
        let odd = PanPsn::from_digits(b"12345", b"00").unwrap();
        assert_eq!(odd.rightmost_16(), *b"\x00\x00\x00\x00\x01\x23\x45\x00");
        assert_eq!(odd, PanPsn::from_packed(b"\x01\x23\x45\x00"));
        assert_eq!(PanPsn::from_digits(b"12A4", b"00"), Err(EmvError::NotADigit));
        assert_eq!(format!("{card:?}"), "PanPsn { 9 bytes }");
    }

    #[test]
    fn option_b_hashes_from_17_digits_on() {
        let master = des(16).cipher().unwrap();
        let derive = |option, pan: &[u8]| card_key(&master, option, &PanPsn::from_digits(pan, b"00").unwrap()).unwrap();
        let (short, long) = (b"1234567890123456", b"12345678901234567");
        assert_eq!(derive(CardKeyOption::A, short), derive(CardKeyOption::B, short));
        assert_ne!(derive(CardKeyOption::A, short), derive(CardKeyOption::BAlwaysHashed, short));
        assert_ne!(derive(CardKeyOption::A, long), derive(CardKeyOption::B, long));
        assert_eq!(derive(CardKeyOption::B, long), derive(CardKeyOption::BAlwaysHashed, long));
    }

    #[test]
    fn aes_keys_keep_their_length() {
        let card = PanPsn::from_digits(b"1234567890123456", b"00").unwrap();
        for len in [16, 24, 32] {
            let master = ClearKey::aes(&[7; 32][..len]).unwrap();
            let key = card_key_aes(&master, &card).unwrap();
            let session = common_session_key_aes(&key, [0, 1]).unwrap();
            assert_eq!((key.len(), session.len()), (len, len));
            assert!(application_cryptogram(&session, Padding::Method2, b"data").is_ok());
        }
        assert!(card_key_aes(&des(16), &card).is_err());
        let long = PanPsn::from_packed(&[0; 17]);
        assert_eq!(card_key_aes(&ClearKey::aes(&[7; 16]).unwrap(), &long), Err(EmvError::AccountLength(17)));
    }

    #[test]
    fn wrong_keys_and_lengths_are_refused() {
        let aes = ClearKey::aes(&[0; 16]).unwrap();
        let card = PanPsn::from_packed(&[]);
        assert!(card_key(&aes.cipher().unwrap(), CardKeyOption::A, &card).is_err());
        assert!(common_session_key(&aes.cipher().unwrap(), [0; 8]).is_err());
        assert!(visa_script_key(&des(8), [0; 2]).is_err());
        assert!(visa_script_key(&aes, [0; 2]).is_err());
        assert!(emv2000_session_key(&des(24), Tree::Branch4Height8, &[0; 16], [0; 2]).is_err());
        assert!(arpc_method1(&aes.cipher().unwrap(), [0; 8], [0; 2]).is_err());
        assert_eq!(arpc_method2(&des(16), [0; 8], [0; 4], &[0; 9]), Err(EmvError::ProprietaryData(9)));
        let cipher = des(16).cipher().unwrap();
        assert_eq!(encipher_script_data(&cipher, Confidentiality::Visa, &[0; 256]), Err(EmvError::ScriptData(256)));
        assert!(data_authentication_code(&aes.cipher().unwrap(), &card).is_err());
        assert!(icc_dynamic_number(&aes.cipher().unwrap(), [0; 2], [0; 4]).is_err());
    }

    #[test]
    fn script_counters_wrap() {
        assert_eq!(r_for_script([0xFF; 8], 1), [0; 8]);
    }

    #[test]
    fn limited_use_keys_need_seven_digits_or_eight() {
        let udk = des(16).cipher().unwrap();
        assert!(limited_use_key(&udk, b"0570201").is_ok());
        assert_eq!(limited_use_key(&udk, b"057020"), Err(EmvError::LimitedUse(6)));
        assert_eq!(limited_use_key(&udk, b"057020101"), Err(EmvError::LimitedUse(9)));
        assert_eq!(limited_use_key(&udk, b"057020A"), Err(EmvError::NotADigit));
    }

    proptest! {
        #[test]
        fn derivations_are_total(
            key: [u8; 16], pan: Vec<u8>, psn: [u8; 2], packed: Vec<u8>, atc: [u8; 2], iv: [u8; 16], data: Vec<u8>,
            arqc: [u8; 8],
        ) {
            let _ = PanPsn::from_digits(&pan, &psn);
            let _ = limited_use_key(&BlockCipher::des(&key).unwrap(), &pan);
            let card = PanPsn::from_packed(&packed);
            let master = ClearKey::des(&key).unwrap();
            let cipher = master.cipher().unwrap();
            for option in [CardKeyOption::A, CardKeyOption::B, CardKeyOption::BAlwaysHashed] {
                prop_assert!(card_key(&cipher, option, &card).unwrap().has_odd_parity());
            }
            let _ = card_key_aes(&ClearKey::aes(&key).unwrap(), &card);
            for tree in [Tree::Branch2Height16, Tree::Branch4Height8] {
                prop_assert!(emv2000_session_key(&master, tree, &iv, atc).unwrap().has_odd_parity());
            }
            for kind in [Confidentiality::Visa, Confidentiality::Mastercard, Confidentiality::Emv] {
                let out = encipher_script_data(&cipher, kind, &data).unwrap();
                prop_assert!(out.len().is_multiple_of(8));
            }
            for padding in [Padding::None, Padding::Method1, Padding::Method2, Padding::Method3] {
                let _ = application_cryptogram(&master, padding, &data);
            }
            let _ = arpc_method2(&master, arqc, [0; 4], &data);
            prop_assert!(data_authentication_code(&cipher, &card).is_ok());
        }
    }
}
