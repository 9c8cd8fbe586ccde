//! `hsm plugin`: plugins listed, checked, created and built.

mod build;
mod check;
mod create;
mod list;

use hsm_server::PluginInfo;
use serde_json::{Value, json};

const AFTER_HELP: &str = "\
From nothing to a running command:
  hsm plugin create ZX --desc 'Say hello' --version 0.1.0 --author 'Me <me@example.com>' --path hello
  hsm plugin build hello
  hsm serve --plugin-dir hello/plugins";

subcommands! {
    /// List, check, create and build plugins
    #[command(after_help = AFTER_HELP)]
    List = list,
    Check = check,
    Create = create,
    Build = build,
}

/// A plugin as scripts want it.
fn as_json(info: &PluginInfo) -> Value {
    json!({
        "code": info.code_text(),
        "title": info.title,
        "version": info.version,
        "author": info.author,
        "description": info.description,
        "origin": info.origin,
        "bytes": info.size,
        "imports": info.imports,
        "slow": info.slow,
    })
}
