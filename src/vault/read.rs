//! The verbs that look: get, list, revisions, environment, verify, namespaces, overview.
//!
//! Invariant: nothing on the way of a single read scans or grows with the number of secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::audit;
use crate::auth::{Action, Caller, Principal, Target, may_see};
use crate::clock::Timestamp;
use crate::model::{Key, Metadata, Namespace, RevisionInfo, SecretValue};
use crate::vault::index::Entry;
use crate::vault::{Vault, VaultError};

/// Which secrets of a namespace are wanted.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// These; each must be there. None means all.
    pub keys: Option<Vec<Key>>,
    /// Only names that begin so.
    pub prefix: Option<String>,
    /// Whether named ones that are missing are left out.
    pub partial: bool,
}

/// What a process needs of a namespace.
#[derive(Debug)]
pub struct Environment {
    /// Values by name.
    pub values: BTreeMap<String, SecretValue>,
    /// Which of them refer to other secrets.
    pub templates: BTreeSet<String>,
    /// The number of the namespace's newest change.
    pub revision: u64,
}

/// The metadata of secrets as they were at one instant, but for their last uses; each is made when it is asked for.
#[derive(Debug)]
pub struct Listing(std::vec::IntoIter<Arc<Entry>>);

impl Iterator for Listing {
    type Item = Metadata;

    fn next(&mut self) -> Option<Metadata> {
        self.0.next().map(|entry| entry.metadata())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Listing {}

/// How many secrets a namespace has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceCount {
    /// Its name.
    pub namespace: Namespace,
    /// Those that can be read.
    pub active: u64,
    /// All.
    pub total: u64,
}

/// The vault at a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overview {
    /// Secrets that can be read.
    pub active: u64,
    /// All secrets.
    pub total: u64,
    /// The next expiry that is still to come.
    pub next_expiry: Option<Timestamp>,
}

impl Vault {
    /// Reveals a value, of the newest revision where none is named. Says which revision it is.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when there is none, or it is inactive or expired; [`VaultError::RevisionNotFound`];
    /// [`VaultError::Damaged`]; [`VaultError::MaybeLost`]; errors of the store.
    pub async fn get(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        key: &Key,
        revision: Option<u64>,
    ) -> Result<(SecretValue, u64), VaultError> {
        let permit = self.permit(caller, Action::Read, Target::Secret(namespace, key))?;
        self.reveal(caller, &permit, namespace, key, revision).await
    }

    /// Says whether a secret has a value, without revealing it; the comparison is constant-time on digests.
    ///
    /// # Errors
    /// As [`Vault::get`].
    pub async fn verify(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        key: &Key,
        candidate: &SecretValue,
    ) -> Result<bool, VaultError> {
        let permit = self.permit(caller, Action::Verify, Target::Secret(namespace, key))?;
        self.record_use(caller, &permit, audit::Action::Verify, Some(namespace), Some(key))?;
        let (value, ..) = self.open_value(namespace, key, None).await?;
        let digest = |text: &SecretValue| Sha256::digest(text.expose_secret().as_bytes());
        Ok(digest(&value).ct_eq(&digest(candidate)).into())
    }

    /// The metadata of all secrets of a namespace that the caller may see, the newest first, inactive and reserved ones too.
    ///
    /// # Errors
    /// [`VaultError::Forbidden`].
    pub fn list(&self, caller: &Caller, namespace: &Namespace) -> Result<Listing, VaultError> {
        let permit = self.permit(caller, Action::List, Target::Namespace(namespace))?;
        self.record_use(caller, &permit, audit::Action::List, Some(namespace), None)?;
        let mut secrets: Vec<Arc<Entry>> = match self.index.read().namespace(namespace) {
            Some(names) => {
                let seen = names.entries.iter().filter(|(key, _)| may_see(&caller.principal, namespace, key));
                seen.map(|(_, entry)| Arc::clone(entry)).collect()
            }
            None => Vec::new(),
        };
        // Stable, so that secrets of the same millisecond stand in the order of their names.
        secrets.sort_by_cached_key(|entry| std::cmp::Reverse(entry.record.created_at));
        Ok(Listing(secrets.into_iter()))
    }

    /// The revisions of a secret that are kept, the newest first.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::MaybeLost`].
    pub fn revisions(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        key: &Key,
    ) -> Result<Vec<RevisionInfo>, VaultError> {
        let permit = self.permit(caller, Action::List, Target::Secret(namespace, key))?;
        self.record_use(caller, &permit, audit::Action::List, Some(namespace), Some(key))?;
        Ok(self.find(namespace, key)?.revisions())
    }

