//! The files under the store: born private, locked, made durable, measured.
//!
//! Invariants: whatever is created while a [`PrivateUmask`] lives is for the owner alone; a file that sled would create
//! anew when it is missing is asked for before sled is.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt as _};
use std::path::{Path, PathBuf};

use parking_lot::{Mutex, MutexGuard};
use rustix::fs::{FlockOperation, Mode};
use rustix::process::umask;

use crate::store::StoreError;

/// sled's log, which is all of the data.
pub(super) const DATA: &str = "db";
/// sled's parameters.
const PARAMETERS: &str = "conf";
/// What sled calls large objects; always empty here.
pub(super) const LARGE: &str = "blobs";

static UMASK: Mutex<()> = Mutex::new(());

/// While it lives, the process's umask is 077. sled creates its files with the mode 0666 minus the umask.
///
/// A umask belongs to the whole process: a file that another thread creates meanwhile is private too.
#[derive(Debug)]
pub(super) struct PrivateUmask {
    before: Mode,
    _turn: MutexGuard<'static, ()>,
}

impl PrivateUmask {
    pub(super) fn set() -> Self {
        let turn = UMASK.lock();
        Self { before: umask(Mode::RWXG | Mode::RWXO), _turn: turn }
    }
}

impl Drop for PrivateUmask {
    fn drop(&mut self) {
        umask(self.before);
    }
}

/// Makes sure that there is an empty directory at `dir`, creating it with the mode 0700.
///
/// # Errors
/// [`StoreError::Exists`] when there is something else, [`StoreError::Io`], [`StoreError::Full`].
pub(super) fn create_directory(dir: &Path) -> Result<(), StoreError> {
    let exists = || StoreError::Exists { path: dir.to_owned() };
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mut entries = fs::read_dir(dir).map_err(|_| exists())?;
            if entries.next().is_none() { Ok(()) } else { Err(exists()) }
        }
        Err(error) => Err(error.into()),
    }
}

/// Makes sure that the files of a store are at `dir`: sled opens a missing one as an empty database.
///
/// # Errors
/// [`StoreError::Damaged`] when one is missing or empty, [`StoreError::Io`].
pub(super) fn require(dir: &Path) -> Result<(), StoreError> {
    for name in [DATA, PARAMETERS] {
        match fs::metadata(dir.join(name)) {
            Ok(metadata) if metadata.is_file() && metadata.len() > 0 => {}
            Ok(_) => return Err(StoreError::damaged(format!("its file {name} is empty"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::damaged(format!("its file {name} is missing")));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The snapshots of its log that a sled which was killed began: it leaves them for ever, and does not open where one is torn.
///
/// # Errors
/// [`StoreError::Io`].
pub(super) fn unfinished_snapshots(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let is_unfinished = |name: &str| name.starts_with("snap.") && name.ends_with(".generating");
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_unfinished) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Removes files that nobody uses any more. That one cannot be removed changes nothing.
pub(super) fn remove(abandoned: &[PathBuf]) {
    for path in abandoned {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "what a store that was killed left cannot be removed");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

/// Makes what was created in `dir`, and `dir` itself, survive a power cut.
///
/// # Errors
/// [`StoreError::Io`], [`StoreError::Full`].
pub(super) fn sync_created(dir: &Path) -> Result<(), StoreError> {
    for name in [DATA, PARAMETERS, LARGE] {
        File::open(dir.join(name))?.sync_all()?;
    }
    sync_directory(dir)?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent),
        _ => sync_directory(Path::new(".")),
    }
}

/// Makes all files in `dir`, and their names, survive a power cut.
///
/// # Errors
/// [`StoreError::Io`], [`StoreError::Full`].
pub(super) fn sync_all_in(dir: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(dir)? {
        File::open(entry?.path())?.sync_all()?;
    }
    sync_directory(dir)
}

/// Makes the names in a directory survive a power cut.
///
/// # Errors
/// [`StoreError::Io`].
pub(super) fn sync_directory(dir: &Path) -> Result<(), StoreError> {
    Ok(File::open(dir)?.sync_all()?)
}

/// Whether the file system of `file` has `bytes` left for us.
///
/// # Errors
/// [`StoreError::Io`].
pub(super) fn has_room(file: &File, bytes: u64) -> Result<bool, StoreError> {
    let system = rustix::fs::fstatvfs(file).map_err(io::Error::from)?;
    Ok(system.f_bavail.saturating_mul(system.f_frsize) >= bytes)
}

/// Whether something can be written in `dir` and be brought to the disk.
///
/// # Errors
/// [`StoreError::Full`] and [`StoreError::Io`] when not.
pub(super) fn probe(dir: &Path) -> Result<(), StoreError> {
    // A file without a name: a process that is killed leaves nothing behind.
    let file = tempfile::tempfile_in(dir)?;
    file.write_all_at(&[0; 8 * 1024], 0)?;
    file.sync_data()?;
    Ok(())
}

/// Whether nobody holds sled's lock on `file` (any more). Takes the lock itself when so, until `file` is closed.
pub(super) fn unlocked(file: &File) -> bool {
    rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
}
