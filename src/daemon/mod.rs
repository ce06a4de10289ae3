//! The life of the daemon: what happens from the start to the end, in order.
//!
//! Invariants: readiness is told only when requests are answered; on SIGTERM requests in flight finish and everything
//! is on disk before the process ends; a second daemon on the same vault is refused before it touches anything.

mod check;
mod create;
mod directory;
mod error;
mod hardening;
mod listeners;
mod logging;
mod restore;
mod signals;
mod snapshots;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;

pub use check::check;
pub use create::{Created, Request, create, has_vault};
pub use error::DaemonError;
pub use logging::start as start_log;
pub use restore::{Drill, RestoreRequest, Restored, pick, restore, verify};

use crate::clock::SystemClock;
use crate::config::Config;
use crate::crypto::{Identities, Keyring, Passphrase, Recipient};
use crate::daemon::directory::{State as DirectoryState, VaultDirectory};
use crate::daemon::listeners::Bound;
use crate::daemon::snapshots::Snapshots;
use crate::http::{Checker, Options, State};
use crate::paths::read_private;
use crate::store::{Compacted, SledOptions, SledStore};
use crate::vault::{Limits, Vault};

/// How often the last uses of secrets are stored.
const SWEEP: Duration = Duration::from_mins(1);

/// Bytes below which a store is not rewritten at the start, whatever is waste in it.
const WORTH_COMPACTING: u64 = 64 * 1024 * 1024;
/// How often it is tried whether writing works again after it failed.
const RECOVERY: Duration = Duration::from_secs(2);

/// Serves a vault until it is told to stop. `ask` gives the passphrase of a master key that needs one.
///
/// # Errors
/// Whatever keeps it from serving; see [`DaemonError`].
pub fn serve(config: &Config, ask: &mut dyn FnMut() -> Option<Passphrase>) -> Result<(), DaemonError> {
    config.check_listeners()?;
    hardening::private_umask();
    hardening::harden();
    let directory = open_directory(&config.vault.data_dir)?;
    let directory = Arc::new(directory);
    let opened = open_vault(config, &directory, ask)?;
    let mut bound = Bound::bind(&config.listen)?;
    actix_web::rt::System::new().block_on(run(config, &directory, opened, &mut bound))?;
    drop(bound);
    tracing::info!("stopped");
    Ok(())
}

/// A vault that is open, and what the daemon needs beside it.
struct Opened {
    vault: Arc<Vault>,
    recipients: Vec<Recipient>,
    /// Only where drills need them.
    identities: Option<Identities>,
}

fn open_directory(path: &Path) -> Result<VaultDirectory, DaemonError> {
    let directory = VaultDirectory::existing(path)?;
    match directory.state()? {
        DirectoryState::Vault => Ok(directory),
        DirectoryState::Unfinished => Err(DaemonError::Unfinished { path: path.to_owned() }),
        DirectoryState::Empty => Err(DaemonError::NoVault { path: path.to_owned() }),
    }
}

/// Gives back the space that deleted secrets left in a vault that nobody serves.
///
/// # Errors
/// Whatever keeps it from being opened or written; then it is as it was.
pub fn compact(config: &Config, ask: &mut dyn FnMut() -> Option<Passphrase>) -> Result<Compacted, DaemonError> {
    hardening::private_umask();
    hardening::harden();
    let directory = open_directory(&config.vault.data_dir)?;
    let keyring = open_keyring(config, &directory, ask)?;
    compact_store(config, &directory, &keyring)
}

fn compact_store(
    config: &Config,
    directory: &VaultDirectory,
    keyring: &Arc<Keyring>,
) -> Result<Compacted, DaemonError> {
    let options = SledOptions { cache_capacity: config.store.cache_capacity };
    SledStore::compact(&directory.store(), options, keyring.head_seal())
        .map_err(|source| DaemonError::Store { path: directory.store(), source })
}

/// Opens the vault, and first rewrites its store where more than half of it is waste. That it could not be rewritten keeps
/// nothing from being served.
fn open_compact(
    config: &Config,
    directory: &VaultDirectory,
    keyring: &Arc<Keyring>,
) -> Result<Arc<Vault>, DaemonError> {
    let leftover = SledStore::remove_leftover(&directory.store());
    if let Err(error) = leftover {
        tracing::warn!(%error, "what an interrupted compaction left could not be removed");
    }
    let vault = open_store(config, directory, Arc::clone(keyring))?;
    let size = vault.size_on_disk().unwrap_or(0);
    if size < WORTH_COMPACTING || vault.live_bytes().saturating_mul(2) > size || !vault.is_writable() {
        return Ok(vault);
    }
    drop(vault);
    match compact_store(config, directory, keyring) {
        Ok(done) => tracing::info!(before = done.before, after = done.after, "the store was compacted"),
        Err(error) => tracing::warn!(reason = check::full_text(&error), "the store could not be compacted"),
    }
    open_store(config, directory, Arc::clone(keyring))
}

fn open_keyring(
    config: &Config,
    directory: &VaultDirectory,
    ask: &mut dyn FnMut() -> Option<Passphrase>,
) -> Result<Arc<Keyring>, DaemonError> {
    let identities = create::read_identities(&config.vault.identity, ask)?;
    decrypt_keyring(directory, &identities)
}

fn decrypt_keyring(directory: &VaultDirectory, identities: &Identities) -> Result<Arc<Keyring>, DaemonError> {
    let path = directory.keyring();
    let keyring = Keyring::decrypt(&read_private(&path)?, identities);
    Ok(Arc::new(keyring.map_err(|source| DaemonError::Keyring { path, source })?))
}

