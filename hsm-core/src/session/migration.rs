//! Operations of the legacy key-management commands: keys under an old LMK, and key components.

use super::Session;
use super::keys::OpenKey;
use crate::cipher::xor_in_place;
use crate::clear_key::{Algorithm, ClearKey};
use crate::kcv;
use crate::key_block::header::{
    Attributes, BlockAlgorithm, Exportability, Family, KeyVersion, ModeOfUse, Scope, Usage,
};
use crate::key_block::optional::OptionalBlocks;
use crate::key_block::{KeyBlockError, rules, thales};
use crate::key_type::KeyType;
use crate::lmk::{Lmk, LmkAlgorithm, LmkId, LmkScheme};
use crate::module::ChangeRole;
use crate::purpose::PurposeRule;
use crate::variant::{self, LmkUse};
use hsm_plugin_sdk::abi::{ErrorCode, KeyHandle, KeyPurpose, MigrationOps};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The legacy commands and the activity that the page of each asks for (keys.md 6 and 7). Operations on keys ask for no other.
const PAGES: &[([u8; 2], Option<&str>)] = &[
    (*b"AE", None),
    (*b"AG", None),
    (*b"AS", None),
    (*b"AU", None),
    (*b"AW", None),
    (*b"BI", None),
    (*b"BY", Some("import.000.host")),
    (*b"DW", None),
    (*b"DY", None),
    (*b"FA", None),
    (*b"FC", Some("import.002.host")),
    (*b"FE", Some("export.002.host")),
    (*b"FG", Some("generate.002.host")),
    (*b"FI", None),
    (*b"FK", None),
    (*b"FM", None),
    (*b"GC", Some("export.001.host")),
    (*b"GG", Some("component.000.host")),
    (*b"GY", Some("component.000.host")),
    (*b"HA", None),
    (*b"HC", None),
    (*b"IA", None),
    (*b"MG", None),
    (*b"MI", None),
];

/// Commands that cannot tell TMK, TPK and PVK apart: disabled where key type 002 is separated (keys.md 2).
const AMBIGUOUS: &[[u8; 2]] = &[*b"AA", *b"AE", *b"FC", *b"FE", *b"HC", *b"KA"];

/// What a key of type 002 may become where the type is separated: TPK, TMK, TKR.
const MIGRATION_TYPES: &[KeyPurpose] =
    &[KeyPurpose::from_code(*b"70D"), KeyPurpose::from_code(*b"80D"), KeyPurpose::from_code(*b"90D")];

/// Most optional blocks that a request may ask for.
const MAX_OPTIONAL_BLOCKS: usize = 8;

/// What the header of a key block says besides what follows from key and LMK.
type Header = (Attributes, OptionalBlocks);

impl MigrationOps for Session {
    fn command_permitted(&mut self) -> Result<(), ErrorCode> {
        let settings = &self.state.settings;
        if settings.separate_002 && AMBIGUOUS.contains(&self.command) {
            return self.refuse(
                ErrorCode::COMMAND_DISABLED,
                "key type 002 is separated: the command cannot tell its keys apart",
            );
        }
        if self.command == *b"BY" && !settings.zmk_translation {
            return self.refuse(ErrorCode::NOT_AUTHORISED, "the ZMK translate command is disabled");
        }
        self.page_permission().unwrap_or(Ok(()))
    }

    fn legacy_wrap(&mut self, key: KeyHandle, scheme: u8, attributes: &[u8]) -> Result<Vec<u8>, ErrorCode> {
        let (key, lmk) = (self.key(key)?.clone(), self.lmk()?.clone());
        let header = match (lmk.scheme(), attributes) {
            (LmkScheme::Variant, []) => None,
            (LmkScheme::Variant, _) => return self.superfluous_attributes(),
            (LmkScheme::KeyBlock, []) => match key.attributes {
                Some(attributes) => Some((attributes, OptionalBlocks::NONE)),
                None => Some((self.usual_attributes(key.purpose, key.key())?, OptionalBlocks::NONE)),
            },
            (LmkScheme::KeyBlock, _) => Some(self.requested_header(&key, attributes)?),
        };
        self.wrap_under(&lmk, &key, scheme, header)
    }

