//! Whether the vault is open, while the daemon runs: it seals and unseals, and what works in the background comes and goes
//! with the open vault.
//!
//! Invariants: one change at a time; sealing lets the requests in flight finish, then closes the store and wipes all keys,
//! names and tokens with it; what fails to unseal leaves the vault sealed; passphrases are tried one at a time, each
//! failure doubling the wait for the next.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sd_notify::NotifyState;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::audit::Action;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::crypto::{CryptoError, Passphrase};
use crate::daemon::check::full_text;
use crate::daemon::directory::VaultDirectory;
use crate::daemon::open::{Opened, open_vault};
use crate::daemon::snapshots::Snapshots;
use crate::daemon::trail_out::Telling;
use crate::daemon::{DaemonError, create, expiry, notify, trail, work};
use crate::http::SnapshotReport;
use crate::paths::read_private;
use crate::vault::{Gate, Sealing, UnsealError};

/// How long a seal waits for requests in flight before it is answered.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest wait after wrong passphrases.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Seals and unseals.
#[derive(Clone, Debug)]
pub(super) struct Keeper(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    directory: Arc<VaultDirectory>,
    gate: Arc<Gate>,
    report: SnapshotReport,
    /// The daemon's own user.
    owner: u32,
    /// The runtime that background work lives on, not a worker's.
    runtime: Handle,
    /// One change at a time.
    one: Arc<tokio::sync::Mutex<()>>,
    guesses: Mutex<Guesses>,
    work: Mutex<Vec<JoinHandle<()>>>,
    /// What tells others of the audit trail.
    telling: Mutex<Option<Telling>>,
}

/// Wrong passphrases since the last right one.
#[derive(Debug, Default)]
struct Guesses {
    wrong: u32,
    not_before: Option<Timestamp>,
}

impl Guesses {
    /// Notes one more, at `now`.
    fn note(&mut self, now: Timestamp) {
        self.wrong = self.wrong.saturating_add(1);
        let wait = Duration::from_secs(1 << self.wrong.saturating_sub(1).min(6)).min(LONGEST_WAIT);
        self.not_before = Some(now.plus(wait));
    }

    fn wait(&self, now: Timestamp) -> Option<Duration> {
        self.not_before.filter(|at| now < *at).map(|at| at.since(now))
    }
}

impl Keeper {
    /// Gets ready; the gate may be open or sealed.
    pub(super) fn new(
        config: Config,
        directory: Arc<VaultDirectory>,
        gate: Arc<Gate>,
        report: SnapshotReport,
        runtime: Handle,
    ) -> Self {
        let owner = rustix::process::geteuid().as_raw();
        let (one, guesses, work) = (Arc::default(), Mutex::default(), Mutex::default());
        let telling = Mutex::default();
        Self(Arc::new(Inner { config, directory, gate, report, owner, runtime, one, guesses, work, telling }))
    }

    /// Lets an open vault be used, and begins what works on it in the background.
    pub(super) fn put(&self, opened: Opened) {
        let Opened { vault, identities } = opened;
        let inner = &self.0;
        inner.gate.put(Arc::clone(&vault));
        let mut tasks = inner.work.lock();
        tasks.push(inner.runtime.spawn(work::sweep(Arc::clone(&vault))));
        tasks.push(inner.runtime.spawn(work::recover(Arc::clone(&vault))));
        tasks.push(inner.runtime.spawn(Arc::clone(&vault).keep_reencrypting()));
        let warnings = expiry::warnings(&inner.config.expiry);
        tasks.push(inner.runtime.spawn(expiry::announce(Arc::clone(&vault), warnings)));
        tasks.push(inner.runtime.spawn(trail::tend(Arc::clone(&vault))));
        match trail::tell(&inner.config.audit, &vault) {
            Ok(telling) => *inner.telling.lock() = telling,
            Err(error) => tracing::error!(reason = full_text(&error), "the audit trail is told to nobody"),
        }
        let snapshots = Snapshots::new(&inner.config.backup, &vault, identities, &inner.report);
        tasks.extend(snapshots.map(|snapshots| inner.runtime.spawn(snapshots.take())));
    }

    /// Ends the background work, and the vault's with it, when the daemon stops.
    pub(super) async fn stop(&self) {
        self.stop_work().await;
        let Ok(vault) = self.0.gate.vault() else { return };
        vault.store_last_uses().await;
        let telling = self.0.telling.lock().take();
        trail::close(&vault, telling, Action::Stop).await;
    }

    async fn stop_work(&self) {
        let tasks = std::mem::take(&mut *self.0.work.lock());
        for task in tasks {
            task.abort();
            // That it was aborted is what is waited for.
            drop(task.await);
        }
    }

    /// Ends the streams of events, which never end by themselves.
    pub(super) fn end_events(&self, why: &'static str) {
        if let Ok(vault) = self.0.gate.vault() {
            vault.events().end(why);
        }
    }

