//! The LMK store as a user meets it. What a killed process leaves is tested inside the crate.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use hsm_core::config::{Config, Layers, LmkLoadError};
use hsm_core::lmk::{Lmk, LmkAlgorithm, LmkPair, LmkScheme};
use hsm_core::lmk_store::{
    self, ComponentError, Components, Hardness, LmkKind, LmkRow, StoreError, StoreSecret, StoreWriter, vt_table,
};
use hsm_core::private_file::FileError;
use hsm_core::{ChangeRole, LmkSlots, SecurityModule, Session};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const QUICK: Hardness = Hardness { memory_kib: 64, passes: 1, lanes: 1 };

fn secret() -> StoreSecret {
    StoreSecret::passphrase("correct horse")
}

fn private(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn store(dir: &tempfile::TempDir, fill: impl FnOnce(&mut StoreWriter)) -> PathBuf {
    let path = dir.path().join("new/lmks.hsm");
    let mut store = StoreWriter::create(&path, secret(), QUICK).unwrap();
    fill(&mut store);
    store.save().unwrap();
    path
}

#[test]
fn twenty_lmks_of_all_kinds_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut made = Vec::new();
    let path = store(&dir, |store| {
        for (id, kind) in (0..20).zip(LmkKind::ALL.iter().cycle()) {
            let lmk = kind.generate().unwrap();
            made.push(lmk.clone());
            store.contents.load(id, lmk, id % 2 == 0, &format!("LMK {id} für Tests")).unwrap();
        }
        store.contents.set_default(13).unwrap();
    });
    let read = lmk_store::read(&path, &secret()).unwrap();
    assert_eq!(read.default_id(), 13);
    assert!(read.has_live());
    for ((id, slot), lmk) in read.slots().iter().zip(&made) {
        assert_eq!(*slot.lmk, *lmk);
        assert_eq!(slot.lmk.check_value(), lmk.check_value());
        assert_eq!((slot.live, &slot.comment), (id % 2 == 0, &format!("LMK {id} für Tests")));
    }
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    // No key of any LMK is in the file.
    let file = fs::read(&path).unwrap();
    for lmk in &made {
        let key = lmk.key_block_key().or_else(|| lmk.pair(LmkPair::ZMK)).unwrap();
        assert!(!file.windows(8).any(|window| window == &key.bytes()[..8]));
    }
}

#[test]
fn random_lmks_are_what_they_should_be() {
    for kind in LmkKind::ALL {
        let (a, b) = (kind.generate().unwrap(), kind.generate().unwrap());
        assert_ne!(a, b);
        assert_eq!(LmkKind::of(&a), *kind);
        assert_eq!(a.scheme() == LmkScheme::Variant, kind.is_variant());
        let keys: Vec<_> = match a.key_block_key() {
            Some(key) => vec![key.clone()],
            None => LmkPair::all().map(|pair| a.pair(pair).unwrap().clone()).collect(),
        };
        assert!(keys.iter().all(|key| key.len() == kind.key_len() && key.has_odd_parity()));
        if a.algorithm() != LmkAlgorithm::Aes256 {
            assert!(keys.iter().all(|key| key.bytes()[..8] != key.bytes()[8..16]));
        }
    }
}

