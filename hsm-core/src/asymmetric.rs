//! RSA and elliptic-curve keys in clear: generation, padding, signatures (keys.md 5, card-emv-mac.md 8).
//!
//! Paddings are written out here because the hash is a field of the request, the moduli are as short as 320 bits and a wrong padding
//! must be an error; the arithmetic, with blinding and fault check, is that of the RustCrypto crates.

use crate::mac::HashAlgorithm;
use crate::rsa_encoding::{self, INTEGER, OCTET_STRING, SEQUENCE, element, put_element, significant};
use rand_core::{Rng, TryCryptoRng, TryRng};
use rsa::BoxedUint;
use rsa::hazmat::{rsa_decrypt_and_check, rsa_encrypt};
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeLess};
use zeroize::Zeroizing;

/// Shortest RSA modulus in bits (keys.md 7 `EI`).
pub const MIN_RSA_BITS: u16 = 320;
/// Longest RSA modulus in bits (keys.md 7 `EI`).
pub const MAX_RSA_BITS: u16 = 4096;

/// What is wrong with an asymmetric key or with data for it. The command decides the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AsymmetricError {
    /// The modulus is shorter than 320 bits or longer than 4096.
    #[error("an RSA modulus has {MIN_RSA_BITS} to {MAX_RSA_BITS} bits")]
    ModulusLength,
    /// The exponent is 0, 1, even, or has as many bits as a prime.
    #[error("an RSA exponent is odd, at least 3 and shorter than the primes")]
    Exponent,
    /// No key pair was found.
    #[error("no RSA key pair could be generated")]
    Generation,
    /// The numbers of a private key contradict each other.
    #[error("the private key is inconsistent")]
    PrivateKey,
    /// The public key is not one.
    #[error("the public key is invalid")]
    PublicKey,
    /// The data is too long for the key, or not as long as it must be.
    #[error("the data's length does not suit the key")]
    DataLength,
    /// Padding or contents of decrypted data are wrong.
    #[error("the decrypted data block is wrong")]
    DataBlock,
    /// The data is no DER `DigestInfo`.
    #[error("the data is not a DigestInfo")]
    DigestInfo,
}

/// A module's generator for the crates that want the mark of a cryptographic one.
///
/// The module's randomness is ChaCha20; with a seed it is as guessable as whoever seeded it wanted.
pub struct CryptoSource<'a>(pub &'a mut dyn Rng);

impl core::fmt::Debug for CryptoSource<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("CryptoSource")
    }
}

impl TryRng for CryptoSource<'_> {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(self.0.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.0.fill_bytes(bytes);
        Ok(())
    }
}

impl TryCryptoRng for CryptoSource<'_> {}

/// An RSA private key ready for use. Erased on drop.
pub struct RsaPrivate(rsa::PrivateKey);

impl core::fmt::Debug for RsaPrivate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "RsaPrivate {{ {} bits }}", self.0.n().bit_width())
    }
}

