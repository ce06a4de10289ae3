//! The verbs that change a secret: create, update, delete, purge, roll back (API contract, "Secrets").
//!
//! Invariant: each looks at the index, decides and commits under the secret's lock, so that of parallel writers each
//! sees what the one before it did.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use crate::audit;
use crate::auth::{Action, Caller, Target};
use crate::clock::Timestamp;
use crate::model::{Key, Namespace, SecretId, SecretValue};
use crate::store::{Batch, Table};
use crate::vault::commit::{crypto, delete_value, undecodable};
use crate::vault::index::Entry;
use crate::vault::record::{self, Marks, SecretRecord, VaultRecord};
use crate::vault::trail::of_secret;
use crate::vault::{Permit, Vault, VaultError, to_the_end};

/// A secret to be created.
#[derive(Clone, Debug)]
pub struct Create {
    /// Its value.
    pub value: SecretValue,
    /// Whether it is protected from deletion.
    pub is_reserved: bool,
    /// Whether its value refers to other secrets.
    pub is_template: bool,
    /// From when on it can no longer be read.
    pub expires_at: Option<Timestamp>,
}

/// What is to be changed of a secret; what is absent is left alone.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// A new value, and so a new revision.
    pub value: Option<SecretValue>,
    /// Whether it can be read.
    pub is_active: Option<bool>,
    /// Whether it is protected from deletion.
    pub is_reserved: Option<bool>,
    /// Whether its value refers to other secrets.
    pub is_template: Option<bool>,
    /// From when on it can no longer be read; `Some(None)` removes the expiry.
    pub expires_at: Option<Option<Timestamp>>,
}

/// What a client expects of a secret's revision (`If-Match`, RFC 9110 §13.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// That the revision is one of these.
    OneOf(Vec<u64>),
}

impl Precondition {
    fn check(&self, entry: &Entry) -> Result<(), VaultError> {
        match self {
            Self::None => Ok(()),
            Self::OneOf(expected) if expected.contains(&entry.revision()) => Ok(()),
            Self::OneOf(_) => {
                Err(VaultError::PreconditionFailed { key: entry.record.key.clone(), current: entry.revision() })
            }
        }
    }
}

/// A change of one secret under way. It holds the secret's lock.
pub(super) struct Change {
    vault: Arc<Vault>,
    pub(super) caller: Caller,
    /// That the policy allowed it.
    pub(super) permit: Permit,
    namespace: Namespace,
    key: Key,
    /// What is done, with the secret's name, for errors.
    pub(super) verb: String,
    /// What the audit trail calls it.
    pub(super) action: audit::Action,
    pub(super) now: Timestamp,
    _lock: OwnedMutexGuard<()>,
}

impl Change {
    /// The secret, which must be there and as the client expects it.
    fn existing(&self, precondition: &Precondition) -> Result<Arc<Entry>, VaultError> {
        let entry = self.vault.find(&self.namespace, &self.key)?;
        precondition.check(&entry)?;
        Ok(entry)
    }

    /// The entry of the audit trail.
    pub(super) fn recorded(&self, action: audit::Action) -> audit::Entry {
        let entry = self.vault.entry(&self.caller, &self.permit, action);
        of_secret(entry, &self.namespace, Some(&self.key))
    }

    /// Makes it durable. Says the number of the newest revision.
    async fn commit(
        &self,
        old: Option<&Arc<Entry>>,
        draft: SecretRecord,
        value: Option<&SecretValue>,
    ) -> Result<u64, VaultError> {
        self.vault.commit(self, old, draft, value).await
    }
}

