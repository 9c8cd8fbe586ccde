//! The commands on RSA and elliptic-curve keys: round trips, published examples, error codes, and bytes that mean nothing.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::asymmetric::{Pair, answer, der_len, generate, good, hex, join, module, refused};
use hsm_core::lmk::Lmk;
use hsm_core::user_storage::SlotSize;
use hsm_core::{ChangeEntry, ChangeRole, ClearKey, LmkSlots, SecurityModule, Session, Settings};
use hsm_plugin_sdk::abi::ErrorCode;
use proptest::prelude::*;
use std::sync::{Arc, OnceLock};

/// An LMK, how a request names it, and what a request adds to it.
struct Kind {
    lmk: &'static str,
    ei: &'static str,
    eo: &'static str,
    gi: &'static str,
    key_type: &'static str,
}

const KINDS: [Kind; 3] = [
    Kind { lmk: "", ei: "", eo: "", gi: "", key_type: "0600" },
    Kind { lmk: "%01", ei: "%01#0000", eo: "~%01#N00S00", gi: "%01#72B00S00", key_type: "FFFF" },
    Kind { lmk: "%02", ei: "%02#0000&N", eo: "~%02#N00N00", gi: "%02#72N01N00", key_type: "FFFF" },
];

/// One key pair for signatures and key management under each LMK: 1024 bits, so that every hash fits.
fn pair(kind: usize) -> Pair {
    static PAIRS: OnceLock<Vec<Pair>> = OnceLock::new();
    let pairs =
        PAIRS.get_or_init(|| KINDS.iter().map(|kind| generate(&module(), &format!("2102402{}", kind.ei))).collect());
    pairs[kind].clone()
}

fn import(module: &SecurityModule, kind: &Kind, public: &[u8]) -> Vec<u8> {
    good(module, "EO", &join(&[b"02", public, kind.eo.as_bytes()]))
}

const SPEC_KEY: &str = "30470240AE213EBDFE272616058114CA5D6E8DDD2F976EF0C6D6F6ADE0204E916CE0B5C704A1A9F1F631F578D7B87D1981951BB99A\
                        572400AC43BB3AF8C2A4068A0052250203010001";

#[test]
fn generated_keys_have_the_layout_of_the_manual() {
    let module = module();
    // keys.md 5.2: 0176 for 512 bits.
    let pair = generate(&module, "0051201");
    assert_eq!(&pair.private[..4], b"0176");
    assert_eq!(pair.private.len(), 4 + 176);
    assert_eq!(pair.public.len(), 73);
    assert_eq!(generate(&module, "1032001").private.len(), 4 + 120);
    assert_eq!(&generate(&module, "0048001").private[..4], b"0168");
    for (fields, version, header) in [
        ("0051201%01#0000", "S1", "03RS00S0001"),
        ("1051202%01#A100&N", "S1", "03RDA1N0001"),
        ("2051201%01#0000&E", "S1", "03RN00E0001"),
        ("3051201%02#0000&S", "S0", "04RN00S0002"),
        ("4051201%02#00010005L", "S0", "05RN00S0202"),
    ] {
        let private = generate(&module, fields).private;
        let block = private.strip_prefix(b"FFFF").unwrap();
        assert_eq!((&block[..2], &block[6..17]), (version.as_bytes(), header.as_bytes()), "{fields}");
        let length: usize = String::from_utf8(block[2..6].to_vec()).unwrap().parse().unwrap();
        assert_eq!(length + 1, block.len());
    }
}

#[test]
fn key_pairs_of_2048_bits_have_the_lengths_seen_on_devices() {
    // keys.md 5.1, 5.2 and 4.6.
    let variant = generate(&module(), "2204801");
    assert_eq!((variant.public.len(), &variant.private[..4], variant.private.len()), (269, &b"0656"[..], 660));
    let block = generate(&module(), "2204802%01#0000");
    assert_eq!((block.public.len(), &block.private[..10]), (270, &b"FFFFS10704"[..]));
}

#[test]
fn the_exponent_is_the_one_asked_for() {
    for (field, exponent) in [(&b"0002\x03"[..], &[3][..]), (b"0017\x01\x00\x01", &[1, 0, 1]), (b"0005\x11", &[17])] {
        let response = good(&module(), "EI", &join(&[b"0051202", field]));
        let public = &response[..der_len(&response)];
        assert!(public.ends_with(exponent), "{}", public.escape_ascii());
    }
}

#[test]
fn generation_refuses_what_the_manual_says() {
    let module = module();
    for (body, error) in [
        (&b"5051201"[..], "05"),
        (b"x051201", "15"),
        (b"0031901", "04"),
        (b"0409701", "04"),
        (b"0051203", "03"),
        (b"00512", "15"),
        (b"00512010001\x01", "06"),
        (b"00512010000", "06"),
        (b"00512010256", "06"),
        (b"00512010016\x01\x00\x01", "15"),
        (b"00512010009\xFF\x01", "06"),
        (b"00512010008\xFE", "08"),
        (b"00512010008", "15"),
        (b"0051201#0000", "15"),
        (b"0051201%01", "15"),
        (b"0051201%01#00", "15"),
        (b"0051201%07#0000", "13"),
        (b"0051201%01#0000&X", "AA"),
        (b"0051201%01#\xFF000", "15"),
        (b"0051201%01# 000", "A9"),
        (b"0051201%01#c100", "A9"),
        (b"0051201%01#000100", "AC"),
        (b"0051201%01#00010005Q", "AD"),
        (b"0051201%01#0002000 5L0005L", "AC"),
        (b"0051201%01#00020005L0005L", "BC"),
        (b"0051201%01#0001PB08xxxx", "BE"),
        (b"0204901", "48"),
        (b"0204901%02#0000", "48"),
    ] {
        refused(&module, "EI", body, error);
    }
    module.set_settings(Settings { authorise_all: false, ..Settings::default() });
    refused(&module, "EI", b"0051201", "17");
}

#[test]
fn public_keys_are_imported_and_known_again() {
    let module = module();
    for (kind, pair) in KINDS.iter().zip((0..3).map(pair)) {
        let field = import(&module, kind, &pair.public);
        good(&module, "EQ", &join(&[&field, kind.lmk.as_bytes()]));
        good(&module, "EQ", &join(&[&field, kind.lmk.as_bytes(), b"\x19trailer"]));
        let (at, error) = if kind.lmk.is_empty() { (3, "01") } else { (60, "A4") };
        let mut damaged = field.clone();
        damaged[at] ^= 1;
        refused(&module, "EQ", &join(&[&damaged, kind.lmk.as_bytes()]), error);
        if !kind.lmk.is_empty() {
            assert_eq!(&field[6..9], b"02R");
            let mut other_usage = field.clone();
            other_usage[7] = b'3';
            refused(&module, "EQ", &join(&[&other_usage, kind.lmk.as_bytes()]), "A4");
            refused(&module, "EQ", &field, "A1");
        }
    }
    let (mac_and_key, block) =
        (import(&module, &KINDS[0], &pair(0).public), import(&module, &KINDS[1], &pair(1).public));
    refused(&module, "EQ", &join(&[&mac_and_key, b"%01"]), "A1");
    refused(&module, "EQ", &join(&[&block, b"%02"]), "A1");
}