impl RsaPrivate {
    /// Generates a key pair of exactly `bits` bits with a public exponent (big-endian).
    ///
    /// # Errors
    /// [`AsymmetricError::ModulusLength`], [`AsymmetricError::Exponent`], [`AsymmetricError::Generation`].
    pub fn generate(random: &mut CryptoSource<'_>, bits: u16, exponent: &[u8]) -> Result<Self, AsymmetricError> {
        if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
            return Err(AsymmetricError::ModulusLength);
        }
        let exponent = significant(exponent);
        let exponent_bits = 8 * exponent.len() - exponent.first().map_or(0, |first| first.leading_zeros() as usize);
        // Below the primes, the exponent follows from d mod (p - 1), which is all that a key block keeps.
        if exponent_bits < 2 || exponent_bits >= usize::from(bits / 2) || exponent.last().is_none_or(|last| last % 2 == 0) {
            return Err(AsymmetricError::Exponent);
        }
        let e = BoxedUint::from_be_slice_vartime(exponent);
        // A small exponent shares a factor with p - 1 often: with 3, three pairs of four fail.
        for _ in 0..256 {
            let primes = rsa::PrivateKey::new_with_exp_unchecked(random, bits.into(), BoxedUint::from(65_537u64))
                .map_err(|_| AsymmetricError::Generation)?;
            let [p, q] = primes.primes() else { return Err(AsymmetricError::Generation) };
            if let Ok(key) = Self::from_primes(p.as_ref(), q.as_ref(), &e) {
                return Ok(key);
            }
        }
        Err(AsymmetricError::Generation)
    }

    /// The key of the CRT values that a key block holds; the public exponent follows from them.
    ///
    /// # Errors
    /// [`AsymmetricError::PrivateKey`] if they contradict each other, [`AsymmetricError::ModulusLength`].
    pub fn from_crt(crt: &rsa_encoding::RsaPrivateKey) -> Result<Self, AsymmetricError> {
        const WRONG: AsymmetricError = AsymmetricError::PrivateKey;
        let len = crt.p.len().max(crt.q.len());
        if len > usize::from(MAX_RSA_BITS).div_ceil(16) {
            return Err(AsymmetricError::ModulusLength);
        }
        let exponent_of = |prime: &[u8], private: &[u8]| {
            let order = number(prime, len)?.wrapping_sub(BoxedUint::one()).to_nz().into_option().ok_or(WRONG)?;
            number(private, len)?.invert_mod(&order).into_option().ok_or(WRONG)
        };
        let e = exponent_of(&crt.p, &crt.dp)?;
        if e != exponent_of(&crt.q, &crt.dq)? {
            return Err(WRONG);
        }
        let e = BoxedUint::from_be_slice_vartime(significant(&e.to_be_bytes()));
        let key = Self::from_primes(&number(&crt.p, len)?, &number(&crt.q, len)?, &e)?;
        // The last value is not needed, but a key whose values disagree is a damaged one.
        let same = key.to_crt()?;
        let agrees = same.p.ct_eq(&crt.p) & same.q.ct_eq(&crt.q) & same.qinv.ct_eq(&crt.qinv);
        if bool::from(agrees) { Ok(key) } else { Err(WRONG) }
    }

    /// The key of two primes.
    fn from_primes(p: &BoxedUint, q: &BoxedUint, e: &BoxedUint) -> Result<Self, AsymmetricError> {
        const WRONG: AsymmetricError = AsymmetricError::PrivateKey;
        let (p, q) = if p < q { (q, p) } else { (p, q) };
        let one = BoxedUint::one();
        if p <= &one || q <= &one {
            return Err(WRONG);
        }
        let bits = 2 * p.bits_precision().max(q.bits_precision());
        let widened = |number: &BoxedUint| {
            let bytes = Zeroizing::new(number.to_be_bytes());
            BoxedUint::from_be_slice(&bytes, bits).map(Zeroizing::new).map_err(|_| WRONG)
        };
        let (wide_p, wide_q) = (widened(p)?, widened(q)?);
        let n = wide_p.wrapping_mul(&*wide_q);
        if !(u32::from(MIN_RSA_BITS)..=u32::from(MAX_RSA_BITS)).contains(&n.bit_width()) {
            return Err(AsymmetricError::ModulusLength);
        }
        let order = Zeroizing::new(wide_p.wrapping_sub(&one).wrapping_mul(wide_q.wrapping_sub(&one)));
        let order = Zeroizing::new(order.to_nz().into_option().ok_or(WRONG)?);
        let d = widened(e)?.invert_mod(&order).into_option().ok_or(WRONG)?;
        rsa::PrivateKey::from_components_with_large_exponent(n, e.clone(), d, vec![p.clone(), q.clone()])
            .map(Self)
            .map_err(|_| WRONG)
    }

    /// The CRT values, the larger prime first.
    ///
    /// # Errors
    /// [`AsymmetricError::PrivateKey`] never, as a key is complete.
    pub fn to_crt(&self) -> Result<rsa_encoding::RsaPrivateKey, AsymmetricError> {
        const WRONG: AsymmetricError = AsymmetricError::PrivateKey;
        let [p, q] = self.0.primes() else { return Err(WRONG) };
        let bytes = |number: &BoxedUint| {
            let padded = Zeroizing::new(number.to_be_bytes());
            Zeroizing::new(significant(&padded).to_vec())
        };
        Ok(rsa_encoding::RsaPrivateKey {
            p: bytes(p.as_ref()),
            q: bytes(q.as_ref()),
            dp: bytes(self.0.dp().ok_or(WRONG)?),
            dq: bytes(self.0.dq().ok_or(WRONG)?),
            qinv: bytes(&self.0.qinv().ok_or(WRONG)?.retrieve()),
        })
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> RsaPublic {
        RsaPublic(self.0.to_public_key())
    }

    /// Decrypts data that was encrypted under the public key.
    ///
    /// # Errors
    /// [`AsymmetricError::DataLength`] if the data is not as long as the modulus, [`AsymmetricError::DataBlock`] for everything that
    /// decryption shows to be wrong: nothing tells what.
    pub fn decrypt(
        &self,
        random: &mut CryptoSource<'_>,
        padding: EncryptionPadding<'_>,
        data: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, AsymmetricError> {
        if data.len() != self.0.size() {
            return Err(AsymmetricError::DataLength);
        }
        let block = self.private_operation(random, data).ok_or(AsymmetricError::DataBlock)?;
        match padding {
            EncryptionPadding::Pkcs1 => pkcs1_decrypted(&block),
            EncryptionPadding::Oaep { hash, label } => oaep_decrypted(hash, label, &block),
        }
        .ok_or(AsymmetricError::DataBlock)
    }

    /// Signs a digest.
    ///
    /// # Errors
    /// [`AsymmetricError::DataLength`] if the modulus is too short, [`AsymmetricError::PrivateKey`] if the operation went wrong.
    pub fn sign(
        &self,
        random: &mut CryptoSource<'_>,
        padding: SignaturePadding,
        digest: &Digest,
    ) -> Result<Vec<u8>, AsymmetricError> {
        let len = self.0.size();
        let block = match padding {
            SignaturePadding::Pkcs1 => pkcs1_signed(len, &digest.info()),
            SignaturePadding::Pss => pss_signed(random, self.0.n().bit_width() as usize, digest),
        }
        .ok_or(AsymmetricError::DataLength)?;
        let signature = self.private_operation(random, &block).ok_or(AsymmetricError::PrivateKey)?;
        Ok(signature.to_vec())
    }

    /// The private operation, blinded and checked with the public exponent; as many bytes as the modulus has.
    fn private_operation(&self, random: &mut CryptoSource<'_>, data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let data = BoxedUint::from_be_slice(data, self.0.n_bits_precision()).ok()?;
        let result = Zeroizing::new(rsa_decrypt_and_check(&self.0, Some(random), &data).ok()?);
        let bytes = Zeroizing::new(result.to_be_bytes());
        // Storage is whole machine words: drop what the modulus does not fill.
        let surplus = bytes.len().checked_sub(self.0.size())?;
        bytes.get(surplus..).map(|bytes| Zeroizing::new(bytes.to_vec()))
    }
}

/// An RSA public key ready for use.
#[derive(Debug, Clone)]
pub struct RsaPublic(rsa::PublicKey);

impl RsaPublic {
    /// The key with these numbers.
    ///
    /// # Errors
    /// [`AsymmetricError::ModulusLength`]; [`AsymmetricError::PublicKey`] for an even number or an exponent not below the modulus.
    pub fn new(key: &rsa_encoding::RsaPublicKey) -> Result<Self, AsymmetricError> {
        if !(usize::from(MIN_RSA_BITS)..=usize::from(MAX_RSA_BITS)).contains(&key.modulus_bits()) {
            return Err(AsymmetricError::ModulusLength);
        }
        let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        let below = (key.exponent().len(), key.exponent()) < (key.modulus().len(), key.modulus());
        if !odd(key.modulus()) || !odd(key.exponent()) || key.exponent() == [1] || !below {
            return Err(AsymmetricError::PublicKey);
        }
        let [n, e] = [key.modulus(), key.exponent()].map(BoxedUint::from_be_slice_vartime);
        Ok(Self(rsa::PublicKey::new_unchecked(n, e)))
    }

    /// The key's numbers.
    ///
    /// # Errors
    /// [`AsymmetricError::PublicKey`] never, as neither number is zero.
    pub fn numbers(&self) -> Result<rsa_encoding::RsaPublicKey, AsymmetricError> {
        rsa_encoding::RsaPublicKey::new(&self.0.n_bytes(), &self.0.e_bytes()).map_err(|_| AsymmetricError::PublicKey)
    }

    /// Length of the modulus, and so of encrypted data and of signatures, in bytes.
    #[must_use]
    pub fn modulus_len(&self) -> usize {
        self.0.size()
    }

    /// Encrypts data.
    ///
    /// # Errors
    /// [`AsymmetricError::DataLength`] if the modulus is too short for it.
    pub fn encrypt(
        &self,
        random: &mut CryptoSource<'_>,
        padding: EncryptionPadding<'_>,
        data: &[u8],
    ) -> Result<Vec<u8>, AsymmetricError> {
        let len = self.0.size();
        let block = match padding {
            EncryptionPadding::Pkcs1 => pkcs1_encrypted(random, len, data),
            EncryptionPadding::Oaep { hash, label } => oaep_encrypted(random, hash, label, len, data),
        };
        let block = block.ok_or(AsymmetricError::DataLength)?;
        self.public_operation(&block).ok_or(AsymmetricError::DataLength)
    }

    /// Whether a signature is that of a digest.
    #[must_use]
    pub fn verify(&self, padding: SignaturePadding, digest: &Digest, signature: &[u8]) -> bool {
        if signature.len() != self.0.size() {
            return false;
        }
        let Some(block) = self.public_operation(signature) else { return false };
        match padding {
            SignaturePadding::Pkcs1 => pkcs1_signed(block.len(), &digest.info()).is_some_and(|expected| expected == block),
            SignaturePadding::Pss => pss_verify(self.0.n().bit_width() as usize, digest, &block),
        }
    }

    /// The public operation; as many bytes as the modulus has. `None` if the data is not below the modulus.
    fn public_operation(&self, data: &[u8]) -> Option<Vec<u8>> {
        let data = BoxedUint::from_be_slice(data, self.0.n_bits_precision()).ok()?;
        if &data >= self.0.n().as_ref() {
            return None;
        }
        let bytes = rsa_encrypt(&self.0, &data).ok()?.to_be_bytes();
        bytes.get(bytes.len().checked_sub(self.0.size())?..).map(<[u8]>::to_vec)
    }
}

/// A number of `len` bytes with at least as many digits.
fn number(bytes: &[u8], len: usize) -> Result<BoxedUint, AsymmetricError> {
    BoxedUint::from_be_slice(bytes, 8 * len as u32).map_err(|_| AsymmetricError::PrivateKey)
}

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

/// What is signed: a digest and the hash it comes from, or a `DigestInfo` that the host made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    hash: Option<HashAlgorithm>,
    bytes: Vec<u8>,
}

