//! What can go wrong with the vault, and the closed set of kinds that everything is mapped from.

use crate::audit::AuditError;
use crate::auth::AuthError;
use crate::crypto::CryptoError;
use crate::model::Key;
use crate::store::{Latch, StoreError};
use crate::vault::KeyringFileError;

/// The kinds of error; HTTP status and error code, and the exit code of offline verbs, follow from the kind alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request makes no sense.
    InvalidInput,
    /// No credential, or one that is not ours.
    InvalidCredentials,
    /// An API key that is not ours.
    InvalidApiKey,
    /// A token past its time.
    TokenExpired,
    /// Known, but not allowed.
    Forbidden,
    /// There is no such secret, or it cannot be read.
    NotFound,
    /// There is one already.
    AlreadyExists,
    /// It moved since the client looked.
    PreconditionFailed,
    /// Over a limit of size.
    TooLarge,
    /// Too often in too short a time.
    RateLimited,
    /// The disk is full.
    StorageFull,
    /// The vault is sealed: its keys are not in memory.
    Sealed,
    /// What was asked for cannot be recorded, and so is not done.
    Unrecorded,
    /// A failure of ours: the store, a damaged record, the system's randomness.
    Internal,
}

/// An error of the vault. Its text is for the client and holds no value, token or path; the cause is for the log.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The request makes no sense.
    #[error("{message}")]
    InvalidInput {
        /// What is wrong with it.
        message: String,
        /// What to do.
        next: Option<&'static str>,
    },
    /// Nobody was recognised.
    #[error("{}", unauthenticated(*source))]
    Unauthenticated {
        /// Why.
        #[from]
        source: AuthError,
    },
    /// Not allowed.
    #[error("{message}")]
    Forbidden {
        /// What the client is told.
        message: String,
        /// What to do.
        next: Option<&'static str>,
    },
    /// There are no such secrets, or they are inactive or expired.
    #[error("Secret not found: {}", list(keys))]
    NotFound {
        /// Their names.
        keys: Vec<Key>,
    },
    /// There is no such revision.
    #[error("Revision {revision} of secret {key} not found")]
    RevisionNotFound {
        /// The secret.
        key: Key,
        /// The revision.
        revision: u64,
    },
    /// There is one already.
    #[error("Secret already exists: {key}")]
    AlreadyExists {
        /// Its name.
        key: Key,
    },
    /// It moved since the client looked.
    #[error("Secret {key} is at revision {current}, which the request did not expect")]
    PreconditionFailed {
        /// Its name.
        key: Key,
        /// Its revision now.
        current: u64,
    },
    /// The value is over the limit.
    #[error("The value has {size} bytes, and at most {limit} are allowed")]
    ValueTooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// So many rotated keys are still valid that no more are made.
    #[error("{limit} rotated keys are still in their grace period")]
    TooManyRotations {
        /// How many are allowed.
        limit: usize,
    },
    /// There is no such token.
    #[error("Token not found")]
    TokenNotFound,
    /// As many tokens as may be are known.
    #[error("{limit} tokens are known, which is the most there can be")]
    TooManyTokens {
        /// How many are allowed.
        limit: usize,
    },
    /// A record that must be there is missing, broken or not authentic.
    #[error("Failed to read secret: {key}")]
    Damaged {
        /// Whose.
        key: Key,
        /// Which record, for the log.
        detail: String,
    },
    /// The vault has lost records and cannot tell whether this secret was among them.
    #[error("Failed to read secret: {key}")]
    MaybeLost {
        /// The name that was not found.
        key: Key,
    },
    /// The vault is damaged and takes no writes until it has been restored.
    #[error("Failed to {verb}: the vault is damaged and read-only")]
    ReadOnly {
        /// What was to be done.
        verb: String,
    },
    /// Its keys are not in memory.
    #[error("The vault is sealed")]
    Sealed,
    /// The store failed.
    #[error("Failed to {verb}")]
    Store {
        /// What was to be done, e.g. `update secret: KEY`.
        verb: String,
        /// Why.
        source: StoreError,
    },
    /// It could not be recorded in the audit trail, and so was not done.
    #[error("The audit trail cannot be written, so nothing is revealed")]
    Unrecorded {
        /// Why.
        source: AuditError,
    },
    /// The audit trail is off.
    #[error("The audit trail is off")]
    NoTrail,
    /// The audit trail cannot be read.
    #[error("Failed to read the audit trail")]
    Unreadable {
        /// Why.
        source: AuditError,
    },
    /// Encryption failed.
    #[error("Failed to {verb}")]
    Crypto {
        /// What was to be done.
        verb: String,
        /// Why.
        source: CryptoError,
    },
    /// The keyring's file could not be replaced.
    #[error("Failed to {verb}")]
    Keyring {
        /// What was to be done.
        verb: String,
        /// Why.
        source: KeyringFileError,
    },
    /// Something that cannot happen did.
    #[error("Failed to {verb}")]
    Internal {
        /// What was to be done.
        verb: String,
        /// Why, for the log.
        detail: String,
    },
}