#[test]
fn public_key_macs_are_those_of_the_manual() {
    // keys.md 5.3 and 7 (EQ), variant test LMK.
    let module = module();
    let key = hex(SPEC_KEY);
    let with_data = good(&module, "EO", &join(&[b"01", &key, b"AUTHEN-DATA"]));
    assert_eq!(with_data, join(&[&hex("9C350891"), &key]));
    let without = good(&module, "EO", &join(&[b"01", &key, b"%00"]));
    assert_eq!(without, join(&[&hex("530548CE"), &key]));
    good(&module, "EQ", &join(&[&with_data, b"AUTHEN-DATA"]));
    good(&module, "EQ", &join(&[&with_data, b"AUTHEN-DATA%00\x19x"]));
    good(&module, "EQ", &without);
    refused(&module, "EQ", &with_data, "01");
    refused(&module, "EQ", &join(&[&without, b"AUTHEN-DATA"]), "01");
    refused(&module, "EQ", &join(&[&without, b"AUTHEN-\xFF"]), "15");
    refused(&module, "EQ", &join(&[&without, b";x"]), "15");
    refused(&module, "EQ", b"MACx\x30\x03\x02\x01\x03", "04");
    refused(&module, "EQ", b"MAC", "15");
    // Twice-complement encoding of the same key is another DER, the unsigned one is no PKCS#1.
    refused(&module, "EO", &join(&[b"02", &key]), "04");
    refused(&module, "EO", &join(&[b"04", &key]), "03");
    refused(&module, "EO", &join(&[b"03", &key]), "04");
    refused(&module, "EO", &join(&[b"01", &key[..40]]), "04");
    refused(&module, "EO", &join(&[b"01", &key, b"~#N00S00"]), "15");
    refused(&module, "EO", &join(&[b"01", &key, b"~%01"]), "15");
    refused(&module, "EO", &join(&[b"01", &key, b"~%01#S00S00"]), "A8");
    module.set_settings(Settings { authorise_all: false, ..Settings::default() });
    refused(&module, "EO", &join(&[b"01", &key]), "17");
    good(&module, "EQ", &without);
}

#[test]
fn signatures_are_verified_under_every_lmk() {
    let module = module();
    for (kind, pair) in KINDS.iter().zip((0..3).map(pair)) {
        let public = import(&module, kind, &pair.public);
        let lmk = kind.lmk.as_bytes();
        for method in ["060101", "010101", "050101", "070101", "080101", "020101", "060104", "010104"] {
            let signed = join(&[method.as_bytes(), b"0007;data;%;99", &pair.private, lmk]);
            let signature = good(&module, "EW", &signed);
            assert_eq!(&signature[..4], b"0128", "{method}");
            let verify = |data: &[u8], signature: &[u8]| {
                let body = join(&[method.as_bytes(), signature, b";0007", data, b";", &public, lmk]);
                answer(&module, "EY", &body).escape_ascii().to_string()
            };
            assert_eq!(verify(b";data;%", &signature), "00", "{method}");
            assert_eq!(verify(b";date;%", &signature), "02", "{method}");
            let mut damaged = signature.clone();
            damaged[50] ^= 1;
            assert_eq!(verify(b";data;%", &damaged), "02", "{method}");
            assert_eq!(verify(b";data;%", &join(&[b"0127", &signature[5..]])), "76", "{method}");
        }
        // A DigestInfo gives the signature that its hash gives.
        let info = join(&[&hex("3031300D060960864801650304020105000420"), &sha256(b"message")]);
        let by_info = good(&module, "EW", &join(&[b"0401010051", &info, b";99", &pair.private, lmk]));
        let by_hash = good(&module, "EW", &join(&[b"0601010007message;99", &pair.private, lmk]));
        assert_eq!(by_info, by_hash);
        let body = join(&[b"040101", &by_hash, b";0051", &info, b";", &public, lmk]);
        good(&module, "EY", &body);
    }
}

fn sha256(data: &[u8]) -> Vec<u8> {
    good(&module(), "GM", &join(&[b"06", format!("{:05}", data.len()).as_bytes(), data]))
}

#[test]
fn signing_refuses_what_the_manual_says() {
    let module = module();
    let private = pair(0).private;
    let short = generate(&module, "0032001").private;
    let management = generate(&module, "1051201").private;
    for (method, key, error) in [
        ("000101", &private, "05"),
        ("030101", &private, "05"),
        ("090101", &private, "05"),
        ("060301", &private, "06"),
        ("060102", &private, "07"),
        ("060105", &private, "07"),
        ("040101", &private, "74"),
        ("040104", &private, "05"),
        ("060201", &private, "06"),
        ("060101", &short, "76"),
        ("080104", &short, "76"),
        ("060101", &management, "03"),
    ] {
        refused(&module, "EW", &join(&[method.as_bytes(), b"0004data;99", key]), error);
    }
    for (tail, error) in [
        (&b"0004data99"[..], "15"),
        (b"0004data;21", "04"),
        (b"0004data;98", "04"),
        (b"0004data;20", "49"),
        (b"0004data;990004abcd", "78"),
        (b"0004data;99", "15"),
        (b"0000;99", "80"),
        (b"0009data;99", "80"),
        (b"000x", "15"),
    ] {
        refused(&module, "EW", &join(&[b"060101", tail]), error);
    }
    let mut damaged = private.clone();
    damaged[60] ^= 1;
    refused(&module, "EW", &join(&[b"0601010004data;99", &damaged]), "49");
    refused(&module, "EW", &join(&[b"0601010004data;99", &private, b"%01"]), "A1");
    refused(&module, "EW", &join(&[b"0601010004data;99", &private, b"junk"]), "15");
    // Under a key-block LMK the header says it.
    let management = generate(&module, "1051201%01#0000").private;
    refused(&module, "EW", &join(&[b"0601010004data;99", &management, b"%01"]), "A8");
    let icc = generate(&module, "3051201%01#0000").private;
    refused(&module, "EW", &join(&[b"0601010004data;99", &icc, b"%01"]), "A6");
    refused(&module, "EW", &join(&[b"0601010004data;99", &icc]), "A1");
    refused(&module, "EW", &join(&[b"0602010004data;99", &pair(1).private, b"%01"]), "A7");
}

#[test]
fn verification_refuses_what_the_manual_says() {
    let module = module();
    let public = import(&module, &KINDS[0], &pair(0).public);
    let body = |method: &str, rest: &[u8]| join(&[method.as_bytes(), b"0128", &[0; 128], b";0004data;", rest]);
    refused(&module, "EY", &body("060101", &public), "02");
    refused(&module, "EY", &body("040101", &public), "74");
    refused(&module, "EY", &body("990101", &public), "05");
    refused(&module, "EY", &body("069901", &public), "06");
    refused(&module, "EY", &body("060109", &public), "07");
    refused(&module, "EY", &body("060201", &public), "06");
    refused(&module, "EY", &body("060101", &public[1..]), "04");
    refused(&module, "EY", &join(&[b"0601010000;"]), "80");
    let mut damaged = public.clone();
    damaged[0] ^= 1;
    refused(&module, "EY", &body("060101", &damaged), "01");
    let encrypt_only = good(&module, "EO", &join(&[b"02", &pair(1).public, b"~%01#E00S00"]));
    refused(&module, "EY", &join(&[&body("060101", &encrypt_only), b"%01"]), "A8");
}

#[test]
fn elliptic_curve_keys_sign() {
    let module = module();
    for (curve, lengths) in [("00", ("0091", 91)), ("01", ("0120", 120)), ("02", ("0158", 158))] {
        let response = good(&module, "FY", format!("01{curve}03%01#S00N00").as_bytes());
        assert_eq!(&response[..4], lengths.0.as_bytes());
        let (public, private) = response[4..].split_at(lengths.1);
        assert_eq!(&private[..2], b"S1");
        assert_eq!(&private[6..17], b"03ES00N0001", "{}", private.escape_ascii());
        let signature = good(&module, "EW", &join(&[b"0602000004data;99FFFF", private, b"%01"]));
        let public = good(&module, "EO", &join(&[b"03", public, b"~%01#V00N00"]));
        assert_eq!(&public[6..9], b"02E");
        let verify = |data: &[u8]| join(&[b"060200", &signature, b";0004", data, b";", &public, b"%01"]);
        good(&module, "EY", &verify(b"data"));
        refused(&module, "EY", &verify(b"date"), "02");
        refused(&module, "EW", &join(&[b"0601010004data;99FFFF", private, b"%01"]), "A7");
        let agreement = good(&module, "FY", format!("01{curve}03%01#X00N00").as_bytes());
        let private = &agreement[4 + lengths.1..];
        refused(&module, "EW", &join(&[b"0602000004data;99FFFF", private, b"%01"]), "A8");
    }
    // The MAC of a variant LMK covers these keys too.
    let response = good(&module, "FY", b"010003%01#S00N00");
    let public = &response[4..95];
    let field = good(&module, "EO", &join(&[b"03", public]));
    good(&module, "EQ", &field);
    for (body, error) in [
        (&b"020003%01#S00N00"[..], "A7"),
        (b"010303%01#S00N00", "D2"),
        (b"010001%01#S00N00", "D3"),
        (b"010003%01", "15"),
        (b"010003", "A1"),
        (b"010003#S00N00", "A1"),
        (b"010003%01#D00N00", "A8"),
        (b"010003%01#?00N00", "A8"),
        (b"010003%01#S00?00", "AA"),
        (b"0100", "15"),
    ] {
        refused(&module, "FY", body, error);
    }
    module.set_settings(Settings { authorise_all: false, ..Settings::default() });
    refused(&module, "FY", b"010003%01#S00N00", "17");
}

