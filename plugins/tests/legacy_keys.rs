//! The legacy key-management commands, BW and BS, and ZMKs from components: what the vectors do not cover.

#![allow(clippy::unwrap_used, reason = "a test: helpers may fail as tests do")]

mod common;

use common::old_variant_lmk;
use hsm_core::key_block::header::{Attributes, BlockAlgorithm, Exportability, KeyVersion, ModeOfUse, Scope, Usage};
use hsm_core::key_block::optional::{OptionalBlock, OptionalBlocks};
use hsm_core::key_block::{OpenedBlock, rules, thales};
use hsm_core::key_type::{KEY_TYPES, KeyType};
use hsm_core::lmk::{Lmk, LmkId};
use hsm_core::scheme::KeyScheme;
use hsm_core::user_storage::SlotSize;
use hsm_core::variant::{self, AtallaVariant, LmkUse};
use hsm_core::{ChangeEntry, ChangeRole, ClearKey, LmkSlots, SecurityModule, Session, Settings, hex, kcv};
use hsm_plugin_sdk::abi::{ErrorCode, KeyOps, KeyPurpose};
use proptest::prelude::*;
use std::sync::Arc;

/// Every command under test.
const COMMANDS: [&str; 33] = [
    "AA", "AC", "AE", "AG", "AS", "AU", "AW", "AY", "BI", "BS", "BW", "BY", "DW", "DY", "FA", "FC", "FE", "FG", "FI",
    "FK", "FM", "GC", "GE", "GG", "GY", "HA", "HC", "IA", "KA", "KC", "MG", "MI", "BU",
];

const D: &str = "0123456789ABCDEF";
const DD: &str = "0123456789ABCDEFFEDCBA9876543210";
const DDD: &str = "0123456789ABCDEFFEDCBA98765432108967452301EFCDAB";
/// A ZMK of the spec's examples, and its field.
const ZMK: &str = "851A0D9D0B2A1602622AD0B0E9E6B070";
const ZMK_FIELD: &str = "U1457FF6ADF6250C66C368416B4C9D383";
/// A TMK, which is a key of type 002.
const TMK: &str = "98010ECE70A8FEA82AF8EA4A3B5B0494";

fn clear(digits: &str) -> ClearKey {
    ClearKey::des(&hex::decode(digits.as_bytes()).unwrap()).unwrap()
}

fn slots() -> LmkSlots {
    let lmks = [(0, Lmk::test_variant()), (1, Lmk::test_keyblock_aes()), (2, Lmk::test_keyblock_tdes())];
    LmkSlots { slots: lmks.into_iter().map(|(id, lmk)| (id, Arc::new(lmk))).collect(), ..LmkSlots::default() }
}

/// A module whose slots 00 (variant), 01 (AES) and 02 (TDES) have this LMK in key change storage.
fn changing(lmk: Lmk, role: ChangeRole, settings: Settings) -> Session {
    let mut slots = slots();
    let lmk = Arc::new(lmk);
    for id in 0..3 {
        slots.change_storage.insert(id, ChangeEntry { lmk: lmk.clone(), role });
    }
    Session::new(SecurityModule::new(slots, settings))
}

fn session(settings: Settings) -> Session {
    Session::new(SecurityModule::new(slots(), settings))
}

fn plain() -> Session {
    session(Settings::default())
}

/// Runs a request (command code and body) and gives the response without its code.
fn run(session: &mut Session, request: &str) -> String {
    String::from_utf8(run_bytes(session, request.as_bytes())).unwrap()
}

fn run_bytes(session: &mut Session, request: &[u8]) -> Vec<u8> {
    let code: [u8; 2] = *request.first_chunk().unwrap();
    let command = hsm_plugins::COMMANDS.iter().find(|c| c.code == code).unwrap();
    session.begin(code, None);
    command.respond(&request[2..], session, true)
}

fn why(session: &Session) -> String {
    session.transcript().explanation.as_ref().map(|e| e.text.clone()).unwrap_or_default()
}

fn key_type(code: &str) -> KeyType {
    KeyType::parse(code.as_bytes()).unwrap()
}

fn under_lmk(lmk: &Lmk, code: &str, scheme: KeyScheme, key: &str) -> String {
    let cryptogram = variant::encrypt_under_lmk(lmk, LmkUse::from(key_type(code)), scheme, &clear(key)).unwrap();
    scheme.write(&cryptogram)
}

fn under_zmk(zmk: &str, scheme: KeyScheme, key: &str) -> String {
    scheme.write(&variant::encrypt_under_zmk(&clear(zmk), AtallaVariant::NONE, scheme, &clear(key)).unwrap())
}

fn test(code: &str, scheme: KeyScheme, key: &str) -> String {
    under_lmk(&Lmk::test_variant(), code, scheme, key)
}

fn kcv(key: &ClearKey) -> String {
    hex::encode(&kcv::check_value(key).unwrap())
}

/// The clear key of a field under the test variant LMK.
fn opened(code: &str, field: &str) -> ClearKey {
    let (scheme, digits) = split(field);
    let cryptogram = hex::decode(digits.as_bytes()).unwrap();
    let key =
        variant::decrypt_under_lmk(&Lmk::test_variant(), LmkUse::from(key_type(code)), scheme, &cryptogram).unwrap();
    assert!(key.odd_parity, "{code} {field}");
    key.key
}

fn opened_zmk(zmk: &ClearKey, field: &str) -> ClearKey {
    let (scheme, digits) = split(field);
    let cryptogram = hex::decode(digits.as_bytes()).unwrap();
    variant::decrypt_under_zmk(zmk, AtallaVariant::NONE, scheme, &cryptogram).unwrap().key
}

fn split(field: &str) -> (KeyScheme, &str) {
    match field.as_bytes()[0] {
        c if c.is_ascii_hexdigit() => (if field.len() == 16 { KeyScheme::Single } else { KeyScheme::Double }, field),
        tag => (KeyScheme::from_tag(tag).unwrap(), &field[1..]),
    }
}

fn open_block(lmk: &Lmk, id: u8, field: &str) -> OpenedBlock {
    let scope = Some(Scope::Lmk(LmkId::new(id).unwrap()));
    thales::unwrap(lmk.protection_keys().unwrap(), scope, &field.as_bytes()[1..]).unwrap()
}

fn attributes(usage: &str, algorithm: BlockAlgorithm, mode: ModeOfUse, version: &[u8; 2]) -> Attributes {
    Attributes {
        usage: Usage::new(*usage.as_bytes().first_chunk().unwrap()).unwrap(),
        algorithm,
        mode,
        key_version: KeyVersion::new(*version).unwrap(),
        exportability: Exportability::Sensitive,
    }
}

fn block(lmk: &Lmk, id: u8, attributes: Attributes, optional: &OptionalBlocks, key: &ClearKey) -> String {
    let keys = lmk.protection_keys().unwrap();
    let scope = Scope::Lmk(LmkId::new(id).unwrap());
    let block = thales::wrap(keys, scope, attributes, optional, key, &mut |to: &mut [u8]| to.fill(0x5A)).unwrap();
    format!("S{}", String::from_utf8(block).unwrap())
}

fn tdes_block(lmk: &Lmk, id: u8, usage: &str, key: &str) -> String {
    let attributes = attributes(usage, BlockAlgorithm::Tdes, ModeOfUse::Any, b"00");
    block(lmk, id, attributes, &OptionalBlocks::NONE, &clear(key))
}

/// An importing or exporting pair of commands: codes, what stands before the ZMK, the key type under the LMK, where the key goes by
/// default.
struct Pair {
    import: &'static str,
    export: Option<&'static str>,
    flag: &'static str,
    code: &'static str,
    double: bool,
    authorised: (bool, bool),
}

const PAIRS: [Pair; 8] = [
    pair("FA", Some("GC"), "", "001", false, (false, true)),
    pair("FC", Some("FE"), "", "002", false, (true, true)),
    pair("FK", Some("FM"), "0", "00A", false, (false, false)),
    pair("FK", Some("FM"), "1", "008", false, (false, false)),
    pair("MI", Some("MG"), "", "003", false, (false, false)),
    pair("AW", Some("AU"), "", "402", true, (false, false)),
    pair("DW", Some("DY"), "", "009", true, (false, false)),
    pair("BY", None, "", "000", true, (true, false)),
];

const fn pair(
    import: &'static str,
    export: Option<&'static str>,
    flag: &'static str,
    code: &'static str,
    double: bool,
    authorised: (bool, bool),
) -> Pair {
    Pair { import, export, flag, code, double, authorised }
}