impl VaultError {
    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidInput { .. } => ErrorKind::InvalidInput,
            Self::Unauthenticated { source } => match source {
                AuthError::Missing | AuthError::InvalidToken => ErrorKind::InvalidCredentials,
                AuthError::InvalidApiKey => ErrorKind::InvalidApiKey,
                AuthError::TokenExpired => ErrorKind::TokenExpired,
            },
            Self::Forbidden { .. } => ErrorKind::Forbidden,
            Self::NotFound { .. } | Self::RevisionNotFound { .. } | Self::TokenNotFound | Self::NoTrail => {
                ErrorKind::NotFound
            }
            Self::AlreadyExists { .. } => ErrorKind::AlreadyExists,
            Self::PreconditionFailed { .. } => ErrorKind::PreconditionFailed,
            Self::ValueTooLarge { .. } => ErrorKind::TooLarge,
            Self::TooManyRotations { .. } | Self::TooManyTokens { .. } => ErrorKind::RateLimited,
            Self::Sealed => ErrorKind::Sealed,
            Self::Store { source, .. } => match source {
                StoreError::Full | StoreError::ReadOnly { cause: Latch::Full } => ErrorKind::StorageFull,
                StoreError::Conflict
                | StoreError::Io { .. }
                | StoreError::ReadOnly { cause: Latch::Io | Latch::Damaged }
                | StoreError::Damaged { .. }
                | StoreError::InUse { .. }
                | StoreError::Exists { .. }
                | StoreError::TooLarge { .. }
                | StoreError::Closed => ErrorKind::Internal,
            },
            Self::Unrecorded { .. } => ErrorKind::Unrecorded,
            Self::Keyring { source: KeyringFileError::Full, .. } => ErrorKind::StorageFull,
            Self::Keyring { source: KeyringFileError::Failed { .. }, .. }
            | Self::Damaged { .. }
            | Self::Unreadable { .. }
            | Self::MaybeLost { .. }
            | Self::ReadOnly { .. }
            | Self::Crypto { .. }
            | Self::Internal { .. } => ErrorKind::Internal,
        }
    }

    /// What the reader can do about it.
    pub fn next_actions(&self) -> Option<&'static str> {
        match self {
            Self::InvalidInput { next, .. } | Self::Forbidden { next, .. } => *next,
            Self::Unauthenticated { source } => Some(match source {
                AuthError::Missing => "Send an Authorization header with a bearer token, or an x-api-key header",
                AuthError::InvalidToken => {
                    "Check that the token was signed with this vault's secret by HS256, and has sub and exp"
                }
                AuthError::InvalidApiKey => "Check the API key; `hushd api-key rotate` makes a new one",
                AuthError::TokenExpired => "Get a new token, e.g. by `hushd token create --admin --ttl 1h`",
            }),
            Self::NotFound { .. } => Some("Check the key and the namespace; GET /api/secrets lists what there is"),
            Self::RevisionNotFound { .. } => Some("GET /api/secrets/{key}/revisions lists the revisions that are kept"),
            Self::AlreadyExists { .. } => Some("Use PUT /api/secrets/{key} to change it, or another key"),
            Self::PreconditionFailed { .. } => Some("Read the secret again and repeat the request with its new ETag"),
            Self::TooManyRotations { .. } => Some("Wait until their grace periods end, and rotate with shorter ones"),
            Self::TokenNotFound => Some("GET /api/tokens lists the tokens that have not expired"),
            Self::TooManyTokens { .. } => Some("Revoke tokens that are not needed, and issue shorter-lived ones"),
            Self::Sealed => Some("Unseal the vault, e.g. by `hushd unseal`"),
            Self::ValueTooLarge { .. } => Some("Store a shorter value, or raise max-value-size in the configuration"),
            Self::Damaged { .. } | Self::MaybeLost { .. } | Self::ReadOnly { .. } => {
                Some("See the daemon's log and GET /api/status; restore the vault from a backup")
            }
            Self::Store { source: StoreError::Full | StoreError::ReadOnly { cause: Latch::Full }, .. } => {
                Some("Free space on the disk of the vault; the daemon takes writes again as soon as there is some")
            }
            Self::Store { source: StoreError::Io { .. } | StoreError::ReadOnly { cause: Latch::Io }, .. } => Some(
                "See the daemon's log and the state of the disk; the daemon tries by itself whether it works again",
            ),
            Self::NoTrail => Some("Set mode = \"on\" under [audit] in the daemon's configuration"),
            Self::Unreadable { .. } => Some("See the daemon's log for this request id"),
            Self::Unrecorded { source: AuditError::Full } => {
                Some("Free space on the disk of the vault; the daemon reveals again as soon as there is some")
            }
            Self::Unrecorded { .. } => Some(
                "See the daemon's log and GET /api/status; the daemon tries by itself whether the audit trail can be written again",
            ),
            Self::Keyring { source: KeyringFileError::Full, .. } => {
                Some("Free space on the disk of the vault, and repeat the request")
            }
            Self::Keyring { .. } | Self::Store { .. } | Self::Crypto { .. } | Self::Internal { .. } => {
                Some("See the daemon's log for this request id")
            }
        }
    }
}

fn unauthenticated(error: AuthError) -> &'static str {
    match error {
        AuthError::Missing => "Authentication required",
        AuthError::InvalidToken => "Invalid token",
        AuthError::InvalidApiKey => "Invalid API key",
        AuthError::TokenExpired => "Token expired",
    }
}

fn list(keys: &[Key]) -> String {
    keys.iter().map(Key::as_str).collect::<Vec<_>>().join(", ")
}