/// A ZPK or TPK under each LMK with its check value of 6 digits; exportability S in key blocks.
const ZPKS: [(&str, &str); 2] = [
    // keys.md 1.4.
    ("U063A0E7C0F2124E56192A4510F395ED7", "08D7B4"),
    ("8B4ECCAE01B4B17A", "D5D44F"),
];

#[test]
fn a_key_comes_back_from_under_a_public_key() {
    let module = module();
    let variants: [(&str, bool); 5] =
        [("01", true), ("01", false), ("02010100;", true), ("02010603abc;", false), ("02010500;", true)];
    for (index, kind) in KINDS.iter().enumerate() {
        let pair = pair(index);
        let public = import(&module, kind, &pair.public);
        for (key, kcv) in ZPKS {
            let key_block = !kind.lmk.is_empty();
            for (padding, der) in variants {
                let flag = if key.len() == 16 { "0" } else { "1" };
                let block_type = if der { "" } else { ";03" };
                let data_type = if der { "" } else { "=03" };
                let exported = good(
                    &module,
                    "GK",
                    // The key itself is under the variant LMK: the padding and the public key are the same.
                    &join(&[
                        b"01",
                        padding.as_bytes(),
                        b"0600",
                        flag.as_bytes(),
                        key.as_bytes(),
                        kcv.as_bytes(),
                        &import(&module, &KINDS[0], &pair.public),
                        block_type.as_bytes(),
                    ]),
                );
                let (iv, rest) = exported.split_at(if der { 16 } else { 0 });
                assert!(iv.iter().all(u8::is_ascii_hexdigit));
                assert_eq!(&rest[..4], b"0128");
                let tail = join(&[data_type.as_bytes(), kind.gi.as_bytes()]);
                let body =
                    join(&[b"01", padding.as_bytes(), kind.key_type.as_bytes(), rest, b";99", &pair.private, &tail]);
                let imported = good(&module, "GI", &body);
                let imported = imported.strip_prefix(iv).unwrap();
                if key_block {
                    let algorithm = if key.len() == 16 { b'D' } else { b'T' };
                    assert_eq!((&imported[6..8], imported[8]), (&b"72"[..], algorithm));
                    assert!(imported.ends_with(kcv.as_bytes()));
                } else {
                    // Without the option group: untagged, long check value.
                    assert_eq!(imported.len(), if key.len() == 16 { 32 } else { 48 });
                    assert_eq!(imported[imported.len() - 16..][..6], *kcv.as_bytes());
                    let scheme = if key.len() == 16 { "Z" } else { "U" };
                    let tail = join(&[format!(";0{scheme}1").as_bytes(), data_type.as_bytes()]);
                    let body = join(&[b"01", padding.as_bytes(), b"0600", rest, b";99", &pair.private, &tail]);
                    let imported = good(&module, "GI", &body);
                    assert_eq!(imported[iv.len()..], *join(&[key.as_bytes(), kcv.as_bytes()]));
                }
            }
        }
        drop(public);
    }
}

#[test]
fn import_under_a_private_key_has_the_rules_of_other_imports() {
    let module = module();
    let pair = pair(0);
    let public = import(&module, &KINDS[0], &pair.public);
    let export = |key_type: &str, key: &str, kcv: &str| {
        good(
            &module,
            "GK",
            &join(&[b"0101", key_type.as_bytes(), b"1", key.as_bytes(), kcv.as_bytes(), &public, b";03"]),
        )
    };
    let body = |key_type: &str, sent: &[u8], tail: &str| {
        join(&[b"0101", key_type.as_bytes(), sent, b";99", &pair.private, b";0U1=03", tail.as_bytes()])
    };
    // A DUKPT initial key (keys.md 7, A0) keeps its parity.
    let initial = "UE2D197D9F18D83146EC7A3230DD89546";
    let sent = export("1403", initial, "AF8C07");
    assert_eq!(good(&module, "GI", &body("1403", &sent, "")), format!("{initial}AF8C07").as_bytes());

    let (key, kcv) = ZPKS[0];
    let sent = export("0600", key, kcv);
    let settings = |change: &dyn Fn(&mut Settings)| {
        let mut settings = Settings { authorise_all: false, rsa_import_authorised: false, ..Settings::default() };
        change(&mut settings);
        module.set_settings(settings);
    };
    // That no activity is needed does not make a key of every type.
    settings(&|_| ());
    good(&module, "GI", &body("0400", &sent, ""));
    for key_type in ["3400", "3600", "0608"] {
        refused(&module, "GI", &body(key_type, &sent, ""), "29");
    }
    settings(&|s| s.zmk_import = false);
    refused(&module, "GI", &body("0400", &sent, ""), "17");
    let in_block = |attributes: &str| {
        let private = generate(&module, "2102402%01#0000");
        let public = good(&module, "EO", &join(&[b"02", &private.public]));
        let sent = good(&module, "GK", &join(&[b"010106001", key.as_bytes(), kcv.as_bytes(), &public, b";03"]));
        join(&[b"0101FFFF", &sent, b";99", &private.private, b";0S1=03%01", attributes.as_bytes()])
    };
    settings(&|s| s.authorise_all = true);
    let (zmk, exportable, pin) = (in_block("#52B00S00"), in_block("#P0B00E00"), in_block("#P0B00S00"));
    good(&module, "GI", &zmk);
    good(&module, "GI", &pin);
    refused(&module, "GI", &exportable, "AA");
    settings(&|s| (s.authorise_all, s.zmk_import) = (true, false));
    refused(&module, "GI", &zmk, "17");
    settings(&|s| (s.authorise_all, s.trusted_import_only) = (true, true));
    refused(&module, "GI", &pin, "17");
}

#[test]
fn settings_keep_keys_in_blocks_from_leaving_under_a_public_key() {
    let module = module();
    let public = import(&module, &KINDS[1], &pair(1).public);
    let key = |attributes: &str| {
        let made = good(&module, "A0", format!("0FFFS%01#{attributes}").as_bytes());
        let (key, kcv) = made.split_at(made.len() - 6);
        join(&[b"0101FFFFF", key, kcv, &public, b";03%01"])
    };
    let (zmk, pin) = (key("K0T2B00S00"), key("P0T2B00S00"));
    let with = |settings: Settings, body: &[u8], code: Option<&str>| {
        module.set_settings(settings);
        match code {
            Some(code) => refused(&module, "GK", body, code),
            None => drop(good(&module, "GK", body)),
        }
    };
    with(Settings::default(), &zmk, None);
    with(Settings { zmk_export: false, ..Settings::default() }, &zmk, Some("17"));
    with(Settings { zmk_export: false, ..Settings::default() }, &pin, None);
    with(Settings { sensitive_export: false, ..Settings::default() }, &pin, Some("AA"));
    with(Settings { trusted_export_only: true, ..Settings::default() }, &pin, Some("17"));
}