    fn key_part_check_values(&mut self, key: KeyHandle) -> Result<Vec<u8>, ErrorCode> {
        let shown = if self.state.settings.restrict_kcv { 3 } else { 8 };
        let mut values = kcv::des_part_check_values(self.key(key)?.key()).map_err(|_| ErrorCode::ALGORITHM)?;
        values.iter_mut().for_each(|value| value.iter_mut().skip(shown).for_each(|byte| *byte = 0));
        Ok(values.concat())
    }

    fn component_open(&mut self, purpose: KeyPurpose, field: &[u8]) -> Result<KeyHandle, ErrorCode> {
        let rule = self.rule(purpose)?;
        let lmk = self.lmk()?.clone();
        let component = match lmk.scheme() {
            LmkScheme::Variant => self.variant_component(&lmk, rule, field)?,
            LmkScheme::KeyBlock => self.block_component(&lmk, purpose, rule, field)?,
        };
        // Without its attributes: a component must not serve as the key that its block's usage names.
        self.hold_key(Arc::new(OpenKey::new(component, KeyPurpose::COMPONENT, None)))
    }

    fn component_add(&mut self, sum: KeyHandle, component: KeyHandle) -> Result<KeyHandle, ErrorCode> {
        let sum = self.key_for(sum, &[KeyPurpose::COMPONENT])?;
        let component = self.key_for(component, &[KeyPurpose::COMPONENT])?;
        if (sum.algorithm(), sum.key().len()) != (component.algorithm(), component.key().len()) {
            return self.refuse(ErrorCode::INPUT_DATA, "the components differ in length");
        }
        let mut bytes = Zeroizing::new(sum.key().bytes().to_vec());
        xor_in_place(&mut bytes, component.key().bytes());
        let sum = ClearKey::new(sum.algorithm(), &bytes).map_err(|_| ErrorCode::INTERNAL)?;
        self.hold_key(Arc::new(OpenKey::new(sum, KeyPurpose::COMPONENT, None)))
    }

    fn component_form(&mut self, purpose: KeyPurpose, sum: KeyHandle) -> Result<KeyHandle, ErrorCode> {
        self.rule(purpose)?;
        self.require("component", purpose)?;
        let sum = self.key_for(sum, &[KeyPurpose::COMPONENT])?;
        self.hold_key(Arc::new(OpenKey::new(sum.key().clone().with_odd_parity(), purpose, None)))
    }

    fn old_lmk_translate(
        &mut self,
        purpose: KeyPurpose,
        destination: KeyPurpose,
        field: &[u8],
        scheme: u8,
        attributes: &[u8],
    ) -> Result<(Vec<u8>, KeyHandle), ErrorCode> {
        let live = self.lmk()?.clone();
        let Some(entry) = self.state.lmks.change_storage.get(&self.lmk_id) else {
            let why = format!("key change storage of slot {:02} is empty", self.lmk_id);
            return self.refuse(ErrorCode::KEY_CHANGE_STORAGE, why);
        };
        let (old, new) = match entry.role {
            ChangeRole::Old => (entry.lmk.clone(), live),
            ChangeRole::New => (live, entry.lmk.clone()),
        };
        let rule = self.rule(purpose)?;
        if purpose != destination {
            self.migration(purpose, destination)?;
        }
        if (old.scheme(), new.scheme()) == (LmkScheme::KeyBlock, LmkScheme::Variant) {
            return self.refuse(ErrorCode::LMK_SCHEMES, "a key cannot go from a key-block LMK to a variant LMK");
        }
        let (key, old_header) = match old.scheme() {
            LmkScheme::Variant => (self.variant_key(&old, purpose, rule, field)?, None),
            LmkScheme::KeyBlock => {
                let opened = self.open_block_for(&old, purpose, rule, field)?;
                (opened.key, Some((opened.header.attributes, opened.optional)))
            }
        };
        let attributes_of_key = old_header.as_ref().map(|(attributes, _)| *attributes);
        let key = OpenKey::new(key, destination, attributes_of_key);
        let header = match (old.scheme(), new.scheme(), attributes) {
            (LmkScheme::Variant, LmkScheme::KeyBlock, []) => {
                return self.refuse(ErrorCode::INPUT_DATA, "a key from a variant LMK needs key block attributes (#)");
            }
            (LmkScheme::Variant, LmkScheme::KeyBlock, _) => Some(self.requested_header(&key, attributes)?),
            (.., []) => old_header,
            _ => return self.superfluous_attributes(),
        };
        let field = self.wrap_under(&new, &key, scheme, header)?;
        Ok((field, self.hold_key(Arc::new(key))?))
    }

