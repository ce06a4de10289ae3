//! The records follow a new data key, in the background.
//!
//! Invariants: a record is replaced only if it is still the one that was read, so that no writer loses to this; it can
//! be stopped and killed at any point, and goes on from what is on the disk. The old data keys are dropped last: when
//! no record that is under one can come in any more, a scan found none, all of that and the head with its copies are
//! durable, and the backups that may have kept such records aside are over.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;

use crate::crypto::epoch_of;
use crate::store::{Batch, Fingerprint, StoreError, Table};
use crate::vault::commit::{crypto, store as store_error, undecodable};
use crate::vault::rekey::RekeyProgress;
use crate::vault::{Vault, VaultError, record};

const VERB: &str = "re-encrypt the records";
/// How many are in flight at once: enough to share a flush, few enough to leave the writers room.
const AT_ONCE: usize = 64;
/// Places of records that are kept in memory at a time.
const MOST: usize = 65_536;
/// How long it waits after an error.
const AGAIN: Duration = Duration::from_secs(10);

/// Where a record is.
type Place = (Table, Vec<u8>);

/// Records under older data keys.
#[derive(Debug, Default)]
struct Old {
    total: u64,
    /// The first of them.
    places: Vec<Place>,
}

impl Vault {
    /// Brings the records under the current data key whenever there is a new one, for ever.
    pub async fn keep_reencrypting(self: Arc<Self>) {
        loop {
            while self.keyring.epochs().len() > 1 {
                match self.reencrypt().await {
                    Ok(()) => {}
                    Err(error) => {
                        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                        tracing::warn!(%error, cause, "the records cannot all be brought under the new data key yet");
                        if let Some(progress) = &mut *self.rekey.progress.lock() {
                            progress.problem = Some(error.to_string());
                        }
                        tokio::time::sleep(AGAIN).await;
                    }
                }
            }
            self.rekey.wanted.notified().await;
        }
    }

    /// Brings all records under the current data key, and drops the older ones.
    ///
    /// # Errors
    /// [`VaultError::Store`] and [`VaultError::Crypto`] for records that cannot be brought; then all keys are kept.
    pub async fn reencrypt(self: &Arc<Self>) -> Result<(), VaultError> {
        let mut begun = None;
        while self.keyring.epochs().len() > 1 {
            let epoch = self.keyring.current_epoch();
            let old = self.old_records().await?;
            let total = match begun {
                Some((of, total)) if of == epoch => total,
                Some(_) | None => {
                    begun = Some((epoch, old.total));
                    old.total
                }
            };
            let done = total.saturating_sub(old.total);
            *self.rekey.progress.lock() = Some(RekeyProgress { epoch, done, total, problem: None });
            if old.total == 0 {
                self.drop_old_keys(epoch).await?;
                continue;
            }
            let mut bringing =
                futures_util::stream::iter(old.places).map(|place| self.bring(place)).buffer_unordered(AT_ONCE);
            while let Some(brought) = bringing.next().await {
                brought?;
                if let Some(progress) = &mut *self.rekey.progress.lock() {
                    progress.done = (progress.done + 1).min(total);
                }
            }
        }
        *self.rekey.progress.lock() = None;
        Ok(())
    }

    /// Looks through the store for records that are not under the current data key.
    async fn old_records(self: &Arc<Self>) -> Result<Old, VaultError> {
        let vault = Arc::clone(self);
        let scan = tokio::task::spawn_blocking(move || {
            let (current, known) = (vault.keyring.current_epoch(), vault.keyring.epochs());
            let known: HashSet<u32> = known.into_iter().collect();
            let (mut old, mut broken) = (Old::default(), 0_u64);
            for table in Table::ALL {
                vault.store.scan(table, &mut |key, record| {
                    match epoch_of(record) {
                        Some(epoch) if epoch == current => {}
                        Some(epoch) if known.contains(&epoch) => {
                            old.total += 1;
                            if old.places.len() < MOST {
                                old.places.push((table, key.to_vec()));
                            }
                        }
                        Some(_) | None => broken += 1,
                    }
                    ControlFlow::Continue(())
                })?;
            }
            if broken > 0 {
                return Err(StoreError::damaged(format!("{broken} records are damaged; see `hushd check`")));
            }
            Ok(old)
        });
        let scanned = scan.await.map_err(|error| internal(&error))?;
        scanned.map_err(|source| store_error(VERB, source))
    }

