//! Locks by name: writes to one secret are serial, writes to others go side by side.
//!
//! Invariant: a task holds at most one of them at a time, so that they cannot deadlock.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::model::{Key, Namespace};

const STRIPES: usize = 1024;

/// A fixed number of locks; two names share one rarely, which costs a wait and nothing else.
#[derive(Debug)]
pub(super) struct NameLocks {
    stripes: Vec<Arc<Mutex<()>>>,
    hasher: RandomState,
}

impl NameLocks {
    pub(super) fn new() -> Self {
        Self { stripes: (0..STRIPES).map(|_| Arc::default()).collect(), hasher: RandomState::new() }
    }

    /// Waits until nobody else writes to the secret.
    pub(super) async fn lock(&self, namespace: &Namespace, key: &Key) -> OwnedMutexGuard<()> {
        Arc::clone(self.stripe(namespace, key)).lock_owned().await
    }

    /// Whether somebody may be writing to the secret.
    pub(super) fn is_held(&self, namespace: &Namespace, key: &Key) -> bool {
        self.stripe(namespace, key).try_lock().is_err()
    }

    fn stripe(&self, namespace: &Namespace, key: &Key) -> &Arc<Mutex<()>> {
        let hash = self.hasher.hash_one((namespace, key));
        &self.stripes[usize::try_from(hash % STRIPES as u64).unwrap_or(0)]
    }
}
