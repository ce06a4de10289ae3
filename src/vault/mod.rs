//! The verbs: create, read, update, delete, purge, roll back, rotate, mint. It decides nothing about HTTP.
//!
//! Invariants: a change is in the index, and answered, only after it is durable; writes to one secret are serial; every
//! value leaves through [`reveal`](self), every change enters through [`commit`](self); a secret that may have been
//! lost is never called "not found". A write once begun runs to its end, also when nobody waits for it any more.

pub mod backup;

mod check;
mod commit;
mod error;
mod events;
mod gate;
mod index;
mod keys;
mod locks;
mod measure;
mod open;
mod permit;
mod read;
mod record;
mod rekey;
mod reopen;
mod report;
mod reveal;
mod sealing;
#[cfg(test)]
mod tests;
mod tokens;
mod trail;
mod trail_read;
mod usage;
mod write;

use std::collections::HashSet;
use std::future::Future;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use crate::api::{CheckFinding, Severity, Topic};
use crate::auth::{AuthError, Authenticator, Credential, Peer, Policy, Principal};
use crate::clock::Clock;
use crate::crypto::Keyring;
use crate::metrics::COUNTS;
use crate::store::{Health, Latch, Store};

pub use check::RecordsReport;
pub use error::{ErrorKind, VaultError};
pub use events::{Begin, Event, Events, Found, Position, Warning};
pub use gate::Gate;
pub use measure::{AuditCounts, Measures, Named, States};
pub use open::NewVault;
pub use permit::Permit;
pub use read::{Environment, Listing, NamespaceCount, Overview, Selection};
pub use rekey::{KeyringFile, KeyringFileError, RekeyProgress, Removal};
pub use report::ReportLimits;
pub use sealing::{Sealing, UnsealError};
pub use tokens::{NewToken, TokenLife};
pub use trail::AuditRules;
pub use trail_read::{Readers, verify_offline};
pub use write::{Create, Precondition, Update};

/// Bytes of a record beside the value in it, and of its place in the store.
const RECORD: u64 = 400;

/// What a vault is limited to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest value in bytes.
    pub max_value_size: usize,
    /// How many revisions of a secret are kept; at least 1.
    pub revisions: usize,
    /// How many events are kept for readers that come back.
    pub events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_value_size: 1024 * 1024, revisions: 10, events: 16_384 }
    }
}

/// An open vault.
#[derive(Debug)]
pub struct Vault {
    store: Arc<dyn Store>,
    keyring: Arc<Keyring>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    index: RwLock<index::Index>,
    authenticator: Authenticator,
    locks: locks::NameLocks,
    /// One rotation at a time.
    rotation: tokio::sync::Mutex<()>,
    /// One purge at a time: they share the vault's own record.
    purge: tokio::sync::Mutex<()>,
    /// One change of the tokens at a time, so that each use is counted.
    tokens: tokio::sync::Mutex<()>,
    /// The change counter at the last purge: no namespace's revision is below it.
    last_purge: AtomicU64,
    /// Counts changes; never moves back.
    changes: AtomicU64,
    /// Entries whose last use is not stored yet.
    used: Mutex<Vec<Arc<index::Entry>>>,
    damage: RwLock<Damage>,
    /// Set while the store may hold other than the index says: what the write failed of that led to it.
    stale: Mutex<Option<Latch>>,
    events: Arc<Events>,
    expiry: events::Expiry,
    /// Backups under way.
    pins: backup::Pins,
    /// Set where what is done here is recorded.
    audit: OnceLock<trail::Audit>,
    /// Last: what tells of the vault's end is dropped after its keys.
    rekey: rekey::Rekey,
}

/// What was wrong with the store when the vault was opened.
#[derive(Debug, Default)]
struct Damage {
    problems: Vec<String>,
    /// Names (as their tags) whose metadata is there, but not readable.
    unreadable: HashSet<[u8; 32]>,
    /// Whether metadata may be missing altogether.
    may_have_lost_names: bool,
}

