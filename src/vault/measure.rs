//! The vault in numbers, for a monitoring system.
//!
//! Invariant: no name of a secret is in them unless it is asked for; no value ever is. It looks at every entry, so it is
//! not for the way of a request that reads a secret.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::model::{Key, Namespace};
use crate::vault::Vault;

/// How many secrets are in which state. Each is in one of the first three; reserved ones are counted once more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct States {
    /// Can be read.
    pub active: u64,
    /// Deleted, with their revisions kept.
    pub inactive: u64,
    /// Active, but past their time.
    pub expired: u64,
    /// Protected from deletion.
    pub reserved: u64,
}

/// The audit trail in numbers, since the vault was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditCounts {
    /// Entries that were written.
    pub entries: u64,
    /// Entries that could not be written.
    pub failures: u64,
    /// Entries of changes that are durable and not in the trail's files yet.
    pub queue: u64,
}

/// One secret by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Where it is.
    pub namespace: Namespace,
    /// Its name.
    pub key: Key,
    /// Its newest revision.
    pub revision: u64,
    /// From when on it can no longer be read.
    pub expires_at: Option<Timestamp>,
    /// When it was last revealed.
    pub last_used_at: Option<Timestamp>,
}

/// The vault in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// Secrets by state.
    pub states: States,
    /// Namespaces.
    pub namespaces: u64,
    /// Revisions that are kept.
    pub revisions: u64,
    /// Time to the next expiry that is still to come.
    pub next_expiry: Option<Duration>,
    /// For each time ahead that was asked for: readable secrets that expire within it.
    pub expiring: Vec<u64>,
    /// Bytes that the store takes on disk; `None` where it cannot be measured.
    pub store_bytes: Option<u64>,
    /// About how many of them are in use.
    pub live_bytes: u64,
    /// Whether writes are taken.
    pub writable: bool,
    /// What is wrong, each with how often it was found.
    pub problems: BTreeMap<String, u64>,
    /// The audit trail's counts; `None` where there is no trail.
    pub audit: Option<AuditCounts>,
    /// Each active secret, where names were asked for.
    pub named: Vec<Named>,
}

impl Vault {
    /// Takes the measures. `ahead` are the times within which an expiry is worth knowing of; `names` asks for each secret
    /// by its name.
    pub fn measure(&self, ahead: &[Duration], names: bool) -> Measures {
        let now = self.clock.now();
        let mut measures = Measures {
            expiring: vec![0; ahead.len()],
            store_bytes: self.size_on_disk().ok(),
            live_bytes: self.live_bytes(),
            writable: self.is_writable(),
            audit: self.audit_counts(),
            ..Measures::default()
        };
        for problem in self.problems() {
            *measures.problems.entry(problem).or_default() += 1;
        }
        let index = self.index.read();
        measures.namespaces = index.namespaces().count() as u64;
        for entry in index.entries() {
            let record = &entry.record;
            measures.revisions += record.revisions.len() as u64;
            measures.states.reserved += u64::from(record.marks.is_reserved);
            let state = match (record.is_active, entry.is_expired(now)) {
                (false, _) => &mut measures.states.inactive,
                (true, true) => &mut measures.states.expired,
                (true, false) => &mut measures.states.active,
            };
            *state += 1;
            let expires_at = record.expires_at.map(Timestamp::from_millis);
            if let Some(at) = expires_at.filter(|_| entry.is_readable(now)) {
                let left = at.since(now);
                measures.next_expiry = Some(measures.next_expiry.map_or(left, |next| next.min(left)));
                for (count, ahead) in measures.expiring.iter_mut().zip(ahead) {
                    *count += u64::from(left <= *ahead);
                }
            }
            if names && record.is_active {
                measures.named.push(Named {
                    namespace: record.namespace.clone(),
                    key: record.key.clone(),
                    revision: entry.revision(),
                    expires_at,
                    last_used_at: entry.last_used().map(Timestamp::from_millis),
                });
            }
        }
        measures
    }
}
