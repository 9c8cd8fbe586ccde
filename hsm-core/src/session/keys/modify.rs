//! Changes in the header of a key block (keys.md 7 `CS`).

use super::{OpenKey, Session};
use crate::key_block::KeyBlockError;
use crate::key_block::header::{Attributes, Exportability, Family, KeyVersion, ModeOfUse, Usage};
use crate::key_block::optional::{OptionalBlock, OptionalBlocks, ValidityHour};
use crate::key_block::{OpenedBlock, rules};
use hsm_plugin_sdk::abi::{ErrorCode, KeyPurpose};

impl Session {
    pub(super) fn modify_block(
        &mut self,
        block: &[u8],
        field: u8,
        old: &[u8],
        new: &[u8],
    ) -> Result<Vec<u8>, ErrorCode> {
        self.key_block_lmk_only()?;
        if !(b'1'..=b'7').contains(&field) {
            return self.refuse(ErrorCode::CHANGE_FIELD, "the change field must be 1 to 7");
        }
        let lmk = self.lmk()?.clone();
        let OpenedBlock { header, optional, key } = self.open_block(&lmk, block)?;
        let before = header.attributes;
        let current: Vec<u8> = match field {
            b'1' => before.usage.id().to_vec(),
            b'2' => vec![before.mode.id()],
            b'3' => before.key_version.id().to_vec(),
            b'4' => vec![before.exportability.id()],
            _ => match optional.get(optional_id(field)) {
                Some(value) => value.to_vec(),
                None => return self.refuse(ErrorCode::NO_KEY_STATUS, "the key block has no such optional block"),
            },
        };
        if current != old {
            return self.refuse(ErrorCode::OLD_VALUE, "the key block has another value than the old value given");
        }
        let changed = match field {
            b'1'..=b'4' => changed_attributes(&before, field, new).map(|attributes| (attributes, optional)),
            _ => changed_optional(&optional, optional_id(field), new).map(|optional| (before, optional)),
        };
        let (attributes, optional) = match changed {
            Ok(changed) => changed,
            Err(error) => return self.refuse(ErrorCode::NEW_VALUE, format!("the new value: {error}")),
        };
        let key = OpenKey::new(key, KeyPurpose::KEY_BLOCK, Some(attributes)).with_optional(optional);
        self.wrap_in_block(&lmk, &key, b'S')
    }
}

/// The optional block that a change field stands for.
fn optional_id(field: u8) -> [u8; 2] {
    match field {
        b'5' => *b"00",
        b'6' => *b"03",
        _ => *b"04",
    }
}

/// The attributes with one value changed, if a key may change so: to an equivalent usage, to a narrower mode or exportability, to
/// any version number that leaves a key a key and a component the same component.
fn changed_attributes(before: &Attributes, field: u8, new: &[u8]) -> Result<Attributes, KeyBlockError> {
    let mut after = *before;
    match (field, new) {
        (b'1', &[a, b]) => {
            after.usage = Usage::new([a, b])?;
            let equivalent = |usage| rules::rule(usage).and_then(|rule| rule.x9143);
            if after.usage != before.usage
                && (equivalent(after.usage).is_none() || equivalent(after.usage) != equivalent(before.usage))
            {
                return Err(KeyBlockError::Usage);
            }
        }
        (b'2', &[id]) => {
            after.mode = ModeOfUse::from_id(Family::Thales, id)?;
            let narrower = match before.mode {
                ModeOfUse::Any => true,
                ModeOfUse::EncryptDecrypt => matches!(after.mode, ModeOfUse::Encrypt | ModeOfUse::Decrypt),
                ModeOfUse::GenerateVerify => matches!(after.mode, ModeOfUse::Generate | ModeOfUse::Verify),
                _ => false,
            };
            if !narrower && after.mode != before.mode {
                return Err(KeyBlockError::Mode);
            }
        }
        (b'3', &[a, b]) => {
            after.key_version = KeyVersion::new([a, b])?;
            if after.key_version.component() != before.key_version.component() {
                return Err(KeyBlockError::KeyVersion);
            }
        }
        (b'4', &[id]) => after.exportability = rules::narrow(before.exportability, Exportability::from_id(id)?)?,
        _ => return Err(KeyBlockError::Length),
    }
    rules::check(&after)?;
    Ok(after)
}

/// Optional blocks with the data of one changed. Validity must not end before it starts.
fn changed_optional(optional: &OptionalBlocks, id: [u8; 2], new: &[u8]) -> Result<OptionalBlocks, KeyBlockError> {
    let blocks =
        optional.iter().map(|block| if block.id() == id { OptionalBlock::new(id, new) } else { Ok(block.clone()) });
    let changed = OptionalBlocks::new(blocks.collect::<Result<_, _>>()?)?;
    let (start, end): (Option<ValidityHour>, Option<ValidityHour>) = changed.validity();
    if start.is_some_and(|start| end.is_some_and(|end| end < start)) {
        return Err(if id == *b"03" { KeyBlockError::StartDate } else { KeyBlockError::EndDate });
    }
    Ok(changed)
}
