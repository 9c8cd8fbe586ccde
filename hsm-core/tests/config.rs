//! The settings file: layers, refusals, and that file, reference and table are one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use hsm_core::config::{
    Config, ConfigError, Effective, Key, Layers, Profile, Source, change_setting, keys, show_setting, unknown_variables,
};
use hsm_core::{FraudLimits, SecurityModule, Settings};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn nothing(_: &str) -> Option<String> {
    None
}

fn load(text: &str) -> Result<Effective, ConfigError> {
    Layers { file: Some((PathBuf::from("hsm.toml"), text.to_owned())), ..Layers::default() }.resolve(nothing)
}

fn problem(text: &str) -> String {
    load(text).map_or_else(|error| error.to_string(), |_| "nothing is wrong".to_owned())
}

#[test]
fn names_are_unique_and_documented() {
    let names: BTreeSet<_> = keys().iter().map(|key| key.name).collect();
    assert_eq!(names.len(), keys().len());
    assert!(keys().iter().all(|key| key.doc.ends_with('.') && !key.doc.contains('\n')));
}

#[test]
fn no_security_setting_is_forgotten() {
    let source = include_str!("../src/settings.rs");
    let fields =
        source.lines().filter_map(|line| line.strip_prefix("    pub ")?.split_once(": ")).map(|(name, _)| name);
    let (mut found, mut missing) = (0, Vec::new());
    for field in fields {
        found += 1;
        // This one is a group, whose settings have names of their own.
        let name = if field == "weak_pin_checks" { "weak_pins_rules" } else { field };
        if !keys().iter().any(|key| key.name == name && key.is_live()) {
            missing.push(field);
        }
    }
    assert!(found > 20 && missing.is_empty(), "of {found} fields these are not in the table: {missing:?}");
}

#[test]
fn a_file_with_every_setting_says_the_same_as_its_profile() {
    for profile in [Profile::Developer, Profile::Strict] {
        let template = Config::template(profile);
        assert_eq!(load(&template).unwrap().config, Config::of_profile(profile));
        // Every setting of the template, in force.
        let in_force = |line| str::strip_prefix(line, "#").filter(|rest| !rest.starts_with(' ')).unwrap_or(line);
        let all: Vec<&str> = template.lines().map(in_force).collect();
        let effective = load(&all.join("\n")).unwrap();
        assert_eq!(effective.config, Config::of_profile(profile));
        assert!(keys().iter().all(|key| matches!(effective.source(key.name), Source::File(..))));
    }
}