impl Digest {
    /// The digest of a message.
    #[must_use]
    pub fn of(hash: HashAlgorithm, message: &[u8]) -> Self {
        Self { hash: Some(hash), bytes: hash.digest(message) }
    }

    /// A `DigestInfo` in DER: `SEQUENCE{SEQUENCE{algorithm}, OCTET STRING}`.
    ///
    /// # Errors
    /// [`AsymmetricError::DigestInfo`] for other data.
    pub fn from_info(info: &[u8]) -> Result<Self, AsymmetricError> {
        const WRONG: AsymmetricError = AsymmetricError::DigestInfo;
        let (body, used) = element(SEQUENCE, info).map_err(|_| WRONG)?;
        let (algorithm, algorithm_len) = element(SEQUENCE, body).map_err(|_| WRONG)?;
        let rest = body.get(algorithm_len..).unwrap_or_default();
        let (digest, digest_len) = element(OCTET_STRING, rest).map_err(|_| WRONG)?;
        if used != info.len() || digest_len != rest.len() || algorithm.first() != Some(&6) || digest.is_empty() {
            return Err(WRONG);
        }
        Ok(Self { hash: None, bytes: info.to_vec() })
    }

    /// The `DigestInfo` that PKCS#1 v1.5 signs.
    fn info(&self) -> Vec<u8> {
        let Some(hash) = self.hash else { return self.bytes.clone() };
        let mut algorithm = object_identifier(hash).to_vec();
        algorithm.extend([5, 0]);
        let mut body = Vec::new();
        put_element(&mut body, SEQUENCE, &algorithm);
        put_element(&mut body, OCTET_STRING, &self.bytes);
        let mut info = Vec::new();
        put_element(&mut info, SEQUENCE, &body);
        info
    }
}