#[test]
fn a_key_block_key_comes_back_from_under_a_public_key() {
    let module = module();
    for index in [1, 2] {
        let (kind, pair) = (&KINDS[index], pair(index));
        let public = import(&module, kind, &pair.public);
        for (aes, usage) in [(false, "72B00S00"), (true, "K0N00S00")] {
            // Bring a key in first, then take it out and in again.
            let encrypted = good(
                &module,
                "GK",
                &join(&[
                    b"01010600",
                    b"1",
                    ZPKS[0].0.as_bytes(),
                    b"08D7B4",
                    &import(&module, &KINDS[0], &pair.public),
                    b";03",
                ]),
            );
            let options = format!(";{}S1=03{}#{usage}", u8::from(aes), kind.lmk);
            let body = join(&[b"0101FFFF", &encrypted, b";99", &pair.private, options.as_bytes()]);
            if aes && index == 2 {
                // An AES key is too strong for a TDES LMK.
                refused(&module, "GI", &body, "48");
                continue;
            }
            let imported = good(&module, "GI", &body);
            let (block, kcv) = imported.split_at(imported.len() - 6);
            assert_eq!(block[8], if aes { b'A' } else { b'T' });
            for long in [false, true] {
                if aes && long {
                    continue;
                }
                let check: &[u8] = if long { b"08D7B4D0E84C8AB0" } else { kcv };
                let check = if long { &join(&[kcv, &check[6..]]) } else { check };
                let exported =
                    answer(&module, "GK", &join(&[b"0101FFFFF", block, check, &public, kind.lmk.as_bytes()]));
                if long {
                    // The last ten digits of this check value are made up.
                    assert_eq!(exported, b"01");
                    continue;
                }
                let exported = exported.strip_prefix(b"00").unwrap();
                let (iv, rest) = exported.split_at(if aes { 32 } else { 16 });
                let options = format!(";{}S1{}#{usage}", u8::from(aes), kind.lmk);
                let body = join(&[b"0101FFFF", rest, b";99", &pair.private, options.as_bytes()]);
                let again = good(&module, "GI", &body);
                let again = again.strip_prefix(iv).unwrap();
                assert!(again.ends_with(kcv));
                assert_eq!(again[..17], block[..17]);
            }
            // What may not leave its block does not.
            let narrow = options.replace("S00", "N00");
            let body = join(&[b"0101FFFF", &encrypted, b";99", &pair.private, narrow.as_bytes()]);
            let imported = good(&module, "GI", &body);
            let (block, kcv) = imported.split_at(imported.len() - 6);
            refused(&module, "GK", &join(&[b"0101FFFFF", block, kcv, &public, kind.lmk.as_bytes()]), "AA");
        }
    }
}

#[test]
fn keys_are_sent_and_received_with_a_signature() {
    let module = module();
    let (key, kcv) = ZPKS[0];
    for (index, kind) in KINDS.iter().enumerate() {
        let (receiver, lmk) = (pair(index), kind.lmk.as_bytes());
        let sender = generate(&module, "0102402");
        for (method, padding) in [("060101", "01"), ("060104", "02010600;")] {
            let signing = join(&[method.as_bytes(), b"0003=;=;0004\x00\x01;%;99", &sender.private]);
            let exported = good(
                &module,
                "GK",
                &join(&[
                    b"01",
                    padding.as_bytes(),
                    b"0600=",
                    &signing,
                    b"1",
                    key.as_bytes(),
                    kcv.as_bytes(),
                    &import(&module, &KINDS[0], &receiver.public),
                    b";03",
                ]),
            );
            assert_eq!((&exported[..4], &exported[132..136], exported.len()), (&b"0128"[..], &b"0128"[..], 264));
            let (encrypted, signature) = (&exported[4..132], &exported[136..]);
            let data = join(&[b"=;=", encrypted, b"\x00\x01;%"]);
            let verify = join(&[method.as_bytes(), b"0128", signature, b";0135", &data, b";"]);
            good(&module, "EY", &join(&[&verify, &import(&module, &KINDS[0], &sender.public)]));

            let public = import(&module, kind, &sender.public);
            let body = |offset: &str, signature: &[u8], public: &[u8], data: &[u8]| {
                let signed = join(&[method.as_bytes(), offset.as_bytes(), b"0128", signature, b";", public, b";"]);
                let tail = join(&[b";99", &receiver.private, b"=03", kind.gi.as_bytes()]);
                let head = join(&[b"01", padding.as_bytes(), kind.key_type.as_bytes(), b"="]);
                join(&[&head, &signed, b"0135", data, &tail])
            };
            let imported = good(&module, "GI", &body("00030128", signature, &public, &data));
            if kind.lmk.is_empty() {
                // keys.md 1.4, untagged.
                assert_eq!(imported[..32], *b"8B4ECCAE01B4B17AAC951121A98DB14E");
            } else {
                assert_eq!((&imported[6..9], &imported[imported.len() - 6..]), (&b"72T"[..], kcv.as_bytes()));
            }
            let mut other = data.clone();
            other[134] ^= 1;
            refused(&module, "GI", &body("00030128", signature, &public, &other), "01");
            refused(&module, "GI", &body("00030128", &exported[4..132], &public, &data), "01");
            refused(&module, "GI", &body("00080128", signature, &public, &data), "80");
            refused(&module, "GI", &body("99999999", signature, &public, &data), "80");
            refused(&module, "GI", &body("00040128", signature, &public, &data), "77");
            refused(&module, "GI", &body("00030127", signature, &public, &data), "76");
            let own = import(&module, kind, &receiver.public);
            refused(&module, "GI", &body("00030128", signature, &own, &data), "01");
            let damaged = join(&[&public[..public.len() - 1], b"!"]);
            refused(
                &module,
                "GI",
                &body("00030128", signature, &damaged, &data),
                if lmk.is_empty() { "01" } else { "15" },
            );
        }
    }
    let public = import(&module, &KINDS[0], &pair(0).public);
    let export =
        |signing: &[u8]| join(&[b"01010600=", signing, b"1", ZPKS[0].0.as_bytes(), b"08D7B4", &public, b";03"]);
    let private = pair(0).private;
    let management = generate(&module, "1102402").private;
    for (signing, error) in [
        (join(&[b"0901010000;0000;99", &private]), "05"),
        (join(&[b"0609010000;0000;99", &private]), "06"),
        (join(&[b"0601020000;0000;99", &private]), "07"),
        (join(&[b"0601010001;0000;99", &private]), "15"),
        (join(&[b"0601010000;0001;99", &private]), "15"),
        (join(&[b"0601010000;0000;21"]), "03"),
        (join(&[b"0601010000;0000;05"]), "49"),
        (join(&[b"0601010000;0000;99", &management]), "03"),
        (join(&[b"0602010000;0000;99", &private]), "06"),
    ] {
        refused(&module, "GK", &export(&signing), error);
    }
}

