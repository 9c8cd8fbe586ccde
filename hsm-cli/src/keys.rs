//! Keys as arguments: clear, or under an LMK.
//!
//! Digits without a scheme letter are a clear key. A cryptogram has its letter: `Z` or `X` where the HSM writes none.

use crate::exit::{report, usage};
use crate::lmks::Lmks;
use crate::secret;
use crate::wire;
use anyhow::{Context, bail};
use clap::ValueEnum;
use hsm_core::inspect::Remark;
use hsm_core::key_block::header::{
    Attributes, BlockAlgorithm, Exportability, Family, KeyVersion, ModeOfUse, Scope, Usage,
};
use hsm_core::key_block::optional::OptionalBlocks;
use hsm_core::key_block::thales::ProtectionKeys;
use hsm_core::key_block::{self, KeyBlockError, OpenedBlock, rules, thales};
use hsm_core::key_type::KeyType;
use hsm_core::lmk::{Lmk, LmkId, LmkScheme};
use hsm_core::scheme::{KeyField, KeyScheme, Untagged};
use hsm_core::variant::LmkUse;
use hsm_core::{Algorithm, ClearKey, hex, kcv, variant};
use std::str::FromStr;
use zeroize::Zeroizing;

/// Ciphers and lengths of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Single DES
    #[value(alias = "D1", alias = "d1")]
    Des,
    /// Double-length TDES
    #[value(alias = "T2", alias = "t2")]
    Tdes2,
    /// Triple-length TDES
    #[value(alias = "T3", alias = "t3")]
    Tdes3,
    /// AES-128
    #[value(alias = "A1", alias = "a1")]
    Aes128,
    /// AES-192
    #[value(alias = "A2", alias = "a2")]
    Aes192,
    /// AES-256
    #[value(alias = "A3", alias = "a3")]
    Aes256,
    /// HMAC, 32 bytes
    Hmac,
}

impl Kind {
    /// Length in bytes.
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Des => 8,
            Self::Tdes2 | Self::Aes128 => 16,
            Self::Tdes3 | Self::Aes192 => 24,
            Self::Aes256 | Self::Hmac => 32,
        }
    }

    /// The cipher.
    pub(crate) fn algorithm(self) -> Algorithm {
        match self {
            Self::Des | Self::Tdes2 | Self::Tdes3 => Algorithm::Des,
            Self::Aes128 | Self::Aes192 | Self::Aes256 => Algorithm::Aes,
            Self::Hmac => Algorithm::Hmac,
        }
    }

    /// A random key: DES with odd parity and parts that differ.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub(crate) fn random(self) -> anyhow::Result<ClearKey> {
        loop {
            let bytes = random(self.len())?;
            let key = ClearKey::new(self.algorithm(), &bytes)?.with_odd_parity();
            let parts: Vec<&[u8]> = key.bytes().chunks(8).collect();
            if key.algorithm() != Algorithm::Des || parts.windows(2).all(|pair| pair.first() != pair.last()) {
                return Ok(key);
            }
        }
    }
}

/// Random bytes.
///
/// # Errors
/// If the system gives none.
pub(crate) fn random(len: usize) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; len]);
    getrandom::fill(&mut bytes).context("the system gives no random numbers")?;
    Ok(bytes)
}

/// A source of random fill for functions that take one. What the system does not give stays zero: fill protects nothing here.
pub(crate) fn fill(buffer: &mut [u8]) {
    // The keys themselves come from `random`, which fails if it must.
    let _ = getrandom::fill(buffer);
}

/// A key that was opened, and where it came from.
pub(crate) struct Opened {
    /// The key.
    pub(crate) key: ClearKey,
    /// What the key was, in words.
    pub(crate) form: String,
    /// What its key block says of it.
    pub(crate) attributes: Option<Attributes>,
    /// Whether it was in clear.
    pub(crate) clear: bool,
    /// Whether it is a cryptogram without odd parity, which [`Source::any_parity`] lets pass.
    pub(crate) wrong_parity: bool,
}

