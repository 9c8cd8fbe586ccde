//! Plugins that misbehave: refused when they are loaded, or error 41 for that one request. The next request is served either way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use hsm_core::SecurityModule;
use hsm_server::{Engine, Fault, Limits, Outcome, PluginError, PluginInfo, PluginSet, SharedPlugins};

/// A module that keeps the ABI, with `body` as its command and `more` beside it.
fn guest(body: &str, more: &str) -> Vec<u8> {
    module("abi=1\\ncode=X1\\ntitle=Test\\n", "(memory (export \"memory\") 1)", body, more)
}

fn module(metadata: &str, memory: &str, body: &str, more: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            (import "hsm" "log" (func $log (param i32 i32 i32 i32) (result i32)))
            {memory}
            (data (i32.const 4096) "00fine")
            (func (export "hsm_init") (result i32) i32.const 1024)
            (func (export "hsm_alloc") (param i32) (result i32) i32.const 16384)
            (func (export "hsm_call") (param $ptr i32) (param $len i32) (param $flags i32) (result i64) {body})
            {more}
            (@custom "hsm.plugin" "{metadata}"))"#
    );
    wat::parse_str(text).unwrap()
}

/// The response "00fine" that lies at 4096.
const FINE: &str = "i64.const 0x0000100000000006";

fn engine(modules: Vec<Vec<u8>>) -> Engine {
    let limits = Limits { fuel: 1_000_000, ..Limits::default() };
    let named = modules.into_iter().enumerate().map(|(n, wasm)| (format!("test {n}"), wasm));
    Engine::new(SharedPlugins::new(PluginSet::from_modules(named, &limits).unwrap()), SecurityModule::with_test_lmks())
}

fn call(engine: &mut Engine, body: &[u8]) -> (Outcome, Vec<u8>) {
    let mut out = Vec::new();
    let outcome = engine.process(&[b"X1", body].concat(), None, false, &mut out);
    (outcome, out)
}

