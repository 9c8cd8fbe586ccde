//! `hsm lmk`, `hsm config` and `hsm ctl` as a user meets them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use common::{json, private, stderr, stdout};
use hsm_core::{LmkSlots, SecurityModule, Settings};
use hsm_server::Reloaded;
use hsm_server::control::{Actions, ControlSocket, ModuleControl};
use std::fs;
use tempfile::TempDir;

/// `hsm` in a directory of its own.
fn hsm(dir: &TempDir, arguments: &[&str]) -> Command {
    let mut command = common::hsm();
    command.current_dir(dir).args(arguments);
    command
}

fn run(dir: &TempDir, arguments: &[&str]) -> Assert {
    hsm(dir, arguments).assert()
}

fn fails(dir: &TempDir, arguments: &[&str], code: i32, what: &str) {
    common::fails(&mut hsm(dir, arguments), code, what);
}

#[test]
fn an_lmk_from_making_to_deleting() {
    let dir = tempfile::tempdir().unwrap();
    private(&dir.path().join("pw"), "correct horse\n");
    private(&dir.path().join("hsm.toml"), "[lmk]\nlmk_store = 'lmks.hsm'\nlmk_passphrase_file = 'pw'\n");
    let components = "11111111111111112222222222222222\n33333333333333334444444444444445\n";
    let made = hsm(&dir, &["lmk", "generate", "05", "--kind", "variant-2des", "--components", "2"])
        .write_stdin(components)
        .assert()
        .success();
    assert!(stderr(&made).contains("component 1: check value ") && stderr(&made).lines().count() == 2);
    assert!(stdout(&made).contains("\n05  -           Variant  3DES(2key)  Test"));
    assert!(!stdout(&made).contains("change storage"), "{}", stdout(&made));
    run(&dir, &["lmk", "load-test", "1", "test-aes"]).success();
    run(&dir, &["lmk", "check", "1", "--expect", "9d04a0"]).success().stdout("9D04A00000000000\n");
    run(&dir, &["lmk", "check", "1", "--expect", "9D04 A0"]).success();
    run(&dir, &["lmk", "check", "1", "--expect", "268604"]).code(3);
    for wrong in ["", "zz", "9D04A00000000000F"] {
        fails(&dir, &["lmk", "check", "1", "--expect", wrong], 2, "must be 1 to 16 hexadecimal digits");
    }

    run(&dir, &["lmk", "change", "05", "--kind", "keyblock-aes", "--comment", "next", "--later"]).success();
    run(&dir, &["lmk", "change", "05", "--activate"]).success();
    fails(&dir, &["lmk", "change", "05"], 1, "`hsm lmk change 05 --erase`");
    let table = json(&run(&dir, &["lmk", "list", "--json"]).success());
    assert_eq!((&table["default"], &table["lmks"][1]["comment"]), (&"05".into(), &"next".into()));
    assert_eq!((&table["change"][0]["scheme"], &table["change"][0]["status"]), (&"Variant".into(), &"Old".into()));

    // Before components are asked for.
    let in_vain = |arguments: &[&str], what: &str| {
        fails(&dir, &[&["lmk"][..], arguments, &["--components", "2"]].concat(), 1, what);
    };
    in_vain(&["generate", "05"], "slot 05 is in use");
    in_vain(&["generate", "06", "--comment", &"x".repeat(101)], "at most 100 bytes");
    in_vain(&["change", "07"], "no LMK is loaded in slot 07");
    in_vain(&["change", "05"], "`hsm lmk change 05 --erase`");
    in_vain(&["change", "1", "--kind", "variant-2des"], "from a key-block LMK to a variant LMK");
    private(&dir.path().join("short"), "horse 7\n");
    fails(&dir, &["lmk", "passphrase", "--new-passphrase-file", "short"], 1, "at least 8 characters");
    let pipe = std::process::Command::new("mkfifo").arg(dir.path().join("pipe")).status().unwrap();
    assert!(pipe.success());
    fails(&dir, &["lmk", "list", "--store", "pipe"], 1, "is not a regular file");
    fails(&dir, &["lmk", "generate", "05"], 1, "slot 05 is in use");
    fails(&dir, &["lmk", "generate", "20"], 2, "LMK identifiers are 00 to 19");
    fails(&dir, &["lmk", "delete", "5", "--yes"], 1, "default LMK");
    run(&dir, &["lmk", "default", "1"]).success();
    run(&dir, &["lmk", "delete", "5", "--yes"]).success();
    let left = json(&run(&dir, &["lmk", "list", "--json"]).success());
    assert_eq!(left["lmks"].as_array().unwrap().len(), 1);

    private(&dir.path().join("wrong"), "battery staple\n");
    fails(&dir, &["lmk", "list", "--passphrase-file", "wrong"], 1, "the passphrase or key file is wrong");
    let mut by_variable = hsm(&dir, &["lmk", "list"]);
    by_variable.env("HSM_LMK_PASSPHRASE_FILE", "").env("HSM_LMK_PASSPHRASE", "correct horse").assert().success();
    let before = fs::read(dir.path().join("lmks.hsm")).unwrap();
    fs::write(dir.path().join("lmks.hsm"), &before[..before.len() - 1]).unwrap();
    fails(&dir, &["lmk", "generate", "7"], 1, "damaged");
    assert_eq!(fs::read(dir.path().join("lmks.hsm")).unwrap(), &before[..before.len() - 1]);
}

