//! Seal and unseal, as whoever serves the vault asks for them. Who does it knows files and identities; this does not.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::crypto::Passphrase;

/// Why the vault stays sealed.
#[derive(Debug, thiserror::Error)]
pub enum UnsealError {
    /// Neither the daemon's own user nor a passphrase.
    #[error("Authentication required")]
    NotAllowed,
    /// The master key is encrypted.
    #[error("The master key needs its passphrase")]
    PassphraseNeeded,
    /// The master key is encrypted to another one.
    #[error("Wrong passphrase")]
    WrongPassphrase,
    /// Somebody else is unsealing, or it was tried in vain just now.
    #[error("Too many attempts to unseal the vault")]
    TooSoon {
        /// When it may be tried again.
        wait: Duration,
    },
    /// The vault does not open.
    #[error("Failed to unseal the vault")]
    Failed {
        /// Why, for the log.
        detail: String,
    },
}

/// Seals and unseals the vault.
pub trait Sealing: Send + Sync + fmt::Debug {
    /// Takes the vault away from everybody and waits until its keys are wiped. Says whether they are: work that takes long
    /// may still end with them.
    fn seal(&self, why: String) -> BoxFuture<'static, bool>;

    /// Opens the vault again. `uid` is the user at the other end of a Unix socket.
    fn unseal(&self, uid: Option<u32>, passphrase: Option<Passphrase>) -> BoxFuture<'static, Result<(), UnsealError>>;
}
