//! The `hsm` binary as a user meets it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use common::{PATIENCE, hsm, json, private, stderr, stdout};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

fn run(arguments: &[&str]) -> Assert {
    hsm().args(arguments).assert()
}

fn fails(arguments: &[&str], code: i32, what: &str) {
    common::fails(hsm().args(arguments), code, what);
}

/// A server on a port that the system chose. Killed when dropped, if it still runs.
struct Server {
    child: Child,
    port: String,
    log: mpsc::Receiver<String>,
    /// What it logged before it was ready.
    before: Vec<String>,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        Self::start_on("0", arguments)
    }

    fn start_on(port: &str, arguments: &[&str]) -> Self {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_hsm"))
            .args(["serve", "--port", port])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let errors = BufReader::new(child.stderr.take().unwrap());
        let (sender, log) = mpsc::channel();
        thread::spawn(move || errors.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut server = Self { child, port: String::new(), log, before: Vec::new() };
        let ready = loop {
            let line = server.logged("");
            if line.contains("listening on") {
                break line;
            }
            server.before.push(line);
        };
        assert!(ready.contains(": never use with live data)"), "{ready}");
        let address = ready.split("listening on ").nth(1).and_then(|rest| rest.split([';', ',']).next()).unwrap();
        server.port = address.rsplit(':').next().unwrap().to_owned();
        server
    }

    /// The next log line that holds a text.
    fn logged(&self, what: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.log.recv_timeout(left).unwrap_or_else(|e| panic!("no log line with {what:?}: {e}"));
            if line.contains(what) {
                return line;
            }
        }
    }

    fn run(&self, arguments: &[&str]) -> Assert {
        let (command, rest) = arguments.split_first().unwrap();
        hsm().args([command, "--port", &self.port]).args(rest).assert()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    for command in [
        "",
        "serve",
        "send",
        "bench",
        "plugin",
        "plugin list",
        "plugin check",
        "plugin create",
        "plugin build",
        "pinblock",
        "pinblock encode",
        "pinblock decode",
        "pinblock formats",
        "key",
        "key check",
        "key types",
        "lmk",
        "lmk list",
        "lmk generate",
        "lmk load-test",
        "lmk check",
        "lmk change",
        "lmk default",
        "lmk delete",
        "lmk passphrase",
        "ctl",
        "ctl authorize",
        "ctl cancel",
        "ctl status",
        "ctl lmk",
        "ctl get",
        "ctl set",
        "ctl unlock",
        "ctl reload",
        "ctl stop",
    ] {
        let mut arguments: Vec<&str> = command.split_whitespace().collect();
        arguments.push("--help");
        let help = stdout(&run(&arguments).success());
        assert!(help.contains(&format!("\n  hsm {command}")), "no example for {command}:\n{help}");
    }
    let help = stdout(&run(&["serve", "--help"]).success());
    for flag in
        ["--host", "--port", "--plugin-dir", "--header-length", "--max-connections", "--log-level", "--log-format"]
    {
        assert!(help.contains(flag), "{flag}");
    }
}

#[test]
fn wrong_usage_is_one_line_and_code_2() {
    fails(&["serve", "--prot", "1500"], 2, "--prot");
    fails(&["serve", "--port", "65536"], 2, "--port");
    fails(&["serve", "--header-length", "0"], 2, "--header-length");
    fails(&["serve", "--header-length", "256"], 2, "--header-length");
    fails(&["serve", "--max-connections", "0"], 2, "--max-connections");
    fails(&["serve", "--unknown-command", "66"], 2, "--unknown-command");
    fails(&["serve", "--log-level", "loud"], 2, "--log-level");
    fails(&["serve", "--host", "0.0.0.0"], 2, "--allow-remote");
    fails(&["serve", "--port", "65535", "--lmk-ports"], 2, "--lmk-ports");
    fails(&["send", "NC<0>"], 2, "character 3");
    fails(&["send", "--header", "", "NC"], 2, "--header");
    fails(&["bench", "--mix", "XX:1"], 2, "--mix");
    fails(&["bench", "--duration", "0"], 2, "--duration");
    fails(&["frobnicate"], 2, "frobnicate");
    fails(&["key", "check", "--type", "99", "--key", "0123456789ABCDEF"], 2, "--type");
    fails(&["key", "check", "--key", "0123"], 2, "--key");
    fails(&["pinblock", "--pin", "12", "--format", "05"], 2, "--pin");
    fails(&["pinblock", "--pin", "1234", "--format", "99"], 2, "hsm pinblock formats");
    fails(&["pinblock", "--pin", "1234", "--format", "01"], 2, "account number");
}

