//! The LMK table, as the device shows it (host.md 8, console command VT).

use super::{StoredLmk, StoredLmks};
use crate::lmk::{Lmk, LmkAlgorithm, LmkScheme};
use crate::module::ChangeRole;
use std::sync::Arc;

/// One line of the LMK table (console command VT).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LmkRow {
    /// Identifier, two digits.
    pub id: String,
    /// `No`, or `Yes` with the number of authorised activities at host and console; `-` for a store that no emulator runs on.
    pub authorised: String,
    /// `Variant` or `KeyBlock`.
    pub scheme: &'static str,
    /// `3DES(2key)`, `3DES(3key)` or `AES-256`.
    pub algorithm: &'static str,
    /// `Live` or `Test`; `Old` or `New` in key change storage.
    pub status: &'static str,
    /// Six digits of the check value.
    pub check: String,
    /// The comment.
    pub comment: String,
}

impl LmkRow {
    /// The line of an LMK.
    #[must_use]
    pub fn new(id: u8, lmk: &Lmk, status: &'static str, authorised: &str, comment: &str) -> Self {
        Self {
            id: format!("{id:02}"),
            authorised: authorised.to_owned(),
            scheme: match lmk.scheme() {
                LmkScheme::Variant => "Variant",
                LmkScheme::KeyBlock => "KeyBlock",
            },
            algorithm: match lmk.algorithm() {
                LmkAlgorithm::Tdes2 => "3DES(2key)",
                LmkAlgorithm::Tdes3 => "3DES(3key)",
                LmkAlgorithm::Aes256 => "AES-256",
            },
            status,
            check: crate::hex::encode(lmk.check_value().get(..3).unwrap_or_default()),
            comment: comment.to_owned(),
        }
    }

    /// The lines of a store: its LMKs, and its key change storage.
    #[must_use]
    pub fn of_store(store: &StoredLmks) -> (Vec<Self>, Vec<Self>) {
        let row = |(id, slot): (&u8, &StoredLmk)| Self::new(*id, &slot.lmk, status(slot.live), "-", &slot.comment);
        let change = store.slots.iter().filter_map(|(id, slot)| {
            let entry = slot.change.as_ref()?;
            Some(Self::new(*id, &entry.lmk, role(entry.role), "-", &entry.comment))
        });
        (store.slots.iter().map(row).collect(), change.collect())
    }

    /// The lines of a running module: its LMKs, and its key change storage.
    #[must_use]
    pub fn of_module(module: &crate::SecurityModule) -> (Vec<Self>, Vec<Self>) {
        let (lmks, settings, authorisation) = (module.lmks(), module.settings(), module.authorisation());
        let row = |(id, lmk): (&u8, &Arc<Lmk>)| {
            let info = lmks.info.get(id).cloned().unwrap_or_default();
            let authorised = match authorisation.counts(*id, &settings, module.now()) {
                (0, 0) => "No".to_owned(),
                (host, console) => format!("Yes({host}H,{console}C)"),
            };
            Self::new(*id, lmk, status(info.live), &authorised, &info.comment)
        };
        let change = lmks.change_storage.iter();
        let change = change.map(|(id, entry)| Self::new(*id, &entry.lmk, role(entry.role), "-", ""));
        (lmks.slots.iter().map(row).collect(), change.collect())
    }

    /// The cells, in the order of [`HEAD`](Self::HEAD).
    #[must_use]
    pub fn cells(&self) -> [&str; 7] {
        [&self.id, &self.authorised, self.scheme, self.algorithm, self.status, &self.check, &self.comment]
    }

    /// The table's column heads.
    pub const HEAD: [&str; 7] = ["ID", "Authorized", "Scheme", "Algorithm", "Status", "Check", "Comments"];
}

fn status(live: bool) -> &'static str {
    if live { "Live" } else { "Test" }
}

fn role(role: ChangeRole) -> &'static str {
    match role {
        ChangeRole::Old => "Old",
        ChangeRole::New => "New",
    }
}

/// The LMK table and the table of key change storage as text, laid out as the device's (host.md 8).
#[must_use]
pub fn vt_table(lmks: &[LmkRow], change: &[LmkRow]) -> String {
    let mut text = lmk_table(lmks);
    table(&mut text, "\nKey change storage table", change, "No keys loaded in key change storage");
    text
}

/// The LMK table alone.
#[must_use]
pub fn lmk_table(lmks: &[LmkRow]) -> String {
    let mut text = String::new();
    table(&mut text, "LMK table", lmks, "No LMKs loaded");
    text
}

fn table(text: &mut String, title: &str, rows: &[LmkRow], none: &str) {
    text.push_str(title);
    text.push_str(":\n");
    if rows.is_empty() {
        text.push_str(none);
        text.push('\n');
        return;
    }
    let mut widths = LmkRow::HEAD.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row.cells()) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for cells in core::iter::once(LmkRow::HEAD).chain(rows.iter().map(LmkRow::cells)) {
        let line: String = cells.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}  ")).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
}
