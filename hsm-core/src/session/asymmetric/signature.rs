//! Hashes, signatures and certificate requests (card-emv-mac.md 7 and 8).

use super::super::Session;
use super::private::{PrivateKey, private_key};
use super::public::PublicKey;
use crate::asymmetric::{AsymmetricError, CryptoSource, Digest, SignaturePadding, object_identifier};
use crate::key_block::header::ModeOfUse;
use crate::mac::HashAlgorithm;
use crate::rsa_encoding::{self, BIT_STRING, INTEGER, PublicKeyEncoding, SEQUENCE, put_element};
use hsm_plugin_sdk::abi::{ErrorCode, KeyHandle, KeyPurpose, SignatureAlgorithm, SignatureMethod};

/// Public key encoding of a certificate request refused.
const CSR_ENCODING: ErrorCode = ErrorCode::new("E2");
/// Public key of a certificate request refused.
const CSR_PUBLIC_KEY: ErrorCode = ErrorCode::new("E4");
/// Subject of a certificate request refused.
const CSR_SUBJECT: ErrorCode = ErrorCode::new("E8");

impl Session {
    pub(super) fn sign(&mut self, key: KeyHandle, method: SignatureMethod, data: &[u8]) -> Result<Vec<u8>, ErrorCode> {
        let key = self.key_for(key, &[KeyPurpose::RSA_PRIVATE])?;
        self.may(&key, ModeOfUse::Sign, ErrorCode::COMPONENT_COUNT)?;
        let digest = self.digest(method, data)?;
        let random = &mut CryptoSource(&mut *self.random);
        let signature = match (private_key(&key), rsa_signature_padding(method)) {
            (Ok(PrivateKey::Rsa(key)), Some(padding)) => key.sign(random, padding, &digest),
            (Ok(PrivateKey::Ec(key)), None) => key.sign(&digest),
            (Ok(_), _) => return self.refuse_kind(),
            (Err(error), _) => Err(error),
        };
        signature.or_else(|error| {
            let code = match error {
                AsymmetricError::DataLength => ErrorCode::PUBLIC_KEY_LENGTH,
                AsymmetricError::DigestInfo => ErrorCode::DIGEST_INFO,
                _ => ErrorCode::PRIVATE_KEY,
            };
            self.refuse(code, error.to_string())
        })
    }

    pub(super) fn verify(
        &mut self,
        key: KeyHandle,
        method: SignatureMethod,
        data: &[u8],
        signature: &[u8],
    ) -> Result<bool, ErrorCode> {
        let key = self.key_for(key, &[KeyPurpose::RSA_PUBLIC])?;
        self.may(&key, ModeOfUse::Verify, ErrorCode::KEY_FUNCTION)?;
        let digest = self.digest(method, data)?;
        match (self.public_key(&key)?, rsa_signature_padding(method)) {
            (PublicKey::Rsa(key), Some(padding)) => {
                if signature.len() != key.modulus_len() {
                    return self.refuse(ErrorCode::PUBLIC_KEY_LENGTH, "a signature is as long as the modulus");
                }
                Ok(key.verify(padding, &digest, signature))
            }
            (PublicKey::Ec(key), None) => Ok(key.verify(&digest, signature)),
            _ => self.refuse_kind(),
        }
    }

    pub(super) fn request_certificate(
        &mut self,
        key: KeyHandle,
        encoding: [u8; 2],
        public: &[u8],
        method: SignatureMethod,
        subject: &[u8],
    ) -> Result<Vec<u8>, ErrorCode> {
        let private = self.key_for(key, &[KeyPurpose::RSA_PRIVATE])?;
        let key_info = match (self.private_key(&private)?, PublicKeyEncoding::parse(&encoding)) {
            (PrivateKey::Rsa(key), Ok(encoding)) => {
                let numbers = key.public().numbers().map_err(|_| ErrorCode::INTERNAL)?;
                (numbers.encode(encoding) == public).then(|| rsa_encoding::subject_public_key_info(&numbers))
            }
            (PrivateKey::Ec(key), Err(_)) if encoding == *b"03" => {
                let info = key.public().map_err(|_| ErrorCode::INTERNAL)?.encode();
                (info == public).then_some(info)
            }
            _ => return self.refuse(CSR_ENCODING, "this kind of key does not have this encoding"),
        };
        let Some(key_info) = key_info else {
            return self.refuse(CSR_PUBLIC_KEY, "the public key is not that of the private key");
        };
        if rsa_encoding::der_len(subject) != Ok(subject.len()) {
            return self.refuse(CSR_SUBJECT, "the subject is not a DER SEQUENCE");
        }
        let Some(algorithm) = signature_identifier(method) else {
            return self.refuse(ErrorCode::KEY_LENGTH_FLAG, "there is no signature algorithm with this hash");
        };
        let mut info = vec![INTEGER, 1, 0];
        info.extend_from_slice(subject);
        info.extend_from_slice(&key_info);
        // No attributes.
        info.extend_from_slice(&[0xA0, 0]);
        let mut request = Vec::new();
        put_element(&mut request, SEQUENCE, &info);
        let signature = self.sign(key, method, &request)?;
        request.extend_from_slice(&algorithm);
        put_element(&mut request, BIT_STRING, &[&[0], signature.as_slice()].concat());
        let mut out = Vec::new();
        put_element(&mut out, SEQUENCE, &request);
        Ok(out)
    }

