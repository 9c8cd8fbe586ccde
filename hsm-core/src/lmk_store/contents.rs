//! The decrypted contents of a store as bytes: default identifier, number of slots, slots.
//!
//! A slot is identifier, status (0 test, 1 live), comment, LMK, and its entry in key change storage: 0 for none, or 1 old or 2 new,
//! comment and LMK. A comment is its length and UTF-8. An LMK is its kind and its key or pairs.

use super::{LmkKind, StoredChange, StoredLmk, StoredLmks, check_comment, take};
use crate::clear_key::ClearKey;
use crate::lmk::{Lmk, LmkPair};
use crate::module::{ChangeRole, MAX_LMK_ID};
use std::sync::Arc;
use zeroize::Zeroizing;

pub(super) fn encode(contents: &StoredLmks) -> Zeroizing<Vec<u8>> {
    // Room for the longest: growing would leave copies behind.
    let mut out = Zeroizing::new(Vec::with_capacity(2 + contents.slots.len() * 2 * (4 + 255 + 1 + 20 * 24)));
    out.push(contents.default);
    out.push(contents.slots.len() as u8);
    for (id, slot) in &contents.slots {
        out.push(*id);
        out.push(u8::from(slot.live));
        put_comment(&slot.comment, &mut out);
        put_lmk(&slot.lmk, &mut out);
        match &slot.change {
            None => out.push(0),
            Some(entry) => {
                out.push(if entry.role == ChangeRole::Old { 1 } else { 2 });
                put_comment(&entry.comment, &mut out);
                put_lmk(&entry.lmk, &mut out);
            }
        }
    }
    out
}

pub(super) fn decode(bytes: &[u8]) -> Option<StoredLmks> {
    let mut rest = bytes;
    let [default, count] = take(&mut rest)?;
    let mut contents = StoredLmks { default, ..StoredLmks::default() };
    for _ in 0..count {
        let [id, live] = take(&mut rest)?;
        if id > MAX_LMK_ID || live > 1 {
            return None;
        }
        let (comment, lmk) = (comment(&mut rest)?, lmk(&mut rest)?);
        let change = match take(&mut rest)? {
            [0] => None,
            [role @ (1 | 2)] => {
                let role = if role == 1 { ChangeRole::Old } else { ChangeRole::New };
                let (comment, lmk) = (self::comment(&mut rest)?, self::lmk(&mut rest)?);
                Some(StoredChange { role, lmk, comment })
            }
            _ => return None,
        };
        if contents.slots.insert(id, StoredLmk { lmk, live: live == 1, comment, change }).is_some() {
            return None;
        }
    }
    let default_exists = contents.slots.is_empty() || contents.slots.contains_key(&default);
    (rest.is_empty() && default_exists).then_some(contents)
}

fn put_comment(comment: &str, out: &mut Vec<u8>) {
    // Whoever set it made sure that it is short.
    out.push(comment.len() as u8);
    out.extend_from_slice(comment.as_bytes());
}

fn comment(rest: &mut &[u8]) -> Option<String> {
    let [len] = take(rest)?;
    let (text, tail) = rest.split_at_checked(usize::from(len))?;
    *rest = tail;
    let text = core::str::from_utf8(text).ok()?;
    check_comment(text).ok()?;
    Some(text.to_owned())
}

fn put_lmk(lmk: &Lmk, out: &mut Vec<u8>) {
    out.push(LmkKind::of(lmk) as u8);
    match lmk.key_block_key() {
        Some(key) => out.extend_from_slice(key.bytes()),
        None => {
            for key in LmkPair::all().filter_map(|pair| lmk.pair(pair)) {
                out.extend_from_slice(key.bytes());
            }
        }
    }
}

fn lmk(rest: &mut &[u8]) -> Option<Arc<Lmk>> {
    let [kind] = take(rest)?;
    let kind = LmkKind::ALL.iter().find(|k| **k as u8 == kind)?;
    let mut key = || {
        let (key, tail) = rest.split_at_checked(kind.key_len())?;
        *rest = tail;
        let made = if *kind == LmkKind::KeyBlockAes { ClearKey::aes(key) } else { ClearKey::des(key) };
        made.ok()
    };
    let lmk = if kind.is_variant() {
        Lmk::variant(LmkPair::all().map(|_| key()).collect::<Option<Vec<_>>>()?)
    } else {
        Lmk::key_block(key()?)
    };
    lmk.ok().map(Arc::new)
}
