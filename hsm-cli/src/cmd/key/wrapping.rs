//! Keys under a ZMK, TMK or key-block protection key, in every scheme.

use crate::exit::usage;
use crate::keys::{self, NamedType, Opened, Source, cryptogram, tagged};
use crate::lmks::Lmks;
use anyhow::Context;
use hsm_core::key_block::header::{Attributes, Family, Scope, Version};
use hsm_core::key_block::optional::OptionalBlocks;
use hsm_core::key_block::thales::ProtectionKeys;
use hsm_core::key_block::{self, OpenedBlock, rules, thales, tr31};
use hsm_core::scheme::{KeyScheme, Untagged};
use hsm_core::variant::{self, AtallaVariant};
use hsm_core::{Algorithm, ClearKey};

/// The wrapping key of a command and how it is used.
#[derive(Debug, clap::Args)]
pub(super) struct ZmkArgs {
    /// ZMK or TMK: clear, or under an LMK; - reads it from standard input
    #[arg(long, value_name = "KEY")]
    zmk: Option<String>,

    /// Key type of a ZMK that is a cryptogram: ZMK, TMK, KEK ...
    #[arg(long, value_name = "TYPE", default_value = "ZMK")]
    zmk_type: NamedType,

    /// Atalla variant of the ZMK, 0 to 31
    #[arg(long, value_name = "N", default_value = "0", value_parser = atalla)]
    atalla: AtallaVariant,

    /// Version of a TR-31 block, A to E [default: B under TDES, D under AES]
    #[arg(long, value_name = "LETTER", value_parser = version)]
    block_version: Option<Version>,
}

fn atalla(digits: &str) -> Result<AtallaVariant, String> {
    AtallaVariant::parse(digits.as_bytes()).map_err(|e| e.to_string())
}

fn version(letter: &str) -> Result<Version, String> {
    let &[id] = letter.as_bytes() else { return Err("there are A, B, C, D and E".to_owned()) };
    Version::from_id(Family::X9143, id.to_ascii_uppercase()).map_err(|_| "there are A, B, C, D and E".to_owned())
}

/// What came from under a ZMK.
pub(super) struct Unwrapped {
    pub(super) key: ClearKey,
    pub(super) attributes: Option<Attributes>,
    /// What the key was, in words.
    pub(super) form: String,
    /// Whether it had odd parity, or needs none.
    pub(super) odd_parity: bool,
}

impl ZmkArgs {
    /// Whether there is a ZMK.
    pub(super) fn is_given(&self) -> bool {
        self.zmk.is_some()
    }

    /// The ZMK.
    pub(super) fn read(&self, lmks: &Lmks) -> anyhow::Result<Opened> {
        let zmk = self.zmk.as_deref().ok_or_else(|| usage("say the ZMK with --zmk"))?;
        Source::wrapping(lmks, "ZMK", &[self.zmk_type.resolve(lmks)?]).read(zmk)
    }

    /// A key under the ZMK.
    pub(super) fn wrap(
        &self,
        zmk: &ClearKey,
        scheme: KeyScheme,
        key: &ClearKey,
        attributes: Option<Attributes>,
    ) -> anyhow::Result<String> {
        match scheme {
            KeyScheme::S => {
                let attributes = attributes.ok_or_else(keys::usage_missing)?;
                keys::check_attributes(&attributes)?;
                let protection = ProtectionKeys::derive(zmk).map_err(|e| usage(format!("the ZMK: {e}")))?;
                keys::s_block(&protection, Scope::Transport, attributes, &OptionalBlocks::NONE, key)
            }
            KeyScheme::R => {
                let attributes = attributes.ok_or_else(keys::usage_missing)?;
                // A usage that S blocks have is converted; any other is taken for one of X9.143.
                let attributes = rules::to_x9143(&attributes).unwrap_or(attributes);
                let usual = if zmk.algorithm() == Algorithm::Aes { Version::D } else { Version::B };
                let version = self.block_version.unwrap_or(usual);
                let none = OptionalBlocks::NONE;
                let block = tr31::wrap(zmk, version, attributes, &none, key, 0, &mut keys::fill);
                Ok(tagged('R', &block.map_err(keys::refused)?))
            }
            scheme => {
                let cryptogram = variant::encrypt_under_zmk(zmk, self.atalla, scheme, key)
                    .map_err(|e| usage(format!("{e} (the HSM answers {})", e.code())))?;
                Ok(scheme.write(&cryptogram))
            }
        }
    }

    /// The key in a field under the ZMK.
    pub(super) fn unwrap(&self, zmk: &ClearKey, field: &str) -> anyhow::Result<Unwrapped> {
        let Some((family, block)) = keys::with_tag("key", field) else { return self.unwrap_cryptogram(zmk, field) };
        let body = block.get(1..).unwrap_or_default();
        let (block, form) = match family {
            Family::Thales => {
                let protection = ProtectionKeys::derive(zmk).map_err(|e| usage(format!("the ZMK: {e}")))?;
                (opened(family, body, |body| thales::unwrap(&protection, None, body))?, "Thales")
            }
            Family::X9143 => (opened(family, body, |body| tr31::unwrap(zmk, body))?, "TR-31"),
        };
        let attributes = block.header.attributes;
        let form = format!("{form} key block, usage {}", attributes.usage);
        Ok(Unwrapped { odd_parity: block.key.has_odd_parity(), key: block.key, attributes: Some(attributes), form })
    }

    fn unwrap_cryptogram(&self, zmk: &ClearKey, field: &str) -> anyhow::Result<Unwrapped> {
        let untagged = if field.len() > 16 { Untagged::Double } else { Untagged::Single };
        let (scheme, bytes) = cryptogram("key", field, untagged)?;
        let decrypted = variant::decrypt_under_zmk(zmk, self.atalla, scheme, &bytes)
            .map_err(|e| usage(format!("{e} (the HSM answers {})", e.code())))?;
        let variant = match self.atalla.number() {
            0 => String::new(),
            number => format!(", Atalla variant {number}"),
        };
        let form = format!("{}{variant}", keys::scheme_name(scheme));
        Ok(Unwrapped { key: decrypted.key, attributes: None, form, odd_parity: decrypted.odd_parity })
    }
}

fn opened(
    family: Family,
    body: &str,
    unwrap: impl Fn(&[u8]) -> Result<OpenedBlock, key_block::KeyBlockError>,
) -> anyhow::Result<OpenedBlock> {
    // Malformed text is wrong usage, a wrong key is a failure.
    key_block::inspect(family, body.as_bytes()).map_err(|e| usage(format!("the key: {e}")))?;
    unwrap(body.as_bytes()).context("the key block does not open under the ZMK")
}
