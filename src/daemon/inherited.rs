//! Sockets that the service manager made and keeps (sd_listen_fds(3)): no connection is lost while the daemon restarts.
//!
//! Invariants: they are taken once; each is a listening socket of a kind that the daemon serves, told apart by the names that
//! their units give them (`FileDescriptorName=`); TCP is taken on loopback only; their files are the manager's, and are never
//! removed here.

#![expect(unsafe_code, reason = "a descriptor that was inherited is known by its number alone")]

use std::net::TcpListener;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;

use rustix::net::sockopt::{socket_acceptconn, socket_type};
use rustix::net::{AddressFamily, SocketType, getsockname};

use crate::config::{ConfigError, ListenAddress};
use crate::daemon::DaemonError;
use crate::http::Listeners;

/// The name of the socket that those ask on who hold connections for credentials: `hushd-answers.socket`.
const ANSWERS: &str = "answers";

/// What was inherited.
#[derive(Debug, Default)]
pub(super) struct Inherited {
    /// Where the API is served.
    pub(super) api: Listeners,
    /// Their addresses, as `--addr` takes them.
    pub(super) addresses: Vec<String>,
    /// Where credentials are asked for.
    pub(super) answers: Option<UnixListener>,
}

impl Inherited {
    /// Takes what the service manager passed to this process. Called once, at the start.
    ///
    /// # Errors
    /// [`DaemonError::Inherited`] where something of it cannot be used.
    pub(super) fn take() -> Result<Self, DaemonError> {
        let listed = sd_notify::listen_fds_with_names().map_err(DaemonError::io("take over the inherited sockets"))?;
        let mut inherited = Self::default();
        for (number, name) in listed {
            inherited.add(own(number), &name)?;
        }
        Ok(inherited)
    }

    /// Whether the API is served on them, and so nowhere else.
    pub(super) fn has_api(&self) -> bool {
        !self.addresses.is_empty()
    }

    fn add(&mut self, socket: OwnedFd, name: &str) -> Result<(), DaemonError> {
        let wrong = |why: String| DaemonError::Inherited { name: name.to_owned(), why };
        let system = |error: rustix::io::Errno| wrong(format!("it is no socket: {error}"));
        let (kind, listens) = (socket_type(&socket).map_err(system)?, socket_acceptconn(&socket).map_err(system)?);
        if kind != SocketType::STREAM || !listens {
            return Err(wrong("it is no stream socket that listens (ListenStream=, Accept=no)".to_owned()));
        }
        let family = getsockname(&socket).map_err(system)?.address_family();
        if family == AddressFamily::UNIX && name == ANSWERS {
            if self.answers.replace(socket.into()).is_some() {
                return Err(wrong("there are two of that name".to_owned()));
            }
        } else if family == AddressFamily::UNIX {
            let listener = UnixListener::from(socket);
            let address = listener.local_addr().ok();
            let path = address.as_ref().and_then(|address| address.as_pathname());
            let path = path.ok_or_else(|| wrong("its address is no path".to_owned()))?;
            self.addresses.push(format!("unix://{}", path.display()));
            self.api.unix.push(listener);
        } else if family == AddressFamily::INET || family == AddressFamily::INET6 {
            let listener = TcpListener::from(socket);
            let address = listener.local_addr().map_err(|error| wrong(error.to_string()))?;
            if !ListenAddress::Tcp(address).is_local() {
                let address = address.to_string();
                return Err(ConfigError::NotLoopback { address, allowed: false }.into());
            }
            self.addresses.push(format!("http://{address}"));
            self.api.tcp.push(listener);
        } else {
            return Err(wrong("it is neither a Unix socket nor TCP".to_owned()));
        }
        Ok(())
    }
}

/// Owns a descriptor that the service manager passed.
fn own(number: RawFd) -> OwnedFd {
    // SAFETY: sd_listen_fds(3): the variables name this process, so the descriptors from 3 on are its own and open, and
    // nothing else of it knows of them; this is done once.
    unsafe { OwnedFd::from_raw_fd(number) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn sockets_are_told_apart_and_others_refused() {
        let root = tempfile::tempdir().unwrap();
        let unix = |name: &str| UnixListener::bind(root.path().join(name)).unwrap();
        let mut inherited = Inherited::default();
        inherited.add(unix("a").into(), "api").unwrap();
        inherited.add(TcpListener::bind("127.0.0.1:0").unwrap().into(), "api").unwrap();
        assert!(inherited.has_api() && inherited.answers.is_none());
        inherited.add(unix("b").into(), "answers").unwrap();
        assert!(inherited.answers.is_some());
        assert_eq!(inherited.addresses[0], format!("unix://{}/a", root.path().display()));
        assert!(inherited.addresses[1].starts_with("http://127.0.0.1:"), "{:?}", inherited.addresses);
        for (socket, expected) in [
            (OwnedFd::from(unix("c")), "two of that name"),
            (UnixStream::pair().unwrap().0.into(), "no stream socket that listens"),
            (std::fs::File::open("/dev/null").unwrap().into(), "no socket"),
        ] {
            let error = inherited.add(socket, "answers").unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(error.hint().is_some());
        }
        let everywhere = TcpListener::bind("0.0.0.0:0").unwrap();
        let error = inherited.add(everywhere.into(), "api").unwrap_err();
        assert!(matches!(error, DaemonError::Config(ConfigError::NotLoopback { .. })), "{error}");
    }
}