impl Vault {
    /// Recognises who asks.
    ///
    /// # Errors
    /// [`VaultError::Unauthenticated`].
    pub fn authenticate(
        &self,
        credential: Credential<'_>,
        peer: Option<&Peer>,
        policy: &Arc<Policy>,
    ) -> Result<Principal, VaultError> {
        let known = self.authenticator.authenticate(credential, peer, policy, self.clock.now());
        let known = known.inspect_err(|error| {
            let count = match error {
                AuthError::Missing => &COUNTS.authentication_missing,
                AuthError::InvalidToken => &COUNTS.authentication_token,
                AuthError::InvalidApiKey => &COUNTS.authentication_key,
                AuthError::TokenExpired => &COUNTS.authentication_expired,
            };
            count.increment();
        });
        Ok(known.inspect_err(|why| self.unrecognised(peer, &why.to_string()))?)
    }

    /// The vault's identifier.
    pub fn id(&self) -> Uuid {
        self.keyring.vault_id()
    }

    /// The clock that the vault goes by.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// What it is limited to.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether writes are taken: the store is healthy, and nothing was found damaged.
    pub fn is_writable(&self) -> bool {
        self.damage.read().problems.is_empty() && self.stale.lock().is_none() && self.store.health() == Health::Writable
    }

    /// About how many bytes the records of all secrets take on disk.
    pub fn live_bytes(&self) -> u64 {
        let of = |revision: &record::RevisionRecord| {
            u64::from(revision.size) + RECORD * u64::from(record::chunks_of(revision.size as usize))
        };
        let index = self.index.read();
        index.entries().map(|entry| RECORD + entry.record.revisions.iter().map(of).sum::<u64>()).sum()
    }

    /// Bytes that the store takes on disk.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn size_on_disk(&self) -> Result<u64, VaultError> {
        self.store.size_on_disk().map_err(|source| commit::store("measure the store", source))
    }

    /// What is wrong with the vault, each in a sentence; empty when nothing is.
    pub fn problems(&self) -> Vec<String> {
        self.findings().into_iter().map(|finding| finding.message).collect()
    }

    /// What is wrong with the vault, and what mends it; empty when nothing is.
    pub fn findings(&self) -> Vec<CheckFinding> {
        let problem = |topic, subject: &str, message| CheckFinding::new(Severity::Problem, topic, subject, message);
        let lost = self.damage.read().problems.clone();
        let mut findings: Vec<_> = lost.into_iter().map(|what| problem(Topic::Vault, "vault", what)).collect();
        let stale = *self.stale.lock();
        let writing = match (self.store.health(), stale) {
            (Health::Latched(cause), _) | (_, Some(cause)) => Some(match cause {
                Latch::Full => (
                    Topic::Space,
                    "a write failed because the disk was full; the vault is read-only until there is room again",
                ),
                Latch::Io => (
                    Topic::Disk,
                    "a write failed because the disk failed; the vault is read-only until writing works again",
                ),
                Latch::Damaged => {
                    (Topic::Vault, "a write failed because the store is damaged; the vault is read-only: see the log")
                }
            }),
            (Health::Full, None) => {
                Some((Topic::Space, "the disk is full; writes are refused until there is room again"))
            }
            (Health::Writable, None) => None,
        };
        findings.extend(writing.map(|(topic, what)| problem(topic, "store", what.to_owned())));
        let (down, broken) = self.trail_problems();
        findings.extend(down.map(|what| problem(Topic::Trail, "audit trail", what)));
        findings.extend(broken.into_iter().map(|what| problem(Topic::Tampering, "audit trail", what)));
        findings
    }
}

/// Runs a write to its end, also when the request that began it is dropped, so that store and index never part.
async fn to_the_end<T: Send + 'static>(
    verb: &str,
    work: impl Future<Output = Result<T, VaultError>> + Send + 'static,
) -> Result<T, VaultError> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(error) => Err(VaultError::Internal { verb: verb.to_owned(), detail: error.to_string() }),
    }
}
