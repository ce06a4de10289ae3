//! Starts the user's daemon where none runs (`autostart = true` under `[client]`), for machines without a service manager.
//!
//! Invariants: of many clients at once one starts it, and the others wait for that one; it is only started where there is a
//! vault, and never for an address that somebody named. It outlives the terminal that it was started from.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::cli::error::io_message;
use crate::cli::run::session;
use crate::cli::{CliError, ErrorKind, Globals};
use crate::client::{Client, ClientError};
use crate::config::{ClientAddress, Loaded};
use crate::paths::create_private_dir_all;

/// How long it may take until the daemon answers, in glances.
const GLANCES: usize = 600;
/// How long between two looks at it.
const GLANCE: Duration = Duration::from_millis(50);

/// Connects to the daemon that another client has started meanwhile, or starts it.
///
/// # Errors
///
/// [`ErrorKind::Unreachable`] where it does not come up, with the log that says why; those of connecting.
pub(super) fn connect(
    loaded: &Loaded,
    addresses: &[ClientAddress],
    limit: Duration,
    globals: &Globals,
) -> Result<Client, CliError> {
    let state = &loaded.paths.state_dir;
    create_private_dir_all(state)?;
    let failed = |what: &str, error: &io::Error| {
        CliError::new(ErrorKind::Unreachable, format!("cannot start the daemon: {what}: {}", io_message(error)))
            .hint("start it: hushd serve")
    };
    let lock = open(&state.join("autostart.lock")).map_err(|error| failed("its lock", &error))?;
    // Held until it answers: whoever waits here finds it running.
    flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed("its lock", &error.into()))?;
    let token = loaded.config.client.token.as_ref();
    match Client::connect(addresses, token, limit) {
        Err(ClientError::NotRunning { .. }) => {}
        result => return Ok(result?),
    }
    let log = state.join("daemon.log");
    globals.output.note(format_args!("starting the daemon; its log is {}", log.display()));
    let mut daemon = start(loaded, &log).map_err(|error| failed("hushd serve", &error))?;
    for _ in 0..GLANCES {
        match Client::connect(addresses, token, limit) {
            Err(ClientError::NotRunning { .. }) => {}
            result => return Ok(result?),
        }
        if let Ok(Some(_)) = daemon.try_wait() {
            break;
        }
        glance();
    }
    Err(CliError::new(ErrorKind::Unreachable, "the daemon was started and does not answer")
        .hint(format!("see why: tail {}", log.display()))
        .hint("start it where it can ask for a passphrase: hushd serve"))
}

/// Starts it as a session of its own, so that the end of a terminal is not its end.
fn start(loaded: &Loaded, log: &Path) -> io::Result<Child> {
    let program: PathBuf = std::env::current_exe()?;
    let log = open(log)?;
    let mut command = Command::new(&program);
    command.arg(session::VERB).arg("--").arg(&program).arg("serve");
    if let Some(file) = &loaded.file {
        command.arg("--config").arg(file);
    }
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).current_dir("/").spawn()
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[expect(clippy::disallowed_methods, reason = "there is no event that says when a socket is there")]
fn glance() {
    std::thread::sleep(GLANCE);
}
