//! `hsm key inspect`: what is this cryptogram?

use crate::exit::usage;
use crate::keys::{self, NamedType, Source};
use crate::lmks::{LmkArgs, Lmks};
use crate::{output, secret, wire};
use hsm_core::Algorithm;
use hsm_core::inspect::{
    BlockReport, Candidate, CheckMatch, HeaderField, Query, Repair, Report, Shape, Under, Verdict, WrappingKey, inspect,
};
use hsm_core::key_block::header::Family;
use hsm_core::key_type::KeyType;
use hsm_core::scheme::KeyScheme;
use serde_json::{Value, json};
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Tries the LMKs, every key type and component, every scheme of the length, and the ZMKs that are given; for key
blocks it explains the header and checks the MAC. What comes out with odd parity in every byte or a good MAC is told. With
--kcv damage is looked for: one wrong, missing, superfluous or exchanged digit, bytes that a text encoding made 3F, swapped
halves. Where several values are -, each takes a line of standard input: key, ZMKs.
Exit codes: 0 the key is plausible as it is, 1 it is not (but see what would repair it), 2 wrong usage.

Examples:
  hsm key inspect U9B4934384B19946B040CD702B4D58145
  hsm key inspect U9B4934384B19946B140CD702B4D58145 --kcv 08D7B4
  hsm key inspect X6A2C67C227784BC5D8508B6BED82ECB8 --zmk 851A0D9D0B2A1602622AD0B0E9E6B070
  hsm key inspect S00072P0TB00E0001EA421618B34F5FA1A77F7CF6480111B97CF0FAE7BD77D589EC921EF9";