    /// Reveals what a process needs of a namespace.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] with all named keys that are missing; otherwise as [`Vault::get`].
    pub async fn environment(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        selection: &Selection,
    ) -> Result<Environment, VaultError> {
        let permit = self.permit(caller, Action::Read, Target::Namespace(namespace))?;
        // Before anything is looked at: whether there is a secret is nothing that whoever may not read it learns.
        for key in selection.keys.iter().flatten() {
            drop(self.permit(caller, Action::Read, Target::Secret(namespace, key))?);
        }
        let may_read = |key: &Key| self.may(caller, Action::Read, Target::Secret(namespace, key));
        let now = self.clock.now();
        let begins = |key: &Key| selection.prefix.as_deref().is_none_or(|prefix| key.as_str().starts_with(prefix));
        let (wanted, templates, revision) = {
            let index = self.index.read();
            let names = index.namespace(namespace);
            let readable = |key: &Key| index.get(namespace, key).is_some_and(|entry| entry.is_readable(now));
            let wanted: Vec<Key> = match &selection.keys {
                Some(keys) => {
                    let missing: Vec<Key> = keys.iter().filter(|key| !readable(key)).cloned().collect();
                    if let Some(lost) = missing.iter().find(|key| self.may_be_lost(namespace, key)) {
                        return Err(VaultError::MaybeLost { key: lost.clone() });
                    }
                    if !missing.is_empty() && !selection.partial {
                        return Err(VaultError::NotFound { keys: missing });
                    }
                    keys.iter().filter(|key| begins(key) && !missing.contains(key)).cloned().collect()
                }
                None => names
                    .into_iter()
                    .flat_map(|names| &names.entries)
                    .filter(|(key, entry)| begins(key) && entry.is_readable(now) && may_read(key))
                    .map(|(key, _)| key.clone())
                    .collect(),
            };
            let is_template =
                |key: &&Key| index.get(namespace, key).is_some_and(|entry| entry.record.marks.is_template);
            let templates: BTreeSet<String> = wanted.iter().filter(is_template).map(Key::to_string).collect();
            (wanted, templates, names.map_or(0, |names| names.change))
        };
        // One that goes away after the look at the index is missed only by whoever named it.
        let insists = selection.keys.is_some() && !selection.partial;
        let values = self.reveal_all(caller, &permit, namespace, wanted, insists).await?;
        Ok(Environment { values, templates, revision: revision.max(self.last_purge.load(Ordering::Relaxed)) })
    }

    /// All namespaces with something that the caller may see, with its counts, in the order of their names.
    ///
    /// # Errors
    /// [`VaultError::Forbidden`].
    pub fn namespaces(&self, caller: &Caller) -> Result<Vec<NamespaceCount>, VaultError> {
        let all = !matches!(caller.principal, Principal::Granted(_));
        let permit = self.permit(caller, Action::List, Target::Vault)?;
        self.record_use(caller, &permit, audit::Action::List, None, None)?;
        let now = self.clock.now();
        let mut counts: Vec<NamespaceCount> = self
            .index
            .read()
            .namespaces()
            .filter_map(|(namespace, names)| {
                let mut count = NamespaceCount { namespace: namespace.clone(), active: 0, total: 0 };
                for (key, entry) in &names.entries {
                    if all || may_see(&caller.principal, namespace, key) {
                        count.active += u64::from(entry.is_readable(now));
                        count.total += 1;
                    }
                }
                (all || count.total > 0).then_some(count)
            })
            .collect();
        counts.sort_by(|one, other| one.namespace.cmp(&other.namespace));
        Ok(counts)
    }

    /// The vault at a glance; looks at every entry.
    pub fn overview(&self) -> Overview {
        let now = self.clock.now();
        let index = self.index.read();
        let (total, active) = index.count(now);
        let coming =
            |entry: &Arc<Entry>| entry.record.expires_at.filter(|&at| entry.record.is_active && at > now.as_millis());
        Overview { active, total, next_expiry: index.entries().filter_map(coming).min().map(Timestamp::from_millis) }
    }

    /// The entry of a secret, also of an inactive or expired one.
    pub(super) fn find(&self, namespace: &Namespace, key: &Key) -> Result<Arc<Entry>, VaultError> {
        self.find_or_missing(namespace, key)?.ok_or_else(|| VaultError::NotFound { keys: vec![key.clone()] })
    }

    /// The entry of a secret that is active and not expired.
    pub(super) fn readable(&self, namespace: &Namespace, key: &Key) -> Result<Arc<Entry>, VaultError> {
        let now = self.clock.now();
        let entry = self.find(namespace, key)?;
        if entry.is_readable(now) { Ok(entry) } else { Err(VaultError::NotFound { keys: vec![key.clone()] }) }
    }

    /// The entry of a secret, or none where it is certain that there is none.
    pub(super) fn find_or_missing(&self, namespace: &Namespace, key: &Key) -> Result<Option<Arc<Entry>>, VaultError> {
        let found = self.index.read().get(namespace, key).cloned();
        if found.is_none() && self.may_be_lost(namespace, key) {
            return Err(VaultError::MaybeLost { key: key.clone() });
        }
        Ok(found)
    }

    fn may_be_lost(&self, namespace: &Namespace, key: &Key) -> bool {
        let damage = self.damage.read();
        damage.may_have_lost_names
            || (!damage.unreadable.is_empty() && damage.unreadable.contains(&self.keyring.name_tag(namespace, key)))
    }
}