    async fn seal_now(self, why: String) -> bool {
        let one = Arc::clone(&self.0.one).lock_owned().await;
        let Ok(vault) = self.0.gate.vault() else { return true };
        vault.store_last_uses().await;
        drop(self.0.gate.take());
        self.stop_work().await;
        vault.events().end("sealed");
        let telling = self.0.telling.lock().take();
        trail::close(&vault, telling, Action::Seal).await;
        let mut ended = vault.close();
        drop(vault);
        let wiped = tokio::time::timeout(PATIENCE, ended.recv()).await.is_ok();
        if wiped {
            tracing::info!(by = why, "the vault is sealed; its keys are wiped");
        } else {
            tracing::warn!(by = why, "the vault is sealed; a request that takes long still holds its keys");
            // Nobody opens the store before it is closed.
            self.0.runtime.spawn(async move {
                let _none: Option<Infallible> = ended.recv().await;
                tracing::info!("the last request has ended; the keys are wiped");
                drop(one);
            });
        }
        notify(&[NotifyState::Status("sealed")]);
        wiped
    }

    async fn unseal_now(self, uid: Option<u32>, passphrase: Option<Passphrase>) -> Result<(), UnsealError> {
        let owner = uid == Some(self.0.owner);
        if !owner && passphrase.is_none() {
            return Err(UnsealError::NotAllowed);
        }
        // A seal or another attempt may be at its end.
        let Ok(_one) = tokio::time::timeout(PATIENCE, self.0.one.lock()).await else {
            return Err(UnsealError::TooSoon { wait: Duration::from_secs(1) });
        };
        if self.0.gate.vault().is_ok() {
            return Ok(());
        }
        let now = || self.0.gate.clock().now();
        if let Some(wait) = self.0.guesses.lock().wait(now()) {
            return Err(UnsealError::TooSoon { wait });
        }
        let this = self.clone();
        // scrypt takes a second and 256 MiB, and the store is read.
        let opened = tokio::task::spawn_blocking(move || this.open(owner, passphrase.as_ref())).await;
        let opened = opened.map_err(|error| UnsealError::Failed { detail: error.to_string() })?;
        match opened {
            Ok(opened) => {
                *self.0.guesses.lock() = Guesses::default();
                self.put(opened);
                tracing::info!(uid, "the vault is unsealed");
                notify(&[NotifyState::Status("unsealed")]);
                Ok(())
            }
            Err(error) => {
                if matches!(error, UnsealError::WrongPassphrase | UnsealError::NotAllowed) {
                    self.0.guesses.lock().note(now());
                }
                tracing::warn!(uid, %error, "the vault stays sealed");
                Err(error)
            }
        }
    }

    /// Opens the vault. A stranger proves by the passphrase that he may: a master key without one does not count.
    fn open(&self, owner: bool, passphrase: Option<&Passphrase>) -> Result<Opened, UnsealError> {
        let inner = &self.0;
        let configured = inner.config.vault.passphrase_file.as_deref().filter(|_| owner && passphrase.is_none());
        let mut asked = false;
        let mut ask = || {
            asked = true;
            passphrase.cloned().or_else(|| read_passphrase(configured?))
        };
        let mut config = inner.config.clone();
        if !owner && !create::leave_encrypted(&mut config.vault) {
            return Err(UnsealError::NotAllowed);
        }
        let opened = open_vault(&config, &inner.directory, &mut ask);
        opened.map_err(|error| {
            if matches!(error, DaemonError::Identity { source: CryptoError::PassphraseNeeded, .. }) {
                UnsealError::PassphraseNeeded
            } else if asked && matches!(error, DaemonError::Identity { source: CryptoError::WrongPassphrase, .. }) {
                UnsealError::WrongPassphrase
            } else {
                UnsealError::Failed { detail: full_text(&error) }
            }
        })
    }
}

impl Sealing for Keeper {
    fn seal(&self, why: String) -> BoxFuture<'static, bool> {
        // It runs to its end, whoever waits for it.
        let done = self.0.runtime.spawn(self.clone().seal_now(why));
        async move { done.await.unwrap_or(false) }.boxed()
    }

    fn unseal(&self, uid: Option<u32>, passphrase: Option<Passphrase>) -> BoxFuture<'static, Result<(), UnsealError>> {
        let done = self.0.runtime.spawn(self.clone().unseal_now(uid, passphrase));
        async move { done.await.unwrap_or_else(|error| Err(UnsealError::Failed { detail: error.to_string() })) }.boxed()
    }
}

/// The passphrase in a file, without the newline at its end; none where it cannot be read.
fn read_passphrase(path: &Path) -> Option<Passphrase> {
    let bytes = read_private(path).ok()?;
    let text = std::str::from_utf8(&bytes).ok()?.trim_end_matches(['\n', '\r']);
    (!text.is_empty()).then(|| Passphrase::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_passphrase_doubles_the_wait_up_to_a_minute() {
        let now = Timestamp::from_millis(0);
        let mut guesses = Guesses::default();
        assert_eq!(guesses.wait(now), None);
        let waits: Vec<u64> = (0..9)
            .map(|_| {
                guesses.note(now);
                guesses.wait(now).unwrap().as_secs()
            })
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(guesses.wait(now.plus(Duration::from_mins(1))), None);
    }
}
