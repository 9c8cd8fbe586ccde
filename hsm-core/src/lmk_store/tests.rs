use super::*;
use crate::private_file::fault::{self, STEPS};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::RwLock;

const QUICK: Hardness = Hardness { memory_kib: 64, passes: 1, lanes: 1 };
const STORE: &str = "HSM_TEST_STORE";

/// A process that is being started holds the locks of this one for a moment: nobody else may need one meanwhile.
static STARTING: RwLock<()> = RwLock::new(());

fn secret() -> StoreSecret {
    StoreSecret::passphrase("correct horse")
}

fn new_store(dir: &tempfile::TempDir) -> PathBuf {
    let path = dir.path().join("lmks.hsm");
    let mut store = StoreWriter::create(&path, secret(), QUICK).unwrap();
    store.contents.load(3, Lmk::test_variant(), false, "the old one").unwrap();
    store.save().unwrap();
    path
}

/// What the tests below do to a store.
fn rotate(path: &Path) -> Result<(), StoreError> {
    let mut store = StoreWriter::open(path, secret())?;
    store.contents.change(3, Lmk::test_keyblock_aes(), "the new one")?;
    store.save()
}

/// The LMK of slot 03, after making sure that the store is a whole one: old or new.
fn comment_of(path: &Path) -> String {
    let contents = read(path, &secret()).unwrap();
    let slot = &contents.slots()[&3];
    match slot.comment.as_str() {
        "the old one" => assert_eq!((&*slot.lmk, &slot.change), (&Lmk::test_variant(), &None)),
        _ => {
            assert_eq!(*slot.lmk, Lmk::test_keyblock_aes());
            assert_eq!(*slot.change.as_ref().unwrap().lmk, Lmk::test_variant());
        }
    }
    slot.comment.clone()
}

#[test]
fn a_write_that_fails_at_any_step_leaves_old_or_new() {
    let _nobody_starts = STARTING.read();
    for step in STEPS {
        let dir = tempfile::tempdir().unwrap();
        let path = new_store(&dir);
        let before = fs::read(&path).unwrap();
        fault::FAIL_AT.set(step);
        let result = rotate(&path);
        fault::FAIL_AT.set("");
        assert!(matches!(result, Err(StoreError::File(FileError::Io { .. }))), "{step}: {result:?}");
        let replaced = matches!(step, "sync directory" | "done");
        assert_eq!(fs::read(&path).unwrap() == before, !replaced, "{step}");
        assert_eq!(comment_of(&path), if replaced { "the new one" } else { "the old one" }, "{step}");
        // The next change is not in the way of what was left.
        let mut store = StoreWriter::open(&path, secret()).unwrap();
        store.contents.set_default(3).unwrap();
        store.save().unwrap();
    }
}

/// Not a test by itself: the process that the test below kills.
#[test]
fn victim() {
    if let Some(path) = std::env::var_os(STORE) {
        rotate(Path::new(&path)).unwrap();
    }
}

#[test]
fn a_process_that_dies_at_any_step_leaves_old_or_new() {
    let _alone = STARTING.write();
    for step in STEPS.iter().chain(&["never"]) {
        let dir = tempfile::tempdir().unwrap();
        let path = new_store(&dir);
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "lmk_store::tests::victim", "--nocapture"])
            .env(STORE, &path)
            .env(fault::DIE_AT, step)
            .output()
            .unwrap()
            .status;
        assert_eq!(status.success(), *step == "never", "{step}: {status}");
        let replaced = matches!(*step, "sync directory" | "done" | "never");
        assert_eq!(comment_of(&path), if replaced { "the new one" } else { "the old one" }, "{step}");
        if !replaced {
            rotate(&path).unwrap();
            assert_eq!(comment_of(&path), "the new one");
        }
    }
}

#[test]
fn every_changed_byte_is_noticed_and_nothing_is_written() {
    let _nobody_starts = STARTING.read();
    let dir = tempfile::tempdir().unwrap();
    let path = new_store(&dir);
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        let error = StoreWriter::open(&path, secret()).err();
        let expected = match at {
            0..8 => matches!(error, Some(StoreError::Foreign(_))),
            8..10 => matches!(error, Some(StoreError::Version(_))),
            10 => matches!(error, Some(StoreError::SecretKind("key file"))),
            // Parameters that are still possible give another key.
            11..20 => matches!(error, Some(StoreError::Damaged(_) | StoreError::Authentication)),
            20..48 => matches!(error, Some(StoreError::Authentication)),
            48..52 => matches!(error, Some(StoreError::Damaged(_))),
            _ => matches!(error, Some(StoreError::Authentication)),
        };
        assert!(expected, "byte {at}: {error:?}");
        assert_eq!(fs::read(&path).unwrap(), bad, "byte {at}");
    }
    for len in 0..good.len() {
        fs::write(&path, &good[..len]).unwrap();
        assert!(read(&path, &secret()).is_err(), "{len} bytes");
    }
    fs::write(&path, [&good[..], b"x"].concat()).unwrap();
    assert!(matches!(read(&path, &secret()), Err(StoreError::Damaged(_))));
}

#[test]
fn a_foreign_file_is_never_replaced() {
    let _nobody_starts = STARTING.read();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    fs::write(&path, "milk, bread").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(StoreWriter::create(&path, secret(), QUICK), Err(StoreError::Exists(_))));
    assert!(matches!(StoreWriter::open(&path, secret()), Err(StoreError::Foreign(_))));
    assert_eq!(fs::read(&path).unwrap(), b"milk, bread");
    // Nor one that appears while a store is being made or changed.
    let path = dir.path().join("lmks.hsm");
    let mut store = StoreWriter::create(&path, secret(), QUICK).unwrap();
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(store.save(), Err(StoreError::Replaced)));
    assert_eq!(fs::read(&path).unwrap(), b"");
}

#[test]
fn one_writer_at_a_time() {
    let _nobody_starts = STARTING.read();
    let dir = tempfile::tempdir().unwrap();
    let path = new_store(&dir);
    let first = StoreWriter::open(&path, secret()).unwrap();
    assert!(matches!(StoreWriter::open(&path, secret()), Err(StoreError::File(FileError::Locked(_)))));
    read(&path, &secret()).unwrap();
    drop(first);
    StoreWriter::open(&path, secret()).unwrap();
}

#[test]
fn contents_that_make_no_sense_are_refused() {
    let mut store = StoredLmks::default();
    for (id, kind) in (0..).zip(LmkKind::ALL) {
        store.load(id, kind.generate().unwrap(), true, kind.as_str()).unwrap();
    }
    store.load_new(0, LmkKind::KeyBlockAes.generate().unwrap(), "next").unwrap();
    let good = contents::encode(&store);
    assert_eq!(contents::decode(&good), Some(store));
    for len in 0..good.len() {
        assert!(contents::decode(&good[..len]).is_none(), "{len}");
    }
    assert!(contents::decode(&[&good[..], &[0]].concat()).is_none());
    assert!(contents::decode(&[5, 0]).is_some());
    assert!(contents::decode(&[9, good[1]].iter().chain(&good[2..]).copied().collect::<Vec<_>>()).is_none());
    assert!(contents::decode(&[0, 1, 20, 0, 0, 3]).is_none());
}
