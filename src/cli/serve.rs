//! `hushd serve`: the daemon, in the foreground.

use clap::Args;

use crate::cli::{CliError, Globals, init, passphrase};
use crate::config::{ListenAddress, LogFormat};
use crate::daemon::{self, Request, Reread};

/// Run the daemon, in the foreground
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Create the vault first where there is none
    #[arg(long)]
    pub init: bool,
    /// Listen here instead of where the configuration says: unix:PATH or 127.0.0.1:PORT; repeatable
    #[arg(long, value_name = "ADDR")]
    pub listen: Vec<ListenAddress>,
    /// How to write the log: human, json, journald, or auto for what suits where it goes
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
///
/// Whatever keeps it from starting.
pub fn run(args: &ServeArgs, globals: &Globals) -> Result<(), CliError> {
    let loaded = globals.load_daemon(args.listen.clone(), args.log_format)?;
    let (config, file) = (loaded.config, loaded.file);
    daemon::start_log(&config.log, globals.environment.text("JOURNAL_STREAM").ok().flatten());
    if args.init && !daemon::has_vault(&config.vault)? {
        init::create(&config.vault, Request::default(), false, globals)?;
    }
    let read = || globals.reload_daemon(args.listen.clone(), args.log_format);
    // Where there is none yet, there may be one when it is read anew.
    let path = file.unwrap_or_else(|| loaded.paths.config_file());
    let reread = Reread { read: &read, file: Some(&path) };
    Ok(daemon::serve(&config, &reread, &mut passphrase::asker(&config.vault)?)?)
}