#[test]
fn components_combine_in_any_order() {
    let (a, b, c) = ([0x11; 32], [0x2A; 32], std::array::from_fn::<u8, 32, _>(|n| n as u8 * 7));
    for kind in LmkKind::ALL {
        let combine = |parts: &[&[u8; 32]]| {
            let mut components = Components::new(*kind);
            let checks: Vec<_> = parts.iter().map(|part| components.add(&part[..kind.key_len()]).unwrap()).collect();
            (components.combine(), checks)
        };
        let (lmk, checks) = combine(&[&a, &b, &c]);
        let (other, other_checks) = combine(&[&c, &a, &b]);
        let lmk = lmk.unwrap();
        assert_eq!(lmk, other.unwrap());
        assert_eq!(checks, [other_checks[1], other_checks[2], other_checks[0]]);
        assert_eq!(LmkKind::of(&lmk), *kind);
        assert_eq!(combine(&[&a]).0, Err(ComponentError::TooFew));
        assert_eq!(combine(&[&a, &a]).0, Err(ComponentError::Unusable));
        assert_eq!(combine(&[&a, &b]).0.is_ok(), *kind == LmkKind::KeyBlockAes, "equal parts");
        let length = Components::new(*kind).add(&a[..kind.key_len() - 1]).unwrap_err();
        assert_eq!(length, ComponentError::Length { len: kind.key_len() - 1, wanted: kind.key_len() });
        if kind.is_variant() {
            let pairs: Vec<_> = LmkPair::all().map(|pair| lmk.pair(pair).unwrap().bytes().to_vec()).collect();
            assert!((0..20).all(|n| !pairs[..n].contains(&pairs[n])), "all pairs differ");
        }
    }
    // The published AES test LMK is made of itself and zeros that cancel out nothing.
    let test = Lmk::test_keyblock_aes();
    let mut components = Components::new(LmkKind::KeyBlockAes);
    let check = components.add(test.key_block_key().unwrap().bytes()).unwrap();
    assert_eq!(check, [0x9D, 0x04, 0xA0]);
    components.add(&[0; 32]).unwrap();
    assert_eq!(components.combine().unwrap(), test);
}

#[test]
fn an_lmk_changes_and_the_old_one_stays_for_translation() {
    let dir = tempfile::tempdir().unwrap();
    let path = store(&dir, |store| {
        let contents = &mut store.contents;
        contents.load(4, Lmk::test_variant(), false, "first").unwrap();
        contents.load(5, Lmk::test_keyblock_aes(), false, "").unwrap();
        assert_eq!(contents.default_id(), 4);
    });
    let mut writer = StoreWriter::open(&path, secret()).unwrap();
    let contents = &mut writer.contents;
    let second = LmkKind::KeyBlockAes.generate().unwrap();
    contents.change(4, second.clone(), "second").unwrap();
    let slot = &contents.slots()[&4];
    assert_eq!((&*slot.lmk, slot.comment.as_str()), (&second, "second"));
    let change = slot.change.as_ref().unwrap();
    assert_eq!((&*change.lmk, change.role, change.comment.as_str()), (&Lmk::test_variant(), ChangeRole::Old, "first"));

    let refused = |result: Result<(), StoreError>, why: &str| {
        let error = result.unwrap_err();
        assert!(matches!(error, StoreError::Rule(_)) && error.to_string().contains(why), "{error}");
    };
    refused(contents.change(4, LmkKind::KeyBlockAes.generate().unwrap(), ""), "`hsm lmk change 04 --erase` erases it");
    refused(contents.activate(4), "no new LMK waits");
    contents.delete_change(4).unwrap();
    refused(contents.delete_change(4), "holds no LMK");
    refused(contents.change(4, LmkKind::Variant2.generate().unwrap(), ""), "to a variant LMK");
    refused(contents.change(4, second.clone(), ""), "has this LMK already");
    refused(contents.change(9, second.clone(), ""), "no LMK is loaded");
    refused(contents.delete(4), "default LMK");
    refused(contents.set_default(9), "no LMK is loaded");
    refused(contents.load(4, second.clone(), false, ""), "in use");
    refused(contents.load(20, second.clone(), false, ""), "00 to 19");
    refused(contents.load(6, second.clone(), false, "a\nb"), "control characters");
    refused(contents.load(6, second.clone(), false, &"x".repeat(101)), "100 bytes");
    refused(contents.load(6, Lmk::test_keyblock_tdes(), true, ""), "cannot be live");

    // A new LMK waits until it is activated.
    let third = LmkKind::KeyBlockTdes.generate().unwrap();
    contents.load_new(4, third.clone(), "third").unwrap();
    writer.save().unwrap();
    let mut slots = LmkSlots::default();
    lmk_store::read(&path, &secret()).unwrap().load_into(&mut slots);
    assert_eq!((&*slots.slots[&4], slots.change_storage[&4].role), (&second, ChangeRole::New));
    writer.contents.activate(4).unwrap();
    writer.contents.set_default(5).unwrap();
    writer.save().unwrap();
    drop(writer);
    let mut slots = LmkSlots::default();
    lmk_store::read(&path, &secret()).unwrap().load_into(&mut slots);
    assert_eq!((&*slots.slots[&4], slots.info[&4].comment.as_str(), slots.default), (&third, "third", 5));
    let old = &slots.change_storage[&4];
    assert_eq!((&*old.lmk, old.role), (&second, ChangeRole::Old));

    let mut writer = StoreWriter::open(&path, secret()).unwrap();
    writer.contents.delete(4).unwrap();
    writer.contents.delete(5).unwrap();
    writer.save().unwrap();
    assert!(lmk_store::read(&path, &secret()).unwrap().slots().is_empty());
}