#[test]
fn what_cannot_start_is_one_line_and_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    fails(&["serve", "--port", &port], 1, &format!("127.0.0.1:{port}"));

    let empty = tempfile::tempdir().unwrap();
    let missing = empty.path().join("missing");
    fails(&["serve", "--port", "0", "--plugin-dir", missing.to_str().unwrap()], 1, "missing");
    std::fs::write(empty.path().join("bad.wasm"), b"no module").unwrap();
    fails(&["serve", "--port", "0", "--plugin-dir", empty.path().to_str().unwrap()], 1, "bad.wasm");

    // The near end of a connection has a port that nobody listens on and nobody else is given.
    let connection = TcpStream::connect(taken.local_addr().unwrap()).unwrap();
    let port = connection.local_addr().unwrap().port().to_string();
    fails(&["send", "--port", &port, "--timeout", "0.2", "NC"], 1, "refused");
    fails(&["bench", "--port", &port], 1, "connection 1");
}

#[test]
fn send_is_bounded_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let start = Instant::now();
    fails(&["send", "--port", &port, "--timeout", "0.3", "NC"], 1, "timed out");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn send_waits_for_a_server_that_is_starting() {
    // A port that is free, and stays so until the server below takes it.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let asked = port.clone();
    let send = thread::spawn(move || run(&["send", "--port", &asked, "--timeout", "20", "NC"]));
    thread::sleep(Duration::from_millis(300));
    let _server = Server::start_on(&port, &[]);
    assert!(stdout(&send.join().unwrap().success()).starts_with("ND00268604"));
}

#[test]
fn the_log_says_what_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (settings, socket) = (file("hsm.toml"), file("s"));
    std::fs::write(&settings, "profile = 'strict'\n[authorisation]\nauthorised_activities = ['07 pin']\n").unwrap();
    let server = Server::start(&["--config", &settings]);
    let before =
        |end: &str| assert!(server.before.iter().any(|line| line.ends_with(end)), "{end}: {:?}", server.before);
    before(&format!("settings file {settings}, profile strict"));
    before("LMK 07: pin is not authorised: no LMK is loaded there");
    drop(server);

    let quiet = |set: &str| {
        let mut serve = std::process::Command::new(env!("CARGO_BIN_EXE_hsm"));
        serve
            .args(["serve", "--port", "0", "--log-level", "warn", "--set", set])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let first_line = |server: &mut Child| {
        let line = BufReader::new(server.stderr.take().unwrap()).lines().next().unwrap().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
        line
    };
    assert!(first_line(&mut quiet("lmks=")).contains("no LMK is loaded"));
    // What is authorised is shown where other messages of its kind are not.
    let mut server = quiet(&format!("control_socket={socket}"));
    let deadline = Instant::now() + Duration::from_secs(20);
    let authorize = || run(&["ctl", "--socket", &socket, "authorize", "diag"]).try_success().is_ok();
    while !authorize() {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(50));
    }
    assert!(first_line(&mut server).ends_with("LMK 00: diag authorised"));
}

