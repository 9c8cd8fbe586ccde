//! Makes every file of `src/bin` a module of the library too, so that a new command is a new file and nothing else.

use std::{env, fs, io, path::Path};

fn main() -> io::Result<()> {
    let bins = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin");
    println!("cargo::rerun-if-changed={}", bins.display());
    let mut files: Vec<_> = fs::read_dir(&bins)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|ext| ext == "rs"));
    files.sort();

    let mut modules = String::new();
    let mut table = String::new();
    for path in &files {
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        modules += &format!("#[path = {path:?}]\npub mod cmd_{name};\n");
        table += &format!("    &cmd_{name}::COMMAND,\n");
    }
    let out = format!(
        "{modules}\n/// Every bundled command, in the order of the codes.\npub static COMMANDS: &[&hsm_plugin_sdk::Command] = &[\n{table}];\n"
    );
    let to = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    fs::write(Path::new(&to).join("commands.rs"), out)
}
