//! One module per subcommand.

/// A command that only has subcommands: its arguments, and `run`. Each subcommand is a module with `Args` and `run`.
macro_rules! subcommands {
    ($(#[$meta:meta])* $($name:ident = $module:ident),+ $(,)?) => {
        #[derive(Debug, clap::Args)]
        $(#[$meta])*
        pub(crate) struct Args {
            #[command(subcommand)]
            command: Command,
        }

        #[derive(Debug, clap::Subcommand)]
        enum Command {
            $($name($module::Args),)+
        }

        /// Runs the subcommand that was asked for.
        pub(crate) fn run(args: &Args) -> anyhow::Result<std::process::ExitCode> {
            match &args.command {
                $(Command::$name(args) => $module::run(args),)+
            }
        }
    };
}

pub(crate) mod bench;
pub(crate) mod config;
pub(crate) mod ctl;
pub(crate) mod dukpt;
pub(crate) mod key;
pub(crate) mod keyblock;
pub(crate) mod lmk;
pub(crate) mod pin;
pub(crate) mod pinblock;
pub(crate) mod plugin;
pub(crate) mod send;
pub(crate) mod serve;
