//! No clear key, PIN or LMK is ever in a guest's memory: every command is run on known keys and PINs, and the memory is searched at
//! every host operation and after every call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../../plugins/tests/common/mod.rs"]
mod common;

use common::exchanges::exchanges;
use common::runnable;
use hsm_core::lmk::{Lmk, LmkPair};
use hsm_core::{SecurityModule, hex};
use hsm_server::{Engine, Limits, PluginSet, SharedPlugins};
use std::sync::{Mutex, PoisonError};

/// Clear keys of the vectors (pins.md 11, keys.md 1.4, 4.7; card-emv-mac.md).
const KEYS: &[&str] = &[
    "0B681FC20E62C734",
    "D3DCC7EA9BCB755D254620B376B3D007",
    "13F10E5D868A529E",
    "C7152C20BC2C830EA7EC9E8334ABE3FE",
    "C8199237EA5857BC40EF9DA2B5E96BBF",
    "86190176866EC17FB32685ADB6ADA83B",
    "0123456789ABCDEFFEDCBA9876543210",
    "EA671925BFD6B6F1A28051857C2CC1D9",
    "98519E45CBB9291F49EFAD4AFEFDDC79",
    "9EBA92C480D338D34C0BD33846CDFBFB",
    "C8A16DABB957C1761652C1A49E836294",
    "38E6C12FC4CB168085230D0792315854",
    "D3FD02258F68EFBAC8BC9B54EF46195D",
    "0B169746643829CD0489A8AB8A268016",
    "101013131515161619191A1A1C1C1F1F",
    "642C7904A4D5C238CD6E7A9D76D36449",
    "AFF176C59049CAD1A171A0D55E9162F6",
];

/// Clear PINs of the vectors that are too long to turn up by chance, as they would lie in a PIN block or as text.
const PINS: &[&str] = &["340367", "300672", "373757", "121791"];

/// Commands whose wire carries secrets in clear by definition, so that their guests hold them.
const CLEAR_BY_DEFINITION: &[([u8; 2], &str)] = &[
    (*b"BA", "the request has a clear PIN"),
    (*b"NG", "the response has a clear PIN"),
    (*b"BM", "the request lists clear PINs that are to be weak"),
    (*b"QA", "the request has the clear PINs that customers chose"),
    (*b"QC", "as QA"),
    (*b"LA", "the request has what user storage is to hold, whatever it is"),
    (*b"LE", "the response has what user storage holds"),
];

static FOUND: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LOOKS: Mutex<usize> = Mutex::new(0);
/// Held by a test while it runs: what is found is that test's.
static TURN: Mutex<()> = Mutex::new(());

fn secrets() -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let lmk = Lmk::test_variant();
    let pairs =
        LmkPair::all().filter_map(|pair| lmk.pair(pair).map(|key| (format!("LMK {pair}"), key.bytes().to_vec())));
    // Pairs of one repeated byte could be anything.
    all.extend(pairs.filter(|(_, key)| key.windows(2).filter(|w| w[0] != w[1]).count() > 3));
    for lmk in [Lmk::test_keyblock_aes(), Lmk::test_keyblock_tdes()] {
        all.push(("key-block LMK".to_owned(), lmk.key_block_key().unwrap().bytes().to_vec()));
    }
    for key in KEYS {
        all.push((format!("key {key}"), hex::decode(key).unwrap().to_vec()));
        all.push((format!("key {key} as text"), key.as_bytes().to_vec()));
    }
    for pin in PINS {
        all.push((format!("PIN {pin} as digits"), pin.bytes().map(|c| c - b'0').collect()));
        let block = format!("06{pin}FFFFFFFF");
        all.push((format!("PIN {pin} in a block"), hex::decode(block).unwrap().to_vec()));
    }
    all
}

/// An engine whose guests are searched.
fn watched(plugins: &SharedPlugins, module: SecurityModule) -> Engine {
    let mut engine = Engine::new(plugins.clone(), module);
    engine.probe_memory(|| {
        let secrets = secrets();
        Box::new(move |memory| {
            *LOOKS.lock().unwrap() += 1;
            for (name, secret) in &secrets {
                // A command whose request carries a secret in clear (a PVV is not one) would be found here too.
                if memory.windows(secret.len()).any(|window| window == secret) {
                    FOUND.lock().unwrap().push(name.clone());
                }
            }
        })
    });
    engine
}

#[test]
fn no_guest_ever_holds_a_secret() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let plugins = SharedPlugins::new(PluginSet::load(None, &Limits::default()).unwrap());
    let mut commands = std::collections::BTreeSet::new();
    for (vector, module) in runnable() {
        let mut engine = watched(&plugins, module);
        let mut out = Vec::new();
        engine.process(&vector.request, None, false, &mut out);
        let found: Vec<String> = std::mem::take(&mut *FOUND.lock().unwrap());
        assert!(found.is_empty(), "{}: {found:?} in the memory of {}", vector.id, vector.code.escape_ascii());
        commands.insert(vector.code);
    }
    assert!(*LOOKS.lock().unwrap() > 3 * commands.len(), "the probe did not look");
    assert!(commands.len() >= 10, "only {} commands were run", commands.len());
}

/// The same for every command and kind of LMK, with the golden exchanges.
#[test]
fn no_exchange_shows_a_guest_a_secret() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let plugins = SharedPlugins::new(PluginSet::load(None, &Limits::default()).unwrap());
    let mut commands = std::collections::BTreeSet::new();
    for exchange in exchanges() {
        if CLEAR_BY_DEFINITION.iter().any(|(code, _)| *code == exchange.code()) {
            continue;
        }
        let mut engine = watched(&plugins, exchange.module());
        for request in exchange.before.iter().chain([&exchange.request]) {
            let mut out = Vec::new();
            engine.process(request, None, false, &mut out);
        }
        let found: Vec<String> = std::mem::take(&mut *FOUND.lock().unwrap());
        assert!(found.is_empty(), "{}: {found:?} in a guest's memory", exchange.id);
        commands.insert(exchange.code());
    }
    assert_eq!(commands.len() + CLEAR_BY_DEFINITION.len(), plugins.current().infos().count());
}

/// The search itself finds what is there.
#[test]
fn the_search_finds_secrets() {
    let mut memory = vec![0u8; 65536];
    memory[1000..1016].copy_from_slice(&hex::decode("0123456789ABCDEFFEDCBA9876543210").unwrap());
    assert!(secrets().iter().any(|(_, secret)| memory.windows(secret.len()).any(|window| window == secret)));
}
