//! Binds what the daemon listens on.
//!
//! Invariants: a Unix socket is born 0600 in a directory that others cannot write; the socket of a dead daemon is
//! replaced, that of a live one never; a socket is taken away at the end only if it is still ours.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::process::umask;

use crate::config::ListenAddress;
use crate::daemon::DaemonError;
use crate::http::Listeners;
use crate::paths::ensure_private_dir;

/// Bound sockets, and what they are called.
#[derive(Debug, Default)]
pub(super) struct Bound {
    /// The sockets themselves.
    pub(super) listeners: Listeners,
    /// Their addresses, as `--addr` takes them.
    pub(super) addresses: Vec<String>,
    sockets: Vec<SocketFile>,
}

/// A socket's file, which is removed when this is dropped, if it is still the one that we made.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Bound {
    /// Binds all addresses, or none.
    pub(super) fn bind(addresses: &[ListenAddress]) -> Result<Self, DaemonError> {
        let mut bound = Self::default();
        for address in addresses {
            match address {
                ListenAddress::Unix(path) => bound.bind_unix(path)?,
                ListenAddress::Tcp(address) => bound.bind_tcp(*address)?,
            }
        }
        Ok(bound)
    }

    /// Takes the sockets out; the files live as long as what is left.
    pub(super) fn take(&mut self) -> Listeners {
        std::mem::take(&mut self.listeners)
    }

    fn bind_tcp(&mut self, address: SocketAddr) -> Result<(), DaemonError> {
        let failed = |source| DaemonError::Bind { address: address.to_string(), source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        // Port 0 is the system's choice, and this is what it chose.
        let chosen = listener.local_addr().map_err(failed)?;
        self.addresses.push(format!("http://{chosen}"));
        self.listeners.tcp.push(listener);
        Ok(())
    }

    fn bind_unix(&mut self, path: &Path) -> Result<(), DaemonError> {
        let failed = |source| DaemonError::Bind { address: path.display().to_string(), source };
        if let Some(parent) = path.parent() {
            ensure_private_dir(parent)?;
        }
        remove_stale(path)?;
        let before = umask(Mode::from_raw_mode(0o177));
        let listener = UnixListener::bind(path);
        umask(before);
        let listener = listener.map_err(failed)?;
        let inode = fs::metadata(path).map_err(failed)?.ino();
        self.sockets.push(SocketFile { path: path.to_owned(), inode });
        self.addresses.push(format!("unix://{}", path.display()));
        self.listeners.unix.push(listener);
        Ok(())
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            // What remains is a stale socket, which the next start replaces.
            let _removed = fs::remove_file(&self.path);
        }
    }
}

/// Makes room for a socket: removes one that nobody listens on.
fn remove_stale(path: &Path) -> Result<(), DaemonError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(DaemonError::Bind { address: path.display().to_string(), source }),
    };
    if !found.file_type().is_socket() {
        return Err(DaemonError::NotASocket { path: path.to_owned() });
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|source| DaemonError::Bind { address: path.display().to_string(), source })
        }
        // Somebody answers, or may be too busy to.
        Ok(_) | Err(_) => Err(DaemonError::SocketInUse { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("hushd.sock");
        drop(UnixListener::bind(&path).unwrap());
        let address = [ListenAddress::Unix(path.clone())];
        let bound = Bound::bind(&address).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(Bound::bind(&address), Err(DaemonError::SocketInUse { .. })));
        drop(bound);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("hushd.sock");
        crate::paths::write_private_new(&path, b"mine").unwrap();
        let result = Bound::bind(&[ListenAddress::Unix(path.clone())]);
        assert!(matches!(result, Err(DaemonError::NotASocket { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }
}
