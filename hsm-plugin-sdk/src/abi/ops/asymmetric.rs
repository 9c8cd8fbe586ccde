//! Operations on RSA and elliptic-curve keys.

use super::host_operations;
use crate::abi::wire::{Reader, Wire, structs};
use crate::abi::{KeyAttributes, KeyHandle, KeyPurpose};

/// How data is padded before it is encrypted under an RSA public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RsaPadding<'a> {
    /// PKCS#1 v1.5.
    Pkcs1,
    /// OAEP with MGF1.
    Oaep {
        /// Identifier of the hash for mask and parameters, as in GM.
        hash: [u8; 2],
        /// The OAEP parameters.
        parameters: &'a [u8],
    },
}

impl<'a> Wire<'a> for RsaPadding<'a> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Pkcs1 => None,
            Self::Oaep { hash, parameters } => Some((*hash, *parameters)),
        }
        .put(out);
    }
    fn get(from: &mut Reader<'a>) -> Option<Self> {
        Some(match Option::<([u8; 2], &[u8])>::get(from)? {
            None => Self::Pkcs1,
            Some((hash, parameters)) => Self::Oaep { hash, parameters },
        })
    }
}

/// How data is hashed and signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignatureMethod {
    /// Identifier of the hash, as in GM; `04` for data that is a `DigestInfo` already.
    pub hash: [u8; 2],
    /// The algorithm and padding.
    pub algorithm: SignatureAlgorithm,
}

/// Algorithm and padding of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SignatureAlgorithm {
    /// RSA, PKCS#1 v1.5.
    RsaPkcs1 = 0,
    /// RSA, PSS with MGF1 of the same hash.
    RsaPss = 1,
    /// ECDSA.
    Ecdsa = 2,
}

impl Wire<'_> for SignatureMethod {
    fn put(&self, out: &mut Vec<u8>) {
        self.hash.put(out);
        (self.algorithm as u8).put(out);
    }
    fn get(from: &mut Reader<'_>) -> Option<Self> {
        let hash = Wire::get(from)?;
        let algorithm = match u8::get(from)? {
            0 => SignatureAlgorithm::RsaPkcs1,
            1 => SignatureAlgorithm::RsaPss,
            2 => SignatureAlgorithm::Ecdsa,
            _ => return None,
        };
        Some(Self { hash, algorithm })
    }
}

/// What a key that arrives under an RSA public key is, and how its data block is built (keys.md 7 `GI`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportedKey {
    /// What the key is for.
    pub purpose: KeyPurpose,
    /// Usage and mode of its key block, under a key-block LMK.
    pub attributes: Option<([u8; 2], u8)>,
    /// Whether it is an AES key; else DES, or HMAC if the usage says so.
    pub aes: bool,
    /// Whether the data block is DER with an initial vector; else the bare key.
    pub der: bool,
}

/// Where the parts of a certificate are, in bytes from its start (keys.md 7 `ES`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateParts {
    /// What the signature is over: offset and length.
    pub signed: (u16, u16),
    /// The signature: offset and length.
    pub signature: (u16, u16),
    /// Offset of the public key.
    pub key: u16,
}

/// Who sends a key to whom in a TR-34 key token, and what the receiver asked for (keys.md 7 `B8`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tr34Exchange<'a> {
    /// The sender's certificate: DER of an `IssuerAndSerialNumber`.
    pub kdh_credential: &'a [u8],
    /// The receiver's, likewise.
    pub krd_credential: &'a [u8],
    /// The receiver's RSA public key, encoding 02.
    pub krd_public_key: &'a [u8],
    /// The receiver's random number, 8 to 16 bytes.
    pub nonce: &'a [u8],
}

/// What the host makes a TR-34 key token of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tr34Token {
    /// The signed attributes, as a SET.
    pub attributes: Vec<u8>,
    /// The `EnvelopedData`.
    pub envelope: Vec<u8>,
    /// The sender's signature over the attributes: RSA, PKCS#1 v1.5, SHA-256.
    pub signature: Vec<u8>,
}