#[test]
fn tools_use_the_store_that_the_settings_name() {
    let dir = tempfile::tempdir().unwrap();
    private(&dir.path().join("pw"), "correct horse\n");
    private(&dir.path().join("wrong"), "battery staple\n");
    private(&dir.path().join("hsm.toml"), "[lmk]\nlmks = []\nlmk_store = 'lmks.hsm'\nlmk_passphrase_file = 'pw'\n");
    run(&dir, &["lmk", "generate", "05", "--kind", "variant-2des"]).success();
    run(&dir, &["lmk", "generate", "06", "--kind", "keyblock-aes"]).success();
    let tool = |line: &str| run(&dir, &line.split_whitespace().collect::<Vec<_>>());
    let field = |line: &str, name: &str| json(&tool(line).success())[name].as_str().unwrap().to_owned();

    // The default LMK is that of the store, and a key block goes to the only LMK that has them.
    let double = "0123456789ABCDEFFEDCBA9876543210";
    let zpk = field(&format!("key translate --type ZPK --key des:{double} --to 5 --json"), "key");
    let block = field(&format!("keyblock wrap --key {double} --usage P0 --json"), "block");
    assert_eq!(&block[..16], "S10096P0TN00E000");
    assert_eq!(&block[15..17], "06");
    let made = tool("key generate --type ZPK --json").success();
    assert_eq!(json(&made)["lmk"], 5);
    for key in [format!("--type ZPK --key {zpk}"), format!("--key {block}"), format!("--lmk 6 --key {block}")] {
        assert_eq!(field(&format!("key check {key} --json"), "kcv"), "08D7B4");
    }
    let found = json(&tool(&format!("key inspect {zpk} --json")).success());
    assert_eq!(found["candidates"][0]["under"], "LMK 05");
    // Components are under the LMK of the key.
    let split = json(&tool(&format!("key component split --parts 2 --type ZPK --key {zpk} --json")).success());
    let part = |n: usize| split["components"][n]["component"].as_str().unwrap();
    let form = format!("key form --type ZPK --component {} --component {} --json", part(0), part(1));
    assert_eq!(field(&form, "key"), zpk);
    let pin = "--pin 1234 --account 400000123456 --format 01";
    let clear = stdout(&tool(&format!("pinblock encode {pin} --key {double}")).success());
    for key in [&zpk, &block] {
        tool(&format!("pinblock encode {pin} --key {key}")).success().stdout(clear.clone());
    }
    let pvv = "pin pvv --pin 1234 --account 400000123456 --json --pvk";
    let pvk = field(&format!("key translate --type PVK --key des:{double} --to 5 --json"), "key");
    assert_eq!(field(&format!("{pvv} {pvk}"), "pvv"), field(&format!("{pvv} {double}"), "pvv"));
    let bdk = field(&format!("key translate --type BDK-1 --key des:{double} --to 5 --json"), "key");
    let ipek = field(&format!("dukpt ipek --bdk {bdk} --ksn FFFF9876543210E00000 --json"), "ipek");
    assert_eq!(ipek, "6AC292FAA1315B4D858AB3A3D7D5933A");

    // Another slot, another secret, no slot; and what needs no LMK asks for none.
    let elsewhere = |line: &str, code, what| fails(&dir, &line.split_whitespace().collect::<Vec<_>>(), code, what);
    let key = format!("key check --type ZPK --key {zpk}");
    elsewhere(&format!("{key} --lmk 6"), 1, "does not open under LMK 06");
    elsewhere(&format!("{key} --lmk 0"), 2, "slot 00; there are 05 and 06");
    elsewhere(&format!("{key} --lmk 20"), 2, "LMK identifiers are 00 to 19");
    elsewhere(&format!("{key} --passphrase-file wrong"), 1, "the passphrase or key file is wrong");
    elsewhere(&format!("{key} --store nowhere"), 1, "nowhere");
    tool(&format!("key check --key {double} --passphrase-file wrong")).success();
    let mut by_environment = hsm(&dir, &["key", "check", "--type", "ZPK", "--key", &zpk, "--config", "none.toml"]);
    private(&dir.path().join("none.toml"), "");
    by_environment.env("HSM_LMK_STORE", "lmks.hsm").env("HSM_LMK_PASSPHRASE", "correct horse").env("HSM_LMKS", "");
    by_environment.assert().success();

    // The oracle knows the test LMKs alone.
    let oracle = format!("pin oracle --block {} --account 400000123456 --key", clear.trim());
    tool(&format!("{oracle} {double}")).success();
    elsewhere(&format!("{oracle} {zpk}"), 1, "no odd parity");
    elsewhere(&format!("{oracle} {zpk} --store lmks.hsm"), 2, "--store");

    run(&dir, &["lmk", "generate", "07", "--live"]).success();
    elsewhere(&key, 1, "holds a live LMK");
    tool(&format!("{key} --set allow_live_lmk=true")).success();
}