#[test]
fn a_mistake_in_the_settings_keeps_nobody_from_stopping_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(&["--set", &format!("control_socket={}/s", dir.path().display())]);
    let settings = dir.path().join("hsm.toml");
    std::fs::write(&settings, format!("[network]\ncontrol_socket = '{}/s'\nprot = 1\n", dir.path().display())).unwrap();
    let ctl = |command: &str| run(&["ctl", "--config", settings.to_str().unwrap(), command]);
    let status = ctl("status").success();
    assert!(stdout(&status).contains("LMK 00 authorised"));
    assert!(stderr(&status).contains("hsm.toml:3: prot: there is no such setting"), "{}", stderr(&status));
    // Where the mistake is about the socket, another emulator could be meant.
    let good = std::fs::read_to_string(&settings).unwrap();
    for bad in ["[network]\nport = 'x'", "[network]\ncontrol_socket = 1", "[network"] {
        std::fs::write(&settings, bad).unwrap();
        fails(&["ctl", "--config", settings.to_str().unwrap(), "stop"], 2, "hsm.toml:");
    }
    fails(&["ctl", "--config", "/nowhere/hsm.toml", "stop"], 2, "cannot be read");
    std::fs::write(&settings, good).unwrap();
    ctl("stop").success();
    assert!(server.child.wait().unwrap().success());
}

#[test]
fn server_answers_traces_and_stops() {
    let mut server = Server::start(&["--trace", "--lmk-ports"]);

    let answer = server.run(&["send", "NC"]).success();
    assert!(stdout(&answer).starts_with("ND00268604"), "{}", stdout(&answer));
    assert!(stdout(&answer).contains("00 (no error)"));

    let answer = server.run(&["send", "--header", "12<00>4", "--json", "B20005<48>ell<6F><19>tail"]).success();
    let answer = json(&answer);
    assert_eq!(answer["response"], "B300Hello<19>tail");
    assert_eq!(answer["fields_hex"], "48656C6C6F197461696C");
    assert_eq!(answer["error"], "00");

    let answer = hsm().args(["send", "--port", &server.port, "-"]).write_stdin("XX\n").assert().code(3);
    assert!(stdout(&answer).starts_with("XY68\n"), "{}", stdout(&answer));

    let verify = "CYU9B4934384B19946B040CD702B4D581455614123456789012345;8701101";
    server.run(&["send", verify]).success();
    let mut trace = server.logged("CVK A/B");
    trace += &server.logged("Primary account number");
    assert!(trace.contains("412345******2345") && !trace.contains("9B4934384B19946B"), "{trace}");

    // SIGTERM by the shell's kill: no crate for signals is needed.
    let kill = std::process::Command::new("kill").arg(server.child.id().to_string()).status().unwrap();
    assert!(kill.success());
    server.logged("stopped");
    assert!(server.child.wait().unwrap().success());
}

#[test]
fn a_variable_that_is_no_setting_is_warned_of() {
    let empty = tempfile::tempdir().unwrap();
    // What it warns of does not keep it from starting; that there are no plugins does.
    let missing = empty.path().join("missing");
    let mut serve = hsm();
    serve.args(["serve", "--port", "0", "--plugin-dir", missing.to_str().unwrap()]).env("HSM_PROT", "1501");
    let log = stderr(&serve.assert().code(1));
    assert!(log.contains("WARN  hsm] HSM_PROT: there is no such setting; is HSM_PORT meant?"), "{log}");
    assert!(log.lines().last().unwrap().contains("missing"), "{log}");
}