    fn change_storage_erase(&mut self) -> Result<(), ErrorCode> {
        self.lmk()?;
        self.module.erase_change_storage(self.lmk_id);
        Ok(())
    }
}

impl Session {
    /// Whether the activity that the running command's page asks for is authorised; `None` for commands outside [`PAGES`], whose
    /// activities follow from the key types they handle.
    pub(super) fn page_permission(&mut self) -> Option<Result<(), ErrorCode>> {
        let (_, activity) = PAGES.iter().find(|(code, _)| *code == self.command)?;
        Some(match activity {
            Some(activity) if !self.authorised(activity) => {
                self.refuse(ErrorCode::NOT_AUTHORISED, format!("the activity {activity} is not authorised"))
            }
            _ => Ok(()),
        })
    }

    fn migration(&mut self, purpose: KeyPurpose, destination: KeyPurpose) -> Result<(), ErrorCode> {
        if !self.state.settings.separate_002 {
            return self.refuse(ErrorCode::MIGRATION, "keys of type 002 migrate only where the type is separated");
        }
        if purpose != KeyPurpose::PVK || !MIGRATION_TYPES.contains(&destination) {
            let why = format!("a key of type {purpose:?} cannot become one of type {destination:?}");
            return self.refuse(ErrorCode::MIGRATION_TYPE, why);
        }
        Ok(())
    }

    fn superfluous_attributes<T>(&mut self) -> Result<T, ErrorCode> {
        self.refuse(
            ErrorCode::INPUT_DATA,
            "key block attributes are only for a key that comes from a variant or X9.17 scheme into a key block",
        )
    }

    fn key_block_refusal<T>(&mut self, error: KeyBlockError) -> Result<T, ErrorCode> {
        self.refuse(ErrorCode::new(error.code()), error.to_string())
    }

    /// A whole key under a variant LMK, with odd parity.
    fn variant_key(
        &mut self,
        lmk: &Lmk,
        purpose: KeyPurpose,
        rule: PurposeRule,
        field: &[u8],
    ) -> Result<ClearKey, ErrorCode> {
        let Some(key_type) = rule.key_type else {
            let why = format!("key type {purpose:?} needs a key block");
            return self.refuse(ErrorCode::KEY_TYPE_CODE, why);
        };
        self.variant_field(lmk, LmkUse::from(key_type), field)
    }

    fn variant_component(&mut self, lmk: &Lmk, rule: PurposeRule, field: &[u8]) -> Result<ClearKey, ErrorCode> {
        let key_type = rule.key_type.ok_or(ErrorCode::KEY_TYPE)?;
        let under = match self.state.settings.component_variant {
            true => LmkUse::component_of(key_type),
            false => LmkUse::from(key_type),
        };
        self.variant_field(lmk, under, field)
    }

