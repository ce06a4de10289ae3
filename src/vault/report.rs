//! What could be tidied up: secrets that expire, that nobody reads, that never change, that have one value between them, and
//! templates that refer to what is not there.
//!
//! Invariants: it names only what the caller may list, and compares only what he may read; that it compares is in the audit
//! trail before the first value is opened, and of a value nothing leaves but that another secret has the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::api::{ReportFinding, ReportKind, ReportResponse, SecretName};
use crate::audit;
use crate::auth::{Action, Caller, Target, may_see};
use crate::clock::Timestamp;
use crate::model::{Key, Namespace, SecretValue, reference};
use crate::vault::index::Entry;
use crate::vault::{Vault, VaultError};

/// Shortest value, in bytes, that is compared: that two secrets are `true` or `3000` says nothing.
const SHORTEST: usize = 8;
const DAY: i64 = 24 * 60 * 60 * 1000;

/// From when on something is told, in days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportLimits {
    /// What expires within.
    pub expiring: u32,
    /// What nobody has read for as long.
    pub unread: u32,
    /// What nobody has written for as long.
    pub old: u32,
}

impl Default for ReportLimits {
    fn default() -> Self {
        Self { expiring: 30, unread: 90, old: 365 }
    }
}

impl Vault {
    /// Looks at all secrets of a namespace, or of all, that the caller may list. Takes its time: it decrypts all values that he
    /// may read, so it is not for a thread that serves others.
    ///
    /// # Errors
    /// [`VaultError::Forbidden`]; [`VaultError::Unrecorded`].
    pub async fn report(
        &self,
        caller: &Caller,
        namespace: Option<&Namespace>,
        limits: ReportLimits,
    ) -> Result<ReportResponse, VaultError> {
        let target = namespace.map_or(Target::Vault, Target::Namespace);
        let permit = self.permit(caller, Action::List, target)?;
        self.record_use(caller, &permit, audit::Action::List, namespace, None)?;
        let now = self.clock.now();
        let secrets: Vec<Arc<Entry>> = {
            let index = self.index.read();
            let wanted = |entry: &&Arc<Entry>| {
                let record = &entry.record;
                namespace.is_none_or(|namespace| *namespace == record.namespace)
                    && may_see(&caller.principal, &record.namespace, &record.key)
            };
            index.entries().filter(wanted).cloned().collect()
        };
        let mut findings: Vec<ReportFinding> =
            secrets.iter().flat_map(|entry| about_times(entry, limits, now)).collect();
        let (compared, found) = self.compare_values(caller, &secrets, now).await?;
        findings.extend(found);
        findings.sort_by(|one, other| (one.kind, &one.secrets).cmp(&(other.kind, &other.secrets)));
        Ok(ReportResponse { generated_at: now, secrets: secrets.len() as u64, compared, findings })
    }

