//! Compiles the bundled host commands for wasm32 and embeds them, so that the server has all its commands without a plugin directory.

use std::{env, error::Error, fs, path::Path, path::PathBuf, process::Command};

const TARGET: &str = "wasm32-unknown-unknown";

fn main() -> Result<(), Box<dyn Error>> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for input in ["plugins/src", "plugins/Cargo.toml", "hsm-plugin-sdk/src", "hsm-plugin-sdk/Cargo.toml", "Cargo.toml"]
    {
        println!("cargo::rerun-if-changed={}", workspace.join(input).display());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    // Beside the outer target directory's profiles: shared by all of them, and not locked by the outer cargo.
    let target_dir = out.ancestors().nth(4).ok_or("OUT_DIR is too short")?.join("guests");

    if !has_target()? {
        return Err(format!(
            "the bundled host commands are WASM plugins and the target {TARGET} is not installed.\n\
             Install it with: rustup target add {TARGET}"
        )
        .into());
    }
    let mut cargo = Command::new(env::var_os("CARGO").ok_or("CARGO is not set")?);
    cargo
        .current_dir(&workspace)
        .args(["build", "--package", "hsm-plugins", "--bins", "--locked"])
        .args(["--target", TARGET, "--profile", "guest", "--target-dir"])
        .arg(&target_dir)
        // Small stacks keep a guest in one page of memory, which every request pays for restoring.
        .env("CARGO_ENCODED_RUSTFLAGS", "-Clink-arg=-zstack-size=16384");
    // What the outer build set for itself does not hold for the guests.
    for leak in ["RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET", "CLIPPY_ARGS"] {
        cargo.env_remove(leak);
    }
    if !cargo.status()?.success() {
        return Err("building the bundled host commands failed; the messages above say why".into());
    }

    let built = target_dir.join(TARGET).join("guest");
    let mut sources: Vec<PathBuf> = fs::read_dir(workspace.join("plugins/src/bin"))?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    sources.retain(|path| path.extension().is_some_and(|ext| ext == "rs"));
    sources.sort();
    let mut table = String::from(
        "/// Name and module of every bundled plugin.\npub(crate) static BUNDLED: &[(&str, &[u8])] = &[\n",
    );
    for source in sources {
        let name =
            source.file_stem().and_then(|stem| stem.to_str()).ok_or("a plugin's file name is not UTF-8")?.to_owned();
        let module = built.join(&name).with_extension("wasm");
        table += &format!("    ({name:?}, include_bytes!({module:?})),\n");
    }
    table += "];\n";
    fs::write(out.join("bundled.rs"), table)?;
    Ok(())
}

/// Whether the compiler has a standard library for the guests.
fn has_target() -> Result<bool, Box<dyn Error>> {
    let rustc = env::var_os("RUSTC").ok_or("RUSTC is not set")?;
    let libdir = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output()?;
    Ok(libdir.status.success() && Path::new(String::from_utf8(libdir.stdout)?.trim()).exists())
}