    fn variant_field(&mut self, lmk: &Lmk, under: LmkUse, field: &[u8]) -> Result<ClearKey, ErrorCode> {
        let (scheme, cryptogram) = self.cryptogram_field(field)?;
        match variant::decrypt_under_lmk(lmk, under, scheme, &cryptogram) {
            Ok(decrypted) if decrypted.odd_parity => Ok(decrypted.key),
            Ok(_) => self.refuse(
                ErrorCode::SOURCE_KEY_PARITY,
                "the key does not have odd parity: wrong key type, scheme or LMK?",
            ),
            Err(error) => self.refuse(ErrorCode::new(error.code()), error.to_string()),
        }
    }

    fn block_component(
        &mut self,
        lmk: &Lmk,
        purpose: KeyPurpose,
        rule: PurposeRule,
        field: &[u8],
    ) -> Result<ClearKey, ErrorCode> {
        let opened = self.open_block_for(lmk, purpose, rule, field)?;
        if opened.header.attributes.key_version.component().is_none() {
            return self
                .refuse(ErrorCode::COMPONENTS, "the key block holds no component: its version number is not c1 to c9");
        }
        if !opened.key.has_odd_parity() {
            return self.refuse(ErrorCode::SOURCE_KEY_PARITY, "the component does not have odd parity");
        }
        Ok(opened.key)
    }

    /// Opens a key block under an LMK of the selected slot, if its usage is one of the purpose.
    fn open_block_for(
        &mut self,
        lmk: &Lmk,
        purpose: KeyPurpose,
        rule: PurposeRule,
        field: &[u8],
    ) -> Result<crate::key_block::OpenedBlock, ErrorCode> {
        let opened = self.open_block(lmk, field)?;
        let usage = opened.header.attributes.usage;
        if !rule.allows(core::str::from_utf8(&usage.id()).unwrap_or_default()) {
            let why = format!("key usage {usage} is not for a key of type {purpose:?}");
            return self.refuse(ErrorCode::KEY_USAGE, why);
        }
        Ok(opened)
    }

    /// A key under an LMK: a key block with `header`, or without one a cryptogram of a scheme.
    fn wrap_under(
        &mut self,
        lmk: &Lmk,
        key: &OpenKey,
        scheme: u8,
        header: Option<Header>,
    ) -> Result<Vec<u8>, ErrorCode> {
        let Some((attributes, optional)) = header else {
            if key.attributes.is_some() {
                return self.refuse(ErrorCode::LMK_SCHEMES, "a key from a key block cannot be put under a variant LMK");
            }
            let scheme = self.fitting_scheme(key, scheme)?;
            let key_type = self.rule(key.purpose)?.key_type.ok_or(ErrorCode::KEY_TYPE)?;
            return match variant::encrypt_under_lmk(lmk, LmkUse::from(key_type), scheme, key.key()) {
                Ok(cryptogram) => Ok(scheme.write(&cryptogram).into_bytes()),
                Err(error) => self.refuse(ErrorCode::new(error.code()), error.to_string()),
            };
        };
        if !matches!(scheme, b'S' | b'0') {
            let why = format!("key scheme {:?} is not that of a key-block LMK", char::from(scheme));
            return self.refuse(ErrorCode::KEY_SCHEME, why);
        }
        if key.algorithm() == Algorithm::Aes && lmk.algorithm() != LmkAlgorithm::Aes256 {
            return self.refuse(ErrorCode::KEY_TOO_STRONG, "an AES key needs an AES LMK");
        }
        let scope = Scope::Lmk(LmkId::new(self.lmk_id).ok_or(ErrorCode::LMK_INVALID)?);
        let random = &mut self.random;
        let fill = &mut |to: &mut [u8]| random.fill_bytes(to);
        let block =
            lmk.protection_keys().and_then(|keys| thales::wrap(keys, scope, attributes, &optional, key.key(), fill));
        match block {
            Ok(mut block) => {
                block.insert(0, b'S');
                Ok(block)
            }
            Err(error) => self.key_block_refusal(error),
        }
    }

