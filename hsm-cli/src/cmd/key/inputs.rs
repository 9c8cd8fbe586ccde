//! Options that the subcommands share.

use crate::facts::Facts;
use crate::keys::{self, AttributeArgs, NamedType, Opened, Source, Target};
use crate::lmks::{LmkArgs, Lmks};
use anyhow::Context;
use hsm_core::ClearKey;
use hsm_core::key_block::header::Attributes;
use hsm_core::key_type::KeyType;
use hsm_core::scheme::KeyScheme;

/// A key that is there.
#[derive(Debug, clap::Args)]
pub(super) struct KeyArgs {
    /// Key: clear (aes:DIGITS for AES), or a cryptogram or key block under an LMK; - reads it from standard input
    #[arg(long, value_name = "KEY")]
    key: String,

    /// Key type under a variant LMK: code such as 402 or name such as CVK
    #[arg(long = "type", value_name = "TYPE")]
    key_type: Option<NamedType>,

    #[command(flatten)]
    lmk: LmkArgs,
}

impl KeyArgs {
    /// The key type, if one is given.
    ///
    /// # Errors
    /// As [`NamedType::resolve`].
    pub(super) fn key_type(&self, lmks: &Lmks) -> anyhow::Result<Option<KeyType>> {
        self.key_type.map(|named| named.resolve(lmks)).transpose()
    }

    /// The LMKs.
    pub(super) fn lmks(&self) -> Lmks {
        self.lmk.lmks()
    }

    /// Reads and opens the key. With a key type, digits are a cryptogram.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub(super) fn read(&self, lmks: &Lmks) -> anyhow::Result<Opened> {
        self.read_as(Source::new(lmks, "key", &[]))
    }

    /// As [`KeyArgs::read`], for a source with another cipher or parity.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub(super) fn read_as(&self, source: Source<'_>) -> anyhow::Result<Opened> {
        let types: Vec<KeyType> = self.key_type(source.lmks)?.into_iter().collect();
        Source { types: &types, untagged_cryptograms: !types.is_empty(), ..source }.read(&self.key).context("--key")
    }
}

/// What a key becomes under an LMK.
#[derive(Debug, clap::Args)]
pub(super) struct UnderArgs {
    /// Key type: code such as 001 or name such as ZPK; for a key block it gives the usage
    #[arg(long = "type", value_name = "TYPE")]
    key_type: Option<NamedType>,

    /// Scheme under the LMK: Z, U, T, X or Y, or S [default: what suits length and LMK]
    #[arg(long, value_name = "LETTER", value_parser = keys::scheme)]
    pub(super) scheme: Option<KeyScheme>,

    #[command(flatten)]
    pub(super) attributes: AttributeArgs,

    #[command(flatten)]
    lmk: LmkArgs,
}

impl UnderArgs {
    /// The key type, if one is given.
    ///
    /// # Errors
    /// As [`NamedType::resolve`].
    pub(super) fn key_type(&self, lmks: &Lmks) -> anyhow::Result<Option<KeyType>> {
        self.key_type.map(|named| named.resolve(lmks)).transpose()
    }

    /// The LMKs.
    pub(super) fn lmks(&self) -> Lmks {
        self.lmk.lmks()
    }

    /// The slot of the LMK; `block` says that only a key block will do.
    ///
    /// # Errors
    /// As [`Lmks::destination`].
    pub(super) fn slot(&self, lmks: &Lmks, block: bool) -> anyhow::Result<u8> {
        lmks.destination(self.scheme, block || self.attributes.any())
    }

    /// What the key becomes, given what its own key block said.
    ///
    /// # Errors
    /// As [`UnderArgs::key_type`].
    pub(super) fn target(&self, lmks: &Lmks, key: &ClearKey, own: Option<Attributes>) -> anyhow::Result<Target> {
        let key_type = self.key_type(lmks)?;
        let attributes = self.attributes.of_key(key, own, key_type).ok();
        Ok(Target { attributes, key_type, scheme: self.scheme, component: false })
    }
}

/// Adds a key under an LMK.
pub(super) fn add_under_lmk(facts: &mut Facts, name: &str, field: String, id: u8) {
    facts.add(name, field).line("", format!("under LMK {id:02}")).json("lmk", id.into());
}
