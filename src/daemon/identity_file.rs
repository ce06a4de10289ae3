//! The file with the master key: what is in it, and another passphrase for it.
//!
//! Invariants: the key stays the same; killed at any point there is the old file or the new one, whole; the new one was
//! opened with its passphrase before it takes the place of the old one. Where the file is a link, what it leads to is
//! replaced, so that no copy with the old passphrase stays behind.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::VaultConfig;
use crate::crypto::{CryptoError, Identities, Passphrase, Recipient, identity};
use crate::daemon::{DaemonError, hardening};
use crate::paths::{PrivateFile, read_private};

/// What is in the file.
#[derive(Debug)]
pub struct IdentityFile {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is encrypted to a passphrase.
    pub encrypted: bool,
    /// The public halves.
    pub recipients: Vec<Recipient>,
}

/// A file that was opened, to be written anew.
#[derive(Debug)]
pub struct OpenedIdentity {
    path: PathBuf,
    text: Zeroizing<Vec<u8>>,
    recipients: Vec<Recipient>,
}

/// Looks what is in the file. `ask` gives its passphrase, where it needs one.
///
/// # Errors
/// [`DaemonError::NoIdentity`], [`DaemonError::Identity`], and those of reading it.
pub fn show_identity(
    config: &VaultConfig,
    ask: &mut dyn FnMut() -> Option<Passphrase>,
) -> Result<IdentityFile, DaemonError> {
    let path = config.identity.clone();
    let file = read(&path)?;
    let encrypted = identity::needs_passphrase(&file);
    let identities = Identities::parse(&file, ask).map_err(failed(&path))?;
    Ok(IdentityFile { path, encrypted, recipients: identities.recipients() })
}

/// Opens the file to give it another passphrase.
///
/// # Errors
/// As [`show_identity`], and for an SSH key, whose own tool does that.
pub fn open_identity(
    config: &VaultConfig,
    ask: &mut dyn FnMut() -> Option<Passphrase>,
) -> Result<OpenedIdentity, DaemonError> {
    hardening::private_umask();
    hardening::harden();
    let path = std::fs::canonicalize(&config.identity)
        .map_err(|_| DaemonError::NoIdentity { path: config.identity.clone() })?;
    let text = identity::decrypt_identity(&read(&path)?, ask).map_err(failed(&path))?;
    let recipients = Identities::parse(&text, &mut || None).map_err(failed(&path))?.recipients();
    Ok(OpenedIdentity { path, text, recipients })
}

impl OpenedIdentity {
    /// Writes it anew, encrypted to this passphrase or not at all. Says where.
    ///
    /// # Errors
    /// Those of writing it; then the old file is there.
    pub fn rewrite(self, passphrase: Option<&Passphrase>) -> Result<PathBuf, DaemonError> {
        let key_error = |source| DaemonError::Key { source };
        let text = std::str::from_utf8(&self.text).map_err(|_| key_error(CryptoError::NotAnIdentity))?;
        let mut file = PrivateFile::create(&self.path)?;
        let written = match passphrase {
            Some(passphrase) => file.write_all(&identity::encrypt_identity(text, passphrase).map_err(key_error)?),
            None => file.write_all(text.as_bytes()),
        };
        written.map_err(DaemonError::io(format!("write {}", self.path.display())))?;
        file.sync()?;
        let back = read_private(file.partial_path())?;
        let back = Identities::parse(&back, &mut || passphrase.cloned()).map_err(failed(&self.path))?;
        if back.recipients() != self.recipients {
            return Err(key_error(CryptoError::IdentityDamaged));
        }
        file.keep()?;
        Ok(self.path)
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, DaemonError> {
    if !path.exists() {
        return Err(DaemonError::NoIdentity { path: path.to_owned() });
    }
    Ok(read_private(path)?)
}

fn failed(path: &Path) -> impl FnOnce(CryptoError) -> DaemonError {
    let path = path.to_owned();
    move |source| DaemonError::Identity { path, source }
}