fn open_vault(
    config: &Config,
    directory: &VaultDirectory,
    ask: &mut dyn FnMut() -> Option<Passphrase>,
) -> Result<Opened, DaemonError> {
    let identities = create::read_identities(&config.vault.identity, ask)?;
    let keyring = decrypt_keyring(directory, &identities)?;
    let recipients = recipients(&directory.recipients(), &identities);
    let identities = config.backup.every.is_some().then_some(identities);
    Ok(Opened { vault: open_compact(config, directory, &keyring)?, recipients, identities })
}

fn open_store(config: &Config, directory: &VaultDirectory, keyring: Arc<Keyring>) -> Result<Arc<Vault>, DaemonError> {
    let options = SledOptions { cache_capacity: config.store.cache_capacity };
    let store = SledStore::open(&directory.store(), options, keyring.head_seal())
        .map_err(|source| DaemonError::Store { path: directory.store(), source })?;
    let limits = Limits { max_value_size: config.vault.max_value_size, revisions: config.vault.revisions };
    let owner = rustix::process::geteuid().as_raw();
    Vault::open(Arc::new(store), keyring, Arc::new(SystemClock), limits, owner)
        .map_err(|source| DaemonError::Vault { source })
}

/// Whom backups are encrypted to: the keyring's recipients. Where their list cannot be read it is whoever opened the
/// keyring, so that there is always a backup that somebody can open.
fn recipients(list: &Path, identities: &Identities) -> Vec<Recipient> {
    let read = || {
        let text = read_private(list).map_err(|error| error.to_string())?;
        let text = std::str::from_utf8(&text).map_err(|error| error.to_string())?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(str::parse).collect::<Result<Vec<Recipient>, _>>().map_err(|error| error.to_string())
    };
    match read() {
        Ok(recipients) if !recipients.is_empty() => recipients,
        Ok(_) => identities.recipients(),
        Err(reason) => {
            tracing::warn!(reason, "the list of recipients cannot be read; backups are encrypted to the master key");
            identities.recipients()
        }
    }
}

async fn run(
    config: &Config,
    directory: &Arc<VaultDirectory>,
    opened: Opened,
    bound: &mut Bound,
) -> Result<(), DaemonError> {
    let Opened { vault, recipients, identities } = opened;
    let vault = &vault;
    let (snapshots, report) = Snapshots::new(&config.backup, vault, &recipients, identities)?;
    let hosts = config.http.allowed_hosts.iter().map(|host| host.as_str().to_owned()).collect();
    let data_directory = config.vault.data_dir.display().to_string();
    let checker = {
        let (config, directory, vault) = (config.vault.clone(), Arc::clone(directory), Arc::clone(vault));
        Checker::new(move || check::check_served(&config, &directory, &vault))
    };
    let addresses = bound.addresses.clone();
    let state = State::new(Arc::clone(vault), hosts, addresses, data_directory, recipients, report, checker);
    let options = Options {
        workers: config.http.worker_threads(),
        request_timeout: config.http.request_timeout,
        shutdown_timeout: config.http.shutdown_timeout,
    };
    let listeners = bound.take();
    let signals = signals::Signals::new().map_err(DaemonError::io("handle signals"))?;
    let server = crate::http::server(state, listeners, options).map_err(DaemonError::io("start the server"))?;
    let handle = server.handle();
    let addresses = bound.addresses.join(" ");
    tracing::info!(listeners = %addresses, "ready");
    notify(&[NotifyState::Ready, NotifyState::Status(&format!("listening on {addresses}"))]);
    let sweeps = actix_web::rt::spawn(sweep(Arc::clone(vault)));
    let snapshots = snapshots.map(|snapshots| actix_web::rt::spawn(snapshots.take()));
    let recovery = actix_web::rt::spawn(recover(Arc::clone(vault)));
    let stop = actix_web::rt::spawn(async move {
        signals.stop().await;
        notify(&[NotifyState::Stopping]);
        handle.stop(true).await;
    });
    let ended = server.await.map_err(DaemonError::io("serve"));
    stop.abort();
    sweeps.abort();
    if let Some(snapshots) = snapshots {
        snapshots.abort();
    }
    recovery.abort();
    vault.store_last_uses().await;
    ended
}

/// What is done from time to time.
async fn sweep(vault: Arc<Vault>) {
    let mut interval = tokio::time::interval(SWEEP);
    loop {
        interval.tick().await;
        let stored = vault.store_last_uses().await;
        tracing::debug!(stored, "last uses stored");
    }
}

/// Makes the vault writable again after a failed write, when the disk works again.
async fn recover(vault: Arc<Vault>) {
    let mut interval = tokio::time::interval(RECOVERY);
    let (mut last, mut noticed) = (String::new(), false);
    loop {
        interval.tick().await;
        // Not at once: whoever looks at the daemon should see that something failed, and a disk comes back slowly.
        let before = std::mem::replace(&mut noticed, vault.needs_reopening());
        if !(before && noticed) {
            continue;
        }
        let reopening = Arc::clone(&vault);
        let done = actix_web::rt::task::spawn_blocking(move || reopening.reopen()).await;
        let reason = match done {
            Ok(Ok(())) => String::new(),
            Ok(Err(error)) => check::full_text(&error),
            Err(error) => error.to_string(),
        };
        if !reason.is_empty() && reason != last {
            tracing::warn!(reason, "the store cannot be reopened yet");
        }
        last = reason;
    }
}

/// Tells the service manager, where there is one (sd_notify(3)).
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}
