//! What signatures are over.

use super::AsymmetricError;
use crate::mac::HashAlgorithm;
use crate::rsa_encoding::{OCTET_STRING, SEQUENCE, element, put_element};

/// What is signed: a digest and the hash it comes from, or a `DigestInfo` that the host made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    pub(super) hash: Option<HashAlgorithm>,
    pub(super) bytes: Vec<u8>,
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
    pub(super) fn info(&self) -> Vec<u8> {
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