#[test]
fn hmac_keys_go_from_gi_into_key_blocks() {
    let module = module();
    let pair = pair(0);
    let public = import(&module, &KINDS[0], &pair.public);
    // The bytes of a DES key of keys.md 1.4 serve as an HMAC key.
    let exported = good(&module, "GK", &join(&[b"010106001", ZPKS[0].0.as_bytes(), b"08D7B4", &public, b";03"]));
    let import = |tail: &[u8]| good(&module, "GI", &join(&[b"01013401", &exported, b";99", &pair.private, tail]));
    // HMAC-SHA-1 of the empty message under 0123456789ABCDEFFEDCBA9876543210, computed with Python.
    let imported = import(b";0U1=03");
    let (field, check_value) = imported.split_at(4 + 24);
    assert_eq!((&field[..4], check_value), (&b"0024"[..], &b"2739B6"[..]));
    assert_eq!(import(b"=03")[28..], *b"2739B60000000000");

    // BU computes with the hash that is named, and shows 6 digits of meaning.
    for (hash, value) in [("01", "2739B6"), ("06", "DCC3C8")] {
        let asked = |tail: &[u8]| good(&module, "BU", &join(&[b"1C0", hash.as_bytes(), field, b";", tail]));
        assert_eq!(asked(b";001"), value.as_bytes());
        assert_eq!(asked(b""), [value.as_bytes(), b"0000000000"].concat());
    }
    refused(&module, "BU", &join(&[b"1C009", field, b";"]), "05");
    refused(&module, "BU", &join(&[b"1C006", field]), "15");
    refused(&module, "BU", &join(&[b"1C9"]), "05");
    refused(&module, "BU", &join(&[b"1C006", field, b";%01"]), "A1");
    refused(&module, "BU", b"1C0060024xxxxxxxxxxxxxxxxxxxxxxxx;", "10");

    for role in [ChangeRole::Old, ChangeRole::New] {
        let change = changing((0, Lmk::test_variant()), other_variant(), role);
        let moved = good(&change, "BW", &join(&[b"1C006", field, b";!11"]));
        let (moved, check_value) = moved.split_at(28);
        assert_eq!((&moved[..4], check_value), (&b"0024"[..], &b"DCC3C8"[..]), "SHA-256, computed with Python");
        assert_ne!(moved, field);
        refused(&change, "BW", &join(&[b"1C006", moved, b";"]), "10");
        let back = changing((0, other_variant()), Lmk::test_variant(), role);
        good(&back, "BW", &join(&[b"1CF01", moved, b";;0U0!00"]));

        let change = changing((1, Lmk::test_variant()), Lmk::test_keyblock_aes(), role);
        let block = good(&change, "BW", &join(&[b"1CF06", field, b";#63C01N00!11"]));
        let block = String::from_utf8(block).unwrap();
        assert_eq!((&block[..6], &block[10..21], &block[block.len() - 6..]), ("FFFFS1", "63HC01N0001", "DCC3C8"));
        let new = only(1, Lmk::test_keyblock_aes());
        let shown = format!("FFF{};FFF;001", &block[4..block.len() - 6]);
        assert_eq!(good(&new, "BU", shown.as_bytes()), b"DCC3C8");
        for (body, error) in [
            (join(&[b"1CF06", field, b";"]), "15"),
            (join(&[b"1CF06", field, b";#61C01N00"]), "BD"),
            (join(&[b"1CF02", field, b";#63C01N00"]), "BD"),
            (join(&[b"1CF06", field, b";#63B01N00"]), "A8"),
            (join(&[b"1CF09", field, b";#63C01N00"]), "05"),
            (join(&[b"1CX06", field, b";#63C01N00"]), "05"),
            (join(&[b"1CF060012", &field[4..16], b";#63C01N00"]), "80"),
            (join(&[b"1CF06", field, b"#63C01N00"]), "15"),
        ] {
            refused(&change, "BW", &body, error);
        }
    }
    let change = changing((0, Lmk::test_keyblock_aes()), Lmk::test_variant(), ChangeRole::Old);
    refused(&change, "BW", &join(&[b"1CF06", field, b";"]), "A1");
    refused(&module, "BW", &join(&[b"1CF06", field, b";"]), "33");
}

#[test]
fn bw_moves_private_keys() {
    let pair = pair(0);
    let public = import(&module(), &KINDS[0], &pair.public);
    for role in [ChangeRole::Old, ChangeRole::New] {
        let change = changing((0, Lmk::test_variant()), other_variant(), role);
        let private = good(&change, "BW", &join(&[b"0C0", &pair.private, b";0U0!00"]));
        good(&only(0, other_variant()), "EW", &join(&[b"0601010004data;99", &private]));
        for (tail, error) in [(&b"!11"[..], "15"), (b"#03N00S00", "15"), (b"x", "15")] {
            refused(&change, "BW", &join(&[b"0C0", &pair.private, tail]), error);
        }
        refused(&change, "BW", b"0C00004xxxx", "78");
        refused(&change, "BW", b"0C9", "05");

        let change = changing((1, Lmk::test_variant()), Lmk::test_keyblock_aes(), role);
        refused(&change, "BW", &join(&[b"0CF", &pair.private, b"#03N07E00"]), "AA");
        let private = good(&change, "BW", &join(&[b"0CF", &pair.private, b"#03N07N00"]));
        assert_eq!((&private[..6], &private[10..21]), (&b"FFFFS1"[..], &b"03RN07N0001"[..]));
        let signature = good(&only(1, Lmk::test_keyblock_aes()), "EW", &join(&[b"0601010004data;99", &private]));
        good(&module(), "EY", &join(&[b"060101", &signature, b";0004data;", &public]));
        for (tail, error) in [(&b""[..], "15"), (b"#04N00S00", "A6"), (b"#03S00S00", "A8"), (b"#03N00Q00", "AA")] {
            refused(&change, "BW", &join(&[b"0CF", &pair.private, tail]), error);
        }
    }
}

#[test]
fn the_import_of_a_payshield_10k_client_opens() {
    // keys.md 7 (GI): the key is 6DB9370C7FE3032CBA28F5AB7F9B3771, check value 2BB98C as AES. The sample's LMK is in slot 00.
    let text = include_str!("../testdata/gi_importtmkunderrsa.txt");
    let mut rows = text.lines().filter(|line| !line.starts_with('#')).map(hex);
    let (encrypted, private) = (rows.next().unwrap(), rows.next().unwrap());
    let mut slots = LmkSlots::default();
    slots.slots.insert(1, Arc::new(Lmk::test_keyblock_aes()));
    slots.default = 1;
    let module = SecurityModule::new(slots, Settings::default());
    let body = join(&[b"0101FFFF0256", &encrypted, b";99FFFF", &private, b";1S1=03#K0N00S00"]);
    let response = good(&module, "GI", &body);
    assert_eq!(&response[..17], b"S10096K0AN00S0001");
    assert!(response.ends_with(b"2BB98C"), "{}", response.escape_ascii());
    let mut damaged = body.clone();
    damaged[100] ^= 1;
    refused(&module, "GI", &damaged, "77");
    // The key is for any use, so it also signs.
    let signature = good(&module, "EW", &join(&[b"0601010004data;99FFFF", &private]));
    assert_eq!(&signature[..4], b"0256");
}