impl Pair {
    fn check_value(&self, key: &str, kcv_type: char) -> String {
        let whole = kcv(&clear(key));
        let parts = kcv::des_part_check_values(&clear(key)).unwrap();
        match (self.code, kcv_type) {
            (_, '1') => whole[..6].into(),
            ("402", _) => parts.iter().map(|p| hex::encode(&p[..3])).collect(),
            ("009", _) => whole[..8].into(),
            _ => whole,
        }
    }
}

#[test]
fn examples_of_the_spec_that_the_vectors_leave_out() {
    let single = Settings { double_length_zmk: false, ..Settings::default() };
    let mut session = session(single);
    for (request, response) in [
        ("FM04ED06495741C280CUDBF5EFC3DBA454A827022B569E0E086B", "00U3A67A68D3A26D46334B93F4D06D482974BF61EA8437E3EDA"),
        ("FM14ED06495741C280CUE84C6E8F364BB594D2F59F6E8A6BBBF5", "00U693CDDD75EE651B6102E400E70E98F9C46831833F9855C52"),
        ("AU4ED06495741C280C0A61E674E88C6A7EEABC38C2B2BB492F", "00AB88EE604522372FDAA27A67A8CDADFAD5D44FA68CDC"),
        ("AW4ED06495741C280CAB88EE604522372FDAA27A67A8CDADFA;001", "000A61E674E88C6A7EEABC38C2B2BB492F08D7B4"),
        (
            "DWU1457FF6ADF6250C66C368416B4C9D3836A2C67C227784BC5D8508B6BED82ECB8;0U1",
            "00U8E3D3E2FD5919657F05A1AA90D32A01408D7B4",
        ),
        ("AG0406FBB23A5214DFC6F34693FB39CB6E", "00D3A9103B524C49AC"),
        ("AEU8463435FC4B4DAA0C49025272C29B12C0406FBB23A5214DF", "00508949F68B4060A4"),
    ] {
        assert_eq!(run(&mut session, request), response, "{request}: {}", why(&session));
    }
}

#[test]
fn keys_go_from_zmk_to_lmk_and_back_in_every_scheme() {
    use KeyScheme::{Double, Single, T, U, X, Y};
    let mut session = plain();
    for pair in &PAIRS {
        let Pair { import, flag, code, .. } = pair;
        let schemes: &[(KeyScheme, &str, char)] = match (pair.double, *code) {
            (true, "402") => &[(Double, DD, '0'), (U, DD, 'U'), (X, DD, 'X')],
            (true, "000") => &[(Double, DD, '0'), (U, DD, 'U'), (X, DD, 'X'), (T, DDD, 'T'), (Y, DDD, 'Y')],
            (true, _) => &[(Double, DD, '0'), (U, DD, 'U'), (X, DD, 'X'), (T, DDD, 'T'), (Y, DDD, 'Y')],
            (false, _) => &[(Single, D, 'Z'), (U, DD, 'U'), (X, DD, 'X'), (T, DDD, 'T'), (Y, DDD, 'Y')],
        };
        for &(scheme, key, letter) in schemes {
            let (zone, local) = (under_zmk(ZMK, scheme, key), test(code, scheme, key));
            // Without the option group a key keeps its scheme.
            let want = format!("00{local}{}", pair.check_value(key, '0'));
            assert_eq!(run(&mut session, &format!("{import}{flag}{ZMK_FIELD}{zone}")), want, "{}", why(&session));
            for kcv_type in ['0', '1'] {
                let request = format!("{import}{flag}{ZMK_FIELD}{zone};0{letter}{kcv_type}");
                let want = format!("00{local}{}", pair.check_value(key, kcv_type));
                assert_eq!(run(&mut session, &request), want, "{request} {}", why(&session));
            }
            let Some(export) = pair.export else { continue };
            let want = format!("00{zone}{}", pair.check_value(key, '0'));
            assert_eq!(run(&mut session, &format!("{export}{flag}{ZMK_FIELD}{local}")), want, "{}", why(&session));
            let request = format!("{export}{flag}{ZMK_FIELD}{local};{letter}01");
            let want = format!("00{zone}{}", pair.check_value(key, '1'));
            assert_eq!(run(&mut session, &request), want, "{request} {}", why(&session));
        }
        // The Atalla variant changes what the key is under; the import undoes it.
        let (scheme, key) = if pair.double { (Double, DD) } else { (Single, D) };
        let varied =
            variant::encrypt_under_zmk(&clear(ZMK), AtallaVariant::parse(b"12").unwrap(), scheme, &clear(key)).unwrap();
        let request = format!("{import}{flag}{ZMK_FIELD}{}12;001", scheme.write(&varied));
        let want = format!("00{}{}", test(code, scheme, key), pair.check_value(key, '1'));
        assert_eq!(run(&mut session, &request), want, "{request} {}", why(&session));
    }
}

#[test]
fn what_imports_and_exports_refuse() {
    use KeyScheme::{Double, Single, U};
    let mut session = plain();
    let no_parity = "000102030405060708090A0B0C0D0E0F";
    let bad_zmk = test("000", U, no_parity);
    for pair in &PAIRS {
        let Pair { import, flag, code, .. } = pair;
        let scheme = if pair.double { Double } else { Single };
        let key = if pair.double { DD } else { D };
        let zone = under_zmk(ZMK, scheme, key);
        let zero = under_zmk(ZMK, scheme, &"00".repeat(key.len() / 2));
        let even = under_zmk(ZMK, scheme, &no_parity[..key.len()]);
        let mut expect = |request: String, code: &str| {
            let answer = run(&mut session, &request);
            assert_eq!(answer, code, "{request}: {}", why(&session));
        };
        let usage = KeyType::parse(code.as_bytes()).unwrap().info().unwrap().usages[0];
        let usage = if key == D && usage == "M3" { "M1" } else { usage };
        expect(format!("{import}{flag}{bad_zmk}{zone}"), "10");
        expect(format!("{import}{flag}{ZMK_FIELD}{zero}"), "11");
        expect(format!("{import}{flag}{ZMK_FIELD}{zone};0?0"), "26");
        expect(format!("{import}{flag}{ZMK_FIELD}{zone};0T0"), "26");
        expect(format!("{import}{flag}{ZMK_FIELD}{zone};003"), "15");
        expect(format!("{import}{flag}{ZMK_FIELD}{zone};0"), "15");
        expect(format!("{import}{flag}{ZMK_FIELD}{zone}99"), "15");
        expect(format!("{import}{flag}{ZMK_FIELD}{zone}%00#{usage}N00S00"), "A1");
        expect(format!("{import}{flag}{ZMK_FIELD}{zone}%09"), "13");
        expect(format!("{import}{flag}{ZMK_FIELD}{}", &zone[1..]), "15");
        let forced = run(&mut session, &format!("{import}{flag}{ZMK_FIELD}{even};001"));
        let odd = hex::encode(clear(&no_parity[..key.len()]).with_odd_parity().bytes());
        assert_eq!(forced, format!("01{}{}", test(code, scheme, &odd), pair.check_value(&odd, '1')));

        let Some(export) = pair.export else { continue };
        let local = test(code, scheme, key);
        let bad = test(code, scheme, &no_parity[..key.len()]);
        let mut expect = |request: String, code: &str| {
            let answer = run(&mut session, &request);
            assert_eq!(answer, code, "{request}: {}", why(&session));
        };
        expect(format!("{export}{flag}{bad_zmk}{local}"), "10");
        expect(format!("{export}{flag}{ZMK_FIELD}{bad}"), "11");
        expect(format!("{export}{flag}{ZMK_FIELD}{local};?00"), "26");
        expect(format!("{export}{flag}{ZMK_FIELD}{local};T00"), "26");
        expect(format!("{export}{flag}{ZMK_FIELD}{local};00?"), "15");
        expect(format!("{export}{flag}{ZMK_FIELD}{local}%1"), "15");
        if pair.double {
            let short = format!("Z{}", test(code, Single, D));
            expect(format!("{export}{flag}{ZMK_FIELD}{short}"), "27");
            expect(format!("{import}{flag}{ZMK_FIELD}Z{}", under_zmk(ZMK, Single, D)), "27");
        }
    }
    for flagged in ["FI", "FK", "FM"] {
        assert_eq!(run(&mut session, &format!("{flagged}2{ZMK_FIELD}{D}")), "15");
    }
}

