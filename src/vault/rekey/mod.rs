//! The vault's own keys: who may open the keyring, and the rotation of data key and signing secret.
//!
//! Invariants: a change of keys is in force, and answered, only after the keyring's file with it is on the disk and was
//! read back; changes are serial, and none happens between a backup's instant and its keys; a data key is dropped only
//! when nothing on the disk and no backup under way needs it. Where the file lives is the business of whoever opened the
//! vault.

mod reencrypt;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::{Notify, mpsc};

use crate::audit;
use crate::auth::{Action, Caller, Target};
use crate::clock::Timestamp;
use crate::crypto::{KeyringDraft, Recipient, SealedKeyring};
use crate::vault::commit::crypto;
use crate::vault::open::signing_secrets;
use crate::vault::{Vault, VaultError, to_the_end};

/// Longest grace period of a signing secret, in hours.
const MAX_GRACE_HOURS: i64 = 720;
/// The grace period where none is named.
const DEFAULT_GRACE_HOURS: i64 = 24;
/// Most data keys, and most signing secrets in their grace period, that there are at once.
const MAX_AT_ONCE: usize = 64;

/// Why the keyring's file could not be replaced. After an error there is the old one or the new one.
#[derive(Debug, thiserror::Error)]
pub enum KeyringFileError {
    /// The disk is full.
    #[error("no space left on the disk")]
    Full,
    /// Anything else.
    #[error("{message}")]
    Failed {
        /// What the system said.
        message: String,
    },
}

/// The keyring's file.
pub trait KeyringFile: Send + Sync + fmt::Debug {
    /// Puts a keyring in the place of the one that is there, durably, and reads it back. Killed at any point it leaves
    /// the old one or the new one. Blocks.
    ///
    /// # Errors
    /// [`KeyringFileError`].
    fn replace(&self, sealed: &SealedKeyring, recipients: &[Recipient]) -> Result<(), KeyringFileError>;
}

/// How far the records have come under the new data key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RekeyProgress {
    /// The data key's number.
    pub epoch: u32,
    /// Records that are under it by now.
    pub done: u64,
    /// Records that there were to do.
    pub total: u64,
    /// Why it does not go on.
    pub problem: Option<String>,
}

/// What follows from the removal of a recipient.
#[derive(Clone, Debug)]
pub struct Removal {
    /// Whom the keyring is encrypted to now.
    pub recipients: Vec<Recipient>,
    /// The new data key's number.
    pub epoch: u32,
}

/// What is kept in memory of changes of keys.
#[derive(Debug, Default)]
pub(super) struct Rekey {
    file: OnceLock<Arc<dyn KeyringFile>>,
    /// The public halves of what opened the keyring.
    own: OnceLock<Vec<Recipient>>,
    /// The oldest data key that records may still come in under.
    oldest: RwLock<u32>,
    progress: Mutex<Option<RekeyProgress>>,
    wanted: Notify,
    closing: AtomicBool,
    /// Never sent on: whoever has the other end learns when the vault is gone.
    alive: OnceLock<mpsc::Sender<Infallible>>,
}

impl Rekey {
    /// The oldest data key that records may come in under; it does not move while this is held.
    pub(super) fn oldest_epoch(&self) -> RwLockReadGuard<'_, u32> {
        self.oldest.read()
    }
}

impl Vault {
    /// Says where the keyring's file is, and with whose identity it was opened. Without it no key can be changed.
    pub fn attach_keyring(&self, file: Arc<dyn KeyringFile>, own: Vec<Recipient>) {
        // Set once, by whoever opened the vault.
        let _first = self.rekey.file.set(file);
        let _first = self.rekey.own.set(own);
    }

    /// Tells long work (backups, checks) to end early, and gives what ends when nobody uses the vault any more and its
    /// keys are wiped.
    pub fn close(&self) -> mpsc::Receiver<Infallible> {
        self.rekey.closing.store(true, Ordering::Relaxed);
        let (alive, ended) = mpsc::channel(1);
        let _first = self.rekey.alive.set(alive);
        ended
    }

    /// Whether long work is to end early.
    pub(super) fn is_closing(&self) -> bool {
        self.rekey.closing.load(Ordering::Relaxed)
    }

