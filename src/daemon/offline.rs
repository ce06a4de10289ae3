//! Changes of keys on a vault that no daemon serves: the same verbs, in this process.
//!
//! Invariant: what is done here is done when it returns; a rotation of the data key is gone through to its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::audit::Action;
use crate::auth::Caller;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::crypto::{Passphrase, Recipient};
use crate::daemon::open::{open_directory, open_vault};
use crate::daemon::{DaemonError, hardening, trail};
use crate::vault::{Removal, Vault, VaultError};

/// How often the progress is told.
const GLANCE: Duration = Duration::from_millis(200);

/// A vault that no daemon serves, open for changes of its keys.
#[derive(Debug)]
pub struct OfflineVault {
    vault: Arc<Vault>,
    runtime: Runtime,
}

impl OfflineVault {
    /// Opens it. `ask` gives the passphrase of a master key that needs one.
    ///
    /// # Errors
    /// [`DaemonError::InUse`] where a daemon serves it, and whatever keeps it from being opened.
    pub fn open(config: &Config, ask: &mut dyn FnMut() -> Option<Passphrase>) -> Result<Self, DaemonError> {
        hardening::private_umask();
        hardening::harden();
        let directory = Arc::new(open_directory(&config.vault.data_dir)?);
        let opened = open_vault(config, &directory, ask)?;
        let runtime = Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(DaemonError::io("start a runtime"))?;
        Ok(Self { vault: opened.vault, runtime })
    }

    /// Whom the keyring is encrypted to.
    pub fn recipients(&self) -> Vec<Recipient> {
        self.vault.recipients()
    }

    /// As [`Vault::add_recipient`].
    ///
    /// # Errors
    /// As there.
    pub fn add_recipient(&self, recipient: Recipient) -> Result<Vec<Recipient>, DaemonError> {
        self.run(self.vault.add_recipient(&Caller::vault(), recipient))
    }

    /// As [`Vault::remove_recipient`]. The records are still to be re-encrypted.
    ///
    /// # Errors
    /// As there.
    pub fn remove_recipient(&self, recipient: Recipient) -> Result<Removal, DaemonError> {
        self.run(self.vault.remove_recipient(&Caller::vault(), recipient))
    }

    /// As [`Vault::rotate_data_key`]. The records are still to be re-encrypted.
    ///
    /// # Errors
    /// As there.
    pub fn rotate_data_key(&self) -> Result<u32, DaemonError> {
        self.run(self.vault.rotate_data_key(&Caller::vault()))
    }

    /// As [`Vault::rotate_jwt_secret`].
    ///
    /// # Errors
    /// As there.
    pub fn rotate_jwt_secret(&self, grace_hours: Option<i64>) -> Result<Timestamp, DaemonError> {
        self.run(self.vault.rotate_jwt_secret(&Caller::vault(), grace_hours))
    }

    /// Brings all records under the current data key; `tell` learns how many of how many are.
    ///
    /// # Errors
    /// As [`Vault::reencrypt`]; what is left is done when the vault is next served.
    pub fn reencrypt(&self, tell: &mut dyn FnMut(u64, u64)) -> Result<(), DaemonError> {
        self.run(async {
            let mut work = std::pin::pin!(self.vault.reencrypt());
            loop {
                match tokio::time::timeout(GLANCE, &mut work).await {
                    Ok(done) => return done,
                    Err(_) => {
                        if let Some(progress) = self.vault.rekey_progress() {
                            tell(progress.done, progress.total);
                        }
                    }
                }
            }
        })
    }

    fn run<T>(&self, work: impl Future<Output = Result<T, VaultError>>) -> Result<T, DaemonError> {
        self.runtime.block_on(work).map_err(|source| DaemonError::Refused { source })
    }
}

impl Drop for OfflineVault {
    fn drop(&mut self) {
        self.runtime.block_on(trail::close(&self.vault, None, Action::Stop));
    }
}
