//! Elliptic-curve keys: generation, signatures, encodings.

use super::digest::Digest;
use super::{AsymmetricError, CryptoSource};
use crate::rsa_encoding::{BIT_STRING, INTEGER, OCTET_STRING, SEQUENCE, element, put_element, significant};
use zeroize::Zeroizing;

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
    pub(super) curve: Curve,
    pub(super) scalar: Zeroizing<Vec<u8>>,
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
    pub(super) curve: Curve,
    /// Uncompressed (SEC 1).
    pub(super) point: Vec<u8>,
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
    use crate::mac::HashAlgorithm;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    fn rng(seed: u8) -> ChaCha20Rng {
        ChaCha20Rng::from_seed([seed; 32])
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