impl Vault {
    /// Creates a secret, or revives one that is inactive or expired under its old identifier.
    ///
    /// # Errors
    /// [`VaultError::AlreadyExists`]; [`VaultError::Forbidden`] for an inactive reserved one;
    /// [`VaultError::ValueTooLarge`]; errors of the store.
    pub async fn create(
        self: &Arc<Self>,
        caller: &Caller,
        namespace: &Namespace,
        key: &Key,
        create: Create,
    ) -> Result<SecretId, VaultError> {
        let permit = self.permit(caller, Action::Write, Target::Secret(namespace, key))?;
        self.check_size(&create.value)?;
        self.change(caller, permit, namespace, key, "create", move |change| async move {
            let Change { vault, namespace, key, now, .. } = &change;
            let old = vault.find_or_missing(namespace, key)?;
            let mut draft = match &old {
                Some(entry) if entry.is_readable(*now) => {
                    return Err(VaultError::AlreadyExists { key: key.clone() });
                }
                Some(entry) if !entry.record.is_active && entry.record.marks.is_reserved => {
                    return Err(VaultError::Forbidden {
                        message: format!("Cannot revive reserved secret: {key}"),
                        next: Some("Activate it by PUT with isActive true"),
                    });
                }
                Some(entry) => entry.record.clone(),
                None => SecretRecord::new(Uuid::new_v4(), namespace, key, *now),
            };
            draft.is_active = true;
            draft.marks = Marks { is_reserved: create.is_reserved, is_template: create.is_template };
            draft.expires_at = create.expires_at.map(Timestamp::as_millis);
            let id = draft.id;
            change.commit(old.as_ref(), draft, Some(&create.value)).await?;
            Ok(id)
        })
        .await
    }

    /// Changes a secret, also an inactive or expired one. Says its revision afterwards.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::PreconditionFailed`]; [`VaultError::Forbidden`] when it would
    /// deactivate a reserved one; [`VaultError::InvalidInput`] when there is nothing to change;
    /// [`VaultError::ValueTooLarge`]; errors of the store.
    pub async fn update(
        self: &Arc<Self>,
        caller: &Caller,
        namespace: &Namespace,
        key: &Key,
        precondition: Precondition,
        update: Update,
    ) -> Result<u64, VaultError> {
        let permit = self.permit(caller, Action::Write, Target::Secret(namespace, key))?;
        if let Some(value) = &update.value {
            self.check_size(value)?;
        }
        let nothing = update.value.is_none()
            && update.is_active.is_none()
            && update.is_reserved.is_none()
            && update.is_template.is_none()
            && update.expires_at.is_none();
        if nothing {
            return Err(VaultError::InvalidInput {
                message: "Nothing to update".to_owned(),
                next: Some("Send at least one of value, isActive, isReserved, isTemplate and expiresAt"),
            });
        }
        self.change(caller, permit, namespace, key, "update", move |change| async move {
            let old = change.existing(&precondition)?;
            let mut draft = old.record.clone();
            draft.marks.is_reserved = update.is_reserved.unwrap_or(draft.marks.is_reserved);
            draft.marks.is_template = update.is_template.unwrap_or(draft.marks.is_template);
            draft.is_active = update.is_active.unwrap_or(draft.is_active);
            if update.is_active == Some(false) && draft.marks.is_reserved {
                return Err(reserved(&change.key));
            }
            if let Some(expires_at) = update.expires_at {
                draft.expires_at = expires_at.map(Timestamp::as_millis);
            }
            change.commit(Some(&old), draft, update.value.as_ref()).await
        })
        .await
    }

    /// Makes a secret inactive; its revisions are kept. Once more on an inactive one is fine.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::PreconditionFailed`]; [`VaultError::Forbidden`] for a reserved one;
    /// errors of the store.
    pub async fn delete(
        self: &Arc<Self>,
        caller: &Caller,
        namespace: &Namespace,
        key: &Key,
        precondition: Precondition,
    ) -> Result<(), VaultError> {
        let permit = self.permit(caller, Action::Write, Target::Secret(namespace, key))?;
        self.change(caller, permit, namespace, key, "delete", move |change| async move {
            let old = change.existing(&precondition)?;
            if old.record.marks.is_reserved {
                return Err(reserved(&change.key));
            }
            if !old.record.is_active {
                return Ok(());
            }
            let draft = SecretRecord { is_active: false, ..old.record.clone() };
            change.commit(Some(&old), draft, None).await.map(|_| ())
        })
        .await
    }

    /// Destroys a secret with its metadata and all its revisions.
    ///
    /// # Errors
    /// As [`Vault::delete`].
    pub async fn purge(
        self: &Arc<Self>,
        caller: &Caller,
        namespace: &Namespace,
        key: &Key,
        precondition: Precondition,
    ) -> Result<(), VaultError> {
        let permit = self.permit(caller, Action::Write, Target::Secret(namespace, key))?;
        self.change(caller, permit, namespace, key, "delete", move |change| async move {
            let old = change.existing(&precondition)?;
            if old.record.marks.is_reserved {
                return Err(reserved(&change.key));
            }
            change.vault.commit_purge(&change, &old).await?;
            let Caller { principal, request_id, .. } = &change.caller;
            tracing::info!(%principal, %request_id, "a secret was purged");
            Ok(())
        })
        .await
    }