    /// What the values say: which are the same, which refer to what is not there, and which cannot be read.
    async fn compare_values(
        &self,
        caller: &Caller,
        secrets: &[Arc<Entry>],
        now: Timestamp,
    ) -> Result<(u64, Vec<ReportFinding>), VaultError> {
        let may_read =
            |namespace: &Namespace, key: &Key| self.may(caller, Action::Read, Target::Secret(namespace, key));
        let readable = secrets.iter().filter(|entry| entry.is_readable(now));
        let readable: Vec<_> = readable.filter(|entry| may_read(&entry.record.namespace, &entry.record.key)).collect();
        let namespaces: BTreeSet<&Namespace> = readable.iter().map(|entry| &entry.record.namespace).collect();
        for namespace in namespaces {
            let permit = self.permit(caller, Action::Read, Target::Namespace(namespace))?;
            self.record_use(caller, &permit, audit::Action::Compare, Some(namespace), None)?;
        }
        // Digests under a key that nobody else has: what stays behind in memory says nothing about a value.
        let mut salt = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *salt)
            .map_err(|error| VaultError::Internal { verb: "compare values".to_owned(), detail: error.to_string() })?;
        let digest = |value: &SecretValue| {
            Sha256::new().chain_update(*salt).chain_update(value.expose_secret().as_bytes()).finalize()
        };
        let mut findings = Vec::new();
        let mut same: BTreeMap<[u8; 32], Vec<SecretName>> = BTreeMap::new();
        let mut compared = 0;
        for entry in readable {
            let (namespace, key) = (&entry.record.namespace, &entry.record.key);
            let value = match self.open_value(namespace, key, None).await {
                Ok((value, ..)) => value,
                Err(VaultError::NotFound { .. } | VaultError::RevisionNotFound { .. }) => continue,
                Err(VaultError::Damaged { .. }) => {
                    findings.push(finding(ReportKind::Damaged, entry, None));
                    continue;
                }
                Err(error) => return Err(error),
            };
            compared += 1;
            if value.len() >= SHORTEST {
                same.entry(digest(&value).into()).or_default().push(name(entry));
            }
            if entry.record.marks.is_template {
                findings.extend(self.missing_references(caller, entry, &value));
            }
        }
        let duplicates = same.into_values().filter(|names| names.len() > 1).map(|mut secrets| {
            secrets.sort();
            let hint = "keep one and refer to it: hushd set KEY --template, with ${NAME} in the value".to_owned();
            ReportFinding {
                kind: ReportKind::Duplicate,
                secrets,
                at: None,
                missing: Vec::new(),
                hint,
                see: see(ReportKind::Duplicate),
            }
        });
        findings.extend(duplicates);
        Ok((compared, findings))
    }

    /// What a template refers to that is neither in its namespace nor in one above it, from which it may be inherited.
    fn missing_references(&self, caller: &Caller, entry: &Arc<Entry>, value: &SecretValue) -> Option<ReportFinding> {
        let record = &entry.record;
        let referred = reference::keys(value.expose_secret()).ok()?;
        let index = self.index.read();
        let mut above: Vec<Namespace> = Vec::new();
        let mut path = record.namespace.as_str();
        while let Some((parent, _)) = path.rsplit_once('/') {
            above.extend(parent.parse::<Namespace>().ok());
            path = parent;
        }
        let is_there = |key: &Key| {
            let seen = |namespace: &Namespace| {
                may_see(&caller.principal, namespace, key)
                    && index.get(namespace, key).is_some_and(|entry| entry.record.is_active)
            };
            seen(&record.namespace) || above.iter().any(seen)
        };
        let missing: BTreeSet<String> =
            referred.iter().filter(|key| !is_there(key)).map(|key| key.as_str().to_owned()).collect();
        let first = missing.first()?;
        let hint = format!("set it: hushd set {first} --namespace {}", record.namespace);
        let finding = finding(ReportKind::MissingReference, entry, None);
        Some(ReportFinding { missing: missing.into_iter().collect(), hint, ..finding })
    }
}

/// What the metadata of a secret says.
fn about_times(entry: &Arc<Entry>, limits: ReportLimits, now: Timestamp) -> Vec<ReportFinding> {
    let record = &entry.record;
    let at = |millis: i64| Some(Timestamp::from_millis(millis));
    let since = |days: u32| now.as_millis() - i64::from(days) * DAY;
    if !record.is_active {
        return Vec::new();
    }
    let mut findings = Vec::new();
    if let Some(expires) = record.expires_at {
        if expires <= now.as_millis() {
            return vec![finding(ReportKind::Expired, entry, at(expires))];
        }
        if expires <= now.as_millis() + i64::from(limits.expiring) * DAY {
            findings.push(finding(ReportKind::Expiring, entry, at(expires)));
        }
    }
    let last = entry.last_used();
    if last.unwrap_or(record.created_at) < since(limits.unread) {
        findings.push(finding(ReportKind::Unread, entry, last.and_then(at)));
    }
    let written = record.revisions.last().map_or(record.created_at, |newest| newest.created_at);
    if written < since(limits.old) {
        findings.push(finding(ReportKind::Old, entry, at(written)));
    }
    findings
}

fn finding(kind: ReportKind, entry: &Entry, at: Option<Timestamp>) -> ReportFinding {
    let (key, namespace) = (&entry.record.key, &entry.record.namespace);
    let hint = match kind {
        ReportKind::Damaged => {
            format!("take it from a backup: hushd restore FILE --keys {key} --namespace {namespace}")
        }
        ReportKind::Expired => format!("renew or delete it: hushd set {key} --namespace {namespace} --expires TIME"),
        ReportKind::Expiring => format!("renew it in time: hushd set {key} --namespace {namespace} --expires TIME"),
        ReportKind::Unread => format!("if nothing needs it: hushd delete {key} --namespace {namespace}"),
        ReportKind::Old | ReportKind::Duplicate | ReportKind::MissingReference => {
            format!("replace it where it is from, then: hushd set {key} --namespace {namespace}")
        }
    };
    ReportFinding { kind, secrets: vec![name(entry)], at, missing: Vec::new(), hint, see: see(kind) }
}

fn see(kind: ReportKind) -> String {
    format!("README.md#{}", kind.see())
}

fn name(entry: &Entry) -> SecretName {
    SecretName { namespace: entry.record.namespace.to_string(), key: entry.record.key.to_string() }
}
