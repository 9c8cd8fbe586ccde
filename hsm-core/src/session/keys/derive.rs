//! Keys made of other keys: DUKPT initial keys, ZKA session keys, keys formed from components (keys.md 7 `A0`, `A4`).

use super::{KeyUse, OpenKey, Session};
use crate::cipher::{CipherError, xor_in_place};
use crate::clear_key::{Algorithm, ClearKey};
use crate::dukpt::{self, AesKeyType, DukptError, Ksn, TdesBdk};
use crate::hex;
use crate::key_block::header::{BlockAlgorithm, KeyVersion, Usage};
use crate::key_block::optional::OptionalBlocks;
use crate::lmk::LmkScheme;
use crate::scheme::KeyScheme;
use crate::session::pins::BDKS;
use crate::variant::{self, LmkUse};
use hsm_plugin_sdk::abi::{ErrorCode, KeyAttributes, KeyHandle, KeyPurpose};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Digits of a key serial number that name the device: without the last five of the counter.
const DEVICE_DIGITS: usize = 15;

impl Session {
    pub(super) fn dukpt_initial(
        &mut self,
        bdk: KeyHandle,
        ksn: &[u8],
        given: Option<&KeyAttributes<'_>>,
    ) -> Result<KeyHandle, ErrorCode> {
        let bdk = self.key_for_use(bdk, BDKS, KeyUse::Derive)?;
        let derived = if bdk.algorithm() == Algorithm::Aes {
            let id = self.initial_key_id(ksn)?;
            dukpt::aes_initial_key(bdk.key(), &id)
        } else {
            if ksn.len() != DEVICE_DIGITS {
                return self.refuse(ErrorCode::INPUT_DATA, "the key serial number must have 15 digits");
            }
            Ksn::parse(&[ksn, b"00000"].concat()).and_then(|ksn| TdesBdk::new(bdk.key())?.initial_key(&ksn))
        };
        let key = match derived {
            Ok(key) => key,
            Err(error) => return self.refuse_dukpt(error),
        };
        let key = match given {
            Some(given) => {
                if given.usage.is_some_and(|usage| usage != Usage::INITIAL_KEY.id()) {
                    return self.refuse(ErrorCode::KEY_USAGE, "the usage of a DUKPT initial key is B1");
                }
                self.derived_with_attributes(key, given)?
            }
            // Its parity stays: key derivation adds the key to data, so each of its bits counts.
            None => {
                self.variant_lmk_only()?;
                self.require("generate", KeyPurpose::IKEY)?;
                OpenKey::new(key, KeyPurpose::IKEY, None)
            }
        };
        self.hold_key(Arc::new(key))
    }

    pub(super) fn dukpt_update(&mut self, bdk: KeyHandle, initial_key_id: &[u8]) -> Result<KeyHandle, ErrorCode> {
        let bdk = self.key_for_use(bdk, BDKS, KeyUse::Derive)?;
        if bdk.algorithm() != Algorithm::Aes {
            return self.refuse(ErrorCode::WRAPPING_KEY, "a BDK that wraps an initial key must be an AES key");
        }
        let id = self.initial_key_id(initial_key_id)?;
        let initial = dukpt::aes_initial_key(bdk.key(), &id);
        let update = initial.and_then(|initial| dukpt::aes_update_key(&initial, &id, AesKeyType::aes(bdk.key().len())));
        match update {
            Ok(key) => self.hold_key(Arc::new(OpenKey::new(key, KeyPurpose::WRAPPING_KEY, None).into_transient())),
            Err(error) => self.refuse_dukpt(error),
        }
    }

    pub(super) fn zka_session(
        &mut self,
        master: KeyHandle,
        purpose: KeyPurpose,
        random: Option<[u8; 16]>,
        given: Option<&KeyAttributes<'_>>,
    ) -> Result<(KeyHandle, [u8; 16]), ErrorCode> {
        let master = self.des_key_for_use(master, &[KeyPurpose::MK_ZKA], KeyUse::Derive)?;
        let usage = given.and_then(|given| given.usage);
        let control = match (purpose, usage.as_ref()) {
            (KeyPurpose::ZPK, None) | (_, Some(b"P0" | b"72")) => ZKA_PIN,
            (KeyPurpose::ZAK, None) | (_, Some([b'M', _])) => ZKA_MAC,
            (KeyPurpose::ZEK, None) | (_, Some(b"D0" | b"22")) => ZKA_DATA,
            _ => return self.refuse(ErrorCode::KEY_FUNCTION, "ZKA derives PIN, MAC and data keys only"),
        };
        let random = random.unwrap_or_else(|| {
            let mut random = [0u8; 16];
            self.random.fill_bytes(&mut random);
            random
        });
        let key = match zka_session_key(master.key(), control, random) {
            Ok(key) => key,
            Err(error) => return self.refuse(ErrorCode::KEY_LENGTH, format!("the ZKA master key: {error}")),
        };
        let key = match given {
            Some(given) => self.derived_with_attributes(key, given)?,
            None => {
                self.variant_lmk_only()?;
                self.require("generate", purpose)?;
                OpenKey::new(key, purpose, None)
            }
        };
        Ok((self.hold_key(Arc::new(key))?, random))
    }

