//! What a key purpose of the plugin ABI means: a key type under a variant LMK, key usages under a key-block LMK.

use crate::key_type::{KeyType, KeyTypeError, KeyTypeField, Listing};
use hsm_plugin_sdk::abi::{ErrorCode, KeyPurpose};

/// Where a key of a purpose is to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurposeRule {
    /// The key type of variant LMKs; `None` if only a key block says what the key is.
    pub key_type: Option<KeyType>,
    /// The usages that a key block may have; empty for purposes that key blocks do not have.
    pub usages: &'static [&'static str],
}

/// The rule of a purpose. `separation` is the setting "002 separation" (keys.md 2).
///
/// # Errors
/// 04 for a key type code that no LMK pair has; 68 for the purpose that separation abolishes.
pub fn rule(purpose: KeyPurpose, separation: bool) -> Result<PurposeRule, ErrorCode> {
    let (key_type, usages): (_, &[&str]) = match purpose {
        KeyPurpose::ZMK => (KeyType::ZMK, &["52", "K0"]),
        KeyPurpose::WRAPPING_KEY => (KeyType::ZMK, &["52", "K0", "51"]),
        KeyPurpose::TPK => (KeyType::tpk(separation), &["71", "P0"]),
        KeyPurpose::TMK => (KeyType::tmk(separation), &["51", "K0"]),
        KeyPurpose::TERMINAL if separation => return Err(ErrorCode::COMMAND_DISABLED),
        KeyPurpose::TERMINAL => (KeyType::PVK, &["51", "71", "P0", "V0", "V1", "V2", "K0"]),
        KeyPurpose::PVK => (KeyType::PVK, &["V0", "V1", "V2"]),
        KeyPurpose::BDK => (KeyType::BDK, &["B0", "41", "42", "43", "44"]),
        KeyPurpose::PIN_KEY => return Ok(PurposeRule { key_type: None, usages: &["71", "72", "P0"] }),
        other => match KeyTypeField::parse(&other.code()) {
            Ok(KeyTypeField::KeyBlock) => return Ok(PurposeRule { key_type: None, usages: &[] }),
            Ok(KeyTypeField::Variant(key_type)) => (key_type, key_type.info().map_or(&[][..], |info| info.usages)),
            Err(KeyTypeError::Digits | KeyTypeError::Pair) => return Err(ErrorCode::KEY_TYPE_CODE),
        },
    };
    Ok(PurposeRule { key_type: Some(key_type), usages })
}

/// The usages that a key of a purpose may get when it leaves a variant LMK for a key-block LMK; empty for any.
///
/// # Errors
/// As [`rule`].
pub fn describable(purpose: KeyPurpose, separation: bool) -> Result<&'static [&'static str], ErrorCode> {
    // Without separation, type 002 does not say which of its three kinds of key it is.
    let purpose = if purpose == KeyPurpose::PVK && !separation { KeyPurpose::TERMINAL } else { purpose };
    match purpose {
        // The generic usage beside that of the type.
        KeyPurpose::ZEK => Ok(&["22", "D0"]),
        KeyPurpose::DEK => Ok(&["21", "D0"]),
        KeyPurpose::TEK => Ok(&["23", "D0"]),
        other if other.code() == *b"80D" => Ok(&["51", "K0"]),
        other => rule(other, separation).map(|rule| rule.usages),
    }
}

impl PurposeRule {
    /// Whether a key block with this usage holds a key of the purpose. `FFF` takes any.
    #[must_use]
    pub fn allows(&self, usage: &str) -> bool {
        (self.key_type.is_none() && self.usages.is_empty()) || self.usages.contains(&usage)
    }

    /// Whether keys of the purpose may be exported at all: what payShield does not list as an activity cannot be.
    #[must_use]
    pub fn exportable(&self) -> bool {
        self.key_type.and_then(KeyType::info).is_none_or(|info| info.payshield_export != Listing::NotListed)
    }
}