/// Where a key of an argument is looked for, and what it may be.
pub(crate) struct Source<'a> {
    /// The LMKs.
    pub(crate) lmks: &'a Lmks,
    /// Name of the argument, for messages.
    pub(crate) name: &'a str,
    /// Its type under a variant LMK; the first under which it has odd parity.
    pub(crate) types: &'a [KeyType],
    /// Usages that its key block may have; any, if there are none.
    pub(crate) usages: &'a [&'static str],
    /// Whether cryptograms are components.
    pub(crate) component: bool,
    /// The only LMK that it may be under.
    pub(crate) lmk: Option<u8>,
    /// The cipher of clear keys without prefix.
    pub(crate) algorithm: Algorithm,
    /// Whether digits without scheme letter are a cryptogram, as the HSM writes some, and not a clear key.
    pub(crate) untagged_cryptograms: bool,
    /// Whether a cryptogram opens without odd parity, too.
    pub(crate) any_parity: bool,
}

impl<'a> Source<'a> {
    /// A TDES key, or one that says otherwise, of these types, under the LMK asked for.
    pub(crate) fn new(lmks: &'a Lmks, name: &'a str, types: &'a [KeyType]) -> Self {
        Self {
            lmks,
            name,
            types,
            usages: &[],
            component: false,
            lmk: lmks.asked(),
            algorithm: Algorithm::Des,
            untagged_cryptograms: false,
            any_parity: false,
        }
    }

    /// A wrapping key beside the key that the LMK asked for is about: under that LMK if it can be.
    pub(crate) fn wrapping(lmks: &'a Lmks, name: &'a str, types: &'a [KeyType]) -> Self {
        Self { lmk: None, ..Self::new(lmks, name, types) }
    }

    /// Reads and opens the key of an argument.
    ///
    /// # Errors
    /// Usage for text that is no key; failure for one that does not open.
    pub(crate) fn read(&self, argument: &str) -> anyhow::Result<Opened> {
        let text = secret::get(self.name, argument)?;
        self.open(&text)
    }

    /// Opens a key.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub(crate) fn open(&self, text: &str) -> anyhow::Result<Opened> {
        if let Some(family) = Family::of_untagged(text.as_bytes()) {
            return Err(usage(format!("the {}: {}", self.name, Remark::MissingTag(family))));
        }
        match text.bytes().next().map(|c| c.to_ascii_uppercase()) {
            _ if text.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aes:")) => {
                self.clear(text.get(4..).unwrap_or_default(), Algorithm::Aes)
            }
            _ if text.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("des:")) => {
                self.clear(text.get(4..).unwrap_or_default(), Algorithm::Des)
            }
            Some(b'S') => self.block(text),
            Some(b'R') => Err(usage(format!("the {} is a TR-31 key block, which is under no LMK", self.name))),
            Some(tag) if !tag.is_ascii_hexdigit() || self.untagged_cryptograms => {
                self.cryptogram(&text.to_ascii_uppercase())
            }
            _ => self.clear(text, self.algorithm),
        }
    }

    fn clear(&self, text: &str, algorithm: Algorithm) -> anyhow::Result<Opened> {
        let bytes = secret::hex(self.name, text)?;
        let key = ClearKey::new(algorithm, &bytes).map_err(|e| {
            let aes = algorithm == Algorithm::Des && ClearKey::aes(&bytes).is_ok();
            let hint = if aes { "; aes:DIGITS is an AES key" } else { "" };
            usage(format!("the {}: {e}{hint}", self.name))
        })?;
        Ok(Opened { key, form: "clear".to_owned(), attributes: None, clear: true, wrong_parity: false })
    }

    fn cryptogram(&self, text: &str) -> anyhow::Result<Opened> {
        let untagged = if text.len() > 16 { Untagged::Double } else { Untagged::Single };
        let (scheme, bytes) = cryptogram(self.name, text, untagged)?;
        if self.types.is_empty() {
            return Err(usage(format!("the {} is a cryptogram: say its key type with --type", self.name)));
        }
        let id = self.lmk.map_or_else(|| self.lmks.of_kind(LmkScheme::Variant), Ok)?;
        let lmk = self.lmks.lmk(id)?;
        for &key_type in self.types {
            let under = if self.component { LmkUse::component_of(key_type) } else { LmkUse::from(key_type) };
            let opened = variant::decrypt_under_lmk(lmk, under, scheme, &bytes)
                .with_context(|| format!("the {} does not open under LMK {id:02}", self.name))?;
            // A DUKPT initial key has the parity that its derivation gave it.
            let wrong_parity = !opened.odd_parity && key_type != KeyType::IKEY;
            if !wrong_parity || self.any_parity {
                let what = if self.component { "component of type" } else { "type" };
                let form = format!("{}, {what} {} under LMK {id:02}", scheme_name(scheme), type_name(key_type));
                return Ok(Opened { key: opened.key, form, attributes: None, clear: false, wrong_parity });
            }
        }
        let types: Vec<String> = self.types.iter().map(|key_type| type_name(*key_type)).collect();
        bail!(
            "the {} has no odd parity as {} under LMK {id:02} (the HSM answers 10 or 11); `hsm key inspect` tries all types",
            self.name,
            types.join(" or ")
        )
    }

    fn block(&self, text: &str) -> anyhow::Result<Opened> {
        let (id, opened) = open_block(self.lmks, self.name, text, self.lmk)?;
        let attributes = opened.header.attributes;
        let form = format!("key block, usage {} under LMK {id:02}", attributes.usage);
        if self.component != attributes.key_version.component().is_some() {
            let is = if self.component { "is no component" } else { "is a component" };
            bail!("the {} {is}: its key version is {}", self.name, text.get(10..12).unwrap_or_default());
        }
        if !self.usages.is_empty() && !self.usages.iter().any(|usage| usage.as_bytes() == attributes.usage.id()) {
            let wanted = self.usages.join(", ");
            bail!(
                "the {}'s key block has usage {}, possible are {wanted} (the HSM answers A6)",
                self.name,
                attributes.usage
            );
        }
        Ok(Opened { key: opened.key, form, attributes: Some(attributes), clear: false, wrong_parity: false })
    }
}

