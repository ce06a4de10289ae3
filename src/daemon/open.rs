//! How the vault in a directory comes to be open: master key, keyring, store.
//!
//! Invariant: what is wrong is said before anything is changed; a store that is mostly waste is rewritten first, and that
//! this fails keeps nothing from being served.

use std::path::Path;
use std::sync::Arc;

use crate::clock::SystemClock;
use crate::config::Config;
use crate::crypto::{Identities, Keyring, Passphrase};
use crate::daemon::directory::{State as DirectoryState, VaultDirectory};
use crate::daemon::keyring_file::KeyringInDirectory;
use crate::daemon::{DaemonError, check, create, hardening, trail};
use crate::store::{Compacted, SledOptions, SledStore};
use crate::vault::{Limits, Vault};

/// Bytes below which a store is not rewritten at the start, whatever is waste in it.
const WORTH_COMPACTING: u64 = 64 * 1024 * 1024;

/// A vault that is open, and what the daemon needs beside it.
pub(super) struct Opened {
    pub(super) vault: Arc<Vault>,
    /// Only where drills need them.
    pub(super) identities: Option<Identities>,
}

/// Locks the directory of a vault.
pub(super) fn open_directory(path: &Path) -> Result<VaultDirectory, DaemonError> {
    let directory = VaultDirectory::existing(path)?;
    match directory.state()? {
        DirectoryState::Vault => Ok(directory),
        DirectoryState::Unfinished => Err(DaemonError::Unfinished { path: path.to_owned() }),
        DirectoryState::Empty => Err(DaemonError::NoVault { path: path.to_owned() }),
    }
}

/// Opens the vault of a directory.
pub(super) fn open_vault(
    config: &Config,
    directory: &Arc<VaultDirectory>,
    ask: &mut dyn FnMut() -> Option<Passphrase>,
) -> Result<Opened, DaemonError> {
    let (keyring, identities) = open_keyring(config, directory, ask)?;
    let file = KeyringInDirectory(Arc::clone(directory));
    file.clear_leftover();
    file.clear_unfinished();
    if let Err(error) = file.migrate(&keyring, &identities) {
        tracing::warn!(reason = check::full_text(&error), "the keyring could not be migrated");
    }
    let vault = open_compact(config, directory, &keyring)?;
    trail::open(config, directory, &vault)?;
    vault.attach_keyring(Arc::new(file), identities.recipients());
    let identities = config.backup.every.is_some().then_some(identities);
    Ok(Opened { vault, identities })
}

pub(super) fn limits(config: &Config) -> Limits {
    Limits {
        max_value_size: config.vault.max_value_size,
        revisions: config.vault.revisions,
        events: config.events.backlog,
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
    let (keyring, _) = open_keyring(config, &directory, ask)?;
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

pub(super) fn open_keyring(
    config: &Config,
    directory: &VaultDirectory,
    ask: &mut dyn FnMut() -> Option<Passphrase>,
) -> Result<(Arc<Keyring>, Identities), DaemonError> {
    let (keyring, identities) = create::unlock(&config.vault, &directory.keyring(), ask)?;
    Ok((Arc::new(keyring), identities))
}

pub(super) fn open_store(
    config: &Config,
    directory: &VaultDirectory,
    keyring: Arc<Keyring>,
) -> Result<Arc<Vault>, DaemonError> {
    let options = SledOptions { cache_capacity: config.store.cache_capacity };
    let store = SledStore::open(&directory.store(), options, keyring.head_seal())
        .map_err(|source| DaemonError::Store { path: directory.store(), source })?;
    let owner = rustix::process::geteuid().as_raw();
    Vault::open(Arc::new(store), keyring, Arc::new(SystemClock), limits(config), owner)
        .map_err(|source| DaemonError::Vault { source })
}