#[test]
fn log_lines_are_json_where_asked() {
    let server = Server::start(&["--log-format", "json"]);
    server.run(&["send", "XX"]).code(3);
    let line: Value = serde_json::from_str(&server.logged("no command XX")).unwrap();
    assert_eq!(line["level"], "warn");
    assert!(line["time"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn unknown_commands_are_answered_as_asked() {
    for (answer, begins) in [("67", "XY67"), ("zz", "ZZ00")] {
        let server = Server::start(&["--unknown-command", answer]);
        let assert = server.run(&["send", "XX"]);
        assert!(stdout(&assert).starts_with(begins), "{}", stdout(&assert));
    }
    let server = Server::start(&["--unknown-command", "drop"]);
    server.run(&["send", "XX"]).code(1);
}

#[test]
fn send_waits_for_as_many_responses_as_asked() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&["--set", &format!("printer={}", directory.path().display())]);
    server.run(&["send", "PA>L>013^0>L>F"]).success();
    let mailer = "PEC40000012345601234M DUPONT";
    let first = stdout(&server.run(&["send", mailer]).success());
    assert!(first.starts_with("PF00") && !first.contains("PZ"), "{first}");
    let both = stdout(&server.run(&["send", "--responses", "2", mailer]).success());
    let second = both.find("PZ00").unwrap();
    assert!(both.starts_with("PF00") && second > 4 && !both.contains("note"), "{both}");
    // A refusal is the only response.
    let refused = server.run(&["send", "--responses", "2", "PEC4000001234560123"]).code(3);
    assert!(stdout(&refused).starts_with("PF15"), "{}", stdout(&refused));
    server.run(&["send", "--responses", "2", "--timeout", "0.5", "NC"]).code(1);
    fails(&["send", "--responses", "0", "NC"], 2, "--responses");
}

#[test]
fn bench_measures_and_checks_answers() {
    let server = Server::start(&[]);
    let load = ["bench", "--duration", "1", "--warmup", "0", "--json"];
    let mix = ["--connections", "4", "--pipeline", "4", "--threads", "2", "--mix", "CA,B2,NC,CY,CW,DC,EC,KQ"];
    let mix = [&load[..], &mix[..]].concat();
    // The first request of each kind waits for its plugin to be compiled, whatever it is answered.
    for code in ["CA", "B2", "NC", "CY", "CW", "DC", "EC", "KQ"] {
        let answer = server.run(&["send", "--timeout", "100", code]);
        assert!(stdout(&answer).starts_with(code.as_bytes()[0] as char), "{}", stdout(&answer));
    }
    let result = json(&server.run(&mix).success());
    assert!(result["answers"].as_u64().unwrap() > 0, "{result}");
    assert_eq!([&result["mismatches"], &result["lost"], &result["disconnects"]], [0, 0, 0]);
    assert_eq!(result["commands"].as_array().unwrap().len(), 8);
    let latency = &result["latency_us"];
    assert!(latency["p50"].as_f64() <= latency["p99"].as_f64() && latency["p99"].as_f64() <= latency["max"].as_f64());

    let wrong = server.run(&[&load[..], &["--message", "B20005Hello", "--expect", "15"]].concat()).code(3);
    assert!(stderr(&wrong).contains("B2 was answered B300 instead of B315"), "{}", stderr(&wrong));

    let crowd = Server::start(&["--max-connections", "2"]);
    let lost = crowd.run(&[&load[..], &["--connections", "4"]].concat()).code(1);
    assert_eq!(json(&lost)["disconnects"], 2);
}

#[test]
fn pin_blocks_round_trip() {
    let pan = ["--pan", "4000001234562"];
    let pin = ["--pin", "1234"];
    let direct = run(&[&["pinblock"], &pin[..], &pan[..], &["--format", "ISO-0"]].concat()).success();
    assert_eq!(stdout(&direct), "041274FFFFEDCBA9\n");

    let aes = "000102030405060708090A0B0C0D0E0F";
    let tdes = "0123456789ABCDEFFEDCBA9876543210";
    for (format, key) in [("01", None), ("ISO-1", None), ("47", Some(tdes)), ("iso4", Some(aes)), ("PLUS", Some(tdes))]
    {
        let key: Vec<&str> = key.into_iter().flat_map(|key| ["--key", key]).collect();
        let rest = [&pan[..], &["--format", format], &key].concat();
        let block = stdout(&run(&[&["pinblock", "encode"], &pin[..], &rest].concat()).success());
        let decoded = run(&[&["pinblock", "decode", "--block", block.trim()], &rest[..]].concat()).success();
        assert_eq!(stdout(&decoded), "1234\n", "{format}");
    }

    // PIN and key from standard input, one line each.
    let mut encode = hsm();
    encode.args(["pinblock", "--pin", "-", "--key", "-", "--format", "48", "--json"]).args(pan);
    let encoded = json(&encode.write_stdin(format!("1234\n{aes}\n")).assert().success());
    assert_eq!(encoded["block"].as_str().unwrap().len(), 32);
    assert_eq!(encoded["enciphered"], true);

    fails(
        &["pinblock", "decode", "--block", "141274FFFFEDCBA9", "--pan", "4000001234562", "--format", "01"],
        1,
        "control nibble",
    );
    let formats = json(&run(&["pinblock", "formats", "--json"]).success());
    assert!(formats.as_array().unwrap().iter().any(|format| format["code"] == "48" && format["account"] == "full PAN"));
}

#[test]
fn pin_blocks_are_translated() {
    let translate = |line: &str| run(&format!("pinblock translate {line}").split_whitespace().collect::<Vec<_>>());
    // Exchanges of CA under the variant and the TDES key-block test LMK (plugins/testdata/pin_commands.tsv).
    let keys = "--from-key U8463435FC4B4DAA0C49025272C29B12C --to-key U1EF828AA8F6B80EB83E19FBC373F3A85";
    let from = "--block 6428EB94035AF53B --from-format 01 --account 550000025321";
    translate(&format!("{from} {keys} --to-format 01")).success().stdout("91DDDA0A7C12CFAA\n");
    let forbidden = translate(&format!("{from} {keys} --from-type TPK --to-type 001 --to-format 03"));
    let forbidden = forbidden.success().stdout("82206CCD872229C2\n");
    assert!(stderr(&forbidden).contains("PCI PIN does not allow ISO-0 to Diebold"));
    let blocks = "--from-key S0007271TN00E00019BAD23B0CEF79E33328CA0568A0E186FC17E8DE738AAF9FB67C6E1FF \
                  --to-key S00072P0TB00E0001EA421618B34F5FA1A77F7CF6480111B97CF0FAE7BD77D589EC921EF9";
    let answer = translate(&format!(
        "--block E57BC634D4717907 --from-format 01 --to-format 01 --account 600000000000 {blocks} --json"
    ));
    let answer = json(&answer.success());
    assert_eq!([&answer["block"], &answer["code"]], ["FC99D994F1D3D3B8", "01"]);

    // ISO-4 of X9.24-3, to a clear ISO-0 block.
    let iso4 = "--block A912150391AB65A67E52883D81CE2D15 --from-format 48 --to-format 01 \
                --from-key AF8CB133A78F8DC2D1359F18527593FB";
    translate(&format!("{iso4} --pan 4111111111111111")).success().stdout("041225EEEEEEEEEE\n");
    translate(&format!("{iso4} --account 411111111111")).code(2);
    // PLUS and ISO-0 share the 18 characters, of which ISO-0 takes the 12 rightmost; of a PAN, those without the check digit.
    let plus = "--block 05921A1CBFFFFFED --from-format 04 --to-format 01";
    translate(&format!("{plus} --account FF2283400000123456")).success().stdout("0592789FFFEDCBA9\n");
    translate(&format!("{plus} --pan 2283400000123456")).success().stdout("05920C9FFFFEDCBA\n");

    let fails = |line: &str, code, what| fails(&line.split_whitespace().collect::<Vec<_>>(), code, what);
    let translate = "pinblock translate";
    fails(&format!("{translate} {plus} --account 228340000012"), 2, "18-character field");
    fails(&format!("{translate} {plus} --account 22834000001A"), 2, "--account");
    fails(
        &format!("{translate} {from} {keys} --to-format 01 --to-type CVK"),
        1,
        "the destination key has no odd parity",
    );
    fails(&format!("{translate} {from} {keys} --to-format 48"), 2, "the destination key: ISO-4 needs an AES key");
    let other = from.replace("6428EB94035AF53B", "0123456789ABCDEF");
    fails(&format!("{translate} {other} {keys} --to-format 01"), 1, "the HSM answers 20");
    let cvk = "S00072V2TN00E00014C0328F82856C4E6D7CCF7A9A1597CB0662C35A18CC72EB9CF97917C";
    fails(&format!("{translate} {from} --from-key {cvk} --to-format 01"), 1, "A6");
}

#[test]
fn a_server_takes_keys_that_a_tool_put_under_its_store() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (store, secret) = (file("lmks.hsm"), file("pw"));
    private(secret.as_ref(), "correct horse\n");
    let store = ["--store", &store, "--passphrase-file", &secret];
    run(&[&["lmk", "generate", "05", "--kind", "variant-2des"], &store[..]].concat()).success();
    let clear = "des:0123456789ABCDEFFEDCBA9876543210";
    let translate = ["key", "translate", "--type", "ZPK", "--key", clear, "--to", "05", "--json"];
    let zpk = json(&run(&[&translate, &store[..]].concat()).success());

    let server = Server::start(&store);
    let message = format!("BU011{}%05", zpk["key"].as_str().unwrap());
    let answer = server.run(&["send", &message]);
    assert!(stdout(&answer).starts_with("BV0008D7B4"), "{}", stdout(&answer));
}

