//! `hsm key`, `hsm keyblock`, `hsm pin` and `hsm dukpt` as a user meets them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use assert_cmd::assert::Assert;
use common::{hsm, program, stderr, stdout};
use serde_json::Value;
use std::path::Path;

/// The test ZMK of the samples, in clear.
const ZMK: &str = "851A0D9D0B2A1602622AD0B0E9E6B070";
const DOUBLE: &str = "0123456789ABCDEFFEDCBA9876543210";
const CVK: &str = "U9B4934384B19946B040CD702B4D58145";
/// A ZPK and a ZMK under the TDES key-block test LMK, as a device wrote them.
const ZPK_BLOCK: &str = "S00072P0TB00E0001EA421618B34F5FA1A77F7CF6480111B97CF0FAE7BD77D589EC921EF9";
const ZMK_BLOCK: &str = "S00072K0TB00E0001DB045F29C053EEFF7B9425B3A88C7258EB7EA7E40E2C47878647072A";

fn run(line: &str) -> Assert {
    hsm().args(line.split_whitespace()).assert()
}

fn json(line: &str) -> Value {
    common::json(&run(&format!("{line} --json")).success())
}

/// The report of an inspection that finds nothing good.
fn json_of_failure(line: &str) -> Value {
    common::json(&run(&format!("{line} --json")).code(1))
}

fn fails(line: &str, code: i32, what: &str) {
    common::fails(hsm().args(line.split_whitespace()), code, what);
}

/// The examples of a help text, each a line for the shell.
fn examples(help: &str) -> Vec<String> {
    let (_, examples) = help.split_once("Examples:\n").or_else(|| help.split_once("Example:\n")).unwrap_or(("", ""));
    let mut lines: Vec<String> = Vec::new();
    for line in examples.lines() {
        match lines.last_mut() {
            Some(last) if last.ends_with('\\') => {
                last.pop();
                last.push_str(line.trim_start());
            }
            Some(last) if last.ends_with('|') => last.push_str(line),
            _ if line.starts_with("  ") => lines.push(line.trim().to_owned()),
            _ => break,
        }
    }
    lines
}

/// A command and all below it, as their help names them, with their help.
fn tree(command: &str) -> Vec<(String, String)> {
    let help = stdout(&run(&format!("{command} -h")).success());
    let subcommands = help.split_once("Commands:\n").map_or("", |(_, rest)| rest);
    let names: Vec<String> = subcommands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(|name| format!("{command} {name}"))
        .collect();
    let below = names.iter().flat_map(|name| tree(name)).collect();
    [vec![(command.to_owned(), help)], below].concat()
}

#[test]
fn every_example_in_the_help_works() {
    let directory = Path::new(env!("CARGO_BIN_EXE_hsm")).parent().unwrap();
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    for group in ["key", "keyblock", "pin", "pinblock", "dukpt", "lmk", "config"] {
        let here = tempfile::tempdir().unwrap();
        let tree = tree(group);
        assert!(tree.len() > 3, "{tree:?}");
        for (command, help) in tree {
            let examples = examples(&help);
            assert!(!examples.is_empty(), "{command}: {help}");
            for example in examples {
                let mut shell = program("sh");
                shell.env("PATH", &path).env("HSM_LMK_PASSPHRASE", "correct horse").current_dir(&here);
                let assert = shell.args(["-c", &example]).assert();
                let output = assert.get_output();
                // Examples of damage show a failure that is explained.
                let explained = output.status.code() == Some(1) && stdout(&assert).contains("Likely damage");
                assert!(output.status.success() || explained, "{example}\n{}{}", stdout(&assert), stderr(&assert));
            }
        }
    }
}

#[test]
fn every_tool_has_json_and_takes_its_secrets_from_standard_input() {
    for group in ["key", "keyblock", "pin", "pinblock", "dukpt"] {
        for (command, help) in tree(group) {
            if help.contains("\nCommands:\n") && command != "pinblock" {
                continue;
            }
            assert!(help.contains(" --json "), "{command}: {help}");
            for line in help.lines().filter(|line| !line.starts_with("Usage:")) {
                let secret =
                    [" <KEY> ", " <PIN> ", " <CRYPTOGRAM> ", " <BLOCK> "].iter().any(|value| line.contains(value));
                assert!(!secret || line.contains("- reads it from standard input"), "{command}: {line}");
            }
        }
    }
}

