//! Files and directories that are only ours, from the moment they exist.
//!
//! Invariants: what is created here has its mode from its first moment on, whatever the umask; a file is complete and on
//! disk when its function returns; a file that others can read or write is not trusted.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::paths::PathsError;

/// Largest private file that is read, in bytes.
const LIMIT: u64 = 16 * 1024 * 1024;
/// What the names of files begin and end with that are being written.
const UNFINISHED: (&str, &str) = (".hushd-", ".tmp");

/// Creates a directory and what is missing above it, each 0700 and each on disk; what exists is left as it is.
///
/// # Errors
///
/// [`PathsError::Io`], and [`PathsError::NotADirectory`] where something else is in the way.
pub fn create_private_dir_all(path: &Path) -> Result<(), PathsError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Ok(_) => return Err(PathsError::NotADirectory { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(PathsError::io("look at", path)(error)),
    }
    let parent = parent_of(path);
    create_private_dir_all(parent)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        // Somebody else was faster; what counts is that it is there now.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        Err(error) => return Err(PathsError::io("create the directory", path)(error)),
    }
    let mode = fs::metadata(path).map_err(PathsError::io("look at", path))?.mode();
    if mode & 0o700 != 0o700 {
        // The umask can only take bits away, and this gives ours back.
        fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(PathsError::io("set the mode of", path))?;
    }
    sync_dir(parent)
}

/// Creates the directory where it is missing, and refuses it where it belongs to another user or others can write it.
///
/// # Errors
///
/// [`PathsError::Foreign`], [`PathsError::OpenDirectory`] and those of [`create_private_dir_all`].
pub fn ensure_private_dir(path: &Path) -> Result<(), PathsError> {
    create_private_dir_all(path)?;
    let metadata = fs::metadata(path).map_err(PathsError::io("look at", path))?;
    let user = geteuid().as_raw();
    if metadata.uid() != user {
        return Err(PathsError::Foreign { path: path.to_owned(), owner: metadata.uid(), user });
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(PathsError::OpenDirectory { path: path.to_owned(), mode: metadata.mode() & 0o7777 });
    }
    Ok(())
}

/// Writes a new file, 0600 and on disk with its name; never touches one that exists. After a crash there is the whole
/// file or none.
///
/// # Errors
///
/// [`PathsError::Io`]; its source is `AlreadyExists` where there is a file. After any error there is none of ours.
pub fn write_private_new(path: &Path, contents: &[u8]) -> Result<(), PathsError> {
    let file = filled(path, contents)?;
    file.persist_noclobber(path).map_err(|error| PathsError::io("create", path)(error.error))?;
    sync_dir(parent_of(path))
}

/// Replaces a file by one that is 0600, or creates it: after a crash there is the old one or the new one, never a part.
///
/// # Errors
///
/// [`PathsError::Io`]; the old file is still there.
pub fn replace_private(path: &Path, contents: &[u8]) -> Result<(), PathsError> {
    let file = filled(path, contents)?;
    file.persist(path).map_err(|error| PathsError::io("replace", path)(error.error))?;
    sync_dir(parent_of(path))
}

/// Whether a file of this name is one that is being written, or that whoever wrote it was killed over.
pub fn is_unfinished(name: &str) -> bool {
    name.starts_with(UNFINISHED.0) && name.ends_with(UNFINISHED.1)
}

/// A file that is being written, 0600, and has its name only when it is whole.
#[derive(Debug)]
pub struct PrivateFile {
    file: NamedTempFile,
    path: PathBuf,
}

impl PrivateFile {
    /// Begins a file that will be at `path`, in whose directory it is written.
    ///
    /// # Errors
    ///
    /// [`PathsError::Io`], also where something else than a file is at `path`.
    pub fn create(path: &Path) -> Result<Self, PathsError> {
        if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            return Err(PathsError::io("replace", path)(io::Error::other("it is not a regular file")));
        }
        let parent = parent_of(path);
        let file = tempfile::Builder::new()
            .prefix(UNFINISHED.0)
            .suffix(UNFINISHED.1)
            .tempfile_in(parent)
            .map_err(PathsError::io("create a file in", parent))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// What was written so far, on disk or not.
    pub fn partial_path(&self) -> &Path {
        self.file.path()
    }

