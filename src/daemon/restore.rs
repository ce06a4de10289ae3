//! What is done with a backup without a daemon: it is restored into a new vault, verified by a drill, or looked into.
//!
//! Invariants: a restore never touches a vault that exists, and interrupted at any point it leaves none; a drill leaves
//! nothing behind and its scratch vault's keys are never written; what is handed out of a backup was read to its end first.

use std::fs::{File, Permissions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::clock::{Clock as _, SystemClock};
use crate::config::VaultConfig;
use crate::crypto::{Identities, Keyring, Passphrase, Recipient};
use crate::daemon::create::{MasterKey, found, has_vault, read_identities};
use crate::daemon::{DaemonError, Request, hardening};
use crate::model::Progress;
use crate::store::{SledOptions, SledStore, Store};
use crate::vault::backup::{BackupError, BackupReader, Contents, Header, SecretLine, restore_records};
use crate::vault::{Limits, Vault};

/// How a backup is to be restored.
#[derive(Debug)]
pub struct RestoreRequest {
    /// The backup.
    pub file: PathBuf,
    /// The identity that opens it; the vault's master key where none is named.
    pub identity: Option<PathBuf>,
    /// Whether the new vault keeps that identity and the recipients of the old one.
    pub same_identity: bool,
    /// More recipients of the new keyring.
    pub recipients: Vec<Recipient>,
}

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// The new vault's identifier.
    pub vault_id: Uuid,
    /// The vault's directory.
    pub data_directory: PathBuf,
    /// The master key.
    pub identity: Option<PathBuf>,
    /// Who can open the keyring.
    pub recipients: Vec<Recipient>,
    /// What the backup says of itself.
    pub header: Header,
    /// What it held.
    pub contents: Contents,
}

/// Restores a backup into a new vault, with new data keys and a new identifier.
///
/// # Errors
/// [`DaemonError::VaultExists`], [`DaemonError::Backup`], and those of a vault's creation; then there is no vault.
pub fn restore(
    config: &VaultConfig,
    request: RestoreRequest,
    ask: &mut dyn FnMut() -> Option<Passphrase>,
    progress: &Progress,
) -> Result<Restored, DaemonError> {
    hardening::private_umask();
    if has_vault(config)? {
        return Err(DaemonError::VaultExists { path: config.data_dir.clone() });
    }
    let path = request.identity.unwrap_or_else(|| config.identity.clone());
    let identities = read_identities(&path, ask)?;
    let failed = |source| DaemonError::Backup { path: request.file.clone(), source };
    // All of it is read before anything is touched: a backup that is not whole changes nothing.
    let mut whole = open(&request.file, &identities, progress, Pass::FIRST_OF_TWO)?;
    while whole.next_secret().map_err(failed)?.is_some() {}
    drop(whole);
    let mut backup = open(&request.file, &identities, progress, Pass::SECOND_OF_TWO)?;
    let header = backup.header().clone();
    let mut recipients = request.recipients;
    if request.same_identity {
        let old: Result<Vec<Recipient>, _> = header.recipients.iter().map(|text| text.parse()).collect();
        recipients.extend(old.map_err(|source| failed(BackupError::Crypto { source }))?);
    }
    let signing = backup
        .take_signing_secrets()
        .ok_or_else(|| failed(BackupError::Damaged { message: "it has no signing secrets".to_owned() }))?;
    let keyring =
        Keyring::with_signing_secrets(SystemClock.now(), signing).map_err(|source| DaemonError::Key { source })?;
    // The identity that opened the backup becomes the vault's only where it is already, or was asked for.
    let given = (request.same_identity || path == config.identity).then(|| MasterKey {
        recipients: identities.recipients(),
        path: Some(path.clone()),
        identities: Some(identities),
    });
    let creation = Request { recipients, ..Request::default() };
    let mut contents = Contents::default();
    let found = found(config, given, &creation, ask, keyring, |store, keyring| {
        contents = restore_records(store, keyring, &mut backup).map_err(failed)?;
        Ok(())
    })?;
    Ok(Restored {
        vault_id: found.vault_id,
        data_directory: config.data_dir.clone(),
        identity: found.identity,
        recipients: found.recipients,
        header,
        contents,
    })
}

/// What a drill found.
#[derive(Clone, Debug)]
pub struct Drill {
    /// What the backup says of itself.
    pub header: Header,
    /// What it held, restored and compared.
    pub contents: Contents,
}

