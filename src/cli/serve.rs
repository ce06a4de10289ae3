//! `hushd serve`: the daemon, in the foreground.

use clap::Args;

use crate::cli::{CliError, ErrorKind, Globals};
use crate::config::ListenAddress;

/// Run the daemon, in the foreground
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Create the vault first where there is none
    #[arg(long)]
    pub init: bool,
    /// Listen here instead of where the configuration says: unix:PATH or 127.0.0.1:PORT; repeatable
    #[arg(long, value_name = "ADDR")]
    pub listen: Vec<ListenAddress>,
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
///
/// Whatever keeps it from starting.
pub fn run(_args: ServeArgs, _globals: &Globals) -> Result<(), CliError> {
    Err(CliError::new(ErrorKind::Other, "serve is not wired yet"))
}
