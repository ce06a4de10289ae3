//! The one place where a change enters the store.
//!
//! Invariants: metadata, new chunks and the removal of old ones are one batch; the batch holds only if the metadata is
//! still what the index says; the index follows after the answer, while the secret's lock is held.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::audit;
use crate::crypto::{CryptoError, Keyring, epoch_of};
use crate::model::{SecretId, SecretValue};
use crate::store::{Batch, Fingerprint, Operation, Pending, StoreError, Table};
use crate::vault::index::Entry;
use crate::vault::record::{self, CHUNK, RecordError, RevisionRecord, SecretRecord};
use crate::vault::write::Change;
use crate::vault::{Vault, VaultError};

impl Vault {
    /// Makes a change of one secret durable and shows it in the index. The caller holds the secret's lock and gives in
    /// `old` what the index holds. Says the number of the newest revision.
    pub(super) async fn commit(
        &self,
        change: &Change,
        old: Option<&Arc<Entry>>,
        mut draft: SecretRecord,
        value: Option<&SecretValue>,
    ) -> Result<u64, VaultError> {
        let Change { caller, permit, verb, now, .. } = change;
        draft.change = self.next_change();
        draft.updated_at = now.as_millis().max(draft.created_at);
        let mut batch = Batch::default();
        let write = self.pins.begin_write();
        if let Some(value) = value {
            let revision = draft.revisions.last().map_or(1, |newest| newest.revision.saturating_add(1));
            let size = u32::try_from(value.len()).unwrap_or(u32::MAX);
            draft.revisions.push(RevisionRecord {
                revision,
                created_at: now.as_millis(),
                created_by: caller.principal.to_string().into(),
                size,
            });
            if let Some(newest) = draft.revisions.last() {
                put_value(&self.keyring, &mut batch, draft.id, newest, value).map_err(|source| crypto(verb, source))?;
            }
            let too_many = draft.revisions.len().saturating_sub(self.limits.revisions.max(1));
            for dropped in draft.revisions.drain(..too_many) {
                write.keep(&*self.store, draft.id, &dropped);
                delete_value(&mut batch, draft.id, &dropped);
            }
            draft.revisions.shrink_to_fit();
        }
        let newest = draft.revisions.last().map(|newest| newest.revision);
        let recorded = audit::Entry { revision: newest, ..change.recorded(change.action) };
        let done = self.commit_record(verb, old, draft, batch, Some(recorded)).await;
        // A backup that begins waits until the index shows what was written.
        drop(write);
        let new = done?;
        self.publish_change(old.map(|old| &**old), &new, *now);
        let revision = new.revision();
        tracing::debug!(principal = %caller.principal, rule = %permit.rule(), request_id = %caller.request_id, revision, "changed");
        Ok(revision)
    }

    /// Writes a secret's metadata, with whatever else the batch holds, and with the entry of the audit trail where it is
    /// somebody's change. Gives what the index shows then.
    pub(super) async fn commit_record(
        &self,
        verb: &str,
        old: Option<&Arc<Entry>>,
        mut record: SecretRecord,
        mut batch: Batch,
        recorded: Option<audit::Entry>,
    ) -> Result<Arc<Entry>, VaultError> {
        record.last_used_at = old.and_then(|entry| entry.last_used());
        let tag = self.keyring.name_tag(&record.namespace, &record.key).to_vec();
        match old {
            Some(entry) => batch.expect_unchanged(Table::Metadata, tag.clone(), entry.fingerprint),
            None => batch.expect_absent(Table::Metadata, tag.clone()),
        }
        let plain = record::encode(&record).map_err(|error| undecodable(verb, error))?;
        let bytes =
            self.keyring.encrypt_record(Table::Metadata, &tag, &plain).map_err(|source| crypto(verb, source))?;
        let fingerprint = Fingerprint::of(&bytes);
        batch.put(Table::Metadata, tag, bytes);
        match recorded {
            Some(recorded) => self.submit_recorded(verb, batch, recorded).await?,
            None => self.submit(verb, batch).await?,
        }
        Ok(self.index.write().insert(Entry::new(record, fingerprint)))
    }

    /// Hands a batch to the store and waits until it is durable.
    pub(super) async fn submit(&self, verb: &str, batch: Batch) -> Result<(), VaultError> {
        self.hand_over(verb, batch)?.answer().await.map_err(|source| store(verb, source))
    }

    /// Hands a batch to the store, unless nothing is to be written.
    pub(super) fn hand_over(&self, verb: &str, batch: Batch) -> Result<Pending, VaultError> {
        if !self.damage.read().problems.is_empty() {
            return Err(VaultError::ReadOnly { verb: verb.to_owned() });
        }
        let stale = *self.stale.lock();
        if let Some(cause) = stale {
            return Err(store(verb, StoreError::ReadOnly { cause }));
        }
        // Held until the batch is in the store's hands, so that none slips in behind the end of a rotation.
        let oldest = self.rekey.oldest_epoch();
        if Self::is_stale(&batch, *oldest) {
            return Err(store(verb, StoreError::Conflict));
        }
        Ok(self.store.submit(batch))
    }

    /// Whether a record of the batch is encrypted under a data key that is about to be dropped.
    fn is_stale(batch: &Batch, oldest: u32) -> bool {
        let stale = |operation: &Operation| match operation {
            Operation::Put { record, .. } => epoch_of(record).is_some_and(|epoch| epoch < oldest),
            Operation::Delete { .. } => false,
        };
        oldest > 0 && batch.operations.iter().any(stale)
    }

    /// The number of the next change.
    pub(super) fn next_change(&self) -> u64 {
        self.changes.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Writes the chunks of a value.
pub(super) fn put_value(
    keyring: &Keyring,
    batch: &mut Batch,
    id: SecretId,
    revision: &RevisionRecord,
    value: &SecretValue,
) -> Result<(), CryptoError> {
    let bytes = value.expose_secret().as_bytes();
    for (number, key) in revision.chunk_keys(id).enumerate() {
        let start = (number * CHUNK).min(bytes.len());
        let chunk = &bytes[start..(start + CHUNK).min(bytes.len())];
        let record = keyring.encrypt_record(Table::Value, &key, chunk)?;
        batch.put(Table::Value, key, record);
    }
    Ok(())
}

/// Removes the chunks of a value.
pub(super) fn delete_value(batch: &mut Batch, id: SecretId, revision: &RevisionRecord) {
    for key in revision.chunk_keys(id) {
        batch.delete(Table::Value, key);
    }
}

pub(super) fn store(verb: &str, source: StoreError) -> VaultError {
    VaultError::Store { verb: verb.to_owned(), source }
}

pub(super) fn crypto(verb: &str, source: CryptoError) -> VaultError {
    VaultError::Crypto { verb: verb.to_owned(), source }
}

pub(super) fn undecodable(verb: &str, error: RecordError) -> VaultError {
    VaultError::Internal { verb: verb.to_owned(), detail: error.to_string() }
}
