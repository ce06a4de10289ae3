//! The vault's directory: its lock, its marker, and what state it is in.
//!
//! Invariants: one process holds the lock while anything in the directory is used; a vault exists when its marker does
//! and no creation is under way; nothing that was ever a whole vault is taken for a leftover.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::daemon::DaemonError;
use crate::paths::{create_private_dir_all, ensure_private_dir, read_private, write_private_new};

/// Says that there is a vault, and of which format.
const MARKER: &str = "hushd-vault";
/// Is there while a vault is being created.
const UNFINISHED: &str = "creating";
const LOCK: &str = "lock";
const FORMAT: &str = "hushd vault format 1";

/// What is in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing of a vault.
    Empty,
    /// What an interrupted creation left.
    Unfinished,
    /// A vault.
    Vault,
}

/// The directory, locked for this process.
#[derive(Debug)]
pub(super) struct VaultDirectory {
    path: PathBuf,
    _lock: File,
}

impl VaultDirectory {
    /// Locks the directory of a vault that is to be served.
    pub(super) fn existing(path: &Path) -> Result<Self, DaemonError> {
        if !path.join(LOCK).exists() && !path.join(MARKER).exists() && !path.join("db").exists() {
            return Err(DaemonError::NoVault { path: path.to_owned() });
        }
        Self::lock(path)
    }

    /// Creates the directory where it is missing, and locks it.
    pub(super) fn new(path: &Path) -> Result<Self, DaemonError> {
        create_private_dir_all(path)?;
        Self::lock(path)
    }

    /// Whether a vault was ever finished there.
    pub(super) fn is_marked(path: &Path) -> bool {
        path.join(MARKER).exists()
    }

    fn lock(path: &Path) -> Result<Self, DaemonError> {
        ensure_private_dir(path)?;
        let file = path.join(LOCK);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&file)
            .map_err(DaemonError::io(format!("open {}", file.display())))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DaemonError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(DaemonError::io(format!("lock {}", file.display()))(source)),
        }
    }

    /// Looks what there is.
    ///
    /// # Errors
    /// [`DaemonError::UnknownFormat`]; [`DaemonError::Incomplete`] where there are files of a vault without its marker.
    pub(super) fn state(&self) -> Result<State, DaemonError> {
        if self.path.join(UNFINISHED).exists() {
            return Ok(State::Unfinished);
        }
        let marker = self.path.join(MARKER);
        if !marker.exists() {
            let leftover = [self.keyring(), self.recipients(), self.store()].iter().any(|part| part.exists());
            return if leftover { Err(self.lacks(MARKER)) } else { Ok(State::Empty) };
        }
        let text = read_private(&marker)?;
        let found = String::from_utf8_lossy(&text).trim().to_owned();
        if found != FORMAT {
            let found = found.chars().filter(|character| !character.is_control()).take(80).collect();
            return Err(DaemonError::UnknownFormat { path: self.path.clone(), found });
        }
        if !self.keyring().exists() {
            return Err(self.lacks("keyring.age"));
        }
        if !self.store().exists() {
            return Err(self.lacks("db"));
        }
        Ok(State::Vault)
    }

    /// Notes that a creation begins. From here to [`VaultDirectory::finish`] all that is in the directory is worthless.
    pub(super) fn begin(&self) -> Result<(), DaemonError> {
        Ok(write_private_new(&self.path.join(UNFINISHED), b"a vault is being created here\n")?)
    }

    /// Clears away what an interrupted creation left.
    pub(super) fn clear(&self) -> Result<(), DaemonError> {
        for part in [self.path.join(MARKER), self.keyring(), self.recipients(), self.store()] {
            let removed = if part.is_dir() { fs::remove_dir_all(&part) } else { fs::remove_file(&part) };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(DaemonError::io(format!("remove {}", part.display()))(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        self.sync()?;
        self.remove_flag()
    }

    /// Makes what was created a vault: the one step from "no vault" to "a whole one".
    pub(super) fn finish(&self) -> Result<(), DaemonError> {
        write_private_new(&self.path.join(MARKER), format!("{FORMAT}\n").as_bytes())?;
        self.remove_flag()
    }

    /// `keyring.age`.
    pub(super) fn keyring(&self) -> PathBuf {
        self.path.join("keyring.age")
    }

    /// `recipients.txt`.
    pub(super) fn recipients(&self) -> PathBuf {
        self.path.join("recipients.txt")
    }

    /// `audit`, the trail's.
    pub(super) fn audit(&self) -> PathBuf {
        self.path.join("audit")
    }

    /// `db`, the store's.
    pub(super) fn store(&self) -> PathBuf {
        self.path.join("db")
    }

    /// The directory itself.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn remove_flag(&self) -> Result<(), DaemonError> {
        let flag = self.path.join(UNFINISHED);
        fs::remove_file(&flag).map_err(DaemonError::io(format!("remove {}", flag.display())))?;
        self.sync()
    }

    fn sync(&self) -> Result<(), DaemonError> {
        let sync = File::open(&self.path).and_then(|directory| directory.sync_all());
        sync.map_err(DaemonError::io(format!("write {} to disk", self.path.display())))
    }

    fn lacks(&self, missing: &'static str) -> DaemonError {
        DaemonError::Incomplete { path: self.path.clone(), missing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_a_vault_from_finish_on() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("vault");
        assert!(matches!(VaultDirectory::existing(&path), Err(DaemonError::NoVault { .. })));
        let directory = VaultDirectory::new(&path).unwrap();
        assert!(matches!(VaultDirectory::existing(&path), Err(DaemonError::InUse { .. })));
        assert_eq!(directory.state().unwrap(), State::Empty);
        directory.begin().unwrap();
        write_private_new(&directory.keyring(), b"").unwrap();
        create_private_dir_all(&directory.store()).unwrap();
        assert_eq!(directory.state().unwrap(), State::Unfinished);
        directory.finish().unwrap();
        assert_eq!(directory.state().unwrap(), State::Vault);
    }

    #[test]
    fn what_was_a_vault_is_never_taken_for_a_leftover() {
        let root = tempfile::tempdir().unwrap();
        let directory = VaultDirectory::new(root.path()).unwrap();
        directory.begin().unwrap();
        write_private_new(&directory.keyring(), b"").unwrap();
        create_private_dir_all(&directory.store()).unwrap();
        directory.finish().unwrap();
        fs::remove_file(root.path().join(MARKER)).unwrap();
        assert!(matches!(directory.state(), Err(DaemonError::Incomplete { missing: MARKER, .. })));
        write_private_new(&root.path().join(MARKER), b"hushd vault format 99\n").unwrap();
        assert!(matches!(directory.state(), Err(DaemonError::UnknownFormat { .. })));
    }
}