#[test]
fn authorisation_is_what_each_page_asks() {
    use KeyScheme::{Double, Single, U};
    let mut closed = session(Settings { authorise_all: false, ..Settings::default() });
    let mut expect = |request: String, free: bool| {
        let answer = run(&mut closed, &request);
        assert_eq!(&answer[..2], if free { "00" } else { "17" }, "{request}: {}", why(&closed));
    };
    for pair in &PAIRS {
        let Pair { import, flag, code, .. } = pair;
        let (scheme, key) = if pair.double { (Double, DD) } else { (Single, D) };
        expect(format!("{import}{flag}{ZMK_FIELD}{}", under_zmk(ZMK, scheme, key)), !pair.authorised.0);
        if let Some(export) = pair.export {
            expect(format!("{export}{flag}{ZMK_FIELD}{}", test(code, scheme, key)), !pair.authorised.1);
        }
    }
    let (tmk, tak) = (test("002", U, TMK), test("003", Single, D));
    for request in ["AS", "BI"] {
        expect(request.into(), true);
    }
    expect(format!("IA{ZMK_FIELD}"), true);
    expect(format!("FI0{ZMK_FIELD}"), true);
    expect(format!("FG{ZMK_FIELD}"), false);
    expect(format!("HA{tmk}"), true);
    expect(format!("HC{tmk}"), true);
    expect(format!("AE{tmk}{tmk}"), true);
    expect(format!("AG{tmk}{tak}"), true);
    expect(format!("GG{DD}{DD}{DD}"), false);
    expect(format!("GY2{DD}{DD}"), false);
    expect(format!("KA{}03", test("003", Single, D)), true);

    let mut disabled = self::session(Settings { zmk_translation: false, ..Settings::default() });
    assert_eq!(run(&mut disabled, &format!("BY{ZMK_FIELD}{}", under_zmk(ZMK, Double, DD))), "17");
    // Import with A6 is another setting.
    let mut import_only = session(Settings { zmk_import: false, ..Settings::default() });
    assert_eq!(&run(&mut import_only, &format!("BY{ZMK_FIELD}{}", under_zmk(ZMK, Double, DD)))[..2], "00");
}

#[test]
fn separation_of_type_002_disables_what_cannot_tell_its_keys_apart() {
    use KeyScheme::{Single, U};
    let separated = Settings { separate_002: true, ..Settings::default() };
    let mut session = changing(old_variant_lmk(), ChangeRole::Old, separated);
    let (tmk, local) = (test("002", U, TMK), test("002", Single, D));
    for request in [
        format!("AA{local}"),
        format!("AE{tmk}{local}"),
        format!("FC{ZMK_FIELD}{}", under_zmk(ZMK, Single, D)),
        format!("FE{ZMK_FIELD}{local}"),
        format!("HC{tmk}"),
        format!("KA{}03", test("003", Single, D)),
    ] {
        assert_eq!(run(&mut session, &request), "68", "{request}");
    }
    // AG and HA know that theirs is a TMK: 80D.
    let (tmk, tak) = (test("80D", U, TMK), test("003", Single, D));
    assert_eq!(run(&mut session, &format!("AG{tmk}{tak}")), format!("00{}", under_zmk(TMK, Single, D)));
    assert_eq!(&run(&mut session, &format!("HA{tmk}"))[..2], "00");
    assert_eq!(run(&mut session, &format!("HA{}", test("002", U, TMK))), "10");
}

#[test]
fn keys_go_to_terminals() {
    use KeyScheme::{Double, Single, T, U, X, Y};
    let mut session = plain();
    let tmk = test("002", U, TMK);
    for (command, code) in [("AE", "002"), ("AG", "003")] {
        for (scheme, key, letter) in [(Single, D, 'Z'), (U, DD, 'U'), (X, DD, 'X'), (T, DDD, 'T'), (Y, DDD, 'Y')] {
            let request = format!("{command}{tmk}{}", test(code, scheme, key));
            assert_eq!(run(&mut session, &request), format!("00{}", under_zmk(TMK, scheme, key)));
            let request = format!("{request};{letter}00");
            assert_eq!(run(&mut session, &request), format!("00{}", under_zmk(TMK, scheme, key)), "{}", why(&session));
        }
        let request = format!("{command}{tmk}{};000", test(code, U, DD));
        assert_eq!(run(&mut session, &request), format!("00{}", under_zmk(TMK, Double, DD)));
        let bad = "0001020304050607";
        assert_eq!(run(&mut session, &format!("{command}{}{}", test("002", Single, bad), test(code, Single, D))), "10");
        assert_eq!(run(&mut session, &format!("{command}{tmk}{}", test(code, Single, bad))), "11");
        assert_eq!(run(&mut session, &format!("{command}{tmk}{};?00", test(code, Single, D))), "26");
        assert_eq!(run(&mut session, &format!("{command}{tmk}")), "15");
    }
}

/// Splits a response into a first key field and the rest.
fn first_field(answer: &str, untagged: usize) -> (&str, &str) {
    let len = match answer.as_bytes()[0] {
        b'U' | b'X' => 33,
        b'T' | b'Y' => 49,
        b'S' => 1 + answer[2..6].parse::<usize>().unwrap(),
        _ => untagged,
    };
    answer.split_at(len)
}

#[test]
fn new_keys_are_the_same_under_both_keys() {
    let mut session = plain();
    let tmk = test("002", KeyScheme::U, TMK);
    // Command and fields, key under a ZMK or TMK, key type, whether a check value follows.
    for (request, kek, code, checked) in [
        (format!("IA{ZMK_FIELD}"), ZMK, "001", true),
        (format!("FI0{ZMK_FIELD}"), ZMK, "00A", true),
        (format!("FI1{ZMK_FIELD}"), ZMK, "008", true),
        (format!("HA{tmk}"), TMK, "003", false),
        (format!("HC{tmk}"), TMK, "002", false),
    ] {
        for (options, bytes) in
            [("", 8), (";ZZ0", 8), (";000", 8), (";XU1", 16), (";UX1", 16), (";0U1", 16), (";YT1", 24)]
        {
            let request = format!("{request}{options}");
            let answer = run(&mut session, &request);
            assert_eq!(&answer[..2], "00", "{request} {}", why(&session));
            let (zone, rest) = first_field(&answer[2..], 2 * bytes);
            let (local, check) = first_field(rest, 2 * bytes);
            let key = opened(code, local);
            assert_eq!(key.len(), bytes);
            assert_eq!(opened_zmk(&clear(kek), zone), key, "{request}");
            let shown = if !checked {
                0
            } else if options.ends_with('1') {
                6
            } else {
                16
            };
            assert_eq!(check, &kcv(&key)[..shown], "{request}");
        }
        for (options, code) in [(";UZ1", "15"), (";T01", "15"), (";0?1", "26"), (";?01", "26"), (";0", "15")] {
            assert_eq!(run(&mut session, &format!("{request}{options}")), code, "{request}{options}");
        }
        let bad = test(if kek == ZMK { "000" } else { "002" }, KeyScheme::U, "000102030405060708090A0B0C0D0E0F");
        let field = if kek == ZMK { ZMK_FIELD } else { &tmk };
        assert_eq!(run(&mut session, &request.replace(field, &bad)), "10");
    }
    let one = run(&mut session, &format!("IA{ZMK_FIELD}"));
    assert_ne!(one, run(&mut session, &format!("IA{ZMK_FIELD}")), "keys are random");
}

