//! Keys between LMKs, ZMKs and key blocks: A0, A4, A6, A8, B0, BU and CS, and what key blocks let their keys do.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::needless_update,
    reason = "helpers of tests; LMK slots may get more fields"
)]

use hsm_core::key_block::header::Family;
use hsm_core::key_block::{OpenedBlock, inspect, thales, tr31};
use hsm_core::key_type::KeyType;
use hsm_core::lmk::Lmk;
use hsm_core::scheme::{KeyField, KeyScheme, Untagged};
use hsm_core::user_storage::SlotSize;
use hsm_core::variant::{self, LmkUse};
use hsm_core::{ClearKey, Clock, LmkSlots, SecurityModule, Session, Settings, hex};
use hsm_plugin_sdk::abi::wire::{Reader, Wire};
use hsm_plugin_sdk::abi::{BaseOps, ErrorCode, KeyAttributes, KeyHandle, KeyOps, KeyPurpose};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// 2026-01-15 12:00 UTC.
struct Noon;

impl Clock for Noon {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_768_478_400)
    }
}

/// Slot 00 the variant test LMK, 01 the AES key-block LMK, 02 the TDES key-block LMK.
struct Device {
    session: Session,
}

impl Device {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        let slots = [Lmk::test_variant(), Lmk::test_keyblock_aes(), Lmk::test_keyblock_tdes()];
        let slots = (0..).zip(slots.map(Arc::new)).collect();
        let lmks = LmkSlots { slots, ..LmkSlots::default() };
        Self { session: Session::new(SecurityModule::with_seed(lmks, settings, [7; 32], Arc::new(Noon))) }
    }

    /// Runs a request; the answer without the response code.
    fn run(&mut self, request: &str) -> String {
        let (code, body) = request.as_bytes().split_at(2);
        let command = hsm_plugins::COMMANDS.iter().find(|c| c.code == code).unwrap();
        self.session.begin(code.try_into().unwrap(), None);
        String::from_utf8(command.respond(body, &mut self.session, true)).unwrap()
    }

    /// The fields of a response that must be without error.
    #[track_caller]
    fn ok(&mut self, request: &str) -> String {
        let answer = self.run(request);
        assert!(answer.starts_with("00"), "{request}: {answer} {:?}", self.session.transcript().explanation);
        answer[2..].to_owned()
    }

    #[track_caller]
    fn refuses(&mut self, request: &str, code: &str) {
        let answer = self.run(request);
        assert_eq!(answer, code, "{request}: {:?}", self.session.transcript().explanation);
    }

    /// Generates a key under the variant LMK: its field and check value.
    #[track_caller]
    fn variant_key(&mut self, key_type: &str, scheme: &str) -> (String, String) {
        split_last(&self.ok(&format!("A00{key_type}{scheme}")), 6)
    }

    /// Generates a key under a key-block LMK.
    #[track_caller]
    fn block_key(&mut self, lmk: &str, attributes: &str) -> (String, String) {
        split_last(&self.ok(&format!("A00FFFS%{lmk}#{attributes}")), 6)
    }
}

fn split_last(text: &str, len: usize) -> (String, String) {
    let (first, last) = text.split_at(text.len() - len);
    (first.to_owned(), last.to_owned())
}

/// A key field and what follows it.
fn split_field(text: &str) -> (String, String) {
    let (_, len) = KeyField::parse(text.as_bytes(), Untagged::Single).unwrap();
    (text[..len].to_owned(), text[len..].to_owned())
}

fn lmk(id: &str) -> Lmk {
    if id == "01" { Lmk::test_keyblock_aes() } else { Lmk::test_keyblock_tdes() }
}

/// Opens a block under a key-block LMK.
fn open(id: &str, block: &str) -> OpenedBlock {
    thales::unwrap(lmk(id).protection_keys().unwrap(), None, &block.as_bytes()[1..]).unwrap()
}

/// The clear key of a field under the variant LMK.
fn clear(key_type: &str, field: &str) -> ClearKey {
    let (KeyField::Cryptogram { scheme, digits }, _) = KeyField::parse(field.as_bytes(), Untagged::Single).unwrap()
    else {
        panic!("{field} is not a cryptogram")
    };
    let under = LmkUse::from(KeyType::parse(key_type.as_bytes()).unwrap());
    let decrypted = variant::decrypt_under_lmk(&Lmk::test_variant(), under, scheme, &hex::decode(digits).unwrap());
    decrypted.unwrap().key
}

/// A field of a key or component under the variant LMK.
fn field(key_type: &str, component: bool, scheme: KeyScheme, key: &str) -> String {
    let under = LmkUse { component, ..LmkUse::from(KeyType::parse(key_type.as_bytes()).unwrap()) };
    let key = ClearKey::des(&hex::decode(key.as_bytes()).unwrap()).unwrap();
    scheme.write(&variant::encrypt_under_lmk(&Lmk::test_variant(), under, scheme, &key).unwrap())
}

fn header(block: &str) -> &str {
    &block[6..17]
}

const DD: &str = "0123456789ABCDEFFEDCBA9876543210";

// ---------------------------------------------------------------- round trips

#[test]
fn variant_keys_return_from_under_a_zmk_in_every_scheme() {
    let mut hsm = Device::new();
    let (zmk, _) = hsm.variant_key("000", "U");
    let (tmk, _) = hsm.variant_key("002", "T");
    for key_type in
        ["001", "002", "302", "402", "003", "006", "008", "009", "609", "109", "209", "309", "709", "00A", "30B"]
    {
        for (own, transports) in
            [("Z", &["Z"][..]), ("U", &["U", "X"]), ("X", &["U", "X"]), ("T", &["T", "Y"]), ("Y", &["T", "Y"])]
        {
            let (key, kcv) = hsm.variant_key(key_type, own);
            for transport in transports {
                for atalla in ["", "1", "05", "31"] {
                    let (exported, same) =
                        split_last(&hsm.ok(&format!("A8{key_type}{zmk}{key}{transport}{atalla}")), 6);
                    assert_eq!(same, kcv);
                    assert_eq!(hsm.ok(&format!("A6{key_type}{zmk}{exported}{own}{atalla}")), key.clone() + &kcv);
                }
                let (exported, _) = split_last(&hsm.ok(&format!("A8{key_type};1{tmk}{key}{transport}")), 6);
                assert_ne!(exported, key);
            }
        }
    }
}

#[test]
fn a_key_is_generated_and_exported_in_one_command() {
    let mut hsm = Device::new();
    let (zmk, _) = hsm.variant_key("000", "U");
    for flag in ["", ";0"] {
        for (own, transport) in [("Z", "Z"), ("U", "X"), ("U", "U"), ("T", "Y"), ("T", "T")] {
            let answer = hsm.ok(&format!("A01001{own}{flag}{zmk}{transport}"));
            let (key, rest) = split_field(&answer);
            let (exported, kcv) = split_last(&rest, 6);
            assert_eq!(hsm.ok(&format!("A6001{zmk}{exported}{own}")), key + &kcv);
        }
    }
    let (tmk, _) = hsm.variant_key("002", "U");
    let answer = hsm.ok(&format!("A01002U;1{tmk}X"));
    assert_eq!(answer.len(), 33 + 33 + 6);
}

#[test]
fn keys_in_blocks_return_from_under_a_zmk_in_every_scheme() {
    let mut hsm = Device::new();
    for (lmk, zmk) in
        [("01", "52A3N00S00"), ("01", "K0T2B00S00"), ("01", "52T3N00S00"), ("02", "52T2N00S00"), ("02", "K0T3N00E00")]
    {
        let (zmk, _) = hsm.block_key(lmk, zmk);
        let aes = zmk.as_bytes()[8] == b'A';
        for attributes in [
            "72T2B00S00",
            "71D1N00S00",
            "B0T3X00S00",
            "13T2C01S00",
            "M3T2G00S00",
            "E0T2N00S00",
            "72A1N00E00",
            "D0A3B00S00",
            "51A2E00S00",
        ] {
            let (of_aes, triple) = (&attributes[2..3] == "A", &attributes[3..4] == "3");
            if of_aes && (lmk == "02" || !aes) {
                continue;
            }
            let (key, kcv) = hsm.block_key(lmk, attributes);
            let mut transports = vec!["S", "R"];
            if aes {
                transports.extend(["R!D", "R!E"]);
            } else {
                transports.extend(["R!A", "R!B", "R!C"]);
                transports.extend(match &attributes[2..4] {
                    "D1" => ["Z", "Z"],
                    "T2" => ["U", "X"],
                    _ => ["T", "Y"],
                });
            }
            for transport in transports {
                let (scheme, version) = transport.split_at(1);
                let (exported, same) = split_last(&hsm.ok(&format!("A8FFF{zmk}{key}{scheme}%{lmk}{version}")), 6);
                assert_eq!(same, kcv);
                let group = match scheme {
                    "S" => {
                        assert_eq!(&exported[15..17], "FF");
                        String::new()
                    }
                    "R" => {
                        let usual = if aes { "D" } else { "B" };
                        assert_eq!(&exported[1..2], if version.is_empty() { usual } else { &version[1..] });
                        format!("#{}00", &attributes[..2])
                    }
                    _ => format!("#{}{}00", &attributes[..2], &attributes[4..8]),
                };
                let (back, same) = split_last(&hsm.ok(&format!("A6FFF{zmk}{exported}S%{lmk}{group}")), 6);
                assert_eq!(same, kcv, "{transport}");
                assert_eq!(header(&back), header(&key), "{transport} {triple}");
                assert_eq!(open(lmk, &back).key, open(lmk, &key).key);
            }
        }
    }
}