    /// Puts what was written so far on the disk.
    ///
    /// # Errors
    ///
    /// [`PathsError::Io`].
    pub fn sync(&self) -> Result<(), PathsError> {
        self.file.as_file().sync_all().map_err(PathsError::io("write", &self.path))
    }

    /// Makes it whole: on disk, then under its name, in the place of what was there.
    ///
    /// # Errors
    ///
    /// [`PathsError::Io`]; then what was there is still there.
    pub fn keep(self) -> Result<(), PathsError> {
        self.sync()?;
        self.file.persist(&self.path).map_err(|error| PathsError::io("replace", &self.path)(error.error))?;
        sync_dir(parent_of(&self.path))
    }
}

impl io::Write for PrivateFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_file_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_file_mut().flush()
    }
}

/// Reads a file that only we may know: refuses one that the group or others can read or write, and one of another user
/// (root's are fine). What is checked is the opened file, so it cannot be exchanged in between.
///
/// # Errors
///
/// [`PathsError::Exposed`], [`PathsError::Foreign`], [`PathsError::TooLarge`], [`PathsError::Io`].
pub fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, PathsError> {
    let file = File::open(path).map_err(PathsError::io("read", path))?;
    let metadata = file.metadata().map_err(PathsError::io("look at", path))?;
    if metadata.is_dir() {
        return Err(PathsError::io("read", path)(io::ErrorKind::IsADirectory.into()));
    }
    let status = Status { mode: metadata.mode() & 0o7777, owner: metadata.uid(), group: metadata.gid() };
    judge(path, status, geteuid().as_raw())?;
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let room = usize::try_from(metadata.len().min(LIMIT)).unwrap_or(0) + 1;
    let mut contents = Zeroizing::new(Vec::with_capacity(room.max(4096)));
    file.take(LIMIT + 1).read_to_end(&mut contents).map_err(PathsError::io("read", path))?;
    if contents.len() as u64 > LIMIT {
        return Err(PathsError::TooLarge { path: path.to_owned(), limit: LIMIT });
    }
    Ok(contents)
}

/// What decides about the trust in a file.
#[derive(Clone, Copy)]
struct Status {
    mode: u32,
    owner: u32,
    group: u32,
}

fn judge(path: &Path, status: Status, user: u32) -> Result<(), PathsError> {
    // systemd.exec(5), LoadCredential=: root's, with an access list for the service's user. An access list shows its mask in
    // the place of the group's bits; without one it would be root's group that can read, which is nobody else.
    let credential = status.owner == 0 && status.group == 0 && status.mode == 0o440;
    if status.mode & 0o066 != 0 && !credential {
        return Err(PathsError::Exposed { path: path.to_owned(), mode: status.mode });
    }
    if status.owner != user && status.owner != 0 {
        return Err(PathsError::Foreign { path: path.to_owned(), owner: status.owner, user });
    }
    Ok(())
}

/// A file beside `path` with these contents, on disk, that goes away unless it is given its name.
fn filled(path: &Path, contents: &[u8]) -> Result<NamedTempFile, PathsError> {
    let mut file = unfinished(path)?;
    fill(file.as_file_mut(), contents).map_err(PathsError::io("write", path))?;
    Ok(file)
}

/// A new file beside `path`, 0600, that goes away unless it is given its name.
pub(super) fn unfinished(path: &Path) -> Result<NamedTempFile, PathsError> {
    let parent = parent_of(path);
    // tempfile creates with O_EXCL and 0600.
    let new = tempfile::Builder::new().prefix(UNFINISHED.0).suffix(UNFINISHED.1).tempfile_in(parent);
    new.map_err(PathsError::io("create a file in", parent))
}

fn fill(file: &mut File, contents: &[u8]) -> io::Result<()> {
    if file.metadata()?.mode() & 0o777 != 0o600 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    file.write_all(contents)?;
    file.sync_all()
}

/// Puts the names in a directory on the disk.
///
/// # Errors
///
/// [`PathsError::Io`].
pub fn sync_directory(path: &Path) -> Result<(), PathsError> {
    sync_dir(path)
}