#[test]
fn import_and_export_refuse_what_the_manual_says() {
    let module = module();
    let private = pair(0).private;
    let public = import(&module, &KINDS[0], &pair(0).public);
    let (key, kcv) = ZPKS[0];
    let export =
        |head: &str, key: &str, kcv: &str, tail: &[u8]| join(&[head.as_bytes(), key.as_bytes(), kcv.as_bytes(), tail]);
    for (head, error) in [
        ("020106001", "06"),
        ("010306001", "07"),
        ("010202010006001", "85"),
        ("010201990006001", "86"),
        ("01020101xx0006001", "87"),
        ("010201010006001", "87"),
        ("01020101990006001", "87"),
        ("010105001", "04"),
        ("0101060A1", "04"),
        ("010140001", "04"),
        ("0101FFFF1", "04"),
        ("01010600=", "15"),
        ("010106003", "05"),
        ("010114001", "10"),
    ] {
        refused(&module, "GK", &export(head, key, kcv, &public), error);
    }
    good(&module, "GK", &export("010106001", key, kcv, &public));
    // The flag is that of the key, and the type that of its kind.
    refused(&module, "GK", &export("010106000", key, kcv, &public), "05");
    refused(&module, "GK", &export("010106002", key, kcv, &public), "05");
    let made = good(&module, "A0", b"0001Z");
    let (single, check) = (str::from_utf8(&made[..16]).unwrap(), str::from_utf8(&made[16..22]).unwrap());
    good(&module, "GK", &export("010106000", single, check, &public));
    module.set_settings(Settings { single_des: false, ..Settings::default() });
    refused(&module, "GK", &export("010106000", single, check, &public), "17");
    module.set_settings(Settings::default());
    refused(&module, "GK", &export("01010600F", key, kcv, &public), "05");
    refused(&module, "GK", &export("0101FFFF1", key, kcv, &public), "04");
    refused(&module, "GK", &export("010106001", key, "08D7B5", &public), "01");
    refused(&module, "GK", &export("010106001", key, "08D7B4FFFFFFFFFF", &public), "01");
    refused(&module, "GK", &export("010106001", key, "08D7x4", &public), "15");
    refused(&module, "GK", &export("010106001", key, kcv, &public[1..]), "04");
    let mut damaged = public.clone();
    damaged[0] ^= 1;
    refused(&module, "GK", &export("010106001", key, kcv, &damaged), "01");
    refused(&module, "GK", &export("010106001", key, kcv, &join(&[&public, b";02"])), "15");
    let short = import(&module, &KINDS[0], &generate(&module, "1032002").public);
    refused(&module, "GK", &export("010106001", key, kcv, &short), "76");
    refused(&module, "GK", &export("0102010600;06001", key, kcv, &short), "76");

    let exported = good(&module, "GK", &export("010106001", key, kcv, &join(&[&public, b";03"])));
    let import = |head: &str, data: &[u8], tail: &[u8]| join(&[head.as_bytes(), data, b";99", &private, tail]);
    for (head, tail, error) in [
        ("02010600", &b"=03"[..], "06"),
        ("01090600", b"=03", "07"),
        ("01010500", b"=03", "04"),
        ("01010600", b"=01", "77"),
        ("01010600", b"", "77"),
        ("01010600", b"=04", "15"),
        ("0101FFFF", b"=03", "04"),
        ("01010600", b"=03#72N00S00", "15"),
        ("01010600", b"=03%01#72N00S00", "04"),
        ("0101FFFF", b"=03%01#72N00S00", "A1"),
        ("01010600", b";2U1=03", "15"),
        ("01010600", b";0Q1=03", "26"),
        ("01010600", b";0T1=03", "26"),
        ("01010600", b";0S1=03", "26"),
        ("01010600", b";1U1=03", "29"),
        ("01013401", b";1U1=03", "29"),
        ("01013400", b"=03", "29"),
        ("0102010600;0600", b"=03", "77"),
    ] {
        refused(&module, "GI", &import(head, &exported, tail), error);
    }
    refused(&module, "GI", &join(&[b"01010600", &exported, b"99", &private]), "15");
    refused(&module, "GI", &join(&[b"01010600", &exported, b";21"]), "03");
    refused(&module, "GI", &join(&[b"01010600", &exported, b";07"]), "49");
    refused(&module, "GI", &import("01010600", b"0005abcde", b"=03"), "76");
    let signing = generate(&module, "0102402").private;
    refused(&module, "GI", &join(&[b"01010600", &exported, b";99", &signing, b"=03"]), "29");
    let other = generate(&module, "1102402").private;
    refused(&module, "GI", &join(&[b"01010600", &exported, b";99", &other, b"=03"]), "77");
    let signing = generate(&module, "0102402%01#0000").private;
    refused(&module, "GI", &join(&[b"0101FFFF", &exported, b";99", &signing, b"=03%01#72N00S00"]), "A8");
    refused(&module, "GI", &join(&[b"0101FFFF", &exported, b";99", &pair(1).private, b"=03%01#02N00S00"]), "A7");
    refused(&module, "GI", &join(&[b"0101FFFF", &exported, b";99", &pair(1).private, b"=03%01#72X00S00"]), "A8");
    refused(&module, "GI", &join(&[b"0101FFFF", &exported, b";99", &pair(1).private, b"=03%01#ZZN00S00"]), "A6");
    module.set_settings(Settings { authorise_all: false, rsa_import_authorised: false, ..Settings::default() });
    good(&module, "GI", &import("01010400", &exported, b"=03"));
    module.set_settings(Settings { authorise_all: false, ..Settings::default() });
    refused(&module, "GI", &import("01010400", &exported, b"=03"), "17");
    good(&module, "GK", &export("010106001", key, kcv, &public));
}

#[test]
fn loaded_private_keys_serve_until_the_module_is_gone() {
    for (index, kind) in KINDS.iter().enumerate() {
        let module = module();
        let private = pair(index).private;
        let lmk = kind.lmk.as_bytes();
        refused(&module, "EW", &join(&[b"0601010004data;05", lmk]), "49");
        assert_eq!(good(&module, "EK", &join(&[b"05", &private, lmk])), b"");
        let stored = good(&module, "EW", &join(&[b"0601010004data;05", lmk]));
        assert_eq!(stored, good(&module, "EW", &join(&[b"0601010004data;99", &private, lmk])));
        refused(&module, "EW", &join(&[b"0601010004data;04", lmk]), "49");
        refused(&module, "EK", &join(&[b"21", &private, lmk]), "03");
        refused(&module, "EK", b"0x", "15");
        let mut damaged = private.clone();
        let last = damaged.last_mut().unwrap();
        *last = if *last == b'0' { b'1' } else { b'0' };
        let broken = answer(&module, "EK", &join(&[b"20", &damaged, lmk]));
        if !lmk.is_empty() {
            assert_eq!(broken, b"A4");
        }
        refused(&module, "EK", &join(&[b"200100", &[0; 100], lmk]), if lmk.is_empty() { "78" } else { "A1" });
        refused(&module, "EK", &join(&[b"200176", &[0; 176], lmk]), if lmk.is_empty() { "49" } else { "A1" });
    }
}

#[test]
fn a_setting_keeps_private_keys_in() {
    let text = |module: &SecurityModule, code, body: &str| good(module, code, body.as_bytes());
    let module = module();
    let zmk = text(&module, "A0", "0FFFS%01#52T2N00S00");
    let zmk = &zmk[..zmk.len() - 6];
    let private = &generate(&module, "2051201%01#0000&E").private[4..];
    let export = join(&[b"FFF", zmk, private, b"S%01"]);
    let out = good(&module, "A8", &export);
    let out = &out[..out.len() - 6];
    let back = join(&[b"FFF", zmk, out, b"S%01"]);
    good(&module, "A6", &back);
    module.set_settings(Settings { private_key_export: false, ..Settings::default() });
    refused(&module, "A8", &export, "17");
    good(&module, "A6", &back);
    module.set_settings(Settings { private_key_import: false, ..Settings::default() });
    refused(&module, "A6", &back, "17");
}

#[test]
fn private_keys_may_be_in_user_storage() {
    for (index, kind) in KINDS.iter().enumerate() {
        let module = module();
        module.set_settings(Settings { user_storage: SlotSize::Variable, ..Settings::default() });
        let private = pair(index).private;
        let key = &private[4..];
        good(&module, "LA", &join(&[b"K012", format!("{:04}", key.len()).as_bytes(), key]));
        let given = good(&module, "EW", &join(&[b"0601010004data;99", &private, kind.lmk.as_bytes()]));
        let reference = if kind.lmk.is_empty() { "0004K012" } else { "FFFFSK012" };
        let body = |reference: &str| join(&[b"0601010004data;99", reference.as_bytes(), kind.lmk.as_bytes()]);
        assert_eq!(good(&module, "EW", &body(reference)), given);
        refused(&module, "EW", &body(&reference.replace("012", "013")), "12");
    }
}

fn changing(from: (u8, Lmk), to: Lmk, role: ChangeRole) -> SecurityModule {
    let mut slots = LmkSlots::default();
    let (id, from) = from;
    let (live, stored) = match role {
        ChangeRole::Old => (to, from),
        ChangeRole::New => (from, to),
    };
    slots.default = id;
    slots.slots.insert(id, Arc::new(live));
    slots.change_storage.insert(id, ChangeEntry { lmk: Arc::new(stored), role });
    SecurityModule::new(slots, Settings::default())
}

fn only(id: u8, lmk: Lmk) -> SecurityModule {
    let mut slots = LmkSlots { default: id, ..LmkSlots::default() };
    slots.slots.insert(id, Arc::new(lmk));
    SecurityModule::new(slots, Settings::default())
}

fn other_variant() -> Lmk {
    Lmk::variant((0..20u8).map(|n| ClearKey::des(&[[2 * n + 1; 8], [0xFE - n; 8]].concat()).unwrap()).collect())
        .unwrap()
}

