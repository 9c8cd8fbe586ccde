//! Public keys: in clear, and as the LMK protects them (keys.md 5.1, 5.3).

use super::super::Session;
use super::super::keys::OpenKey;
use super::attributes;
use crate::asymmetric::{EcPublic, RsaPublic};
use crate::clear_key::{Algorithm, ClearKey};
use crate::key_block::KeyBlockError;
use crate::key_block::header::{BlockAlgorithm, ModeOfUse};
use crate::lmk::{Lmk, LmkPair, LmkScheme};
use crate::mac::mac_matches;
use crate::rsa_encoding::{self, PublicKeyEncoding};
use hsm_plugin_sdk::abi::{ErrorCode, KeyHandle, KeyPurpose};
use std::sync::Arc;

/// A public key that an operation has taken out of its encoding.
pub(super) enum PublicKey {
    Rsa(Box<RsaPublic>),
    Ec(EcPublic),
}

impl Session {
    /// The public key that `der` begins with.
    pub(super) fn hold_public(&mut self, encoding: Option<[u8; 2]>, der: &[u8]) -> Result<KeyHandle, ErrorCode> {
        let (key, len) = self.read_public(encoding, der)?;
        let der = der.get(..len).ok_or(ErrorCode::INTERNAL)?;
        let key = public_open_key(&key, der, KeyPurpose::NEW_KEY)?;
        self.hold_key(Arc::new(key))
    }

    pub(super) fn public_key(&mut self, key: &OpenKey) -> Result<PublicKey, ErrorCode> {
        Ok(self.read_public(None, key.key().bytes())?.0)
    }

    /// Reads the public key that `field` begins with, and its length.
    pub(super) fn read_public(
        &mut self,
        encoding: Option<[u8; 2]>,
        field: &[u8],
    ) -> Result<(PublicKey, usize), ErrorCode> {
        let ec = || EcPublic::decode(field).map(|(key, len)| (PublicKey::Ec(key), len));
        let rsa = |encoding| {
            let (numbers, len) = rsa_encoding::RsaPublicKey::decode(encoding, field).ok()?;
            RsaPublic::new(&numbers).ok().map(|key| (PublicKey::Rsa(Box::new(key)), len))
        };
        let read = match encoding {
            Some([b'0', b'3']) => ec().ok(),
            Some(id) => match PublicKeyEncoding::parse(&id) {
                Ok(encoding) => rsa(encoding),
                Err(error) => return self.refuse(ErrorCode::new(error.code()), "there is no such encoding"),
            },
            // The unsigned encoding takes two's-complement numbers too.
            None => rsa(PublicKeyEncoding::UnsignedDer).or_else(|| ec().ok()),
        };
        match read {
            Some(read) => Ok(read),
            None => self.refuse(ErrorCode::KEY_TYPE_CODE, "the public key is not one, or not in this encoding"),
        }
    }

    pub(super) fn unwrap_public(
        &mut self,
        lmk: &Lmk,
        mac: Option<[u8; 4]>,
        field: &[u8],
        authentication_data: &[u8],
    ) -> Result<OpenKey, ErrorCode> {
        let Some(mac) = mac else {
            let rule = self.rule(KeyPurpose::RSA_PUBLIC)?;
            return self.unwrap_key_block(KeyPurpose::RSA_PUBLIC, rule, lmk, field);
        };
        let (key, len) = self.read_public(None, field)?;
        if len != field.len() {
            return self.refuse(ErrorCode::KEY_TYPE_CODE, "bytes follow the public key");
        }
        if lmk.scheme() == LmkScheme::KeyBlock {
            return self.refuse_block("the key block", KeyBlockError::LmkScheme);
        }
        if !mac_matches(&public_mac(lmk, field, authentication_data)?, &mac) {
            return self.refuse(ErrorCode::VERIFICATION_FAILED, "the MAC of the public key is wrong");
        }
        public_open_key(&key, field, KeyPurpose::RSA_PUBLIC)
    }
}

fn public_open_key(key: &PublicKey, der: &[u8], purpose: KeyPurpose) -> Result<OpenKey, ErrorCode> {
    let (algorithm, block) = match key {
        PublicKey::Rsa(_) => (Algorithm::Rsa, BlockAlgorithm::Rsa),
        PublicKey::Ec(_) => (Algorithm::Ec, BlockAlgorithm::Ec),
    };
    let clear = ClearKey::new(algorithm, der).map_err(|_| ErrorCode::INTERNAL)?;
    Ok(OpenKey::new(clear, purpose, Some(attributes(*b"02", block, ModeOfUse::Any)?)))
}

pub(super) fn public_mac(lmk: &Lmk, der: &[u8], authentication_data: &[u8]) -> Result<[u8; 4], ErrorCode> {
    let pair = lmk.pair(LmkPair::RSA_PUBLIC_MAC).ok_or(ErrorCode::LMK_SCHEMES)?;
    rsa_encoding::public_key_mac(pair, der, authentication_data).map_err(|error| ErrorCode::new(error.code()))
}
