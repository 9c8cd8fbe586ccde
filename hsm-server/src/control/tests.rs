use super::*;
use hsm_core::{LmkSlots, Settings};
use std::os::unix::net::UnixListener;
use std::sync::Mutex;

#[derive(Clone, Default)]
struct Recorded(Arc<Mutex<Vec<String>>>);

impl Actions for Recorded {
    fn reload(&mut self) -> Result<Reloaded, String> {
        self.0.lock().unwrap().push("reload".to_owned());
        if self.0.lock().unwrap().len() > 1 {
            return Err("the settings file is wrong".to_owned());
        }
        Ok(Reloaded { plugins: 2, changed: texts(&["single_des"]), restart: texts(&["port"]) })
    }

    fn stop(&mut self, now: bool) {
        self.0.lock().unwrap().push(format!("stop {now}"));
    }

    fn status(&self) -> Map<String, Value> {
        [("connections".to_owned(), json!(3))].into_iter().collect()
    }
}

struct Fixture {
    dir: tempfile::TempDir,
    module: SecurityModule,
    actions: Recorded,
    socket: ControlSocket,
}

const TIME: Duration = Duration::from_secs(10);

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let lmks = LmkSlots::clone(&SecurityModule::with_test_lmks().lmks());
    let module = SecurityModule::new(lmks, Settings { authorise_all: false, ..Settings::default() });
    let actions = Recorded::default();
    let path = dir.path().join("run/hsm.sock");
    let socket = ControlSocket::open(&path, ModuleControl::new(module.clone(), actions.clone())).unwrap();
    Fixture { dir, module, actions, socket }
}

impl Fixture {
    fn call(&self, request: &Request) -> Result<Value, String> {
        call(self.socket.path(), request, TIME).map_err(|error| error.to_string())
    }