#[test]
fn keys_are_translated_between_the_old_lmk_and_the_new_one() {
    let pair = pair(0);
    let public = import(&module(), &KINDS[0], &pair.public);
    let with_data = good(&module(), "EO", &join(&[b"02", &pair.public, b"DATA"]));
    for role in [ChangeRole::Old, ChangeRole::New] {
        // Variant to variant.
        let change = changing((0, Lmk::test_variant()), other_variant(), role);
        let new = only(0, other_variant());
        let private = good(&change, "EM", &pair.private);
        let mac = good(&change, "EU", &public);
        let mac_with_data = good(&change, "EU", &join(&[&with_data, b"DATA"]));
        assert_eq!((mac.len(), &private[..4]), (4, &pair.private[..4]));
        assert_ne!(private, pair.private);
        let signature = good(&new, "EW", &join(&[b"0601010004data;99", &private]));
        good(&new, "EY", &join(&[b"060101", &signature, b";0004data;", &mac, &pair.public]));
        good(&new, "EQ", &join(&[&mac_with_data, &pair.public, b"DATA"]));
        refused(&change, "EM", &join(&[&pair.private, b"#0000"]), "15");
        refused(&change, "EM", b"0004xxxx", "78");
        refused(&change, "EM", &join(&[b"0376", &[7; 376]]), "49");
        refused(&change, "EU", &join(&[&with_data, b"DATE"]), "01");
        refused(&change, "EU", b"MACs0\x01\x01", "04");

        // Variant to key block.
        let change = changing((1, Lmk::test_variant()), Lmk::test_keyblock_aes(), role);
        let new = only(1, Lmk::test_keyblock_aes());
        let private = good(&change, "EM", &join(&[&pair.private, b"#0000&N"]));
        assert_eq!((&private[..6], &private[10..21]), (&b"FFFFS1"[..], &b"03RN00N0001"[..]));
        let block = good(&change, "EU", &join(&[&public, b"~#V00S00"]));
        let signature = good(&new, "EW", &join(&[b"0601010004data;99", &private]));
        if role == ChangeRole::Old {
            good(&new, "EY", &join(&[b"060101", &signature, b";0004data;", &block]));
        }
        refused(&change, "EM", &pair.private, "15");
        refused(&change, "EM", &join(&[&pair.private, b"#0000&Q"]), "AA");
        refused(&change, "EM", &join(&[&pair.private, b"#0000&E"]), "AA");
        refused(&change, "EM", &join(&[&pair.private, b"#c100"]), "A9");
        refused(&change, "EU", &join(&[&public, b"~#V00E00"]), "AA");
        let sensitive = good(&change, "EM", &join(&[&pair.private, b"#0000"]));
        assert_eq!(&sensitive[10..21], b"03RN00S0001");

        // Key block to key block, and never back.
        let change = changing((1, Lmk::test_keyblock_aes()), Lmk::test_keyblock_tdes(), role);
        let again = good(&change, "EM", &private);
        assert_eq!((&again[..6], &again[10..21]), (&b"FFFFS0"[..], &b"03RN00N0001"[..]));
        good(&only(1, Lmk::test_keyblock_tdes()), "EW", &join(&[b"0601010004data;99", &again]));
        let change = changing((1, Lmk::test_keyblock_aes()), Lmk::test_variant(), role);
        refused(&change, "EM", &private, "A1");
    }
    refused(&module(), "EM", &pair.private, "33");
    refused(&module(), "EU", &public, "33");
}

#[test]
fn a_certified_public_key_is_imported() {
    let module = module();
    let certified = generate(&module, "0051202").public;
    for (index, kind) in KINDS.iter().enumerate() {
        let pair = pair(index);
        let authority = import(&module, kind, &pair.public);
        let signed = join(&[b"some name", &certified, b"!"]);
        for (hash, pad, method) in [("06", "01", "060101"), ("01", "020101", "010104")] {
            let signature = good(
                &module,
                "EW",
                &join(&[
                    method.as_bytes(),
                    format!("{:04}", signed.len()).as_bytes(),
                    &signed,
                    b";99",
                    &pair.private,
                    kind.lmk.as_bytes(),
                ]),
            );
            let certificate = join(&[b"head", &signed, &signature[4..]]);
            let body = |certificate: &[u8], key_offset: usize, encoding: &str, tail: &str| {
                let at = format!("{:04}0004{:04}{:04}0128", certificate.len(), signed.len(), 4 + signed.len());
                let method = format!(";{hash}01{pad}{encoding}{key_offset:04}{tail}");
                join(&[&authority, b";", at.as_bytes(), certificate, method.as_bytes()])
            };
            let imported = good(&module, "ES", &body(&certificate, 13, "02", kind.eo));
            good(&module, "EQ", &join(&[&imported, kind.lmk.as_bytes()]));
            if kind.lmk.is_empty() {
                assert_eq!(imported[4..], certified);
                let with_data = good(&module, "ES", &body(&certificate, 13, "02", ";DATA"));
                good(&module, "EQ", &join(&[&with_data, b"DATA"]));
            }
            let mut damaged = certificate.clone();
            damaged[6] ^= 1;
            refused(&module, "ES", &body(&damaged, 13, "02", kind.eo), "02");
            refused(&module, "ES", &body(&certificate, 12, "02", kind.eo), "04");
            refused(&module, "ES", &body(&certificate, 13, "05", kind.eo), "03");
            refused(&module, "ES", &body(&certificate, 999, "02", kind.eo), "80");
            // A key that is not in what was signed is worth nothing.
            let outside = join(&[&certificate, &certified]);
            refused(&module, "ES", &body(&outside, certificate.len(), "02", kind.eo), "80");
        }
    }
    let authority = import(&module, &KINDS[0], &pair(0).public);
    let body = |tail: &[u8]| join(&[&authority, b";00040000000400000128", tail]);
    for (tail, error) in [
        (&b"cert;060101020000"[..], "80"),
        (b"cer", "80"),
        (b"cert 06", "15"),
        (b"cert;040101020000", "05"),
        (b"cert;060301020000", "06"),
        (b"cert;060104020000", "07"),
        (b"cert;0601020206020000", "85"),
        (b"cert;0601020101020000", "86"),
    ] {
        refused(&module, "ES", &body(tail), error);
    }
    let mut damaged = authority.clone();
    damaged[0] ^= 1;
    refused(&module, "ES", &join(&[&damaged, b";00040000000400000128cert;060101020000"]), "01");
}

