//! Why an entry could not be written, or the trail not be read.

use std::io;
use std::sync::Arc;

/// An error of the trail. It is shared by all whose entries were in one write.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuditError {
    /// The disk is full.
    #[error("the disk of the audit trail is full")]
    Full,
    /// The system said no.
    #[error("cannot {doing}")]
    Io {
        /// What was to be done.
        doing: &'static str,
        /// Why.
        #[source]
        source: Arc<io::Error>,
    },
    /// The trail is not open.
    #[error("the audit trail is not open: {reason}")]
    Down {
        /// Why.
        reason: Arc<str>,
    },
    /// The trail's directory or file is not where it was any more.
    #[error("the audit trail's files were moved or removed")]
    Gone,
    /// An entry could not be encoded or encrypted.
    #[error("an entry could not be made: {what}")]
    Entry {
        /// What went wrong.
        what: Arc<str>,
    },
}

impl AuditError {
    /// Takes in an error of the system, for `map_err`.
    pub(super) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            if source.kind() == io::ErrorKind::StorageFull || source.kind() == io::ErrorKind::QuotaExceeded {
                Self::Full
            } else {
                Self::Io { doing, source: Arc::new(source) }
            }
        }
    }
}