    /// Whom the keyring, and so each backup that names no others, is encrypted to.
    pub fn recipients(&self) -> Vec<Recipient> {
        let listed = self.keyring.recipients().filter(|recipients| !recipients.is_empty());
        listed.or_else(|| self.rekey.own.get().cloned()).unwrap_or_default()
    }

    /// How far a rotation of the data key has come; none where there is none under way.
    pub fn rekey_progress(&self) -> Option<RekeyProgress> {
        let progress = self.rekey.progress.lock().clone();
        let begun = || RekeyProgress { epoch: self.keyring.current_epoch(), done: 0, total: 0, problem: None };
        progress.or_else(|| (self.keyring.epochs().len() > 1).then(begun))
    }

    /// Lets one more identity open the keyring, and the backups to come. One that can already stays what it is.
    ///
    /// # Errors
    /// [`VaultError::Keyring`].
    pub async fn add_recipient(
        self: &Arc<Self>,
        caller: &Caller,
        recipient: Recipient,
    ) -> Result<Vec<Recipient>, VaultError> {
        let added = self.change_keys(caller, "add a recipient", move |_, draft, _| {
            let mut recipients = draft.recipients().to_vec();
            if !recipients.contains(&recipient) {
                recipients.push(recipient);
            }
            draft.set_recipients(recipients);
            Ok(())
        });
        added.await?;
        tracing::info!(principal = %caller.principal, "a recipient was added to the keyring");
        Ok(self.recipients())
    }

    /// Takes a recipient away: the keyring is no longer encrypted to it, and the data key and the signing secret, which it
    /// may know, are replaced. Tokens that were signed until now are worthless.
    ///
    /// # Errors
    /// [`VaultError::InvalidInput`] for one that is none, [`VaultError::Forbidden`] for the last one and for the one that
    /// this daemon needs; [`VaultError::Keyring`].
    pub async fn remove_recipient(
        self: &Arc<Self>,
        caller: &Caller,
        recipient: Recipient,
    ) -> Result<Removal, VaultError> {
        let removed = self.change_keys(caller, "remove a recipient", move |vault, draft, now| {
            let mut recipients = draft.recipients().to_vec();
            let before = recipients.len();
            recipients.retain(|each| *each != recipient);
            if recipients.len() == before {
                return Err(VaultError::InvalidInput {
                    message: "It is no recipient of the vault".to_owned(),
                    next: Some("GET /api/recipients lists them"),
                });
            }
            if recipients.is_empty() {
                return Err(VaultError::Forbidden {
                    message: "The last recipient cannot be removed: nobody could open the vault".to_owned(),
                    next: Some("Add another recipient first, e.g. by `hushd recipient add`"),
                });
            }
            let own = vault.rekey.own.get().map(Vec::as_slice).unwrap_or_default();
            if !recipients.iter().any(|each| own.contains(each)) {
                return Err(VaultError::Forbidden {
                    message: "The daemon itself opens the vault with this recipient's identity".to_owned(),
                    next: Some("Add another recipient, configure its identity as vault.identity and restart, first"),
                });
            }
            draft.set_recipients(recipients);
            draft.rotate_jwt_secret(now, Duration::ZERO).map_err(|source| crypto("remove a recipient", source))?;
            draft.add_data_key(now).map_err(|source| crypto("remove a recipient", source))
        });
        let epoch = removed.await?;
        tracing::info!(principal = %caller.principal, epoch, "a recipient was removed from the keyring");
        self.rekey.wanted.notify_one();
        Ok(Removal { recipients: self.recipients(), epoch })
    }

    /// Makes a new data key, under which all is written from now on; what is there already follows in the background.
    /// Says the new key's number.
    ///
    /// # Errors
    /// [`VaultError::TooManyRotations`]; [`VaultError::Keyring`].
    pub async fn rotate_data_key(self: &Arc<Self>, caller: &Caller) -> Result<u32, VaultError> {
        let verb = "rotate the data key";
        let rotated = self.change_keys(caller, verb, move |vault, draft, now| {
            if vault.keyring.epochs().len() >= MAX_AT_ONCE {
                return Err(VaultError::TooManyRotations { limit: MAX_AT_ONCE });
            }
            draft.add_data_key(now).map_err(|source| crypto(verb, source))
        });
        let epoch = rotated.await?;
        tracing::info!(principal = %caller.principal, epoch, "the data key was rotated; the records follow");
        self.rekey.wanted.notify_one();
        Ok(epoch)
    }