#[test]
fn secrets_of_both_kinds() {
    let dir = tempfile::tempdir().unwrap();
    let (key, phrase) = (dir.path().join("key"), dir.path().join("phrase"));
    private(&key, [0u8; 16]);
    private(&phrase, "correct horse\r\nignored");
    let path = store(&dir, |_| {});
    assert!(!lmk_store::wants_key_file(&path).unwrap());
    lmk_store::read(&path, &StoreSecret::passphrase_file(&phrase).unwrap()).unwrap();
    let wrong = lmk_store::read(&path, &StoreSecret::passphrase("correct horsf")).unwrap_err();
    assert!(matches!(wrong, StoreError::Authentication));
    let other_kind = lmk_store::read(&path, &StoreSecret::key_file(&key).unwrap()).unwrap_err();
    assert!(matches!(other_kind, StoreError::SecretKind("passphrase")));

    let mut writer = StoreWriter::open(&path, secret()).unwrap();
    let short = writer.set_secret(StoreSecret::passphrase("horse 7")).unwrap_err();
    assert!(short.to_string().contains("at least 8 characters"), "{short}");
    writer.set_secret(StoreSecret::key_file(&key).unwrap()).unwrap();
    writer.save().unwrap();
    drop(writer);
    assert!(lmk_store::wants_key_file(&path).unwrap());
    lmk_store::read(&path, &StoreSecret::key_file(&key).unwrap()).unwrap();
    assert!(matches!(lmk_store::read(&path, &secret()), Err(StoreError::SecretKind("key file"))));

    private(&key, [0u8; 15]);
    assert!(matches!(StoreSecret::key_file(&key), Err(StoreError::Secret(_))));
    private(&phrase, "\nx");
    assert!(matches!(StoreSecret::passphrase_file(&phrase), Err(StoreError::Secret(_))));
    let short = StoreWriter::create(&dir.path().join("x"), StoreSecret::passphrase("1234567"), QUICK);
    assert!(matches!(short, Err(StoreError::Secret(_))));
    assert!(!format!("{:?}", secret()).contains("horse"));
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = store(&dir, |_| {});
    for mode in [0o640, 0o604, 0o660, 0o644] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = StoreWriter::open(&path, secret()).unwrap_err();
        assert!(matches!(error, StoreError::File(FileError::Permissions { mode: m, .. }) if m == mode), "{error}");
        assert!(error.to_string().contains("chmod 600"));
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(StoreWriter::open(&path, secret()), Err(StoreError::File(FileError::Directory(_)))));
    let missing = lmk_store::read(&dir.path().join("none"), &secret()).unwrap_err();
    assert!(matches!(missing, StoreError::File(FileError::NotFound(_))));
    assert!(matches!(lmk_store::read(dir.path(), &secret()), Err(StoreError::File(FileError::NotAFile(_)))));
    private(&dir.path().join("long"), vec![0; 70_000]);
    let long = lmk_store::read(&dir.path().join("long"), &secret());
    assert!(matches!(long, Err(StoreError::File(FileError::TooLong { .. }))));
}

#[test]
fn a_link_leads_to_the_store_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = store(&dir, |store| store.contents.load(0, Lmk::test_variant(), false, "").unwrap());
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let mut writer = StoreWriter::open(&link, secret()).unwrap();
    writer.contents.load(1, Lmk::test_keyblock_aes(), false, "").unwrap();
    writer.save().unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(lmk_store::read(&path, &secret()).unwrap().slots().len(), 2);
}