/// Reads a backup to its end, restores it into a scratch vault below `scratch` (the system's directory for temporary files
/// where none is named), opens that and compares everything.
///
/// # Errors
/// [`DaemonError::Backup`] with what is wrong, and those of the scratch vault.
pub fn drill(
    file: &Path,
    identities: &Identities,
    scratch: Option<&Path>,
    progress: &Progress,
) -> Result<Drill, DaemonError> {
    let failed = |source| DaemonError::Backup { path: file.to_owned(), source };
    let mut backup = open(file, identities, progress, Pass::FIRST_OF_TWO)?;
    let header = backup.header().clone();
    let signing = backup
        .take_signing_secrets()
        .ok_or_else(|| failed(BackupError::Damaged { message: "it has no signing secrets".to_owned() }))?;
    let keyring = Keyring::with_signing_secrets(SystemClock.now(), signing);
    let keyring = Arc::new(keyring.map_err(|source| DaemonError::Key { source })?);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".hushd-drill-").permissions(Permissions::from_mode(0o700));
    let directory = match scratch {
        Some(parent) => builder.tempdir_in(parent),
        None => builder.tempdir(),
    };
    let directory = directory.map_err(DaemonError::io("create a scratch directory"))?;
    let place = directory.path().join("db");
    let store_failed = |source| DaemonError::Store { path: place.clone(), source };
    let store = SledStore::create(&place, SledOptions::default(), keyring.head_seal()).map_err(store_failed)?;
    let restored = restore_records(&store, &keyring, &mut backup).map_err(failed)?;
    drop(store);
    let store = SledStore::open(&place, SledOptions::default(), keyring.head_seal()).map_err(store_failed)?;
    let store: Arc<dyn Store> = Arc::new(store);
    let vault = Vault::open(store, keyring, Arc::new(SystemClock), Limits::default(), 0)
        .map_err(|source| DaemonError::Vault { source })?;
    let contents = vault.compare_with(open(file, identities, progress, Pass::SECOND_OF_TWO)?).map_err(failed)?;
    if contents != restored {
        return Err(failed(BackupError::Differs { message: "the file changed during the drill".to_owned() }));
    }
    drop(vault);
    directory.close().map_err(DaemonError::io("remove the scratch directory"))?;
    Ok(Drill { header, contents })
}

/// The drill of a backup whose identity is in a file: the one that is named, or the configured one.
///
/// # Errors
/// As those of a drill, and those of reading the identity.
pub fn verify(
    config: &VaultConfig,
    file: &Path,
    identity: Option<&Path>,
    ask: &mut dyn FnMut() -> Option<Passphrase>,
    progress: &Progress,
) -> Result<Drill, DaemonError> {
    hardening::private_umask();
    let identities = read_identities(identity.unwrap_or(&config.identity), ask)?;
    drill(file, &identities, None, progress)
}

/// Takes those secrets out of a backup that `wanted` picks, after all of it was read.
///
/// # Errors
/// [`DaemonError::Backup`], and those of reading the identity.
pub fn pick(
    config: &VaultConfig,
    file: &Path,
    identity: Option<&Path>,
    ask: &mut dyn FnMut() -> Option<Passphrase>,
    progress: &Progress,
    mut wanted: impl FnMut(&SecretLine) -> bool,
) -> Result<Vec<SecretLine>, DaemonError> {
    let identities = read_identities(identity.unwrap_or(&config.identity), ask)?;
    let mut backup = open(file, &identities, progress, Pass::ONLY)?;
    let mut picked = Vec::new();
    let failed = |source| DaemonError::Backup { path: file.to_owned(), source };
    while let Some(secret) = backup.next_secret().map_err(failed)? {
        if wanted(&secret) {
            picked.push(secret);
        }
    }
    Ok(picked)
}

/// Which time it is that the file is read, and how often it is read at all.
#[derive(Clone, Copy)]
struct Pass {
    before: u64,
    of: u64,
}

impl Pass {
    const ONLY: Self = Self { before: 0, of: 1 };
    const FIRST_OF_TWO: Self = Self { before: 0, of: 2 };
    const SECOND_OF_TWO: Self = Self { before: 1, of: 2 };
}

fn open(
    path: &Path,
    identities: &Identities,
    progress: &Progress,
    pass: Pass,
) -> Result<BackupReader<'static>, DaemonError> {
    let file = File::open(path).map_err(DaemonError::io(format!("open {}", path.display())))?;
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let (read, total) = (pass.before * length, pass.of * length);
    let file = Told { file, read, total, progress: progress.clone() };
    let reader = BufReader::with_capacity(64 * 1024, file);
    BackupReader::open(reader, identities).map_err(|source| DaemonError::Backup { path: path.to_owned(), source })
}

/// A file that tells how far it was read.
struct Told {
    file: File,
    read: u64,
    total: u64,
    progress: Progress,
}

impl Read for Told {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.read += read as u64;
        self.progress.tell(self.read, self.total);
        Ok(read)
    }
}
