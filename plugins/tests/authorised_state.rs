//! RA, and what the authorised state and the LMK of the port mean for commands.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use hsm_core::{LmkSlots, SecurityModule, Session, Settings};
use proptest::prelude::*;

fn command(code: &[u8; 2]) -> &'static hsm_plugin_sdk::Command {
    hsm_plugins::COMMANDS.iter().find(|command| command.code == *code).unwrap()
}

fn send_on(session: &mut Session, port: Option<u8>, message: &[u8]) -> String {
    let code = message[..2].try_into().unwrap();
    session.begin(code, port);
    let answer = command(&code).respond(&message[2..], session, false);
    session.end();
    answer.escape_ascii().to_string()
}

fn send(session: &mut Session, message: &str) -> String {
    send_on(session, None, message.as_bytes())
}

fn module(settings: Settings) -> SecurityModule {
    let lmks = LmkSlots::clone(&SecurityModule::with_test_lmks().lmks());
    SecurityModule::new(lmks, settings)
}

fn strict() -> (SecurityModule, Session) {
    let module = module(Settings { authorise_all: false, ..Settings::default() });
    let session = Session::new(module.clone());
    (module, session)
}

fn authorise(module: &SecurityModule, lmk: u8, activities: &[&str]) {
    for activity in activities {
        module.authorise(lmk, &activity.parse().unwrap()).unwrap();
    }
}

const GENERATE_ZMK: &str = "A00000U";

#[test]
fn ra_alone_cancels_everything_of_the_lmk() {
    for (ra, answer, again) in
        [("RA", "00", "00"), ("RA00", "00002", "00000"), ("RA00%00", "00002", "00000"), ("RA%00", "00", "00")]
    {
        let (module, mut session) = strict();
        authorise(&module, 0, &["generate", "pin.clear.host:10"]);
        authorise(&module, 1, &["generate"]);
        assert!(send(&mut session, GENERATE_ZMK).starts_with("00"));
        assert_eq!(send(&mut session, ra), answer, "{ra}");
        assert_eq!(send(&mut session, GENERATE_ZMK), "17", "{ra}");
        assert!(!module.is_authorised(0, "pin.clear.host") && module.is_authorised(1, "generate.000.host"));
        // Nothing left to cancel is no error: hosts use RA to see whether anybody is there.
        assert_eq!(send(&mut session, ra), again);
    }
}

#[test]
fn ra_cancels_the_activities_it_names() {
    let (module, mut session) = strict();
    let all = ["generate.000.host:5", "export..host", "pin.clear:p"];
    authorise(&module, 0, &all);
    let in_force = || module.authorisation().in_force(0, &module.settings(), module.now()).len();
    assert_eq!(send(&mut session, "RA01000"), "00000");
    assert_eq!(in_force(), 3);
    // The original time limit belongs to the activity.
    assert_eq!(send(&mut session, "RA01001generate.000.host;"), "00000");
    assert_eq!(in_force(), 3);
    assert_eq!(send(&mut session, "RA01002gen.zmk.h:5;pin.clear:p;"), "00002");
    assert_eq!(in_force(), 1);
    assert_eq!(send(&mut session, GENERATE_ZMK), "17");
    assert_eq!(send(&mut session, "RA01001EXPORT..HOST;%00"), "00001");
    assert_eq!(in_force(), 0);
}

#[test]
fn ra_for_another_lmk() {
    let (module, mut session) = strict();
    authorise(&module, 0, &["export"]);
    authorise(&module, 2, &["export"]);
    assert_eq!(send(&mut session, "RA01001export;%02"), "00001");
    assert!(module.is_authorised(0, "export.000.host") && !module.is_authorised(2, "export.000.host"));
    assert_eq!(send(&mut session, "RA%07"), "13");
    assert_eq!(send_on(&mut session, Some(9), b"RA"), "13");
    assert_eq!(send_on(&mut session, Some(0), b"RA"), "00");
    assert!(!module.is_authorised(0, "export.000.host"));
}

