//! `docs/plugin-abi.md` describes every operation of the ABI: its list is made from the tables in `src/abi/ops`, and this test fails when
//! it is not the one that is written there. `HSM_UPDATE_DOCS=1 cargo test -p hsm-plugin-sdk --test abi_doc` writes it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy.toml frees the tests, not their helper functions")]

use hsm_plugin_sdk::abi;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

const BEGIN: &str = "<!-- operations: written by hsm-plugin-sdk/tests/abi_doc.rs -->\n";
const END: &str = "<!-- end of operations -->\n";

/// A family of operations, as its file declares it.
struct Family {
    title: String,
    /// What holds for all of them.
    about: String,
    operations: Vec<Operation>,
}

struct Operation {
    name: String,
    /// `(arguments) -> result`, on one line.
    signature: String,
    doc: String,
    slow: bool,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn document() -> PathBuf {
    root().join("../docs/plugin-abi.md")
}

/// The tables, in the order of their files' names.
fn families() -> Vec<Family> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(root().join("src/abi/ops")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().filter_map(|file| family(&fs::read_to_string(file).unwrap())).collect()
}

/// Reads the `host_operations!` table of a file.
fn family(source: &str) -> Option<Family> {
    let (_, table) = source.split_once("\nhost_operations! {")?;
    let mut family = Family { title: String::new(), about: String::new(), operations: Vec::new() };
    let mut doc = String::new();
    let mut declaration = String::new();
    for line in table.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc.push_str(text);
        } else if line.starts_with("pub trait ") {
            let text = unlink(std::mem::take(&mut doc).trim());
            let (title, about) = text.split_once(". ").unwrap_or((text.trim_end_matches('.'), ""));
            (family.title, family.about) = (title.to_owned(), about.trim().to_owned());
        } else if line == "}" {
            break;
        } else if !line.is_empty() {
            declaration.push(' ');
            declaration.push_str(line);
            if line.ends_with(';') {
                family.operations.push(operation(&std::mem::take(&mut declaration), &std::mem::take(&mut doc)));
            }
        }
    }
    Some(family)
}

fn operation(declaration: &str, doc: &str) -> Operation {
    let (modifiers, rest) = declaration.split_once("fn ").unwrap();
    let (name, signature) = rest.trim_end_matches(';').split_at(rest.find('(').unwrap());
    Operation {
        name: name.to_owned(),
        signature: signature.replace("( ", "(").replace(", )", ")").replace("<'_>", ""),
        doc: unlink(doc.trim()),
        slow: modifiers.contains("@slow"),
    }
}

/// Links to items, as mere names.
fn unlink(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("[`") {
        let Some((name, after)) = link.split_once("`]") else { break };
        let target = after.strip_prefix('(').and_then(|target| target.split_once(')'));
        write!(out, "{before}`{name}`").unwrap();
        rest = target.map_or(after, |(_, after)| after);
    }
    out + rest
}

/// The list as the document has it.
fn list(families: &[Family]) -> String {
    let mut out = String::new();
    for family in families.iter().filter(|family| !family.operations.is_empty()) {
        write!(out, "\n### {}\n\n", family.title).unwrap();
        if !family.about.is_empty() {
            write!(out, "{}\n\n", family.about).unwrap();
        }
        out.push_str("| Operation | Does |\n|---|---|\n");
        for Operation { name, signature, doc, slow } in &family.operations {
            let slow = if *slow { " *(slow)*" } else { "" };
            let cells = [format!("`{name}{signature}`{slow}"), doc.clone()];
            writeln!(out, "| {} | {} |", cells[0].replace('|', "\\|"), cells[1].replace('|', "\\|")).unwrap();
        }
    }
    out.push('\n');
    out
}

#[test]
fn the_document_has_every_operation() {
    let families = families();
    let found: BTreeSet<&str> = families.iter().flat_map(|f| &f.operations).map(|op| op.name.as_str()).collect();
    let known: BTreeSet<&str> = abi::operations().map(|op| op.name).collect();
    assert_eq!(found, known, "this test reads the tables wrongly");
    for operation in families.iter().flat_map(|f| &f.operations) {
        let info = abi::operations().find(|info| info.name == operation.name).unwrap();
        assert_eq!(info.slow, operation.slow, "{}", operation.name);
    }

    let written = fs::read_to_string(document()).unwrap();
    let (before, rest) = written.split_once(BEGIN).expect("the document has the mark where the list begins");
    let (old, after) = rest.split_once(END).expect("the document has the mark where the list ends");
    let new = list(&families);
    if std::env::var_os("HSM_UPDATE_DOCS").is_some() {
        // In one step: the other tests read the document meanwhile.
        let whole = document().with_extension("md.new");
        fs::write(&whole, [before, BEGIN, &new, END, after].concat()).unwrap();
        fs::rename(whole, document()).unwrap();
        return;
    }
    let missing: Vec<&str> =
        abi::operations().map(|op| op.name).filter(|name| !old.contains(&format!("`{name}("))).collect();
    assert!(
        old == new,
        "docs/plugin-abi.md is not what the tables say; missing: {missing:?}\n\
         Write the list anew: HSM_UPDATE_DOCS=1 cargo test -p hsm-plugin-sdk --test abi_doc"
    );
}

/// Every type in a signature is explained in the document, outside the list.
#[test]
fn the_document_has_every_type() {
    let written = fs::read_to_string(document()).unwrap();
    let (before, rest) = written.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let families = families();
    let signatures = families.iter().flat_map(|f| &f.operations).map(|op| op.signature.as_str());
    let words = signatures.flat_map(|signature| signature.split(|c: char| !c.is_alphanumeric() && c != '_'));
    let types: BTreeSet<&str> = words.filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase())).collect();
    let missing: Vec<&&str> =
        types.iter().filter(|name| ![before, after].iter().any(|text| text.contains(&format!("`{name}")))).collect();
    assert!(missing.is_empty(), "docs/plugin-abi.md does not explain {missing:?}");
}

/// The document's numbers and names are those of the code.
#[test]
fn the_document_has_the_constants() {
    let written = fs::read_to_string(document()).unwrap();
    for text in [
        format!("ABI version {}", abi::ABI_VERSION),
        format!("`{}`", abi::METADATA_SECTION),
        format!("`\"{}\"`", abi::IMPORT_MODULE),
        format!("`{}`", abi::TAKE_RESULT),
        format!("`{}`", abi::EXPORT_MEMORY),
        format!("`{}`", abi::EXPORT_INIT),
        format!("`{}`", abi::EXPORT_ALLOC),
        format!("`{}`", abi::EXPORT_CALL),
        format!("{} bytes", abi::REQUEST_BUFFER),
        format!("`{}`", abi::ErrorCode::INTERNAL.to_abi()),
    ] {
        assert!(written.contains(&text), "docs/plugin-abi.md does not have {text}");
    }
}