#[test]
fn tr31_blocks_made_here_open_with_the_zmk() {
    let mut hsm = Device::new();
    for (zmk, version) in [("52A3N00S00", 'D'), ("52T2N00S00", 'B')] {
        let (zmk, _) = hsm.block_key("01", zmk);
        let (key, _) = hsm.block_key("01", "72T2N12E00");
        let (block, _) = split_last(&hsm.ok(&format!("A8FFF{zmk}{key}R%01&N!{version}")), 6);
        let opened = tr31::unwrap(&open("01", &zmk).key, &block.as_bytes()[1..]).unwrap();
        assert_eq!(opened.key, open("01", &key).key);
        assert_eq!(&block[6..17], "P0TN12N0000");
    }
    // From the variant LMK: attributes come with the request.
    let (zmk, _) = hsm.variant_key("000", "U");
    let (bdk, kcv) = hsm.variant_key("009", "U");
    let block = hsm.ok(&format!("A8009{zmk}{bdk}R%00&B0X00S01KS0CABCDEF12!B"));
    let (block, same) = split_last(&block, 6);
    assert_eq!(same, kcv);
    let opened = tr31::unwrap(&clear("000", &zmk), &block.as_bytes()[1..]).unwrap();
    assert_eq!(opened.key, clear("009", &bdk));
    assert_eq!(opened.optional.get(*b"KS"), Some(&b"ABCDEF12"[..]));
    assert_eq!(hsm.ok(&format!("A6009{zmk}{block}U")), bdk + &kcv);
    // Generated and exported at once.
    let answer = hsm.ok(&format!("A01001U{zmk}R&P0N00N00!A"));
    let (key, rest) = split_field(&answer);
    let (block, _) = split_last(&rest, 6);
    assert_eq!(tr31::unwrap(&clear("000", &zmk), &block.as_bytes()[1..]).unwrap().key, clear("001", &key));
}

#[test]
fn optional_blocks_travel_with_their_key() {
    let mut hsm = Device::new();
    let (zmk, _) = hsm.block_key("01", "52A3N00S00");
    let (key, _) = hsm.block_key("01", "72A1N00S020005LKS0CABCDEF12");
    let (thales, _) = split_last(&hsm.ok(&format!("A8FFF{zmk}{key}S%01")), 6);
    let (back, _) = split_last(&hsm.ok(&format!("A6FFF{zmk}{thales}S%01")), 6);
    let optional = open("01", &back).optional;
    assert_eq!((optional.get(*b"00"), optional.get(*b"KS")), (Some(&b"L"[..]), Some(&b"ABCDEF12"[..])));
    // Thales' own blocks do not go into a TR-31 block.
    let (tr31, _) = split_last(&hsm.ok(&format!("A8FFF{zmk}{key}R%01")), 6);
    let opened = tr31::unwrap(&open("01", &zmk).key, &tr31.as_bytes()[1..]).unwrap();
    assert_eq!((opened.optional.get(*b"00"), opened.optional.get(*b"KS")), (None, Some(&b"ABCDEF12"[..])));
}

#[test]
fn keys_go_from_a_variant_lmk_to_a_key_block_lmk() {
    let mut hsm = Device::new();
    let (zpk, kcv) = hsm.variant_key("001", "U");
    let block = hsm.ok(&format!("B0001{zpk}S%01#72N00S00"));
    assert_eq!(open("01", &block).key, clear("001", &zpk));
    assert_eq!(header(&block), "72TN00S0001");
    assert_eq!(hsm.ok(&format!("BUFFF{block};FFF;001%01")), kcv);
    let (tpk, _) = hsm.variant_key("002", "Z");
    assert_eq!(header(&hsm.ok(&format!("B0002Z{tpk}S%02#71B00N00"))), "71DB00N0002");
    hsm.refuses(&format!("B0001{zpk}S%01#D0N00S00"), "BD");
    hsm.refuses(&format!("B0001{zpk}S%01#72N00E00"), "AA");
    hsm.refuses(&format!("B0001{zpk}S%01#72C00S00"), "A8");
    hsm.refuses(&format!("B0001{zpk}S%01"), "15");
    hsm.refuses(&format!("B0001{zpk}S#72N00S00"), "A1");
    // The operations that a migration uses.
    hsm.session.begin(*b"BW", None);
    let key = hsm.session.key_open(KeyPurpose::ZPK, zpk.as_bytes()).unwrap();
    hsm.session.select_lmk(2).unwrap();
    let attributes = KeyAttributes {
        usage: Some(*b"P0"),
        mode: Some(b'B'),
        key_version: Some(*b"07"),
        exportability: Some(b'S'),
        ..KeyAttributes::default()
    };
    let described = hsm.session.key_describe(key, attributes).unwrap();
    let block = hsm.session.key_wrap(described, b'S').unwrap();
    let block = String::from_utf8(block).unwrap();
    assert_eq!(header(&block), "P0TB07S0002");
    assert_eq!(open("02", &block).key, clear("001", &zpk));
    // And never back but by export and import.
    hsm.session.select_lmk(0).unwrap();
    assert_eq!(hsm.session.key_wrap(described, b'U'), Err(ErrorCode::LMK_SCHEMES));
    assert_eq!(hsm.session.key_describe(described, attributes), Err(ErrorCode::KEY_FUNCTION));
}

#[test]
fn keys_without_attributes_get_the_usual_ones_of_their_purpose() {
    let mut hsm = Device::new();
    hsm.session.begin(*b"HC", None);
    hsm.session.select_lmk(1).unwrap();
    for (purpose, expected) in [
        (KeyPurpose::ZPK, "72TN00S0001"),
        (KeyPurpose::TPK, "71TN00S0001"),
        (KeyPurpose::CVK, "C0TN00S0001"),
        (KeyPurpose::BDK_1, "B0TN00S0001"),
        (KeyPurpose::MK_AC, "E0TN00S0001"),
        (KeyPurpose::TAK, "M3TN00S0001"),
    ] {
        let key = hsm.session.key_generate(purpose, b'S').unwrap();
        let block = String::from_utf8(hsm.session.key_wrap(key, b'S').unwrap()).unwrap();
        assert_eq!(header(&block), expected);
    }
    let key = hsm.session.key_generate(KeyPurpose::ZPK, b'S').unwrap();
    assert_eq!(hsm.session.key_wrap(key, b'U'), Err(ErrorCode::KEY_SCHEME));
}

// ---------------------------------------------------------------- samples of devices, opened

#[test]
fn samples_of_devices_give_the_keys_on_record() {
    let slots = [(0, Lmk::test_variant()), (1, Lmk::test_keyblock_tdes())];
    let slots = slots.into_iter().map(|(id, lmk)| (id, Arc::new(lmk))).collect();
    let mut hsm = Device {
        session: Session::new(SecurityModule::new(
            LmkSlots { slots, default: 1, ..LmkSlots::default() },
            Settings::default(),
        )),
    };
    let key = hsm.ok(
        "A42FFFSS0007252TBc1E0001C9ED3207A1A79BCA1CAB8C05FEC9429E2232067D1F9E908F15E9DCA7S0007252TBc2E000125276E9C8BC0FA0F70109274FAB9647EF89A189C019465182A345009#0000",
    );
    let (key, _) = split_last(&key, 6);
    assert_eq!(*open("02", &key).key.bytes(), *hex::decode(b"DA38FD20EF58401658047AEF106DF42F").unwrap());
    assert_eq!(header(&key), "52TB00E0001");
    let answer = hsm.ok(
        "A6FFFS00072K0TB00E0001DB045F29C053EEFF7B9425B3A88C7258EB7EA7E40E2C47878647072AS00072P0TB00N00FFE1D89671C973C7F0DAF91CB2EBF379493C08975679001172C89A0AF8S%01",
    );
    let (key, kcv) = split_last(&answer, 6);
    assert_eq!(*open("02", &key).key.bytes(), *hex::decode(b"98519E45CBB9291F49EFAD4AFEFDDC79").unwrap());
    assert_eq!(kcv, "4FE9FD");
}

#[test]
fn initial_keys_are_those_of_the_standards() {
    let mut hsm = Device::new();
    // X9.24-1 annex A and the sample of a device (keys.md 7, A0).
    let bdk = "U8E3D3E2FD5919657F05A1AA90D32A014";
    assert_eq!(hsm.ok(&format!("A0A302U01{bdk}FFFF9876543210E")), "UE2D197D9F18D83146EC7A3230DD89546AF8C07");
    // The letter O for the digit, and the lowest bit of the counter that the last digit has.
    assert_eq!(hsm.ok(&format!("A0A302UO1{bdk}FFFF9876543210F")), "UE2D197D9F18D83146EC7A3230DD89546AF8C07");
    let bdk2 = field("609", false, KeyScheme::U, DD);
    assert_eq!(hsm.ok(&format!("A0A302U02{bdk2}FFFF9876543210E")), "UE2D197D9F18D83146EC7A3230DD89546AF8C07");
    hsm.refuses(&format!("A0A302U02{bdk}FFFF9876543210E"), "10");
    hsm.refuses(&format!("A0A001U01{bdk}FFFF9876543210E"), "29");
    hsm.refuses(&format!("A0A302U05{bdk}FFFF9876543210E"), "15");
    hsm.refuses(&format!("A0A302T01{bdk}FFFF9876543210E"), "26");
    let (zmk, _) = hsm.variant_key("000", "U");
    let answer = hsm.ok(&format!("A0B302U01{bdk}FFFF9876543210E{zmk}X"));
    assert_eq!((&answer[..33], &answer[66..]), ("UE2D197D9F18D83146EC7A3230DD89546", "AF8C07"));

    let bdk = "S10096B0AN00S000156B82A787599FA184E25CC67CD24EC67E213A6F95808FF9630E5133D4441E445BCD6A901A898186F";
    let zmk = "S10128K0AN00S00014992CC54DBFA719AB7A7737F6A5DEE252384B03176F5A08BB75EAF35F37C4CD86A0D7BD141A9BC6F77C9D81191A5F3E639AFC53C26D5325F";
    let answer = hsm.ok(&format!("A0BFFFS02{bdk}FFFFFFFFFFFFFF42{zmk}R%01#B1A1N00S00"));
    let (key, rest) = split_field(&answer);
    let (block, kcv) = split_last(&rest, 6);
    let initial = open("01", &key).key;
    assert_eq!(*initial.bytes(), *hex::decode(b"35F14B79557F9DAC781B525E796A1AB5").unwrap());
    assert_eq!(tr31::unwrap(&open("01", zmk).key, &block.as_bytes()[1..]).unwrap().key, initial);
    assert_eq!((header(&block), kcv.as_str()), ("B1AN00S0000", "DD3ABE"));
    hsm.refuses(&format!("A0AFFFS02{bdk}FFFFFFFFFFFFFF42%01#B1T2N00S00"), "A7");
    hsm.refuses(&format!("A0AFFFS02{bdk}FFFFFFFFFFFFFF42%01#B1A3N00S00"), "A5");
    hsm.refuses(&format!("A0AFFFS02{bdk}FFFFFFFFFFFFFF42%01#72A1N00S00"), "A6");
    hsm.refuses(&format!("A0AFFFS02{zmk}FFFFFFFFFFFFFF42%01#B1A1N00S00"), "A6");

    // A TDES BDK in a key block, without parity forced on the key.
    let (bdk, _) = hsm.block_key("02", "B0T2X00S00");
    let (key, _) = split_last(&hsm.ok(&format!("A0AFFFS01{bdk}FFFF9876543210E%02#B1T2X00N00")), 6);
    let ksn = hsm_core::dukpt::Ksn::parse(b"FFFF9876543210E00000").unwrap();
    let expected = hsm_core::dukpt::TdesBdk::new(&open("02", &bdk).key).unwrap().initial_key(&ksn).unwrap();
    assert_eq!(open("02", &key).key, expected);
}