/// Say what a cryptogram or key block plausibly is
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Key with or without scheme letter, or key block; - reads it from standard input
    #[arg(value_name = "CRYPTOGRAM")]
    key: String,

    /// Check value that the key should have: 4 digits or more
    #[arg(long, value_name = "HEX")]
    kcv: Option<String>,

    /// Only this key type
    #[arg(long = "type", value_name = "TYPE")]
    key_type: Option<NamedType>,

    /// ZMK, TMK or key block protection key to try as well, once for each: clear (aes:DIGITS for AES), or under an LMK; - reads it from standard input
    #[arg(long, value_name = "KEY")]
    zmk: Vec<String>,

    #[command(flatten)]
    lmk: LmkArgs,

    /// Show what was tried in vain, too
    #[arg(long)]
    all: bool,

    /// Show clear keys
    #[arg(long)]
    clear: bool,

    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hsm key inspect`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let text = secret::get("key", &args.key)?;
    let kcv = args.kcv.as_deref().map(|kcv| secret::hex("check value", kcv)).transpose()?;
    if kcv.as_ref().is_some_and(|kcv| kcv.len() < 2) {
        return Err(usage("--kcv: a check value has at least 4 digits"));
    }
    let lmks = args.lmk.lmks();
    let slots = lmks.searched()?;
    let wrapping_keys = wrapping_keys(&lmks, &args.zmk)?;
    let query = Query {
        text: &text,
        lmks: &slots,
        wrapping_keys: &wrapping_keys,
        check_value: kcv.as_ref().map(|kcv| kcv.as_slice()),
        key_type: args.key_type.map(|named| named.resolve(&lmks)).transpose()?,
        all: args.all,
    };
    let report = inspect(&query);
    let show = Show { clear: args.clear };
    if args.json {
        output::json(&show.json(&report, &query))?;
    } else {
        output::text(&show.text(&report, &query))?;
    }
    Ok(if report.is_plausible(&query) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Wrapping keys by number. Clear digits that could be a TDES or an AES key are taken for both.
pub(in crate::cmd) fn wrapping_keys(lmks: &Lmks, arguments: &[String]) -> anyhow::Result<Vec<WrappingKey>> {
    let types = [KeyType::ZMK, KeyType::tmk(false), KeyType::tmk(true)];
    let mut found = Vec::new();
    for (number, argument) in (1..).zip(arguments) {
        let name = if arguments.len() > 1 { format!("ZMK {number}") } else { "ZMK".to_owned() };
        let text = secret::get(&name, argument)?;
        let open = |algorithm| Source { algorithm, ..Source::wrapping(lmks, &name, &types) }.open(&text);
        let bare = text.chars().all(|c| c.is_ascii_hexdigit() || c.is_whitespace());
        match (open(Algorithm::Des), open(Algorithm::Aes)) {
            (Ok(des), Ok(aes)) if bare => {
                found.push(WrappingKey { name: format!("{name} as TDES"), key: des.key });
                found.push(WrappingKey { name: format!("{name} as AES"), key: aes.key });
            }
            (Err(_), Ok(opened)) | (Ok(opened), _) => found.push(WrappingKey { name, key: opened.key }),
            (Err(error), Err(_)) => return Err(error),
        }
    }
    Ok(found)
}

/// How findings are shown.
pub(in crate::cmd) struct Show {
    /// Whether with clear keys.
    pub(in crate::cmd) clear: bool,
}

impl Show {
    /// The report for people.
    pub(in crate::cmd) fn text(&self, report: &Report, query: &Query<'_>) -> String {
        let mut out = format!("{}\n", shape(report));
        for remark in &report.remarks {
            out += &format!("note: {remark}\n");
        }
        if let Some(block) = &report.block {
            out += &self.block_text(block);
        } else if matches!(report.shape, Shape::Cryptogram { .. } | Shape::Unknown) {
            out += &self.candidates_text(report, query);
        }
        if !report.repairs.is_empty() {
            out += "\nLikely damage:\n";
            let rows: Vec<_> = report.repairs.iter().map(|repair| self.repair_row(repair)).collect();
            out += &output::table(["WHAT IS WRONG", "THEN IT IS", "KCV", "REPAIRED"], &rows);
        }
        out
    }

    fn candidates_text(&self, report: &Report, query: &Query<'_>) -> String {
        let mut out = String::new();
        if report.candidates.is_empty() && report.tried > 0 {
            out += &format!("\nNone of {} combinations of LMK, key type and scheme gives odd parity.\n", report.tried);
        } else if !report.candidates.is_empty() {
            out += "\nIt may be, the most plausible first:\n";
            out += &self.candidates_table(&report.candidates);
            if query.check_value.is_some() && report.candidates.iter().all(|c| c.check_match.is_none()) {
                out += "None of these has the expected check value.\n";
            }
        }
        if !report.is_plausible(query) && !report.partly.is_empty() {
            out += "\nA part of it has odd parity throughout, as if another part were damaged:\n";
            out += &self.candidates_table(&report.partly);
            if query.check_value.is_none() {
                out += "With --kcv the damage can be looked for.\n";
            }
        }
        out
    }

    fn candidates_table(&self, candidates: &[Candidate]) -> String {
        let rows: Vec<_> = candidates
            .iter()
            .map(|candidate| {
                [
                    under(candidate),
                    kind(candidate),
                    scheme(candidate),
                    parity(candidate),
                    short(&candidate.check_value),
                    self.notes(candidate),
                ]
            })
            .collect();
        output::table(["UNDER", "KEY", "SCHEME", "PARITY", "KCV", "NOTES"], &rows)
    }

    fn notes(&self, candidate: &Candidate) -> String {
        let mut notes = Vec::new();
        match candidate.check_match {
            Some(CheckMatch::Whole) => notes.push("the expected check value".to_owned()),
            Some(CheckMatch::Parts) => notes.push("the expected check values of the halves".to_owned()),
            Some(CheckMatch::FirstPart) => notes.push("the first half has the expected check value".to_owned()),
            None => {}
        }
        if candidate.has_equal_parts() {
            notes.push("equal parts: no stronger than a shorter key".to_owned());
        }
        if self.clear {
            notes.push(format!("clear {}", keys::digits(&candidate.key)));
        }
        notes.join(", ")
    }

    fn repair_row(&self, repair: &Repair) -> [String; 4] {
        let candidate = &repair.candidate;
        let mut what = format!("{} under {}", kind(candidate), under(candidate));
        if self.clear {
            what += &format!(", clear {}", keys::digits(&candidate.key));
        }
        [repair.defect.to_string(), what, short(&candidate.check_value), repair.text.clone()]
    }

    /// A key block for people.
    fn block_text(&self, block: &BlockReport) -> String {
        let rows: Vec<_> = block
            .header
            .iter()
            .map(|field| {
                let HeaderField { name, text, meaning } = field;
                let meaning =
                    meaning.clone().unwrap_or_else(|error| format!("wrong: {error} (error {})", error.code()));
                [(*name).to_owned(), text.clone(), meaning]
            })
            .collect();
        let mut out = format!("\n{}", output::table(["FIELD", "TEXT", "MEANING"], &rows));
        match &block.optional {
            Ok(fields) if fields.is_empty() => {}
            Ok(fields) => {
                let rows: Vec<_> = fields.iter().map(|f| [f.id.clone(), f.name.to_owned(), f.data.clone()]).collect();
                out += &format!("\n{}", output::table(["BLOCK", "WHAT IT IS", "DATA"], &rows));
            }
            Err(error) => out += &format!("\nthe block cannot be read: {error} (the HSM answers {})\n", error.code()),
        }
        if let Some(Err(error)) = block.permitted {
            out += &format!("note: the header is not permitted: {error} (the HSM answers {})\n", error.code());
        }
        if block.verdicts.is_empty() {
            out += "\nThere is no key to check the MAC with: give one with --zmk or --kbpk\n";
        } else {
            let rows: Vec<_> = block.verdicts.iter().map(|verdict| self.verdict_row(verdict)).collect();
            out += &format!("\n{}", output::table(["UNDER", "MAC", "CONTENTS", "KCV", "NOTES"], &rows));
        }
        out
    }

    fn verdict_row(&self, verdict: &Verdict) -> [String; 5] {
        let mac = match verdict.authenticated() {
            Some(true) => "good",
            Some(false) => "wrong",
            None => "-",
        };
        let under = verdict.under.to_string();
        match &verdict.opened {
            Ok(candidate) => [
                under,
                mac.to_owned(),
                length(candidate),
                short(&candidate.check_value),
                match (candidate.odd_parity(), self.notes(candidate)) {
                    (true, notes) => notes,
                    (false, notes) if notes.is_empty() => "no odd parity".to_owned(),
                    (false, notes) => format!("no odd parity, {notes}"),
                },
            ],
            Err(error) => {
                [under, mac.to_owned(), String::new(), String::new(), format!("{error} (error {})", error.code())]
            }
        }
    }

    /// The report for scripts.
    pub(in crate::cmd) fn json(&self, report: &Report, query: &Query<'_>) -> Value {
        let candidates = |found: &[Candidate]| found.iter().map(|c| self.candidate_json(c)).collect::<Vec<_>>();
        let repairs: Vec<_> = report
            .repairs
            .iter()
            .map(|repair| {
                json!({
                    "defect": repair.defect.to_string(),
                    "repaired": repair.text,
                    "key": self.candidate_json(&repair.candidate),
                })
            })
            .collect();
        json!({
            "form": shape(report),
            "plausible": report.is_plausible(query),
            "notes": report.remarks.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "candidates": candidates(&report.candidates),
            "partly_good": candidates(&report.partly),
            "block": report.block.as_ref().map(|block| self.block_json(block)),
            "repairs": repairs,
            "tried": report.tried,
        })
    }

    fn candidate_json(&self, candidate: &Candidate) -> Value {
        let reading = &candidate.reading;
        json!({
            "under": reading.under.to_string(),
            "type": reading.key_type.map(|key_type| key_type.to_string()),
            "names": reading.key_type.and_then(KeyType::info).map(|info| info.names),
            "component": reading.component,
            "scheme": reading.scheme.tag().map(|tag| char::from(tag).to_string()),
            "as_written": reading.as_written,
            "atalla_variant": reading.atalla.number(),
            "algorithm": format!("{:?}", candidate.key.algorithm()).to_ascii_uppercase(),
            "bytes": candidate.key.len(),
            "odd_parity": candidate.odd_parity(),
            "odd_bytes": candidate.odd_bytes,
            "kcv": short(&candidate.check_value),
            "kcv_match": candidate.check_match.map(|found| match found {
                CheckMatch::Whole => "whole",
                CheckMatch::Parts => "parts",
                CheckMatch::FirstPart => "first part",
            }),
            "equal_parts": candidate.has_equal_parts(),
            "clear": self.clear.then(|| keys::digits(&candidate.key)),
        })
    }

    fn block_json(&self, block: &BlockReport) -> Value {
        let header: Vec<_> = block
            .header
            .iter()
            .map(|field| {
                json!({
                    "field": field.name,
                    "text": field.text,
                    "meaning": field.meaning.as_ref().ok(),
                    "error": field.meaning.as_ref().err().map(|error| error.code()),
                })
            })
            .collect();
        let verdicts: Vec<_> = block
            .verdicts
            .iter()
            .map(|verdict| {
                json!({
                    "under": verdict.under.to_string(),
                    "mac_good": verdict.authenticated(),
                    "key": verdict.opened.as_ref().ok().map(|candidate| self.candidate_json(candidate)),
                    "error": verdict.opened.as_ref().err().map(|error| error.code()),
                    "reason": verdict.opened.as_ref().err().map(ToString::to_string),
                })
            })
            .collect();
        let optional = block.optional.as_ref().map(|fields| {
            fields.iter().map(|f| json!({"id": f.id, "name": f.name, "data": f.data})).collect::<Vec<_>>()
        });
        json!({
            "family": if block.family == Family::Thales { "Thales" } else { "TR-31" },
            "header": header,
            "optional_blocks": optional.as_ref().ok(),
            "error": optional.err().map(|error| error.code()),
            "permitted": block.permitted.map(|permitted| permitted.is_ok()),
            "verdicts": verdicts,
        })
    }
}

fn shape(report: &Report) -> String {
    match report.shape {
        Shape::Cryptogram { tag: Some(tag), digits } => format!("{digits} digits in scheme {tag:?}"),
        Shape::Cryptogram { tag: None, digits } => format!("{digits} digits without scheme letter"),
        Shape::Block(Family::Thales) => "Thales key block".to_owned(),
        Shape::Block(Family::X9143) => "TR-31 / X9.143 key block".to_owned(),
        Shape::Stored => "a reference into user storage, which only the HSM can follow".to_owned(),
        Shape::Unknown => "no key that a host command could carry".to_owned(),
    }
}

fn under(candidate: &Candidate) -> String {
    match (&candidate.reading.under, candidate.reading.atalla.number()) {
        (under, 0) => under.to_string(),
        (under, atalla) => format!("{under}, Atalla variant {atalla}"),
    }
}

fn kind(candidate: &Candidate) -> String {
    let component = if candidate.reading.component { "component of " } else { "" };
    match (candidate.reading.key_type, &candidate.reading.under) {
        (Some(key_type), _) => format!("{component}{}", keys::type_name(key_type)),
        (None, Under::Nothing) => format!("a clear key, {}", length(candidate)),
        (None, _) => length(candidate),
    }
}

fn scheme(candidate: &Candidate) -> String {
    let reading = &candidate.reading;
    if reading.under == Under::Nothing {
        return "-".to_owned();
    }
    match (reading.scheme.tag(), reading.as_written) {
        (Some(tag), true) => char::from(tag).to_string(),
        (Some(tag), false) => format!("{}, not as written", char::from(tag)),
        (None, as_written) => {
            let letter = if reading.scheme == KeyScheme::Single { 'Z' } else { 'X' };
            format!("{letter} or none{}", if as_written { "" } else { ", not as written" })
        }
    }
}

fn length(candidate: &Candidate) -> String {
    let bits = 8 * candidate.key.len();
    match candidate.key.algorithm() {
        Algorithm::Des => match candidate.key.len() {
            8 => "single-length DES".to_owned(),
            16 => "double-length TDES".to_owned(),
            _ => "triple-length TDES".to_owned(),
        },
        Algorithm::Aes => format!("AES-{bits}"),
        Algorithm::Hmac => format!("HMAC key of {} bytes", candidate.key.len()),
        Algorithm::Rsa => "RSA private key".to_owned(),
        Algorithm::Ec => "EC private key".to_owned(),
    }
}

fn parity(candidate: &Candidate) -> String {
    if candidate.odd_bytes.is_empty() {
        return "-".to_owned();
    }
    if candidate.odd_parity() {
        return "odd".to_owned();
    }
    let parts: Vec<String> = candidate.odd_bytes.iter().map(|odd| format!("{odd}/8")).collect();
    parts.join(" ")
}

fn short(check_value: &[u8]) -> String {
    wire::hex(check_value.get(..3).unwrap_or(check_value))
}
