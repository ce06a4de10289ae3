//! `hushd serve`: the daemon, in the foreground.

use clap::Args;

use crate::cli::{CliError, Globals, init, passphrase};
use crate::config::ListenAddress;
use crate::daemon::{self, Request};

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
pub fn run(args: ServeArgs, globals: &Globals) -> Result<(), CliError> {
    let config = globals.load_daemon(args.listen)?.config;
    daemon::start_log(&config.log);
    if args.init && !daemon::has_vault(&config.vault)? {
        init::create(&config.vault, Request::default(), false, globals)?;
    }
    Ok(daemon::serve(&config, &mut passphrase::asker(&config.vault)?)?)
}