/// Family and text of a key block, with its tag: one that is missing, as in blocks from other systems, is put in front and told.
///
/// `None` for text that is no key block.
pub(crate) fn with_tag(name: &str, text: &str) -> Option<(Family, Zeroizing<String>)> {
    let family = match text.bytes().next()? {
        b'S' | b's' => return Some((Family::Thales, Zeroizing::new(text.to_owned()))),
        b'R' | b'r' => return Some((Family::X9143, Zeroizing::new(text.to_owned()))),
        _ => Family::of_untagged(text.as_bytes())?,
    };
    report(&format!("note: the {name}: {}", Remark::MissingTag(family)));
    Some((family, Zeroizing::new(format!("{}{text}", family.tag()))))
}

/// Opens an S block under the LMK asked for, the one it names, or the one that suits it. Returns the LMK too.
///
/// # Errors
/// Usage for text that is no S block under an LMK; failure for one that does not open.
pub(crate) fn open_block(lmks: &Lmks, name: &str, text: &str, id: Option<u8>) -> anyhow::Result<(u8, OpenedBlock)> {
    let body = Zeroizing::new(text.get(1..).unwrap_or_default().as_bytes().to_vec());
    let (header, _) = key_block::inspect(Family::Thales, &body).map_err(|e| usage(format!("the {name}: {e}")))?;
    let named = match header.scope {
        Some(Scope::Lmk(id)) => id.number(),
        _ => return Err(usage(format!("the {name} is a key block under a ZMK or TMK, not under an LMK"))),
    };
    let id = match id {
        Some(id) => id,
        None => {
            // Public samples name LMK 01 for either kind of key-block LMK.
            let slots = &lmks.slots()?.slots;
            let suits = |lmk: &Lmk| lmk.protection_keys().is_ok_and(|keys| keys.version() == header.version);
            let candidates = [named].into_iter().chain(lmks.asked()).chain(slots.keys().copied());
            candidates.into_iter().find(|id| slots.get(id).is_some_and(|lmk| suits(lmk))).unwrap_or(named)
        }
    };
    let refused = || format!("the {name} does not open under LMK {id:02}");
    let keys = lmks.lmk(id)?.protection_keys().with_context(refused)?;
    Ok((id, thales::unwrap(keys, None, &body).with_context(refused)?))
}

