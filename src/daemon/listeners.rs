//! Binds what the daemon listens on.
//!
//! Invariants: a Unix socket is born 0600 in a directory that others cannot write, and is opened to its group only when it
//! belongs to that group, so that nobody else can connect in between; the socket of a dead daemon is replaced, that of a
//! live one never; a socket is taken away at the end only if it is still ours.

use std::fs::{self, Permissions};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt as _, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::process::umask;

use crate::config::{ListenAddress, SocketConfig, SocketMode};
use crate::daemon::DaemonError;
use crate::daemon::inherited::Inherited;
use crate::http::Listeners;
use crate::paths::{ensure_private_dir, group_id};

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
    /// Binds all addresses, or none; Unix sockets get this mode and group.
    pub(super) fn bind(addresses: &[ListenAddress], mode: SocketMode, group: Option<u32>) -> Result<Self, DaemonError> {
        let mut bound = Self::default();
        for address in addresses {
            match address {
                ListenAddress::Unix(path) => bound.bind_unix(path, mode, group)?,
                ListenAddress::Tcp(address) => bound.bind_tcp(*address)?,
            }
        }
        Ok(bound)
    }

    /// Adds those of the service manager.
    pub(super) fn add(&mut self, inherited: Inherited) {
        let Inherited { api, addresses, answers: _ } = inherited;
        self.listeners.tcp.extend(api.tcp);
        self.listeners.unix.extend(api.unix);
        self.addresses.extend(addresses);
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

    fn bind_unix(&mut self, path: &Path, mode: SocketMode, group: Option<u32>) -> Result<(), DaemonError> {
        let failed = |source| DaemonError::Bind { address: path.display().to_string(), source };
        remove_stale(path)?;
        let before = umask(Mode::from_raw_mode(0o177));
        let listener = UnixListener::bind(path);
        umask(before);
        let listener = listener.map_err(failed)?;
        let inode = fs::metadata(path).map_err(failed)?.ino();
        self.sockets.push(SocketFile { path: path.to_owned(), inode });
        // Nobody else can exchange it: the directory is ours.
        chown(path, None, group).map_err(failed)?;
        if mode != SocketMode::default() {
            fs::set_permissions(path, Permissions::from_mode(mode.bits())).map_err(failed)?;
        }
        self.addresses.push(format!("unix://{}", path.display()));
        self.listeners.unix.push(listener);
        Ok(())
    }
}

/// The number of the sockets' group; `None`: the process's own.
pub(super) fn group(socket: &SocketConfig) -> Result<Option<u32>, DaemonError> {
    let Some(name) = &socket.group else { return Ok(None) };
    let id = group_id(name).map_err(DaemonError::io("look up the group of the socket"))?;
    id.map(Some).ok_or_else(|| DaemonError::NoGroup { name: name.clone() })
}

/// Makes the directories of the sockets, which whoever may connect can pass and only we can write.
pub(super) fn prepare(
    addresses: &[ListenAddress],
    socket: &SocketConfig,
    group: Option<u32>,
) -> Result<(), DaemonError> {
    let paths = addresses.iter().filter_map(|address| match address {
        ListenAddress::Unix(path) => path.parent(),
        ListenAddress::Tcp(_) => None,
    });
    for directory in paths {
        let is_new = !directory.exists();
        ensure_private_dir(directory)?;
        let passing = (socket.mode.bits() >> 1) & 0o011;
        if passing != 0 {
            open_directory(directory, passing, group, is_new || directory.ends_with(OWN_DIRECTORY))?;
        }
    }
    Ok(())
}

/// The name of directories that are for nothing else but the socket.
const OWN_DIRECTORY: &str = "hushd";

/// Lets others pass a directory, which does not let them see what is in it. Only one of our own is changed.
fn open_directory(path: &Path, passing: u32, group: Option<u32>, is_own: bool) -> Result<(), DaemonError> {
    let failed = || DaemonError::io(format!("open {} to the group of the socket", path.display()));
    let found = fs::metadata(path).map_err(failed())?;
    let wanted = group.unwrap_or_else(|| found.gid());
    let mode = found.mode() & 0o7777;
    // Everybody's right to pass is the group's too, unless it is the directory's own group.
    let passes = if found.gid() == wanted { mode & passing == passing } else { mode & 0o001 != 0 };
    if passes {
        return Ok(());
    }
    if !is_own {
        return Err(DaemonError::ClosedDirectory { path: path.to_owned(), mode, group: wanted });
    }
    chown(path, None, Some(wanted)).map_err(failed())?;
    fs::set_permissions(path, Permissions::from_mode(mode | passing)).map_err(failed())
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
    use super::*;

    fn bind(addresses: &[ListenAddress]) -> Result<Bound, DaemonError> {
        Bound::bind(addresses, SocketMode::default(), None)
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("hushd.sock");
        drop(UnixListener::bind(&path).unwrap());
        let address = [ListenAddress::Unix(path.clone())];
        let bound = bind(&address).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(bind(&address), Err(DaemonError::SocketInUse { .. })));
        drop(bound);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("hushd.sock");
        crate::paths::write_private_new(&path, b"mine").unwrap();
        let result = bind(&[ListenAddress::Unix(path.clone())]);
        assert!(matches!(result, Err(DaemonError::NotASocket { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }

    #[test]
    fn a_group_gets_a_socket_that_it_can_reach_in_a_directory_that_it_cannot_write() {
        let root = tempfile::tempdir().unwrap();
        let (ours, gid) = (root.path().join("hushd"), rustix::process::getegid().as_raw());
        let address = [ListenAddress::Unix(ours.join("hushd.sock"))];
        let socket = SocketConfig { group: Some(gid.to_string()), mode: "0660".parse().unwrap() };
        let group = group(&socket).unwrap();
        assert_eq!(group, Some(gid));
        prepare(&address, &socket, group).unwrap();
        let bound = Bound::bind(&address, socket.mode, group).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!((mode(&ours), mode(&ours.join("hushd.sock"))), (0o710, 0o660));
        drop(bound);
        // One that is for other things too is left as it is.
        let other = root.path().join("other");
        fs::DirBuilder::new().create(&other).unwrap();
        fs::set_permissions(&other, Permissions::from_mode(0o700)).unwrap();
        let address = [ListenAddress::Unix(other.join("hushd.sock"))];
        assert!(matches!(prepare(&address, &socket, group), Err(DaemonError::ClosedDirectory { mode: 0o700, .. })));
        assert_eq!(mode(&other), 0o700);
    }

    #[test]
    fn an_unknown_group_is_named() {
        let socket = SocketConfig { group: Some("no-such-group-here".to_owned()), mode: SocketMode::default() };
        assert!(matches!(group(&socket), Err(DaemonError::NoGroup { name }) if name == "no-such-group-here"));
    }
}
