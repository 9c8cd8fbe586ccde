//! Key block attributes: from requests, by default, and on keys under a key-block LMK (keys.md 4).

use super::{OpenKey, Session};
use crate::clear_key::{Algorithm, ClearKey};
use crate::key_block::KeyBlockError;
use crate::key_block::header::{
    Attributes, BlockAlgorithm, Exportability, Family, KeyVersion, ModeOfUse, Scope, Usage,
};
use crate::key_block::optional::{OptionalBlock, OptionalBlocks};
use crate::key_block::{rules, thales};
use crate::lmk::{Lmk, LmkId, LmkScheme};
use crate::purpose;
use hsm_plugin_sdk::abi::{ErrorCode, KeyAttributes, KeyPurpose};
use std::sync::Arc;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

impl Session {
    /// Refuses with a key block error's code.
    pub(in crate::session) fn refuse_block<T>(&mut self, what: &str, error: KeyBlockError) -> Result<T, ErrorCode> {
        self.refuse(ErrorCode::new(error.code()), format!("{what}: {error}"))
    }

    /// The algorithm and length in bytes of an algorithm field such as `T2`.
    pub(in crate::session) fn algorithm_field(
        &mut self,
        field: Option<[u8; 2]>,
    ) -> Result<(BlockAlgorithm, usize), ErrorCode> {
        match field.as_ref() {
            Some(b"D1") => Ok((BlockAlgorithm::Des, 8)),
            Some(b"T2") => Ok((BlockAlgorithm::Tdes, 16)),
            Some(b"T3") => Ok((BlockAlgorithm::Tdes, 24)),
            Some(b"A1") => Ok((BlockAlgorithm::Aes, 16)),
            Some(b"A2") => Ok((BlockAlgorithm::Aes, 24)),
            Some(b"A3") => Ok((BlockAlgorithm::Aes, 32)),
            Some(_) => self.refuse(ErrorCode::ALGORITHM, "the algorithm must be D1, T2, T3, A1, A2 or A3"),
            None => self.missing(),
        }
    }

    /// The attributes that a request gives a key of `algorithm`, as far as they go together.
    pub(in crate::session) fn given_attributes(
        &mut self,
        given: &KeyAttributes<'_>,
        algorithm: BlockAlgorithm,
    ) -> Result<Attributes, ErrorCode> {
        let KeyAttributes { usage: Some(usage), mode: Some(mode), key_version: Some(version), .. } = *given else {
            return self.missing();
        };
        let Some(exportability) = given.exportability else { return self.missing() };
        let read = || {
            Ok(Attributes {
                usage: Usage::new(usage)?,
                algorithm,
                mode: ModeOfUse::from_id(Family::Thales, mode)?,
                key_version: KeyVersion::new(version)?,
                exportability: Exportability::from_id(exportability)?,
            })
        };
        let attributes = read().or_else(|error| self.refuse_block("key block attributes", error))?;
        self.check_attributes(&attributes)?;
        Ok(attributes)
    }

    /// Whether the attributes of a whole key go together: A6, A7, A8, A9.
    pub(super) fn check_attributes(&mut self, attributes: &Attributes) -> Result<(), ErrorCode> {
        if let Err(error) = rules::check(attributes) {
            return self.refuse_block("key block attributes", error);
        }
        if attributes.key_version.component().is_some() {
            return self.refuse(ErrorCode::KEY_VERSION, "the key version number is that of a component");
        }
        Ok(())
    }

    /// As [`Session::given_attributes`], for a key that was in no key block: the usage must be one of its key type, and the exportability `N`
    /// or `S` unless the key was just generated.
    pub(super) fn describing_attributes(
        &mut self,
        given: &KeyAttributes<'_>,
        key: &OpenKey,
        usages: &[&str],
    ) -> Result<Attributes, ErrorCode> {
        let algorithm = BlockAlgorithm::of(key.key());
        let attributes = self.given_attributes(given, algorithm)?;
        if attributes.exportability == Exportability::Exportable && !key.generated {
            let why = "a key that was not in a key block cannot be exportable in trusted blocks only";
            return self.refuse(ErrorCode::EXPORTABILITY, why);
        }
        if !usages.is_empty() && !usages.iter().any(|usage| usage.as_bytes() == attributes.usage.id()) {
            let why = format!("key usage {} is not for a key of this type", attributes.usage);
            return self.refuse(ErrorCode::KEY_TYPES, why);
        }
        Ok(attributes)
    }

