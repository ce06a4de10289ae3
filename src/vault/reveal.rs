//! The one place where a value leaves the store.
//!
//! Invariants: a value is given whole and authentic or not at all; a missing or broken chunk is damage, told with the
//! exact record in the log; it leaves only after its entry stands in the audit trail; the last use is noted here, in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::audit::Action;
use crate::auth::Caller;
use crate::metrics::COUNTS;
use crate::model::{Key, Namespace, SecretValue};
use crate::store::Table;
use crate::vault::index::Entry;
use crate::vault::record::RevisionRecord;
use crate::vault::{Permit, Vault, VaultError};

/// Values that are opened before their entries are written together, at most.
const TOGETHER: usize = 64;

impl Vault {
    /// Records that `caller` was refused a value, by whoever found that it may not leave.
    pub fn note_refused(&self, caller: &Caller, why: &str) {
        COUNTS.refusals.increment();
        self.refused(caller, Action::Reveal, None, None, why);
    }

    /// Gives the value of a revision (the newest where none is named) to `caller`, and notes the use.
    pub(super) async fn reveal(
        &self,
        caller: &Caller,
        permit: &Permit,
        namespace: &Namespace,
        key: &Key,
        revision: Option<u64>,
    ) -> Result<(SecretValue, u64), VaultError> {
        self.require_reason(caller, namespace, key)?;
        let (value, entry, revision) = self.open_value(namespace, key, revision).await?;
        if self.trail().is_some() {
            let recorded = self.reveal_entry(caller, permit, (namespace, key), revision);
            // Not one line further without it: from here on the value is on its way.
            self.record_reveals(&[recorded]).await?;
        }
        self.note_use(caller, permit, entry, revision);
        Ok((value, revision))
    }

    /// Gives the newest values of many secrets to `caller`; their entries share writes, and no value waits for longer than
    /// those of [`TOGETHER`]. One that is gone is left out, where nobody `insists`.
    pub(super) async fn reveal_all(
        &self,
        caller: &Caller,
        permit: &Permit,
        namespace: &Namespace,
        keys: Vec<Key>,
        insists: bool,
    ) -> Result<BTreeMap<String, SecretValue>, VaultError> {
        let is_recorded = self.trail().is_some();
        let mut values = BTreeMap::new();
        for keys in keys.chunks(TOGETHER) {
            let mut opened = Vec::with_capacity(keys.len());
            let mut recorded = Vec::with_capacity(keys.len());
            for key in keys {
                self.require_reason(caller, namespace, key)?;
                match self.open_value(namespace, key, None).await {
                    Ok((value, entry, revision)) => {
                        if is_recorded {
                            recorded.push(self.reveal_entry(caller, permit, (namespace, key), revision));
                        }
                        opened.push((key, value, entry, revision));
                    }
                    Err(VaultError::NotFound { .. }) if !insists => {}
                    Err(error) => return Err(error),
                }
            }
            self.record_reveals(&recorded).await?;
            for (key, value, entry, revision) in opened {
                self.note_use(caller, permit, entry, revision);
                values.insert(key.as_str().to_owned(), value);
            }
        }
        Ok(values)
    }

    fn note_use(&self, caller: &Caller, permit: &Permit, entry: Arc<Entry>, revision: u64) {
        COUNTS.reveals.increment();
        if entry.touch(self.clock.now()) {
            self.used.lock().push(entry);
        }
        tracing::debug!(principal = %caller.principal, rule = %permit.rule(), request_id = %caller.request_id, revision, "revealed");
    }

    /// Decrypts a value without revealing it to anybody. Where a writer is about to destroy it, waits for whether he does.
    pub(super) async fn open_value(
        &self,
        namespace: &Namespace,
        key: &Key,
        revision: Option<u64>,
    ) -> Result<(SecretValue, Arc<Entry>, u64), VaultError> {
        loop {
            if let Some(found) = self.look_at_value(namespace, key, revision)? {
                return Ok(found);
            }
            drop(self.locks.lock(namespace, key).await);
        }
    }

    /// Decrypts a value; gives nothing where it is gone from the store and whoever removes it has not ended yet: until it is
    /// durable that it went, it has not.
    fn look_at_value(
        &self,
        namespace: &Namespace,
        key: &Key,
        revision: Option<u64>,
    ) -> Result<Option<(SecretValue, Arc<Entry>, u64)>, VaultError> {
        let mut entry = self.readable(namespace, key)?;
        loop {
            let number = revision.unwrap_or_else(|| entry.revision());
            let kept = entry
                .find(number)
                .ok_or_else(|| VaultError::RevisionNotFound { key: key.clone(), revision: number })?;
            match self.decrypt_value(&entry, kept) {
                Ok(value) => return Ok(Some((value, entry, number))),
                Err(error) => {
                    // A writer may have dropped this revision between our look at the index and at the store. He shows it in
                    // the index before he lets go of the lock, so that is what is asked for first.
                    let changing = self.locks.is_held(namespace, key);
                    let again = self.readable(namespace, key)?;
                    if Arc::ptr_eq(&entry, &again) {
                        if changing {
                            return Ok(None);
                        }
                        COUNTS.damaged_reads.add(u64::from(matches!(error, VaultError::Damaged { .. })));
                        return Err(error);
                    }
                    entry = again;
                }
            }
        }
    }

    /// Reads and joins the chunks of a value.
    pub(super) fn decrypt_value(&self, entry: &Entry, kept: &RevisionRecord) -> Result<SecretValue, VaultError> {
        self.decrypt_chunks(entry, kept, |chunk_key| {
            let failed = |source| VaultError::Store { verb: format!("read secret: {}", entry.record.key), source };
            self.store.get(Table::Value, chunk_key).map_err(failed)
        })
    }

    /// Joins the chunks of a value that `fetch` finds: in the store or, for a backup, where they are kept.
    pub(super) fn decrypt_chunks<E: From<VaultError>>(
        &self,
        entry: &Entry,
        kept: &RevisionRecord,
        fetch: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<SecretValue, E> {
        let key = &entry.record.key;
        let damaged = |chunk: usize, what: &str| VaultError::Damaged {
            key: key.clone(),
            detail: format!("chunk {chunk} of revision {} of secret {}: {what}", kept.revision, entry.record.id),
        };
        let size = kept.size as usize;
        let mut value = Zeroizing::new(Vec::with_capacity(size));
        for (number, chunk_key) in kept.chunk_keys(entry.record.id).enumerate() {
            let record = fetch(&chunk_key)?.ok_or_else(|| damaged(number, "the record is missing"))?;
            let chunk = self
                .keyring
                .decrypt_record(Table::Value, &chunk_key, &record)
                .map_err(|error| damaged(number, &error.to_string()))?;
            value.extend_from_slice(&chunk);
        }
        if value.len() != size {
            return Err(damaged(0, "the value has not the length that its metadata says").into());
        }
        match String::from_utf8(std::mem::take(&mut *value)) {
            Ok(text) => Ok(SecretValue::new(text)),
            Err(error) => {
                drop(Zeroizing::new(error.into_bytes()));
                Err(damaged(0, "the value is not UTF-8").into())
            }
        }
    }
}