#[test]
fn every_setting_can_be_written_and_read_back() {
    let changed = "\
profile = 'strict'
[network]
host = '::1'
port = 0
allow_remote = true
lmk_ports = true
header_length = 255
max_message = 65535
max_connections = 1
idle_timeout = 1.5
frame_timeout = 2
write_timeout = 3
unknown_command = 67
workers = 2
control_socket = '/tmp/x'
[lmk]
lmks = ['19=test-tdes']
default_lmk = 19
lmk_store = 'a'
lmk_passphrase_file = 'b'
lmk_key_file = ''
allow_live_lmk = true
[security]
user_storage = 'variable'
lmk_pin_mode = 'clear'
pin_algorithm = 'b'
fraud_limits = [5, 30, 3]
weak_pins_local = false
pin_block_translations = ['01>47 same-pan', '05>01', '03>34']
solicitation_batch_size = 7
solicitation_response_records = 512
solicitation_sorted = false
[commands]
disabled_commands = ['a*', 'ZZ']
disabled_formats = ['03']
[authorisation]
authorised_activities = ['01 gen.zmk.con:25', 'diag']
authorisation_file = 'c'
[storage]
user_storage_file = 'f'
[plugins]
plugin_dir = 'd'
plugin_memory_pages = 2
plugin_fuel = 1_000_000
plugin_host_calls = 16
plugin_deadline = 0.25
[printing]
printer = 'e'
printer_form = 'pdf'
[logging]
log_level = 'trace'
log_format = 'json'
trace = true
";
    let effective = load(changed).unwrap();
    let config = effective.config.clone();
    let mut text = String::new();
    let mut section = "";
    for key in keys() {
        if key.section != section {
            section = key.section;
            text += &format!("[{section}]\n");
        }
        text += &format!("{} = {}\n", key.name, key.show(&config));
    }
    assert_eq!(load(&text).unwrap().config, config);
    let show = |name: &str| keys().iter().find(|key| key.name == name).map(|key: &Key| key.show(&config)).unwrap();
    assert_eq!(show("disabled_commands"), r#"["A*", "ZZ"]"#);
    assert_eq!(show("authorised_activities"), r#"["01 generate.000.console:25", "diag"]"#);
    assert_eq!(show("lmks"), r#"["19=test-tdes"]"#);
    assert_eq!(show("pin_block_translations"), r#"["01>47 same-pan", "05>01", "03>34"]"#);
    assert_eq!(show("lmk_key_file"), "\"\"");
    assert_eq!((show("fraud_limits").as_str(), show("pin_algorithm").as_str()), ("[5, 30, 3]", "\"B\""));
    let limits = change_setting(&config.settings, "fraud_limits", "1, 2,3").unwrap().fraud_limits;
    assert_eq!(limits, Some(FraudLimits { per_minute: 1, per_hour: 2, attacks: 3 }));
    // As `ctl get` prints lists.
    assert_eq!(change_setting(&config.settings, "fraud_limits", "[1, 2, 3]").unwrap().fraud_limits, limits);
    let disabled = change_setting(&config.settings, "disabled_formats", "[\"03\", \"05\"]").unwrap();
    assert_eq!(disabled.disabled_formats, [*b"03", *b"05"]);
    let translations = change_setting(&config.settings, "pin_block_translations", "05>47, 01>01 same-pan").unwrap();
    assert_eq!(show_setting(&translations, "pin_block_translations").unwrap(), r#"["05>47", "01>01 same-pan"]"#);
    assert_eq!(change_setting(&translations, "pin_block_translations", "").unwrap().pin_block_translations, []);
    assert_eq!(change_setting(&config.settings, "fraud_limits", "off").unwrap().fraud_limits, None);
    assert_eq!(show("idle_timeout"), "1.5");
    // All that the file above does not name is a security setting, and those are the strict profile's.
    for key in keys().iter().filter(|key| !changed.contains(&format!("\n{} =", key.name)) && key.name != "profile") {
        assert_eq!((key.section, effective.source(key.name)), ("security", Source::Profile), "{key:?}");
    }
}

#[test]
fn flags_count_more_than_the_environment_and_that_more_than_the_file() {
    let file = "profile = \"strict\"\n[network]\nport = 1\nheader_length = 8\nmax_connections = 3\n[security]\nsingle_des = true";
    let layers = Layers {
        file: Some((PathBuf::from("f"), file.to_owned())),
        flags: vec![("port", "3".to_owned())],
        ..Layers::default()
    };
    let environment = |name: &str| match name {
        "HSM_PORT" => Some("2".to_owned()),
        "HSM_HEADER_LENGTH" => Some("9".to_owned()),
        "HSM_DISABLED_COMMANDS" => Some("CA, cc".to_owned()),
        "HSM_TRACE" => Some("1".to_owned()),
        _ => None,
    };
    let effective = layers.resolve(environment).unwrap();
    let config = &effective.config;
    assert_eq!((config.network.port, effective.source("port")), (3, Source::Flag));
    let variable = Source::Environment("HSM_HEADER_LENGTH".to_owned());
    assert_eq!((config.network.header_length, effective.source("header_length")), (9, variable));
    let line = Source::File(PathBuf::from("f"), 5);
    assert_eq!((config.network.max_connections, effective.source("max_connections")), (3, line));
    assert_eq!(config.settings.disabled_commands, [*b"CA", *b"CC"]);
    assert!(config.logging.trace && config.settings.single_des && !config.settings.authorise_all);
    // The profile itself has the same order.
    let flags = vec![("profile", "developer".to_owned())];
    let layers = Layers { flags, ..layers };
    assert!(layers.resolve(environment).unwrap().config.settings.authorise_all);
}

#[test]
fn what_is_wrong_is_said_with_its_line_and_all_at_once() {
    assert_eq!(
        problem(
            "[network]\nprot = 1\nheader_length = 0\nworkers = \"2\"\n\n[network2]\n[logging]\nport = 3\nsingle_des = 1"
        ),
        "hsm.toml:2: prot: there is no such setting; is port meant?\n\
         hsm.toml:3: header_length: must be 1 to 255\n\
         hsm.toml:4: workers: must be a whole number, 1 to 256\n\
         hsm.toml:6: [network2]: there is no such section: network, lmk, security, commands, authorisation, storage, plugins, printing, logging\n\
         hsm.toml:8: port: belongs in section [network]\n\
         hsm.toml:9: single_des: belongs in section [security]"
    );
    assert!(problem("\n\nport = = 3").starts_with("hsm.toml:3: "));
    assert_eq!(problem("port = 3"), "hsm.toml:1: port: belongs in section [network]");
    assert_eq!(problem("[lmk]\nprofile = 'strict'"), "hsm.toml:2: profile: belongs before the first section");
    for (text, part) in [
        ("[network]\nport = 65536", "must be a whole number, 0 to 65535"),
        ("[network]\nport = -1", "must be a whole number"),
        ("[network]\nhost = ''", "must be text"),
        ("[network]\nidle_timeout = -1", "must be seconds"),
        ("[network]\nidle_timeout = inf", "must be seconds"),
        ("[network]\nunknown_command = 15", "must be \"68\", \"67\", \"ZZ\" or \"drop\""),
        ("[network]\nallow_remote = 1", "must be true or false"),
        ("[network]\nmax_message = 5", "has no room"),
        ("[security]\npin_length = 13", "must be 4 to 12"),
        ("[security]\nfirmware = '15000023'", "four characters, a hyphen"),
        ("[security]\nfraud_limits = [1, 2]", "a list of three numbers"),
        ("[security]\npin_block_translations = '01>05'", "must be a list of translations: FROM>TO or FROM>TO same-pan"),
        ("[security]\npin_block_translations = ['01-05']", "\"01-05\": must be the codes of two PIN block formats"),
        ("[security]\npin_block_translations = ['01>06']", "\"01>06\": no PIN block format has the code \"06\""),
        ("[security]\npin_block_translations = ['34>01']", "\"34>01\": PIN blocks are not translated from format 34"),
        ("[security]\npin_block_translations = ['01>05 pan']", "\"01>05 pan\": \"pan\" is not same-pan"),
        ("[security]\npin_block_translations = ['01>05', '01>05 same-pan']", "these formats are given twice"),
        ("[security]\nsolicitation_batch_size = 1025", "must be 1 to 1024"),
        ("[security]\nsolicitation_response_records = 0", "must be 1 to 512"),
        ("[security]\nlmk_pin_mode = 'none'", "must be \"clear\" or \"encrypted\""),
        ("[commands]\ndisabled_commands = ['CAT']", "no code of two characters"),
        ("[commands]\ndisabled_commands = 'CA'", "must be a list"),
        ("[lmk]\nlmks = ['20=test-aes']", "not a slot and a test LMK"),
        ("[lmk]\nlmks = ['1=test-rsa']", "is none of test-variant"),
        (
            "[commands]\ndisabled_commands = ['A0', 'CAT', 'C', 'CA']",
            "\"CAT\" is no code of two characters; \"C\" is no code",
        ),
        ("[commands]\ndisabled_formats = ['01', '99']", "no PIN block format has the code 99"),
        ("[lmk]\nlmks = ['01=test-aes', '1=test-tdes']", "slot 01 is given twice"),
        ("[lmk]\ndefault_lmk = 20", "0 to 19"),
        ("[lmk]\nlmk_key_file = 'a'\nlmk_passphrase_file = 'b'", "goes not together"),
        ("[authorisation]\nauthorised_activities = ['20 pin']", "LMK identifier"),
        ("[authorisation]\nauthorised_activities = ['x.y']", "no category"),
        ("[security]\nmultiple_activities = false\n[authorisation]\nauthorised_activities = ['pin']", "only \"all\""),
        ("profile = 'lax'", "must be \"developer\" or \"strict\""),
    ] {
        assert!(problem(text).contains(part), "{text}: {}", problem(text));
    }
}

#[test]
fn what_is_wrong_on_the_command_line_is_named_as_it_was_given() {
    let layers = Layers {
        flags: vec![("header_length", "0".to_owned()), ("lmks", "x".to_owned())],
        set: vec![("single_des", "perhaps".to_owned()), ("prot", "1".to_owned())],
        ..Layers::default()
    };
    let told = layers.resolve(nothing).unwrap_err().to_string();
    assert_eq!(
        told,
        "--set prot: there is no such setting; is port meant?\n\
         --set single_des: must be true or false\n\
         --header-length: must be 1 to 255\n\
         --lmk: \"x\" is not a slot and a test LMK, such as 01=test-tdes"
    );
    // What is right holds all the same for those who can do with that.
    let layers = Layers { flags: vec![("port", "7".to_owned())], ..layers };
    let (readable, problems) = layers.readable(nothing);
    assert_eq!((readable.config.network.port, problems.len()), (7, 2));
}

#[test]
fn an_address_that_others_can_reach_needs_to_be_meant() {
    for host in ["0.0.0.0", "::", "192.0.2.1"] {
        let text = format!("[network]\nhost = \"{host}\"");
        assert!(problem(&text).contains("allow_remote"), "{host}");
        load(&format!("{text}\nallow_remote = true")).unwrap();
    }
    for host in ["127.0.0.1", "::1", "localhost"] {
        load(&format!("[network]\nhost = \"{host}\"")).unwrap();
    }
}

#[test]
fn a_named_file_must_exist() {
    let mut layers = Layers::default();
    assert!(layers.read_file(Some(Path::new("/no/such/file")), nothing).is_err());
    let named = |name: &str| (name == "HSM_CONFIG").then(|| "/no/such/file".to_owned());
    assert!(layers.read_file(None, named).unwrap_err().to_string().contains("/no/such/file:1: cannot be read"));
    // The tests run where there is no hsm.toml.
    layers.read_file(None, nothing).unwrap();
    assert!(layers.file.is_none());
}

#[test]
fn running_emulators_change_security_settings_only() {
    let settings = change_setting(&Settings::default(), "single_des", "off").unwrap();
    assert!(!settings.single_des);
    assert_eq!(show_setting(&settings, "single_des").unwrap(), "false");
    assert_eq!(change_setting(&settings, "disabled_commands", "A0").unwrap().disabled_commands, [*b"A0"]);
    assert_eq!(change_setting(&settings, "pin_length", "3").unwrap_err(), "must be 4 to 12");
    assert!(change_setting(&settings, "disabled_formats", "01,99").unwrap_err().contains("the code 99"));
    assert!(change_setting(&settings, "port", "3").unwrap_err().contains("while the emulator runs"));
    assert!(change_setting(&settings, "no", "3").unwrap_err().contains("no setting"));
}

#[test]
fn the_control_socket_has_its_place() {
    let config = Config::default();
    let runtime = |name: &str| (name == "XDG_RUNTIME_DIR").then(|| "/run/user/7".to_owned());
    assert_eq!(config.control_socket(1500, runtime), Some(PathBuf::from("/run/user/7/hsm/1500.sock")));
    let home = |name: &str| (name == "HOME").then(|| "/home/me".to_owned());
    assert_eq!(config.control_socket(1500, home), Some(PathBuf::from("/home/me/.hsm/1500.sock")));
    assert_eq!(config.control_socket(1500, nothing), None);
    assert_eq!(load("[network]\ncontrol_socket = 'off'").unwrap().config.control_socket(1, runtime), None);
    let own = load("[network]\ncontrol_socket = '/x/y'").unwrap().config.control_socket(1, runtime);
    assert_eq!(own, Some(PathBuf::from("/x/y")));
}

#[test]
fn nothing_needs_setting_up() {
    let config = Config::default();
    let lmks = config.load_lmks(|_, _| Err("no secret is needed")).unwrap();
    let (module, plain) = (config.module(lmks).unwrap(), SecurityModule::with_test_lmks());
    assert_eq!(module.lmks().slots, plain.lmks().slots);
    assert_eq!((module.lmks().default, &*module.settings()), (0, &*plain.settings()));
    assert!(module.is_authorised(0, "export.000.host") && !module.is_authorised(0, "diag.host"));

    let strict = load("profile = 'strict'\n[lmk]\nlmks = ['07=test-aes', '08=test-variant']\n[authorisation]\nauthorised_activities = ['08 diag', 'pin']").unwrap().config;
    let module = strict.module(strict.load_lmks(|_, _| Err("no secret is needed")).unwrap()).unwrap();
    assert_eq!(module.lmks().default, 7);
    assert!(module.is_authorised(8, "diag.host") && !module.is_authorised(7, "diag.host"));
    assert!(module.is_authorised(7, "pin.clear.host") && !module.is_authorised(7, "export.000.host"));
    let missing = load("[lmk]\ndefault_lmk = 9").unwrap().config.load_lmks(|_, _| Err("none"));
    assert_eq!(missing.unwrap_err().to_string(), "default_lmk: no LMK is loaded in slot 09");
}

/// `HSM_WRITE_DOCS=1` writes the reference instead.
#[test]
fn the_documentation_has_the_reference() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, _) = text.split_once(MARK).expect("the mark of the reference");
    let wanted = format!("{head}{MARK}{}", Config::reference());
    if std::env::var_os("HSM_WRITE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    } else {
        assert_eq!(text, wanted, "run this test with HSM_WRITE_DOCS=1");
    }
}

const MARK: &str = "<!-- The rest is made from the table of settings. -->\n";

#[test]
fn user_storage_outlives_a_restart_where_a_file_keeps_it() {
    use hsm_core::user_storage::SlotSize;
    use hsm_plugin_sdk::abi::{ErrorCode, StorageOps};
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("private").join("storage");
    let start = |size: &str| {
        let text = format!("[security]\nuser_storage = '{size}'\n[storage]\nuser_storage_file = '{}'", file.display());
        let config = load(&text).unwrap().config;
        config.module(config.load_lmks(|_, _| Err("no secret is needed")).unwrap())
    };
    let session = |size: &str| hsm_core::Session::new(start(size).unwrap());

    assert!(!file.exists());
    session("double").storage_load(0xFFE, b"00112233445566778899AABBCCDDEEFF0000000000000000FFFFFFFFFFFFFFFF").unwrap();
    session("double").storage_load(0, b"0123456789ABCDEF0123456789ABCDEF").unwrap();
    let mut third = session("double");
    assert_eq!(third.storage_read(0xFFE, 1).unwrap(), b"00112233445566778899AABBCCDDEEFF");
    assert_eq!(third.storage_read(0xFFF, 1).unwrap(), b"0000000000000000FFFFFFFFFFFFFFFF");
    assert_eq!(third.storage_read(0, 1).unwrap(), b"0123456789ABCDEF0123456789ABCDEF");
    assert_eq!(third.storage_read(1, 1), Err(ErrorCode::USER_STORAGE_EMPTY));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // A device erases user storage with a change of the slot size.
    assert_eq!(session("single").storage_read(0, 1), Err(ErrorCode::USER_STORAGE_EMPTY));
    // What was erased does not come back with the size that it had, whether at a restart or while the emulator runs.
    assert_eq!(session("double").storage_read(0, 1), Err(ErrorCode::USER_STORAGE_EMPTY));
    session("double").storage_load(0, b"0123456789ABCDEF0123456789ABCDEF").unwrap();
    let running = start("double").unwrap();
    let settings = (*running.settings()).clone();
    running.set_settings(Settings { user_storage: SlotSize::Triple, ..settings.clone() });
    running.set_settings(settings);
    drop(running);
    assert_eq!(session("double").storage_read(0, 1), Err(ErrorCode::USER_STORAGE_EMPTY));
    let mut variable = session("variable");
    variable.storage_load(5, b"").unwrap();
    variable.storage_load(0x7F, b"U0123").unwrap();
    let of_slot_5 = variable.storage_read(5, 1);
    drop(variable);
    let mut next = session("variable");
    assert_eq!(next.storage_read(5, 1), of_slot_5);
    assert_eq!(next.storage_read(0x7F, 1).unwrap(), b"U0123");

    let good = std::fs::read_to_string(&file).unwrap();
    for (line, bad) in [
        (1, String::new()),
        (1, good.replace("storage 1", "storage 2")),
        (2, "user storage 1 S\n000 0011".to_owned()),
        (3, "user storage 1 D\n000 00112233445566778899AABBCCDDEEFF\nFFFF 00112233445566778899AABBCCDDEEFF".to_owned()),
        (2, "user storage 1 D\n000 00112233445566778899AABBCCDDEEFX".to_owned()),
        (2, "user storage 1 V\n080 00".to_owned()),
    ] {
        std::fs::write(&file, &bad).unwrap();
        let error = start("double").unwrap_err().to_string();
        assert!(error.starts_with(&format!("line {line} of the user storage file")), "{bad:?}: {error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), bad, "a damaged file is never overwritten");
    }
    std::fs::write(&file, good).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(start("double").unwrap_err().to_string().contains("only its owner"));
}

#[test]
fn variables_that_are_no_settings_are_told() {
    let told = |names: &[&str]| {
        let problems = unknown_variables(names.iter().map(|name| (*name).to_owned()));
        problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(told(&["HSM_TRCE"]), ["HSM_TRCE: there is no such setting; is HSM_TRACE meant?"]);
    assert_eq!(
        told(&["HSM_AUTHORIZE_ALL"]),
        ["HSM_AUTHORIZE_ALL: there is no such setting; is HSM_AUTHORISE_ALL meant?"]
    );
    // Nothing is near.
    assert_eq!(told(&["HSM_PIN", "HSM_"]), ["HSM_: there is no such setting", "HSM_PIN: there is no such setting"]);
    assert_eq!(told(&["HSM_port"]), ["HSM_port: there is no such setting; is HSM_PORT meant?"]);
    let known = keys().iter().map(Key::variable);
    assert_eq!(unknown_variables(known), []);
    assert_eq!(told(&["HSM_CONFIG", "HSM_TEST_STORE", "HSMX", "PATH", "hsm_port"]), [""; 0]);
}
