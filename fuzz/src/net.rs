//! The framing of hsm-server, from its own files: the crate itself would bring the WASM compiler into every fuzz build.

#![allow(dead_code, missing_docs, reason = "the event loop uses the rest")]

#[path = "../../hsm-server/src/net/frame.rs"]
pub(crate) mod frame;
#[path = "../../hsm-server/src/net/response.rs"]
pub(crate) mod response;