/// Scheme and bytes of a cryptogram field.
///
/// # Errors
/// Usage, for text that is none.
pub(crate) fn cryptogram(name: &str, text: &str, untagged: Untagged) -> anyhow::Result<(KeyScheme, Vec<u8>)> {
    let text = text.to_ascii_uppercase();
    let (field, len) = KeyField::parse(text.as_bytes(), untagged)
        .map_err(|e| usage(format!("the {name}: {e} (error {})", e.code())))?;
    let KeyField::Cryptogram { scheme, digits } = field else {
        return Err(usage(format!("the {name} must be in scheme U, T, X, Y, Z or untagged")));
    };
    if len != text.len() {
        return Err(usage(format!("the {name} has {} characters too many for its scheme", text.len() - len)));
    }
    let bytes = hex::decode(digits).ok_or_else(|| usage(format!("the {name} is not hexadecimal")))?;
    Ok((scheme, bytes.to_vec()))
}

/// A key type as an argument names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamedType {
    /// What the settings say that a TPK is.
    Tpk,
    /// What the settings say that a TMK is.
    Tmk,
    /// This one.
    Type(KeyType),
}

impl FromStr for NamedType {
    type Err = String;

    /// Reads a code or a name. The error says where the list is.
    fn from_str(name: &str) -> Result<Self, String> {
        match name.to_ascii_uppercase().as_str() {
            "TPK" => Ok(Self::Tpk),
            "TMK" => Ok(Self::Tmk),
            // Other names mean the same with every setting.
            _ => KeyType::by_name(name, false)
                .map_or_else(|| KeyType::parse(name.as_bytes()), Ok)
                .map(Self::Type)
                .map_err(|e| format!("{e}; `hsm key types` lists codes and names")),
        }
    }
}

impl NamedType {
    /// The key type, as the server has it with its settings.
    ///
    /// # Errors
    /// As [`Lmks::settings`].
    pub(crate) fn resolve(self, lmks: &Lmks) -> anyhow::Result<KeyType> {
        Ok(match self {
            Self::Tpk => KeyType::tpk(lmks.settings()?.separate_002),
            Self::Tmk => KeyType::tmk(lmks.settings()?.separate_002),
            Self::Type(key_type) => key_type,
        })
    }
}

/// A scheme for keys that are made: Z, U, T, X, Y, S or R.
///
/// # Errors
/// A line that says which there are.
pub(crate) fn scheme(letter: &str) -> Result<KeyScheme, String> {
    let wrong = || "there are U, T, X, Y and Z, S for Thales key blocks and R for TR-31 key blocks".to_owned();
    let &[tag] = letter.as_bytes() else { return Err(wrong()) };
    match KeyScheme::from_tag(tag.to_ascii_uppercase()) {
        Ok(KeyScheme::V | KeyScheme::P | KeyScheme::Q | KeyScheme::W) | Err(_) => Err(wrong()),
        Ok(scheme) => Ok(scheme),
    }
}

/// The scheme that keys of a length have if nobody says otherwise.
pub(crate) fn usual_scheme(len: usize) -> KeyScheme {
    match len {
        8 => KeyScheme::Z,
        16 => KeyScheme::U,
        _ => KeyScheme::T,
    }
}

/// A scheme in words.
pub(crate) fn scheme_name(scheme: KeyScheme) -> String {
    match scheme {
        KeyScheme::Single | KeyScheme::Double => "untagged".to_owned(),
        scheme => format!("scheme {scheme:?}"),
    }
}

/// A key type with the name of its keys.
pub(crate) fn type_name(key_type: KeyType) -> String {
    match key_type.info() {
        Some(info) => format!("{key_type} ({})", info.names.join(", ")),
        None => format!("{key_type} (not listed)"),
    }
}

/// The check value as devices show it: six digits. Empty for keys that have none.
pub(crate) fn short_kcv(key: &ClearKey) -> String {
    kcv::check_value(key).map_or(String::new(), |check| wire::hex(check.get(..3).unwrap_or(&check)))
}

/// The digits of a key.
pub(crate) fn digits(key: &ClearKey) -> String {
    wire::hex(key.bytes())
}

