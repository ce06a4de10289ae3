//! Files that others read: replaced whole, and still those of whoever owned them.
//!
//! Invariants: a reader sees the old file or the new one, never a part; a symbolic link in its place is refused and not
//! followed; mode and owner stay, unless a mode is named; what is the same already is not touched.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use zeroize::Zeroizing;

use crate::paths::PathsError;
use crate::paths::private::{parent_of, sync_directory, unfinished};

/// Whose a file is to be; `None`: as it is, or whoever writes it, and 0600.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ownership {
    /// Its mode.
    pub mode: Option<u32>,
    /// Its user.
    pub owner: Option<u32>,
    /// Its group.
    pub group: Option<u32>,
}

/// Replaces the contents of a file, or creates it. Says whether anything changed.
///
/// # Errors
///
/// [`PathsError::Io`]; the old file is still there.
pub fn replace_rendered(path: &Path, contents: &[u8], whose: Ownership) -> Result<bool, PathsError> {
    let old = existing(path).map_err(PathsError::io("replace", path))?;
    let wanted = whose.mode.or(old.as_ref().map(|old| old.mode)).unwrap_or(0o600);
    let (owner, group) =
        (whose.owner.or(old.as_ref().map(|old| old.owner.0)), whose.group.or(old.as_ref().map(|old| old.owner.1)));
    let is_so = |old: &Existing| {
        old.mode == wanted
            && *old.contents == contents
            && owner.is_none_or(|owner| owner == old.owner.0)
            && group.is_none_or(|group| group == old.owner.1)
    };
    if old.as_ref().is_some_and(is_so) {
        return Ok(false);
    }
    let mut file = unfinished(path)?;
    let io = PathsError::io("write", path);
    let write = |file: &mut File| {
        file.write_all(contents)?;
        let made = of(&file.metadata()?);
        if owner.is_some_and(|owner| owner != made.0) || group.is_some_and(|group| group != made.1) {
            fchown(&*file, owner, group)?;
        }
        // After the owner, whose change takes bits away; and before the file has its name.
        file.set_permissions(Permissions::from_mode(wanted))?;
        file.sync_all()
    };
    write(file.as_file_mut()).map_err(io)?;
    file.persist(path).map_err(|error| PathsError::io("replace", path)(error.error))?;
    sync_directory(parent_of(path))?;
    Ok(true)
}

/// What is there.
struct Existing {
    contents: Zeroizing<Vec<u8>>,
    mode: u32,
    owner: (u32, u32),
}

fn existing(path: &Path) -> io::Result<Option<Existing>> {
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
            return Err(io::Error::other("it is a symbolic link, and none is followed"));
        }
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut contents = Zeroizing::new(Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1));
    file.read_to_end(&mut contents)?;
    Ok(Some(Existing { contents, mode: metadata.mode() & 0o7777, owner: of(&metadata) }))
}

fn of(metadata: &std::fs::Metadata) -> (u32, u32) {
    (metadata.uid(), metadata.gid())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_mode() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.conf");
        let mode = || fs::metadata(&path).unwrap().mode() & 0o7777;
        assert!(replace_rendered(&path, b"1", Ownership::default()).unwrap());
        assert_eq!((fs::read(&path).unwrap(), mode()), (b"1".to_vec(), 0o600));
        assert!(!replace_rendered(&path, b"1", Ownership::default()).unwrap());
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(replace_rendered(&path, b"2", Ownership::default()).unwrap());
        assert_eq!((fs::read(&path).unwrap(), mode()), (b"2".to_vec(), 0o640));
        assert!(replace_rendered(&path, b"2", Ownership { mode: Some(0o644), ..Ownership::default() }).unwrap());
        assert_eq!(mode(), 0o644);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn no_link_is_followed_and_no_device_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let (target, link) = (directory.path().join("target"), directory.path().join("link"));
        replace_rendered(&target, b"old", Ownership::default()).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let error = replace_rendered(&link, b"new", Ownership::default()).unwrap_err();
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("symbolic link"), "{error}");
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert!(replace_rendered(directory.path(), b"new", Ownership::default()).is_err());
        assert!(replace_rendered(Path::new("/dev/null"), b"new", Ownership::default()).is_err());
    }
}