/// The OBJECT IDENTIFIER element of a hash.
fn object_identifier(hash: HashAlgorithm) -> &'static [u8] {
    match hash {
        HashAlgorithm::Md5 => &[6, 8, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 2, 5],
        HashAlgorithm::Sha1 => &[6, 5, 0x2B, 0x0E, 3, 2, 0x1A],
        HashAlgorithm::Sha224 => &[6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 4],
        HashAlgorithm::Sha256 => &[6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1],
        HashAlgorithm::Sha384 => &[6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2],
        HashAlgorithm::Sha512 => &[6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3],
    }
}

/// `00 02`, at least 8 random bytes that are not zero, `00`, data.
fn pkcs1_encrypted(random: &mut CryptoSource<'_>, len: usize, data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
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
fn pkcs1_decrypted(block: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
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
fn pkcs1_signed(len: usize, info: &[u8]) -> Option<Vec<u8>> {
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
fn oaep_encrypted(
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
fn oaep_decrypted(hash: HashAlgorithm, label: &[u8], block: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
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
fn pss_signed(random: &mut CryptoSource<'_>, modulus_bits: usize, digest: &Digest) -> Option<Vec<u8>> {
    let hash = digest.hash?;
    let h = hash.output_len();
    let (bits, len) = (modulus_bits - 1, modulus_bits.div_ceil(8));
    let em_len = bits.div_ceil(8);
    let db_len = em_len.checked_sub(h + 1).filter(|len| *len >= h + 1)?;
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
fn pss_verify(modulus_bits: usize, digest: &Digest, block: &[u8]) -> bool {
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

/// The curves of FY (keys.md 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
}

/// Does something with the types of a curve's crate.
macro_rules! on_curve {
    ($curve:expr, $name:ident => $body:expr) => {
        match $curve {
            Curve::P256 => {
                use p256::ecdsa as $name;
                $body
            }
            Curve::P384 => {
                use p384::ecdsa as $name;
                $body
            }
            Curve::P521 => {
                use p521::ecdsa as $name;
                $body
            }
        }
    };
}

impl Curve {
    /// All of them, in the order of FY's curve reference.
    pub const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    /// Length of a coordinate or private scalar in bytes.
    #[must_use]
    pub fn field_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// The OBJECT IDENTIFIER element.
    fn oid(self) -> &'static [u8] {
        match self {
            Self::P256 => &[6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7],
            Self::P384 => &[6, 5, 0x2B, 0x81, 4, 0, 0x22],
            Self::P521 => &[6, 5, 0x2B, 0x81, 4, 0, 0x23],
        }
    }

    fn from_oid(oid: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|curve| curve.oid() == oid)
    }
}

/// id-ecPublicKey.
const EC_PUBLIC_KEY: &[u8] = &[6, 7, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 2, 1];
const BIT_STRING: u8 = 3;
/// `[0]` and `[1]` of RFC 5915.
const PARAMETERS: u8 = 0xA0;
const PUBLIC_KEY: u8 = 0xA1;

/// An elliptic-curve private key. Erased on drop.
#[derive(Clone)]
pub struct EcPrivate {
    curve: Curve,
    scalar: Zeroizing<Vec<u8>>,
}

impl core::fmt::Debug for EcPrivate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "EcPrivate {{ {:?} }}", self.curve)
    }
}

impl EcPrivate {
    /// Generates a key.
    #[must_use]
    pub fn generate(random: &mut CryptoSource<'_>, curve: Curve) -> Self {
        loop {
            let mut scalar = Zeroizing::new(vec![0u8; curve.field_len()]);
            random.0.fill_bytes(&mut scalar);
            if let (Curve::P521, Some(first)) = (curve, scalar.first_mut()) {
                *first &= 1;
            }
            if on_curve!(curve, ecdsa => ecdsa::SigningKey::from_slice(&scalar).is_ok()) {
                return Self { curve, scalar };
            }
        }
    }

    /// Reads an `ECPrivateKey` (RFC 5915) that names its curve.
    ///
    /// # Errors
    /// [`AsymmetricError::PrivateKey`].
    pub fn decode(der: &[u8]) -> Result<Self, AsymmetricError> {
        let parse = || {
            let (body, _) = element(SEQUENCE, der).ok()?;
            let (version, used) = element(INTEGER, body).ok()?;
            let body = body.get(used..)?;
            let (scalar, used) = element(OCTET_STRING, body).ok()?;
            let (parameters, _) = element(PARAMETERS, body.get(used..)?).ok()?;
            let curve = Curve::from_oid(parameters)?;
            let valid = version == [1] && on_curve!(curve, ecdsa => ecdsa::SigningKey::from_slice(scalar).is_ok());
            (valid && scalar.len() == curve.field_len()).then(|| Self { curve, scalar: Zeroizing::new(scalar.to_vec()) })
        };
        parse().ok_or(AsymmetricError::PrivateKey)
    }

    /// `ECPrivateKey` (RFC 5915) with curve and public key.
    ///
    /// # Errors
    /// [`AsymmetricError::PrivateKey`] never, as the scalar was checked.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, AsymmetricError> {
        let point = self.public()?.point;
        let mut bits = vec![0];
        bits.extend_from_slice(&point);
        let mut public = Vec::new();
        put_element(&mut public, BIT_STRING, &bits);
        // Room for everything, so that no copy of the scalar is left behind by growing.
        let capacity = self.scalar.len() + public.len() + 40;
        let mut body = Zeroizing::new(Vec::with_capacity(capacity));
        put_element(&mut body, INTEGER, &[1]);
        put_element(&mut body, OCTET_STRING, &self.scalar);
        put_element(&mut body, PARAMETERS, self.curve.oid());
        put_element(&mut body, PUBLIC_KEY, &public);
        let mut out = Zeroizing::new(Vec::with_capacity(capacity + 4));
        put_element(&mut out, SEQUENCE, &body);
        Ok(out)
    }

    /// The public key.
    ///
    /// # Errors
    /// [`AsymmetricError::PrivateKey`] never, as the scalar was checked.
    pub fn public(&self) -> Result<EcPublic, AsymmetricError> {
        let point = on_curve!(self.curve, ecdsa => {
            let key = ecdsa::SigningKey::from_slice(&self.scalar).map_err(|_| AsymmetricError::PrivateKey)?;
            key.verifying_key().to_sec1_point(false).as_bytes().to_vec()
        });
        Ok(EcPublic { curve: self.curve, point })
    }

    /// Signs a digest (ECDSA, deterministic by RFC 6979): DER `SEQUENCE{r, s}`.
    ///
    /// # Errors
    /// [`AsymmetricError::PrivateKey`] if the operation went wrong, [`AsymmetricError::DigestInfo`] for a `DigestInfo`.
    pub fn sign(&self, digest: &Digest) -> Result<Vec<u8>, AsymmetricError> {
        if digest.hash.is_none() {
            return Err(AsymmetricError::DigestInfo);
        }
        let raw = on_curve!(self.curve, ecdsa => {
            use ecdsa::signature::hazmat::PrehashSigner;
            let key = ecdsa::SigningKey::from_slice(&self.scalar).map_err(|_| AsymmetricError::PrivateKey)?;
            let signature: ecdsa::Signature =
                key.sign_prehash(&digest.bytes).map_err(|_| AsymmetricError::PrivateKey)?;
            signature.to_bytes().to_vec()
        });
        let mut body = Vec::new();
        for number in raw.chunks(self.curve.field_len()) {
            let mut number = significant(number).to_vec();
            if number.first().is_none_or(|first| *first >= 0x80) {
                number.insert(0, 0);
            }
            put_element(&mut body, INTEGER, &number);
        }
        let mut out = Vec::new();
        put_element(&mut out, SEQUENCE, &body);
        Ok(out)
    }
}