#[test]
fn certificate_requests_are_signed_by_their_key() {
    let module = module();
    let pair = pair(1);
    let block = pair.private.strip_prefix(b"FFFF").unwrap();
    let public = import(&module, &KINDS[1], &pair.public);
    let subject = "my-service.example;Example Org;;Paris;;FR;";
    let head = |format: &str, encoding: &str| format!("0{format}01{encoding}");
    let body =
        |format: &str, tail: &str| join(&[head(format, "02").as_bytes(), &pair.public, block, tail.as_bytes(), b"%01"]);
    for (pad, method) in [("01", "060101"), ("04", "060104")] {
        let response = good(&module, "QE", &body("1", &format!("{pad}061{subject}")));
        let (length, text) = response.split_at(4);
        assert_eq!(String::from_utf8(length.to_vec()).unwrap().parse(), Ok(text.len()));
        let der = hex(core::str::from_utf8(text).unwrap());
        assert_eq!(der_len(&der), der.len());
        let info = &der[4..4 + der_len(&der[4..])];
        assert!(info.windows(18).any(|w| w == b"my-service.example"));
        let signature = &der[der.len() - 128..];
        let signed = format!("{:04}", info.len());
        good(
            &module,
            "EY",
            &join(&[method.as_bytes(), b"0128", signature, b";", signed.as_bytes(), info, b";", &public, b"%01"]),
        );
    }
    let pem = good(&module, "QE", &body("0", &format!("01061{subject}")));
    let pem = String::from_utf8(pem[4..].to_vec()).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE REQUEST-----\nMII"), "{pem}");
    assert!(pem.ends_with("-----END CERTIFICATE REQUEST-----\n"));
    assert!(pem.lines().all(|line| line.len() <= 64));
    good(&module, "QE", &body("1", "0106000023000;"));
    for (body, error) in [
        (body("1", "0106000023100;"), "E8"),
        (body("1", "0106000023000"), "15"),
        (body("1", "01062"), "E7"),
        (body("1", "02061;;;;;;"), "07"),
        (body("1", "01091;;;;;;"), "05"),
        (body("1", "01061;;;;;FRA;"), "15"),
        (body("1", "01061;;;;;F1;"), "E8"),
        (body("1", "01061;;;;;"), "15"),
        (b"1".to_vec(), "E0"),
        (b"02".to_vec(), "E1"),
        (b"0103".to_vec(), "06"),
        (b"010109".to_vec(), "E2"),
        (b"010101xx".to_vec(), "E4"),
        (join(&[b"010101", &pair.public, block, b"01061;;;;;;%01"]), "E4"),
        (join(&[b"010103", &pair.public, block, b"01061;;;;;;%01"]), "E2"),
        (join(&[b"010102", &pair.public, block, b"01061;;;;;;"]), "E5A1"),
        (join(&[b"010202", &pair.public, block, b"01061;;;;;;%01"]), "A7"),
    ] {
        refused(&module, "QE", &body, error);
    }
    let response = good(&module, "FY", b"010003%01#S00N00");
    let (public, private) = response[4..].split_at(91);
    let response = good(&module, "QE", &join(&[b"010203", public, private, b"00061;;;;;;%01"]));
    let der = hex(core::str::from_utf8(&response[4..]).unwrap());
    assert!(der.windows(91).any(|w| w == public));
}

#[test]
fn hashes_are_those_of_the_manual() {
    // card-emv-mac.md 7.
    let module = module();
    assert_eq!(good(&module, "GM", b"0100006abcdef")[..4], hex("1F8AC10F"));
    let page = good(&module, "GM", &join(&[b"0100006", &hex("606162636465")]));
    assert_eq!(page, hex("A4F684537A7BBE842019F7FC13C882F1B1F9AC3B"));
    let sha256 = good(&module, "GM", &join(&[b"0600016", &hex("77338F74A19E3BB39062A5A479473FC8")]));
    assert_eq!(sha256, hex("68EBB852B948D5A06F1F309580D3EBD85C5F8697B4B42C5656584A37A2DDB96C"));
    assert_eq!(good(&module, "GM", b"0100017some data to hash"), hex("3D22CA807AD75C9FF3CA07C4E6C396B7D99F7206"));
    for (id, len) in [("01", 20), ("02", 16), ("05", 28), ("06", 32), ("07", 48), ("08", 64)] {
        assert_eq!(good(&module, "GM", format!("{id}00000").as_bytes()).len(), len);
        assert_eq!(good(&module, "GM", format!("{id}00003abc%02\x19x").as_bytes()).len(), len + 2);
    }
    for (body, error) in [
        ("0300001x", "05"),
        ("0400001x", "05"),
        ("0900001x", "05"),
        ("0100002x", "80"),
        ("01x", "15"),
        ("0100001xy", "15"),
    ] {
        refused(&module, "GM", body.as_bytes(), error);
    }
}

#[test]
fn handles_are_refused_by_operations_of_another_kind() {
    use hsm_plugin_sdk::abi::{
        AsymmetricOps, KeyAttributes, KeyOps, KeyPurpose, RsaPadding, SignatureAlgorithm, SignatureMethod,
    };
    let module = module();
    let mut session = Session::new(module);
    session.begin(*b"EW", None);
    let zpk = session.key_open(KeyPurpose::ZPK, ZPKS[0].0.as_bytes()).unwrap();
    let private = session.private_key_open(&pair(0).private[4..]).unwrap();
    let public = session.public_key_import(*b"02", &pair(0).public).unwrap();
    let method = SignatureMethod { hash: *b"06", algorithm: SignatureAlgorithm::RsaPkcs1 };
    let attributes = KeyAttributes::default();
    let function = Err(ErrorCode::KEY_FUNCTION);
    for key in [zpk, public] {
        assert_eq!(session.signature_generate(key, method, b"x"), function);
        assert_eq!(session.private_key_wrap(key), function);
        assert_eq!(session.public_key_of(key, *b"01"), function);
    }
    for key in [zpk, private] {
        assert_eq!(session.signature_verify(key, method, b"x", b"x"), Err(ErrorCode::KEY_FUNCTION));
        assert_eq!(session.public_key_mac(key, b"").map(|_| vec![]), function);
        assert_eq!(session.key_block_wrap(key, attributes), function);
        assert_eq!(session.key_encrypt(zpk, key, RsaPadding::Pkcs1, true).map(|_| vec![]), function);
    }
    assert_eq!(session.key_encrypt(private, public, RsaPadding::Pkcs1, true).map(|_| vec![]), function);
}

const CODES: [&str; 14] = ["B2", "EI", "EK", "EM", "EO", "EQ", "ES", "EU", "EW", "EY", "FY", "GI", "GK", "QE"];

/// Bodies that get far into a command before they go wrong.
fn beginnings() -> Vec<(usize, Vec<u8>)> {
    let (variant, block) = (pair(0), pair(1));
    let module = module();
    let public = import(&module, &KINDS[0], &variant.public);
    let public_block = import(&module, &KINDS[1], &block.public);
    let at = |code: &str| CODES.iter().position(|known| *known == code).unwrap();
    vec![
        (at("EI"), b"0051201%01#0000&N".to_vec()),
        (at("EK"), join(&[b"00", &variant.private])),
        (at("EM"), join(&[&block.private, b"%01#0000&N"])),
        (at("EO"), join(&[b"02", &block.public, b"DATA~%01#N00N00"])),
        (at("EQ"), join(&[&public, b"DATA"])),
        (at("EQ"), join(&[&public_block, b"%01"])),
        (at("ES"), join(&[&public, b";00040000000400000128cert;060101020000"])),
        (at("EU"), join(&[&public, b"DATA~%01#N00N00"])),
        (at("EW"), join(&[b"0601010004data;99", &block.private, b"%01"])),
        (at("EY"), join(&[b"0601010004data;0004data;", &public_block, b"%01"])),
        (at("FY"), b"010003%01#S00N00".to_vec()),
        (at("GI"), join(&[b"0102010603abc;FFFF0004data;99", &block.private, b";1S1=03%01#K0N00S00"])),
        (at("GK"), join(&[b"0102010603abc;0600", b"1", ZPKS[0].0.as_bytes(), b"08D7B4", &public, b";03"])),
        (at("QE"), join(&[b"010102", &block.public, &block.private[4..], b"01061a;b;c;d;e;FR;%01"])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_bytes_make_a_command_panic(code in 0..CODES.len(), body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let module = module();
        // Nobody waits for generated keys here.
        module.set_settings(Settings { authorise_all: false, ..Settings::default() });
        let answer = answer(&module, CODES[code], &body);
        prop_assert!(answer.len() >= 2);
    }

    #[test]
    fn no_damage_makes_a_command_panic(
        which in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        surplus in proptest::collection::vec(any::<u8>(), 0..8),
    ) {
        static BEGINNINGS: OnceLock<Vec<(usize, Vec<u8>)>> = OnceLock::new();
        let (code, mut body) = which.get(BEGINNINGS.get_or_init(beginnings)).clone();
        let damaged = at.index(body.len());
        body[damaged] = byte;
        if cut.index(4) == 0 {
            body.truncate(cut.index(body.len()));
        }
        body.extend(surplus);
        let module = module();
        module.set_settings(Settings { authorise_all: false, ..Settings::default() });
        let answer = answer(&module, CODES[code], &body);
        prop_assert!(answer.len() >= 2);
    }
}
