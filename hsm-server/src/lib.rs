//! The plugin engine and the TCP server of the HSM emulator.
//!
//! [`Engine`] runs host commands in memory; [`Emulator`] puts it behind TCP ports.

pub mod control;
mod engine;
pub mod net;
mod server;
pub mod trace;

pub use engine::{Engine, Fault, Limits, LoadError, Outcome, PluginError, PluginInfo, PluginSet, Probe, SharedPlugins};
pub use server::{
    Emulator, EmulatorConfig, EmulatorError, NewSettings, ReadSettings, ReloadError, Reloaded, Reloader, UnknownCommand,
};
