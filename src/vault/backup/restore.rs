//! A backup made a vault again: its records, under the new vault's own keys.
//!
//! Invariants: identifiers, times, numbers of revisions, authors, flags and the digests of API keys are the backup's, only
//! the encryption is new; the caller's vault counts as one only after this has seen the backup's end.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use crate::auth::KeyKind;
use crate::clock::Timestamp;
use crate::crypto::Keyring;
use crate::model::{Key, Namespace};
use crate::store::{Batch, Operation, Pending, Store, StoreError, Table};
use crate::vault::VaultError;
use crate::vault::backup::format::SecretLine;
use crate::vault::backup::{BackupError, BackupReader};
use crate::vault::commit::{crypto, put_value, store as store_error, undecodable};
use crate::vault::record::{self, Marks, RevisionRecord, SecretRecord, VaultRecord};

const VERB: &str = "restore";
/// Bytes that may wait for the disk.
const WAITING: usize = 16 * 1024 * 1024;

/// What a backup held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Secrets.
    pub secrets: u64,
    /// Values, old ones too.
    pub revisions: u64,
    /// Bytes of all values.
    pub bytes: u64,
}

impl Contents {
    pub(super) fn add(&mut self, secret: &SecretLine) {
        self.secrets += 1;
        self.revisions += secret.revisions.len() as u64;
        self.bytes += secret.revisions.iter().map(|revision| revision.value.len() as u64).sum::<u64>();
    }
}

/// Writes all of a backup into an empty store. It blocks.
///
/// # Errors
/// Those of reading the backup, of the store and of encryption; then the store is worthless.
pub fn restore_records(
    store: &dyn Store,
    keyring: &Keyring,
    backup: &mut BackupReader<'_>,
) -> Result<Contents, BackupError> {
    let mut writer = Writer { store, keyring, waiting: VecDeque::new(), bytes: 0 };
    let mut contents = Contents::default();
    let mut ids = HashSet::new();
    let mut batch = Batch::default();
    for (kind, ring) in [(KeyKind::Api, &backup.keys().api), (KeyKind::Anon, &backup.keys().anon)] {
        writer.put(&mut batch, Table::ApiKey, record::api_key_key(kind), ring)?;
    }
    for token in &backup.keys().tokens {
        writer.put(&mut batch, Table::ApiKey, record::token_key(token.id), token)?;
    }
    for jwt in &backup.keys().jwts {
        writer.put(&mut batch, Table::ApiKey, record::jwt_key(&jwt.id), jwt)?;
    }
    // The change counter goes on from where the old vault was: no namespace's revision moves back.
    let purge = VaultRecord { purge: backup.header().change };
    writer.put(&mut batch, Table::Vault, record::vault_key(), &purge)?;
    writer.submit(batch)?;
    while let Some(secret) = backup.next_secret()? {
        contents.add(&secret);
        if !ids.insert(secret.id) {
            return Err(BackupError::damaged("two of its secrets have the same id"));
        }
        writer.secret(&secret)?;
    }
    writer.finish()?;
    Ok(contents)
}

struct Writer<'a> {
    store: &'a dyn Store,
    keyring: &'a Keyring,
    /// Batches that are not durable yet, with their sizes.
    waiting: VecDeque<(Pending, usize)>,
    bytes: usize,
}

impl Writer<'_> {
    fn secret(&mut self, secret: &SecretLine) -> Result<(), BackupError> {
        let record = to_record(secret)?;
        for (kept, restored) in record.revisions.iter().zip(&secret.revisions) {
            let mut batch = Batch::default();
            put_value(self.keyring, &mut batch, record.id, kept, &restored.value)
                .map_err(|source| crypto(VERB, source))?;
            self.submit(batch)?;
        }
        let mut batch = Batch::default();
        let tag = self.keyring.name_tag(&record.namespace, &record.key).to_vec();
        batch.expect_absent(Table::Metadata, tag.clone());
        self.put(&mut batch, Table::Metadata, tag, &record)?;
        self.submit(batch)
    }

    fn put<T: serde::Serialize>(
        &self,
        batch: &mut Batch,
        table: Table,
        key: Vec<u8>,
        content: &T,
    ) -> Result<(), VaultError> {
        let plain = record::encode(content).map_err(|error| undecodable(VERB, error))?;
        let bytes = self.keyring.encrypt_record(table, &key, &plain).map_err(|source| crypto(VERB, source))?;
        batch.put(table, key, bytes);
        Ok(())
    }

    /// Hands a batch in and waits for older ones where too much waits.
    fn submit(&mut self, batch: Batch) -> Result<(), BackupError> {
        let size = batch.operations.iter().map(Operation::size).sum();
        self.waiting.push_back((self.store.submit(batch), size));
        self.bytes += size;
        while self.bytes > WAITING || self.waiting.len() > 4096 {
            self.wait()?;
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<(), BackupError> {
        if let Some((pending, size)) = self.waiting.pop_front() {
            self.bytes -= size;
            pending.wait().map_err(|source| {
                if matches!(source, StoreError::Conflict) {
                    return BackupError::damaged("two of its secrets have the same name");
                }
                store_error(VERB, source).into()
            })?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), BackupError> {
        while !self.waiting.is_empty() {
            self.wait()?;
        }
        Ok(())
    }
}

/// What the vault keeps of a secret beside its values. What is in a backup is checked like everything from outside.
pub(super) fn to_record(secret: &SecretLine) -> Result<SecretRecord, BackupError> {
    let misnamed = || BackupError::damaged(format!("the secret {} has a name that is none", secret.id));
    let namespace: Namespace = secret.namespace.parse().map_err(|_| misnamed())?;
    let key: Key = secret.key.parse().map_err(|_| misnamed())?;
    let mut revisions = Vec::with_capacity(secret.revisions.len());
    for restored in &secret.revisions {
        let size = u32::try_from(restored.value.len())
            .map_err(|_| BackupError::damaged(format!("a value of the secret {} is too long", secret.id)))?;
        revisions.push(RevisionRecord {
            revision: restored.revision,
            created_at: restored.created_at.as_millis(),
            created_by: Arc::from(restored.created_by.as_str()),
            size,
        });
    }
    let numbers = || revisions.iter().map(|kept| kept.revision);
    if numbers().next().unwrap_or(0) == 0 || !numbers().is_sorted_by(|earlier, later| earlier < later) {
        return Err(BackupError::damaged(format!("the revisions of the secret {} are not in order", secret.id)));
    }
    Ok(SecretRecord {
        id: secret.id,
        namespace,
        key,
        is_active: secret.is_active,
        marks: Marks { is_reserved: secret.is_reserved, is_template: secret.is_template },
        expires_at: secret.expires_at.map(Timestamp::as_millis),
        last_used_at: secret.last_used_at.map(Timestamp::as_millis),
        created_at: secret.created_at.as_millis(),
        updated_at: secret.updated_at.as_millis(),
        change: secret.change,
        revisions,
    })
}
