//! Host command vectors, the module each was recorded on, and how an answer is compared with the one on record.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(dead_code, unreachable_pub, reason = "each test program uses some of it")]

pub mod asymmetric;
pub mod exchanges;

use hsm_core::lmk::{Lmk, LmkPair};
use hsm_core::printer::MemoryPrinter;
use hsm_core::{ChangeEntry, ChangeRole, ClearKey, LmkSlots, SecurityModule, Session, Settings};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// One request and the response on record.
#[derive(Debug, Clone)]
pub struct Vector {
    pub id: String,
    pub lmk: String,
    pub code: [u8; 2],
    pub request: Vec<u8>,
    pub response: Vec<u8>,
    pub config: Value,
    pub note: String,
}

const NOT_A_DEVICE: [&str; 5] = ["simulator_specific", "identity_lmk", "foreign_lmk", "wire_only", "console"];

/// Commands whose response is random.
const RANDOM: [&[u8; 2]; 16] =
    [b"A0", b"A2", b"AS", b"BI", b"EI", b"FG", b"FI", b"FY", b"HA", b"HC", b"IA", b"JA", b"L0", b"NE", b"OC", b"OE"];

/// Vectors that are not a device's behaviour after all, each with its reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    (
        "thales_host_commands_variant-099",
        "a simulator's CI: TDES DUKPT and a KSN longer than its descriptor says (pins.md 2.12)",
    ),
    ("thales_host_commands_variant-100", "as 099"),
    ("thales_host_commands_variant-101", "as 099"),
    ("thales_host_commands_variant-103", "a simulator's CK: as 099"),
    ("thales_host_commands_variant-008", "GG: the simulator tags the ZMK X, the manual's is untagged (keys.md 9, 16)"),
    (
        "thales_host_commands_variant-074",
        "AG: the simulator appends a check value, the manual has none (keys.md 9, 10)",
    ),
];

/// Vectors of devices whose security setting has decimalisation tables in plain text.
const PLAIN_TABLES: [&str; 3] =
    ["thales_host_commands_variant-172", "thales_host_commands_variant-173", "pin_commands.tsv:35"];

/// PINs under the LMK as a device wrote them, and the same PINs as the emulator's clear mode does. The cipher of the device is not public, but
/// the PINs are known from the PIN blocks of the same samples (pins.md 3.1).
const DEVICE_PINS: [(&str, &str); 3] = [("0258743", "0300672"), ("0676280", "0121791"), ("4848867", "0340367")];

/// The vectors of commands that exist, with the module each needs.
pub fn runnable() -> Vec<(Vector, SecurityModule)> {
    let all = vectors().into_iter().filter(|v| hsm_plugins::COMMANDS.iter().any(|c| c.code == v.code));
    let all = all.filter(|v| !EXCEPTIONS.iter().any(|(id, _)| *id == v.id));
    all.filter_map(|v| module(&v).map(|m| (v, m))).collect()
}

/// The module that a vector was recorded on. Public samples from devices have their key-block LMK in slot 01.
fn module(vector: &Vector) -> Option<SecurityModule> {
    let lmk = match vector.lmk.as_str() {
        "variant" | "any" => None,
        "3des-kb-test" => Some(Lmk::test_keyblock_tdes()),
        "aes-kb-test" => Some(Lmk::test_keyblock_aes()),
        _ => return None,
    };
    let mut slots = LmkSlots::default();
    match lmk {
        None => {
            slots.slots.insert(0, Arc::new(Lmk::test_variant()));
            if vector.code == *b"BW" {
                let (lmk, role) = (Arc::new(old_variant_lmk()), ChangeRole::Old);
                slots.change_storage.insert(0, ChangeEntry { lmk, role });
            }
        }
        Some(lmk) => {
            let lmk = Arc::new(lmk);
            slots.slots.insert(0, lmk.clone());
            slots.slots.insert(1, lmk);
            slots.default = own_lmk(&vector.request);
        }
    }
    let settings = Settings {
        double_length_zmk: !vector.config["zmk_length"].as_str().is_some_and(|length| length.starts_with("single")),
        authorise_all: vector.config["authorised"] != "off",
        component_variant: false,
        encrypted_decimalisation_tables: !PLAIN_TABLES.contains(&vector.id.as_str()),
        pin_length: if vector.lmk == "3des-kb-test" { 6 } else { 4 },
        scheme_downgrade: true,
        ..Settings::default()
    };
    let module = SecurityModule::new(slots, settings);
    module.set_printer(Some(Box::new(MemoryPrinter::default())));
    let load = hsm_plugins::COMMANDS.iter().find(|c| c.code == *b"PA")?;
    load.respond(b">L>010^P>L", &mut Session::new(module.clone()), false);
    Some(module)
}