#[test]
fn a_reload_puts_settings_and_store_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (store, secret, settings, socket) = (file("lmks.hsm"), file("pw"), file("hsm.toml"), file("s"));
    private(secret.as_ref(), "correct horse\n");
    let lmk = format!(
        "[lmk]\nlmk_store = '{store}'\nlmk_passphrase_file = '{secret}'\n[authorisation]\nauthorised_activities = ['diag']\n"
    );
    std::fs::write(&settings, &lmk).unwrap();
    let generate = |id: &str| run(&["lmk", "generate", id, "--kind", "variant-2des", "--config", &settings]).success();
    generate("05");
    let mode = |mode| std::fs::set_permissions(&store, std::fs::Permissions::from_mode(mode)).unwrap();

    let control = format!("control_socket={socket}");
    let server = Server::start(&["--config", &settings, "--set", &control, "--lmk-ports"]);
    let ctl = |arguments: &[&str]| run(&[&["ctl", "--socket", &socket], arguments].concat());
    let reloaded = |changed: Value, restart: Value| {
        let answer = json(&ctl(&["reload", "--json"]).success());
        assert_eq!((&answer["changed"], &answer["restart"]), (&changed, &restart));
    };
    reloaded(Value::from(Vec::<Value>::new()), Value::from(Vec::<Value>::new()));

    let text = format!("{lmk}[network]\nmax_connections = 5\n[security]\nsingle_des = false\n");
    std::fs::write(&settings, &text).unwrap();
    reloaded(Value::from(vec!["single_des"]), Value::from(vec!["max_connections"]));
    assert_eq!(json(&ctl(&["get", "single_des", "--json"]).success())["single_des"], "false");
    // What hsm ctl changed is put back, and what waits for a restart still waits.
    ctl(&["set", "single_des", "true"]).success();
    reloaded(Value::from(vec!["single_des"]), Value::from(vec!["max_connections"]));

    std::fs::write(&settings, format!("profile = 'strict'\n{text}")).unwrap();
    let answer = json(&ctl(&["reload", "--json"]).success());
    assert_eq!((&answer["changed"][0], &answer["restart"]), (&"profile".into(), &Value::from(vec!["max_connections"])));
    std::fs::write(&settings, &text).unwrap();
    ctl(&["reload"]).success();

    // A mistake anywhere leaves everything as it is.
    std::fs::write(&settings, format!("{}nonsense = 1\n", text.replace("= false", "= true"))).unwrap();
    fails(&["ctl", "--socket", &socket, "reload"], 1, "hsm.toml:10: nonsense");
    assert!(stdout(&ctl(&["get", "single_des"]).success()).contains("false"));
    std::fs::write(&settings, &text).unwrap();

    // Slots that the store does not have are empty; an LMK that it gets later is there after a reload.
    assert!(stdout(&server.run(&["send", "NC%00"]).code(3)).starts_with("ND13"));
    generate("00");
    let hangup = std::process::Command::new("kill").args(["-HUP", &server.child.id().to_string()]).status().unwrap();
    assert!(hangup.success());
    let changed = "; changed: lmk_store; needs a restart: max_connections, lmk_ports";
    assert!(server.logged(changed).contains("reloaded"));
    // A store that others may read is refused, whatever it holds.
    mode(0o644);
    fails(&["ctl", "--socket", &socket, "reload"], 1, "permissions 644");
    mode(0o600);
    assert!(stdout(&server.run(&["send", "NC%00"]).success()).starts_with("ND00"));
    // What is authorised from the start is so for the new LMK, too.
    let status = stdout(&ctl(&["status"]).success());
    let of_new = status.lines().find(|line| line.starts_with("LMK 00 authorised: ")).unwrap();
    assert!(of_new.ends_with(", diag"), "{status}");
}