    pub(super) fn open_component(&mut self, purpose: KeyPurpose, field: &[u8]) -> Result<KeyHandle, ErrorCode> {
        let rule = self.rule(purpose)?;
        let lmk = self.lmk()?.clone();
        let opened = if lmk.scheme() == LmkScheme::KeyBlock {
            let opened = self.open_block(&lmk, field)?;
            let attributes = opened.header.attributes;
            if attributes.key_version.component().is_none() {
                return self.refuse(ErrorCode::KEY_VERSION, "the key block does not hold a component");
            }
            if !rule.allows(core::str::from_utf8(&attributes.usage.id()).unwrap_or_default()) {
                let why = format!("key usage {} is not for a key of type {purpose:?}", attributes.usage);
                return self.refuse(ErrorCode::KEY_USAGE, why);
            }
            OpenKey::new(opened.key, purpose, Some(attributes)).with_optional(opened.optional)
        } else {
            let Some(key_type) = rule.key_type else {
                return self.refuse(ErrorCode::KEY_TYPE, format!("key type {purpose:?} needs a key block"));
            };
            self.only_des_key(purpose)?;
            let (scheme, cryptogram) = self.cryptogram_field(field)?;
            let under = LmkUse { component: self.state.settings.component_variant, ..LmkUse::from(key_type) };
            match variant::decrypt_under_lmk(&lmk, under, scheme, &cryptogram) {
                Ok(decrypted) if decrypted.odd_parity => OpenKey::new(decrypted.key, purpose, None),
                Ok(_) => {
                    let why = format!("the component does not have odd parity as one of key type {key_type}");
                    return self.refuse(ErrorCode::SOURCE_KEY_PARITY, why);
                }
                Err(error) => return self.refuse(ErrorCode::new(error.code()), error.to_string()),
            }
        };
        self.hold_key(Arc::new(opened.into_component()))
    }

    pub(super) fn form(
        &mut self,
        purpose: KeyPurpose,
        components: &[KeyHandle],
        given: Option<&KeyAttributes<'_>>,
    ) -> Result<KeyHandle, ErrorCode> {
        self.known_rule(purpose)?;
        let components: Vec<Arc<OpenKey>> =
            components.iter().map(|handle| self.key(*handle).cloned()).collect::<Result<_, _>>()?;
        let [first, rest @ ..] = components.as_slice() else {
            return self.refuse(ErrorCode::COMPONENT_COUNT, "there are no components");
        };
        if components.iter().any(|component| !component.component || component.purpose != purpose) {
            return self.refuse(ErrorCode::KEY_FUNCTION, "a key that was not opened as a component of this key");
        }
        let in_blocks = first.attributes.is_some();
        let mut sum = Zeroizing::new(first.key().bytes().to_vec());
        for component in rest {
            if component.key().len() != sum.len() || component.algorithm() != first.algorithm() {
                let code = if in_blocks { ErrorCode::COMPONENTS } else { ErrorCode::KEY_LENGTH };
                return self.refuse(code, "the components differ in length or algorithm");
            }
            xor_in_place(&mut sum, component.key().bytes());
        }
        let key = ClearKey::new(first.algorithm(), &sum).map_err(|_| ErrorCode::INTERNAL)?.with_odd_parity();
        self.allow_value(&key)?;
        self.allow_length_of(&key)?;
        let key = if in_blocks {
            let Some(given) = given else {
                return self.refuse(ErrorCode::INPUT_DATA, "key block attributes are missing");
            };
            self.formed_block(&components, key, given)?
        } else {
            self.require("component", purpose)?;
            OpenKey::new(key, purpose, None)
        };
        self.hold_key(Arc::new(key))
    }

    /// A key with the attributes its components have in common.
    fn formed_block(
        &mut self,
        components: &[Arc<OpenKey>],
        key: ClearKey,
        given: &KeyAttributes<'_>,
    ) -> Result<OpenKey, ErrorCode> {
        let Some((mut attributes, status)) = components
            .first()
            .and_then(|first| Some((first.attributes?, first.optional.get(*b"00").map(<[u8]>::to_vec))))
        else {
            return Err(ErrorCode::INTERNAL);
        };
        let mut seen = [false; 10];
        for component in components {
            let Some(own) = component.attributes else { return Err(ErrorCode::INTERNAL) };
            let same = own.usage == attributes.usage
                && own.algorithm == attributes.algorithm
                && own.mode == attributes.mode
                && own.exportability == attributes.exportability;
            let number = usize::from(own.key_version.component().unwrap_or_default());
            let repeated = seen.get_mut(number).is_none_or(|seen| std::mem::replace(seen, true));
            if !same || repeated {
                return self.refuse(ErrorCode::COMPONENTS, "the components' attributes differ, or one occurs twice");
            }
            if component.optional.get(*b"00").map(<[u8]>::to_vec) != status {
                return self.refuse(ErrorCode::KEY_STATUS_BLOCKS, "the components' key status blocks differ");
            }
        }
        let version = given.key_version.unwrap_or(KeyVersion::NONE.id());
        attributes.key_version =
            KeyVersion::new(version).or_else(|error| self.refuse_block("key block attributes", error))?;
        self.check_attributes(&attributes)?;
        self.require_activity("component", &attributes.usage.to_string())?;
        let optional: OptionalBlocks = self.given_optional(given)?;
        Ok(OpenKey::new(key, KeyPurpose::KEY_BLOCK, Some(attributes)).with_optional(optional))
    }

