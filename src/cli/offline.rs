//! Where a change of keys is made: in this process where nobody serves the vault, else by whoever does.

use std::time::Duration;

use crate::cli::bar::Unit;
use crate::cli::{CliError, ErrorKind, Globals, Session, passphrase};
use crate::daemon::{DaemonError, OfflineVault};

/// How often the daemon is asked how far it is.
const GLANCE: Duration = Duration::from_millis(200);

/// Where a change of keys is made.
#[derive(Debug)]
pub enum Place {
    /// In this process.
    Here(Box<OfflineVault>),
    /// By the daemon.
    There(Box<Session>),
}

impl Place {
    /// Opens the vault, or connects to the daemon that serves it.
    ///
    /// # Errors
    ///
    /// Whatever keeps the vault from being opened, and those of [`Session::open`].
    pub fn find(globals: &Globals) -> Result<Self, CliError> {
        if globals.flags.addr.is_none() && globals.environment.get("HUSHD_ADDR").is_none() {
            let config = globals.load_daemon(Vec::new(), None)?.config;
            match OfflineVault::open(&config, &mut passphrase::asker(&config.vault)?) {
                Ok(vault) => return Ok(Self::Here(Box::new(vault))),
                Err(DaemonError::InUse { .. } | DaemonError::NoVault { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Self::There(Box::new(Session::open(globals)?)))
    }
}

/// Goes through, or waits for, the re-encryption of all records.
///
/// # Errors
///
/// [`ErrorKind::TryAgain`] where it does not go on for now; it is tried again by the daemon.
pub fn reencrypt(place: &mut Place, globals: &Globals) -> Result<(), CliError> {
    let bar = globals.output.bar("re-encrypting", Unit::Things);
    let progress = bar.progress(Unit::Things);
    match place {
        Place::Here(vault) => vault.reencrypt(&mut |done, total| progress.tell(done, total)).map_err(CliError::from),
        Place::There(session) => loop {
            match session.client.status().map_err(|error| session.explain(error))?.rekey {
                None => break Ok(()),
                Some(rekey) => {
                    if let Some(problem) = rekey.problem {
                        break Err(CliError::new(ErrorKind::TryAgain, problem)
                            .hint("the daemon tries it again by itself; its log says why it failed"));
                    }
                    progress.tell(rekey.done, rekey.total);
                    session.client.pause(GLANCE);
                }
            }
        },
    }
}
