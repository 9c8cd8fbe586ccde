//! Paddings of RSA: PKCS#1 v1.5, OAEP, PSS (RFC 8017).

use super::CryptoSource;
use super::digest::Digest;
use crate::mac::HashAlgorithm;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeLess};
use zeroize::Zeroizing;

/// How data is padded before it is encrypted under a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncryptionPadding<'a> {
    /// PKCS#1 v1.5 block type 2.
    Pkcs1,
    /// OAEP with MGF1, one hash for the label and the mask.
    Oaep {
        /// The hash.
        hash: HashAlgorithm,
        /// The label ("OAEP parameters").
        label: &'a [u8],
    },
}

/// How a digest is padded before it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignaturePadding {
    /// PKCS#1 v1.5 block type 1.
    Pkcs1,
    /// PSS with MGF1 of the digest's hash and a salt as long as the digest.
    Pss,
}
/// `00 02`, at least 8 random bytes that are not zero, `00`, data.
pub(super) fn pkcs1_encrypted(random: &mut CryptoSource<'_>, len: usize, data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let fill = len.checked_sub(data.len() + 3).filter(|fill| *fill >= 8)?;
    let mut block = Zeroizing::new(vec![0u8; len]);
    let (head, rest) = block.split_at_mut(2);
    head.copy_from_slice(&[0, 2]);
    let (filler, rest) = rest.split_at_mut(fill);
    random.0.fill_bytes(filler);
    for byte in filler {
        while *byte == 0 {
            random.0.fill_bytes(core::slice::from_mut(byte));
        }
    }
    rest.get_mut(1..)?.copy_from_slice(data);
    Some(block)
}

/// The data of a block that [`pkcs1_encrypted`] made. Looks at every byte whatever the block holds.
pub(super) fn pkcs1_decrypted(block: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (head, rest) = block.split_at_checked(2)?;
    let mut good = head.ct_eq(&[0, 2]);
    let mut searching = Choice::from(1);
    let mut zero_at = 0u32;
    for (at, byte) in (0u32..).zip(rest) {
        let zero = byte.ct_eq(&0) & searching;
        zero_at = u32::conditional_select(&zero_at, &at, zero);
        searching &= !zero;
    }
    good &= !searching & !zero_at.ct_lt(&8);
    if !bool::from(good) {
        return None;
    }
    rest.get(zero_at as usize + 1..).map(|data| Zeroizing::new(data.to_vec()))
}

/// `00 01`, at least 8 bytes `FF`, `00`, `DigestInfo`.
pub(super) fn pkcs1_signed(len: usize, info: &[u8]) -> Option<Vec<u8>> {
    let fill = len.checked_sub(info.len() + 3).filter(|fill| *fill >= 8)?;
    let mut block = vec![0xFF; len];
    *block.first_mut()? = 0;
    *block.get_mut(1)? = 1;
    *block.get_mut(2 + fill)? = 0;
    block.get_mut(3 + fill..)?.copy_from_slice(info);
    Some(block)
}

/// XORs the MGF1 mask of `seed` onto `data`.
fn mask(hash: HashAlgorithm, seed: &[u8], data: &mut [u8]) {
    for (counter, chunk) in (0u32..).zip(data.chunks_mut(hash.output_len())) {
        let input = Zeroizing::new([seed, &counter.to_be_bytes()].concat());
        let output = Zeroizing::new(hash.digest(&input));
        crate::cipher::xor_in_place(chunk, &output);
    }
}

/// EME-OAEP encoding (RFC 8017 7.1.1).
pub(super) fn oaep_encrypted(
    random: &mut CryptoSource<'_>,
    hash: HashAlgorithm,
    label: &[u8],
    len: usize,
    data: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let h = hash.output_len();
    len.checked_sub(2 * h + 2).filter(|room| *room >= data.len())?;
    let mut block = Zeroizing::new(vec![0u8; len]);
    let (seed, db) = block.get_mut(1..)?.split_at_mut(h);
    random.0.fill_bytes(seed);
    db.get_mut(..h)?.copy_from_slice(&hash.digest(label));
    let start = db.len() - data.len();
    *db.get_mut(start - 1)? = 1;
    db.get_mut(start..)?.copy_from_slice(data);
    mask(hash, seed, db);
    mask(hash, db, seed);
    Some(block)
}

