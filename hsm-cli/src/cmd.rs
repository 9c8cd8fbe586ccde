//! One module per subcommand.

pub(crate) mod bench;
pub(crate) mod config;
pub(crate) mod ctl;
pub(crate) mod key;
pub(crate) mod lmk;
pub(crate) mod pinblock;
pub(crate) mod plugin;
pub(crate) mod send;
pub(crate) mod serve;