#[test]
fn keys_have_check_values() {
    let mut check = hsm();
    check.args(["key", "check", "--key", "-", "--json"]).write_stdin("0123456789ABCDEFFEDCBA9876543210\n");
    let clear = json(&check.assert().success());
    assert_eq!(clear["kcv"], "08D7B4");
    assert_eq!(clear["part_kcvs"], serde_json::json!(["D5D44F", "A68CDC"]));

    let zpk = "U063A0E7C0F2124E56192A4510F395ED7";
    assert_eq!(json(&run(&["key", "check", "--json", "--type", "ZPK", "--key", zpk]).success())["kcv"], "08D7B4");
    let wrong_type = run(&["key", "check", "--type", "002", "--key", zpk]).code(1);
    assert!(stdout(&wrong_type).contains("not odd"));

    let block = "S00072P0TB00E0001EA421618B34F5FA1A77F7CF6480111B97CF0FAE7BD77D589EC921EF9";
    assert_eq!(json(&run(&["key", "check", "--json", "--key", block]).success())["kcv"], "4FE9FD");
    fails(&["key", "check", "--key", &block.replace("EF9", "EF8")], 1, "does not open");

    // A DUKPT initial key (keys.md 7, A0) has no parity that could be wrong, and comes back from a ZMK as it went.
    let initial = "UE2D197D9F18D83146EC7A3230DD89546";
    assert_eq!(json(&run(&["key", "check", "--json", "--type", "302", "--key", initial]).success())["kcv"], "AF8C07");
    let zmk = "0123456789ABCDEFFEDCBA9876543210";
    let sent = ["key", "export", "--type", "302", "--key", initial, "--zmk", zmk, "--scheme", "X", "--json"];
    let sent = json(&run(&sent).success())["under_zmk"].as_str().unwrap().to_owned();
    let back = run(&["key", "import", "--type", "302", "--key", &sent, "--zmk", zmk, "--json"]).success();
    assert_eq!(json(&back)["key"], initial);

    let types = json(&run(&["key", "types", "--json"]).success());
    assert!(types.as_array().unwrap().iter().any(|t| t["type"] == "402" && t["names"][0] == "CVK"));
}