/// What a key block header is to say of a key.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct AttributeArgs {
    /// Key usage of a key block, such as P0 or 72 [default: that of the key, or of its type]
    #[arg(long, value_name = "USAGE", value_parser = usage_id)]
    pub(crate) usage: Option<Usage>,

    /// Mode of use: B, C, D, E, G, N, S, V or X [default: that of the key, or N]
    #[arg(long, value_name = "MODE", value_parser = mode)]
    pub(crate) mode: Option<ModeOfUse>,

    /// Key version number, two characters [default: that of the key, or 00]
    #[arg(long, value_name = "NN", value_parser = key_version)]
    pub(crate) key_version: Option<KeyVersion>,

    /// Exportability: E, N or S [default: that of the key, or E]
    #[arg(long, value_name = "LETTER", value_parser = exportability)]
    pub(crate) exportability: Option<Exportability>,
}

impl AttributeArgs {
    /// Whether any is given.
    pub(crate) fn any(&self) -> bool {
        self.usage.is_some() || self.mode.is_some() || self.key_version.is_some() || self.exportability.is_some()
    }

    /// What is said, over what the key's own block says, over what fits its type.
    ///
    /// # Errors
    /// Usage, if nothing says what the key is for.
    pub(crate) fn of_key(
        &self,
        key: &ClearKey,
        own: Option<Attributes>,
        key_type: Option<KeyType>,
    ) -> anyhow::Result<Attributes> {
        let of_type = key_type.and_then(KeyType::info).and_then(|info| info.usages.first().copied());
        let of_type = of_type.and_then(|id| usage_id(id).ok());
        let usage = self.usage.or(own.map(|own| own.usage)).or(of_type);
        let Some(usage) = usage else { return Err(usage_missing()) };
        Ok(Attributes {
            usage,
            algorithm: BlockAlgorithm::of(key),
            mode: self.mode.or(own.map(|own| own.mode)).unwrap_or(ModeOfUse::Any),
            key_version: self.key_version.or(own.map(|own| own.key_version)).unwrap_or(KeyVersion::NONE),
            exportability: self.exportability.or(own.map(|own| own.exportability)).unwrap_or(Exportability::Exportable),
        })
    }
}

/// A key block without key usage, as wrong usage.
pub(crate) fn usage_missing() -> anyhow::Error {
    usage("a key block needs a key usage: --usage, such as P0, or --type")
}

/// Whether a Thales key block may say this of a key.
///
/// # Errors
/// Usage, naming what does not go together and the HSM's code.
pub(crate) fn check_attributes(attributes: &Attributes) -> anyhow::Result<()> {
    match rules::check(attributes) {
        Ok(_) => Ok(()),
        Err(error) => {
            let permitted = rules::rule(attributes.usage).map_or(String::new(), |rule| {
                let permitted: Vec<_> = rule.permitted.iter().map(|(a, m)| format!("{a} with mode {m}")).collect();
                format!("; usage {} permits {}", attributes.usage, permitted.join(", "))
            });
            Err(usage(format!("{error} (the HSM answers {}){permitted}", error.code())))
        }
    }
}

/// Two characters of a usage.
///
/// # Errors
/// A line that says what a usage is.
pub(crate) fn usage_id(id: &str) -> Result<Usage, String> {
    let id: Option<[u8; 2]> = id.to_ascii_uppercase().as_bytes().try_into().ok();
    id.and_then(|id| Usage::new(id).ok()).ok_or_else(|| "a key usage has two letters or digits".to_owned())
}

fn mode(id: &str) -> Result<ModeOfUse, String> {
    let wrong = "there are B, C, D, E, G, N, S, V and X, and T and Y in R blocks";
    let &[id] = id.as_bytes() else { return Err(wrong.to_owned()) };
    ModeOfUse::from_id(Family::X9143, id.to_ascii_uppercase()).map_err(|_| wrong.to_owned())
}

fn key_version(id: &str) -> Result<KeyVersion, String> {
    let id: Option<[u8; 2]> = id.as_bytes().try_into().ok();
    id.and_then(|id| KeyVersion::new(id).ok()).ok_or_else(|| "two printable characters".to_owned())
}

