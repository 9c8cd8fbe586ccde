//! RSA keys: generation, encryption, signatures.

use super::digest::Digest;
use super::padding::{
    EncryptionPadding, SignaturePadding, oaep_decrypted, oaep_encrypted, pkcs1_decrypted, pkcs1_encrypted,
    pkcs1_signed, pss_signed, pss_verify,
};
use super::{AsymmetricError, CryptoSource};
use crate::rsa_encoding::{self, significant};
use rsa::BoxedUint;
use rsa::hazmat::{rsa_decrypt_and_check, rsa_encrypt};
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Shortest RSA modulus in bits (keys.md 7 `EI`).
pub const MIN_RSA_BITS: u16 = 320;
/// Longest RSA modulus in bits (keys.md 7 `EI`).
pub const MAX_RSA_BITS: u16 = 4096;

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
#[cfg(test)]
mod tests {
    use super::*;
    use crate::mac::HashAlgorithm;
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
}
