//! Creates a vault: master key, keyring, first keys, store.
//!
//! Invariants: nothing that exists is overwritten; interrupted at any point it leaves no vault or a whole one, and can
//! be begun again; the keyring was read back before the vault counts as one.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::auth::{ApiKey, KeyKind};
use crate::clock::{Clock, SystemClock};
use crate::config::VaultConfig;
use crate::crypto::{CryptoError, GeneratedIdentity, Identities, JwtSecret, Keyring, Passphrase, Recipient, identity};
use crate::daemon::directory::{State, VaultDirectory};
use crate::daemon::{DaemonError, hardening};
use crate::paths::{PathsError, create_private_dir_all, read_private, replace_private, write_private_new};
use crate::store::{SledOptions, SledStore};
use crate::vault::{NewVault, Vault};

/// What a new vault is made of.
#[derive(Debug, Default)]
pub struct Request {
    /// Encrypts the master key that is made.
    pub passphrase: Option<Passphrase>,
    /// A master key that exists; none is made.
    pub identity: Option<PathBuf>,
    /// More recipients of the keyring. Where only these are given, no master key is made.
    pub recipients: Vec<Recipient>,
    /// A signing secret to take over.
    pub jwt_secret: Option<JwtSecret>,
    /// An admin API key to take over.
    pub api_key: Option<ApiKey>,
}

/// What was created.
#[derive(Debug)]
pub struct Created {
    /// The vault's identifier.
    pub vault_id: Uuid,
    /// The master key; none when it is somebody else's.
    pub identity: Option<PathBuf>,
    /// The vault's directory.
    pub data_directory: PathBuf,
    /// Who can open the keyring.
    pub recipients: Vec<Recipient>,
    /// The admin API key, to be shown once.
    pub api_key: ApiKey,
    /// The anon key, to be shown once.
    pub anon_key: ApiKey,
}