    fn send(&self, bytes: &[u8]) -> Value {
        let mut stream = UnixStream::connect(self.socket.path()).unwrap();
        stream.write_all(bytes).unwrap();
        serde_json::from_slice(&read_line(&mut stream, MAX_LINE, TIME).unwrap()).unwrap()
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn activities_come_and_go() {
    let f = fixture();
    let authorize = |lmk, list: &[&str]| f.call(&Request::Authorize { lmk, activities: texts(list) });
    assert_eq!(authorize(1, &["export..host:10", "diag"]), Ok(json!({"authorised": 2})));
    assert!(f.module.is_authorised(1, "export.000.host") && !f.module.is_authorised(0, "export.000.host"));
    let wrong = authorize(0, &["pin", "nonsense"]).unwrap_err();
    assert!(wrong.starts_with("nonsense: "), "{wrong}");
    assert!(!f.module.is_authorised(0, "pin.clear.host"), "all or none");
    f.module.set_settings(Settings { multiple_activities: false, ..(*f.module.settings()).clone() });
    let wrong = authorize(0, &["all", "export"]).unwrap_err();
    assert_eq!(wrong, "export: with single authorisation there is only \"all\"");
    assert!(!f.module.is_authorised(0, "pin.clear.host"), "all or none");
    f.module.set_settings(Settings { multiple_activities: true, ..(*f.module.settings()).clone() });
    assert_eq!(authorize(9, &["pin"]).unwrap_err(), "no LMK is loaded in slot 09");

    let status = f.call(&Request::Status).unwrap();
    assert_eq!(status["connections"], 3);
    assert_eq!(status["authorised"]["00"], json!([]));
    assert_eq!(status["authorised"]["01"][0]["activity"], "export..host:10");
    assert!(status["authorised"]["01"][0]["until"].as_u64().unwrap() > 1_600_000_000);
    assert_eq!(status["authorised"]["01"][1], json!({"activity": "diag", "until": null}));

    let cancel = |activities: Option<&[&str]>| f.call(&Request::Cancel { lmk: 1, activities: activities.map(texts) });
    assert_eq!(cancel(Some(&["export..host:10"])), Ok(json!({"cancelled": 1})));
    assert_eq!(cancel(None), Ok(json!({"cancelled": 1})));
    assert_eq!(cancel(None), Ok(json!({"cancelled": 0})));
}

#[test]
fn settings_and_the_lmk_table() {
    let f = fixture();
    let set = |key: &str, value: &str| f.call(&Request::Set { key: key.to_owned(), value: value.to_owned() });
    assert_eq!(set("single_des", "no"), Ok(json!({"single_des": "false"})));
    assert!(!f.module.settings().single_des);
    let get = |names: &[&str]| f.call(&Request::Get { keys: texts(names) });
    assert_eq!(get(&["single_des"]), Ok(json!({"single_des": "false"})));
    assert_eq!(get(&["single_des", "pin_length"]), Ok(json!({"single_des": "false", "pin_length": "4"})));
    assert_eq!(get(&["single_des", "pin_lenght"]).unwrap_err(), "there is no setting pin_lenght; is pin_length meant?");
    let all = get(&[]).unwrap();
    assert_eq!((&all["single_des"], &all["disabled_commands"]), (&json!("false"), &json!("[]")));
    assert!(all.get("port").is_none());
    assert_eq!(set("pin_length", "99").unwrap_err(), "pin_length: must be 4 to 12");
    assert!(set("port", "99").unwrap_err().contains("while the emulator runs"));

    let table = f.call(&Request::Lmk).unwrap();
    assert_eq!(table["head"][0], "ID");
    assert_eq!(table["lmks"][0], json!(["00", "No", "Variant", "3DES(2key)", "Test", "268604", ""]));
    assert_eq!(table["change"], json!([]));
}

#[test]
fn reload_and_stop() {
    let f = fixture();
    assert_eq!(f.call(&Request::Reload), Ok(json!({"plugins": 2, "changed": ["single_des"], "restart": ["port"]})));
    assert_eq!(f.call(&Request::Reload).unwrap_err(), "the settings file is wrong");
    assert_eq!(f.call(&Request::Stop { now: true }), Ok(json!({})));
    assert_eq!(*f.actions.0.lock().unwrap(), ["reload", "reload", "stop true"]);
}

#[test]
fn requests_survive_the_wire() {
    let key = || "k".to_owned();
    for request in [
        Request::Authorize { lmk: 19, activities: texts(&["a"]) },
        Request::Cancel { lmk: 0, activities: None },
        Request::Cancel { lmk: 0, activities: Some(texts(&[])) },
        Request::Status,
        Request::Lmk,
        Request::Get { keys: texts(&[]) },
        Request::Get { keys: texts(&["a", "b"]) },
        Request::Set { key: key(), value: key() },
        Request::Reload,
        Request::Stop { now: false },
        Request::Stop { now: true },
    ] {
        assert_eq!(Request::parse(request.to_json().to_string().as_bytes()), Ok(request));
    }
}

#[test]
fn nonsense_is_refused_and_the_service_goes_on() {
    let f = fixture();
    for (line, why) in [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "\"op\" must be"),
        (r#"{"op":"format"}"#, "\"op\" must be"),
        (r#"{"op":"status","x":1}"#, "\"x\" is no field"),
        (r#"{"op":"cancel","lmk":20}"#, "\"lmk\" must be 0 to 19"),
        (r#"{"op":"cancel","lmk":"0"}"#, "\"lmk\" must be"),
        (r#"{"op":"authorize","lmk":0}"#, "\"activities\" is missing"),
        (r#"{"op":"authorize","lmk":0,"activities":[]}"#, "\"activities\" is missing"),
        (r#"{"op":"authorize","lmk":0,"activities":[1]}"#, "must be a list"),
        (r#"{"op":"get","keys":"a"}"#, "must be a list"),
        (r#"{"op":"set","key":"a"}"#, "is missing"),
        (r#"{"op":"set","key":"a","value":1}"#, "must be text"),
        (r#"{"op":"stop","now":1}"#, "must be true or false"),
    ] {
        let answer = f.send(format!("{line}\n").as_bytes());
        assert_eq!(answer["ok"], false, "{line}");
        assert!(answer["error"].as_str().unwrap().contains(why), "{line}: {answer}");
    }
    let many = texts(&["pin"; MAX_ACTIVITIES + 1]);
    assert!(f.call(&Request::Authorize { lmk: 0, activities: many }).is_err());
    // More than a line may have: no answer, but no harm either.
    let mut stream = UnixStream::connect(f.socket.path()).unwrap();
    let _ = stream.write_all(&vec![b'x'; MAX_LINE + 8192]);
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert_eq!(rest, b"");
    // Clients that go away, and pieces that come one by one.
    drop(UnixStream::connect(f.socket.path()).unwrap());
    let mut stream = UnixStream::connect(f.socket.path()).unwrap();
    for piece in [&b"{\"op\":"[..], b"\"status\"", b"}\n"] {
        stream.write_all(piece).unwrap();
        thread::sleep(Duration::from_millis(20));
    }
    assert!(read_line(&mut stream, MAX_LINE, TIME).unwrap().starts_with(b"{\"ok\":true"));
}

#[test]
fn a_client_that_says_nothing_is_given_up() {
    let mut f = (UnixStream::pair().unwrap(), Instant::now());
    let error = read_line(&mut f.0.0, MAX_LINE, Duration::from_millis(50)).unwrap_err();
    assert!(matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{error}");
    assert!(f.1.elapsed() < Duration::from_secs(2));
}

#[test]
fn only_the_owner_gets_in() {
    let f = fixture();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(f.socket.path()), 0o600);
    let directory = f.socket.path().parent().unwrap();
    assert_eq!(mode(directory), 0o700);
    assert_eq!(fs::read_dir(directory).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn one_emulator_per_socket() {
    let f = fixture();
    let path = f.socket.path().to_owned();
    let control = || ModuleControl::new(f.module.clone(), Recorded::default());
    assert!(matches!(ControlSocket::open(&path, control()), Err(ControlError::Busy(_))));
    f.call(&Request::Status).unwrap();
    drop(f.socket);
    assert!(!path.exists());
    assert!(matches!(call(&path, &Request::Status, TIME), Err(ControlError::Nobody(_))));
    // What a killed process left is taken over; what is no socket is not.
    drop(UnixListener::bind(&path).unwrap());
    assert!(matches!(call(&path, &Request::Status, TIME), Err(ControlError::Nobody(_))));
    let again = ControlSocket::open(&path, control()).unwrap();
    call(&path, &Request::Status, TIME).unwrap();
    drop(again);
    fs::write(&path, "mine").unwrap();
    assert!(matches!(ControlSocket::open(&path, control()), Err(ControlError::NotASocket(_))));
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    drop(f.dir);
}

#[test]
fn times_are_up_without_anybody_asking() {
    struct Ticks(Arc<Mutex<u32>>);
    impl Control for Ticks {
        fn perform(&mut self, _: Request) -> Result<Value, String> {
            Err("no".to_owned())
        }
        fn tick(&mut self) {
            *self.0.lock().unwrap() += 1;
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let ticks = Arc::new(Mutex::new(0));
    let socket = ControlSocket::open(&dir.path().join("s"), Ticks(ticks.clone())).unwrap();
    let deadline = Instant::now() + TIME;
    while *ticks.lock().unwrap() == 0 {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(50));
    }
    let refused = call(socket.path(), &Request::Status, TIME).unwrap_err();
    assert!(matches!(refused, ControlError::Refused(why) if why == "no"));
}

#[test]
fn a_long_status_arrives() {
    let f = fixture();
    let lmk = f.module.lmks().slots[&0].clone();
    f.module.set_lmks(LmkSlots { slots: (0..6).map(|id| (id, lmk.clone())).collect(), ..LmkSlots::default() });
    for lmk in 0..6 {
        for code in 0..=0xFFu8 {
            f.module
                .authorise(lmk, &format!("command.{code:02x}.console:{}", 500_000 + u32::from(code)).parse().unwrap())
                .unwrap();
        }
    }
    let status = f.call(&Request::Status).unwrap();
    assert_eq!(status["authorised"]["05"].as_array().map(Vec::len), Some(256));
    assert!(status.to_string().len() > MAX_LINE);
}

#[test]
fn a_path_that_no_client_could_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x".repeat(108));
    let control = ModuleControl::new(SecurityModule::with_test_lmks(), Recorded::default());
    let error = ControlSocket::open(&path, control).unwrap_err();
    assert!(matches!(&error, ControlError::TooLong(_)), "{error}");
    assert!(!path.exists());
}