    fn digest(&mut self, method: SignatureMethod, data: &[u8]) -> Result<Digest, ErrorCode> {
        match (hash_algorithm(method.hash), &method.hash) {
            (Some(hash), _) => Ok(Digest::of(hash, data)),
            (None, b"04") if method.algorithm == SignatureAlgorithm::RsaPkcs1 => {
                Digest::from_info(data).or_else(|error| self.refuse(ErrorCode::DIGEST_INFO, error.to_string()))
            }
            _ => self.refuse(ErrorCode::KEY_LENGTH_FLAG, "there is no hash with this identifier for such signatures"),
        }
    }
}

/// The hash of an identifier (card-emv-mac.md 7). 03, ISO 10118-2, leaves open which block cipher it means, and is not here.
pub(in crate::session) fn hash_algorithm(id: [u8; 2]) -> Option<HashAlgorithm> {
    Some(match &id {
        b"01" => HashAlgorithm::Sha1,
        b"02" => HashAlgorithm::Md5,
        b"05" => HashAlgorithm::Sha224,
        b"06" => HashAlgorithm::Sha256,
        b"07" => HashAlgorithm::Sha384,
        b"08" => HashAlgorithm::Sha512,
        _ => return None,
    })
}

/// The AlgorithmIdentifier of a signature (RFC 4055, RFC 5758).
fn signature_identifier(method: SignatureMethod) -> Option<Vec<u8>> {
    const RSA: &[u8] = &[6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1];
    const ECDSA: &[u8] = &[6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3];
    let hash = hash_algorithm(method.hash)?;
    let contents = match method.algorithm {
        SignatureAlgorithm::RsaPkcs1 => {
            let arc = match hash {
                HashAlgorithm::Md5 => 4,
                HashAlgorithm::Sha1 => 5,
                HashAlgorithm::Sha256 => 11,
                HashAlgorithm::Sha384 => 12,
                HashAlgorithm::Sha512 => 13,
                HashAlgorithm::Sha224 => 14,
            };
            [RSA, &[arc, 5, 0]].concat()
        }
        SignatureAlgorithm::RsaPss => {
            let mut identifier = Vec::new();
            put_element(&mut identifier, SEQUENCE, &[object_identifier(hash), &[5, 0]].concat());
            let mut mask = Vec::new();
            put_element(&mut mask, SEQUENCE, &[RSA, &[8], &identifier].concat());
            let mut fields = Vec::new();
            put_element(&mut fields, 0xA0, &identifier);
            put_element(&mut fields, 0xA1, &mask);
            put_element(&mut fields, 0xA2, &[INTEGER, 1, hash.output_len() as u8]);
            let mut parameters = Vec::new();
            put_element(&mut parameters, SEQUENCE, &fields);
            [RSA, &[10], &parameters].concat()
        }
        SignatureAlgorithm::Ecdsa => match hash {
            HashAlgorithm::Md5 => return None,
            HashAlgorithm::Sha1 => vec![6, 7, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 1],
            HashAlgorithm::Sha224 => [ECDSA, &[1]].concat(),
            HashAlgorithm::Sha256 => [ECDSA, &[2]].concat(),
            HashAlgorithm::Sha384 => [ECDSA, &[3]].concat(),
            HashAlgorithm::Sha512 => [ECDSA, &[4]].concat(),
        },
    };
    let mut out = Vec::new();
    put_element(&mut out, SEQUENCE, &contents);
    Some(out)
}

/// The padding of an RSA signature; `None` for ECDSA.
fn rsa_signature_padding(method: SignatureMethod) -> Option<SignaturePadding> {
    match method.algorithm {
        SignatureAlgorithm::RsaPkcs1 => Some(SignaturePadding::Pkcs1),
        SignatureAlgorithm::RsaPss => Some(SignaturePadding::Pss),
        SignatureAlgorithm::Ecdsa => None,
    }
}
