//! Addresses: where the daemon listens, and where a client finds it.
//!
//! Invariants: a socket's path is absolute and fits into an address; a client speaks HTTP only to this machine, because
//! nothing protects what it sends on the way.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::paths::check_socket_path;

/// Where the daemon listens: `unix:/PATH` or `127.0.0.1:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port.
    Tcp(SocketAddr),
}

/// Where a client finds the daemon: `unix:///PATH` or `http://127.0.0.1:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClientAddress {
    /// A Unix socket.
    Unix(PathBuf),
    /// HTTP on this machine.
    Tcp(SocketAddr),
}

/// The text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// It has none of the forms.
    #[error("not an address: {text:?}; expected {expected}")]
    Form {
        /// What was given.
        text: String,
        /// What it should look like.
        expected: &'static str,
    },
    /// A socket's path does not start at the root.
    #[error("the path of a socket must be absolute: {text:?}")]
    RelativePath {
        /// What was given.
        text: String,
    },
    /// A socket's path is too long.
    #[error("{message}")]
    TooLong {
        /// What is wrong with it.
        message: String,
    },
    /// A client is not to send its token over a network.
    #[error("not a loopback address: {text:?}; a token would cross the network in the clear")]
    NotLoopback {
        /// What was given.
        text: String,
    },
}

const LISTEN_FORMS: &str = "unix:/PATH or 127.0.0.1:PORT";
const CLIENT_FORMS: &str = "unix:///PATH or http://127.0.0.1:PORT";

impl ListenAddress {
    /// Whether only this machine reaches it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
        }
    }
}

impl FromStr for ListenAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        if let Some(path) = text.strip_prefix("unix:") {
            return socket_path(text, path).map(Self::Unix);
        }
        text.parse().map(Self::Tcp).map_err(|_| form(text, LISTEN_FORMS))
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

impl From<ListenAddress> for ClientAddress {
    fn from(address: ListenAddress) -> Self {
        match address {
            ListenAddress::Unix(path) => Self::Unix(path),
            ListenAddress::Tcp(address) => Self::Tcp(address),
        }
    }
}

impl FromStr for ClientAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        if let Some(path) = text.strip_prefix("unix:") {
            return socket_path(text, path).map(Self::Unix);
        }
        let Some(authority) = text.strip_prefix("http://") else {
            return Err(form(text, CLIENT_FORMS));
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        // The only name that means this machine whatever the resolver says; the daemon listens on its IPv4 address.
        let authority =
            authority.strip_prefix("localhost:").map_or(authority.to_owned(), |port| format!("127.0.0.1:{port}"));
        let address: SocketAddr = authority.parse().map_err(|_| form(text, CLIENT_FORMS))?;
        if !address.ip().to_canonical().is_loopback() {
            return Err(InvalidAddress::NotLoopback { text: text.to_owned() });
        }
        Ok(Self::Tcp(address))
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "http://{address}"),
        }
    }
}

/// Reads what follows `unix:`: `/PATH` or, as a URL has it, `///PATH`.
fn socket_path(text: &str, path: &str) -> Result<PathBuf, InvalidAddress> {
    let path = if path.starts_with("///") { &path[2..] } else { path };
    if !path.starts_with('/') || path.starts_with("//") || path.ends_with('/') || path.contains('\0') {
        return Err(InvalidAddress::RelativePath { text: text.to_owned() });
    }
    let path = Path::new(path);
    check_socket_path(path).map_err(|error| InvalidAddress::TooLong { message: error.to_string() })?;
    Ok(path.to_owned())
}

fn form(text: &str, expected: &'static str) -> InvalidAddress {
    InvalidAddress::Form { text: text.to_owned(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_addresses_are_read_and_written() {
        for (text, written) in [
            ("unix:/run/hushd/hushd.sock", "unix:/run/hushd/hushd.sock"),
            ("unix:///run/hushd/hushd.sock", "unix:/run/hushd/hushd.sock"),
            ("127.0.0.1:4874", "127.0.0.1:4874"),
            ("[::1]:0", "[::1]:0"),
        ] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), written);
        }
        for text in
            ["", "4874", "localhost:4874", "http://127.0.0.1:4874", "unix:run/x", "unix:", "unix:~/x", "unix://x/y"]
        {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
        assert!(format!("unix:/{}", "s".repeat(107)).parse::<ListenAddress>().is_err());
    }

    #[test]
    fn client_addresses_are_read_and_written() {
        for (text, written) in [
            ("unix:///run/hushd/hushd.sock", "unix:///run/hushd/hushd.sock"),
            ("unix:/run/hushd/hushd.sock", "unix:///run/hushd/hushd.sock"),
            ("http://127.0.0.1:4874/", "http://127.0.0.1:4874"),
            ("http://localhost:4874", "http://127.0.0.1:4874"),
            ("http://[::1]:4874", "http://[::1]:4874"),
        ] {
            assert_eq!(text.parse::<ClientAddress>().unwrap().to_string(), written);
        }
        for text in ["", "127.0.0.1:4874", "http://127.0.0.1", "https://127.0.0.1:4874", "http://127.0.0.1:4874/api"] {
            assert!(text.parse::<ClientAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_client_sends_no_token_over_a_network() {
        for text in ["http://192.0.2.1:4874", "http://0.0.0.0:4874", "http://[2001:db8::1]:4874"] {
            assert!(matches!(text.parse::<ClientAddress>(), Err(InvalidAddress::NotLoopback { .. })), "{text}");
        }
    }

    #[test]
    fn loopback_is_recognised_in_every_spelling() {
        let local = |text: &str| text.parse::<ListenAddress>().unwrap().is_local();
        assert!(local("127.8.9.1:1") && local("[::1]:1") && local("[::ffff:127.0.0.1]:1") && local("unix:/x"));
        assert!(!local("0.0.0.0:1") && !local("[::]:1") && !local("192.0.2.1:1"));
    }
}
