//! What can go wrong with a backup.

use std::io;

use crate::crypto::CryptoError;
use crate::vault::VaultError;

/// An error of writing, reading or restoring a backup. It holds no value and no name.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file cannot be opened.
    #[error("the backup cannot be opened")]
    Open {
        /// Why.
        source: CryptoError,
    },
    /// The file was changed or cut, or is no backup.
    #[error("the backup is damaged: {message}")]
    Damaged {
        /// What was found, and where.
        message: String,
    },
    /// The backup was written by a newer program.
    #[error("the backup has format {found}, and this program knows formats up to {supported}")]
    UnsupportedFormat {
        /// The format's number.
        found: u64,
        /// The newest that is known.
        supported: u64,
    },
    /// The file cannot be read.
    #[error("the backup cannot be read")]
    Read {
        /// Why.
        source: io::Error,
    },
    /// What is written to takes no more.
    #[error("the backup cannot be written")]
    Write {
        /// Why.
        source: io::Error,
    },
    /// Values that writers replaced meanwhile could not be kept aside.
    #[error("values that were replaced during the backup could not be kept for it")]
    Keep {
        /// Why.
        source: io::Error,
    },
    /// The age file could not be begun, or a key could not be made.
    #[error("the backup cannot be encrypted or decrypted")]
    Crypto {
        /// Why.
        source: CryptoError,
    },
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// What was restored is not what the backup says.
    #[error("what was restored differs from the backup: {message}")]
    Differs {
        /// What differs.
        message: String,
    },
}

impl BackupError {
    pub(super) fn damaged(message: impl Into<String>) -> Self {
        Self::Damaged { message: message.into() }
    }
}
