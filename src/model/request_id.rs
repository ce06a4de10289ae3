//! The identifier of a request: a client's own, or one that the daemon made.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

/// Names one request in answers, logs and the audit trail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RequestId {
    /// There was no request: the vault's own work.
    #[default]
    None,
    /// Made here.
    Made(Uuid),
    /// The client's: 1 to 128 letters, digits, `-`, `_` and `.`.
    Sent(Arc<str>),
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("-"),
            Self::Made(id) => id.as_hyphenated().fmt(f),
            Self::Sent(id) => f.write_str(id),
        }
    }
}
