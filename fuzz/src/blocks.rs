//! Key blocks: opening is total, what is wrapped opens again, and what is tampered with does not.

use crate::{Choices, fill};
use hsm_core::key_block::header::{Attributes, Family, Header, Scope, Version};
use hsm_core::key_block::optional::OptionalBlocks;
use hsm_core::key_block::{OpenedBlock, inspect, thales, tr31 as x9143};
use hsm_core::lmk::{Lmk, LmkId};
use hsm_core::{Algorithm, ClearKey};
use std::sync::LazyLock;

/// A header to make a block with, the key to put into it, and where to damage the block.
struct Wanted {
    header: Header,
    optional: OptionalBlocks,
    key: ClearKey,
    seed: u64,
    at: usize,
    flip: u8,
}

/// Header (16 characters), key length and key, seed, place of the damage, and optional blocks in the rest.
fn wanted(family: Family, data: &[u8]) -> Option<Wanted> {
    let (header, rest) = data.split_first_chunk::<16>()?;
    let parsed = Header::parse(family, header).ok()?;
    let mut choices = Choices(rest);
    let algorithm = match parsed.header.attributes.algorithm.id() {
        b'A' => Algorithm::Aes,
        b'H' => Algorithm::Hmac,
        b'R' => Algorithm::Rsa,
        b'E' => Algorithm::Ec,
        _ => Algorithm::Des,
    };
    let len = choices.below(80);
    let key: Vec<u8> = (0..len).map(|_| choices.byte()).collect();
    let key = ClearKey::new(algorithm, &key).ok()?;
    let (seed, at, flip) = (u64::from_be_bytes(choices.array()), choices.below(256), choices.byte().max(1));
    let optional = OptionalBlocks::parse(choices.rest(), parsed.optional_blocks).unwrap_or_default();
    Some(Wanted { header: parsed.header, optional, key, seed, at, flip })
}

/// What opens is what was wrapped; a block that differs in anything but the case of a hex digit does not open.
fn check<E: std::fmt::Debug>(
    wanted: &Wanted,
    family: Family,
    block: &[u8],
    open: impl Fn(&[u8]) -> Result<OpenedBlock, E>,
) {
    let opened = open(block).expect("a block that was just made opens");
    assert_eq!(opened.header, wanted.header);
    assert_eq!(opened.key, wanted.key);
    for block in wanted.optional.iter() {
        assert_eq!(opened.optional.get(block.id()), Some(block.data()));
    }
    let (header, optional) = inspect(family, block).expect("a block that opens can be inspected");
    assert_eq!((header, optional), (opened.header, opened.optional));

    let mut damaged = block.to_vec();
    let at = wanted.at % damaged.len();
    damaged[at] ^= wanted.flip;
    if !damaged[at].eq_ignore_ascii_case(&block[at]) {
        assert!(open(&damaged).is_err(), "a damaged block opens: byte {at}");
    }
}

/// The published key-block test LMK that suits a version.
fn test_lmk(version: Version) -> &'static Lmk {
    static TDES: LazyLock<Lmk> = LazyLock::new(Lmk::test_keyblock_tdes);
    static AES: LazyLock<Lmk> = LazyLock::new(Lmk::test_keyblock_aes);
    if version.is_aes() { &AES } else { &TDES }
}

fn protection(version: Version) -> &'static ClearKey {
    test_lmk(version).key_block_key().expect("a key-block LMK has a key")
}

/// A Thales key block without its tag, opened under both key-block test LMKs; and what makes a block, see [`wanted`].
pub fn key_block(data: &[u8]) {
    let _ = inspect(Family::Thales, data);
    for version in [Version::Thales0, Version::Thales1] {
        let keys = test_lmk(version).protection_keys().expect("a key-block LMK");
        if let Ok(opened) = thales::unwrap(keys, None, data) {
            assert_eq!(inspect(Family::Thales, data).map(|(header, _)| header), Ok(opened.header));
        }
        let _ = thales::unwrap(keys, LmkId::new(1).map(Scope::Lmk), data);
    }
    let Some(wanted) = wanted(Family::Thales, data) else { return };
    let keys = test_lmk(wanted.header.version).protection_keys().expect("a key-block LMK");
    let (scope, attributes) = (wanted.header.scope.unwrap_or(Scope::Transport), wanted.header.attributes);
    let made = thales::wrap(keys, scope, attributes, &wanted.optional, &wanted.key, &mut fill(wanted.seed));
    if let Ok(block) = made {
        check(&wanted, Family::Thales, &block, |block| thales::unwrap(keys, Some(scope), block));
    }
}

/// A TR-31 key block without its tag, opened under the keys of both key-block test LMKs; and what makes a block, see [`wanted`].
pub fn tr31(data: &[u8]) {
    let _ = inspect(Family::X9143, data);
    for version in [Version::B, Version::D] {
        if let Ok(opened) = x9143::unwrap(protection(version), data) {
            assert_eq!(inspect(Family::X9143, data).map(|(header, _)| header), Ok(opened.header));
        }
    }
    let Some(wanted) = wanted(Family::X9143, data) else { return };
    let (protection, attributes): (_, Attributes) = (protection(wanted.header.version), wanted.header.attributes);
    let made = x9143::wrap(
        protection,
        wanted.header.version,
        attributes,
        &wanted.optional,
        &wanted.key,
        usize::from(wanted.flip),
        &mut fill(wanted.seed),
    );
    if let Ok(block) = made {
        check(&wanted, Family::X9143, &block, |block| x9143::unwrap(protection, block));
    }
}
