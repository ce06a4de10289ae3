//! What is known of all secrets beside their values, in memory.
//!
//! Invariants: it shows only what is durable, because a change enters it after its commit was answered; an entry is
//! replaced, never changed, but for the time of its last use.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::clock::Timestamp;
use crate::model::{Key, Metadata, Namespace, RevisionInfo};
use crate::store::Fingerprint;
use crate::vault::record::{RevisionRecord, SecretRecord};

/// A last use that never was.
const NEVER: i64 = i64::MIN;
/// Authors whose names are kept once; more are kept with each revision.
const MAX_AUTHORS: usize = 1024;

/// One secret.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) record: SecretRecord,
    /// The stored record's, for the condition of the next write.
    pub(super) fingerprint: Fingerprint,
    last_used: AtomicI64,
}

impl Entry {
    pub(super) fn new(record: SecretRecord, fingerprint: Fingerprint) -> Self {
        let last_used = AtomicI64::new(record.last_used_at.unwrap_or(NEVER));
        Self { record, fingerprint, last_used }
    }

    /// Whether it is active and not expired.
    pub(super) fn is_readable(&self, now: Timestamp) -> bool {
        self.record.is_active && !self.is_expired(now)
    }

    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.record.expires_at.is_some_and(|at| at <= now.as_millis())
    }

    /// The number of the newest revision.
    pub(super) fn revision(&self) -> u64 {
        self.record.revisions.last().map_or(0, |newest| newest.revision)
    }

    /// One of the kept revisions.
    pub(super) fn find(&self, revision: u64) -> Option<&RevisionRecord> {
        self.record.revisions.iter().rev().find(|kept| kept.revision == revision)
    }

    /// Notes a use; the time never moves back. Says whether it is the first since the entry was stored.
    pub(super) fn touch(&self, now: Timestamp) -> bool {
        let before = self.last_used.fetch_max(now.as_millis(), Ordering::Relaxed);
        before == self.record.last_used_at.unwrap_or(NEVER)
    }

    /// When it was last used.
    pub(super) fn last_used(&self) -> Option<i64> {
        Some(self.last_used.load(Ordering::Relaxed)).filter(|&millis| millis != NEVER)
    }

    pub(super) fn metadata(&self) -> Metadata {
        let record = &self.record;
        Metadata {
            id: record.id,
            namespace: record.namespace.clone(),
            key: record.key.clone(),
            is_active: record.is_active,
            is_reserved: record.marks.is_reserved,
            is_template: record.marks.is_template,
            expires_at: record.expires_at.map(Timestamp::from_millis),
            last_used_at: self.last_used().map(Timestamp::from_millis),
            created_at: Timestamp::from_millis(record.created_at),
            updated_at: Timestamp::from_millis(record.updated_at),
            revision: self.revision(),
        }
    }

    /// The kept revisions, newest first.
    pub(super) fn revisions(&self) -> Vec<RevisionInfo> {
        let info = |kept: &RevisionRecord| RevisionInfo {
            revision: kept.revision,
            created_at: Timestamp::from_millis(kept.created_at),
            created_by: Arc::clone(&kept.created_by),
            size: kept.size,
        };
        self.record.revisions.iter().rev().map(info).collect()
    }
}

/// The secrets of one namespace.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) entries: BTreeMap<Key, Arc<Entry>>,
    /// The change counter of its newest change.
    pub(super) change: u64,
}

/// All secrets.
#[derive(Debug, Default)]
pub(super) struct Index {
    namespaces: HashMap<Namespace, Names>,
    /// Who wrote revisions: few principals write many.
    authors: HashSet<Arc<str>>,
}

impl Index {
    pub(super) fn get(&self, namespace: &Namespace, key: &Key) -> Option<&Arc<Entry>> {
        self.namespaces.get(namespace)?.entries.get(key)
    }

    pub(super) fn namespace(&self, namespace: &Namespace) -> Option<&Names> {
        self.namespaces.get(namespace)
    }

    pub(super) fn namespaces(&self) -> impl Iterator<Item = (&Namespace, &Names)> {
        self.namespaces.iter()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.namespaces.values().flat_map(|names| names.entries.values())
    }

    /// Puts an entry in the place of the one that has its name. A use of the old one that was not stored is kept.
    pub(super) fn insert(&mut self, mut entry: Entry) -> Arc<Entry> {
        self.share_texts(&mut entry);
        let names = self.namespaces.entry(entry.record.namespace.clone()).or_default();
        names.change = names.change.max(entry.record.change);
        if let Some(old) = names.entries.get(&entry.record.key).filter(|old| old.record.id == entry.record.id) {
            entry.last_used.fetch_max(old.last_used().unwrap_or(NEVER), Ordering::Relaxed);
        }
        let entry = Arc::new(entry);
        names.entries.insert(entry.record.key.clone(), Arc::clone(&entry));
        entry
    }

    /// Takes a purged secret out; `change` is the purge's. A namespace without secrets is gone.
    pub(super) fn remove(&mut self, namespace: &Namespace, key: &Key, change: u64) {
        if let Some(names) = self.namespaces.get_mut(namespace) {
            names.entries.remove(key);
            names.change = names.change.max(change);
            if names.entries.is_empty() {
                self.namespaces.remove(namespace);
            }
        }
    }

    /// Keeps texts once that many entries share.
    fn share_texts(&mut self, entry: &mut Entry) {
        if let Some((known, _)) = self.namespaces.get_key_value(&entry.record.namespace) {
            entry.record.namespace = known.clone();
        }
        for revision in &mut entry.record.revisions {
            match self.authors.get(&revision.created_by) {
                Some(known) => revision.created_by = Arc::clone(known),
                None if self.authors.len() < MAX_AUTHORS => {
                    self.authors.insert(Arc::clone(&revision.created_by));
                }
                None => {}
            }
        }
    }

    /// Takes over the last uses that another index knows of and that are not stored.
    pub(super) fn adopt_uses(&self, other: &Self) {
        for old in other.entries() {
            let new = self.get(&old.record.namespace, &old.record.key).filter(|new| new.record.id == old.record.id);
            if let (Some(new), Some(used)) = (new, old.last_used()) {
                new.last_used.fetch_max(used, Ordering::Relaxed);
            }
        }
    }

    /// How many secrets there are, and how many can be read.
    pub(super) fn count(&self, now: Timestamp) -> (u64, u64) {
        self.entries().fold((0, 0), |(total, active), entry| (total + 1, active + u64::from(entry.is_readable(now))))
    }
}

/// Builds an index of many entries at once, which costs a fraction of putting in each.
#[derive(Default)]
pub(super) struct Filling {
    index: Index,
    entries: HashMap<Namespace, Vec<(Key, Arc<Entry>)>>,
}

impl Filling {
    /// Puts in an entry; no two have the same name.
    pub(super) fn push(&mut self, mut entry: Entry) {
        self.index.share_texts(&mut entry);
        let names = self.index.namespaces.entry(entry.record.namespace.clone()).or_default();
        names.change = names.change.max(entry.record.change);
        let entries = self.entries.entry(entry.record.namespace.clone()).or_default();
        entries.push((entry.record.key.clone(), Arc::new(entry)));
    }

    /// The index.
    pub(super) fn finish(mut self) -> Index {
        for (namespace, entries) in self.entries {
            self.index.namespaces.entry(namespace).or_default().entries = BTreeMap::from_iter(entries);
        }
        self.index
    }
}
