//! Principals: who asks.

use std::fmt;
use std::sync::Arc;

use crate::auth::{Granted, Peer, Rules, Scope};

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
    Owner {
        /// Its user.
        uid: u32,
    },
    /// Somebody whose rules decide: the bearer of a token with a scope, or whom a policy is for.
    Granted(Arc<Granted>),
    /// The vault's own work: expiry, batches of `lastUsedAt`.
    Vault,
}

impl Principal {
    /// Work that the configuration asks for, named `NAME`; it may do what the scope says.
    pub fn job(name: String, scope: &Scope) -> Self {
        Self::Granted(Arc::new(Granted::scoped(name, scope, None)))
    }

    /// Somebody who may do nothing, named by what the kernel says of it.
    pub fn nobody(peer: &Peer) -> Self {
        let name = peer.unit.as_ref().map_or_else(|| format!("uid:{}", peer.uid), |unit| format!("unit:{unit}"));
        Self::Granted(Arc::new(Granted::new(name, Rules::default())))
    }

    /// Whom a token is for that this principal mints for itself.
    pub fn subject(&self) -> String {
        match self {
            Self::Token { subject, .. } => subject.to_string(),
            Self::Granted(granted) => granted.subject().to_owned(),
            Self::ApiKey { .. } | Self::AnonKey | Self::Owner { .. } | Self::Vault => self.to_string(),
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
            Self::Owner { uid } => write!(f, "uid:{uid}"),
            Self::Granted(granted) => f.write_str(&granted.name),
            Self::Vault => f.write_str("vault"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_and_whom_a_token_of_its_own_is_for() {
        let unit = Peer { unit: Some("shop.service".parse().unwrap()), ..Peer::new(7, 7) };
        for (principal, name, subject) in [
            (Principal::Token { subject: "me".into(), is_admin: true }, "token:me", "me"),
            (Principal::ApiKey { in_grace: false }, "api-key", "api-key"),
            (Principal::ApiKey { in_grace: true }, "api-key:grace", "api-key:grace"),
            (Principal::AnonKey, "anon-key", "anon-key"),
            (Principal::Owner { uid: 7 }, "uid:7", "uid:7"),
            (Principal::Vault, "vault", "vault"),
            (Principal::nobody(&Peer::new(7, 7)), "uid:7", "uid:7"),
            (Principal::nobody(&unit), "unit:shop.service", "unit:shop.service"),
            (Principal::job("token:it".to_owned(), &Scope::default()), "token:it", "it"),
        ] {
            assert_eq!((principal.to_string(), principal.subject()), (name.to_owned(), subject.to_owned()));
        }
        let named = |name: &str| Principal::job(name.to_owned(), &Scope::default());
        assert_eq!(named("a"), named("a"));
        assert_ne!(named("a"), named("b"));
    }
}