/// EME-OAEP decoding. Looks at every byte whatever the block holds.
pub(super) fn oaep_decrypted(hash: HashAlgorithm, label: &[u8], block: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let h = hash.output_len();
    if block.len() < 2 * h + 2 {
        return None;
    }
    let mut block = Zeroizing::new(block.to_vec());
    let (first, rest) = block.split_first_mut()?;
    let (seed, db) = rest.split_at_mut(h);
    mask(hash, db, seed);
    mask(hash, seed, db);
    let (label_hash, rest) = db.split_at(h);
    let mut good = first.ct_eq(&0) & label_hash.ct_eq(&hash.digest(label));
    let mut searching = Choice::from(1);
    let mut one_at = 0u32;
    for (at, byte) in (0u32..).zip(rest) {
        let one = byte.ct_eq(&1) & searching;
        one_at = u32::conditional_select(&one_at, &at, one);
        searching &= !one;
        good &= byte.ct_eq(&0) | !searching | one;
    }
    good &= !searching;
    if !bool::from(good) {
        return None;
    }
    rest.get(one_at as usize + 1..).map(|data| Zeroizing::new(data.to_vec()))
}

/// EMSA-PSS encoding (RFC 8017 9.1.1), as long as the modulus.
pub(super) fn pss_signed(random: &mut CryptoSource<'_>, modulus_bits: usize, digest: &Digest) -> Option<Vec<u8>> {
    let hash = digest.hash?;
    let h = hash.output_len();
    let (bits, len) = (modulus_bits - 1, modulus_bits.div_ceil(8));
    let em_len = bits.div_ceil(8);
    let db_len = em_len.checked_sub(h + 1).filter(|len| *len > h)?;
    let mut salt = vec![0u8; h];
    random.0.fill_bytes(&mut salt);
    let code = hash.digest(&[&[0u8; 8], digest.bytes.as_slice(), &salt].concat());
    let mut db = vec![0u8; db_len];
    *db.get_mut(db_len - h - 1)? = 1;
    db.get_mut(db_len - h..)?.copy_from_slice(&salt);
    mask(hash, &code, &mut db);
    *db.first_mut()? &= 0xFF >> (8 * em_len - bits);
    let mut block = vec![0u8; len - em_len];
    block.extend(db);
    block.extend(code);
    block.push(0xBC);
    Some(block)
}

/// EMSA-PSS verification, for salts of any length (RFC 8017 9.1.2).
pub(super) fn pss_verify(modulus_bits: usize, digest: &Digest, block: &[u8]) -> bool {
    let check = || {
        let hash = digest.hash?;
        let h = hash.output_len();
        let bits = modulus_bits - 1;
        let em_len = bits.div_ceil(8);
        let (surplus, em) = block.split_at_checked(block.len().checked_sub(em_len)?)?;
        let (masked, tail) = em.split_at_checked(em_len.checked_sub(h + 1)?)?;
        let (code, trailer) = tail.split_at_checked(h)?;
        let unused = !(0xFFu8 >> (8 * em_len - bits));
        if surplus.iter().any(|b| *b != 0) || trailer != [0xBC] || masked.first()? & unused != 0 {
            return None;
        }
        let mut db = masked.to_vec();
        mask(hash, code, &mut db);
        *db.first_mut()? &= !unused;
        let one = db.iter().position(|b| *b != 0).filter(|at| db.get(*at) == Some(&1))?;
        let salt = db.get(one + 1..)?;
        Some(hash.digest(&[&[0u8; 8], digest.bytes.as_slice(), salt].concat()) == code)
    };
    check().unwrap_or(false)
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pkcs1_blocks_with_a_flaw_hold_nothing() {
        let mut block = [5u8; 64];
        block[0] = 0;
        block[1] = 2;
        block[40] = 0;
        assert_eq!(pkcs1_decrypted(&block).unwrap()[..], block[41..]);
        let flawed = |at: usize, value: u8| {
            let mut block = block;
            block[at] = value;
            pkcs1_decrypted(&block)
        };
        assert!(flawed(0, 1).is_none());
        assert!(flawed(1, 1).is_none());
        assert!(flawed(40, 9).is_none(), "no end of the fill");
        assert!(flawed(9, 0).is_none(), "seven bytes of fill");
        assert!(flawed(10, 0).is_some(), "eight bytes of fill");
        assert!(pkcs1_decrypted(&[0]).is_none());
    }
}
