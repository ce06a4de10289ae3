//! What can be wrong with a path; nothing here holds what a file contains.

use std::io;
use std::path::PathBuf;

/// Something is wrong with a directory, a file or a socket's path.
#[derive(Debug, thiserror::Error)]
pub enum PathsError {
    /// There is no place for the user's files.
    #[error("no home directory: HOME is not set, and the user database names none")]
    NoHome,
    /// An environment variable is not UTF-8.
    #[error("the environment variable {name} is not UTF-8")]
    NotText {
        /// Its name.
        name: &'static str,
    },
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A private file is open to other users. The message holds the command that mends it.
    #[error("other users can read or write {} (mode {mode:04o}); mend it with: chmod 600 {}", path.display(), quoted(path))]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file or directory belongs to another user.
    #[error("{} belongs to the user with id {owner}, not to the one with id {user}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who runs this process.
        user: u32,
    },
    /// A directory for private files can be written by other users. The message holds the command that mends it.
    #[error("other users can write {} (mode {mode:04o}); mend it with: chmod 700 {}", path.display(), quoted(path))]
    OpenDirectory {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// There is something else where a directory should be.
    #[error("not a directory: {}", path.display())]
    NotADirectory {
        /// What is there.
        path: PathBuf,
    },
    /// A private file is larger than anything hushd keeps in one.
    #[error("larger than {limit} bytes: {}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// The path does not fit into a socket's address (unix(7)).
    #[error("the socket's path is {length} bytes long, at most {} fit: {}", super::SOCKET_PATH_MAX, path.display())]
    SocketPathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length.
        length: usize,
    },
}

impl PathsError {
    /// What to do about it, where the message does not say it already.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoHome => Some("set HOME, or XDG_CONFIG_HOME, XDG_DATA_HOME and XDG_STATE_HOME beside it".to_owned()),
            Self::Io { source, path, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some(format!("see who may: ls -ld {}", quoted(path)))
            }
            Self::Foreign { path, user, .. } => {
                Some(format!("if it is yours to take: sudo chown {user} {}", quoted(path)))
            }
            Self::SocketPathTooLong { .. } => Some(
                "set XDG_RUNTIME_DIR to a directory with a shorter path, or name a shorter one: --listen unix:PATH for \
                 the daemon, --addr unix:///PATH for its clients"
                    .to_owned(),
            ),
            Self::NotText { .. }
            | Self::Io { .. }
            | Self::Exposed { .. }
            | Self::OpenDirectory { .. }
            | Self::NotADirectory { .. }
            | Self::TooLarge { .. } => None,
        }
    }

    /// Wraps what the operating system said.
    pub(super) fn io(action: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// The path as a shell takes it: in quotes where it holds more than ordinary characters.
fn quoted(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+,@:=".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exposed_file_is_reported_with_the_command_that_mends_it() {
        let error = |path: &str| PathsError::Exposed { path: path.into(), mode: 0o644 }.to_string();
        assert!(error("/a/identity.txt").ends_with("chmod 600 /a/identity.txt"));
        assert!(error("/a b/it's").ends_with(r"chmod 600 '/a b/it'\''s'"));
    }
}
