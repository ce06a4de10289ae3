//! What the vault's records hold once they are decrypted: a format byte, then the fields in postcard's encoding.
//!
//! Invariants: a record of a newer format is refused, never guessed at; a value is cut into chunks of at most 64 KiB,
//! whose number follows from its size, so that a dropped chunk is missed.

use std::sync::Arc;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::auth::KeyKind;
use crate::clock::Timestamp;
use crate::model::{Key, Namespace, SecretId};
use crate::store::Table;

/// Largest piece of a value in one record, in bytes.
pub(super) const CHUNK: usize = 64 * 1024;

const FORMAT: u8 = 1;

/// A record that was authentic makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RecordError {
    /// Written by a newer program.
    #[error("record format {0} is newer than this program")]
    Newer(u8),
    /// Not what it should be.
    #[error("the record cannot be decoded")]
    Malformed,
}

/// Everything about a secret but its values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SecretRecord {
    pub(super) id: SecretId,
    #[serde(with = "as_text")]
    pub(super) namespace: Namespace,
    #[serde(with = "as_text")]
    pub(super) key: Key,
    pub(super) is_active: bool,
    pub(super) marks: Marks,
    pub(super) expires_at: Option<i64>,
    pub(super) last_used_at: Option<i64>,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
    /// The vault's change counter when this was written.
    pub(super) change: u64,
    /// The kept revisions, oldest first; never empty.
    pub(super) revisions: Vec<RevisionRecord>,
}

/// What a secret is besides: one byte, a bit for each. What was written before there were templates is a byte of 0 or 1, and
/// reads the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub(super) struct Marks {
    /// Whether it is protected from deletion.
    pub(super) is_reserved: bool,
    /// Whether its value refers to other secrets.
    pub(super) is_template: bool,
}

impl From<u8> for Marks {
    fn from(byte: u8) -> Self {
        Self { is_reserved: byte & 1 != 0, is_template: byte & 2 != 0 }
    }
}

impl From<Marks> for u8 {
    fn from(marks: Marks) -> Self {
        Self::from(marks.is_reserved) | (Self::from(marks.is_template) << 1)
    }
}

/// One of a secret's values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RevisionRecord {
    pub(super) revision: u64,
    pub(super) created_at: i64,
    pub(super) created_by: Arc<str>,
    pub(super) size: u32,
}

/// The vault's own record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct VaultRecord {
    /// The change counter when a secret was last purged: no namespace is older than that.
    pub(super) purge: u64,
}

impl SecretRecord {
    /// A secret that has no revision yet.
    pub(super) fn new(id: SecretId, namespace: &Namespace, key: &Key, now: Timestamp) -> Self {
        Self {
            id,
            namespace: namespace.clone(),
            key: key.clone(),
            is_active: true,
            marks: Marks::default(),
            expires_at: None,
            last_used_at: None,
            created_at: now.as_millis(),
            updated_at: now.as_millis(),
            change: 0,
            revisions: Vec::with_capacity(1),
        }
    }
}

impl RevisionRecord {
    /// Where the records of the value are; a value has at least one, also an empty one.
    pub(super) fn chunk_keys(&self, id: SecretId) -> impl Iterator<Item = Vec<u8>> + use<> {
        let (revision, chunks) = (self.revision, chunks_of(self.size as usize));
        (0..chunks).map(move |chunk| value_key(id, revision, chunk))
    }
}

/// How many records a value of `size` bytes takes.
pub(super) fn chunks_of(size: usize) -> u32 {
    u32::try_from(size.div_ceil(CHUNK).max(1)).unwrap_or(u32::MAX)
}

/// Where a chunk of a value is.
pub(super) fn value_key(id: SecretId, revision: u64, chunk: u32) -> Vec<u8> {
    let mut key = Vec::with_capacity(28);
    key.extend_from_slice(id.as_bytes());
    key.extend_from_slice(&revision.to_be_bytes());
    key.extend_from_slice(&chunk.to_be_bytes());
    key
}

/// Where the keys of one kind are, in [`Table::ApiKey`].
pub(super) fn api_key_key(kind: KeyKind) -> Vec<u8> {
    match kind {
        KeyKind::Api => b"api".to_vec(),
        KeyKind::Anon => b"anon".to_vec(),
    }
}

/// How the places of issued tokens and of JWTs begin, in [`Table::ApiKey`].
pub(super) const TOKEN: &[u8] = b"token/";
pub(super) const JWT: &[u8] = b"jwt/";

/// Where an issued token is, in [`Table::ApiKey`].
pub(super) fn token_key(id: Uuid) -> Vec<u8> {
    [TOKEN, id.as_bytes()].concat()
}

/// Where a JWT is, in [`Table::ApiKey`]: at a digest of its `jti`, which may be of any length.
pub(super) fn jwt_key(jti: &str) -> Vec<u8> {
    [JWT, &Sha256::digest(jti.as_bytes())].concat()
}

/// Where the vault's own record is, in [`Table::Vault`].
pub(super) fn vault_key() -> Vec<u8> {
    b"vault".to_vec()
}

/// The tables that are read when the vault is opened: all but the values.
pub(super) const LOADED: [Table; 3] = [Table::Vault, Table::ApiKey, Table::Metadata];

/// Encodes a record's content.
pub(super) fn encode<T: Serialize>(content: &T) -> Result<Zeroizing<Vec<u8>>, RecordError> {
    postcard::to_extend(content, vec![FORMAT]).map(Zeroizing::new).map_err(|_| RecordError::Malformed)
}

/// Decodes what [`encode`] made.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    match bytes.split_first() {
        Some((&FORMAT, content)) => postcard::from_bytes(content).map_err(|_| RecordError::Malformed),
        Some((&newer, _)) if newer > FORMAT => Err(RecordError::Newer(newer)),
        Some(_) | None => Err(RecordError::Malformed),
    }
}

/// Names are stored as text, and are checked when they are read.
mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<T: Display, S: Serializer>(name: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(name)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        <&str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_record_is_refused() {
        let bytes = encode(&VaultRecord { purge: 3 }).unwrap();
        assert_eq!(decode::<VaultRecord>(&bytes), Ok(VaultRecord { purge: 3 }));
        assert_eq!(decode::<VaultRecord>(&[2, 3]), Err(RecordError::Newer(2)));
        assert_eq!(decode::<VaultRecord>(&[]), Err(RecordError::Malformed));
    }

    #[test]
    fn marks_are_a_byte_that_older_records_have_too() {
        for (is_reserved, is_template, byte) in [(false, false, 0), (true, false, 1), (false, true, 2), (true, true, 3)]
        {
            let marks = Marks { is_reserved, is_template };
            assert_eq!(encode(&marks).unwrap()[1..], [byte]);
            assert_eq!(decode::<Marks>(&[FORMAT, byte]), Ok(marks));
        }
        assert_eq!(encode(&true).unwrap()[1..], [1]);
    }

    #[test]
    fn an_empty_value_takes_a_record_too() {
        assert_eq!([0, 1, CHUNK, CHUNK + 1].map(chunks_of), [1, 1, 1, 2]);
    }
}
