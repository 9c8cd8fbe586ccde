//! Embeds the emulator: builds an engine with the bundled plugins and processes messages in memory, without a socket.

use hsm_core::SecurityModule;
use hsm_server::{Engine, Limits, PluginSet, SharedPlugins};

fn main() -> anyhow::Result<()> {
    let plugins = SharedPlugins::new(PluginSet::load(None, &Limits::default())?);
    let mut engine = Engine::new(plugins, SecurityModule::with_test_lmks());

    // A message without its header: command code and fields. These are CY, verify a CVV: right, wrong, and malformed.
    for request in [
        "CYU9B4934384B19946B040CD702B4D581455614123456789012345;8701101",
        "CYU9B4934384B19946B040CD702B4D581450004123456789012345;8701101",
        "CYU9B4934384B19946B040CD702B4D581455614123456789012345",
    ] {
        let mut response = Vec::new();
        engine.process(request.as_bytes(), None, false, &mut response);
        println!("{request}\n  -> {}", response.escape_ascii());
        if let Some(why) = engine.transcript().and_then(|t| t.explanation.as_ref()) {
            println!("     {}: {}", why.code, why.text);
        }
    }
    Ok(())
}