    /// The optional blocks of a request.
    pub(in crate::session) fn given_optional(
        &mut self,
        given: &KeyAttributes<'_>,
    ) -> Result<OptionalBlocks, ErrorCode> {
        let count = format!("{:02}", given.optional_count);
        match OptionalBlocks::parse_host(count.as_bytes(), given.optional_blocks, 99) {
            Ok((blocks, len)) if len == given.optional_blocks.len() => Ok(blocks),
            Ok(_) => self.refuse(ErrorCode::OPTIONAL_BLOCKS, "there are more optional blocks than their number says"),
            Err(error) => self.refuse_block("optional blocks", error),
        }
    }

    /// Optional blocks of a key block and of a request together.
    pub(super) fn joined_optional<'a>(
        &mut self,
        own: impl Iterator<Item = &'a OptionalBlock>,
        given: &'a OptionalBlocks,
    ) -> Result<OptionalBlocks, ErrorCode> {
        let all = own.filter(|block| block.id() != *b"PB").chain(given.iter()).cloned().collect();
        OptionalBlocks::new(all).or_else(|error| self.refuse_block("optional blocks", error))
    }

    /// The attributes that a key of a purpose has where nobody says: the closest usage, no restriction of mode, sensitive.
    pub(in crate::session) fn usual_attributes(
        &mut self,
        purpose: KeyPurpose,
        key: &ClearKey,
    ) -> Result<Attributes, ErrorCode> {
        let usages = self.rule(purpose)?.usages;
        let algorithm = BlockAlgorithm::of(key);
        let usual = usages.iter().find_map(|usage| {
            let &[a, b] = usage.as_bytes() else { return None };
            let attributes = Attributes {
                usage: Usage::new([a, b]).ok()?,
                algorithm,
                mode: ModeOfUse::Any,
                key_version: KeyVersion::NONE,
                exportability: Exportability::Sensitive,
            };
            rules::check(&attributes).is_ok().then_some(attributes)
        });
        match usual {
            Some(attributes) => Ok(attributes),
            None => self.refuse(ErrorCode::KEY_USAGE, format!("no key usage fits keys of type {purpose:?}")),
        }
    }

    /// The attributes a key has, or would have under the selected LMK; `None` under a variant LMK.
    pub(super) fn effective_attributes(&mut self, key: &OpenKey) -> Result<Option<Attributes>, ErrorCode> {
        match key.attributes {
            Some(attributes) => Ok(Some(attributes)),
            None if self.lmk()?.scheme() == LmkScheme::KeyBlock => {
                self.usual_attributes(key.purpose, key.key()).map(Some)
            }
            None => Ok(None),
        }
    }

    /// A key in a block under a key-block LMK.
    pub(super) fn wrap_in_block(&mut self, lmk: &Lmk, key: &OpenKey, scheme: u8) -> Result<Vec<u8>, ErrorCode> {
        if !matches!(scheme, b'S' | b'0') {
            return self.refuse(ErrorCode::KEY_SCHEME, "under a key-block LMK, the key scheme must be S");
        }
        let attributes = match key.attributes {
            Some(attributes) => attributes,
            None => self.usual_attributes(key.purpose, key.key())?,
        };
        let scope = LmkId::new(self.lmk_id).map(Scope::Lmk).ok_or(ErrorCode::LMK_INVALID)?;
        let random = &mut self.random;
        let wrapped = lmk.protection_keys().and_then(|keys| {
            thales::wrap(keys, scope, attributes, &key.optional, key.key(), &mut |fill| random.fill_bytes(fill))
        });
        match wrapped {
            Ok(block) => Ok(tagged(b'S', &block)),
            Err(error) => self.refuse_block("the key block", error),
        }
    }

    /// Whether an LMK is strong enough for a key: 48 if not.
    pub(in crate::session) fn allow_strength(&mut self, lmk: &Lmk, key: &ClearKey) -> Result<(), ErrorCode> {
        if lmk.may_protect(key, self.state.settings.strong_keys_under_weak_lmk) {
            return Ok(());
        }
        self.refuse(ErrorCode::KEY_TOO_STRONG, "the key is stronger than the LMK")
    }

    /// Whether a key is what it seems: 11 for an all-zero key, 75 for a shorter key that poses as a longer one.
    pub(in crate::session) fn allow_value(&mut self, key: &ClearKey) -> Result<(), ErrorCode> {
        let parity = if key.algorithm() == Algorithm::Des { 0xFE } else { 0xFF };
        if key.bytes().iter().fold(0, |all, byte| all | byte & parity) == 0 {
            return self.refuse(ErrorCode::DESTINATION_KEY_PARITY, "the key is all zero");
        }
        self.allow_posing(key)
    }

    /// Whether a key may be shorter than it seems: 75 where a setting forbids it.
    pub(super) fn allow_posing(&mut self, key: &ClearKey) -> Result<(), ErrorCode> {
        if self.state.settings.refuse_single_posing && has_equal_parts(key) {
            return self.refuse(ErrorCode::SINGLE_LENGTH_POSING, "parts of the key are equal: it is a shorter key");
        }
        Ok(())
    }

    /// A random key: DES keys with odd parity and parts that differ and are not weak.
    pub(in crate::session) fn random_key(&mut self, algorithm: Algorithm, len: usize) -> Result<ClearKey, ErrorCode> {
        loop {
            let mut bytes = Zeroizing::new(vec![0u8; len]);
            self.random.fill_bytes(&mut bytes);
            let key = ClearKey::new(algorithm, &bytes).map_err(|_| ErrorCode::INTERNAL)?.with_odd_parity();
            let weak = algorithm == Algorithm::Des && key.bytes().chunks(8).any(is_weak);
            if !weak && !has_equal_parts(&key) {
                return Ok(key);
            }
        }
    }

    /// `describable` usages of a purpose.
    pub(super) fn describable(&mut self, purpose: KeyPurpose) -> Result<&'static [&'static str], ErrorCode> {
        purpose::describable(purpose, self.state.settings.separate_002)
            .or_else(|code| self.refuse(code, format!("key type {purpose:?} does not exist here")))
    }

    /// The same key with the attributes of a request.
    pub(super) fn describe(&mut self, key: &OpenKey, given: &KeyAttributes<'_>) -> Result<Arc<OpenKey>, ErrorCode> {
        self.may_leave(key)?;
        if key.attributes.is_some() {
            return self.refuse(ErrorCode::KEY_FUNCTION, "the key has key block attributes already");
        }
        let usages = self.describable(key.purpose)?;
        let attributes = self.describing_attributes(given, key, usages)?;
        let optional = self.given_optional(given)?;
        Ok(Arc::new(OpenKey::new(key.key().clone(), key.purpose, Some(attributes)).with_optional(optional)))
    }

    fn missing<T>(&mut self) -> Result<T, ErrorCode> {
        self.refuse(ErrorCode::INPUT_DATA, "key block attributes are missing")
    }
}