#[test]
fn ra_refuses_what_it_does_not_know_and_cancels_nothing() {
    let (module, mut session) = strict();
    authorise(&module, 0, &["export"]);
    let long = format!("RA01001{};", "x".repeat(65));
    for bad in [
        "RA02",
        "RAFF",
        "RA0",
        "RA01",
        "RA0100",
        "RA01001",
        "RA01001export",
        "RA01002export;",
        "RA01002export;nonsense;",
        "RA01001export;x",
        "RA01001;",
        "RA01001export:0;",
        "RA00x",
        "RAx",
        &long,
    ] {
        assert_eq!(send(&mut session, bad), "15", "{bad}");
        assert!(session.transcript().explanation.is_some(), "{bad}");
    }
    assert!(module.is_authorised(0, "export.000.host"));
}

#[test]
fn ra_returns_the_trailer() {
    let (_, mut session) = strict();
    assert_eq!(send(&mut session, "RA\x19abc"), "00\\x19abc");
    assert_eq!(send(&mut session, "RA01001diag;%01\x19"), "00000\\x19");
}

#[test]
fn ra_clears_the_one_authorised_state() {
    let module = module(Settings { authorise_all: false, multiple_activities: false, ..Settings::default() });
    let mut session = Session::new(module.clone());
    for (ra, answer) in [("RA", "00"), ("RA00", "00001"), ("RA01001pin.clear.host;", "00001")] {
        authorise(&module, 0, &["all"]);
        assert!(send(&mut session, GENERATE_ZMK).starts_with("00"));
        assert_eq!(send(&mut session, ra), answer);
        assert_eq!(send(&mut session, GENERATE_ZMK), "17", "{ra}");
    }
    // Working keys need no authorisation there.
    assert!(send(&mut session, "A00001U").starts_with("00"));
}

#[test]
fn ra_ends_what_the_developer_profile_authorises() {
    let module = module(Settings::default());
    let mut session = Session::new(module.clone());
    assert!(send(&mut session, GENERATE_ZMK).starts_with("00"));
    assert_eq!(send(&mut session, "RA"), "00");
    assert_eq!(send(&mut session, GENERATE_ZMK), "17");
    authorise(&module, 0, &["all"]);
    assert!(send(&mut session, GENERATE_ZMK).starts_with("00"));
}

#[test]
fn commands_ask_for_their_own_activity() {
    let (module, mut session) = strict();
    assert_eq!(send(&mut session, GENERATE_ZMK), "17");
    let why = session.transcript().explanation.clone().unwrap().text;
    assert_eq!(why, "the activity generate.000.host is not authorised");
    authorise(&module, 0, &["generate.001", "generate.000.console"]);
    assert_eq!(send(&mut session, GENERATE_ZMK), "17");
    authorise(&module, 0, &["generate.000.host"]);
    assert!(send(&mut session, GENERATE_ZMK).starts_with("00"));
}

#[test]
fn the_lmk_of_the_port_may_be_binding() {
    let module = module(Settings { require_port_lmk: true, ..Settings::default() });
    let mut session = Session::new(module.clone());
    let check = |answer: String| answer[..8].to_owned();
    assert_eq!(check(send_on(&mut session, Some(1), b"NC")), "009D04A0");
    assert_eq!(check(send_on(&mut session, Some(1), b"NC%01")), "009D04A0");
    assert_eq!(send_on(&mut session, Some(1), b"NC%00"), "13");
    assert_eq!(check(send_on(&mut session, None, b"NC%01")), "009D04A0");
    module.set_settings(Settings::default());
    assert_eq!(check(send_on(&mut session, Some(1), b"NC%00")), "00268604");
}

#[test]
fn disabled_commands_may_be_patterns() {
    let disabled_commands = vec![*b"C*", *b"NC"];
    let session = Session::new(module(Settings { disabled_commands, ..Settings::default() }));
    for (code, enabled) in [(b"CA", false), (b"CY", false), (b"NC", false), (b"NO", true), (b"AC", true)] {
        assert_eq!(session.command_enabled(*code), enabled, "{code:?}");
    }
}

proptest! {
    #[test]
    fn ra_answers_anything(body in prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        "(00|01)([0-9]{3})?([a-z.:;0-9%\u{19}]{0,80})".prop_map(String::into_bytes),
    ]) {
        let (module, mut session) = strict();
        authorise(&module, 0, &["all"]);
        let answer = send_on(&mut session, None, &[b"RA", body.as_slice()].concat());
        prop_assert!(["00", "13", "15"].contains(&&answer[..2]), "{}", answer);
    }
}
