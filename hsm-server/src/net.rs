//! The TCP side of the host port: frames in, frames out, nothing about commands.
//!
//! A [`Server`] is one event loop over one [`mio::Poll`]: it accepts connections, cuts their bytes into messages
//! ([`frame`]), hands each message to a [`Handler`] and sends what the handler put into the [`ResponseSink`]. Commands
//! that take milliseconds are handed to a [`WorkerPool`] by answering [`Disposition::Defer`]; the responses of one
//! connection leave in the order of its requests all the same, while other connections go on.
//!
//! ```text
//! socket → InputBuffer → FrameDecoder → Handler ───────────────→ ResponseBuffer → one write
//!                                          └ Defer → WorkerPool → Completion ─┘ (mio::Waker)
//! ```
//!
//! What is absent, on purpose: no lock and no allocation on the way of a fast command, no call that blocks, no buffer
//! without a bound, and no request byte in a log line.
//!
//! # Examples
//!
//! ```
//! use hsm_server::net::{Disposition, Handler, ListenAddr, NetConfig, RequestCtx, ResponseSink, Server};
//!
//! struct Nothing;
//!
//! impl Handler for Nothing {
//!     fn handle(&mut self, _: RequestCtx<'_>, message: &[u8], out: &mut ResponseSink<'_>) -> Disposition {
//!         match message {
//!             [b'N', b'C', ..] => out.send(b"ND00"),
//!             _ => return Disposition::Close,
//!         }
//!         Disposition::Done
//!     }
//! }
//!
//! let config = NetConfig { listeners: vec![ListenAddr::new(([127, 0, 0, 1], 0).into())], ..NetConfig::default() };
//! let server = Server::bind(config)?;
//! let handle = server.handle();
//! let thread = std::thread::spawn(move || server.run(&mut Nothing));
//! handle.stop();
//! thread.join().map_err(|_| "the loop panicked")??;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod buffer;
mod config;
mod connection;
mod event_loop;
pub mod frame;
mod handler;
mod response;
mod shared;
mod signal;
mod worker;

pub use self::config::{BindError, ListenAddr, NetConfig, Setup};
pub use self::event_loop::Server;
pub use self::frame::{FrameDecoder, FrameFault, MAX_MESSAGE, Message};
pub use self::handler::{CloseReason, ConnectionId, ConnectionInfo, Disposition, Handler, RequestCtx};
pub use self::response::{MessageWriter, ResponseBuffer, ResponseSink};
pub use self::shared::ServerHandle;
pub use self::worker::{Job, JobEnd, Worker, WorkerFactory, WorkerPool};