fn sync_dir(path: &Path) -> Result<(), PathsError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(PathsError::io("sync the directory", path))
}

/// The directory that holds the name; a bare name is in the working directory.
pub(super) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;

    fn mode(path: impl AsRef<Path>) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    /// Does everything that creates, and looks at the modes.
    fn create_everything() {
        let directory = tempfile::tempdir().unwrap();
        // As the umask would have it, so that only our own directories are tested.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
        let inner = directory.path().join("a/b");
        create_private_dir_all(&inner).unwrap();
        assert_eq!((mode(directory.path().join("a")), mode(&inner)), (0o700, 0o700));
        write_private_new(&inner.join("new"), b"1").unwrap();
        replace_private(&inner.join("replaced"), b"2").unwrap();
        assert_eq!((mode(inner.join("new")), mode(inner.join("replaced"))), (0o600, 0o600));
        assert_eq!(&**read_private(&inner.join("replaced")).unwrap(), b"2");
    }

    #[test]
    fn everything_is_born_with_its_mode_whatever_the_umask_was() {
        // The umask belongs to the process, so each gets its own.
        let this = std::env::current_exe().unwrap();
        for umask in ["000", "022", "277", "777"] {
            let output = Command::new("sh")
                .args(["-c", r#"umask "$1"; exec "$0" --exact paths::private::tests::under_this_umask --ignored"#])
                .args([this.as_os_str(), umask.as_ref()])
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("1 passed"), "umask {umask}: {text}");
        }
    }

    #[test]
    #[ignore = "run by everything_is_born_with_its_mode_whatever_the_umask_was, once for each umask"]
    fn under_this_umask() {
        create_everything();
    }

    #[test]
    fn a_new_file_never_replaces_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("identity.txt");
        write_private_new(&path, b"old").unwrap();
        let error = write_private_new(&path, b"new").unwrap_err();
        assert!(matches!(&error, PathsError::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists));
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn a_replaced_file_is_whole_private_and_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keyring.age");
        write_private_new(&path, b"old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        replace_private(&path, b"new").unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"new".to_vec(), 0o600));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_has_its_name_only_when_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("backup.age");
        let mut file = PrivateFile::create(&path).unwrap();
        file.write_all(b"part").unwrap();
        assert!(!path.exists());
        drop(file);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        let mut file = PrivateFile::create(&path).unwrap();
        file.write_all(b"whole").unwrap();
        file.keep().unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"whole".to_vec(), 0o600));
        assert!(PrivateFile::create(directory.path()).is_err());
    }

    #[test]
    fn a_file_that_others_can_read_or_write_is_refused_with_the_command_that_mends_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("identity.txt");
        write_private_new(&path, b"AGE-SECRET-KEY-1").unwrap();
        for mode in [0o644, 0o640, 0o620, 0o604, 0o602, 0o666] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = read_private(&path).unwrap_err().to_string();
            assert!(error.contains(&format!("chmod 600 {}", path.display())), "{mode:o}: {error}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        read_private(&path).unwrap();
    }

    #[test]
    fn a_file_of_another_user_is_refused_and_roots_is_not() {
        let path = PathBuf::from("/x");
        let judge = |owner, group, mode| judge(&path, Status { mode, owner, group }, 1000);
        assert!(matches!(judge(1001, 1000, 0o600), Err(PathsError::Foreign { owner: 1001, user: 1000, .. })));
        judge(1000, 1000, 0o600).unwrap();
        judge(0, 0, 0o600).unwrap();
        judge(0, 0, 0o440).unwrap();
        assert!(matches!(judge(0, 1000, 0o440), Err(PathsError::Exposed { .. })));
        assert!(matches!(judge(1000, 0, 0o440), Err(PathsError::Exposed { .. })));
    }

    #[test]
    fn something_in_the_way_of_a_directory_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run");
        write_private_new(&path, b"").unwrap();
        assert!(matches!(ensure_private_dir(&path), Err(PathsError::NotADirectory { .. })));
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(ensure_private_dir(directory.path()), Err(PathsError::OpenDirectory { mode: 0o777, .. })));
    }
}
