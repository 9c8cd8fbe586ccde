//! A command, and the one way to run it.

use crate::{ErrorCode, Hsm, Refusal, Request, Response, Result};

/// A host command: what the [`command!`](crate::command) macro makes of a file.
#[derive(Clone, Copy)]
pub struct Command {
    /// The two-character command code.
    pub code: [u8; 2],
    /// One line that says what the command does, as the manual titles it.
    pub title: &'static str,
    /// The command's logic.
    pub run: for<'h> fn(&mut Request<'h>, &Hsm<'h>) -> Result<Response<'h>>,
}

impl core::fmt::Debug for Command {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Command {{ {}{}: {} }}", char::from(self.code[0]), char::from(self.code[1]), self.title)
    }
}

#[cfg(not(target_family = "wasm"))]
impl Command {
    /// Runs the command natively on the body of a request (everything after the command code).
    ///
    /// Returns error code, fields and trailer, exactly as the WASM build does.
    pub fn respond(&self, body: &[u8], host: &mut dyn crate::Host, trace: bool) -> Vec<u8> {
        // The shorter borrow lets the cell and what it holds have one lifetime.
        let host: &mut dyn crate::Host = &mut *host;
        let cell = core::cell::RefCell::new(host);
        respond(self.run, body, Hsm::new(&cell, trace))
    }
}

/// Runs a command's logic on the body of a request and builds the response: error code, fields and trailer.
///
/// A command that refuses a field behind a PIN block with 15 is run once more, with PIN blocks as long as their format says instead of their
/// key, and that counts if the message can be read so to its end. A command therefore changes nothing before [`Request::end`].
pub fn respond<'h>(
    run: for<'r> fn(&mut Request<'r>, &Hsm<'r>) -> Result<Response<'r>>,
    body: &'h [u8],
    hsm: Hsm<'h>,
) -> Vec<u8> {
    let mut request = Request::new(body, hsm);
    let mut result = run(&mut request, &hsm);
    if let Err(refusal) = &result
        && let Some(mut other) = request.with_blocks_by_format(refusal.code, hsm.untraced())
    {
        let mut second = run(&mut other, &hsm.untraced());
        if other.has_ended() {
            // The fields of the first reading were none.
            if hsm.traces() && hsm.trace_restart().is_ok() {
                other = other.again(hsm);
                second = run(&mut other, &hsm);
            }
            (request, result) = (other, second);
        }
    }
    match result {
        Ok(response) => {
            let mut out = response.into_bytes();
            out.extend_from_slice(request.trailer());
            out
        }
        Err(refusal) => refuse(&hsm, &request, refusal),
    }
}

#[cold]
fn refuse(hsm: &Hsm<'_>, request: &Request<'_>, refusal: Refusal) -> Vec<u8> {
    let Refusal { code, field, offset, rule } = refusal;
    if !field.is_empty() {
        let rule = [rule, &request.hint(&refusal).unwrap_or_default()].concat();
        // Explaining is a courtesy: a host that does not take it changes nothing on the wire.
        let _ = hsm.explain(u16::from_be_bytes(*code.as_bytes()), field, offset as u32, &rule);
    }
    // 00 is not a refusal: a command that says so is broken.
    let code = if code == ErrorCode::OK { ErrorCode::INTERNAL } else { code };
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(code.as_bytes());
    out.extend_from_slice(request.trailer_after_refusal());
    out
}

/// Declares a file's host command: metadata, WASM exports, and a [`Command`] named `COMMAND` for native builds.
///
/// ```
/// use hsm_plugin_sdk::prelude::*;
///
/// command! {
///     code: "ZZ",
///     title: "Say hello",
///     run: hello,
/// }
///
/// fn hello<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
///     let name = req.text("Name", 5)?;
///     req.end()?;
///     let mut resp = hsm.response();
///     resp.text("Greeting", name);
///     Ok(resp)
/// }
/// ```
///
/// Version, author and description come from the package's `Cargo.toml`.
#[macro_export]
macro_rules! command {
    (code: $code:literal, title: $title:literal, run: $run:path $(,)?) => {
        /// This file's command, for native builds.
        pub const COMMAND: $crate::Command = $crate::Command {
            code: *match $code.as_bytes().first_chunk::<2>() {
                Some(code) => code,
                None => b"??",
            },
            title: $title,
            run: $run,
        };

        $crate::__exports!($code, $title, $run);
    };
}

/// The WASM exports of a command; nothing in native builds.
#[doc(hidden)]
#[cfg(not(target_family = "wasm"))]
#[macro_export]
macro_rules! __exports {
    ($code:literal, $title:literal, $run:path) => {
        /// A command is a guest; `cargo run` only says so.
        #[allow(dead_code, reason = "the file is also a module of the package's library")]
        fn main() {
            eprintln!(concat!($code, " is a plugin: build it for wasm32-unknown-unknown"));
        }
    };
}

/// The WASM exports of a command.
#[doc(hidden)]
#[cfg(target_family = "wasm")]
#[macro_export]
macro_rules! __exports {
    ($code:literal, $title:literal, $run:path) => {
        mod exports {
            const METADATA: &str = concat!(
                "abi=1\ncode=",
                $code,
                "\ntitle=",
                $title,
                "\nversion=",
                env!("CARGO_PKG_VERSION"),
                "\nauthor=",
                env!("CARGO_PKG_AUTHORS"),
                "\ndescription=",
                env!("CARGO_PKG_DESCRIPTION"),
                "\n"
            );

            // SAFETY: the section is custom metadata that nothing links against or executes.
            #[used]
            #[unsafe(link_section = "hsm.plugin")]
            static SECTION: [u8; METADATA.len()] = $crate::guest::to_array(METADATA);

            // SAFETY: the three exports of the ABI; no other symbol has these names.
            #[unsafe(no_mangle)]
            extern "C" fn hsm_init() -> *mut u8 {
                $crate::guest::init()
            }

            // SAFETY: as above.
            #[unsafe(no_mangle)]
            extern "C" fn hsm_alloc(len: u32) -> *mut u8 {
                $crate::guest::alloc(len)
            }

            // SAFETY: as above.
            #[unsafe(no_mangle)]
            extern "C" fn hsm_call(ptr: *const u8, len: u32, flags: u32) -> u64 {
                $crate::guest::run(super::COMMAND.run, ptr, len, flags)
            }
        }
    };
}