/// The old LMK of the vectors of BW: the test set, in each pair with another last byte of the left half. Only pair 14-15 is
/// exactly that of the simulator the vectors are from.
pub fn old_variant_lmk() -> Lmk {
    let test = Lmk::test_variant();
    let pairs = LmkPair::all().map(|pair| {
        let mut bytes = test.pair(pair).unwrap().bytes().to_vec();
        bytes[7] ^= 0x0F;
        ClearKey::des(&bytes).unwrap()
    });
    Lmk::variant(pairs.collect()).unwrap()
}

/// The LMK identifier in the first key block of a request: the device's default LMK when the sample was taken.
fn own_lmk(request: &[u8]) -> u8 {
    let block = request.windows(17).find(|w| w[0] == b'S' && w[1..6].iter().all(u8::is_ascii_digit) && w[15] == b'0');
    block.map_or(0, |w| w[16].wrapping_sub(b'0'))
}

/// Fails with every vector that failed; a run of no vectors fails too.
pub fn report(failures: &[String], run: usize) {
    assert!(run > 20, "only {run} vectors were run");
    assert!(failures.is_empty(), "{} of {run} vectors failed:\n{}", failures.len(), failures.join("\n"));
}

/// A failed vector, for a person.
pub fn describe(vector: &Vector, answer: &[u8]) -> String {
    format!(
        "{} {}\n  sent {}\n  want {}\n  got  {}",
        vector.id,
        vector.note,
        vector.request.escape_ascii(),
        vector.response.escape_ascii(),
        answer.escape_ascii()
    )
}

/// Every vector of `plugins/testdata` that describes a device with the test LMKs.
pub fn vectors() -> Vec<Vector> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../plugins/testdata");
    let mut all = Vec::new();
    for file in ["thales_host_commands_variant.json", "thales_host_commands_keyblock.json"] {
        let rows: Vec<Value> = serde_json::from_slice(&std::fs::read(dir.join(file)).unwrap()).unwrap();
        for row in rows {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (inputs, expected) = (&row["inputs"], &row["expected"]);
            let (code, body) = (text(&inputs["command"]), text(&inputs["request_body"]));
            if NOT_A_DEVICE.iter().any(|flag| row[*flag] == true)
                || code.len() != 2
                || expected["response_body"].is_null()
                || body.starts_with('(')
            {
                continue;
            }
            let lmk = inputs["lmk"].as_str().unwrap_or("variant").to_owned();
            // Some sources assert the error code only; then the rest was recomputed.
            let whole = &expected["recomputed"]["full_response_body_recomputed"];
            let body_of_response = if whole.is_string() { whole } else { &expected["response_body"] };
            let response = text(&expected["response_command"]) + &text(body_of_response);
            all.push(Vector {
                id: text(&row["id"]),
                lmk,
                code: code.as_bytes().try_into().unwrap(),
                request: bytes(&(code.clone() + &body)),
                response: bytes(&response),
                config: inputs["config"].clone(),
                note: format!("{} [{}]", text(&row["description"]), text(&row["source"])),
            });
        }
    }
    let table = std::fs::read_to_string(dir.join("pin_commands.tsv")).unwrap();
    for (n, line) in table.lines().enumerate().skip(1) {
        let mut columns = line.split('\t');
        let mut next = || columns.next().unwrap_or_default().to_owned();
        let (lmk, source, request, response, note) = (next(), next(), next(), next(), next());
        let lmk = match lmk.as_str() {
            "3DES-KB" => "3des-kb-test".to_owned(),
            "AES-KB" => "aes-kb-test".to_owned(),
            other => other.to_owned(),
        };
        all.push(Vector {
            id: format!("pin_commands.tsv:{n}"),
            lmk,
            code: request.as_bytes()[..2].try_into().unwrap(),
            request: bytes(&request),
            response: bytes(&response),
            config: Value::Null,
            note: format!("{note} [{source}]"),
        });
    }
    for vector in all.iter_mut().filter(|vector| vector.lmk == "3des-kb-test") {
        for (device, emulator) in DEVICE_PINS {
            replace(&mut vector.request, device.as_bytes(), emulator.as_bytes());
            replace(&mut vector.response, device.as_bytes(), emulator.as_bytes());
        }
    }
    all
}