#[test]
fn initial_keys_keep_the_parity_of_their_derivation() {
    // X9.24-1 annex A: BDK 0123456789ABCDEFFEDCBA9876543210, KSN FFFF9876543210E00000.
    const INITIAL: &str = "6AC292FAA1315B4D858AB3A3D7D5933A";
    let mut hsm = Device::new();
    let zmk = field("000", false, KeyScheme::U, DD);
    let bdk = field("009", false, KeyScheme::U, DD);
    let answer = hsm.ok(&format!("A0B302U01{bdk}FFFF9876543210E{zmk}X"));
    let (under_lmk, rest) = answer.split_at(33);
    // keys.md 7 (A0).
    assert_eq!(under_lmk, "UE2D197D9F18D83146EC7A3230DD89546");
    let (under_zmk, kcv) = split_last(rest, 6);
    assert_eq!(kcv, "AF8C07");
    let digits = hex::decode(&under_zmk.as_bytes()[1..]).unwrap();
    let key = ClearKey::des(&hex::decode(DD.as_bytes()).unwrap()).unwrap();
    let sent = variant::decrypt_under_zmk(&key, variant::AtallaVariant::NONE, KeyScheme::X, &digits).unwrap();
    assert_eq!(hex::encode(sent.key.bytes()), INITIAL);
    // It comes back as it went, without advice, under either kind of LMK, and may be looked at.
    assert_eq!(hsm.ok(&format!("A6302{zmk}{under_zmk}U")), format!("{under_lmk}AF8C07"));
    assert_eq!(hsm.ok(&format!("BUFF1{under_lmk};302;001")), "AF8C07");
    let (kek, _) = hsm.block_key("01", "52T2N00S00");
    let kek_key = open("01", &kek).key;
    let clear = ClearKey::des(&hex::decode(INITIAL.as_bytes()).unwrap()).unwrap();
    let sent = variant::encrypt_under_zmk(&kek_key, variant::AtallaVariant::NONE, KeyScheme::X, &clear).unwrap();
    let block = hsm.ok(&format!("A6FFF{kek}{}S%01#B1X00S00", KeyScheme::X.write(&sent)));
    assert_eq!(open("01", &block[..block.len() - 6]).key, clear);
}

#[test]
fn a_new_initial_key_goes_under_the_update_key_of_the_current_one() {
    let mut hsm = Device::new();
    let (new, _) = hsm.block_key("01", "B0A1X00S00");
    let (current, _) = hsm.block_key("01", "B0A2X00S00");
    let id = "1234567890123456";
    let answer = hsm.ok(&format!("A0BFFFS01{new}FFFFFFFFFFFFFF42{current}{id}R%01#B1A1X00S00&N"));
    let (key, rest) = split_field(&answer);
    let (block, _) = split_last(&rest, 6);
    let id = 0x1234_5678_9012_3456_u64.to_be_bytes();
    let initial = hsm_core::dukpt::aes_initial_key(&open("01", &current).key, &id).unwrap();
    let update = hsm_core::dukpt::aes_update_key(&initial, &id, hsm_core::dukpt::AesKeyType::Aes192).unwrap();
    let opened = tr31::unwrap(&update, &block.as_bytes()[1..]).unwrap();
    assert_eq!(opened.key, open("01", &key).key);
    assert_eq!(&block[6..17], "B1AX00N0000");
    let (tdes, _) = hsm.block_key("01", "B0T2X00S00");
    hsm.refuses(&format!("A0BFFFS01{new}FFFFFFFFFFFFFF42{tdes}1234567890123456R%01#B1A1X00S00"), "BB");
    // Only for initial keys.
    hsm.refuses(&format!("A01FFFS{current}R%01#72A1N00S00"), "BB");
}

#[test]
fn zka_session_keys_follow_from_the_random_number() {
    let mut hsm = Device::new();
    let (master, _) = hsm.variant_key("607", "U");
    let answer = hsm.ok(&format!("A0A001U1607{master}1"));
    let (key, random) = split_last(&answer, 32);
    assert_eq!(hsm.ok(&format!("A0A001U1607{master}0{random}")), key);
    let other = hsm.ok(&format!("A0A008U1607{master}0{random}"));
    assert_ne!(clear("008", &other[..33]), clear("001", &key[..33]));
    hsm.refuses(&format!("A0A002U1607{master}1"), "29");
    hsm.refuses(&format!("A0A001U1001{master}1"), "07");
    hsm.refuses(&format!("A0A001U1G07{master}1"), "07");
    hsm.refuses(&format!("A0A001U1607{master}2"), "15");
    let (master, _) = hsm.block_key("01", "53T2X00S00");
    let key = hsm.ok(&format!("A0AFFFS1FFF{master}0{random}%01#72T2N00S00"));
    assert_eq!(header(&key), "72TN00S0001");
    hsm.refuses(&format!("A0AFFFS1FFF{master}0{random}%01#71T2N00S00"), "29");
    hsm.refuses(&format!("A0AFFFS1607{master}0{random}%01#72T2N00S00"), "07");
    let (aes, _) = hsm.block_key("01", "53A1X00S00");
    hsm.refuses(&format!("A0AFFFS1FFF{aes}0{random}%01#72T2N00S00"), "A7");
}

#[test]
fn a_zmk_in_a_tr31_block_may_protect_key_blocks_too() {
    let mut hsm = Device::new();
    let (zmk, _) = hsm.variant_key("000", "U");
    let (kek, kcv) = hsm.variant_key("000", "U");
    for usage in ["K0", "K1"] {
        let (block, _) = split_last(&hsm.ok(&format!("A8000{zmk}{kek}R&{usage}B00S00")), 6);
        assert_eq!(&block[6..8], usage);
        assert_eq!(split_last(&hsm.ok(&format!("A6000{zmk}{block}U")), 6), (kek.clone(), kcv.clone()));
        hsm.refuses(&format!("A6001{zmk}{block}U"), "BD");
    }
}

#[test]
fn key_types_are_hexadecimal_digits_in_either_case() {
    let mut hsm = Device::new();
    let (zmk, _) = hsm.variant_key("000", "U");
    let field = format!("U{}", "1".repeat(32));
    for letters in ["00C", "00c", "10C", "10c", "00D", "00d"] {
        // Parts of RSA and HMAC keys are not taken for DES keys.
        for request in [
            format!("A00{letters}U"),
            format!("A8{letters}{zmk}{field}U"),
            format!("A6{letters}{zmk}{field}U"),
            format!("A42{letters}U{field}{field}"),
            format!("B0{letters}{}U", &field[1..]),
            format!("BUFF1{field};{letters};001"),
        ] {
            hsm.refuses(&request, "29");
        }
    }
    assert_eq!(hsm.ok("A0000aU").len(), 39);
    hsm.ok("A00fffS%01#72T2N00S00");
    // What commands call keys that no type code describes is no type code.
    for role in ["TPK", "TMK", "TMT", "BDK", "WRP", "NEW", "PIN", "DK1", "0 1", "\u{7f}00"] {
        hsm.refuses(&format!("A00{role}U"), "04");
        hsm.refuses(&format!("A8{role}{zmk}{field}U"), "04");
        hsm.refuses(&format!("BUFF1{field};{role};001"), "28");
    }
    let mut single = Device::with(Settings { authorise_all: false, multiple_activities: false, ..Settings::default() });
    single.refuses("A00000U", "17");
    single.refuses(&format!("A6000{zmk}{field}U"), "17");
    single.ok("A00001U");
}

#[test]
fn revoked_and_expired_keys_do_not_leave() {
    let mut hsm = Device::new();
    let (zmk, _) = hsm.block_key("01", "52T2N00S00");
    for status in ["E", "P", "R"] {
        let (key, _) = hsm.block_key("01", &format!("72T2N00S010005{status}"));
        for scheme in ["S", "R", "U"] {
            hsm.refuses(&format!("A8FFF{zmk}{key}{scheme}%01"), "AD");
        }
    }
    let mut strict = Device::with(Settings { check_key_validity: true, ..Settings::default() });
    let (over, _) = strict.block_key("01", "72T2N00S0104112025:12:31:23");
    strict.refuses(&format!("A8FFF{zmk}{over}S%01"), "AF");
    hsm.ok(&format!("A8FFF{zmk}{over}S%01"));
}

#[test]
fn the_flag_of_the_wrapping_key_needs_no_delimiter_before_a_key_block() {
    let mut hsm = Device::new();
    let (zmk, _) = hsm.block_key("01", "52T2N00S00");
    let (key, kcv) = hsm.block_key("01", "72T2N00S00");
    for flag in ["", ";0", "0"] {
        assert!(hsm.ok(&format!("A8FFF{flag}{zmk}{key}S%01")).ends_with(&kcv), "{flag}");
    }
    let (variant, _) = hsm.variant_key("000", "U");
    hsm.refuses(&format!("A80010{variant}{variant}U"), "15");
}

