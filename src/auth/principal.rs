//! Principals: who asks.

use std::fmt;
use std::sync::Arc;

/// The process at the other end of a Unix socket, as the kernel vouches for it (unix(7), `SO_PEERCRED`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its process, where the system tells.
    pub pid: Option<i32>,
}

/// Who asks. Its text form stands in revisions and logs and never holds a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// The bearer of a JWT.
    Token {
        /// Its `sub`.
        subject: Arc<str>,
        /// Whether its role is `project_admin`.
        is_admin: bool,
    },
    /// The bearer of the admin API key.
    ApiKey {
        /// Whether the key has been rotated and is in its grace period.
        in_grace: bool,
    },
    /// The bearer of the anon key.
    AnonKey,
    /// The daemon's own user on the Unix socket.
    Owner(Peer),
    /// The vault's own work: expiry, batches of `lastUsedAt`.
    Vault,
}

impl Principal {
    /// Whom a token is for that this principal mints for itself.
    pub fn subject(&self) -> String {
        match self {
            Self::Token { subject, .. } => subject.to_string(),
            Self::ApiKey { .. } | Self::AnonKey | Self::Owner(_) | Self::Vault => self.to_string(),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token { subject, .. } => write!(f, "token:{subject}"),
            Self::ApiKey { in_grace: false } => f.write_str("api-key"),
            Self::ApiKey { in_grace: true } => f.write_str("api-key:grace"),
            Self::AnonKey => f.write_str("anon-key"),
            Self::Owner(peer) => write!(f, "uid:{}", peer.uid),
            Self::Vault => f.write_str("vault"),
        }
    }
}