/// Whether there is a vault, or what was one: then `serve --init` leaves it alone.
///
/// # Errors
/// As [`create`], where what is there is neither.
pub fn has_vault(config: &VaultConfig) -> Result<bool, DaemonError> {
    match VaultDirectory::existing(&config.data_dir) {
        Ok(directory) => Ok(directory.state()? == State::Vault),
        Err(DaemonError::NoVault { .. }) => Ok(false),
        // Whoever holds it holds a vault, or is creating one.
        Err(DaemonError::InUse { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Creates a vault. `ask` gives the passphrase of an existing master key that needs one.
///
/// # Errors
/// [`DaemonError::VaultExists`], and whatever keeps a file from being written; then there is no vault.
pub fn create(
    config: &VaultConfig,
    mut request: Request,
    ask: &mut dyn FnMut() -> Option<Passphrase>,
) -> Result<Created, DaemonError> {
    hardening::private_umask();
    // What is given is looked at before anything is touched.
    let given = request.identity.as_deref().map(|file| read_master_key(file, ask)).transpose()?;
    let first = NewVault {
        api_key: request.api_key.clone().map_or_else(|| ApiKey::generate(KeyKind::Api), Ok).map_err(no_randomness)?,
        anon_key: ApiKey::generate(KeyKind::Anon).map_err(no_randomness)?,
    };
    let keyring = Keyring::generate(SystemClock.now(), request.jwt_secret.take())
        .map_err(|source| DaemonError::Key { source })?;
    let found = found(config, given, &request, ask, keyring, |store, keyring| {
        Vault::create_records(store, keyring, &SystemClock, &first).map_err(|source| DaemonError::Vault { source })
    })?;
    Ok(Created {
        vault_id: found.vault_id,
        identity: found.identity,
        data_directory: config.data_dir.clone(),
        recipients: found.recipients,
        api_key: first.api_key,
        anon_key: first.anon_key,
    })
}

/// What [`found`] made.
pub(super) struct Found {
    pub(super) vault_id: Uuid,
    pub(super) identity: Option<PathBuf>,
    pub(super) recipients: Vec<Recipient>,
}

/// Makes a vault of this keyring, whose first records `fill` writes. Until it is whole there is none.
pub(super) fn found(
    config: &VaultConfig,
    given: Option<MasterKey>,
    request: &Request,
    ask: &mut dyn FnMut() -> Option<Passphrase>,
    keyring: Keyring,
    fill: impl FnOnce(&SledStore, &Keyring) -> Result<(), DaemonError>,
) -> Result<Found, DaemonError> {
    let exists = || DaemonError::VaultExists { path: config.data_dir.clone() };
    let directory = match VaultDirectory::new(&config.data_dir) {
        Err(DaemonError::InUse { .. }) if VaultDirectory::is_marked(&config.data_dir) => return Err(exists()),
        locked => locked?,
    };
    match directory.state()? {
        State::Vault => return Err(exists()),
        State::Unfinished => directory.clear()?,
        State::Empty => {}
    }
    let master = master_key(config, given, request, ask)?;
    let mut recipients = master.recipients;
    for recipient in &request.recipients {
        if !recipients.contains(recipient) {
            recipients.push(recipient.clone());
        }
    }
    directory.begin()?;
    let keyring = Arc::new(keyring);
    write_keyring(&directory, &recipients, master.identities.as_ref(), &keyring)?;
    let store = SledStore::create(&directory.store(), SledOptions::default(), keyring.head_seal())
        .map_err(|source| DaemonError::Store { path: directory.store(), source })?;
    let filled = fill(&store, &keyring);
    drop(store);
    if let Err(error) = filled {
        // What counts is that it failed; what cannot be cleared away now is by the next attempt.
        drop(directory.clear());
        return Err(error);
    }
    directory.finish()?;
    Ok(Found { vault_id: keyring.vault_id(), identity: master.path, recipients })
}

/// The master key of a new vault.
pub(super) struct MasterKey {
    pub(super) path: Option<PathBuf>,
    pub(super) identities: Option<Identities>,
    pub(super) recipients: Vec<Recipient>,
}

fn master_key(
    config: &VaultConfig,
    given: Option<MasterKey>,
    request: &Request,
    ask: &mut dyn FnMut() -> Option<Passphrase>,
) -> Result<MasterKey, DaemonError> {
    let place = &config.identity;
    if let Some(key) = given {
        if let Some(existing) = &key.path {
            link(existing, place)?;
        }
        return Ok(key);
    }
    // What the service manager gives is the master key, and no other is made.
    if let Some(credential) = &config.credential {
        return read_master_key(credential, &mut || request.passphrase.clone().or_else(&mut *ask));
    }
    // Left by a creation that was interrupted, or put there for us.
    if place.exists() {
        return read_master_key(place, &mut || request.passphrase.clone().or_else(&mut *ask));
    }
    if request.passphrase.is_none() && !request.recipients.is_empty() {
        return Ok(MasterKey { path: None, identities: None, recipients: Vec::new() });
    }
    let generated = GeneratedIdentity::generate(SystemClock.now());
    let text = generated.file_text();
    let key_error = |source| DaemonError::Key { source };
    let identities = Identities::parse(text.as_bytes(), &mut || None).map_err(key_error)?;
    if let Some(parent) = place.parent() {
        create_private_dir_all(parent)?;
    }
    match &request.passphrase {
        Some(passphrase) => {
            write_private_new(place, &identity::encrypt_identity(&text, passphrase).map_err(key_error)?)?;
        }
        None => write_private_new(place, text.as_bytes())?,
    }
    Ok(MasterKey { path: Some(place.clone()), identities: Some(identities), recipients: vec![generated.recipient()] })
}

pub(super) fn read_master_key(
    path: &Path,
    ask: &mut dyn FnMut() -> Option<Passphrase>,
) -> Result<MasterKey, DaemonError> {
    let identities = read_identities(path, ask)?;
    let recipients = identities.recipients();
    Ok(MasterKey { path: Some(path.to_owned()), identities: Some(identities), recipients })
}

/// Reads the identities of a private file.
pub(super) fn read_identities(
    path: &Path,
    ask: &mut dyn FnMut() -> Option<Passphrase>,
) -> Result<Identities, DaemonError> {
    let text = match read_private(path) {
        Ok(text) => text,
        Err(PathsError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Err(DaemonError::NoIdentity { path: path.to_owned() });
        }
        Err(error) => return Err(error.into()),
    };
    Identities::parse(&text, ask).map_err(|source| DaemonError::Identity { path: path.to_owned(), source })
}

/// Lets the daemon find a master key that lives elsewhere, without a copy of it.
fn link(existing: &Path, place: &Path) -> Result<(), DaemonError> {
    let failed = |source| DaemonError::io(format!("link {} to {}", place.display(), existing.display()))(source);
    let target = std::fs::canonicalize(existing).map_err(failed)?;
    if std::fs::canonicalize(place).is_ok_and(|there| there == target) {
        return Ok(());
    }
    if let Some(parent) = place.parent() {
        create_private_dir_all(parent)?;
    }
    symlink(&target, place).map_err(failed)
}

fn write_keyring(
    directory: &VaultDirectory,
    recipients: &[Recipient],
    identities: Option<&Identities>,
    keyring: &Keyring,
) -> Result<(), DaemonError> {
    let path = directory.keyring();
    let failed = |source| DaemonError::Keyring { path: path.clone(), source };
    replace_private(&path, &keyring.encrypt_to(recipients).map_err(failed)?)?;
    let mut list = recipients.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    list.push('\n');
    replace_private(&directory.recipients(), list.as_bytes())?;
    if let Some(identities) = identities {
        let written = read_private(&path)?;
        Keyring::decrypt(&written, identities).map_err(failed)?;
    }
    Ok(())
}

fn no_randomness(error: getrandom::Error) -> DaemonError {
    DaemonError::io("get random bytes")(io::Error::other(error))
}

/// The files with master keys, in the order in which they are tried.
pub(super) fn master_keys(config: &VaultConfig) -> impl Iterator<Item = &Path> {
    config.credential.iter().chain([&config.identity]).chain(&config.more_identities).map(PathBuf::as_path)
}

/// Leaves a configuration only those master keys that are encrypted to a passphrase, for whoever has to prove by it that
/// he may. Whether there are any.
pub(super) fn leave_encrypted(config: &mut VaultConfig) -> bool {
    let encrypted = |path: &Path| read_private(path).is_ok_and(|file| identity::needs_passphrase(&file));
    let mut left: Vec<PathBuf> = master_keys(config).filter(|path| encrypted(path)).map(Path::to_owned).collect();
    config.credential = None;
    if left.is_empty() {
        return false;
    }
    config.identity = left.remove(0);
    config.more_identities = left;
    true
}

/// Opens the keyring with the first master key that does.
///
/// # Errors
/// What keeps the most promising of them from it.
pub(super) fn unlock(
    config: &VaultConfig,
    keyring: &Path,
    ask: &mut dyn FnMut() -> Option<Passphrase>,
) -> Result<(Keyring, Identities), DaemonError> {
    let bytes = read_private(keyring)?;
    let mut worst: Option<DaemonError> = None;
    for place in master_keys(config) {
        let failed = |source| DaemonError::Keyring { path: keyring.to_owned(), source };
        let opened = read_identities(place, ask)
            .and_then(|identities| Ok((Keyring::decrypt(&bytes, &identities).map_err(failed)?, identities)));
        match opened {
            Ok(opened) => return Ok(opened),
            Err(error) if worst.as_ref().is_none_or(|worst| promise(&error) > promise(worst)) => worst = Some(error),
            Err(_) => {}
        }
    }
    Err(worst.unwrap_or_else(|| DaemonError::NoIdentity { path: config.identity.clone() }))
}

/// How much a master key that does not open the vault tells of why: most where only the right passphrase is missing.
fn promise(error: &DaemonError) -> u8 {
    if matches!(error, DaemonError::NoIdentity { .. }) {
        0
    } else if matches!(error, DaemonError::Identity { source: CryptoError::PassphraseNeeded, .. }) {
        2
    } else if matches!(error, DaemonError::Identity { source: CryptoError::WrongPassphrase, .. }) {
        3
    } else if matches!(error, DaemonError::Keyring { source, .. } if !matches!(source, CryptoError::NoMatchingIdentity))
    {
        4
    } else {
        1
    }
}