// ---------------------------------------------------------------- generation

#[test]
fn generation_refuses_what_the_tables_do_not_have() {
    let mut hsm = Device::new();
    for (request, code) in [
        ("A02001U", "15"),
        ("A00001", "15"),
        ("A00001Q", "26"),
        ("A00001S", "26"),
        ("A00001S#72T2N00S00", "26"),
        ("A00FFFS#72T2N00S00", "28"),
        ("A00FFFU", "28"),
        ("A0000EZ", "29"),
        ("A0000FZ", "04"),
        ("A000ZZU", "04"),
        ("A00001U#72T2N00S00", "15"),
        ("A00FFFS%01", "15"),
        ("A00FFFS%1#72T2N00S00", "15"),
        ("A00FFFS%09#72T2N00S00", "13"),
        ("A00001S%01#72T2N00S00", "28"),
        ("A00FFFU%01", "26"),
        ("A00FFFS%01#ZZT2N00S00", "A6"),
        ("A00FFFS%01#72H0N00S00", "A7"),
        ("A00FFFS%01#C0D1N00S00", "A7"),
        ("A00FFFS%01#72T2X00S00", "A8"),
        ("A00FFFS%01#72T2Q00S00", "A8"),
        ("A00FFFS%01#72T2Nc1S00", "A9"),
        ("A00FFFS%01#72T2N00Q00", "AA"),
        ("A00FFFS%01#72T2N00S09", "B3"),
        ("A00FFFS%01#72T2N00S0x", "15"),
        ("A00FFFS%01#72T2N00S01", "AC"),
        ("A00FFFS%01#72T2N00S010003L", "AC"),
        ("A00FFFS%01#72T2N00S010005X", "AD"),
        ("A00FFFS%01#72T2N00S010111X", "AC"),
        ("A00FFFS%01#72T2N00S01030E2026:01:01", "AE"),
        ("A00FFFS%01#72T2N00S01040E2026:13:01", "AF"),
        ("A00FFFS%01#72T2N00S0200", "AC"),
        ("A00FFFS%01#72T2N00S020005L0005L", "BC"),
        ("A00FFFS%01#72T2N00S01PB0400", "15"),
        ("A00FFFS%01#72T2N00S01PB04", "BE"),
        ("A00FFFS%01#72T2N00S01zz04", "BE"),
        ("A00FFFS%01#72T2N00S00%01", "15"),
        ("A00FFFS%02#72A1N00S00", "48"),
    ] {
        hsm.refuses(request, code);
    }
    let (zmk, _) = hsm.variant_key("000", "U");
    let spoiled = zmk[..32].to_owned() + if zmk.ends_with('0') { "1" } else { "0" };
    hsm.refuses(&format!("A0100BU{zmk}X"), "29");
    hsm.refuses(&format!("A01001U{spoiled}X"), "10");
    hsm.refuses(&format!("A01001U{zmk}Z"), "26");
    hsm.refuses(&format!("A01001U{zmk}R"), "15");
    hsm.refuses(&format!("A01001U{zmk}R&P0N00S00!F"), "15");
    hsm.refuses(&format!("A01001U{zmk}R&P0N00S00!D"), "BB");
    hsm.refuses(&format!("A01001U{zmk}R&D0N00S00"), "BD");
    hsm.refuses(&format!("A01001U{zmk}R&72N00S00"), "BD");
    hsm.refuses(&format!("A01001U{zmk}R&P0N00S010005L"), "BE");
    hsm.refuses(&format!("A01001U{zmk}S"), "26");
    hsm.refuses(&format!("A01001U;2{zmk}X"), "15");
}

#[test]
fn generated_keys_have_the_attributes_asked_for() {
    let mut hsm = Device::new();
    for (attributes, header_of, len) in [
        ("72D1N00S00", "72DN00S0001", 8),
        ("72T2B01E00", "72TB01E0001", 16),
        ("B0T3XZ9N00", "B0TXZ9N0001", 24),
        ("72A1N00S00", "72AN00S0001", 16),
        ("K0A2D00S00", "K0AD00S0001", 24),
        ("D0A3E00S00", "D0AE00S0001", 32),
    ] {
        let (block, kcv) = hsm.block_key("01", attributes);
        assert_eq!(header(&block), header_of);
        let opened = open("01", &block);
        assert_eq!(opened.key.len(), len);
        assert!(opened.key.has_odd_parity());
        assert_eq!(hex::encode(&hsm_core::kcv::check_value(&opened.key).unwrap()[..3]), kcv);
    }
    let (block, _) = hsm.block_key("01", "72T2N00S020005L03112025:01:01:00");
    let (_, optional) = inspect(Family::Thales, &block.as_bytes()[1..]).unwrap();
    assert_eq!(optional.get(*b"00"), Some(&b"L"[..]));
    assert_eq!(optional.get(*b"03"), Some(&b"2025:01:01:00"[..]));
    assert!(optional.get(*b"PB").is_some());
}

// ---------------------------------------------------------------- export

#[test]
fn exportability_decides_how_a_key_may_leave() {
    let mut hsm = Device::new();
    let (zmk, _) = hsm.block_key("01", "52T2N00S00");
    let key = |hsm: &mut Device, attributes| hsm.block_key("01", attributes).0;
    let (never, trusted, sensitive, kek) = (
        key(&mut hsm, "72T2N00N00"),
        key(&mut hsm, "72T2N00E00"),
        key(&mut hsm, "72T2N00S00"),
        key(&mut hsm, "K0T2N00S00"),
    );
    for scheme in ["S", "R", "U", "X"] {
        hsm.refuses(&format!("A8FFF{zmk}{never}{scheme}%01"), "AA");
    }
    hsm.ok(&format!("A8FFF{zmk}{trusted}S%01"));
    hsm.ok(&format!("A8FFF{zmk}{trusted}R%01&S"));
    hsm.refuses(&format!("A8FFF{zmk}{trusted}U%01"), "AA");
    hsm.ok(&format!("A8FFF{zmk}{sensitive}U%01"));
    hsm.refuses(&format!("A8FFF{zmk}{sensitive}S%01&E"), "AA");
    hsm.refuses(&format!("A8FFF{zmk}{sensitive}S%01&Q"), "AA");
    hsm.refuses(&format!("A8FFF{zmk}{kek}X%01"), "AA");
    hsm.refuses(&format!("A01FFFS{zmk}S%01#72T2N00N00"), "AA");
    hsm.ok(&format!("A01FFFS{zmk}S%01#72T2N00E00&N"));

    let mut strict =
        Device::with(Settings { sensitive_export: false, trusted_export_only: true, ..Settings::default() });
    strict.refuses(&format!("A8FFF{zmk}{sensitive}S%01"), "AA");
    strict.ok(&format!("A8FFF{zmk}{trusted}S%01"));
    let mut trusted_only = Device::with(Settings { trusted_export_only: true, ..Settings::default() });
    trusted_only.refuses(&format!("A8FFF{zmk}{sensitive}U%01"), "17");
    trusted_only.ok(&format!("A8FFF{zmk}{sensitive}S%01"));
}

#[test]
fn wrapping_keys_must_be_allowed_and_able_to_wrap() {
    let mut hsm = Device::new();
    let (key, _) = hsm.block_key("01", "72T2N00S00");
    let (aes, _) = hsm.block_key("01", "72A1N00S00");
    for (attributes, code) in [("72T2N00S00", "BB"), ("53T2N00S00", "BB"), ("K0T2D00S00", "BB"), ("K1T2N00S00", "BB")] {
        let (wrapping, _) = hsm.block_key("01", attributes);
        hsm.refuses(&format!("A8FFF{wrapping}{key}S%01"), code);
    }
    for attributes in ["51T2E00S00", "52T2B00S00", "K0T2N00S00", "K0A3N00S00"] {
        let (wrapping, _) = hsm.block_key("01", attributes);
        let (block, _) = split_last(&hsm.ok(&format!("A8FFF{wrapping}{key}S%01")), 6);
        let code = if attributes.starts_with("51") { "BB" } else { "00" };
        assert_eq!(hsm.run(&format!("A6FFF{wrapping}{block}S%01"))[..2], *code, "{attributes}");
    }
    let (both, _) = hsm.block_key("01", "52T2B00S00");
    let narrowed = hsm.ok(&format!("CS{both}2B;E%01"));
    let (block, _) = split_last(&hsm.ok(&format!("A8FFF{narrowed}{key}S%01")), 6);
    hsm.refuses(&format!("A6FFF{narrowed}{block}S%01"), "BB");
    hsm.ok(&format!("A6FFF{both}{block}S%01"));
    hsm.refuses(&format!("A8FFF{both}{aes}S%01"), "BB");
    hsm.refuses(&format!("A8FFF{both}{aes}U%01"), "A7");
    hsm.refuses(&format!("A8FFF{both}{key}R%01!D"), "BB");
    let (strong, _) = hsm.block_key("01", "52A3N00S00");
    hsm.refuses(&format!("A8FFF{strong}{key}U%01"), "BB");
    hsm.refuses(&format!("A8FFF{strong}{key}R%01!B"), "BB");
    hsm.refuses(&format!("A6FFF{strong}{block}S%01"), "BB");
    // A TMK flag goes with the variant LMK's keys.
    let (single, _) = hsm.block_key("01", "52D1N00S00");
    hsm.refuses(&format!("A8FFF{single}{key}R%01"), "BB");
}