#[test]
fn generated_keys_go_out_under_a_zmk_and_come_back_in_every_scheme() {
    for (scheme, algorithm) in [
        ("Z", "des"),
        ("U", "tdes2"),
        ("X", "tdes2"),
        ("T", "tdes3"),
        ("Y", "tdes3"),
        ("S", "tdes2"),
        ("R", "tdes2"),
        ("R --block-version A", "tdes3"),
        ("R --block-version C", "tdes2"),
    ] {
        let made = json(&format!("key generate --type ZPK --algorithm {algorithm} --zmk {ZMK} --zmk-scheme {scheme}"));
        let (kcv, wrapped) = (made["kcv"].as_str().unwrap(), made["under_zmk"].as_str().unwrap());
        let back = json(&format!("key import --zmk {ZMK} --key {wrapped} --type ZPK --kcv {kcv}"));
        assert_eq!(back["clear"], made["clear"], "{scheme}");
        assert_eq!(back["odd_parity"], true);
        // Under the LMK the same key in the same scheme is the same cryptogram.
        assert_eq!(back["key"], made["key"], "{scheme}");
    }
}

#[test]
fn aes_keys_travel_in_key_blocks() {
    let zmk = "aes:000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F";
    for scheme in ["S", "R", "R --block-version E"] {
        let made = json(&format!(
            "key generate --usage 72 --algorithm aes128 --mode B --lmk 01 --zmk {zmk} --zmk-scheme {scheme}"
        ));
        let wrapped = made["under_zmk"].as_str().unwrap();
        let back = json(&format!("key import --zmk {zmk} --key {wrapped} --lmk 01 --usage 72"));
        assert_eq!(back["clear"], made["clear"], "{scheme}");
        let key = back["key"].as_str().unwrap();
        assert!(key.starts_with("S1009672AB00E0001"), "{key}");
    }
    fails("key generate --usage 72 --algorithm aes128 --lmk 02 --mode G", 2, "A8");
}

#[test]
fn published_vectors_are_reproduced() {
    let export = |scheme: &str| json(&format!("key export --type CVK --key {CVK} --zmk {ZMK} --scheme {scheme}"));
    assert_eq!(export("X")["under_zmk"], "X6A2C67C227784BC5D8508B6BED82ECB8");
    assert_eq!(export("U")["under_zmk"], "U5941392F0B089B521BB0E54102AF4B2E");
    let component = json(&format!("key component encrypt --type ZMK --component {DOUBLE}"));
    assert_eq!(component["component"], "UEA2DAFA753DCB3346E24D31CE489869C");
    let unwrapped = json(&format!("keyblock unwrap {ZPK_BLOCK}"));
    assert_eq!(unwrapped["clear"], "98519E45CBB9291F49EFAD4AFEFDDC79");
    assert_eq!(unwrapped["kcv"], "4FE9FD");
    let block = "S00072P0TB00N00FFE1D89671C973C7F0DAF91CB2EBF379493C08975679001172C89A0AF8";
    assert_eq!(json(&format!("keyblock unwrap {block} --kbpk {ZMK_BLOCK}"))["kcv"], "4FE9FD");
    assert_eq!(json(&format!("key translate --type CVK --key {CVK} --to 00 --scheme X"))["kcv"], "08D7B4");
}