/// An elliptic-curve public key: a point on its curve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcPublic {
    curve: Curve,
    /// Uncompressed (SEC 1).
    point: Vec<u8>,
}

impl EcPublic {
    /// Reads a `SubjectPublicKeyInfo` at the start of `input`. Returns the key and the number of bytes it takes.
    ///
    /// # Errors
    /// [`AsymmetricError::PublicKey`].
    pub fn decode(input: &[u8]) -> Result<(Self, usize), AsymmetricError> {
        let parse = || {
            let (body, total) = element(SEQUENCE, input).ok()?;
            let (algorithm, used) = element(SEQUENCE, body).ok()?;
            let curve = Curve::from_oid(algorithm.strip_prefix(EC_PUBLIC_KEY)?)?;
            let rest = body.get(used..)?;
            let (bits, used) = element(BIT_STRING, rest).ok()?;
            let (0, point) = bits.split_first()? else { return None };
            let valid = on_curve!(curve, ecdsa => ecdsa::VerifyingKey::from_sec1_bytes(point).is_ok());
            let whole = used == rest.len() && point.len() == 1 + 2 * curve.field_len();
            (valid && whole).then(|| (Self { curve, point: point.to_vec() }, total))
        };
        parse().ok_or(AsymmetricError::PublicKey)
    }