#[test]
fn export_refuses_what_the_tables_do_not_have() {
    let mut hsm = Device::new();
    let (zmk, _) = hsm.variant_key("000", "U");
    let (key, _) = hsm.variant_key("001", "U");
    let (dek, _) = hsm.variant_key("00B", "U");
    hsm.refuses(&format!("A800B{zmk}{dek}X"), "29");
    hsm.refuses(&format!("A8002{zmk}{key}X"), "11");
    hsm.refuses(&format!("A8001{key}{key}X"), "10");
    hsm.refuses(&format!("A8001{zmk}{key}T"), "26");
    hsm.refuses(&format!("A8001{zmk}{key}V"), "26");
    hsm.refuses(&format!("A8001{zmk}{key}S"), "26");
    hsm.refuses(&format!("A8001{zmk}{key}X32"), "15");
    hsm.refuses(&format!("A8001{zmk}{key}X%02"), "28");
    hsm.refuses(&format!("A8FFF{zmk}{key}X"), "28");
    hsm.refuses(&format!("A8FFF{zmk}{key}X%01"), "A1");
    hsm.refuses(&format!("A8001{zmk}{key}X&N"), "15");
    hsm.refuses(&format!("A8001{zmk}{key}R&P0N00E00"), "AA");
    hsm.refuses(&format!("A8001{zmk}{key}R&P0N00S03"), "B3");
    let (tpk, _) = hsm.variant_key("002", "U");
    for usage in ["P0B", "K0B", "V0C"] {
        hsm.ok(&format!("A8002{zmk}{tpk}R&{usage}00S00"));
    }
    // A single-length key is algorithm D, and comes back as one.
    let (single, kcv) = hsm.variant_key("001", "Z");
    let (block, _) = split_last(&hsm.ok(&format!("A8001{zmk}{single}R&P0B00S00")), 6);
    assert_eq!(hsm.ok(&format!("A6001{zmk}{block}Z")), single + &kcv);
}

#[test]
fn key_lengths_are_hidden_where_a_setting_says_so() {
    let mut hsm = Device::with(Settings { hide_key_length: true, ..Settings::default() });
    let (zmk, _) = hsm.block_key("01", "52A3N00S00");
    let mut lengths = std::collections::BTreeSet::new();
    for attributes in ["72A1N00S00", "72A2N00S00", "72A3N00S00"] {
        let (key, kcv) = hsm.block_key("01", attributes);
        let (block, _) = split_last(&hsm.ok(&format!("A8FFF{zmk}{key}R%01")), 6);
        lengths.insert(block.len());
        assert_eq!(hsm.ok(&format!("A6FFF{zmk}{block}S%01#7200")).split_at(key.len()).1, kcv);
    }
    assert_eq!(lengths.len(), 1);
}

// ---------------------------------------------------------------- import

#[test]
fn import_refuses_what_does_not_go_together() {
    let mut hsm = Device::new();
    let (zmk, _) = hsm.block_key("01", "52T2N00S00");
    let (key, _) = hsm.block_key("01", "72T2N00S00");
    let exported = |hsm: &mut Device, scheme: &str| split_last(&hsm.ok(&format!("A8FFF{zmk}{key}{scheme}%01")), 6).0;
    let (thales, tr31, cryptogram) = (exported(&mut hsm, "S"), exported(&mut hsm, "R"), exported(&mut hsm, "X"));
    hsm.refuses(&format!("A6FFF{zmk}{cryptogram}S%01"), "15");
    hsm.refuses(&format!("A6FFF{zmk}{cryptogram}S%01#72N00E00"), "AA");
    hsm.refuses(&format!("A6FFF{zmk}{cryptogram}S%01#72X00S00"), "A8");
    hsm.refuses(&format!("A6FFF{zmk}{cryptogram}S%01#M6C00S00"), "A7");
    hsm.refuses(&format!("A6FFF{zmk}{cryptogram}U%01"), "26");
    hsm.refuses(&format!("A6FFF{zmk}{thales}S%01#7200"), "15");
    hsm.refuses(&format!("A6FFF{zmk}{thales}U%01"), "26");
    hsm.refuses(&format!("A6001{zmk}{thales}U%01"), "28");
    hsm.refuses(&format!("A6FFF{zmk}{tr31}S%01#D000"), "A6");
    hsm.refuses(&format!("A6FFF{zmk}{tr31}S%01#7207"), "B3");
    hsm.refuses(&format!("A6FFF{zmk}{tr31}S%01#7201KS0CABCDEF12"), "BE");
    hsm.refuses(&format!("A6FFF{zmk}{key}S%01"), "BB");
    let (zmk2, _) = hsm.block_key("02", "52T2N00S00");
    hsm.refuses(&format!("A6FFF{zmk2}{zmk2}S%02"), "A3");
    let spoil = |block: &str| split_last(block, 1).0 + if block.ends_with('0') { "1" } else { "0" };
    hsm.refuses(&format!("A6FFF{zmk}{}S%01", spoil(&thales)), "A4");
    hsm.refuses(&format!("A6FFF{zmk}{}S%01", spoil(&tr31)), "A4");
    hsm.refuses(&format!("A6FFF{}{thales}S%01", spoil(&zmk)), "A4");
    let (with_status, _) = split_last(&hsm.ok(&format!("A6FFF{zmk}{tr31}S%01#71010005L")), 6);
    assert_eq!(header(&with_status)[..4], *"71TN");
    assert_eq!(open("01", &with_status).optional.get(*b"00"), Some(&b"L"[..]));
}

#[test]
fn key_blocks_come_to_a_variant_lmk_as_keys_of_the_type_they_say() {
    let mut hsm = Device::new();
    let zmk = field("000", false, KeyScheme::U, DD);
    let protection = ClearKey::des(&hex::decode(DD.as_bytes()).unwrap()).unwrap();
    // Of keys.md 4.7's kind: a ZPK in an S block under a ZMK, made with another module.
    let mut partner = Device::new();
    let (zpk, kcv) = partner.block_key("01", "72T2N00S00");
    let (cvk, _) = partner.block_key("01", "C0T2N00S00");
    let (shared, _) = split_last(
        &partner.ok(&format!(
            "A6FFF{}{}S%01#52N00S00",
            partner_kek(&mut Device::new()).0,
            partner_kek(&mut Device::new()).1
        )),
        6,
    );
    assert_eq!(open("01", &shared).key, protection);
    let (thales, _) = split_last(&partner.ok(&format!("A8FFF{shared}{zpk}S%01")), 6);
    let (tr31, _) = split_last(&partner.ok(&format!("A8FFF{shared}{cvk}R%01")), 6);
    let answer = hsm.ok(&format!("A6001{zmk}{thales}U"));
    assert_eq!(clear("001", &answer[..33]), open("01", &zpk).key);
    assert_eq!(answer[33..], kcv);
    assert_eq!(clear("402", &hsm.ok(&format!("A6402{zmk}{tr31}U"))[..33]), open("01", &cvk).key);
    hsm.refuses(&format!("A6402{zmk}{thales}U"), "BD");
    hsm.refuses(&format!("A6001{zmk}{tr31}U"), "BD");
    hsm.refuses(&format!("A6001{zmk}{thales}T"), "26");
}

/// A KEK under the AES key-block LMK, and the key [`DD`] under it.
fn partner_kek(hsm: &mut Device) -> (String, String) {
    let (kek, _) = hsm.block_key("01", "K0T2N00S00");
    let key = ClearKey::des(&hex::decode(DD.as_bytes()).unwrap()).unwrap();
    let under = variant::encrypt_under_zmk(&open("01", &kek).key, variant::AtallaVariant::NONE, KeyScheme::X, &key);
    (kek, KeyScheme::X.write(&under.unwrap()))
}

#[test]
fn imported_keys_get_odd_parity_and_say_so() {
    let mut hsm = Device::new();
    let zmk = field("000", false, KeyScheme::U, DD);
    let under = |key: &str| {
        let key = ClearKey::des(&hex::decode(key.as_bytes()).unwrap()).unwrap();
        let zmk = ClearKey::des(&hex::decode(DD.as_bytes()).unwrap()).unwrap();
        let none = variant::AtallaVariant::NONE;
        KeyScheme::X.write(&variant::encrypt_under_zmk(&zmk, none, KeyScheme::X, &key).unwrap())
    };
    let even = under("0022446688AACCEE1133557799BBDDFF");
    let answer = hsm.run(&format!("A6001{zmk}{even}U"));
    assert!(answer.starts_with("01U"), "{answer}");
    let key = clear("001", &answer[2..35]);
    assert!(key.has_odd_parity());
    assert_eq!(answer[35..], hex::encode(&hsm_core::kcv::check_value(&key).unwrap()[..3]));
    for zero in ["00000000000000000000000000000000", "01010101010101010101010101010101"] {
        hsm.refuses(&format!("A6001{zmk}{}U", under(zero)), "11");
    }
    let posing = under("0123456789ABCDEF0123456789ABCDEF");
    assert!(hsm.run(&format!("A6001{zmk}{posing}U")).starts_with("00"));
    let mut strict = Device::with(Settings { refuse_single_posing: true, ..Settings::default() });
    strict.refuses(&format!("A6001{zmk}{posing}U"), "75");
    let stored = field("001", false, KeyScheme::U, "0123456789ABCDEF0123456789ABCDEF");
    strict.refuses(&format!("BU011{stored}"), "75");
}