fn exportability(id: &str) -> Result<Exportability, String> {
    let wrong = "there are E, N and S";
    let &[id] = id.as_bytes() else { return Err(wrong.to_owned()) };
    Exportability::from_id(id.to_ascii_uppercase()).map_err(|_| wrong.to_owned())
}

/// What a key is to be under an LMK.
#[derive(Clone, Copy, Default)]
pub(crate) struct Target {
    /// What its block is to say, under a key-block LMK.
    pub(crate) attributes: Option<Attributes>,
    /// Its type, under a variant LMK.
    pub(crate) key_type: Option<KeyType>,
    /// Scheme under a variant LMK.
    pub(crate) scheme: Option<KeyScheme>,
    /// Whether it is a component.
    pub(crate) component: bool,
}

impl Target {
    /// The key field under an LMK: a cryptogram or an S block.
    ///
    /// # Errors
    /// Usage, if the LMK does not take such a key.
    pub(crate) fn put(&self, key: &ClearKey, lmks: &Lmks, id: u8) -> anyhow::Result<String> {
        let lmk = lmks.lmk(id)?;
        match lmk.scheme() {
            LmkScheme::Variant => {
                let key_type = self.key_type.ok_or_else(|| usage("a variant LMK needs the key type: --type"))?;
                let scheme = self.scheme.unwrap_or_else(|| usual_scheme(key.len()));
                let under = if self.component { LmkUse::component_of(key_type) } else { key_type.into() };
                lmks.check_strength(id, key)?;
                let cryptogram = variant::encrypt_under_lmk(lmk, under, scheme, key)
                    .map_err(|e| usage(format!("{e} (the HSM answers {})", e.code())))?;
                Ok(scheme.write(&cryptogram))
            }
            LmkScheme::KeyBlock => {
                if self.scheme.is_some_and(|scheme| scheme != KeyScheme::S) {
                    return Err(usage(format!("LMK {id:02} is a key-block LMK: its keys have scheme S")));
                }
                let attributes = self.attributes.ok_or_else(usage_missing)?;
                check_attributes(&attributes)?;
                lmks.check_strength(id, key)?;
                block_under_lmk(lmks, id, attributes, &OptionalBlocks::NONE, key)
            }
        }
    }
}

/// An S block under a key-block LMK.
///
/// # Errors
/// Usage, if the LMK has no key blocks or does not take such a key.
pub(crate) fn block_under_lmk(
    lmks: &Lmks,
    id: u8,
    attributes: Attributes,
    optional: &OptionalBlocks,
    key: &ClearKey,
) -> anyhow::Result<String> {
    let protection = protection_keys(lmks, id)?;
    let scope = LmkId::new(id).map(Scope::Lmk).ok_or_else(|| usage("LMK identifiers are 00 to 19"))?;
    s_block(protection, scope, attributes, optional, key)
}

/// What a key-block LMK protects key blocks with.
///
/// # Errors
/// Usage, for a variant LMK.
pub(crate) fn protection_keys(lmks: &Lmks, id: u8) -> anyhow::Result<&ProtectionKeys> {
    let keys = lmks.lmk(id)?.protection_keys();
    keys.map_err(|_| usage(format!("LMK {id:02} is a variant LMK: it has no key blocks")))
}

/// An S block.
///
/// # Errors
/// Usage, naming what is wrong and the HSM's code.
pub(crate) fn s_block(
    protection: &ProtectionKeys,
    scope: Scope,
    attributes: Attributes,
    optional: &OptionalBlocks,
    key: &ClearKey,
) -> anyhow::Result<String> {
    let block = thales::wrap(protection, scope, attributes, optional, key, &mut fill).map_err(refused)?;
    Ok(tagged('S', &block))
}

/// A key block that cannot be made, as wrong usage.
pub(crate) fn refused(error: KeyBlockError) -> anyhow::Error {
    usage(format!("{error} (the HSM answers {})", error.code()))
}

/// A key block with its tag.
pub(crate) fn tagged(tag: char, block: &[u8]) -> String {
    core::iter::once(tag).chain(block.iter().map(|byte| char::from(*byte))).collect()
}
