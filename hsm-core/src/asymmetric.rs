//! RSA and elliptic-curve keys in clear: generation, padding, signatures (keys.md 5, card-emv-mac.md 8).
//!
//! Paddings are written out here because the hash is a field of the request, the moduli are as short as 320 bits and a wrong padding
//! must be an error; the arithmetic, with blinding and fault check, is that of the RustCrypto crates.

use crate::mac::HashAlgorithm;
use crate::rsa_encoding::{self, BIT_STRING, INTEGER, OCTET_STRING, SEQUENCE, element, put_element, significant};
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
        if exponent_bits < 2
            || exponent_bits >= usize::from(bits / 2)
            || exponent.last().is_none_or(|last| last % 2 == 0)
        {
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
            SignaturePadding::Pkcs1 => {
                pkcs1_signed(block.len(), &digest.info()).is_some_and(|expected| expected == block)
            }
            SignaturePadding::Pss => pss_verify(self.0.n().bit_width() as usize, digest, &block),
        }
    }

    /// The public operation; as many bytes as the modulus has. `None` if the data is not below the modulus.
    fn public_operation(&self, data: &[u8]) -> Option<Vec<u8>> {
        let data = BoxedUint::from_be_slice(data, self.0.n_bits_precision()).ok()?;
        if data >= *self.0.n().as_ref() {
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
pub(crate) fn object_identifier(hash: HashAlgorithm) -> &'static [u8] {
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
            (valid && scalar.len() == curve.field_len())
                .then(|| Self { curve, scalar: Zeroizing::new(scalar.to_vec()) })
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

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;
    use rsa::{Oaep, Pss};
    use sha2::{Sha256, Sha512};

    fn rng(seed: u8) -> ChaCha20Rng {
        ChaCha20Rng::from_seed([seed; 32])
    }

    fn generate(bits: u16, exponent: &[u8]) -> RsaPrivate {
        RsaPrivate::generate(&mut CryptoSource(&mut rng(bits as u8)), bits, exponent).unwrap()
    }

    #[test]
    fn generated_keys_have_the_length_and_exponent_asked_for_and_survive_their_crt_values() {
        for (bits, exponent) in [(320, &[3][..]), (321, &[1, 0, 1]), (512, &[0, 0, 17]), (512, &[1; 16]), (1024, &[3])]
        {
            let key = generate(bits, exponent);
            let public = key.public().numbers().unwrap();
            assert_eq!(public.modulus_bits(), usize::from(bits));
            assert_eq!(public.exponent(), significant(exponent));
            let crt = key.to_crt().unwrap();
            assert!((crt.p.len(), crt.p.as_slice()) > (crt.q.len(), crt.q.as_slice()));
            let again = RsaPrivate::from_crt(&crt).unwrap();
            assert_eq!(again.public().numbers().unwrap(), public);
            assert!(!format!("{key:?}").contains("d:"), "{key:?}");
        }
    }

    #[test]
    fn impossible_lengths_and_exponents_are_refused() {
        let attempt = |bits, exponent: &[u8]| {
            RsaPrivate::generate(&mut CryptoSource(&mut rng(1)), bits, exponent).map(drop).unwrap_err()
        };
        assert_eq!(attempt(319, &[3]), AsymmetricError::ModulusLength);
        assert_eq!(attempt(4097, &[3]), AsymmetricError::ModulusLength);
        for exponent in [&[][..], &[0], &[1], &[4], &[0x80; 20]] {
            assert_eq!(attempt(320, exponent), AsymmetricError::Exponent, "{exponent:?}");
        }
    }

    #[test]
    fn a_damaged_private_key_is_refused() {
        let good = generate(512, &[1, 0, 1]).to_crt().unwrap();
        let damages: [fn(&mut rsa_encoding::RsaPrivateKey); 6] = [
            |k| *k.p.last_mut().unwrap() ^= 2,
            |k| *k.q.last_mut().unwrap() ^= 1,
            |k| *k.dp.last_mut().unwrap() ^= 2,
            |k| *k.dq.first_mut().unwrap() ^= 1,
            |k| *k.qinv.last_mut().unwrap() ^= 1,
            |k| k.p = Zeroizing::new(vec![1]),
        ];
        for damage in damages {
            let mut key = good.clone();
            damage(&mut key);
            assert!(RsaPrivate::from_crt(&key).is_err());
        }
        let swapped = rsa_encoding::RsaPrivateKey { p: good.q.clone(), q: good.p.clone(), ..good.clone() };
        assert!(RsaPrivate::from_crt(&swapped).is_err());
        let huge = rsa_encoding::RsaPrivateKey { p: Zeroizing::new(vec![0xFF; 300]), ..good };
        assert_eq!(RsaPrivate::from_crt(&huge).map(drop), Err(AsymmetricError::ModulusLength));
    }

    #[test]
    fn public_keys_that_cannot_work_are_refused() {
        let key = |n: &[u8], e: &[u8]| RsaPublic::new(&rsa_encoding::RsaPublicKey::new(n, e).unwrap()).map(drop);
        let mut even = [0xFF; 64];
        even[63] = 0xFE;
        assert_eq!(key(&[0xFF; 64], &[3]), Ok(()));
        assert_eq!(key(&[0xFF; 39], &[3]), Err(AsymmetricError::ModulusLength));
        assert_eq!(key(&[0xFF; 513], &[3]), Err(AsymmetricError::ModulusLength));
        assert_eq!(key(&even, &[3]), Err(AsymmetricError::PublicKey));
        for exponent in [&[1][..], &[4], &[0xFF; 64], &[0xFF; 65]] {
            assert_eq!(key(&[0xFF; 64], exponent), Err(AsymmetricError::PublicKey));
        }
    }

    #[test]
    fn what_is_encrypted_is_decrypted_and_nothing_else() {
        let key = generate(1024, &[1, 0, 1]);
        let public = key.public();
        let random = &mut rng(2);
        let oaep = |label| EncryptionPadding::Oaep { hash: HashAlgorithm::Sha1, label };
        for padding in [EncryptionPadding::Pkcs1, oaep(b""), oaep(b"label")] {
            for len in [0, 1, 16, 24, 80] {
                let data: Vec<u8> = (0..len).collect();
                let encrypted = public.encrypt(&mut CryptoSource(random), padding, &data).unwrap();
                let decrypt = |data: &[u8], padding, random: &mut ChaCha20Rng| {
                    key.decrypt(&mut CryptoSource(random), padding, data).map(|data| data.to_vec())
                };
                assert_eq!(decrypt(&encrypted, padding, random), Ok(data));
                let mut damaged = encrypted.clone();
                damaged[100] ^= 1;
                assert_eq!(decrypt(&damaged, padding, random), Err(AsymmetricError::DataBlock));
                assert_eq!(decrypt(&encrypted[1..], padding, random), Err(AsymmetricError::DataLength));
                assert_eq!(decrypt(&[0xFF; 128], padding, random), Err(AsymmetricError::DataBlock));
                assert_eq!(decrypt(&encrypted, oaep(b"other"), random), Err(AsymmetricError::DataBlock));
            }
        }
        let longest = public.encrypt(&mut CryptoSource(random), EncryptionPadding::Pkcs1, &[7; 117]);
        assert!(longest.is_ok());
        let longer = public.encrypt(&mut CryptoSource(random), EncryptionPadding::Pkcs1, &[7; 118]);
        assert_eq!(longer, Err(AsymmetricError::DataLength));
        let longer = public.encrypt(&mut CryptoSource(random), oaep(b""), &[7; 128 - 41]);
        assert_eq!(longer, Err(AsymmetricError::DataLength));
    }

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

    #[test]
    fn oaep_and_pss_agree_with_the_rsa_crate() {
        let key = generate(1031, &[1, 0, 1]);
        let public = key.public();
        let random = &mut rng(3);
        let oaep = EncryptionPadding::Oaep { hash: HashAlgorithm::Sha256, label: b"some label" };
        for data in [&b""[..], b"a key", &[0; 32]] {
            let ours = public.encrypt(&mut CryptoSource(random), oaep, data).unwrap();
            let theirs = Oaep::<Sha256>::new_with_label(&b"some label"[..]);
            assert_eq!(key.0.decrypt_blinded(random, theirs, &ours).unwrap(), data);
            let theirs = Oaep::<Sha256>::new_with_label(&b"some label"[..]);
            let theirs = public.0.encrypt(random, theirs, data).unwrap();
            assert_eq!(key.decrypt(&mut CryptoSource(random), oaep, &theirs).unwrap()[..], *data);
        }
        // Moduli around a whole number of bytes: the encoded message has one bit less.
        for bits in [1024, 1025, 1031] {
            let key = generate(bits, &[1, 0, 1]);
            let digest = Digest::of(HashAlgorithm::Sha256, b"message");
            let ours = key.sign(&mut CryptoSource(random), SignaturePadding::Pss, &digest).unwrap();
            assert!(key.public().0.verify(Pss::<Sha256>::new(), &digest.bytes, &ours).is_ok());
            let theirs = key.0.sign_with_rng(random, Pss::<Sha256>::new_with_salt(7), &digest.bytes).unwrap();
            assert!(key.public().verify(SignaturePadding::Pss, &digest, &theirs));
            let digest = Digest::of(HashAlgorithm::Sha512, b"message");
            let theirs = key.0.sign_with_rng(random, Pss::<Sha512>::new_with_salt(0), &digest.bytes).unwrap();
            assert!(key.public().verify(SignaturePadding::Pss, &digest, &theirs));
            assert!(!key.public().verify(SignaturePadding::Pkcs1, &digest, &theirs));
        }
    }

    #[test]
    fn a_signature_fits_one_key_message_and_padding() {
        let key = generate(1024, &[3]);
        let random = &mut rng(4);
        for padding in [SignaturePadding::Pkcs1, SignaturePadding::Pss] {
            for hash in [HashAlgorithm::Md5, HashAlgorithm::Sha1, HashAlgorithm::Sha224, HashAlgorithm::Sha384] {
                let digest = Digest::of(hash, b"message");
                let signature = key.sign(&mut CryptoSource(random), padding, &digest).unwrap();
                let public = key.public();
                assert!(public.verify(padding, &digest, &signature));
                assert!(!public.verify(padding, &Digest::of(hash, b"massage"), &signature));
                assert!(!public.verify(padding, &digest, &signature[1..]));
                assert!(!public.verify(padding, &digest, &[0xFF; 128]));
                let mut damaged = signature.clone();
                damaged[64] ^= 1;
                assert!(!public.verify(padding, &digest, &damaged));
            }
        }
        let small = generate(320, &[3]);
        let digest = Digest::of(HashAlgorithm::Sha512, b"message");
        let refused = small.sign(&mut CryptoSource(random), SignaturePadding::Pkcs1, &digest);
        assert_eq!(refused, Err(AsymmetricError::DataLength));
        let refused = small.sign(&mut CryptoSource(random), SignaturePadding::Pss, &digest);
        assert_eq!(refused, Err(AsymmetricError::DataLength));
    }

    #[test]
    fn a_digest_info_is_signed_as_it_stands() {
        let digest = Digest::of(HashAlgorithm::Sha256, b"message");
        let info = digest.info();
        let given = Digest::from_info(&info).unwrap();
        let key = generate(1024, &[3]);
        let sign = |digest| key.sign(&mut CryptoSource(&mut rng(5)), SignaturePadding::Pkcs1, digest).unwrap();
        assert_eq!(sign(&digest), sign(&given));
        let pss = key.sign(&mut CryptoSource(&mut rng(5)), SignaturePadding::Pss, &given);
        assert_eq!(pss, Err(AsymmetricError::DataLength), "PSS needs to know the hash");
        for wrong in [&info[1..], &info[..10], &[info.as_slice(), &[0]].concat(), b"\x30\x04\x30\x02\x05\x00"] {
            assert_eq!(Digest::from_info(wrong), Err(AsymmetricError::DigestInfo));
        }
    }

    #[test]
    fn ecdsa_is_that_of_rfc_6979() {
        // RFC 6979 A.2.5 and A.2.6, SHA-256 and SHA-384 over "sample".
        let hex = |text: &str| crate::hex::decode(text.as_bytes()).unwrap().to_vec();
        let cases = [
            (
                Curve::P256,
                HashAlgorithm::Sha256,
                "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721",
                "3046022100EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716\
                 022100F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
            ),
            (
                Curve::P384,
                HashAlgorithm::Sha384,
                "6B9D3DAD2E1B8C1C05B19875B6659F4DE23C3B667BF297BA9AA47740787137D896D5724E4C70A825F872C9EA60D2EDF5",
                "306602310094EDBB92A5ECB8AAD4736E56C691916B3F88140666CE9FA73D64C4EA95AD133C81A648152E44ACF96E36DD1E80FABE46\
                 02310099EF4AEB15F178CEA1FE40DB2603138F130E740A19624526203B6351D0A3A94FA329C145786E679E7B82C71A38628AC8",
            ),
        ];
        for (curve, hash, scalar, signature) in cases {
            let key = EcPrivate { curve, scalar: Zeroizing::new(hex(scalar)) };
            let digest = Digest::of(hash, b"sample");
            assert_eq!(key.sign(&digest).unwrap(), hex(signature));
            assert!(key.public().unwrap().verify(&digest, &hex(signature)));
        }
    }

    #[test]
    fn elliptic_curve_keys_survive_their_encodings() {
        for curve in Curve::ALL {
            let key = EcPrivate::generate(&mut CryptoSource(&mut rng(6)), curve);
            let der = key.encode().unwrap();
            let again = EcPrivate::decode(&der).unwrap();
            assert_eq!((again.curve, &again.scalar), (key.curve, &key.scalar));
            let public = key.public().unwrap();
            let info = [public.encode(), vec![1, 2, 3]].concat();
            assert_eq!(EcPublic::decode(&info), Ok((public.clone(), info.len() - 3)));
            for hash in [HashAlgorithm::Sha1, HashAlgorithm::Sha512] {
                let digest = Digest::of(hash, b"message");
                let signature = key.sign(&digest).unwrap();
                assert!(public.verify(&digest, &signature));
                assert!(!public.verify(&Digest::of(hash, b"massage"), &signature));
                assert!(!public.verify(&digest, &signature[..signature.len() - 1]));
                assert!(!public.verify(&digest, &[signature.as_slice(), &[0]].concat()));
            }
            let mut off_curve = public.encode();
            *off_curve.last_mut().unwrap() ^= 1;
            assert_eq!(EcPublic::decode(&off_curve), Err(AsymmetricError::PublicKey));
            for at in 0..der.len().min(40) {
                let mut damaged = der.to_vec();
                damaged[at] = damaged[at].wrapping_add(0x55);
                // Damage may hit the scalar, which is then another key; it must not panic.
                let _ = EcPrivate::decode(&damaged);
            }
            assert_eq!(EcPrivate::decode(&der[..20]).map(drop), Err(AsymmetricError::PrivateKey));
            assert!(!format!("{key:?}").contains("scalar"));
        }
    }
}