#[test]
fn settings_restrict_what_keys_may_do() {
    let mut hsm = Device::new();
    let (zmk, _) = hsm.variant_key("000", "U");
    let (key, _) = hsm.variant_key("001", "U");
    let (single, _) = hsm.variant_key("001", "Z");
    let (block_zmk, _) = hsm.block_key("01", "52T2N00S00");
    let (block_key, _) = hsm.block_key("01", "72T2N00S00");
    let (single_block, _) = hsm.block_key("01", "72D1N00S00");
    let (x917, _) = split_last(&hsm.ok(&format!("A8FFF{block_zmk}{block_key}X%01")), 6);
    let (under_zmk, _) = split_last(&hsm.ok(&format!("A8000{zmk}{zmk}X")), 6);
    let (single_out, _) = split_last(&hsm.ok(&format!("A8001{zmk}{single}Z")), 6);

    let mut device = Device::with(Settings { authorise_all: false, ..Settings::default() });
    for request in [
        "A00001U".to_owned(),
        "A00FFFS%01#72T2N00S00".to_owned(),
        format!("A8001{zmk}{key}X"),
        format!("A8FFF{block_zmk}{block_key}S%01"),
        format!("A6000{zmk}{under_zmk}U"),
        format!("A600A{zmk}{under_zmk}U"),
        format!("A6FFF{block_zmk}{x917}S%01#72N00S00"),
        format!("B0001X{}U", &key[1..]),
        format!("BU011{key}"),
        format!("BUFFF{block_key};FFF;000%01"),
    ] {
        device.refuses(&request, "17");
    }
    // It is asked for before the keys are opened.
    let bad = format!("U{}", "1".repeat(32));
    for request in [
        format!("A6000{bad}{under_zmk}U"),
        format!("A8001{bad}{bad}X"),
        format!("A42001U{bad}{bad}"),
        format!("A800B{bad}{bad}X"),
    ] {
        hsm.refuses(&request, if request.starts_with("A800B") { "29" } else { "10" });
        device.refuses(&request, if request.starts_with("A800B") { "29" } else { "17" });
    }
    // What is no scheme at all is 26 before that.
    for request in [
        "A00001!".to_owned(),
        format!("A6000{bad}{under_zmk}!"),
        format!("A8001{bad}{bad}!"),
        format!("A42001!{bad}{bad}"),
    ] {
        device.refuses(&request, "26");
    }
    // Not among the activities that need it.
    device.ok(&format!("A6001{zmk}{under_zmk}U"));
    device.ok(&format!("BU011{key};001"));
    device.ok(&format!("BUFFF{block_key};FFF;001%01"));

    let mut device = Device::with(Settings { single_des: false, ..Settings::default() });
    device.refuses("A00001Z", "17");
    device.refuses("A00FFFS%01#72D1N00S00", "17");
    device.refuses(&format!("A6001{zmk}{single_out}Z"), "17");
    device.refuses(&format!("A8001{zmk}{single}Z"), "17");
    device.refuses(&format!("A8001{zmk}{single}R&P0N00S00"), "17");
    device.refuses(&format!("A8FFF{block_zmk}{single_block}S%01"), "17");
    device.ok(&format!("A8001{zmk}{key}X"));

    let mut device = Device::with(Settings { zmk_export: false, zmk_import: false, ..Settings::default() });
    device.refuses(&format!("A8000{zmk}{zmk}X"), "17");
    device.refuses(&format!("A6000{zmk}{under_zmk}U"), "17");
    device.refuses(&format!("A8FFF{block_zmk}{block_zmk}S%01"), "17");
    device.refuses(&format!("A6FFF{block_zmk}{x917}S%01#52N00S00"), "17");

    let mut device = Device::with(Settings {
        x917_export: false,
        x917_import: false,
        trusted_import_only: true,
        ..Settings::default()
    });
    device.refuses(&format!("A8001{zmk}{key}X"), "26");
    device.refuses(&format!("A6001{zmk}{under_zmk}U"), "26");
    device.ok(&format!("A8001{zmk}{key}U"));
    let (variant_form, _) = split_last(&hsm.ok(&format!("A8FFF{block_zmk}{block_key}U%01")), 6);
    device.refuses(&format!("A6FFF{block_zmk}{variant_form}S%01#72N00S00"), "17");

    let mut device = Device::with(Settings { strong_keys_under_weak_lmk: false, ..Settings::default() });
    device.refuses("A00001T", "48");
    device.ok("A00001U");
    device.ok("A00FFFS%02#72T3N00S00");

    let mut device = Device::with(Settings { atalla_variants: false, ..Settings::default() });
    device.refuses(&format!("A8001{zmk}{key}X1"), "15");

    let mut device = Device::with(Settings { ignore_block_lmk_id: true, ..Settings::default() });
    let (other, _) = device.block_key("01", "72T2N00S00");
    let lmks = LmkSlots { slots: [(5, Arc::new(Lmk::test_keyblock_aes()))].into(), default: 5, ..LmkSlots::default() };
    let mut ignoring = Device {
        session: Session::new(SecurityModule::new(
            lmks.clone(),
            Settings { ignore_block_lmk_id: true, ..Settings::default() },
        )),
    };
    ignoring.ok(&format!("BUFFF{other};FFF;001"));
    let mut checking = Device { session: Session::new(SecurityModule::new(lmks, Settings::default())) };
    checking.refuses(&format!("BUFFF{other};FFF;001"), "A3");
}

// ---------------------------------------------------------------- components

#[test]
fn components_form_a_key() {
    let mut hsm = Device::new();
    let parts =
        ["0123456789ABCDEFFEDCBA9876543210", "10325476EFCDAB8967452301EFCDAB89", "1F1F1F1F0E0E0E0E0E0E0E0E1F1F1F1F"];
    let sum: Vec<u8> = (0..16)
        .map(|i| parts.iter().fold(0, |sum, part| sum ^ u8::from_str_radix(&part[2 * i..2 * i + 2], 16).unwrap()))
        .collect();
    let expected = ClearKey::des(&sum).unwrap().with_odd_parity();
    for scheme in [KeyScheme::U, KeyScheme::X] {
        let components: String = parts.iter().map(|part| field("001", true, scheme, part)).collect();
        let answer = hsm.ok(&format!("A43001U{components}"));
        assert_eq!(clear("001", &answer[..33]), expected);
        assert_eq!(answer[33..], hex::encode(&hsm_core::kcv::check_value(&expected).unwrap()[..3]));
    }
    let untagged: String = parts.iter().map(|part| field("001", true, KeyScheme::Double, part)).collect();
    assert_eq!(clear("001", &hsm.ok(&format!("A43001X{untagged}"))[..33]), expected);
    let component = field("001", true, KeyScheme::U, parts[0]);
    let key = field("001", false, KeyScheme::U, parts[0]);
    let single = field("001", true, KeyScheme::Z, "0123456789ABCDEF");
    hsm.refuses(&format!("A41001U{component}"), "03");
    hsm.refuses(&format!("A42001U{component}"), "15");
    hsm.refuses(&format!("A42001U{component}{component}"), "11");
    hsm.refuses(&format!("A42001U{key}{component}"), "10");
    hsm.refuses(&format!("A42001U{component}Z{single}"), "27");
    hsm.refuses(&format!("A42FFFU{component}{component}"), "28");
    hsm.refuses(&format!("A4200QU{component}{component}"), "04");
    let other = field("001", true, KeyScheme::U, parts[1]);
    hsm.refuses(&format!("A42001T{component}{other}"), "26");
    let mut device = Device::with(Settings { authorise_all: false, ..Settings::default() });
    device.refuses(&format!("A42001U{component}{other}"), "17");
    // Components are not keys.
    hsm.refuses(&format!("BU011{component}"), "10");
    hsm.session.begin(*b"A4", None);
    let handle = hsm.session.key_component_open(KeyPurpose::ZPK, component.as_bytes()).unwrap();
    assert_eq!(hsm.session.key_wrap(handle, b'U'), Err(ErrorCode::KEY_FUNCTION));
    let zmk = field("000", false, KeyScheme::U, DD);
    let zmk = hsm.session.key_open(KeyPurpose::ZMK, zmk.as_bytes()).unwrap();
    assert_eq!(hsm.session.key_export(handle, zmk, b'X', 0), Err(ErrorCode::KEY_FUNCTION));
}

/// A component under the AES key-block LMK.
fn component(attributes: &str, optional: &str, key: &[u8; 16]) -> String {
    use hsm_core::key_block::header::{Attributes, BlockAlgorithm, Exportability, KeyVersion, ModeOfUse, Scope, Usage};
    use hsm_core::key_block::optional::OptionalBlocks;
    let b = attributes.as_bytes();
    let attributes = Attributes {
        usage: Usage::new([b[0], b[1]]).unwrap(),
        algorithm: BlockAlgorithm::from_id(b[2]).unwrap(),
        mode: ModeOfUse::from_id(Family::Thales, b[3]).unwrap(),
        key_version: KeyVersion::new([b[4], b[5]]).unwrap(),
        exportability: Exportability::from_id(b[6]).unwrap(),
    };
    let key = if b[2] == b'A' { ClearKey::aes(key) } else { ClearKey::des(key) }.unwrap();
    let optional = OptionalBlocks::parse(optional.as_bytes(), usize::from(!optional.is_empty())).unwrap();
    let lmk = Lmk::test_keyblock_aes();
    let scope = Scope::Lmk(hsm_core::lmk::LmkId::new(1).unwrap());
    let block =
        thales::wrap(lmk.protection_keys().unwrap(), scope, attributes, &optional, &key, &mut |fill| fill.fill(9));
    format!("S{}", String::from_utf8(block.unwrap()).unwrap())
}

#[test]
fn key_blocks_in_user_storage_are_as_good_as_in_the_message() {
    let mut hsm = Device::with(Settings { user_storage: SlotSize::Variable, ..Settings::default() });
    let mut stored = 0u16;
    let mut store = |hsm: &mut Device, field: &str| {
        stored += 1;
        hsm.ok(&format!("LAK{stored:03X}{:04}{field}", field.len()));
        format!("K{stored:03X}")
    };
    let (zmk, _) = hsm.block_key("01", "52T2N00S00");
    let (key, _) = hsm.block_key("01", "72T2N00S00");
    let exported = |hsm: &mut Device, scheme: &str| split_last(&hsm.ok(&format!("A8FFF{zmk}{key}{scheme}%01")), 6).0;
    let (thales, tr31) = (exported(&mut hsm, "S"), exported(&mut hsm, "R"));
    let (one, two) = (component("72TNc1S", "", &[0x13; 16]), component("72TNc2S", "", &[0x25; 16]));
    for (head, block, tail) in [
        (format!("A6FFF{zmk}"), &thales, "S%01"),
        (format!("A6FFF{zmk}"), &tr31, "S%01"),
        ("A6FFF".to_owned(), &zmk, &*format!("{thales}S%01")),
        (format!("A42FFFS{one}"), &two, "%01#0000"),
        ("CS".to_owned(), &key, "2N;E%01"),
        ("BUFFF".to_owned(), &key, ";FFF%01"),
    ] {
        let direct = hsm.ok(&format!("{head}{block}{tail}"));
        let tag = &block[..1];
        let references = [store(&mut hsm, block), format!("{tag}{}", store(&mut hsm, &block[1..]))];
        for reference in references {
            let answer = hsm.ok(&format!("{head}{reference}{tail}"));
            // The fill of a key block differs each time; the key and its header do not.
            let what = |answer: &str| match answer.strip_prefix('S') {
                Some(block) => {
                    let block = &answer[..1 + block[1..5].parse::<usize>().unwrap()];
                    (header(block).to_owned(), open("01", block).key.bytes().to_vec())
                }
                None => (answer.to_owned(), Vec::new()),
            };
            assert_eq!(what(&answer), what(&direct), "{head}{reference}{tail}");
        }
        hsm.refuses(&format!("{head}K07F{tail}"), "12");
        hsm.refuses(&format!("{head}{tag}K080{tail}"), "21");
    }
}

