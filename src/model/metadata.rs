//! What is known of a secret beside its value.

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::model::{Key, Namespace};

/// The identifier of a secret, kept from its creation until it is purged.
pub type SecretId = Uuid;

/// One of a secret's values, without the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionInfo {
    /// Its number; the first is 1.
    pub revision: u64,
    /// When it was written.
    pub created_at: Timestamp,
    /// Who wrote it.
    pub created_by: std::sync::Arc<str>,
    /// Length of the value in bytes.
    pub size: u32,
}

/// What is known of a secret beside its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Its identifier.
    pub id: SecretId,
    /// Where its name lives.
    pub namespace: Namespace,
    /// Its name.
    pub key: Key,
    /// Whether it can be read; a deleted secret is inactive.
    pub is_active: bool,
    /// Whether it is protected from deletion.
    pub is_reserved: bool,
    /// Whether its value refers to other secrets, which are put in where it is used.
    pub is_template: bool,
    /// From when on it can no longer be read.
    pub expires_at: Option<Timestamp>,
    /// When it was last revealed.
    pub last_used_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// The revision that is read, the newest.
    pub revision: u64,
}