#[test]
fn components_make_the_key_again() {
    for parts in 2..=9 {
        let split = json(&format!("key component split --parts {parts} --key {DOUBLE}"));
        let components: Vec<String> = split["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|component| format!("--component {}", component["clear"].as_str().unwrap()))
            .collect();
        assert_eq!(components.len(), parts);
        let formed = json(&format!("key form --type CVK {}", components.join(" ")));
        assert_eq!(formed["key"], CVK);
        assert_eq!(formed["kcv"], "08D7B4");
    }
    // Encrypted components and clear ones mix; blocks say which component they are.
    let split = json("key component split --parts 2 --type ZMK --key U42BBE7D9A0A55D0EBDE055DE2791ACCD");
    let part = |n: usize, name: &str| split["components"][n][name].as_str().unwrap().to_owned();
    let formed =
        json(&format!("key form --type ZMK --component {} --component {}", part(0, "component"), part(1, "clear")));
    assert_eq!(formed["key"], "U42BBE7D9A0A55D0EBDE055DE2791ACCD");
    let block = |n: usize| {
        let clear = part(n, "clear");
        let made = json(&format!("key component encrypt --usage 52 --lmk 02 --number {} --component {clear}", n + 1));
        made["component"].as_str().unwrap().to_owned()
    };
    assert!(block(1).contains("52TNc2E0002"));
    let formed = json(&format!("key form --lmk 02 --component {} --component {}", block(0), block(1)));
    assert_eq!(formed["clear"], DOUBLE);
    assert!(formed["key"].as_str().unwrap().starts_with("S0007252TN00E0002"));
}

#[test]
fn an_inspection_names_type_and_lmk() {
    let found = json(&format!("key inspect {CVK}"));
    let best = &found["candidates"][0];
    assert_eq!(best["type"], "402");
    assert_eq!(best["kcv"], "08D7B4");
    assert_eq!(best["clear"], Value::Null);
    assert_eq!(json(&format!("key inspect {CVK} --clear"))["candidates"][0]["clear"], DOUBLE);
    // The tag says U, but it is an X cryptogram, and the reverse.
    let found = json_of_failure("key inspect U0A61E674E88C6A7EEABC38C2B2BB492F");
    assert_eq!(found["candidates"][0]["type"], "402");
    assert_eq!(found["candidates"][0]["as_written"], false);
    // A component, which an A6 would refuse with 10.
    let found = json("key inspect UEA2DAFA753DCB3346E24D31CE489869C");
    assert_eq!(found["candidates"][0]["component"], true);
    // Under a ZMK with an Atalla variant, which only the check value tells.
    let made = json(&format!("key generate --type ZPK --zmk {ZMK} --zmk-scheme X --atalla 5"));
    let (wrapped, kcv) = (made["under_zmk"].as_str().unwrap(), made["kcv"].as_str().unwrap());
    let found = json(&format!("key inspect {wrapped} --zmk {ZMK} --kcv {kcv}"));
    assert_eq!(found["candidates"][0]["atalla_variant"], 5);
}

#[test]
fn damage_is_found_and_undone() {
    for (damaged, what) in [
        ("U9B4934384B19946B140CD702B4D58145", "character 17 is 1, should be 0"),
        ("U9B4934384B19946B040CD702B4D51845", "characters 29 and 30 are exchanged"),
        ("U9B4934384B19946B04CD702B4D58145", "character 19 is missing: 0"),
        ("U9B4934384B19946B0440CD702B4D58145", "does not belong there"),
        ("U9B493438 4B19946B040CD702B4D5814S", "is no hexadecimal digit"),
    ] {
        let arguments = ["key", "inspect", damaged, "--kcv", "08D7B4", "--json"];
        let report: Value =
            serde_json::from_slice(&hsm().args(arguments).assert().code(1).get_output().stdout).unwrap();
        let told = format!("{} {}", report["repairs"], report["notes"]);
        assert!(told.contains(what), "{damaged}: {told}");
        if !what.contains("hexadecimal") {
            assert_eq!(report["repairs"][0]["repaired"], CVK, "{damaged}");
            assert_eq!(report["repairs"][0]["key"]["type"], "402");
        }
    }
    // Swapped halves need no check value in scheme U.
    let swapped = json_of_failure("key inspect U040CD702B4D581459B4934384B19946B");
    assert_eq!(swapped["repairs"][0]["repaired"], CVK);
    // One part is good, the other is not.
    let partly = stdout(&run("key inspect U9B4934384B19946B140CD702B4D58145").code(1));
    assert!(partly.contains("A part of it has odd parity") && partly.contains("402"), "{partly}");
}

#[test]
fn damaged_key_blocks_are_mended() {
    let changed = json_of_failure(&format!("keyblock inspect {}", ZPK_BLOCK.replace("EF9", "EF8")));
    assert_eq!(changed["repairs"][0]["repaired"], ZPK_BLOCK);
    let edited = json_of_failure(&format!("key inspect {}", ZPK_BLOCK.replace("P0TB00E", "72TB00S")));
    let defect = edited["repairs"][0]["defect"].as_str().unwrap();
    assert!(defect.contains("key usage is 72, was P0") && defect.contains("exportability is S, was E"), "{defect}");
    let cut = json_of_failure(&format!("key inspect {}", ZPK_BLOCK.replace("9EC9", "9EC")));
    assert!(cut["notes"][0].as_str().unwrap().contains("cut off"), "{cut}");
    assert_eq!(cut["repairs"][0]["repaired"], ZPK_BLOCK);
    let untagged = json(&format!("key inspect {}", &ZPK_BLOCK[1..]));
    assert!(untagged["notes"][0].as_str().unwrap().contains("needs its tag S"), "{untagged}");
    let untagged = json_of_failure(&format!("key inspect {}", &ZPK_BLOCK[1..70]));
    assert!(untagged["notes"].to_string().contains("needs its tag S"), "{untagged}");
    let good = json(&format!("keyblock inspect {ZPK_BLOCK}"));
    let verdicts = good["block"]["verdicts"].as_array().unwrap();
    assert!(verdicts.iter().any(|v| v["under"] == "LMK 02" && v["mac_good"] == true && v["key"]["kcv"] == "4FE9FD"));
    assert!(verdicts.iter().any(|v| v["under"] == "LMK 01" && v["error"] == "A1"));
}

#[test]
fn key_blocks_wrap_and_unwrap_in_every_version() {
    let aes = "000102030405060708090A0B0C0D0E0F";
    for (version, kbpk, key) in [
        ("0", ZMK, DOUBLE),
        ("1", aes, DOUBLE),
        ("A", ZMK, DOUBLE),
        ("B", ZMK, DOUBLE),
        ("C", ZMK, DOUBLE),
        ("D", aes, "aes:000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"),
        ("E", aes, DOUBLE),
    ] {
        let made = json(&format!(
            "keyblock wrap --version {version} --kbpk {kbpk} --key {key} --usage P0 --mode E --key-version 12 \
             --optional KS=00604B120F9292800000"
        ));
        let block = made["block"].as_str().unwrap();
        let opened = json(&format!("keyblock unwrap {block} --kbpk {kbpk}"));
        assert_eq!(opened["clear"], key.trim_start_matches("aes:"), "{version}");
        assert_eq!(opened["mode"], "E");
        assert_eq!(opened["key_version"], "12");
        assert_eq!(opened["optional_blocks"][0]["id"], "KS");
        let wrong = "0123456789ABCDEF1123456789ABCDEF";
        fails(&format!("keyblock unwrap {block} --kbpk {wrong}"), 1, "authentication failed");
    }
}

#[test]
fn blocks_of_other_systems_lack_the_tag() {
    let kbpk = "000102030405060708090A0B0C0D0E0F";
    let made = json(&format!("keyblock wrap --version D --kbpk {kbpk} --key {DOUBLE} --usage P0"));
    let block = &made["block"].as_str().unwrap()[1..];
    let note = "a TR-31 key block needs its tag R in front";
    let opened = run(&format!("keyblock unwrap {block} --kbpk {kbpk}")).success();
    assert!(stdout(&opened).contains(DOUBLE) && stderr(&opened).contains(note), "{}", stderr(&opened));
    let imported = run(&format!("key import --zmk aes:{kbpk} --key {block} --lmk 01")).success();
    assert!(stdout(&imported).contains(DOUBLE) && stderr(&imported).contains(note), "{}", stderr(&imported));
    let told = json(&format!("keyblock inspect {block} --kbpk {kbpk}"));
    assert!(told["notes"][0].as_str().unwrap().contains(note), "{told}");
    fails(&format!("key check --key {block}"), 2, note);
    let thales = run(&format!("keyblock unwrap {}", &ZPK_BLOCK[1..])).success();
    assert!(stderr(&thales).contains("a Thales key block needs its tag S in front"), "{}", stderr(&thales));
    // Digits that only begin like a header are none.
    fails(&format!("keyblock unwrap {DOUBLE}"), 2, "its tag, S or R");
}

#[test]
fn no_key_goes_under_an_lmk_that_is_weaker() {
    let aes = "aes:000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F";
    for line in [
        "key generate --usage K0 --algorithm aes256 --lmk 02".to_owned(),
        format!("keyblock wrap --usage K0 --key {aes} --lmk 02"),
        format!("key translate --usage K0 --key {aes} --to 02"),
        "key generate --type ZPK --algorithm tdes3 --set strong_keys_under_weak_lmk=false".to_owned(),
    ] {
        fails(&line, 2, "is weaker than the key (the HSM answers 48)");
    }
    run("key generate --type ZPK --algorithm tdes3").success();
    run("key generate --usage K0 --algorithm aes256 --lmk 01").success();
    let block = json(&format!("keyblock wrap --usage K0 --key {aes} --lmk 02 --force"));
    assert_eq!(json(&format!("keyblock unwrap {}", block["block"].as_str().unwrap()))["clear"], aes[4..]);
}

#[test]
fn pins_verify_and_are_found_again() {
    let ibm = format!("--pvk {DOUBLE} --table 1234567890123456 --data 1122334455667788");
    assert_eq!(json(&format!("pin offset --pin 5635 {ibm}"))["offset"], "1111FFFFFFFF");
    assert_eq!(json(&format!("pin offset --pin 1234 {ibm}"))["offset"], "7710FFFFFFFF");
    assert_eq!(json(&format!("pin derive {ibm}"))["pin"], "4524");
    assert_eq!(json(&format!("pin derive --offset 7710 {ibm}"))["pin"], "1234");
    assert_eq!(json(&format!("pin verify --pin 5635 --offset 1111FFFFFFFF {ibm}"))["verified"], true);
    run(&format!("pin verify --pin 5636 --offset 1111 {ibm}")).code(1);
    // The same table under the test LMK.
    let enciphered = ibm.replace("1234567890123456", "lmk:DD0BDFA69B41010C");
    assert_eq!(json(&format!("pin derive {enciphered}"))["pin"], "4524");
    assert_eq!(json("pin table --table 1234567890123456")["table"], "DD0BDFA69B41010C");
    // From the golden exchanges of DE under the AES key-block test LMK.
    assert_eq!(json("pin table --table 0123456789012345 --lmk 01")["table"], "L7E852B114933025E9389968E16B8CAAB");

    let visa = "--pvk 0123456789ABCDEF0123456789ABCDEF --account 345513804937 --pvki 1";
    assert_eq!(json(&format!("pin pvv --pin 2512 {visa}"))["pvv"], "2677");
    assert_eq!(json(&format!("pin verify --pin 2512 --pvv 2677 {visa}"))["verified"], true);
    run(&format!("pin verify --pin 2513 --pvv 2677 {visa}")).code(1);
    let pins = json(&format!("pin derive --pvv 2677 {visa}"));
    assert!(pins["pins"].as_array().unwrap().contains(&Value::from("2512")), "{pins}");
}

#[test]
fn the_oracle_reads_blocks_and_says_why_it_cannot() {
    let block = "CB4EBC0180DFED6E";
    let key = "U063A0E7C0F2124E56192A4510F395ED7";
    let read = json(&format!("pin oracle --block {block} --key {key} --account 345513804937"));
    assert_eq!(read[0]["code"], "01");
    assert_eq!(read[0]["pin"], "2512");
    assert!(read[0]["key"].as_str().unwrap().contains("ZPK"), "{read}");
    // Another account number, and the check digit where it does not belong.
    let other = run(&format!("pin oracle --block {block} --key {key} --account 999999999999")).code(1);
    assert!(stdout(&other).contains("the account number is not"), "{}", stdout(&other));
    let shifted = json(&format!("pin oracle --block {block} --key {key} --pan 9345513804937"));
    let unusual = shifted.as_array().unwrap().iter().find(|r| r["account"] == "with the check digit").unwrap();
    assert_eq!(unusual["pin"], "2512");
    fails(&format!("pin oracle --block {block} --key {CVK}"), 1, "no odd parity");
    // Under a wrong key no format fits: the key's check value, its LMK and the block's length are what to look at.
    let wrong = stdout(&run(&format!("pin oracle --block {block} --key {ZMK} --account 345513804937")).code(1));
    for cause in ["wrong key: this one (clear) has check value E14F4E", "wrong length: 16 digits", "damaged"] {
        assert!(wrong.contains(cause), "{wrong}");
    }
    assert!(!wrong.contains("wrong LMK"), "{wrong}");
    let zpk = "U1EF828AA8F6B80EB83E19FBC373F3A85";
    let wrong = stdout(&run(&format!("pin oracle --block {block} --key {zpk} --account 345513804937")).code(1));
    assert!(wrong.contains("wrong LMK"), "{wrong}");
    let clear = stdout(&run(&format!("pin oracle --block {block} --account 345513804937")).code(1));
    assert!(clear.contains("the block is enciphered: give its key with --key"), "{clear}");
    // The X9.24 sample: PIN 1234 of account 4012345678909 under the first transaction key.
    let sample = "--block 1B9C1845EB993A7A --account 401234567890";
    let read = json(&format!("pin oracle {sample} --bdk {DOUBLE} --ksn FFFF9876543210E00001"));
    assert_eq!((&read[0]["code"], &read[0]["pin"]), (&Value::from("01"), &Value::from("1234")));
    // ISO-4 under an AES key.
    let aes = "000102030405060708090A0B0C0D0E0F";
    let pan = "4000001234562";
    let made = run(&format!("pinblock encode --pin 123456 --pan {pan} --format 48 --key {aes}")).success();
    let made = stdout(&made);
    let read = json(&format!("pin oracle --block {} --key {aes} --pan {pan}", made.trim()));
    assert_eq!((&read[0]["code"], &read[0]["pin"]), (&Value::from("48"), &Value::from("123456")));
}

#[test]
fn dukpt_agrees_with_the_published_sequences() {
    let key = |ksn: &str| json(&format!("dukpt key --bdk {DOUBLE} --ksn {ksn}"));
    for (ksn, pin) in [
        ("FFFF9876543210E00001", "042666B49184CF5C68DE9628D0397B36"),
        ("FFFF9876543210E00008", "27F66D5244FF621EAA6F6120EDEB427F"),
        ("FFFF9876543210EFFC00", "F9430DF97508246EC77BE4EF4FDB9111"),
    ] {
        let keys = key(ksn);
        let of = |name: &str| keys.as_array().unwrap().iter().find(|k| k["key"] == name).unwrap()["clear"].clone();
        assert_eq!(of("PIN"), pin);
        assert_eq!(of("initial key"), "6AC292FAA1315B4D858AB3A3D7D5933A");
    }
    let bdk = "FEDCBA9876543210F1F1F1F1F1F1F1F1";
    assert_eq!(
        json(&format!("dukpt ipek --bdk {bdk} --ksn 123456789012345600000001"))["ipek"],
        "1273671EA26AC29AFA4D1084127652A1"
    );
    let keys = json(&format!("dukpt key --bdk {bdk} --ksn 123456789012345600000002 --all-types"));
    let pin = keys.as_array().unwrap().iter().find(|k| k["key"] == "PIN" && k["type"] == "AES-128").unwrap();
    assert_eq!(pin["clear"], "D30BDC73EC9714B000BEC66BDB7B6D09");
    let kinds = |of: &str| {
        let hmac = |k: &&Value| k["key"] == of && k["type"].as_str().unwrap().starts_with("HMAC");
        keys.as_array().unwrap().iter().filter(hmac).count()
    };
    assert_eq!((kinds("PIN"), kinds("key encryption"), kinds("data, both ways")), (0, 0, 0));
    assert_eq!((kinds("MAC generation"), kinds("MAC, both ways")), (1, 1));
    // A BDK under the LMK gives the same.
    let ipek = json("dukpt ipek --bdk U8E3D3E2FD5919657F05A1AA90D32A014 --ksn FFFF9876543210E00000");
    assert_eq!(ipek["ipek"], "6AC292FAA1315B4D858AB3A3D7D5933A");
}

#[test]
fn serial_numbers_are_taken_apart() {
    let ksn = json("dukpt ksn FFFF9876543210E00001 --descriptor 906 --next 2");
    assert_eq!(ksn["key_set"], "FFFF98765");
    assert_eq!(ksn["device"], "43210E");
    assert_eq!(ksn["counter"], 1);
    assert_eq!(ksn["next"], serde_json::json!(["FFFF9876543210E00002", "FFFF9876543210E00003"]));
    assert_eq!(json("dukpt ksn 123456789012345600000001")["bdk_id"], "12345678");
    fails("dukpt ksn FFFF9876543210E00001 --descriptor 605", 2, "605 is for 16 digits");
    fails("dukpt ksn FFFF --descriptor 605", 2, "12 to 20 digits");
}

#[test]
fn secrets_come_from_standard_input() {
    let mut import = hsm();
    import.args(["key", "import", "--zmk", "-", "--key", "-", "--type", "ZPK", "--json"]);
    let assert = import.write_stdin(format!("{ZMK}\nX6A2C67C227784BC5D8508B6BED82ECB8\n")).assert().success();
    assert_eq!(serde_json::from_str::<Value>(&stdout(&assert)).unwrap()["key"], "U063A0E7C0F2124E56192A4510F395ED7");
    let mut form = hsm();
    form.args(["key", "form", "--type", "CVK", "--component", "-", "--component", "-"]);
    form.write_stdin("0123456789ABCDEF0123456789ABCDEF\n").assert().code(2);
}

#[test]
fn what_cannot_be_done_is_said_in_one_line() {
    fails("key generate", 2, "--type");
    fails("key generate --type 0ZZ", 2, "hsm key types");
    fails("key generate --type ZPK --scheme R", 2, "--zmk-scheme R");
    fails("key generate --type ZPK --scheme T --algorithm des", 2, "do not fit scheme");
    fails("key generate --type ZPK --algorithm aes128", 2, "AES keys cannot be used in variant");
    fails(
        "pinblock encode --pin 1234 --account 400000123456 --format 48 --key 000102030405060708090A0B0C0D0E0F",
        2,
        "use --pan",
    );
    fails("key generate --type ZPK --lmk 7", 2, "slot 07");
    fails("key generate --usage P0 --mode G", 2, "answers A8");
    fails("key import --key X6A2C67C227784BC5D8508B6BED82ECB8 --type ZPK", 2, "--zmk");
    fails(&format!("key import --zmk {ZMK} --key X6A2C --type ZPK"), 2, "error 15");
    fails(&format!("key export --type ZPK --key {CVK} --zmk {ZMK} --scheme X"), 1, "no odd parity");
    fails(&format!("key export --key {ZPK_BLOCK} --zmk {ZMK_BLOCK} --scheme X"), 1, "AA");
    fails(&format!("key export --key {CVK} --zmk {ZMK} --scheme X"), 2, "--type");
    fails("key inspect U9B --kcv 0", 2, "check value");
    fails("key inspect 0123456789ABCDEF --lmk 12", 2, "slot 12");
    fails(&format!("keyblock wrap --version D --kbpk {ZPK_BLOCK} --key {DOUBLE} --usage P0"), 2, "AES");
    fails(&format!("keyblock inspect {CVK}"), 2, "no key block");
    fails(&format!("pin offset --pin 1234 --pvk {DOUBLE}"), 2, "--data");
    fails("pin oracle --block 0123", 2, "8 bytes");
    fails("pin oracle --block 0123456789ABCDEF --key U0123", 2, "error 15");
    fails(&format!("pin verify --pin 1234 --pvk {DOUBLE}"), 2, "--offset or --pvv");
    fails(&format!("dukpt key --bdk {DOUBLE} --ksn 12"), 2, "12 to 20");
    fails("dukpt key --ksn FFFF9876543210E00001", 2, "--ipek");
    fails(&format!("key check --key {CVK}"), 2, "--type");
    fails(&format!("key check --key {DOUBLE}{DOUBLE}"), 2, "aes:DIGITS");
    fails(&format!("keyblock wrap --key {DOUBLE} --usage P0 --lmk 0"), 2, "LMK 00 is a variant LMK");
    let wrong = run(&format!("key import --zmk {ZMK} --key X6A2C67C227784BC5D8508B6BED82ECB8 --type ZPK --kcv 000000"));
    assert!(stderr(&wrong.code(1)).contains("check value is another"));
}

#[test]
fn tools_follow_the_settings_of_the_server() {
    let clear = "des:0123456789ABCDEFFEDCBA9876543210";
    let field = |line: &str| json(line)["key"].as_str().unwrap().to_owned();
    let strict = "--set profile=strict";
    // A TPK is of type 002, or of 70D where TPK, TMK and PVK are types of their own.
    let of_code = |code: &str| field(&format!("key translate --key {clear} --type {code} --to 0"));
    let under = |set: &str, name: &str| field(&format!("key translate --key {clear} --type {name} --to 0 {set}"));
    assert_eq!((under("", "TPK"), under("", "tmk")), (of_code("002"), of_code("002")));
    assert_eq!((under(strict, "tpk"), under(strict, "TMK")), (of_code("70D"), of_code("80D")));
    assert_eq!(under(strict, "PVK"), of_code("002"));
    let tpk = of_code("70D");
    run(&format!("key check --type TPK --key {tpk} {strict}")).success();
    run(&format!("pinblock encode --pin 1234 --account 400000123456 --format 01 --key {tpk} --type TPK {strict}"))
        .success();

    let single = "des:0123456789ABCDEF";
    let off = "--set single_des=false";
    fails(&format!("key generate --type ZPK --scheme Z {off}"), 2, "single_des (the HSM answers 17)");
    fails(&format!("key component generate --type ZPK --algorithm des {off}"), 2, "answers 17");
    fails(&format!("keyblock wrap --key {single} --usage 72 {off}"), 2, "answers 17");
    run(&format!("key generate --type ZPK --scheme Z {off} --set single_des=true")).success();

    let zmk = "--zmk 851A0D9D0B2A1602622AD0B0E9E6B070";
    let export = |key_type: &str, scheme: &str| {
        let key = of_code(key_type);
        format!("key export --type {key_type} --key {key} {zmk} --scheme {scheme}")
    };
    run(&export("000", "X")).success();
    fails(&format!("{} --set zmk_export=false", export("000", "X")), 1, "zmk_export (the HSM answers 17)");
    run(&format!("{} --set zmk_export=false --force", export("000", "X"))).success();
    for usage in ["52", "K0"] {
        let zmk_in_block = field(&format!("key generate --usage {usage} --mode N --exportability E --lmk 01"));
        let export = format!("key export --key {zmk_in_block} {zmk} --scheme S");
        run(&export).success();
        fails(&format!("{export} --set zmk_export=false"), 1, "zmk_export (the HSM answers 17)");
    }
    fails(&format!("{} --set x917_export=false", export("001", "X")), 1, "answers 26");
    run(&format!("{} --set x917_export=false", export("001", "U"))).success();
    fails(&export("00B", "U"), 1, "answers 29");
    let single = field(&format!("key translate --key {single} --type ZPK --to 0"));
    let export = format!("key export --type ZPK --key {single} {zmk} --scheme Z");
    run(&export).success();
    fails(&format!("{export} {off}"), 1, "single_des (the HSM answers 17)");
}