    /// Makes the value of an older revision the newest one. Says the new revision.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::RevisionNotFound`]; [`VaultError::PreconditionFailed`];
    /// [`VaultError::Damaged`]; errors of the store.
    pub async fn rollback(
        self: &Arc<Self>,
        caller: &Caller,
        namespace: &Namespace,
        key: &Key,
        precondition: Precondition,
        revision: u64,
    ) -> Result<u64, VaultError> {
        let permit = self.permit(caller, Action::Write, Target::Secret(namespace, key))?;
        self.change(caller, permit, namespace, key, "roll back", move |change| async move {
            let Change { vault, namespace, key, .. } = &change;
            let old = vault.readable(namespace, key)?;
            precondition.check(&old)?;
            let kept = old.find(revision).ok_or_else(|| VaultError::RevisionNotFound { key: key.clone(), revision })?;
            let value = vault.decrypt_value(&old, kept)?;
            change.commit(Some(&old), old.record.clone(), Some(&value)).await
        })
        .await
    }

    /// Runs a change of one secret to its end, while nobody else changes it.
    async fn change<T, F>(
        self: &Arc<Self>,
        caller: &Caller,
        permit: Permit,
        namespace: &Namespace,
        key: &Key,
        verb: &str,
        work: impl FnOnce(Change) -> F + Send + 'static,
    ) -> Result<T, VaultError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, VaultError>> + Send,
    {
        let (vault, caller, namespace, key) = (Arc::clone(self), caller.clone(), namespace.clone(), key.clone());
        let action = match verb {
            "create" => audit::Action::Create,
            "delete" => audit::Action::Delete,
            "roll back" => audit::Action::Rollback,
            _ => audit::Action::Update,
        };
        let verb = format!("{verb} secret: {key}");
        to_the_end(&verb.clone(), async move {
            let lock = vault.locks.lock(&namespace, &key).await;
            let now = vault.clock.now();
            work(Change { vault, caller, permit, namespace, key, verb, action, now, _lock: lock }).await
        })
        .await
    }

    /// Takes a secret out of the store and, when that is durable, out of the index.
    async fn commit_purge(&self, by: &Change, old: &Arc<Entry>) -> Result<(), VaultError> {
        let _one = self.purge.lock().await;
        let verb = &by.verb;
        let change = self.next_change();
        let record = &old.record;
        let mut batch = Batch::default();
        let tag = self.keyring.name_tag(&record.namespace, &record.key).to_vec();
        batch.expect_unchanged(Table::Metadata, tag.clone(), old.fingerprint);
        batch.delete(Table::Metadata, tag);
        let write = self.pins.begin_write();
        for revision in &record.revisions {
            write.keep(&*self.store, record.id, revision);
            delete_value(&mut batch, record.id, revision);
        }
        let plain = record::encode(&VaultRecord { purge: change }).map_err(|error| undecodable(verb, error))?;
        let key = record::vault_key();
        let bytes = self.keyring.encrypt_record(Table::Vault, &key, &plain).map_err(|source| crypto(verb, source))?;
        batch.put(Table::Vault, key, bytes);
        self.submit_recorded(verb, batch, by.recorded(audit::Action::Purge)).await?;
        self.last_purge.store(change, Ordering::Relaxed);
        self.index.write().remove(&record.namespace, &record.key, change);
        drop(write);
        self.publish_purge(old);
        Ok(())
    }

    fn check_size(&self, value: &SecretValue) -> Result<(), VaultError> {
        let (size, limit) = (value.len(), self.limits.max_value_size);
        if size > limit { Err(VaultError::ValueTooLarge { size, limit }) } else { Ok(()) }
    }
}

fn reserved(key: &Key) -> VaultError {
    VaultError::Forbidden {
        message: format!("Cannot delete reserved secret: {key}"),
        next: Some("Lift the protection first, by PUT with isReserved false"),
    }
}