    /// Makes a new secret that signs administrators' tokens; the old one verifies them until its grace period ends, which
    /// is answered.
    ///
    /// # Errors
    /// [`VaultError::InvalidInput`] when the grace period is out of range; [`VaultError::TooManyRotations`];
    /// [`VaultError::Keyring`].
    pub async fn rotate_jwt_secret(
        self: &Arc<Self>,
        caller: &Caller,
        grace_hours: Option<i64>,
    ) -> Result<Timestamp, VaultError> {
        let verb = "rotate the signing secret";
        let hours = grace_hours.unwrap_or(DEFAULT_GRACE_HOURS);
        let grace = u64::try_from(hours).ok().filter(|_| hours <= MAX_GRACE_HOURS).map(Duration::from_hours);
        let grace = grace.ok_or_else(|| VaultError::InvalidInput {
            message: format!("gracePeriodHours must be an integer from 0 to {MAX_GRACE_HOURS}"),
            next: None,
        })?;
        let rotated = self.change_keys(caller, verb, move |vault, draft, now| {
            if vault.keyring.signing_secrets().in_grace(now) >= MAX_AT_ONCE && !grace.is_zero() {
                return Err(VaultError::TooManyRotations { limit: MAX_AT_ONCE });
            }
            draft.rotate_jwt_secret(now, grace).map_err(|source| crypto(verb, source))?;
            Ok(now.plus(grace))
        });
        let until = rotated.await?;
        tracing::info!(principal = %caller.principal, %until, "the secret that signs tokens was rotated");
        Ok(until)
    }

    /// Changes the keyring: in a draft, then in its file, then in force. Runs to its end, whoever waits for it.
    async fn change_keys<T: Send + 'static>(
        self: &Arc<Self>,
        caller: &Caller,
        verb: &'static str,
        change: impl FnOnce(&Self, &mut KeyringDraft, Timestamp) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, VaultError> {
        let permit = self.permit(caller, Action::Mint, Target::Vault)?;
        let rule = Some(format!("{verb}; {}", permit.rule()).into());
        let recorded = audit::Entry { rule, ..self.entry(caller, &permit, audit::Action::ManageKeys) };
        let vault = Arc::clone(self);
        to_the_end(verb, async move {
            let rotation = vault.rotation.lock().await;
            if !vault.damage.read().problems.is_empty() {
                return Err(VaultError::ReadOnly { verb: verb.to_owned() });
            }
            let mut draft = vault.keyring.draft();
            let done = change(&vault, &mut draft, vault.clock.now())?;
            vault.record_at_once(recorded)?;
            vault.put_in_force(verb, draft).await?;
            drop(rotation);
            Ok(done)
        })
        .await
    }

    /// Writes a draft to the keyring's file and lets it come into force. The caller holds the lock of rotations.
    async fn put_in_force(self: &Arc<Self>, verb: &'static str, mut draft: KeyringDraft) -> Result<(), VaultError> {
        let failed = |source| VaultError::Keyring { verb: verb.to_owned(), source };
        let Some(file) = self.rekey.file.get().cloned() else {
            return Err(failed(KeyringFileError::Failed { message: "the vault has no keyring file".to_owned() }));
        };
        if draft.recipients().is_empty() {
            let message = "the keyring does not tell its recipients, and recipients.txt cannot be read".to_owned();
            return Err(failed(KeyringFileError::Failed { message }));
        }
        // Sealing may run a plugin, and the file waits for the disk.
        let written = tokio::task::spawn_blocking(move || {
            let sealed = draft.seal().map_err(|source| crypto(verb, source))?;
            file.replace(&sealed, draft.recipients())
                .map_err(|source| VaultError::Keyring { verb: verb.to_owned(), source })?;
            Ok::<_, VaultError>(draft)
        });
        let draft = written
            .await
            .map_err(|error| VaultError::Internal { verb: verb.to_owned(), detail: error.to_string() })??;
        self.keyring.install(draft);
        self.authenticator.replace_signing_secrets(signing_secrets(&self.keyring));
        Ok(())
    }
}