#[test]
fn every_write_has_its_own_salt_and_nonce() {
    let dir = tempfile::tempdir().unwrap();
    let path = store(&dir, |_| {});
    let first = fs::read(&path).unwrap();
    StoreWriter::open(&path, secret()).unwrap().save().unwrap();
    let second = fs::read(&path).unwrap();
    assert_ne!(first[20..36], second[20..36]);
    assert_ne!(first[36..48], second[36..48]);
}

#[test]
fn an_emulator_runs_on_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let live = LmkKind::Variant3.generate().unwrap();
    let path = store(&dir, |store| {
        store.contents.load(1, live.clone(), true, "acquirer").unwrap();
        store.contents.load(7, LmkKind::KeyBlockAes.generate().unwrap(), false, "").unwrap();
        store.contents.set_default(7).unwrap();
        store.contents.change(7, Lmk::test_keyblock_tdes(), "").unwrap();
    });
    let config = |flags: &[(&'static str, &str)]| -> Config {
        let mut flags: Vec<_> = flags.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        flags.push(("lmk_store", path.display().to_string()));
        Layers { flags, ..Layers::default() }.resolve(|_| None).unwrap().config
    };
    let ask = |_: &Path, key_file: bool| if key_file { Err("a passphrase is enough") } else { Ok(secret()) };
    assert!(matches!(config(&[]).load_lmks(ask), Err(LmkLoadError::Live(_))));
    // The test LMKs are there beside the store only if that is said.
    let slots = config(&[("allow_live_lmk", "true")]).load_lmks(ask).unwrap();
    assert_eq!(slots.slots.keys().collect::<Vec<_>>(), [&1, &7]);
    let allowed = config(&[("allow_live_lmk", "true"), ("lmks", "00=test-variant,01=test-aes,02=test-tdes")]);
    assert!(matches!(allowed.load_lmks(|_, _| Err("nobody")), Err(LmkLoadError::Secret("nobody"))));
    let slots = allowed.load_lmks(ask).unwrap();
    assert_eq!((slots.default, *slots.slots[&0] == Lmk::test_variant(), *slots.slots[&1] == live), (7, true, true));

    let module = allowed.module(slots).unwrap();
    let (rows, change) = LmkRow::of_module(&module);
    let table = vt_table(&rows, &change);
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1], ["ID", "Authorized", "Scheme", "Algorithm", "Status", "Check", "Comments"]);
    assert_eq!(lines[2], ["00", "Yes(11H,11C)", "Variant", "3DES(2key)", "Test", "268604"]);
    assert_eq!([lines[3][3], lines[3][4], lines[3][6]], ["3DES(3key)", "Live", "acquirer"]);
    assert_eq!(lines[5][..5], ["07", "Yes(11H,11C)", "KeyBlock", "3DES(3key)", "Test"]);
    assert_eq!(lines[9][..5], ["07", "-", "KeyBlock", "AES-256", "Old"]);

    let mut session = Session::new(module);
    session.begin(*b"NC", None);
    use hsm_plugin_sdk::abi::BaseOps;
    assert_eq!(&session.lmk_check_value().unwrap()[..6], b"AE4E19");

    let only = config(&[("allow_live_lmk", "1"), ("lmks", ""), ("default_lmk", "1")]);
    let slots = only.load_lmks(ask).unwrap();
    assert_eq!((slots.slots.keys().copied().collect::<Vec<_>>(), slots.default), (vec![1, 7], 1));
}

/// Where the system lets a process lock memory and tells how much.
#[test]
fn lmks_are_locked_into_memory() {
    let number = |file: &str, line: &str| {
        let text = fs::read_to_string(file).ok()?;
        let words = text.lines().find_map(|l| l.strip_prefix(line))?.split_whitespace().next()?.to_owned();
        Some(if words == "unlimited" { u64::MAX } else { words.parse().ok()? })
    };
    let _module = SecurityModule::with_test_lmks();
    if number("/proc/self/limits", "Max locked memory").is_some_and(|limit| limit >= 64 * 1024) {
        assert!(number("/proc/self/status", "VmLck:").is_some_and(|locked| locked > 0));
    }
}

#[test]
fn a_table_without_lmks_says_so() {
    let text = vt_table(&[], &[]);
    assert_eq!(text, "LMK table:\nNo LMKs loaded\n\nKey change storage table:\nNo keys loaded in key change storage\n");
}