    /// The attributes that a request asks for, if they suit the key and its purpose.
    fn requested_header(&mut self, key: &OpenKey, group: &[u8]) -> Result<Header, ErrorCode> {
        let (attributes, optional) = match parse_attributes(group, key.key()) {
            Ok(header) => header,
            Err(error) => return self.key_block_refusal(error),
        };
        if let Err(error) = rules::check(&attributes) {
            return self.key_block_refusal(error);
        }
        if !self.usages(key.purpose)?.any(|usage| usage.is_none_or(|usage| usage == attributes.usage)) {
            let why = format!("a key of type {:?} cannot have the usage {}", key.purpose, attributes.usage);
            return self.refuse(ErrorCode::KEY_USAGE, why);
        }
        Ok((attributes, optional))
    }

    /// The usages that a key of a purpose may be given, the closest first; a single `None` where any will do.
    fn usages(&mut self, purpose: KeyPurpose) -> Result<impl Iterator<Item = Option<Usage>> + use<>, ErrorCode> {
        let rule = self.rule(purpose)?;
        let mut usages = rule.usages.to_vec();
        // Type 002 is also that of TMK and TPK until it is separated.
        if purpose == KeyPurpose::PVK && !self.state.settings.separate_002 {
            usages.extend_from_slice(KeyType::PVK.info().map_or(&[][..], |info| info.usages));
        }
        // What a variant LMK does not tell apart: the generic forms, and the MAC algorithms.
        let generic = |of: &[&str], usage| if usages.iter().any(|u| of.contains(u)) { usage } else { "" };
        let more = [generic(&["71", "72"], "P0"), generic(&["51", "52"], "K0"), generic(&["21", "22", "23"], "D0")];
        let macs: &[&str] = if usages.contains(&"M3") { &["M1", "M2", "M4", "M5", "M6"] } else { &[] };
        let mut usages: Vec<Option<Usage>> = usages
            .iter()
            .chain(&more)
            .chain(macs)
            .filter_map(|usage| Usage::new(*usage.as_bytes().first_chunk()?).ok())
            .map(Some)
            .collect();
        if usages.is_empty() {
            usages.push(None);
        }
        Ok(usages.into_iter())
    }
}

fn block_algorithm(key: &ClearKey) -> BlockAlgorithm {
    match (key.algorithm(), key.len()) {
        (Algorithm::Des, 8) => BlockAlgorithm::Des,
        (Algorithm::Des, _) => BlockAlgorithm::Tdes,
        (Algorithm::Aes, _) => BlockAlgorithm::Aes,
        (Algorithm::Hmac, _) => BlockAlgorithm::Hmac,
        (Algorithm::Rsa, _) => BlockAlgorithm::Rsa,
        (Algorithm::Ec, _) => BlockAlgorithm::Ec,
    }
}

/// Reads the `#` group: usage 2A, mode of use 1A, key version number 2A, exportability 1A (N or S), optional blocks.
fn parse_attributes(group: &[u8], key: &ClearKey) -> Result<Header, KeyBlockError> {
    let short = KeyBlockError::OptionalCount;
    let (&[u1, u0, mode, k1, k0, exportability, n1, n0], blocks) = group.split_first_chunk().ok_or(short)?;
    let key_version = KeyVersion::new([k1, k0])?;
    if key_version.component().is_some() {
        return Err(KeyBlockError::KeyVersion);
    }
    let attributes = Attributes {
        usage: Usage::new([u1, u0])?,
        algorithm: block_algorithm(key),
        mode: ModeOfUse::from_id(Family::Thales, mode)?,
        key_version,
        exportability: match Exportability::from_id(exportability)? {
            // Only a key that came in a trusted form can be exportable.
            Exportability::Exportable => return Err(KeyBlockError::Exportability),
            other => other,
        },
    };
    let (optional, len) = OptionalBlocks::parse_host(&[n1, n0], blocks, MAX_OPTIONAL_BLOCKS)?;
    if len != blocks.len() {
        return Err(KeyBlockError::OptionalHeader);
    }
    Ok((attributes, optional))
}
