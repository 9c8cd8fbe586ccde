//! RSA and elliptic-curve keys in clear: generation, padding, signatures, key agreement (keys.md 5, card-emv-mac.md 8).
//!
//! Paddings are written out here because the hash is a field of the request, the moduli are as short as 320 bits and a wrong padding
//! must be an error; the arithmetic, with blinding and fault check, is that of the RustCrypto crates.

mod agreement;
mod digest;
mod ec;
mod padding;
mod rsa;

pub use self::rsa::{MAX_RSA_BITS, MIN_RSA_BITS, RsaPrivate, RsaPublic};
pub use agreement::{KeyDerivation, shared_secret};
pub use digest::Digest;
pub(crate) use digest::object_identifier;
pub use ec::{Curve, EcPrivate, EcPublic};
pub use padding::{EncryptionPadding, SignaturePadding};

use rand_core::{Rng, TryCryptoRng, TryRng};

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
