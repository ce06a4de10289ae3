//! The directory of the socket, where `XDG_RUNTIME_DIR` is not to be relied on.
//!
//! Invariant: the directory is never inside one that other users can write, so nobody can put a socket in our place.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use crate::paths::{Environment, PathsError};

/// Longest path of a Unix socket in bytes, without the NUL that ends it (unix(7)).
pub const SOCKET_PATH_MAX: usize = 107;

/// Refuses a path that does not fit into a socket's address.
///
/// # Errors
///
/// [`PathsError::SocketPathTooLong`].
pub fn check_socket_path(path: &Path) -> Result<(), PathsError> {
    let length = path.as_os_str().as_bytes().len();
    if length > SOCKET_PATH_MAX {
        return Err(PathsError::SocketPathTooLong { path: path.to_owned(), length });
    }
    Ok(())
}

/// The directory that was chosen.
pub(super) struct Runtime {
    pub directory: PathBuf,
    pub note: Option<String>,
}

/// Chooses the directory: in `XDG_RUNTIME_DIR`, else in `/run/user/UID`, each only where it is ours and no other user can
/// write it, else in the user's state directory. The XDG Base Directory Specification asks for such a fallback and a
/// warning.
pub(super) fn choose(environment: &Environment, state: &Path) -> Runtime {
    let user = geteuid().as_raw();
    let mut note = None;
    if let Some(base) = environment.get("XDG_RUNTIME_DIR") {
        let base = Path::new(base);
        match refusal(base, user) {
            None => return Runtime { directory: base.join("hushd"), note },
            Some(reason) => note = Some(format!("XDG_RUNTIME_DIR is not used: {} {reason}", base.display())),
        }
    }
    let base = PathBuf::from(format!("/run/user/{user}"));
    if refusal(&base, user).is_none() {
        return Runtime { directory: base.join("hushd"), note };
    }
    Runtime { directory: state.join("run"), note }
}

/// Why a directory of sockets may not lie in `base`; `None` where it may.
fn refusal(base: &Path, user: u32) -> Option<String> {
    if !base.is_absolute() {
        return Some("is not an absolute path".to_owned());
    }
    let metadata = match fs::metadata(base) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Some("does not exist".to_owned()),
        Err(error) => return Some(format!("cannot be looked at: {error}")),
    };
    if !metadata.is_dir() {
        return Some("is not a directory".to_owned());
    }
    if metadata.uid() != user {
        return Some(format!("belongs to the user with id {}", metadata.uid()));
    }
    if metadata.mode() & 0o022 != 0 {
        return Some(format!("can be written by other users (mode {:04o})", metadata.mode() & 0o7777));
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn chosen(runtime: Option<&Path>, state: &Path) -> Runtime {
        let variables = runtime.map(|path| ("XDG_RUNTIME_DIR", path.as_os_str()));
        choose(&Environment::new(None, 1, variables), state)
    }

    #[test]
    fn the_runtime_directory_of_the_session_is_taken_where_it_is_ours_alone() {
        let base = tempfile::tempdir().unwrap();
        let runtime = chosen(Some(base.path()), Path::new("/state"));
        assert_eq!(runtime.directory, base.path().join("hushd"));
        assert_eq!(runtime.note, None);
    }

    #[test]
    fn a_directory_that_others_can_write_is_never_taken() {
        let base = tempfile::tempdir().unwrap();
        for mode in [0o777, 0o1777, 0o770] {
            fs::set_permissions(base.path(), fs::Permissions::from_mode(mode)).unwrap();
            let runtime = chosen(Some(base.path()), Path::new("/state"));
            assert!(!runtime.directory.starts_with(base.path()), "{mode:o}");
            assert!(runtime.note.unwrap().contains("can be written by other users"));
        }
    }

    #[test]
    fn a_directory_that_is_missing_or_relative_is_passed_over_with_a_note() {
        for (path, reason) in [("/nonexistent/run", "does not exist"), ("run", "is not an absolute path")] {
            let runtime = chosen(Some(Path::new(path)), Path::new("/state"));
            assert!(runtime.note.unwrap().contains(reason));
            assert!(runtime.directory.is_absolute());
        }
    }

    #[test]
    fn another_users_directory_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let other = geteuid().as_raw() + 1;
        assert!(refusal(base.path(), other).unwrap().contains("belongs to the user"));
    }

    #[test]
    fn a_socket_path_of_107_bytes_fits_and_one_of_108_does_not() {
        let path = |length: usize| PathBuf::from(format!("/{}", "s".repeat(length - 1)));
        check_socket_path(&path(107)).unwrap();
        let error = check_socket_path(&path(108)).unwrap_err();
        assert!(error.to_string().contains("108 bytes long, at most 107 fit"));
        assert!(error.hint().unwrap().contains("XDG_RUNTIME_DIR"));
    }
}