#[test]
fn new_pairs_show_the_check_values_of_their_halves() {
    let mut session = plain();
    let parts = |key: &ClearKey, digits: usize| -> String {
        kcv::des_part_check_values(key).unwrap().iter().map(|p| hex::encode(p)[..digits].to_owned()).collect()
    };
    for (options, len) in [("", 32), (";000", 32), (";0U0", 33), (";0X0", 33), (";001", 32), (";0U1", 33)] {
        let answer = run(&mut session, &format!("AS{options}"));
        let (field, check) = answer[2..].split_at(len);
        let key = opened("402", field);
        let want = if options.ends_with('1') { kcv(&key)[..6].to_owned() } else { parts(&key, 6) };
        assert_eq!((&answer[..2], check), ("00", want.as_str()), "AS{options}");
    }
    for (options, code) in [(";0T0", "26"), (";0Z0", "26"), (";0?0", "26"), (";002", "15"), (";00", "15")] {
        assert_eq!(run(&mut session, &format!("AS{options}")), code, "AS{options}");
    }
    for (options, len) in [("", 32), (";000", 32), (";UU0", 33), (";XU2", 33), (";001", 32), (";UU1", 33)] {
        let answer = run(&mut session, &format!("FG{ZMK_FIELD}{options}"));
        let (local, rest) = answer[2..].split_at(len);
        let (zone, check) = rest.split_at(len);
        let key = opened("002", local);
        assert_eq!(opened_zmk(&clear(ZMK), zone), key);
        let want = match options.as_bytes().last() {
            Some(b'1') => kcv(&key)[..6].to_owned(),
            Some(b'2') => parts(&key, 6),
            _ => parts(&key, 16),
        };
        assert_eq!((&answer[..2], check), ("00", want.as_str()), "FG{options}");
    }
    for (options, code) in [(";TT0", "26"), (";UZ0", "26"), (";ZU0", "15"), (";UU3", "15")] {
        assert_eq!(run(&mut session, &format!("FG{ZMK_FIELD}{options}")), code, "FG{options}");
    }
    for (options, len) in [("", 32), (";000", 32), (";0U0", 33), (";0T0", 49), (";UU0", 33)] {
        let answer = run(&mut session, &format!("BI{options}"));
        assert_eq!((&answer[..2], answer.len()), ("00", 2 + len), "BI{options}");
        opened("009", &answer[2..]);
    }
    assert_eq!(run(&mut session, "BI;0Z0"), "26");
    assert_eq!(run(&mut session, "BI;0"), "15");
}

#[test]
fn legacy_check_values() {
    use KeyScheme::Single;
    let mut session = plain();
    for (code, key_type) in [("00", "000"), ("01", "001"), ("02", "002"), ("03", "003")] {
        let field = test(key_type, Single, D);
        assert_eq!(run(&mut session, &format!("KA{field}{code}")), "00D5D44FF720683D0D");
        assert_eq!(run(&mut session, &format!("KA{field}{code};001")), "00D5D44F");
    }
    assert_eq!(run(&mut session, &format!("KA{}04", test("001", Single, D))), "04");
    assert_eq!(run(&mut session, &format!("KA{}00", test("001", Single, D))), "10");
    assert_eq!(run(&mut session, &format!("KA{}0", test("001", Single, D))), "15");
    // Type 2 is for BDKs (as type 0) and PVK pairs.
    let zone = under_zmk(ZMK, KeyScheme::U, DD);
    let want = format!("00{}{}", test("009", KeyScheme::U, DD), &kcv(&clear(DD))[..8]);
    assert_eq!(run(&mut session, &format!("DW{ZMK_FIELD}{zone};0U2")), want);
    let restricted = Settings { restrict_kcv: true, ..Settings::default() };
    let mut restricted = self::session(restricted);
    assert_eq!(run(&mut restricted, &format!("KA{}01", test("001", Single, D))), "00D5D44F0000000000");
    let answer = run(&mut restricted, &format!("FG{ZMK_FIELD}"));
    assert_eq!((&answer[72..82], &answer[88..98]), ("0000000000", "0000000000"));
}

#[test]
fn legacy_translations_from_the_old_lmk() {
    use KeyScheme::{Double, Single, U};
    let old = old_variant_lmk();
    for (command, code, scheme, key) in [
        ("AA", "002", Single, D),
        ("AC", "003", Single, D),
        ("AY", "402", Double, DD),
        ("GE", "000", Double, DD),
        ("KC", "001", Single, D),
    ] {
        let mut session = changing(old_variant_lmk(), ChangeRole::Old, Settings::default());
        let request = format!("{command}{}", under_lmk(&old, code, scheme, key));
        let want = format!("00{}", test(code, scheme, key));
        assert_eq!(run(&mut session, &request), want, "{}", why(&session));
        assert_eq!(run(&mut session, &format!("{request};0{}1", if key == D { 'Z' } else { '0' })), want);
        let double = format!("{command}{}", under_lmk(&old, code, U, DD));
        assert_eq!(run(&mut session, &double), format!("00{}", test(code, U, DD)));
        assert_eq!(run(&mut session, &format!("{double};0X0")), format!("00{}", test(code, KeyScheme::X, DD)));
        assert_eq!(run(&mut session, &format!("{command}{}", test(code, scheme, key))), "10");
        assert_eq!(run(&mut session, &format!("{request};0?0")), "26");
        assert_eq!(run(&mut session, &format!("{request};0")), "15");
        let mut nothing = plain();
        assert_eq!(run(&mut nothing, &request), "13");

        // With the new LMK in key change storage, the live one is the old one.
        let mut forward = changing(old_variant_lmk(), ChangeRole::New, Settings::default());
        let request = format!("{command}{}", test(code, scheme, key));
        assert_eq!(run(&mut forward, &request), format!("00{}", under_lmk(&old, code, scheme, key)));
    }
    let mut session = changing(old_variant_lmk(), ChangeRole::Old, Settings::default());
    assert_eq!(run(&mut session, &format!("AYZ{}", under_lmk(&old, "402", Single, D))), "27");
    // Into a key block, with attributes.
    let field = under_lmk(&old, "001", Single, D);
    let answer = run(&mut session, &format!("KC{field}%01#72N00S00"));
    let opened = open_block(&Lmk::test_keyblock_aes(), 1, &answer[2..]);
    assert_eq!(opened.key, clear(D));
    assert_eq!(run(&mut session, &format!("KC{field}%01")), "15");
}

#[test]
fn untagged_double_length_keys_in_user_storage() {
    use KeyScheme::Double;
    for (size, digits) in [(SlotSize::Single, "02"), (SlotSize::Double, "01"), (SlotSize::Variable, "0032")] {
        let settings = Settings { double_length_zmk: true, user_storage: size, ..Settings::default() };
        let mut session = changing(Lmk::test_variant(), ChangeRole::Old, settings);
        let (zmk, cvk, bdk) = (test("000", Double, ZMK), test("402", Double, DD), test("009", Double, DD));
        let zone = under_zmk(ZMK, Double, DD);
        let under = LmkUse { component: true, ..LmkUse::from(key_type("000")) };
        let component = variant::encrypt_under_lmk(&Lmk::test_variant(), under, Double, &clear(ZMK)).unwrap();
        let component = Double.write(&component);
        let at = |index: u16| match size {
            SlotSize::Single => format!("K{index:03X}K{:03X}", index + 1),
            _ => format!("K{index:03X}"),
        };
        for (index, field) in [(0x10, &zmk), (0x20, &cvk), (0x30, &bdk), (0x40, &zone), (0x50, &component)] {
            assert_eq!(run(&mut session, &format!("LAK{index:03X}{digits}{field}")), "00");
        }
        for (message, field, index) in [
            (format!("B0402{cvk}U"), &cvk, 0x20),
            (format!("AU{ZMK_FIELD}{cvk}"), &cvk, 0x20),
            (format!("AW{zmk}{zone}"), &zone, 0x40),
            (format!("AW{zmk}{zone}"), &zmk, 0x10),
            (format!("DW{ZMK_FIELD}{zone}"), &zone, 0x40),
            (format!("DY{ZMK_FIELD}{bdk}"), &bdk, 0x30),
            (format!("BY{zmk}{zone}"), &zone, 0x40),
            (format!("AY{cvk}"), &cvk, 0x20),
            (format!("GE{zmk}"), &zmk, 0x10),
            (format!("BW001{zmk}"), &zmk, 0x10),
            (format!("GG{component}{component}{component}"), &component, 0x50),
            (format!("GY3{component}{component}{component}"), &component, 0x50),
        ] {
            let direct = run(&mut session, &message);
            assert_eq!(&direct[..2], "00", "{message} {}", why(&session));
            let by_reference = message.replace(field.as_str(), &at(index));
            assert_eq!(run(&mut session, &by_reference), direct, "{size:?} {by_reference} {}", why(&session));
            let nothing = message.replace(field.as_str(), &at(index + 0x25));
            assert_eq!(run(&mut session, &nothing), "12", "{size:?} {nothing}");
        }
        assert_eq!(run(&mut session, "GGUK050UK050UK050"), "15", "a component has no tag");
    }
}