    /// A derived key with the attributes of a request, whose algorithm field must fit.
    fn derived_with_attributes(&mut self, key: ClearKey, given: &KeyAttributes<'_>) -> Result<OpenKey, ErrorCode> {
        self.key_block_lmk_only()?;
        let (algorithm, len) = self.algorithm_field(given.algorithm)?;
        let attributes = self.given_attributes(given, algorithm)?;
        if BlockAlgorithm::of(&key) != algorithm {
            return self.refuse(ErrorCode::ALGORITHM, "the algorithm is not that of the derived key");
        }
        if key.len() != len {
            return self.refuse(ErrorCode::KEY_BLOCK_KEY_LENGTH, "the derived key has another length");
        }
        self.require_activity("generate", &attributes.usage.to_string())?;
        let optional = self.given_optional(given)?;
        Ok(OpenKey::new(key, KeyPurpose::KEY_BLOCK, Some(attributes)).with_optional(optional))
    }

    /// The 8 bytes of an AES DUKPT initial key identifier.
    fn initial_key_id(&mut self, digits: &[u8]) -> Result<[u8; 8], ErrorCode> {
        match hex::decode(digits).as_deref().map(|bytes| <[u8; 8]>::try_from(bytes.as_slice())) {
            Some(Ok(id)) => Ok(id),
            _ => self.refuse(ErrorCode::INPUT_DATA, "the initial key identifier must have 16 hexadecimal digits"),
        }
    }

    pub(super) fn key_block_lmk_only(&mut self) -> Result<(), ErrorCode> {
        match self.lmk()?.scheme() {
            LmkScheme::KeyBlock => Ok(()),
            LmkScheme::Variant => self.refuse(ErrorCode::LMK_SCHEMES, "this needs a key-block LMK"),
        }
    }

    fn variant_lmk_only(&mut self) -> Result<(), ErrorCode> {
        match self.lmk()?.scheme() {
            LmkScheme::Variant => Ok(()),
            LmkScheme::KeyBlock => self.refuse(ErrorCode::INPUT_DATA, "key block attributes are missing"),
        }
    }

    fn refuse_dukpt<T>(&mut self, error: DukptError) -> Result<T, ErrorCode> {
        match error {
            DukptError::Cipher(error) => self.refuse(ErrorCode::KEY_LENGTH, format!("the BDK: {error}")),
            error => self.refuse(ErrorCode::INPUT_DATA, format!("key serial number: {error}")),
        }
    }
}

/// Control vectors of the left and right half of ZKA session keys: PIN keys.
const ZKA_PIN: [u64; 2] = [0x0021_5F00_0341_0000, 0x0021_5F00_0321_0000];
/// MAC keys.
const ZKA_MAC: [u64; 2] = [0x0000_4D00_0341_0000, 0x0000_4D00_0321_0000];
/// Data encryption keys.
const ZKA_DATA: [u64; 2] = [0x0000_7100_0341_0000, 0x0000_7100_0321_0000];

/// A ZKA session key: each half of the random number deciphered with the master key, both of whose halves are XORed with the
/// control vector of that half. Odd parity.
fn zka_session_key(master: &ClearKey, control: [u64; 2], random: [u8; 16]) -> Result<ClearKey, CipherError> {
    if master.len() != 16 {
        return Err(CipherError::KeyLength { algorithm: "ZKA master key", len: master.len() });
    }
    let mut key = Zeroizing::new(random);
    for (half, control) in key.chunks_exact_mut(8).zip(control) {
        let mut varied = Zeroizing::new(master.bytes().to_vec());
        varied.chunks_exact_mut(8).for_each(|part| xor_in_place(part, &control.to_be_bytes()));
        ClearKey::des(&varied)?.cipher()?.ecb_decrypt(half)?;
    }
    Ok(ClearKey::des(key.as_slice())?.with_odd_parity())
}

/// A scheme in which a key may get from another under a variant LMK (keys.md 7 `B0`).
pub(super) fn may_translate(from: KeyScheme, to: KeyScheme, downgrade: bool) -> bool {
    match (from, to) {
        (KeyScheme::Double | KeyScheme::X, KeyScheme::U) | (KeyScheme::Y, KeyScheme::T) => true,
        (KeyScheme::U, KeyScheme::X | KeyScheme::Double) | (KeyScheme::T, KeyScheme::Y) => downgrade,
        _ => false,
    }
}