#[test]
fn components_in_key_blocks_must_go_together() {
    let mut hsm = Device::new();
    let (one, two) = (component("72TNc1S", "", &[0x13; 16]), component("72TNc2S", "", &[0x25; 16]));
    let answer = hsm.ok(&format!("A42FFFS{one}{two}%01#0700"));
    let (key, _) = split_last(&answer, 6);
    assert_eq!(header(&key), "72TN07S0001");
    assert_eq!(open("01", &key).key, ClearKey::des(&[0x37; 16]).unwrap());
    let (a1, a2) = (component("72ANc1S", "", &[0x12; 16]), component("72ANc2S", "", &[0x24; 16]));
    let (key, _) = split_last(&hsm.ok(&format!("A42FFFS{a1}{a2}%01#0000")), 6);
    assert_eq!(open("01", &key).key, ClearKey::aes(&[0x36; 16]).unwrap());
    hsm.refuses(&format!("A42FFFS{one}{one}%01#0000"), "11");
    hsm.refuses(&format!("A42FFFS{one}{}%01#0000", component("72TNc1S", "", &[0x25; 16])), "B5");
    for other in ["71TNc2S", "72TBc2S", "72TNc2E", "72ANc2S"] {
        hsm.refuses(&format!("A42FFFS{one}{}%01#0000", component(other, "", &[0x25; 16])), "B5");
    }
    hsm.refuses(&format!("A42FFFS{one}{}%01#0000", component("72TNc2S", "0005L", &[0x25; 16])), "B6");
    hsm.refuses(&format!("A42FFFS{one}{}%01#0000", component("72TN02S", "", &[0x25; 16])), "A9");
    hsm.refuses(&format!("A42FFFS{one}{two}%01"), "15");
    hsm.refuses(&format!("A42FFFS{one}{two}%01#c100"), "A9");
    hsm.refuses(&format!("A42FFFU{one}{two}%01#0000"), "26");
    hsm.refuses(&format!("A42FFFS{one}{two}%02#0000"), "A1");
    // Components are not keys.
    hsm.refuses(&format!("BUFFF{one};FFF;001%01"), "A9");
}

// ---------------------------------------------------------------- B0, BU, CS

#[test]
fn schemes_are_translated_forward_only() {
    let mut hsm = Device::new();
    for (from, to) in [(KeyScheme::X, "U"), (KeyScheme::Double, "U")] {
        let key = field("001", false, from, DD);
        let translated = hsm.ok(&format!("B0001{key}{to}"));
        assert_eq!(translated, field("001", false, KeyScheme::U, DD));
        hsm.refuses(&format!("B0001{key}X"), "26");
    }
    let triple = DD.to_owned() + "8967452301EFCDAB";
    let key = field("001", false, KeyScheme::Y, &triple);
    assert_eq!(hsm.ok(&format!("B0001{key}T")), field("001", false, KeyScheme::T, &triple));
    hsm.refuses(&format!("B0001{key}U"), "26");
    hsm.refuses(&format!("B0002{key}T"), "10");
    let key = field("001", false, KeyScheme::U, DD);
    hsm.refuses(&format!("B0001{key}X"), "26");
    let mut lenient = Device::with(Settings { scheme_downgrade: true, ..Settings::default() });
    assert_eq!(lenient.ok(&format!("B0001{key}X")), field("001", false, KeyScheme::X, DD));
}

#[test]
fn check_values_are_shown_in_every_form() {
    let mut hsm = Device::new();
    let key = field("402", false, KeyScheme::U, DD);
    for (request, answer) in [
        (format!("BU421{key}"), "08D7B4FB629D0885"),
        (format!("BU421{key};000"), "08D7B4FB629D0885"),
        (format!("BU421{key};001"), "08D7B4"),
        (format!("BUFF1{key};402"), "08D7B4FB629D0885"),
        (format!("BUFF1{key};402;001"), "08D7B4"),
    ] {
        assert_eq!(hsm.ok(&request), answer);
    }
    hsm.refuses(&format!("BU431{key}"), "04");
    hsm.refuses(&format!("BU423{key}"), "05");
    hsm.refuses(&format!("BU420{key}"), "05");
    hsm.refuses(&format!("BU42F{key}"), "05");
    hsm.refuses(&format!("BU021{key}"), "10");
    hsm.refuses(&format!("BUFF1{key};40Q;001"), "28");
    hsm.refuses(&format!("BUFF1{key};FFF;001"), "28");
    hsm.refuses(&format!("BUFF1{key}"), "15");
    hsm.refuses(&format!("BU421{key};002"), "15");
    let (aes, kcv) = hsm.block_key("01", "72A3N00S00");
    assert_eq!(hsm.ok(&format!("BUFFF{aes};FFF;001%01")), kcv);
    assert_eq!(hsm.ok(&format!("BUFFF{aes};FFF;000%01")), kcv + "0000000000");
    hsm.refuses(&format!("BUFF1{aes};FFF;001%01"), "05");
    hsm.refuses(&format!("BU02F{aes}%01"), "04");
    hsm.refuses(&format!("BUFFF{aes};402;001%01"), "28");
    // Only 6 digits mean something in a key block, whatever the cipher.
    let (tdes, kcv) = hsm.block_key("01", "72T2N00S00");
    assert_eq!(hsm.ok(&format!("BUFFF{tdes};FFF%01")), kcv.clone() + "0000000000");
    assert_eq!(hsm.ok(&format!("KA{tdes}01%01")), kcv + "0000000000");
    // Of two groups after another code the first is a key type that nobody needs.
    assert_eq!(hsm.ok(&format!("BU421{key};002;001")), "08D7B4");
    // User storage shows the length only when it is read.
    hsm.ok(&format!("LAK00102{}", &key[1..33]));
    assert_eq!(hsm.ok("BU421UK001;001"), "08D7B4");
    hsm.refuses("BU420K001", "10");
    hsm.refuses("BU42FK001", "05");
    let single = field("002", false, KeyScheme::Single, &DD[..16]);
    hsm.ok(&format!("LAK00301{single}"));
    assert_eq!(hsm.ok("BU020ZK003;001"), "D5D44F");
    for wrong in ["BU021ZK003", "BU022ZK003", "BU02FZK003"] {
        hsm.refuses(wrong, "05");
    }
    let mut restricted = Device::with(Settings { restrict_kcv: true, ..Settings::default() });
    assert_eq!(restricted.ok(&format!("BU421{key}")), "08D7B40000000000");
    // An HMAC key of usage 63: HMAC-SHA-256 of nothing.
    let hmac = component_hmac();
    assert_eq!(hsm.ok(&format!("BUFFF{hmac};FFF;001%01")), "B61367");
}

/// The HMAC-SHA-256 key of 16 zero bytes under the AES key-block LMK.
fn component_hmac() -> String {
    use hsm_core::key_block::header::{Attributes, BlockAlgorithm, Exportability, KeyVersion, ModeOfUse, Scope, Usage};
    let attributes = Attributes {
        usage: Usage::new(*b"63").unwrap(),
        algorithm: BlockAlgorithm::Hmac,
        mode: ModeOfUse::GenerateVerify,
        key_version: KeyVersion::NONE,
        exportability: Exportability::Sensitive,
    };
    let key = ClearKey::new(hsm_core::Algorithm::Hmac, &[0; 16]).unwrap();
    let scope = Scope::Lmk(hsm_core::lmk::LmkId::new(1).unwrap());
    let lmk = Lmk::test_keyblock_aes();
    let none = hsm_core::key_block::optional::OptionalBlocks::NONE;
    let block = thales::wrap(lmk.protection_keys().unwrap(), scope, attributes, &none, &key, &mut |fill| fill.fill(9));
    format!("S{}", String::from_utf8(block.unwrap()).unwrap())
}

#[test]
fn headers_are_changed_value_by_value() {
    let mut hsm = Device::new();
    let (block, _) = hsm.block_key("01", "P0T2B00E020005L03112025:01:01:00");
    for (change, expected) in [
        ("1P0;72", "72TB00E03"),
        ("2B;E", "P0TE00E03"),
        ("300;01", "P0TB01E03"),
        ("4E;S", "P0TB00S03"),
        ("4E;N", "P0TB00N03"),
    ] {
        let changed = hsm.ok(&format!("CS{block}{change}%01"));
        assert_eq!(header(&changed)[..9], *expected);
        assert_eq!(open("01", &changed).key, open("01", &block).key);
    }
    let expired = hsm.ok(&format!("CS{block}5L;E%01"));
    assert_eq!(open("01", &expired).optional.get(*b"00"), Some(&b"E"[..]));
    let later = hsm.ok(&format!("CS{block}62025:01:01:00;2030:06:15:12%01"));
    assert_eq!(open("01", &later).optional.get(*b"03"), Some(&b"2030:06:15:12"[..]));
    for (change, code) in [
        ("8P0;72", "B7"),
        ("0P0;72", "B7"),
        ("171;72", "B8"),
        ("1P0;D0", "B9"),
        ("1P0;zz", "B9"),
        ("2B;N", "B9"),
        ("2B;X", "B9"),
        ("300;c1", "B9"),
        ("4E;Q", "B9"),
        ("5L;X", "B9"),
        ("62025:01:01:00;2025:13:01:00", "B9"),
        ("72025:01:01:00;2025:12:01:00", "BA"),
        ("5P;L", "B8"),
        ("1P0", "15"),
        ("1P0;7", "15"),
        ("1P0;721", "15"),
    ] {
        hsm.refuses(&format!("CS{block}{change}%01"), code);
    }
    let narrowed = hsm.ok(&format!("CS{block}4E;S%01"));
    hsm.refuses(&format!("CS{narrowed}4S;E%01"), "B9");
    let (plain, _) = hsm.block_key("01", "P0T2B00E00");
    hsm.refuses(&format!("CS{plain}5L;E%01"), "BA");
    let spoiled = split_last(&plain, 1).0 + if plain.ends_with('0') { "1" } else { "0" };
    hsm.refuses(&format!("CS{spoiled}1P0;72%01"), "A4");
    hsm.refuses(&format!("CS{plain}1P0;72"), "A1");
    hsm.refuses(&format!("CS{}1P0;72%01", field("001", false, KeyScheme::U, DD)), "A1");
}