/// What a key is agreed on with, beside the own private key (keys.md 7, related 10K command `IG`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement<'a> {
    /// The other party's public key, encoding 03.
    pub public: &'a [u8],
    /// 1 the hash option of NIST SP 800-56A, 2 ANSI X9.63.
    pub derivation: u8,
    /// Identifier of the hash, as in GM.
    pub hash: [u8; 2],
    /// Information that both parties know.
    pub information: &'a [u8],
    /// Length of the key in bits.
    pub bits: u16,
}

structs! {
    ImportedKey { purpose, attributes, aes, der }
    CertificateParts { signed, signature, key }
    Tr34Exchange<'a> { kdh_credential, krd_credential, krd_public_key, nonce }
    Tr34Token { attributes, envelope, signature }
    Agreement<'a> { public, derivation, hash, information, bits }
}

host_operations! {
    /// Operations on RSA and elliptic-curve keys.
    ///
    /// Private keys are fields as the selected LMK protects them: under a variant LMK the bytes that the 4-digit length announces, under
    /// a key-block LMK the block with its tag `S`. Public keys are MAC and DER under a variant LMK, else a block with its tag. An
    /// encoding is that of keys.md 5.1.
    pub trait AsymmetricOps {
        /// The hash of data: 05 for an identifier other than 01 SHA-1, 02 MD5, 05 SHA-224, 06 SHA-256, 07 SHA-384, 08 SHA-512.
        fn hash(id: [u8; 2], data: &[u8]) -> Vec<u8>;

        /// Generates an RSA key pair. `key_type` is a digit, 0 to 4; the exponent is big-endian.
        ///
        /// 04 modulus length, 05 key type, 06 exponent length, 08 even exponent, 17, 43, 48 if the LMK is too weak for the length.
        @slow fn rsa_generate(key_type: u8, modulus_bits: u16, exponent: &[u8]) -> KeyHandle;

        /// Generates an elliptic-curve key pair for signatures (mode `S`), key agreement (`X`) or both (`N`): 0 P-256, 1 P-384, 2 P-521.
        ///
        /// A1 under a variant LMK, A8 mode, D2 curve, 17.
        @slow fn ec_generate(curve: u8, mode: u8) -> KeyHandle;

        /// The public key of a private key in an encoding; D3 if the kind of key does not have it.
        fn public_key_of(key: KeyHandle, encoding: [u8; 2]) -> Vec<u8>;

        /// The RSA private key under a variant LMK, without its length.
        fn private_key_wrap(key: KeyHandle) -> Vec<u8>;

        /// A key that was made or imported in this request as a key block with its tag.
        ///
        /// Usage and mode must be the key's where they are given, but the mode of a public key may be chosen. Without exportability it
        /// is S. A1 under a variant LMK, A6 to A9, AA, B3 to BE for optional blocks.
        fn key_block_wrap(key: KeyHandle, attributes: KeyAttributes<'_>) -> Vec<u8>;

        /// Opens a private key: 78 for its length, 49 if it is not one; A1 to BE for key blocks.
        fn private_key_open(field: &[u8]) -> KeyHandle;

        /// Translates a private key between the old and the new LMK (EM): whether it is a key block now, and the field.
        ///
        /// 33 if nothing is in key change storage, 15 if a key goes from a variant LMK to a key-block LMK without attributes or
        /// they are superfluous, A1 from a key-block LMK to a variant LMK, and as `private_key_open` and `key_block_wrap`.
        fn private_key_translate(field: &[u8], attributes: Option<KeyAttributes<'_>>) -> (bool, Vec<u8>);

        /// Stores a private key, as it is under the LMK, at an index 0 to 20 (EK). As `private_key_open`, and 03 for the index.
        fn private_key_load(index: u8, field: &[u8]) -> ();

        /// Opens the private key that EK stored at an index: 49 if there is none.
        fn private_key_loaded(index: u8) -> KeyHandle;

        /// Length of the public key that a field begins with, in an encoding or in any: 03 unknown encoding, 04 not such a key.
        fn public_key_length(encoding: Option<[u8; 2]>, field: &[u8]) -> u16;

        /// Takes a public key in clear: 17, and as `public_key_length`.
        fn public_key_import(encoding: [u8; 2], der: &[u8]) -> KeyHandle;

        /// Opens a public key that the LMK protects; a key block has no MAC of its own. 01 if the MAC is wrong, 04 if it is not a key; A1
        /// to BE for key blocks.
        fn public_key_open(mac: Option<[u8; 4]>, field: &[u8], authentication_data: &[u8]) -> KeyHandle;

        /// Translates a public key between the old and the new LMK (EU): the new MAC or key block. Errors as `private_key_translate`
        /// and `public_key_open`.
        fn public_key_translate(
            mac: Option<[u8; 4]>,
            field: &[u8],
            authentication_data: &[u8],
            attributes: Option<KeyAttributes<'_>>,
        ) -> Vec<u8>;

        /// Takes the public key of a certificate that a certification authority's key signed.
        ///
        /// 02 if the signature is wrong, 80 for parts outside of the certificate, 03, 04, 76, 79 as for signatures and keys.
        fn public_key_certified(
            authority: KeyHandle,
            method: SignatureMethod,
            certificate: &[u8],
            parts: CertificateParts,
            encoding: [u8; 2],
        ) -> KeyHandle;

        /// The public key as DER.
        fn public_key_encoding(key: KeyHandle) -> Vec<u8>;

        /// The MAC that protects a public key and authentication data under a variant LMK.
        fn public_key_mac(key: KeyHandle, authentication_data: &[u8]) -> [u8; 4];

        /// Signs data: 03 if the key may not sign or is of another kind, 74 bad `DigestInfo`, 76 if the modulus is too short.
        @slow fn signature_generate(key: KeyHandle, method: SignatureMethod, data: &[u8]) -> Vec<u8>;

        /// Whether a signature over data is right: 76 if its length or the key's kind does not suit the key, 74.
        fn signature_verify(key: KeyHandle, method: SignatureMethod, data: &[u8], signature: &[u8]) -> bool;

        /// A PKCS#10 certificate request (DER) for a private key's public key, which must be the one given, in its encoding.
        ///
        /// E2 unknown encoding, E4 another public key, E8 if the subject is not a DER SEQUENCE, and as `signature_generate`.
        @slow fn certificate_request(
            key: KeyHandle,
            encoding: [u8; 2],
            public: &[u8],
            method: SignatureMethod,
            subject: &[u8],
        ) -> Vec<u8>;

        /// Encrypts a key under a public key: the encrypted data block and, if it is DER, the initial vector in it.
        ///
        /// 76 if the modulus is too short, 86 hash, AA if the key may not be exported.
        fn key_encrypt(key: KeyHandle, public: KeyHandle, padding: RsaPadding<'_>, der: bool) -> (Vec<u8>, Vec<u8>);

        /// Decrypts a key with a private key; the initial vector too if the data block is DER.
        ///
        /// 17, 27 key length, 29 if the private key may not decrypt, 76 data length, 77 for anything wrong with the block, 86 hash.
        @slow fn key_decrypt(
            private: KeyHandle,
            padding: RsaPadding<'_>,
            data: &[u8],
            key: ImportedKey,
        ) -> (KeyHandle, Vec<u8>);

        /// Exports a key to a receiver in the parts of a TR-34 key token, signed with the sender's private key.
        ///
        /// 15 for a credential or nonce that is none, 17, 27 for a single-length key, 29, A6
        /// unless the key wraps keys (a ZMK or TMK, usage K0, K1, 51 or 52), A7 unless it is a TDES key, AA; attributes as
        /// `key_export_block`, public key as `public_key_length` and `key_encrypt`, private key as `signature_generate`.
        @slow fn tr34_export(
            key: KeyHandle,
            private: KeyHandle,
            exchange: Tr34Exchange<'_>,
            attributes: KeyAttributes<'_>,
            version: u8,
        ) -> Tr34Token;

        /// Derives a key that the holder of another elliptic-curve key derives too.
        ///
        /// A1 under a variant LMK, attributes as `key_generate_block`, 17, A5 if the length is not the algorithm's, A6 to A8 if the private
        /// key is not for key agreement, 04 public key, D2 if the curves differ, 06 derivation function, 05 hash, 48.
        fn key_agree(private: KeyHandle, agreement: Agreement<'_>, attributes: KeyAttributes<'_>) -> KeyHandle;
    }
}