#[test]
fn plugins_are_listed_and_checked() {
    let listed = json(&run(&["plugin", "list", "--json"]).success());
    let codes: Vec<&str> = listed.as_array().unwrap().iter().filter_map(|plugin| plugin["code"].as_str()).collect();
    for code in ["A0", "B2", "BU", "CA", "CW", "CY", "DC", "EC", "FA", "HC", "KQ", "NC"] {
        assert!(codes.contains(&code), "{code}");
    }
    let bad = tempfile::NamedTempFile::new().unwrap();
    let checked = run(&["plugin", "check", bad.path().to_str().unwrap()]).code(1);
    assert!(stdout(&checked).contains("refused: not a valid module"), "{}", stdout(&checked));
    assert_eq!(stderr(&checked), "hsm: 1 of 1 plugins refused\n");
}

/// Arguments that create a plugin ZX in a directory.
fn create(path: &Path) -> Vec<&str> {
    let path = path.to_str().unwrap();
    vec!["plugin", "create", "ZX", "--desc", "Say \"hi\"", "--version", "0.1.0", "--author", "Me", "--path", path]
}

#[test]
fn plugin_create_never_overwrites() {
    let root = tempfile::tempdir().unwrap();
    let project = root.path().join("zx");
    std::fs::create_dir(&project).unwrap();
    std::fs::write(project.join("Cargo.toml"), "mine").unwrap();
    fails(&create(&project), 1, "exists");
    assert_eq!(std::fs::read(project.join("Cargo.toml")).unwrap(), b"mine");
    assert_eq!(std::fs::read_dir(&project).unwrap().count(), 1);

    let file = root.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    fails(&create(&file), 1, "exists");

    for code in ["zx", "Z", "ZXY", "Z-"] {
        let new = root.path().join("new");
        let mut arguments = create(&new);
        arguments[2] = code;
        fails(&arguments, 2, "two upper-case letters or digits");
        assert!(!new.exists());
    }
}