    /// `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        put_element(&mut body, SEQUENCE, &[EC_PUBLIC_KEY, self.curve.oid()].concat());
        put_element(&mut body, BIT_STRING, &[&[0], self.point.as_slice()].concat());
        let mut out = Vec::new();
        put_element(&mut out, SEQUENCE, &body);
        out
    }

    /// Whether a signature (DER `SEQUENCE{r, s}`) is that of a digest.
    #[must_use]
    pub fn verify(&self, digest: &Digest, signature: &[u8]) -> bool {
        let check = || {
            digest.hash?;
            let (body, used) = element(SEQUENCE, signature).ok()?;
            let (r, r_len) = element(INTEGER, body).ok()?;
            let rest = body.get(r_len..)?;
            let (s, s_len) = element(INTEGER, rest).ok()?;
            if used != signature.len() || s_len != rest.len() {
                return None;
            }
            let mut raw = Vec::with_capacity(2 * self.curve.field_len());
            for number in [r, s] {
                let number = significant(number);
                raw.resize(raw.len() + self.curve.field_len().checked_sub(number.len())?, 0);
                raw.extend_from_slice(number);
            }
            on_curve!(self.curve, ecdsa => {
                use ecdsa::signature::hazmat::PrehashVerifier;
                let key = ecdsa::VerifyingKey::from_sec1_bytes(&self.point).ok()?;
                let signature = ecdsa::Signature::from_slice(&raw).ok()?;
                key.verify_prehash(&digest.bytes, &signature).ok()
            })
        };
        check().is_some()
    }
}