fn fault(body: &str, more: &str) -> Fault {
    let mut engine = engine(vec![guest(body, more)]);
    let (outcome, answer) = call(&mut engine, b"anything");
    assert_eq!(answer, b"X241");
    let (again, answer) = call(&mut engine, b"anything");
    assert_eq!(answer, b"X241");
    assert_eq!(outcome, again, "a fresh instance fails in the same way");
    match outcome {
        Outcome::Failed(fault) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_guest_answers() {
    let (outcome, answer) = call(&mut engine(vec![guest(FINE, "")]), b"");
    assert_eq!((outcome, answer.as_slice()), (Outcome::Answered, &b"X200fine"[..]));
}

#[test]
fn endless_loop() {
    assert_eq!(fault("(loop br 0) unreachable", ""), Fault::OutOfFuel(1_000_000));
}

#[test]
fn trap() {
    assert!(matches!(fault("unreachable", ""), Fault::Trap(_)));
    assert!(matches!(fault("i32.const -1 i32.load drop i64.const 0", ""), Fault::Trap(_)));
    assert!(matches!(fault("i32.const 0 i32.const 0 i32.div_s drop i64.const 0", ""), Fault::Trap(_)));
}

#[test]
fn endless_recursion() {
    let fault = fault("call $f i64.const 0", "(func $f call $f)");
    assert!(matches!(fault, Fault::Trap(_) | Fault::OutOfFuel(_)), "{fault:?}");
}

#[test]
fn memory_bomb() {
    // Growing fails at the limit; a guest that goes on growing runs out of fuel.
    let fault = fault("(loop i32.const 1 memory.grow drop br 0) unreachable", "");
    assert_eq!(fault, Fault::OutOfFuel(1_000_000));
}

#[test]
fn rubbish_answers() {
    // Length 0, a pointer outside memory, a length that wraps, an error code that is not text, a response longer than a message.
    assert!(matches!(fault("i64.const 0", ""), Fault::BadResponse(_)));
    assert_eq!(fault("i64.const 0x7fffffff00000004", ""), Fault::BadPointer);
    assert_eq!(fault("i64.const 0x00001000ffffffff", ""), Fault::BadPointer);
    assert!(matches!(fault("i64.const 0x0000800000000004", ""), Fault::BadResponse(_)));
    assert!(matches!(fault("i64.const 0x0000100000009000", ""), Fault::BadResponse(_)));
}

#[test]
fn lies_about_lengths() {
    let log = |args: &str| format!("{args} call $log drop {FINE}");
    assert_eq!(fault(&log("i32.const 65530 i32.const 100 i32.const 0 i32.const 0"), ""), Fault::BadPointer);
    assert_eq!(fault(&log("i32.const -1 i32.const -1 i32.const 0 i32.const 0"), ""), Fault::BadPointer);
    // Arguments that do not decode are the plugin's error, told by the operation's return value.
    let mut engine = engine(vec![guest(&log("i32.const 4096 i32.const 3 i32.const 0 i32.const 0"), "")]);
    assert_eq!(call(&mut engine, b"").1, b"X200fine");
}

#[test]
fn too_many_operations() {
    let body = "(loop i32.const 0 i32.const 4 i32.const 0 i32.const 0 call $log drop br 0) unreachable";
    assert_eq!(fault(body, ""), Fault::TooManyCalls(10_000));
}

#[test]
fn nothing_survives_a_request() {
    // Answers "00" and what earlier requests left: a memory byte at 5000, and a mutable global stored at 5001.
    let body = "(i32.store8 (i32.const 4098) (i32.load8_u (i32.const 5000)))
        (i32.store8 (i32.const 4099) (global.get $g))
        (i32.store8 (i32.const 5000) (i32.const 65))
        (global.set $g (i32.const 66))
        i64.const 0x0000100000000004";
    let mut engine = engine(vec![guest(body, "(global $g (mut i32) (i32.const 48))")]);
    for _ in 0..3 {
        assert_eq!(call(&mut engine, b"").1, b"X200\x000");
    }
}

#[test]
fn a_grown_guest_starts_anew() {
    let body = "(i32.store8 (i32.const 4098) (i32.add (i32.const 48) (memory.size)))
        (drop (memory.grow (i32.const 2)))
        i64.const 0x0000100000000003";
    let mut engine = engine(vec![guest(body, "")]);
    for _ in 0..3 {
        assert_eq!(call(&mut engine, b"").1, b"X2001");
    }
}

#[test]
fn a_bad_neighbour_harms_nobody() {
    let bad = module("abi=1\\ncode=X2\\ntitle=Bad\\n", "(memory (export \"memory\") 1)", "unreachable", "");
    let mut engine = engine(vec![guest(FINE, ""), bad]);
    for _ in 0..10 {
        let mut out = Vec::new();
        assert!(matches!(engine.process(b"X2", None, false, &mut out), Outcome::Failed(_)));
        assert_eq!(out, b"X341");
        assert_eq!(call(&mut engine, b"").1, b"X200fine");
    }
}

#[test]
fn refused_at_load() {
    let limits = Limits::default();
    let load = |wasm: &[u8]| PluginInfo::read(wasm, "test", &limits).unwrap_err();
    let memory = "(memory (export \"memory\") 1)";
    let metadata = "abi=1\\ncode=X1\\ntitle=Test\\n";
    let check = |wasm: Vec<u8>, expected: fn(&PluginError) -> bool| {
        let error = load(&wasm);
        assert!(expected(&error), "{error:?}");
    };
    check(b"not wasm".to_vec(), |e| matches!(e, PluginError::Invalid(_)));
    check(vec![0; limits.module_size + 1], |e| matches!(e, PluginError::TooLarge { .. }));
    check(module("abi=2\\ncode=X1\\n", memory, FINE, ""), |e| matches!(e, PluginError::AbiVersion { .. }));
    check(module("code=X1\\n", memory, FINE, ""), |e| matches!(e, PluginError::AbiVersion { .. }));
    check(module("abi=1\\ncode=x1\\n", memory, FINE, ""), |e| matches!(e, PluginError::Metadata(_)));
    check(module("abi=1\\ncode=X12\\n", memory, FINE, ""), |e| matches!(e, PluginError::Metadata(_)));
    check(module(metadata, "(memory (export \"memory\") 17)", FINE, ""), |e| matches!(e, PluginError::Memory { .. }));
    check(module(metadata, "(memory 1)", FINE, ""), |e| matches!(e, PluginError::MissingExport("memory")));
    let table = "(table 1 funcref) (func $f (table.set (i32.const 0) (ref.null func)))";
    check(module(metadata, memory, FINE, table), |e| matches!(e, PluginError::Stateful("table.set")));
    let simd = "(func (result v128) v128.const i64x2 0 0)";
    check(module(metadata, memory, FINE, simd), |e| matches!(e, PluginError::Invalid(_)));

    let import = |import: &str| {
        let text = format!("(module {import} (memory (export \"memory\") 1))");
        load(&wat::parse_str(text).unwrap())
    };
    let unknown = |error: &PluginError| matches!(error, PluginError::UnknownImport(_));
    assert!(unknown(&import(
        "(import \"wasi_snapshot_preview1\" \"fd_write\" (func (param i32 i32 i32 i32) (result i32)))"
    )));
    assert!(unknown(&import("(import \"hsm\" \"no_such_operation\" (func (param i32 i32 i32 i32) (result i32)))")));
    assert!(unknown(&import("(import \"hsm\" \"log\" (func (param i32) (result i32)))")));
    assert!(unknown(&load(&wat::parse_str("(module (import \"hsm\" \"memory\" (memory 1)))").unwrap())));

    let denied = Limits { denied_imports: vec!["log".to_owned()], ..Limits::default() };
    let error = PluginInfo::read(&guest(FINE, ""), "test", &denied).unwrap_err();
    assert_eq!(error, PluginError::DeniedImport("log".to_owned()));

    let twice = [("one".to_owned(), guest(FINE, "")), ("two".to_owned(), guest(FINE, ""))];
    let error = PluginSet::from_modules(twice, &limits).unwrap_err();
    assert!(matches!(error.error, PluginError::Duplicate { .. }), "{error}");
}