// ---------------------------------------------------------------- use

#[test]
fn modes_of_use_bind_what_other_commands_do() {
    let mut hsm = Device::new();
    let key = |hsm: &mut Device, attributes| hsm.block_key("01", attributes).0;
    let (both, generating, verifying) =
        (key(&mut hsm, "C0T2C00S00"), key(&mut hsm, "C0T2G00S00"), key(&mut hsm, "13T2V00S00"));
    let card = "4123456789012345;8701101%01";
    hsm.refuses(&format!("CW{verifying}{card}"), "A8");
    let cvv = hsm.ok(&format!("CW{generating}{card}"));
    hsm.refuses(&format!("CY{generating}{cvv}{card}"), "A8");
    let cvv = hsm.ok(&format!("CW{both}{card}"));
    hsm.ok(&format!("CY{both}{cvv}{card}"));
    assert_eq!(hsm.run(&format!("CY{verifying}000{card}")).len(), 2);
    hsm.refuses(&format!("CW{}{card}", key(&mut Device::new(), "C0A1C00S00")), "A7");
    let zpk = key(&mut hsm, "72T2N00S00");
    hsm.refuses(&format!("CW{zpk}{card}"), "A6");

    let pin = "1234567890ABCDEF0101123456789012%01";
    let (tpk, decrypting, encrypting) =
        (key(&mut hsm, "71T2N00S00"), key(&mut hsm, "71T2D00S00"), key(&mut hsm, "71T2E00S00"));
    hsm.refuses(&format!("CA{encrypting}{zpk}12{pin}"), "A8");
    for source in [&tpk, &decrypting] {
        assert_eq!(hsm.run(&format!("CA{source}{zpk}12{pin}")), "20");
    }
    let (to_e, to_d) = (key(&mut hsm, "72T2E00S00"), key(&mut hsm, "72T2D00S00"));
    let mut block = 0x0412_26CB_A987_6FED_u64.to_be_bytes();
    open("01", &decrypting).key.cipher().unwrap().ecb_encrypt(&mut block).unwrap();
    let pin = format!("12{}0101123456789012%01", hex::encode(&block));
    hsm.refuses(&format!("CA{decrypting}{to_d}{pin}"), "A8");
    hsm.ok(&format!("CA{decrypting}{to_e}{pin}"));
    let pvv = format!("{}011234567890121{{pvv}}%01", hex::encode(&block));
    let generating = key(&mut hsm, "V2T2G00S00");
    hsm.refuses(&format!("DC{decrypting}{generating}{}", pvv.replace("{pvv}", "1234")), "A8");
    let verifying = key(&mut hsm, "V2T2V00S00");
    assert!(matches!(
        hsm.run(&format!("DC{decrypting}{verifying}{}", pvv.replace("{pvv}", "1234"))).as_str(),
        "00" | "01"
    ));
    let expired = hsm.ok(&format!("CS{}5L;E%01", key(&mut Device::new(), "C0T2C00S010005L")));
    hsm.refuses(&format!("CW{expired}{card}"), "AD");
    let live = key(&mut hsm, "C0T2C00S010005L");
    hsm.ok(&format!("CW{live}{card}"));

    let dates = |start: &str, end: &str| format!("C0T2C00S020311{start}0411{end}");
    let mut clocked = Device::with(Settings { check_key_validity: true, ..Settings::default() });
    for (start, end, answer) in [
        ("2025:01:01:00", "2030:01:01:00", "00"),
        ("2026:01:15:12", "2026:01:15:12", "00"),
        ("2026:01:15:13", "2030:01:01:00", "AE"),
        ("2025:01:01:00", "2026:01:15:11", "AF"),
    ] {
        let (cvk, _) = clocked.block_key("01", &dates(start, end));
        assert_eq!(clocked.run(&format!("CW{cvk}{card}"))[..2], *answer, "{start} {end}");
        assert_eq!(hsm.run(&format!("CW{cvk}{card}"))[..2], *"00");
    }
}

#[test]
fn emv_master_keys_must_derive_and_be_des() {
    let mut hsm = Device::new();
    let rest = "\u{1}\u{2}\u{3}\u{4}\u{5}\u{6}\u{7}\u{8}ABCDEF04data;12345678%01";
    let (aes, _) = hsm.block_key("01", "E0A1N00S00");
    hsm.refuses(&format!("KQ00{aes}{rest}"), "A7");
    let (good, _) = hsm.block_key("01", "E0T2X00S00");
    hsm.refuses(&format!("KQ00{good}{rest}"), "01");
}

#[test]
fn a_handle_of_each_purpose_is_of_no_use_for_the_others() {
    let mut hsm = Device::new();
    let purposes = ["000", "001", "002", "302", "402", "003", "008", "009", "109", "209", "00A"];
    let fields: Vec<_> = purposes.iter().map(|purpose| (*purpose, hsm.variant_key(purpose, "U").0)).collect();
    hsm.session.begin(*b"A8", None);
    for (purpose, key) in fields {
        let purpose = KeyPurpose::from_code(purpose.as_bytes().try_into().unwrap());
        let key = hsm.session.key_open(purpose, key.as_bytes()).unwrap();
        let none = KeyAttributes::default();
        let as_wrapping_key = hsm.session.key_export_block(key, key, b'X', 0, none, None);
        assert_eq!(as_wrapping_key.is_ok(), purpose == KeyPurpose::ZMK, "{purpose:?}");
        let as_bdk = hsm.session.key_dukpt_initial(key, b"FFFF9876543210E", None);
        assert_eq!(as_bdk.is_ok(), purpose == KeyPurpose::BDK_1, "{purpose:?}");
        assert_eq!(hsm.session.key_zka_session(key, KeyPurpose::ZPK, None, None), Err(ErrorCode::KEY_FUNCTION));
        assert_eq!(hsm.session.key_form(purpose, vec![key, key], None), Err(ErrorCode::KEY_FUNCTION));
    }
    assert_eq!(hsm.session.key_form(KeyPurpose::ZPK, vec![], None), Err(ErrorCode::COMPONENT_COUNT));
}

#[test]
fn handles_cross_the_boundary_as_a_list() {
    let handles = vec![KeyHandle::from_index(3), KeyHandle::from_index(9)];
    let mut bytes = Vec::new();
    handles.put(&mut bytes);
    assert_eq!(Vec::<KeyHandle>::get(&mut Reader::new(&bytes)), Some(handles));
    assert_eq!(Vec::<KeyHandle>::get(&mut Reader::new(&[255, 255, 255, 255, 1])), None);
}

// ---------------------------------------------------------------- robustness

/// Requests that reach far into each command.
fn seeds() -> Vec<String> {
    let mut hsm = Device::new();
    let (zmk, _) = hsm.variant_key("000", "U");
    let (key, _) = hsm.variant_key("001", "U");
    let (bdk, _) = hsm.variant_key("009", "U");
    let (block_zmk, _) = hsm.block_key("01", "52A3N00S00");
    let (block_key, _) = hsm.block_key("01", "72T2N00S010005L");
    let (tr31, _) = split_last(&hsm.ok(&format!("A8FFF{block_zmk}{block_key}R%01")), 6);
    let components = component("72TNc1S", "", &[0x13; 16]) + &component("72TNc2S", "0005L", &[0x25; 16]);
    vec![
        format!("A01001U;0{zmk}R1%00&P0N00S01KS0CABCDEF12!B\u{19}tail"),
        format!("A0B302U01{bdk}FFFF9876543210E{zmk}X"),
        format!("A01FFFS{block_zmk}R%01#72A1N00S020005L03112025:01:01:00&N!D"),
        format!("A42FFFS{components}%01#0000"),
        format!("A6FFF{block_zmk}{tr31}S%01#71010005L"),
        format!("A8FFF{block_zmk}{block_key}R%01&N!D"),
        format!("A8001{zmk}{key}X5"),
        format!("B0001{key}S%01#72N00S00"),
        format!("BUFFF{block_key};FFF;001%01"),
        format!("CS{block_key}5L;E%01"),
    ]
}

fn total(session: &mut Session, request: &[u8]) {
    let Some((code, body)) = request.split_first_chunk::<2>() else { return };
    if let Some(command) = hsm_plugins::COMMANDS.iter().find(|c| c.code == *code) {
        session.begin(*code, None);
        let answer = command.respond(body, session, true);
        assert!(answer.len() >= 2);
        assert_ne!(answer[..2], *b"41", "{} {:?}", request.escape_ascii(), session.transcript().explanation);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_bytes_give_an_answer(
        code in prop::sample::select(vec!["A0", "A4", "A6", "A8", "B0", "BU", "CS"]),
        body in prop::collection::vec(any::<u8>(), 0..200),
        text in "[0-3ABFSRUTXYZ;%#&!0-9]{0,120}",
    ) {
        let mut hsm = Device::new();
        total(&mut hsm.session, &[code.as_bytes(), &body].concat());
        total(&mut hsm.session, &[code.as_bytes(), text.as_bytes()].concat());
    }

    #[test]
    fn damaged_requests_give_an_answer(
        at in any::<prop::sample::Index>(),
        with in prop::collection::vec(any::<u8>(), 0..3),
        remove in 0usize..3,
    ) {
        let mut hsm = Device::new();
        for seed in seeds() {
            let mut request = seed.into_bytes();
            let at = 2 + at.index(request.len() - 2);
            let end = (at + remove).min(request.len());
            request.splice(at..end, with.iter().copied());
            total(&mut hsm.session, &request);
        }
    }
}