#[test]
fn key_change_storage_is_erased_slot_by_slot() {
    let module = SecurityModule::new(slots(), Settings::default());
    let mut lmks = (*module.lmks()).clone();
    let entry = ChangeEntry { lmk: Arc::new(old_variant_lmk()), role: ChangeRole::Old };
    lmks.change_storage.insert(0, entry.clone());
    lmks.change_storage.insert(1, entry);
    module.set_lmks(lmks);
    let mut session = Session::new(module.clone());
    let field = under_lmk(&old_variant_lmk(), "001", KeyScheme::Single, D);
    assert_eq!(&run(&mut session, &format!("BW010{field}"))[..2], "00");
    assert_eq!(run(&mut session, "BS%09"), "13");
    assert_eq!(run(&mut session, "BSX"), "15");
    assert_eq!(run(&mut session, "BS%01"), "00");
    assert_eq!(&run(&mut session, &format!("BW010{field}"))[..2], "00");
    assert_eq!(run(&mut session, "BS"), "00");
    assert_eq!(run(&mut session, &format!("BW010{field}")), "33");
    assert_eq!(run(&mut session, &format!("KC{field}")), "13");
    assert_eq!(run(&mut session, "BS"), "00");
    assert!(module.lmks().change_storage.is_empty());
}

/// A usage and mode that a key of a type and length may have in a key block.
fn usage_for(code: &str, usages: &[&'static str], key: &ClearKey) -> Option<&'static str> {
    let algorithm = if key.len() == 8 { BlockAlgorithm::Des } else { BlockAlgorithm::Tdes };
    let more = match code {
        "003" | "008" => "M1",
        _ if usages.is_empty() => "D0",
        _ => "",
    };
    usages
        .iter()
        .copied()
        .chain((!more.is_empty()).then_some(more))
        .find(|usage| rules::check(&attributes(usage, algorithm, ModeOfUse::Any, b"00")).is_ok())
}

/// Moves keys of every type and scheme from an old variant LMK to a new LMK with BW, and opens each there.
#[test]
fn every_key_type_migrates() {
    use KeyScheme::{Double, Single, T, U, X, Y};
    let old = old_variant_lmk();
    let mut session = changing(old_variant_lmk(), ChangeRole::Old, Settings::default());
    let new = [Lmk::test_variant(), Lmk::test_keyblock_aes(), Lmk::test_keyblock_tdes()];
    let (mut migrated, mut blocks) = (0, 0);
    for info in KEY_TYPES {
        let code = info.key_type.to_string();
        let short = format!("{}{}", &code[..1], &code[2..]);
        for (scheme, key, flag) in [(Single, D, 0), (Double, DD, 1), (U, DD, 1), (X, DD, 1), (T, DDD, 2), (Y, DDD, 3)] {
            let field = under_lmk(&old, &code, scheme, key);
            if ["00C", "00D", "10C"].contains(&code.as_str()) {
                // RSA and HMAC keys have forms of their own.
                assert_eq!(run(&mut session, &format!("BWFF{flag}{field};{code}!11")), "29", "{}", why(&session));
                continue;
            }
            let check = &kcv(&clear(key))[..6];
            // Variant to variant, by the three-character type and by the short code.
            let want = format!("00{}{check}", test(&code, scheme, key));
            assert_eq!(run(&mut session, &format!("BWFF{flag}{field};{code}!11")), want, "{}", why(&session));
            assert_eq!(run(&mut session, &format!("BW{short}{flag}{field}!11")), want, "{}", why(&session));
            migrated += 1;
            // Variant to key block.
            let Some(usage) = usage_for(&code, info.usages, &clear(key)) else {
                assert_eq!(key, D, "keys of type {code} of two or three parts have a usage");
                continue;
            };
            for id in [1u8, 2] {
                let request = format!("BWFF{flag}{field};{code};0S0%0{id}#{usage}N01N00!11");
                let answer = run(&mut session, &request);
                assert_eq!(&answer[..2], "00", "{request} {}", why(&session));
                let (block, shown) = answer[2..].split_at(answer.len() - 8);
                assert_eq!(shown, check, "{request}");
                let opened = open_block(&new[usize::from(id)], id, block);
                assert_eq!(opened.key, clear(key));
                let attributes = opened.header.attributes;
                assert_eq!(attributes.usage.to_string(), usage);
                assert_eq!(attributes.key_version.id(), *b"01");
                assert_eq!((attributes.mode, attributes.exportability), (ModeOfUse::Any, Exportability::NonExportable));
                // And as a command would open it.
                session.begin(*b"BU", Some(id));
                let purpose = KeyPurpose::from_code(*code.as_bytes().first_chunk().unwrap());
                let purpose = if info.usages.contains(&usage) { purpose } else { KeyPurpose::KEY_BLOCK };
                let handle = session.key_open(purpose, block.as_bytes()).unwrap();
                assert_eq!(hex::encode(&session.key_check_value(handle).unwrap()[..3]), check);
                blocks += 1;
            }
        }
    }
    assert!(migrated > 400 && blocks > 700, "{migrated} {blocks}");
}

#[test]
fn stored_keys_migrate_to_a_key_block_lmk() {
    let old = old_variant_lmk();
    let mut session = changing(old_variant_lmk(), ChangeRole::Old, Settings::default());
    let single = under_lmk(&old, "002", KeyScheme::Single, &DD[..16]);
    assert_eq!(run(&mut session, &format!("LAK00101{single}")), "00");
    let answer = run(&mut session, "BW020K001%01#71N00S00!11");
    assert_eq!((&answer[..2], &answer[answer.len() - 6..]), ("00", "D5D44F"), "{}", why(&session));
    for flag in ["1", "2", "F"] {
        assert_eq!(run(&mut session, &format!("BW02{flag}K001%01#71N00S00!11")), "05", "{flag}");
    }
}

#[test]
fn key_blocks_migrate_with_all_that_their_header_says() {
    let mut session = changing(Lmk::test_keyblock_tdes(), ChangeRole::Old, Settings::default());
    let optional = vec![OptionalBlock::new(*b"00", b"L").unwrap(), OptionalBlock::new(*b"05", b"branch 7").unwrap()];
    let optional = OptionalBlocks::new(optional).unwrap();
    let header = attributes("72", BlockAlgorithm::Tdes, ModeOfUse::EncryptDecrypt, b"07");
    let old = Lmk::test_keyblock_tdes();
    let field = block(&old, 1, header, &optional, &clear(DD));
    for request in [format!("BWFFF{field};FFF%01!11"), format!("BWFFF{field};FFF;0S0%01!11")] {
        let answer = run(&mut session, &request);
        assert_eq!((&answer[..2], &answer[answer.len() - 6..]), ("00", "08D7B4"), "{request} {}", why(&session));
        let opened = open_block(&Lmk::test_keyblock_aes(), 1, &answer[2..answer.len() - 6]);
        assert_eq!((opened.key, opened.header.attributes), (clear(DD), header));
        assert_eq!(opened.optional.get(*b"00"), Some(&b"L"[..]));
        assert_eq!(opened.optional.get(*b"05"), Some(&b"branch 7"[..]));
    }
    let long = run(&mut session, &format!("BWFFF{field};FFF%01!10"));
    // Only 6 digits mean something in a key block.
    assert!(long.ends_with("08D7B40000000000"), "{long}");
    for request in [format!("BWFFF{field};001;0S0%01!11"), format!("BW01F{field}%01!11")] {
        assert_eq!(run(&mut session, &request), "04", "{request}");
    }
    let none = run(&mut session, &format!("BWFFF{field};FFF%01!01"));
    assert_eq!(run(&mut session, &format!("BWFFF{field};FFF%01")).len(), none.len());

    let mut expect = |request: String, code: &str| {
        assert_eq!(run(&mut session, &request), code, "{request}: {}", why(&session));
    };
    // Under another LMK's identifier, damaged, or for another purpose.
    expect(format!("BWFFF{};FFF%01", block(&old, 2, header, &optional, &clear(DD))), "A3");
    let mut damaged = field.clone();
    damaged.replace_range(16..17, if field.as_bytes()[16] == b'0' { "1" } else { "0" });
    assert_eq!(&run(&mut session, &format!("BWFFF{damaged};FFF%01"))[..1], "A");
    let mut expect = |request: String, code: &str| {
        assert_eq!(run(&mut session, &request), code, "{request}: {}", why(&session));
    };
    let mut damaged = field.clone();
    damaged.pop();
    damaged.push(if field.ends_with('0') { '1' } else { '0' });
    expect(format!("BWFFF{damaged};FFF%01"), "A4");
    expect(format!("BWFFF{field};002%01"), "04");
    // The new LMK is a variant one, or needs no attributes.
    expect(format!("BWFFF{field};FFF%00"), "A1");
    expect(format!("BWFFF{field};FFF%01#72N00S00"), "15");
    expect(format!("BWFFF{field};FFF;0U0%01"), "26");
    expect(format!("BWFF1{field};FFF%01"), "05");
    expect(format!("BWFFFU{DD};001%01"), "05");
    expect(format!("BWFF1U{DD};001%01"), "A1");

    // An AES key needs an AES LMK.
    let mut session = changing(Lmk::test_keyblock_aes(), ChangeRole::Old, Settings::default());
    let aes = ClearKey::aes(&[7; 16]).unwrap();
    let header = attributes("D0", BlockAlgorithm::Aes, ModeOfUse::Any, b"00");
    let field = |id| block(&Lmk::test_keyblock_aes(), id, header, &OptionalBlocks::NONE, &aes);
    assert_eq!(run(&mut session, &format!("BWFFF{};FFF%02", field(2))), "48");
    let answer = run(&mut session, &format!("BWFFF{};FFF%01!11", field(1)));
    assert_eq!(answer[answer.len() - 6..], kcv(&aes)[..6]);
}

#[test]
fn what_bw_refuses() {
    use KeyScheme::U;
    let old = old_variant_lmk();
    let mut session = changing(old_variant_lmk(), ChangeRole::Old, Settings::default());
    let zpk = under_lmk(&old, "001", U, DD);
    let bad = under_lmk(&old, "001", U, "000102030405060708090A0B0C0D0E0F");
    for (request, code) in [
        (format!("BW0F1{zpk}"), "04"),
        (format!("BWF11{zpk}"), "04"),
        (format!("BWFF1{zpk};A01"), "04"),
        (format!("BWFF1{zpk};00F"), "04"),
        (format!("BWFF1{zpk};FFF"), "04"),
        (format!("BW014{zpk}"), "05"),
        (format!("BW010{zpk}"), "05"),
        (format!("BW012{zpk}"), "05"),
        (format!("BW01F{zpk}"), "05"),
        (format!("BW011{bad}"), "10"),
        (format!("BW021{zpk}"), "10"),
        (format!("BW011{zpk};0?0"), "26"),
        (format!("BW011{zpk};0T0"), "26"),
        (format!("BW011{zpk};0S0"), "26"),
        (format!("BW011{zpk};00"), "15"),
        (format!("BWFF1{zpk}"), "15"),
        (format!("BW011{zpk}#72N00S00"), "15"),
        (format!("BW011{zpk}!2"), "15"),
        (format!("BW011{zpk}!12"), "15"),
        (format!("BW011{zpk}%03"), "13"),
        (format!("BWF21{zpk};70D"), "44"),
        (format!("BWF21{zpk};002"), "44"),
        // Attributes that do not suit the key.
        (format!("BW011{zpk}%01"), "15"),
        (format!("BW011{zpk}%01#72N00S0"), "15"),
        (format!("BW011{zpk}%01#V0N00S00"), "BD"),
        (format!("BW011{zpk}%01#71N00S00"), "BD"),
        (format!("BW011{zpk}%01#??N00S00"), "A6"),
        (format!("BW011{zpk}%01#72C00S00"), "A8"),
        (format!("BW011{zpk}%01#72Q00S00"), "A8"),
        (format!("BW011{zpk}%01#72Nc1S00"), "A9"),
        (format!("BW011{zpk}%01#72N00E00"), "AA"),
        (format!("BW011{zpk}%01#72N00X00"), "AA"),
        (format!("BW011{zpk}%01#72N00S090004"), "B3"),
        (format!("BW011{zpk}%01#72N00S0100"), "AC"),
        (format!("BW011{zpk}%01#72N00S010003"), "AC"),
        (format!("BW011{zpk}%01#72N00S0100FFL"), "AC"),
        (format!("BW011{zpk}%01#72N00S010005X"), "AD"),
        (format!("BW011{zpk}%01#72N00S010310202X:01:01:00"), "15"),
        (format!("BW011{zpk}%01#72N00S020005L0005L"), "BC"),
        (format!("BW011{zpk}%01#72N00S01PB0500"), "15"),
        (format!("BW011{zpk}%01#72N00S01PB060"), "AC"),
        (format!("BW011{zpk}%01#72N00S01PB050"), "BE"),
        (format!("BW011{zpk}%01#72N00S09{}", (0..9).map(|n| format!("X{n}04")).collect::<String>()), "B3"),
    ] {
        assert_eq!(run(&mut session, &request), code, "{request}: {}", why(&session));
    }
    let answer = run(&mut session, &format!("BW011{zpk}%01#72B00S020005L0410:{}", ""));
    assert_eq!(answer, "AC");
    let answer = run(&mut session, &format!("BW011{zpk}%01#72B00S020005L04112030:01:31:23"));
    let opened = open_block(&Lmk::test_keyblock_aes(), 1, &answer[2..]);
    assert_eq!(opened.optional.get(*b"04"), Some(&b"2030:01:31:23"[..]));
    assert_eq!(opened.key, clear(DD));
    // The type group of a short code is only there for a second group, and its type is not looked at.
    assert_eq!(run(&mut session, &format!("BW011{zpk};999;0X0")), format!("00{}", test("001", KeyScheme::X, DD)));
    assert_eq!(run(&mut plain(), &format!("BW011{zpk}")), "33");
}

#[test]
fn keys_of_type_002_become_what_separation_makes_of_them() {
    use KeyScheme::U;
    let old = old_variant_lmk();
    let separated = Settings { separate_002: true, ..Settings::default() };
    let mut session = changing(old_variant_lmk(), ChangeRole::Old, separated);
    let field = under_lmk(&old, "002", U, DD);
    for code in ["70D", "80D", "90D"] {
        let want = format!("00{}08D7B4", test(code, U, DD));
        assert_eq!(run(&mut session, &format!("BWF21{field};{code};0U0!11")), want, "{}", why(&session));
    }
    for code in ["001", "402", "000", "FFF", "002"] {
        assert_eq!(run(&mut session, &format!("BWF21{field};{code}")), "45", "{code}");
    }
    assert_eq!(run(&mut session, &format!("BWF21{};70D", under_lmk(&old, "001", U, DD))), "10");
    // 002 is PVKs now: no other usage goes without migration.
    assert_eq!(run(&mut session, &format!("BWFF1{field};002%01#71N00S00")), "BD");
    let answer = run(&mut session, &format!("BWF21{field};70D%01#71B00S00!11"));
    assert_eq!(open_block(&Lmk::test_keyblock_aes(), 1, &answer[2..answer.len() - 6]).key, clear(DD));
    assert_eq!(run(&mut session, &format!("BWF21{field};70D%01#51B00S00")), "BD");
    let mut together = changing(old_variant_lmk(), ChangeRole::Old, Settings::default());
    assert_eq!(&run(&mut together, &format!("BWFF1{field};002%01#71N00S00"))[..2], "00");
}

fn component(key: &str) -> String {
    let under = LmkUse::component_of(KeyType::ZMK);
    hex::encode(&variant::encrypt_under_lmk(&Lmk::test_variant(), under, KeyScheme::Double, &clear(key)).unwrap())
}

#[test]
fn zmks_are_formed_from_components_under_their_own_variant() {
    use KeyScheme::{Double, U, X};
    let mut session = plain();
    let parts = [DD, ZMK, TMK];
    assert_eq!(component(DD), "C982EA165F7823B6C9C8FA35A32FB81E");
    let sum = parts.map(|p| u128::from_str_radix(p, 16).unwrap()).iter().fold(0, |sum, p| sum ^ p);
    let key = clear(&format!("{sum:032X}")).with_odd_parity();
    let digits = hex::encode(key.bytes());
    let [a, b, c] = parts.map(component);
    for command in ["GG", "GY3"] {
        let want = |scheme, shown| format!("00{}{}", test("000", scheme, &digits), &kcv(&key)[..shown]);
        assert_eq!(run(&mut session, &format!("{command}{a}{b}{c}")), want(Double, 16), "{}", why(&session));
        assert_eq!(run(&mut session, &format!("{command}{c}{a}{b};0U1")), want(U, 6));
        assert_eq!(run(&mut session, &format!("{command}{c}{a}{b};0X0")), want(X, 16));
        let bad = component("000102030405060708090A0B0C0D0E0F");
        let mut expect = |request: String, code: &str| {
            assert_eq!(run(&mut session, &request), code, "{request}: {}", why(&session));
        };
        expect(format!("{command}{bad}{b}{c}"), "10");
        expect(format!("{command}{a}{bad}{c}"), "11");
        expect(format!("{command}{a}{b}{bad}"), "11");
        expect(format!("{command}{a}{b}"), "15");
        expect(format!("{command}U{a}{b}{c}"), "15");
        expect(format!("{command}{a}{b}{c};0?0"), "26");
        expect(format!("{command}{a}{b}{c};0Z0"), "26");
        expect(format!("{command}{a}{b}{c};002"), "15");
        // A whole ZMK is no component.
        expect(format!("{command}{}{b}{c}", test("000", Double, DD)), "10");
    }
    for (request, code) in [("GY0", "03"), ("GY1", "03"), ("GYA", "15"), ("GY", "15")] {
        assert_eq!(run(&mut session, request), code);
    }
    let nine = format!("GY9{}", [&a, &b, &c, &a, &b, &c, &a, &b, &c].map(String::as_str).concat());
    assert_eq!(run(&mut session, &nine), format!("00{}{}", test("000", Double, &digits), kcv(&key)));
    let two = run(&mut session, &format!("GY2{a}{b}"));
    assert_eq!(&two[..2], "00");

    let mut short = self::session(Settings { double_length_zmk: false, ..Settings::default() });
    let [a, b] = [&component(DD)[..16], &component(ZMK)[..16]];
    let answer = run(&mut short, &format!("GY2{a}{b}"));
    assert_eq!((&answer[..2], answer.len()), ("00", 34), "{}", why(&short));
}

#[test]
fn both_copies_of_a_new_key_have_the_attributes_asked_for() {
    let lmk = Lmk::test_keyblock_aes();
    let mut session = plain();
    let wrapping = |usage: &str| {
        let header = attributes(usage, BlockAlgorithm::Tdes, ModeOfUse::EncryptDecrypt, b"00");
        block(&lmk, 1, header, &OptionalBlocks::NONE, &clear(ZMK))
    };
    let (zmk, tmk) = (wrapping("52"), wrapping("51"));
    for request in [
        format!("HC{tmk};SS0%01#71B00S00"),
        format!("FI1{zmk};SS1%01#M0C00S00"),
        format!("IA{zmk};SS1%01#72B00E00"),
        format!("FG{zmk};SS1%01#V2C00S00"),
    ] {
        let answer = run(&mut session, &request);
        assert_eq!(&answer[..2], "00", "{request}: {}", why(&session));
        let (first, rest) = first_field(&answer[2..], 0);
        let (second, _) = first_field(rest, 0);
        let wanted = &request[request.len() - 8..request.len() - 2];
        for block in [first, second] {
            // Usage, then after the algorithm mode, version and exportability.
            assert_eq!([&block[6..8], &block[9..13]].concat(), wanted, "{request}: {block}");
        }
    }
    for (request, code) in [
        (format!("IA{zmk};US1%01#72B00N00"), "AA"),
        (format!("IA{zmk};US1%01#72B00E00"), "AA"),
        (format!("HA{tmk};SS0%01#M3C00N00"), "AA"),
    ] {
        assert_eq!(run(&mut session, &request), code, "{request}: {}", why(&session));
    }
}

#[test]
fn single_length_taks_have_a_usage_of_their_own() {
    let lmk = Lmk::test_keyblock_aes();
    let mut session = plain();
    let zmk = block(
        &lmk,
        1,
        attributes("52", BlockAlgorithm::Tdes, ModeOfUse::EncryptDecrypt, b"00"),
        &OptionalBlocks::NONE,
        &clear(ZMK),
    );
    let sent =
        variant::encrypt_under_zmk(&clear(ZMK), AtallaVariant::NONE, KeyScheme::Single, &clear(&DD[..16])).unwrap();
    let sent = KeyScheme::Single.write(&sent);
    let answer = run(&mut session, &format!("MI{zmk}{sent}%01"));
    assert_eq!(&answer[..2], "00", "{}", why(&session));
    let (tak, _) = first_field(&answer[2..], 0);
    assert_eq!(&tak[6..12], "M1DN00");
    let back = run(&mut session, &format!("MG{zmk}{tak}%01"));
    assert_eq!(&back[..18], format!("00{sent}"), "{}", why(&session));
}

#[test]
fn zmks_are_formed_from_key_block_components() {
    let lmk = Lmk::test_keyblock_aes();
    let mut session = plain();
    let part = |key: &str, version: &[u8; 2]| {
        let header = attributes("52", BlockAlgorithm::Tdes, ModeOfUse::EncryptDecrypt, version);
        block(&lmk, 1, header, &OptionalBlocks::NONE, &clear(key))
    };
    let (a, b) = (part(DD, b"c1"), part(ZMK, b"c2"));
    let sum = u128::from_str_radix(DD, 16).unwrap() ^ u128::from_str_radix(ZMK, 16).unwrap();
    let key = clear(&format!("{sum:032X}")).with_odd_parity();
    for options in ["", ";0S1", ";001"] {
        let answer = run(&mut session, &format!("GY2{a}{b}{options}%01#0700"));
        assert_eq!(&answer[..2], "00", "{}", why(&session));
        let (field, check) = first_field(&answer[2..], 0);
        let opened = open_block(&lmk, 1, field);
        let zeros = if options.is_empty() { "0000000000" } else { "" };
        assert_eq!((opened.key, check), (key.clone(), format!("{}{zeros}", &kcv(&key)[..6]).as_str()));
        let header = attributes("52", BlockAlgorithm::Tdes, ModeOfUse::EncryptDecrypt, b"07");
        assert_eq!(opened.header.attributes, header);
    }
    let mut expect = |request: String, code: &str| {
        assert_eq!(run(&mut session, &request), code, "{request}: {}", why(&session));
    };
    expect(format!("GY2{a}{b}%01"), "15");
    expect(format!("GY2{a}{}%01#0000", part(ZMK, b"00")), "A9");
    expect(format!("GY2{a}{}%01#0000", part(ZMK, b"c1")), "B5");
    expect(format!("GY2{a}{b}%02#0000"), "A1");
    expect(format!("GY2{a}{b}%00#0000"), "A1");
    expect(format!("GY2{a}{b};0U0%01#0000"), "26");
    expect(format!("GY2{a}{b}%01#c200"), "A9");
    expect(format!("GY2{a}{}%01#0000", component(DD)), "A1");
    // What is no ZMK does not become one.
    let header = attributes("72", BlockAlgorithm::Tdes, ModeOfUse::EncryptDecrypt, b"c1");
    let other = block(&lmk, 1, header, &OptionalBlocks::NONE, &clear(DD));
    let header = attributes("72", BlockAlgorithm::Tdes, ModeOfUse::EncryptDecrypt, b"c2");
    let others = block(&lmk, 1, header, &OptionalBlocks::NONE, &clear(ZMK));
    let answer = run(&mut session, &format!("GY2{other}{others}%01#0000"));
    assert_eq!(answer, "A6", "{}", why(&session));
}

#[test]
fn legacy_commands_work_under_key_block_lmks() {
    use KeyScheme::{Single, U};
    let mut session = plain();
    for (id, lmk) in [(1u8, Lmk::test_keyblock_aes()), (2, Lmk::test_keyblock_tdes())] {
        let zmk = tdes_block(&lmk, id, "52", ZMK);
        let tmk = tdes_block(&lmk, id, "51", TMK);
        // Imports give the closest usage, or the one asked for.
        for (command, usual, other) in [
            ("FA", "72", "P0"),
            ("FC", "51", "71"),
            ("FK0", "22", "D0"),
            ("FK1", "M3", "M1"),
            ("MI", "M3", "M0"),
            ("AW", "C0", "12"),
            ("DW", "B0", "B0"),
            ("BY", "52", "K0"),
        ] {
            let request = format!("{command}{zmk}{}", under_zmk(ZMK, U, DD));
            for (rest, usage) in [("", usual), (";0S1", usual), (";001", usual)] {
                let answer = run(&mut session, &format!("{request}{rest}%0{id}"));
                assert_eq!(&answer[..2], "00", "{command} {}", why(&session));
                let opened = open_block(&lmk, id, first_field(&answer[2..], 0).0);
                assert_eq!((opened.key, opened.header.attributes.usage.to_string().as_str()), (clear(DD), usage));
                assert_eq!(opened.header.attributes.exportability, Exportability::Sensitive);
            }
            let answer = run(&mut session, &format!("{request}%0{id}#{other}N00N00"));
            assert_eq!(&answer[..2], "00", "{command} {}", why(&session));
            assert_eq!(&answer[8..10], other);
            assert_eq!(run(&mut session, &format!("{request};0U0%0{id}")), "26");
            assert_eq!(run(&mut session, &format!("{request}%0{id}#01N00N00")), "BD");
        }
        // Exports, into the scheme of the key's length or the one asked for.
        for (command, usage, code) in
            [("GC", "72", "001"), ("FE", "71", "002"), ("FM1", "M3", "008"), ("MG", "M3", "003"), ("AU", "C0", "402")]
        {
            let field = tdes_block(&lmk, id, usage, DD);
            let answer = run(&mut session, &format!("{command}{zmk}{field}%0{id}"));
            let want = under_zmk(ZMK, U, DD);
            assert_eq!((&answer[..2], &answer[2..35]), ("00", want.as_str()), "{code} {}", why(&session));
            let answer = run(&mut session, &format!("{command}{zmk}{field};X01%0{id}"));
            assert_eq!(answer, format!("00{}08D7B4", under_zmk(ZMK, KeyScheme::X, DD)));
        }
        // ZEKs leave a key-block LMK in key blocks only.
        let field = tdes_block(&lmk, id, "22", DD);
        assert_eq!(run(&mut session, &format!("FM0{zmk}{field}%0{id}")), "AA");
        let field = tdes_block(&lmk, id, "71", DD);
        assert_eq!(run(&mut session, &format!("AE{tmk}{field}%0{id}")), format!("00{}", under_zmk(TMK, U, DD)));
        let field = tdes_block(&lmk, id, "M3", DDD);
        assert_eq!(
            run(&mut session, &format!("AG{tmk}{field}%0{id}")),
            format!("00{}", under_zmk(TMK, KeyScheme::T, DDD))
        );
        // New keys.
        for (request, kek) in
            [(format!("IA{zmk}"), Some(ZMK)), (format!("FI1{zmk}"), Some(ZMK)), (format!("HA{tmk}"), Some(TMK))]
        {
            for (options, untagged, bytes) in [("", 32, 16), (";US1", 32, 16), (";TS1", 32, 24), (";0S1", 32, 16)] {
                let answer = run(&mut session, &format!("{request}{options}%0{id}"));
                assert_eq!(&answer[..2], "00", "{request}{options} {}", why(&session));
                let (zone, rest) = first_field(&answer[2..], untagged);
                let opened = open_block(&lmk, id, first_field(rest, 0).0);
                assert_eq!(opened.key.len(), bytes);
                assert_eq!(kek.map(|kek| opened_zmk(&clear(kek), zone)), Some(opened.key));
            }
        }
        for request in ["AS", "AS;0S1", "BI", "BI;0S0"] {
            let answer = run(&mut session, &format!("{request}%0{id}"));
            assert_eq!(&answer[..2], "00", "{request} {}", why(&session));
            assert_eq!(open_block(&lmk, id, first_field(&answer[2..], 0).0).key.len(), 16);
        }
        assert_eq!(run(&mut session, &format!("AS;0U0%0{id}")), "26");
        let field = tdes_block(&lmk, id, "72", DD);
        assert_eq!(run(&mut session, &format!("KA{field}01;001%0{id}")), "0008D7B4");
        assert_eq!(run(&mut session, &format!("KA{field}03;001%0{id}")), "A6");
        // A key under a variant LMK is not one under this LMK.
        let mixed = run(&mut session, &format!("GC{zmk}{}%0{id}", test("001", Single, D)));
        assert_eq!(mixed, "A1");
    }
}

#[test]
fn a_component_is_of_no_use_as_a_key() {
    let mut session = plain();
    session.begin(*b"GY", None);
    let part = session.key_component_open(KeyPurpose::ZMK, component(DD).as_bytes()).unwrap();
    let zpk = session.key_open(KeyPurpose::ZPK, test("001", KeyScheme::U, DD).as_bytes()).unwrap();
    assert_eq!(session.key_wrap(part, b'U'), Err(ErrorCode::KEY_FUNCTION));
    assert_eq!(session.key_export(zpk, part, b'U', 0), Err(ErrorCode::KEY_FUNCTION));
    assert_eq!(session.key_form(KeyPurpose::ZMK, vec![part, zpk], None), Err(ErrorCode::KEY_FUNCTION));
}

/// Requests that succeed, one or more a command, for damage.
fn good() -> Vec<String> {
    use KeyScheme::{Double, Single, U};
    let old = old_variant_lmk();
    let tmk = test("002", U, TMK);
    let aes = Lmk::test_keyblock_aes();
    let mut all = vec![
        "AS;0U1".to_owned(),
        "BI;0T0%00".to_owned(),
        "BS%01".to_owned(),
        format!("IA{ZMK_FIELD}5;UU1%00"),
        format!("FI1{ZMK_FIELD};UU1"),
        format!("FG{ZMK_FIELD};UU2"),
        format!("HA{tmk};UU0"),
        format!("HC{tmk};UU0"),
        format!("AE{tmk}{tmk};X00"),
        format!("AG{tmk}{};Z00", test("003", Single, D)),
        format!("KA{}03;001", test("003", Single, D)),
        format!("GG{0}{0}{0};0U1", component(DD)),
        format!("GY2{}{};0U1", component(DD), component(ZMK)),
        format!("AA{};0U0", under_lmk(&old, "002", U, DD)),
        format!("AC{}%01#M3N00S00", under_lmk(&old, "003", U, DD)),
        format!("AY{}", under_lmk(&old, "402", Double, DD)),
        format!("GE{}", under_lmk(&old, "000", Double, DD)),
        format!("KC{}", under_lmk(&old, "001", Single, D)),
        format!("BWFF1{};001;0S0%01#72N00S010005L!11", under_lmk(&old, "001", U, DD)),
        format!("BW021{};002;0X0!10", under_lmk(&old, "002", U, DD)),
        format!("FA{}{};0S1%01#72N00S00", tdes_block(&aes, 1, "52", ZMK), under_zmk(ZMK, U, DD)),
        format!("GC{}{};X01%01", tdes_block(&aes, 1, "52", ZMK), tdes_block(&aes, 1, "72", DD)),
    ];
    for pair in &PAIRS {
        let (scheme, key) = if pair.double { (Double, DD) } else { (Single, D) };
        all.push(format!("{}{}{ZMK_FIELD}{}3;0U1", pair.import, pair.flag, under_zmk(ZMK, U, DD)));
        if let Some(export) = pair.export {
            all.push(format!("{export}{}{ZMK_FIELD}{};001%00", pair.flag, test(pair.code, scheme, key)));
        }
    }
    all
}

#[test]
fn the_requests_to_damage_are_good() {
    for request in good() {
        let mut session = changing(old_variant_lmk(), ChangeRole::Old, Settings::default());
        let answer = run(&mut session, &request);
        assert!(answer.starts_with("00") || answer.starts_with("01"), "{request}: {answer} {}", why(&session));
    }
    for command in COMMANDS.iter().filter(|c| **c != "BU") {
        assert!(good().iter().any(|request| request.starts_with(command)), "{command}");
    }
}

fn answers(request: &[u8]) -> Result<(), TestCaseError> {
    let mut session = changing(old_variant_lmk(), ChangeRole::Old, Settings::default());
    let answer = run_bytes(&mut session, request);
    prop_assert!(answer.len() >= 2);
    prop_assert!(answer.starts_with(b"00") || answer.starts_with(b"01") || answer.len() <= 2 + 33);
    prop_assert!(!answer.starts_with(b"41"), "{}: {}", request.escape_ascii(), why(&session));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_body_gets_an_answer(command in 0..COMMANDS.len(), body in proptest::collection::vec(any::<u8>(), 0..200)) {
        answers(&[COMMANDS[command].as_bytes(), &body].concat())?;
    }

    #[test]
    fn any_damage_gets_an_answer(
        which in 0..good().len(),
        at in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        byte in prop_oneof![any::<u8>(), Just(b'S'), Just(b'#'), Just(b';'), Just(b'!'), Just(b'K'), Just(b'9')],
        change in 0..3,
    ) {
        let mut request = good()[which].clone().into_bytes();
        let at = 2 + at.index(request.len() - 2);
        match change {
            0 => request[at] = byte,
            1 => request.insert(at, byte),
            _ => request.truncate(2 + cut.index(request.len() - 2)),
        }
        answers(&request)?;
    }
}
