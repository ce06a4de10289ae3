//! The log: for people on a terminal, with fields in the journal, as JSON where it is asked for.
//!
//! Invariants: it is standard error unless it is the journal's own socket; a panic is logged with its place and without its
//! message, which may hold anything. What may stand in a line is up to whoever writes it: never a value or a token, and no
//! name of a secret from `info` on.

use std::io::{self, IsTerminal};

use rustix::fs::fstat;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogConfig, LogFormat};

/// What the fields of a line are called in the journal: `HUSHD_REQUEST_ID`.
const PREFIX: &str = "HUSHD";

/// What of the server's library is no news to whoever runs the daemon, unless he asks for it: what it says of its workers;
/// and a line for each request that is no HTTP, with which anybody who can connect could fill the disk.
const QUIETER: [&str; 2] = ["actix_server=warn", "actix_http::h1=off"];

/// Starts the log. Has no effect when there is one already. `journal_stream` is what systemd says of standard error
/// (`$JOURNAL_STREAM`, systemd.exec(5)).
pub fn start(config: &LogConfig, journal_stream: Option<&str>) {
    let filter = EnvFilter::try_new(config.level.as_str()).unwrap_or_else(|_| EnvFilter::new("info"));
    let quieter = QUIETER.iter().filter(|_| !config.level.as_str().contains("actix"));
    let filter = quieter.filter_map(|quieter| quieter.parse().ok()).fold(filter, EnvFilter::add_directive);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false);
    let terminal = io::stderr().is_terminal();
    let to_journal = match config.format {
        LogFormat::Journald => true,
        LogFormat::Auto => journal_stream.is_some_and(is_journal),
        LogFormat::Human | LogFormat::Json => false,
    };
    let registry = tracing_subscriber::registry().with(filter);
    let mut unreachable = None;
    let journal = to_journal.then(tracing_journald::layer).and_then(|journal| {
        let journal = journal.map_err(|error| unreachable = Some(error)).ok()?;
        Some(journal.with_syslog_identifier("hushd".to_owned()).with_field_prefix(Some(PREFIX.to_owned())))
    });
    let _started = match (journal, config.format) {
        (Some(journal), _) => registry.with(journal).try_init(),
        (None, LogFormat::Json) => registry.with(lines.json()).try_init(),
        (None, LogFormat::Auto | LogFormat::Human | LogFormat::Journald) => {
            registry.with(lines.with_ansi(terminal)).try_init()
        }
    };
    if let Some(error) = unreachable {
        tracing::warn!(%error, "the journal cannot be reached; the log is standard error");
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a task panicked; this is a defect of hushd");
    }));
}

/// Whether standard error is the stream that systemd connected to the journal: its device and inode, as `DEVICE:INODE`.
fn is_journal(stream: &str) -> bool {
    fstat(io::stderr()).is_ok_and(|status| stream == format!("{}:{}", status.st_dev, status.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_is_told_by_device_and_inode() {
        let status = fstat(io::stderr()).unwrap();
        assert!(is_journal(&format!("{}:{}", status.st_dev, status.st_ino)));
        assert!(!is_journal(&format!("{}:{}", status.st_dev, status.st_ino + 1)));
        assert!(!is_journal(""));
    }
}