/// Replaces a text by another of the same length.
fn replace(text: &mut [u8], from: &[u8], to: &[u8]) {
    for at in 0..text.len().saturating_sub(from.len() - 1) {
        if text[at..].starts_with(from) {
            text[at..at + to.len()].copy_from_slice(to);
        }
    }
}

/// `{AB12}` in a text stands for raw bytes.
fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once('{') {
        let (hex, after) = tail.split_once('}').unwrap();
        out.extend(before.chars().map(|c| c as u8));
        out.extend((0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()));
        rest = after;
    }
    out.extend(rest.chars().map(|c| c as u8));
    out
}

/// Whether an answer is the one on record: byte for byte, or where it is random, the same in everything that is not.
pub fn agrees(vector: &Vector, answer: &[u8]) -> bool {
    let want = vector.response.as_slice();
    if want == answer {
        return true;
    }
    if vector.code == *b"NC" {
        // The firmware number is the emulator's own.
        return want.len() == answer.len() && want[..20] == answer[..20];
    }
    let has_block = want.windows(2).any(|w| w == b"S0" || w == b"S1");
    if vector.code == *b"GM" {
        // Some rows show the hash as text: on the wire it is raw bytes.
        let shown: String = answer.iter().skip(4).map(|b| format!("{b:02X}")).collect();
        return want.get(..4) == answer.get(..4) && want.get(4..) == Some(shown.as_bytes());
    }
    if RANDOM.contains(&&vector.code) || has_block {
        return shape(want) == shape(answer);
    }
    let random_fill = want.ends_with(b"05") || want.ends_with(b"47") || want.ends_with(b"48");
    matches!(&vector.code, b"CA" | b"CC" | b"CI" | b"G0" | b"JG")
        && random_fill
        && want.len() == answer.len()
        && want[..6] == answer[..6]
        && want[want.len() - 2..] == answer[answer.len() - 2..]
}

/// An answer with its longer runs of hexadecimal digits blanked; key block headers stay.
fn shape(answer: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < answer.len() {
        let rest = &answer[at..];
        let is_block = rest.len() > 17 && matches!(rest[0], b'S' | b'R') && rest[2..6].iter().all(u8::is_ascii_digit);
        if is_block {
            out.extend_from_slice(&rest[..17]);
            at += 17;
            continue;
        }
        let run = rest.iter().take_while(|c| c.is_ascii_hexdigit()).count();
        if at >= 4 && run >= 6 {
            out.extend(std::iter::repeat_n(b'h', run));
            at += run;
        } else {
            out.push(answer[at]);
            at += 1;
        }
    }
    out
}
