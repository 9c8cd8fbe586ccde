//! The authorised state: activities as text, per LMK, time limits, both models, persistence and audit.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use hsm_core::authorisation::{
    Activity, ActivityError, AuditEvent, AuditHook, Category, Interface, PersistenceError, Term,
};
use hsm_core::lmk::Lmk;
use hsm_core::{Clock, LmkSlots, SecurityModule, Settings};
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

#[derive(Clone)]
struct FakeClock(Arc<Mutex<SystemTime>>);

impl FakeClock {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))))
    }

    fn pass(&self, seconds: u64) {
        *self.0.lock().unwrap() += Duration::from_secs(seconds);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

#[derive(Default)]
struct Audit(Mutex<Vec<String>>);

impl AuditHook for Audit {
    fn record(&self, event: &AuditEvent) {
        let action = String::from_utf8_lossy(&event.action).into_owned();
        self.0.lock().unwrap().push(format!("{action} {:02} {}", event.lmk, event.activity));
    }
}

impl Audit {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn strict() -> Settings {
    Settings { authorise_all: false, ..Settings::default() }
}

fn module(settings: Settings) -> (SecurityModule, FakeClock, Arc<Audit>) {
    let clock = FakeClock::new();
    let slots = [(0, Arc::new(Lmk::test_variant())), (1, Arc::new(Lmk::test_keyblock_aes()))].into();
    let lmks = LmkSlots { slots, ..LmkSlots::default() };
    let module = SecurityModule::with_seed(lmks, settings, [7; 32], Arc::new(clock.clone()));
    let audit = Arc::new(Audit::default());
    module.set_audit_hook(audit.clone());
    (module, clock, audit)
}

fn activity(text: &str) -> Activity {
    text.parse().unwrap()
}

#[test]
fn activities_as_people_write_them() {
    for (text, full) in [
        ("gen.zmk.con:25", "generate.000.console:25"),
        ("p.c.h", "pin.clear.host"),
        ("pin.ex", "pin.excluded"),
        ("pin.a.h", "pin.algorithm.host"),
        ("export..host", "export..host"),
        ("EXPORT.001.HOST:P", "export.001.host:p"),
        ("expo", "export"),
        ("gen", "generate"),
        ("genp.zpk", "genprint.001"),
        ("comp.2", "?"),
        ("command.TA", "command.ta"),
        ("comm.ra.h:1", "command.ra.host:1"),
        ("diag", "diag"),
        ("diag.host", "diag.host"),
        ("audit.h", "audit.host"),
        ("misc.console", "misc.console"),
        ("im.rsa", "import.rsa"),
        ("eckai.K1.host", "eckai.k1.host"),
        ("generate.tpk", "generate.tpk"),
        ("export.host", "export..host"),
        ("all", "all"),
        ("ALL:525600", "all:525600"),
        ("e", "?"),
        ("co", "?"),
        ("a", "?"),
        ("", "?"),
        ("export.50E", "export.50e"),
        ("export.ECC", "export.ecc"),
        ("import.M7", "import.m7"),
        ("genprint.52.host", "genprint.52.host"),
        ("export.999.host", "?"),
        ("export.A01", "?"),
        ("export.FFF", "?"),
        ("export.ZZ", "?"),
        ("export.ZKP", "?"),
        ("export.0000", "?"),
        ("export.001.h.x", "?"),
        ("export.001.x", "?"),
        ("export:0", "?"),
        ("export:525601", "?"),
        ("export:", "?"),
        ("export:+5", "?"),
        ("all.host", "?"),
        ("pin.x", "?"),
        ("command.tal", "?"),
        ("diag.x", "?"),
        ("diag.host.host", "?"),
        ("export.ÄÄ", "?"),
    ] {
        let shown = text.parse::<Activity>().map_or("?".to_owned(), |activity| activity.to_string());
        assert_eq!(shown, full, "{text}");
    }
    let parsed = activity("gen.zmk.con:25");
    assert_eq!(parsed.category, Some(Category::Generate));
    assert_eq!((parsed.interface, parsed.term), (Some(Interface::Console), Term::Minutes(25)));
}

proptest! {
    #[test]
    fn any_text_is_an_activity_or_an_error(text in "[a-z0-9.:;%\u{0}-\u{ff}]{0,70}") {
        if let Ok(activity) = text.parse::<Activity>() {
            prop_assert_eq!(activity.to_string().parse::<Activity>(), Ok(activity));
        }
        let _ = SecurityModule::with_test_lmks().is_authorised(0, &text);
    }
}

#[test]
fn an_activity_covers_what_it_names_and_nothing_else() {
    let (module, ..) = module(strict());
    let needs =
        ["export.000.host", "export.001.host", "export.rsa.console", "import.000.host", "diag.host", "pin.clear.host"];
    for (granted, covered) in [
        ("export", vec![0, 1, 2]),
        ("export..host", vec![0, 1]),
        ("export.zmk", vec![0]),
        ("export.001.console", vec![]),
        ("diag", vec![4]),
        ("diag.console", vec![]),
        ("pin", vec![5]),
        ("all", vec![0, 1, 2, 3, 5]),
    ] {
        module.authorise(0, &activity(granted)).unwrap();
        for (n, need) in needs.iter().enumerate() {
            assert_eq!(module.is_authorised(0, need), covered.contains(&n), "{granted}: {need}");
            assert!(!module.is_authorised(1, need), "another LMK");
        }
        assert_eq!(module.cancel_authorisation(0, Some(&[activity(granted)])), 1, "{granted}");
        assert!(needs.iter().all(|need| !module.is_authorised(0, need)));
    }
    assert!(!module.is_authorised(0, "no such activity"));
}

/// Whatever the code asks for can be authorised by name.
#[test]
fn every_activity_that_is_asked_for_can_be_named() {
    let sources = [
        include_str!("../src/session/emv.rs"),
        include_str!("../src/session/lmk_pins.rs"),
        include_str!("../src/session/pin_choice.rs"),
        include_str!("../src/session/verify.rs"),
    ];
    let asked: Vec<&str> = sources
        .iter()
        .flat_map(|source| {
            ["authorised(\"", "require_named(\""].into_iter().flat_map(|call| source.split(call).skip(1))
        })
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(asked.contains(&"pin.clear.host") && asked.contains(&"diag.host"), "{asked:?}");
    for name in asked {
        let (module, ..) = module(strict());
        module.authorise(0, &activity(name)).unwrap();
        assert!(module.is_authorised(0, name), "{name}");
    }
}

#[test]
fn names_mean_the_type_that_the_settings_say() {
    for separate_002 in [false, true] {
        let (module, ..) = module(Settings { separate_002, ..strict() });
        module.authorise(0, &activity("export.tpk")).unwrap();
        assert!(module.is_authorised(0, "export.tpk.host"));
        assert_eq!(module.is_authorised(0, "export.002.host"), !separate_002);
        assert_eq!(module.is_authorised(0, "export.70d.host"), separate_002);
    }
}

#[test]
fn time_limits_end_and_are_audited() {
    let (module, clock, audit) = module(strict());
    module.authorise(0, &activity("export..host:10")).unwrap();
    module.authorise(1, &activity("export..host")).unwrap();
    assert_eq!(audit.take(), ["AA 00 export..host:10", "AA 01 export..host"]);
    clock.pass(599);
    module.expire_authorisation();
    assert!(module.is_authorised(0, "export.000.host"));
    clock.pass(1);
    assert!(!module.is_authorised(0, "export.000.host"), "without anybody having looked");
    assert!(module.is_authorised(1, "export.000.host"));
    assert_eq!(audit.take(), [""; 0]);
    module.expire_authorisation();
    module.expire_authorisation();
    assert_eq!(audit.take(), ["AT 00 export..host:10"]);
    // What is over is not cancelled.
    module.authorise(0, &activity("pin:1")).unwrap();
    clock.pass(60);
    assert_eq!(module.cancel_authorisation(0, None), 0);
}

#[test]
fn the_same_activity_again_takes_the_new_time() {
    let (module, clock, _) = module(strict());
    module.authorise(0, &activity("export:1")).unwrap();
    module.authorise(0, &activity("export:10")).unwrap();
    clock.pass(120);
    assert!(module.is_authorised(0, "export.000.host"));
    module.authorise(0, &activity("export:1")).unwrap();
    clock.pass(61);
    assert!(!module.is_authorised(0, "export.000.host"));
}

#[test]
fn an_activity_is_cancelled_by_its_original_time_limit() {
    let (module, _, audit) = module(strict());
    module.authorise(0, &activity("export..host:10")).unwrap();
    audit.take();
    for other in ["export..host", "export..host:11", "export:10", "export..host:p"] {
        assert_eq!(module.cancel_authorisation(0, Some(&[activity(other)])), 0, "{other}");
    }
    assert_eq!(module.cancel_authorisation(1, None), 0);
    assert_eq!(module.cancel_authorisation(0, Some(&[activity("export..host:10")])), 1);
    assert_eq!(audit.take(), ["AC 00 export..host:10"]);
}

#[test]
fn what_is_authorised_from_the_start_can_be_cancelled_and_given_back() {
    let (module, ..) = module(Settings::default());
    assert!(module.is_authorised(0, "export.000.host") && !module.is_authorised(0, "diag.host"));
    module.cancel_authorisation(0, Some(&[activity("export")]));
    assert!(!module.is_authorised(0, "export.000.host") && module.is_authorised(0, "import.000.host"));
    assert!(module.is_authorised(1, "export.000.host"));
    // Eleven categories were authorised, one has gone already.
    assert_eq!(module.cancel_authorisation(0, None), 10);
    assert!(!module.is_authorised(0, "import.000.host"));
    module.authorise(0, &activity("all")).unwrap();
    assert!(module.is_authorised(0, "import.000.host") && !module.is_authorised(0, "diag.host"));
}

#[test]
fn one_authorised_state_for_all() {
    let (module, clock, audit) = module(Settings { multiple_activities: false, ..strict() });
    assert_eq!(module.authorise(0, &activity("export")), Err(ActivityError::SingleModel));
    for free in ["import.001.host", "generate.001.host"] {
        assert!(module.is_authorised(0, free), "{free}");
    }
    let needing = [
        "generate.000.host",
        "import.000.host",
        "export.001.host",
        "component.001.host",
        "pin.clear.host",
        "diag.host",
    ];
    assert!(needing.iter().all(|need| !module.is_authorised(0, need)));
    module.authorise(0, &activity("all:5")).unwrap();
    assert!(needing.iter().all(|need| module.is_authorised(0, need)));
    clock.pass(300);
    assert!(needing.iter().all(|need| !module.is_authorised(0, need)));
    module.authorise(0, &activity("all")).unwrap();
    // Whatever is named, the one state goes.
    assert_eq!(module.cancel_authorisation(0, Some(&[activity("pin")])), 1);
    assert!(needing.iter().all(|need| !module.is_authorised(0, need)));
    assert_eq!(audit.take(), ["A1 00 all:5", "A1 00 all", "A0 00 all"]);
}

#[test]
fn counts_for_the_lmk_table() {
    let (module, clock, _) = module(strict());
    for text in ["export..host", "pin.clear", "misc.console:1"] {
        module.authorise(0, &activity(text)).unwrap();
    }
    let counts = || module.authorisation().counts(0, &module.settings(), module.now());
    assert_eq!(counts(), (2, 2));
    clock.pass(60);
    assert_eq!(counts(), (2, 1));
}

#[test]
fn more_activities_than_anybody_needs_are_refused() {
    let (module, ..) = module(strict());
    let mut done = 0;
    for code in (0..36 * 36).map(|n: u32| [n / 36, n % 36].map(|d| char::from_digit(d, 36).unwrap())) {
        match module.authorise(0, &activity(&format!("command.{}{}", code[0], code[1]))) {
            Ok(()) => done += 1,
            Err(error) => assert_eq!(error, ActivityError::TooMany),
        }
    }
    assert_eq!(done, 256);
}

#[test]
fn persistent_activities_outlive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state/authorised");
    let (first, ..) = module(strict());
    first.persist_authorisation(file.clone()).unwrap();
    assert!(!file.exists());
    first.authorise(1, &activity("export..host:p")).unwrap();
    first.authorise(0, &activity("pin.clear:p")).unwrap();
    first.authorise(0, &activity("diag")).unwrap();
    first.flush();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let (second, ..) = module(strict());
    second.persist_authorisation(file.clone()).unwrap();
    assert!(second.is_authorised(1, "export.000.host") && second.is_authorised(0, "pin.clear.host"));
    assert!(!second.is_authorised(0, "export.000.host") && !second.is_authorised(0, "diag.host"));
    second.cancel_authorisation(1, None);
    // The last change is saved at the latest when the module goes.
    drop(second);

    let (third, ..) = module(strict());
    third.persist_authorisation(file.clone()).unwrap();
    assert!(!third.is_authorised(1, "export.000.host") && third.is_authorised(0, "pin.clear.host"));

    // A file that others may write, or that says something else, authorises nothing.
    let good = fs::read_to_string(&file).unwrap();
    for bad in [
        "00 pin.clear\n",
        "20 pin:p\n",
        "pin:p\n",
        "0 pin:p x\n",
        "00 2686047444912422 pin\n",
        "00 268604744491242 pin:p\n",
        "00 26860474449124 pin:p\n",
        "\u{ff}\n",
    ] {
        fs::write(&file, good.clone() + bad).unwrap();
        let (fourth, ..) = module(strict());
        let error = fourth.persist_authorisation(file.clone()).unwrap_err();
        assert!(matches!(error, PersistenceError::Line { line: 3 }), "{bad:?}: {error}");
        assert!(!fourth.is_authorised(0, "pin.clear.host"));
    }
    fs::write(&file, good).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let (fifth, ..) = module(strict());
    assert!(matches!(fifth.persist_authorisation(file), Err(PersistenceError::File(_))));
    assert!(!fifth.is_authorised(0, "pin.clear.host"));
}

fn slots(lmks: &[(u8, Lmk)]) -> LmkSlots {
    LmkSlots { slots: lmks.iter().map(|(id, lmk)| (*id, Arc::new(lmk.clone()))).collect(), ..LmkSlots::default() }
}

#[test]
fn what_was_authorised_for_an_lmk_ends_with_it() {
    let (module, clock, audit) = module(Settings { authorise_all: true, ..strict() });
    module.set_lmks(slots(&[(0, Lmk::test_variant()), (1, Lmk::test_keyblock_aes()), (5, Lmk::test_keyblock_tdes())]));
    for id in [0, 1, 5] {
        module.cancel_authorisation(id, None);
        module.authorise(id, &activity("export..host")).unwrap();
    }
    module.authorise(1, &activity("pin:1")).unwrap();
    clock.pass(60);
    audit.take();
    // 00 stays, 01 is another one, 05 goes.
    module.set_lmks(slots(&[(0, Lmk::test_variant()), (1, Lmk::test_keyblock_tdes())]));
    assert_eq!(audit.take(), ["AC 01 export..host", "AC 05 export..host"]);
    assert!(module.is_authorised(0, "export.000.host") && !module.is_authorised(0, "pin.clear.host"));
    assert!(module.is_authorised(1, "pin.clear.host"), "another LMK begins as the settings say");
    module.set_settings(strict());
    assert!(!module.is_authorised(1, "export.000.host"));
    module.set_lmks(slots(&[(5, Lmk::test_keyblock_tdes())]));
    assert!(!module.is_authorised(5, "export.000.host"), "an LMK that comes back");
}

#[test]
fn persistent_activities_are_those_of_their_lmk() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("authorised");
    let start = |id: u8, lmk: Lmk| {
        let module = SecurityModule::new(slots(&[(id, lmk)]), strict());
        module.persist_authorisation(file.clone()).unwrap();
        module
    };
    let authorised = |module: &SecurityModule| module.is_authorised(5, "export.001.host");
    let first = start(5, Lmk::test_keyblock_aes());
    first.authorise(5, &activity("export:p")).unwrap();
    first.flush();
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().last(), Some("05 9D04A00000000000 export:p"));
    drop(first);
    assert!(authorised(&start(5, Lmk::test_keyblock_aes())));
    assert!(!authorised(&start(5, Lmk::test_keyblock_tdes())), "another LMK");
    assert!(!authorised(&start(4, Lmk::test_keyblock_aes())), "an empty slot");
    // As earlier versions wrote it: for whichever LMK was there.
    fs::write(&file, "05 export:p\n").unwrap();
    assert!(!authorised(&start(5, Lmk::test_keyblock_aes())));
    // Another LMK while the module runs: the activity leaves the file, too.
    fs::write(&file, text).unwrap();
    let running = start(5, Lmk::test_keyblock_aes());
    running.set_lmks(slots(&[(5, Lmk::test_keyblock_tdes())]));
    drop(running);
    assert!(!fs::read_to_string(&file).unwrap().contains("export"));
    assert!(!authorised(&start(5, Lmk::test_keyblock_aes())));
}

#[test]
fn several_activities_are_authorised_together_or_not_at_all() {
    let (many, _, audit) = module(strict());
    let commands: Vec<Activity> = (0..256).map(|n| activity(&format!("command.{n:02x}"))).collect();
    many.authorise_all(0, &commands[1..]).unwrap();
    assert_eq!(audit.take().len(), 255);
    let two = [activity("export"), activity("pin.clear")];
    assert_eq!(many.authorise_all(0, &two), Err((1, ActivityError::TooMany)));
    assert!(!many.is_authorised(0, "export.000.host"));
    assert_eq!(audit.take(), [""; 0]);
    let (single, ..) = module(Settings { multiple_activities: false, ..strict() });
    assert_eq!(single.authorise_all(0, &[activity("all"), activity("pin")]), Err((1, ActivityError::SingleModel)));
    assert!(!single.is_authorised(0, "pin.clear.host"));
}
