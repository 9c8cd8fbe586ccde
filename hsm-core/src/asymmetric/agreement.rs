//! Key agreement: the shared secret of two elliptic-curve keys, and keys derived from it.

use super::ec::{Curve, EcPrivate, EcPublic};
use crate::mac::HashAlgorithm;
use zeroize::Zeroizing;

/// How keys are derived from a shared secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyDerivation {
    /// NIST SP 800-56A (revision 3, 4.1), hash option: counter, secret, information.
    Sp800_56a,
    /// ANSI X9.63 (SEC 1, 3.6.1): secret, counter, information.
    X963,
}

impl KeyDerivation {
    /// `len` bytes of key from a shared secret and information that both parties know.
    #[must_use]
    pub fn derive(self, hash: HashAlgorithm, secret: &[u8], information: &[u8], len: usize) -> Zeroizing<Vec<u8>> {
        // Room for everything, so that no copy of the key is left behind by growing.
        let mut out = Zeroizing::new(Vec::with_capacity(len + hash.output_len()));
        for counter in 1u32.. {
            if out.len() >= len {
                break;
            }
            let counter = counter.to_be_bytes();
            let parts = match self {
                Self::Sp800_56a => [&counter, secret, information],
                Self::X963 => [secret, &counter, information],
            };
            let input = Zeroizing::new(parts.concat());
            out.extend_from_slice(&Zeroizing::new(hash.digest(&input)));
        }
        out.truncate(len);
        out
    }
}

/// The secret that a private key shares with the holder of another public key (ECDH, SP 800-56A 5.7.1.2): the coordinate x of the
/// product, as long as the field. `None` for keys of different curves.
#[must_use]
pub fn shared_secret(private: &EcPrivate, public: &EcPublic) -> Option<Zeroizing<Vec<u8>>> {
    if private.curve != public.curve {
        return None;
    }
    macro_rules! product {
        ($curve:ident) => {{
            use $curve::elliptic_curve::point::AffineCoordinates;
            let scalar = $curve::SecretKey::from_slice(&private.scalar).ok()?;
            let point = $curve::PublicKey::from_sec1_bytes(&public.point).ok()?;
            let product = point.to_projective() * scalar.to_nonzero_scalar().as_ref();
            Zeroizing::new(product.to_affine().x().to_vec())
        }};
    }
    Some(match private.curve {
        Curve::P256 => product!(p256),
        Curve::P384 => product!(p384),
        Curve::P521 => product!(p521),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;

    fn bytes(text: &str) -> Zeroizing<Vec<u8>> {
        hex::decode(text.as_bytes()).unwrap()
    }

    #[test]
    fn keys_are_derived_as_the_standards_say() {
        // X9.63: NIST CAVP, ANSI X9.63-2001, SHA-256, first case without and of those with information.
        let derive = |kdf: KeyDerivation, secret, information, len| {
            hex::encode(&kdf.derive(HashAlgorithm::Sha256, &bytes(secret), &bytes(information), len))
        };
        let secret = "96C05619D56C328AB95FE84B18264B08725B85E33FD34F08";
        assert_eq!(derive(KeyDerivation::X963, secret, "", 16), "443024C3DAE66B95E6F5670601558F71");
        let secret = "22518B10E70F2A3F243810AE3254139EFBEE04AA57C7AF7D";
        let key = derive(KeyDerivation::X963, secret, "75EEF81AA3041E33B80971203D2C0C52", 128);
        assert!(key.starts_with("C498AF77161CC59F2962B9A713E2B215152D1397"), "{key}");
        // SP 800-56A: the vector of pyca/cryptography, made with another implementation.
        let secret = "52169AF5C485DCC2321EB8D26D5EFA21FB9B93C98E38412EE2484CF14F0D0D23";
        let information =
            "A1B2C3D4E53728157E634612C12D6D5223E204AEEA4341565369647BD184BCD246F72971F292BADAA2FE4124612CBA";
        assert_eq!(derive(KeyDerivation::Sp800_56a, secret, information, 16), "1C3BC9E7C4547C5191C0D478CCCAED55");
        assert_eq!(derive(KeyDerivation::Sp800_56a, secret, "", 0), "");
    }

    #[test]
    fn both_parties_get_the_secret_of_the_standard() {
        // NIST CAVP, SP 800-56A ECC CDH primitive, P-256, COUNT = 0.
        let der = |scalar: &str, x: &str, y: &str| {
            let text = format!("30770201010420{scalar}A00A06082A8648CE3D030107A14403420004{x}{y}",);
            EcPrivate::decode(&bytes(&text)).unwrap()
        };
        let iut = der(
            "7D7DC5F71EB29DDAF80D6214632EEAE03D9058AF1FB6D22ED80BADB62BC1A534",
            "EAD218590119E8876B29146FF89CA61770C4EDBBF97D38CE385ED281D8A6B230",
            "28AF61281FD35E2FA7002523ACC85A429CB06EE6648325389F59EDFCE1405141",
        );
        let info = "3059301306072A8648CE3D020106082A8648CE3D03010703420004\
                    700C48F77F56584C5CC632CA65640DB91B6BACCE3A4DF6B42CE7CC838833D287\
                    DB71E509E3FD9B060DDB20BA5C51DCC5948D46FBF640DFE0441782CAB85FA4AC";
        let (peer, _) = EcPublic::decode(&bytes(info)).unwrap();
        let expected = "46FC62106420FF012E54A434FBDD2D25CCC5852060561E68040DD7778997BD7B";
        assert_eq!(hex::encode(&shared_secret(&iut, &peer).unwrap()), expected);
    }

    #[test]
    fn the_parties_agree_on_every_curve() {
        use rand_chacha::rand_core::SeedableRng;
        let random = &mut rand_chacha::ChaCha20Rng::from_seed([9; 32]);
        for curve in Curve::ALL {
            let [a, b] = [(); 2].map(|()| EcPrivate::generate(&mut super::super::CryptoSource(random), curve));
            let secret = shared_secret(&a, &b.public().unwrap()).unwrap();
            assert_eq!(shared_secret(&b, &a.public().unwrap()).unwrap(), secret);
            assert_eq!(secret.len(), curve.field_len());
        }
        let [a, b] =
            [Curve::P256, Curve::P384].map(|curve| EcPrivate::generate(&mut super::super::CryptoSource(random), curve));
        assert_eq!(shared_secret(&a, &b.public().unwrap()), None);
    }
}
