//! The log: for people on a terminal, as JSON where it is asked for, always on standard error.
//!
//! Invariant: a panic is logged with its place and without its message, which may hold anything.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// Starts the log. Has no effect when there is one already.
pub fn start(config: &LogConfig) {
    let filter = EnvFilter::try_new(config.level.as_str()).unwrap_or_else(|_| EnvFilter::new("info"));
    // What the server's library says of its workers is no news to whoever runs the daemon.
    let filter = match "actix_server=warn".parse() {
        Ok(quieter) if !config.level.as_str().contains("actix") => filter.add_directive(quieter),
        Ok(_) | Err(_) => filter,
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    let terminal = io::stderr().is_terminal();
    let _started = match config.format {
        LogFormat::Json => lines.json().try_init(),
        LogFormat::Auto | LogFormat::Human => lines.with_ansi(terminal).try_init(),
    };
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a task panicked; this is a defect of hushd");
    }));
}
