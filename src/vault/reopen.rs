//! After a failed write: the store is opened anew, and what is in memory is read anew from it.
//!
//! Invariants: what was answered with an error may be there or not, so nothing is written between the reopening and the
//! moment when index, keys and counters are again what the disk has; last uses that were not stored are kept.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::auth::KeyKind;
use crate::store::{Health, StoreError};
use crate::vault::commit::store as store_error;
use crate::vault::open::Contents;
use crate::vault::{Vault, VaultError};

impl Vault {
    /// Whether a write has failed and [`Vault::reopen`] has something to do.
    pub fn needs_reopening(&self) -> bool {
        self.stale.lock().is_some() || matches!(self.store.health(), Health::Latched(_))
    }

    /// Makes the vault writable again when what made a write fail is gone. Blocks: not for a thread of the runtime.
    ///
    /// # Errors
    /// [`VaultError::Store`] as long as it is not; then reading goes on as before where it can.
    pub fn reopen(self: &Arc<Self>) -> Result<(), VaultError> {
        // Rotations and purges change what is read here, without a condition on what they found.
        let _no_rotation = self.rotation.blocking_lock();
        let _no_purge = self.purge.blocking_lock();
        let _no_token = self.tokens.blocking_lock();
        if let Health::Latched(cause) = self.store.health() {
            *self.stale.lock() = Some(cause);
        }
        self.read_anew().map_err(|source| store_error("reopen the store", source))
    }

    fn read_anew(&self) -> Result<(), StoreError> {
        self.store.reopen()?;
        let Contents { loaded, last_purge, api_keys, anon_keys, tokens } = Contents::read(&*self.store, &self.keyring)?;
        {
            let mut index = self.index.write();
            loaded.index.adopt_uses(&index);
            *index = loaded.index;
        }
        *self.damage.write() = loaded.damage;
        self.changes.fetch_max(loaded.changes.max(last_purge), Ordering::Relaxed);
        self.last_purge.fetch_max(last_purge, Ordering::Relaxed);
        self.authenticator.replace_keys(KeyKind::Api, api_keys);
        self.authenticator.replace_keys(KeyKind::Anon, anon_keys);
        self.authenticator.change_tokens(|book| *book = tokens);
        // What was answered with an error may be there or not.
        self.events.renew();
        *self.stale.lock() = None;
        self.reread_outbox();
        tracing::info!("the store was reopened and takes writes again");
        Ok(())
    }
}