#[test]
fn without_a_store_there_are_the_test_lmks() {
    let dir = tempfile::tempdir().unwrap();
    let table = stdout(&run(&dir, &["lmk", "list"]).success());
    for check in ["268604", "9D04A0", "AE4E19"] {
        assert!(table.contains(check), "{table}");
    }
    fails(&dir, &["lmk", "generate", "3"], 2, "name the LMK store");
}

#[test]
fn a_settings_file_is_made_checked_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    run(&dir, &["config", "init", "--profile", "strict", "--output", "hsm.toml"]).success();
    fails(&dir, &["config", "init", "--output", "hsm.toml"], 1, "cannot write hsm.toml");
    assert!(stdout(&run(&dir, &["config", "check"]).success()).contains("profile strict"));
    let shown = hsm(&dir, &["config", "show", "single_des", "port", "--json"]).env("HSM_PORT", "1501").assert();
    let shown = json(&shown.success());
    assert_eq!(shown["single_des"], serde_json::json!({"value": "false", "source": "profile"}));
    assert_eq!(shown["port"], serde_json::json!({"value": "1501", "source": "HSM_PORT"}));
    fails(&dir, &["config", "show", "prot"], 2, "there is no setting prot; is port meant?");
    // Variables that nobody would miss; others of the project are no mistakes.
    let check = |variables: &[(&str, &str)]| hsm(&dir, &["config", "check"]).envs(variables.iter().copied()).assert();
    check(&[("HSM_TIMEOUT", "9"), ("HSM_LMK_PASSPHRASE", "x"), ("HSM_TEST_X", ""), ("HSM_BLESS", "1")]).success();
    let stray = check(&[("HSM_PROT", "1501"), ("HSM_VENDOR", "x"), ("HSM_PORT", "x")]).code(2);
    assert_eq!(
        stderr(&stray),
        "hsm: HSM_PROT: there is no such setting; is HSM_PORT meant?\nhsm: HSM_VENDOR: there is no such setting\n\
         hsm: HSM_PORT: port: must be a whole number, 0 to 65535\n"
    );

    fs::write(dir.path().join("bad.toml"), "[network]\nport = 99999\nhots = 'x'\n").unwrap();
    let bad = run(&dir, &["config", "check", "--config", "bad.toml"]).code(2);
    assert_eq!(
        stderr(&bad),
        "hsm: bad.toml:2: port: must be a whole number, 0 to 65535\nhsm: bad.toml:3: hots: there is no such setting; is host meant?\n"
    );
    fails(&dir, &["lmk", "list", "--config", "bad.toml"], 2, "bad.toml:2: port");
    fails(&dir, &["config", "check", "--set", "port"], 2, "not NAME=VALUE");
}

