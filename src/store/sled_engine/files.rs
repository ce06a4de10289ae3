//! The files under the store: born private, locked, made durable, measured.
//!
//! Invariants: whatever is created while a [`PrivateUmask`] lives is for the owner alone; a file that sled would create
//! anew when it is missing is asked for before sled is.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt as _};
use std::path::Path;

use parking_lot::{Mutex, MutexGuard};
use rustix::fs::{Advice, FlockOperation, Mode};
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

/// Makes sure that what is read from here on is what is on the disk.
///
/// After a sync that failed, the kernel keeps pages that it never wrote and takes them for clean: a store that is opened
/// upon them would acknowledge commits behind a gap, and lose them with the next power cut. So they are dropped, and the
/// log ends where it ends on the disk.
///
/// # Errors
/// [`StoreError::Io`].
pub(super) fn forget_unwritten(dir: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if !path.is_file() {
            continue;
        }
        let file = File::open(path)?;
        if let Err(error) = file.sync_data() {
            tracing::warn!(%error, "the disk did not take what was written before; what it holds is read again");
        }
        // Not every file system can, and then nothing changes.
        if let Err(error) = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed) {
            tracing::debug!(%error, "pages of the store could not be dropped");
        }
    }
    Ok(())
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