/// A key block as a key field.
pub(super) fn tagged(tag: u8, block: &[u8]) -> Vec<u8> {
    let mut field = Vec::with_capacity(1 + block.len());
    field.push(tag);
    field.extend_from_slice(block);
    field
}

/// Whether neighbouring parts of a double- or triple-length DES key are equal, which makes it a shorter key.
fn has_equal_parts(key: &ClearKey) -> bool {
    let parts: Vec<&[u8]> = key.bytes().chunks(8).collect();
    key.algorithm() == Algorithm::Des && parts.windows(2).any(|pair| matches!(pair, [a, b] if bool::from(a.ct_eq(b))))
}

/// Whether a DES key with odd parity is one of the weak and semi-weak keys: its bytes come from four values in a pattern that repeats.
fn is_weak(part: &[u8]) -> bool {
    let &[a, b, c, d, e, f, g, h] = part else { return false };
    // The two halves of a key schedule's registers are constant or alternate: bytes 0, 2 and 4, 6 repeat, and so do the odd ones.
    let alternates = a == c && b == d && e == g && f == h;
    let values = |byte: u8| matches!(byte, 0x01 | 0xFE | 0x1F | 0xE0 | 0x0E | 0xF1);
    alternates && [a, b, e, f].into_iter().all(values)
}
