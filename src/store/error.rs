//! What can go wrong with bytes at rest.

use std::io;
use std::path::PathBuf;

/// What a write failed of, after which a store is read-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Latch {
    /// The disk was full.
    #[error("the disk was full")]
    Full,
    /// The disk failed.
    #[error("the disk failed")]
    Io,
    /// The engine itself failed, or found its files broken.
    #[error("the store is damaged")]
    Damaged,
}

/// A store's error. None holds a record's bytes.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// A condition of the batch did not hold; nothing was applied.
    #[error("the record was changed by another writer")]
    Conflict,
    /// The disk is full.
    #[error("no space left on the disk")]
    Full,
    /// Reading or writing failed.
    #[error("i/o error of the store: {message}")]
    Io {
        /// What the system said.
        message: String,
        /// Its kind.
        kind: io::ErrorKind,
    },
    /// An earlier write failed, so that the store is read-only until it has been reopened.
    #[error("the store is read-only after a failed write: {cause}")]
    ReadOnly {
        /// What that write failed of.
        cause: Latch,
    },
    /// The engine's files are broken or missing.
    #[error("the store is damaged: {message}")]
    Damaged {
        /// What was found.
        message: String,
    },
    /// Another process has the store open.
    #[error("the store at {} is in use by another process", path.display())]
    InUse {
        /// Where it is.
        path: PathBuf,
    },
    /// There is something where a store was to be created.
    #[error("there is already a store at {}", path.display())]
    Exists {
        /// Where it is.
        path: PathBuf,
    },
    /// A key or record is over the limits of the trait.
    #[error("a record of {size} bytes is over the store's limit")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// The store was closed before it answered.
    #[error("the store was closed")]
    Closed,
}

impl StoreError {
    /// Damage, described.
    pub(crate) fn damaged(message: impl Into<String>) -> Self {
        Self::Damaged { message: message.into() }
    }

    /// What a store remembers of this error when it has made it read-only.
    pub(crate) fn latch(&self) -> Latch {
        match self {
            Self::Full | Self::ReadOnly { cause: Latch::Full } => Latch::Full,
            Self::Damaged { .. } | Self::ReadOnly { cause: Latch::Damaged } => Latch::Damaged,
            Self::Io { .. }
            | Self::ReadOnly { cause: Latch::Io }
            | Self::Conflict
            | Self::InUse { .. }
            | Self::Exists { .. }
            | Self::TooLarge { .. }
            | Self::Closed => Latch::Io,
        }
    }

    /// A call that the trait does not allow.
    pub(crate) fn refused(message: &str) -> Self {
        Self::Io { message: message.to_owned(), kind: io::ErrorKind::InvalidInput }
    }
}

impl From<io::Error> for StoreError {
    /// A full disk or quota is [`StoreError::Full`], everything else [`StoreError::Io`].
    fn from(error: io::Error) -> Self {
        if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            Self::Full
        } else {
            Self::Io { message: error.to_string(), kind: error.kind() }
        }
    }
}