struct Nothing;

impl Actions for Nothing {
    fn reload(&mut self) -> Result<Reloaded, String> {
        Err("the settings file is wrong".to_owned())
    }

    fn stop(&mut self, _: bool) {}
}

#[test]
fn a_running_emulator_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let lmks = LmkSlots::clone(&SecurityModule::with_test_lmks().lmks());
    let module = SecurityModule::new(lmks, Settings { authorise_all: false, ..Settings::default() });
    let socket = dir.path().join("s");
    let served = ControlSocket::open(&socket, ModuleControl::new(module.clone(), Nothing)).unwrap();
    let ctl = |arguments: &[&str]| run(&dir, &[&["ctl", "--socket", "s"], arguments].concat());

    ctl(&["authorize", "exp..h:10", "diag", "--lmk", "1"]).success().stdout("LMK 01: 2 activities authorised\n");
    assert!(module.is_authorised(1, "export.000.host") && !module.is_authorised(0, "export.000.host"));
    let status = stdout(&ctl(&["status"]).success());
    assert!(status.contains("LMK 00 authorised: nothing\nLMK 01 authorised: export..host:10 ("), "{status}");
    assert!(stdout(&ctl(&["lmk"]).success()).contains("01  Yes(2H,1C)  KeyBlock"));
    ctl(&["cancel", "diag", "--lmk", "1"]).success().stdout("LMK 01: 1 activity cancelled\n");
    assert_eq!(json(&ctl(&["cancel", "--lmk", "1", "--json"]).success()), serde_json::json!({"cancelled": 1}));
    assert!(!module.is_authorised(1, "export.000.host"));

    ctl(&["set", "single_des", "false"]).success();
    assert!(!module.settings().single_des);
    assert!(stdout(&ctl(&["get"]).success()).contains("single_des"));
    let some = json(&ctl(&["get", "single_des", "pin_length", "--json"]).success());
    assert_eq!(some, serde_json::json!({"single_des": "false", "pin_length": "4"}));
    ctl(&["stop"]).success().stdout("stopping\n");
    let socket = ["ctl", "--socket", "s"];
    fails(&dir, &[&socket[..], &["reload"]].concat(), 1, "the settings file is wrong");
    fails(&dir, &[&socket[..], &["set", "port", "1"]].concat(), 1, "cannot be changed while the emulator runs");
    fails(&dir, &[&socket[..], &["authorize", "nonsense"]].concat(), 2, "no category of activities");
    fails(&dir, &[&socket[..], &["authorize", "export.999.host"]].concat(), 2, "a key usage: 01, 02");
    fails(&dir, &[&socket[..], &["get", "pin_lenght"]].concat(), 1, "is pin_length meant?");
    drop(served);
    fails(&dir, &[&socket[..], &["status"]].concat(), 1, "no emulator serves s");
}
