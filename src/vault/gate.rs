//! Whether the vault is open: the one place where whoever serves gets at it.
//!
//! Invariant: whoever got the vault finishes with it; whoever asks after it has been sealed gets an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwapOption;

use crate::clock::{Clock, Timestamp};
use crate::vault::{Vault, VaultError};

/// Holds the open vault, or none.
#[derive(Debug)]
pub struct Gate {
    vault: ArcSwapOption<Vault>,
    /// When the vault was last asked for by somebody who may, in milliseconds.
    used: AtomicI64,
    clock: Arc<dyn Clock>,
}

impl Gate {
    /// A gate without a vault.
    pub fn sealed(clock: Arc<dyn Clock>) -> Self {
        let used = AtomicI64::new(clock.now().as_millis());
        Self { vault: ArcSwapOption::empty(), used, clock }
    }

    /// Lets a vault be used from here on.
    pub fn put(&self, vault: Arc<Vault>) {
        self.touch();
        self.vault.store(Some(vault));
    }

    /// Takes the vault out: nobody gets it from here on. Whoever has it may still be at work with it.
    pub fn take(&self) -> Option<Arc<Vault>> {
        self.vault.swap(None)
    }

    /// Notes that somebody who may uses the vault.
    pub fn touch(&self) {
        self.used.store(self.clock.now().as_millis(), Ordering::Relaxed);
    }

    /// When somebody who may last used the vault.
    pub fn last_used(&self) -> Timestamp {
        Timestamp::from_millis(self.used.load(Ordering::Relaxed))
    }

    /// The open vault.
    ///
    /// # Errors
    /// [`VaultError::Sealed`].
    pub fn vault(&self) -> Result<Arc<Vault>, VaultError> {
        self.vault.load_full().ok_or(VaultError::Sealed)
    }

    /// The clock that everything goes by, also while the vault is sealed.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }
}