#[test]
fn a_created_plugin_passes_its_tests_builds_and_serves() {
    let root = tempfile::tempdir().unwrap();
    let project = root.path().join("deep/zx");
    run(&create(&project)).success();
    let manifest = std::fs::read_to_string(project.join("Cargo.toml")).unwrap();
    assert!(manifest.contains("hsm-plugin-sdk = { path = ") && manifest.contains("[workspace]"), "{manifest}");

    // The versions that this workspace has, so that nothing is looked up.
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock"), project.join("Cargo.lock")).unwrap();
    // Kept between runs: what the project depends on stays the same.
    let target = concat!(env!("CARGO_TARGET_TMPDIR"), "/created-plugin");

    let mut test = Command::new(env!("CARGO"));
    test.timeout(PATIENCE).args(["test", "--quiet"]).current_dir(&project);
    let tested = test.env("CARGO_TARGET_DIR", target).env("CARGO_PROFILE_DEV_DEBUG", "0").assert().success();
    assert!(stdout(&tested).contains("2 passed"), "{}", stdout(&tested));

    let mut build = hsm();
    // What the outer cargo told this test is not for the project's.
    build.args(["plugin", "build"]).arg(&project).env_remove("CARGO");
    build.env("CARGO_TARGET_DIR", target).assert().success();
    let module = project.join("plugins/zx.wasm");
    let described = run(&["plugin", "check", "--json", module.to_str().unwrap()]).success();
    let plugin = &json(&described)[0]["plugin"];
    assert_eq!(
        (&plugin["code"], &plugin["title"], &plugin["author"]),
        (&"ZX".into(), &"Say \"hi\"".into(), &"Me".into())
    );

    let server = Server::start(&["--plugin-dir", project.join("plugins").to_str().unwrap()]);
    let answer = server.run(&["send", "ZX05World"]).success();
    assert!(stdout(&answer).starts_with("ZY00Hello World\n"), "{}", stdout(&answer));
    server.run(&["send", "ZX06World"]).code(3);
}

#[test]
fn a_plugin_may_depend_on_a_version_of_the_sdk() {
    let root = tempfile::tempdir().unwrap();
    let project = root.path().join("zx");
    let arguments = [create(&project), vec!["--sdk-version", "0.1.0"]].concat();
    run(&arguments).success();
    let manifest = std::fs::read_to_string(project.join("Cargo.toml")).unwrap();
    assert!(manifest.contains("hsm-plugin-sdk = \"0.1.0\"") && manifest.contains("hsm-core = \"0.1.0\""), "{manifest}");
}