    /// Brings one record under the current data key, unless somebody else has.
    async fn bring(&self, (table, key): Place) -> Result<(), VaultError> {
        let read = || self.store.get(table, &key).map_err(|source| store_error(VERB, source));
        let Some(bytes) = read()? else { return Ok(()) };
        if epoch_of(&bytes) == Some(self.keyring.current_epoch()) {
            return Ok(());
        }
        if table == Table::Metadata {
            return self.bring_metadata(&key, &bytes).await;
        }
        let anew = self.keyring.reencrypt_record(table, &key, &bytes).map_err(|source| crypto(VERB, source))?;
        let mut batch = Batch::default();
        batch.expect_unchanged(table, key.clone(), Fingerprint::of(&bytes));
        batch.put(table, key, anew);
        match self.submit(VERB, batch).await {
            // It was changed or deleted meanwhile; the next look at the store tells whether anything is left to do.
            Err(VaultError::Store { source: StoreError::Conflict, .. }) => Ok(()),
            done => done,
        }
    }

    /// The same of a secret's metadata, whose fingerprint the index knows: under the secret's lock, like a writer.
    async fn bring_metadata(&self, tag: &[u8], bytes: &[u8]) -> Result<(), VaultError> {
        let plain = self.keyring.decrypt_record(Table::Metadata, tag, bytes).map_err(|source| crypto(VERB, source))?;
        let record: record::SecretRecord = record::decode(&plain).map_err(|error| undecodable(VERB, error))?;
        let _lock = self.locks.lock(&record.namespace, &record.key).await;
        let current = self.index.read().get(&record.namespace, &record.key).cloned();
        // Purged meanwhile.
        let Some(current) = current else { return Ok(()) };
        self.commit_record(VERB, Some(&current), current.record.clone(), Batch::default(), None).await.map(drop)
    }

    /// Drops the data keys before `epoch`, unless a record under one is left after all.
    async fn drop_old_keys(self: &Arc<Self>, epoch: u32) -> Result<(), VaultError> {
        // From here on nothing older comes in.
        {
            let mut oldest = self.rekey.oldest.write();
            *oldest = epoch.max(*oldest);
        }
        // What came in before is behind this in the store's queue, and durable when this is.
        let key = record::vault_key();
        let failed = |source| store_error(VERB, source);
        let purge = self.purge.lock().await;
        let bytes = self.store.get(Table::Vault, &key).map_err(failed)?;
        let bytes = bytes.ok_or_else(|| failed(StoreError::damaged("the vault's own record is missing")))?;
        let anew = self.keyring.reencrypt_record(Table::Vault, &key, &bytes).map_err(|source| crypto(VERB, source))?;
        let mut batch = Batch::default();
        batch.put(Table::Vault, key, anew);
        self.submit(VERB, batch).await?;
        drop(purge);
        if self.old_records().await?.total > 0 {
            return Ok(());
        }
        let vault = Arc::clone(self);
        let refreshed = tokio::task::spawn_blocking(move || vault.store.refresh_head()).await;
        refreshed.map_err(|error| internal(&error))?.map_err(failed)?;
        self.pins.drained().await;
        let _rotation = self.rotation.lock().await;
        if self.keyring.current_epoch() != epoch {
            // Another rotation has begun; it ends this one too.
            return Ok(());
        }
        let mut draft = self.keyring.draft();
        draft.drop_old_data_keys();
        self.put_in_force(VERB, draft).await?;
        tracing::info!(epoch, "all records are under the current data key; the older ones are gone");
        Ok(())
    }
}

fn internal(error: &dyn std::error::Error) -> VaultError {
    VaultError::Internal { verb: VERB.to_owned(), detail: error.to_string() }
}
