//! `lastUsedAt`: noted in memory at each reveal, stored in batches.
//!
//! Invariants: a reveal never waits for the disk; a use that could not be stored is tried again with the next one; what
//! a power cut loses of it is at most one interval.

use std::sync::Arc;

use futures_util::StreamExt;

use crate::store::Batch;
use crate::vault::{Vault, VaultError};

/// How many are in flight at once: enough to share a flush, few enough to leave the writers room.
const AT_ONCE: usize = 256;

impl Vault {
    /// Stores the last use of every secret that was revealed since the last call. Says how many were stored.
    pub async fn store_last_uses(self: &Arc<Self>) -> usize {
        if !self.is_writable() {
            return 0;
        }
        let used = std::mem::take(&mut *self.used.lock());
        let stored = futures_util::stream::iter(used)
            .map(|entry| async move {
                let (namespace, key) = (&entry.record.namespace, &entry.record.key);
                let _lock = self.locks.lock(namespace, key).await;
                let Ok(current) = self.find(namespace, key) else { return Ok(false) };
                if current.last_used() == current.record.last_used_at {
                    return Ok(false);
                }
                let record = current.record.clone();
                let stored =
                    self.commit_record("store the last use", Some(&current), record, Batch::default(), None).await;
                stored.map(|_| true).inspect_err(|_| self.used.lock().push(current))
            })
            .buffer_unordered(AT_ONCE)
            .fold(0, |stored, result: Result<bool, VaultError>| async move {
                match result {
                    Ok(done) => stored + usize::from(done),
                    Err(error) => {
                        tracing::warn!(%error, "the last use of a secret was not stored");
                        stored
                    }
                }
            });
        stored.await
    }
}
