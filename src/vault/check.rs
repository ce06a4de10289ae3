//! Reads everything in the store: every record decrypts, has its length, belongs to a secret, and all are there.
//!
//! Invariants: it changes nothing and trusts nothing in memory but the keys; writers go on, and what they change
//! meanwhile is never taken for damage: what seems wrong is looked at again. It knows no files.

use std::collections::HashMap;

use uuid::Uuid;

use crate::api::{CheckCounts, CheckFinding, Severity, Topic};
use crate::auth::{KeyKind, KeyRing, StoredJwt, StoredToken};
use crate::model::{Progress, SecretId};
use crate::store::{StoreError, Table};
use crate::vault::record::{self, RevisionRecord, SecretRecord, VaultRecord, chunks_of};
use crate::vault::{Vault, VaultError};

/// Most findings of one kind that are told one by one.
const MOST: usize = 1000;

/// What was found about the records.
#[derive(Debug, Default)]
pub struct RecordsReport {
    /// How many there are.
    pub counts: CheckCounts,
    /// What is wrong.
    pub findings: Vec<CheckFinding>,
}

/// What the scan saw of one revision of one secret.
#[derive(Debug, Default)]
struct Seen {
    /// The number of the first chunk that was seen.
    first: Option<u32>,
    chunks: u32,
    bytes: u64,
    broken: Vec<String>,
}

type Values = HashMap<(SecretId, u64), Seen>;

impl Vault {
    /// Checks every record. Takes as long as it takes to read them all: not for a thread that serves.
    ///
    /// # Errors
    /// [`VaultError::Store`] when the store cannot be read at all.
    pub fn check(&self, progress: &Progress) -> Result<RecordsReport, VaultError> {
        let failed = |source| VaultError::Store { verb: "check the vault".to_owned(), source };
        let mut report = RecordsReport::default();
        // Values first: whatever belongs to one that was seen is then in the metadata, or gone with it.
        let values = self.scan_values(&mut report, progress).map_err(failed)?;
        let secrets = self.scan_metadata(&mut report).map_err(failed)?;
        self.scan_others(&mut report).map_err(failed)?;
        self.compare(values, &secrets, &mut report);
        for problem in self.problems() {
            if !report.findings.iter().any(|finding| problem.contains(&finding.message)) {
                report.problem("vault", problem);
            }
        }
        Ok(report)
    }

    fn scan_values(&self, report: &mut RecordsReport, progress: &Progress) -> Result<Values, StoreError> {
        let mut values = Values::new();
        let mut strange = 0_usize;
        let (mut looked, total) = (0, self.value_records());
        let found = self.store.load(&[Table::Value], &mut |table, key, bytes| {
            looked += 1;
            progress.tell(looked, total);
            let Some((id, revision, chunk)) = parse_value_key(key) else {
                strange += 1;
                return;
            };
            let seen = values.entry((id, revision)).or_default();
            seen.first.get_or_insert(chunk);
            seen.chunks += 1;
            match self.keyring.decrypt_record(table, key, bytes) {
                Ok(plain) => {
                    report.counts.records += 1;
                    seen.bytes += plain.len() as u64;
                }
                Err(error) => seen.broken.push(format!("chunk {chunk}: {error}")),
            }
        })?;
        report.tables(&found);
        if strange > 0 {
            report.problem("values", format!("{strange} records stand where no value can"));
        }
        Ok(values)
    }

    /// How many records the values should have.
    fn value_records(&self) -> u64 {
        let of = |revision: &RevisionRecord| u64::from(chunks_of(revision.size as usize));
        self.index.read().entries().map(|entry| entry.record.revisions.iter().map(of).sum::<u64>()).sum()
    }

    fn scan_metadata(&self, report: &mut RecordsReport) -> Result<Vec<SecretRecord>, StoreError> {
        let mut secrets = Vec::new();
        let found = self.store.load(&[Table::Metadata], &mut |table, key, bytes| {
            let plain = self.keyring.decrypt_record(table, key, bytes).map_err(|error| error.to_string());
            let read = plain.and_then(|plain| record::decode(&plain).map_err(|error| error.to_string()));
            match read {
                Ok(secret) => {
                    let secret: SecretRecord = secret;
                    report.counts.records += 1;
                    if self.keyring.name_tag(&secret.namespace, &secret.key) != key {
                        report.problem(subject(&secret), "its metadata stands in the place of another secret's".into());
                    }
                    secrets.push(secret);
                }
                Err(reason) => report
                    .problem("secret with unknown name", format!("the metadata of a secret cannot be read: {reason}")),
            }
        })?;
        report.tables(&found);
        report.counts.secrets = secrets.len() as u64;
        report.counts.revisions = secrets.iter().map(|secret| secret.revisions.len() as u64).sum();
        Ok(secrets)
    }

    fn scan_others(&self, report: &mut RecordsReport) -> Result<(), StoreError> {
        let expected = [
            (Table::Vault, record::vault_key()),
            (Table::ApiKey, record::api_key_key(KeyKind::Api)),
            (Table::ApiKey, record::api_key_key(KeyKind::Anon)),
        ];
        let mut present = Vec::new();
        let found = self.store.load(&[Table::Vault, Table::ApiKey], &mut |table, key, bytes| {
            let name = match key {
                _ if key.starts_with(record::TOKEN) || key.starts_with(record::JWT) => "of a token".to_owned(),
                _ => String::from_utf8_lossy(key).into_owned(),
            };
            let plain = self.keyring.decrypt_record(table, key, bytes).map_err(|error| error.to_string());
            let read = plain.and_then(|plain| {
                match table {
                    Table::ApiKey if key.starts_with(record::TOKEN) => record::decode::<StoredToken>(&plain).map(drop),
                    Table::ApiKey if key.starts_with(record::JWT) => record::decode::<StoredJwt>(&plain).map(drop),
                    Table::ApiKey => record::decode::<KeyRing>(&plain).map(drop),
                    Table::Vault if key == record::vault_key() => record::decode::<VaultRecord>(&plain).map(drop),
                    Table::Vault | Table::Head | Table::Metadata | Table::Value => Ok(()),
                }
                .map_err(|error| error.to_string())
            });
            match read {
                Ok(()) => report.counts.records += 1,
                Err(reason) => {
                    report.problem(format!("record {name}"), format!("the record {name} cannot be read: {reason}"));
                }
            }
            present.push((table, key.to_vec()));
        })?;
        report.tables(&found);
        for (table, key) in expected {
            if !present.contains(&(table, key.clone())) {
                let name = String::from_utf8_lossy(&key).into_owned();
                report.problem(format!("record {name}"), format!("the record {name} cannot be read: it is missing"));
            }
        }
        Ok(())
    }

    /// Holds the values that were seen against what the metadata says of them.
    fn compare(&self, mut values: Values, secrets: &[SecretRecord], report: &mut RecordsReport) {
        let mut wrong = 0;
        for secret in secrets {
            for revision in &secret.revisions {
                let seen = values.remove(&(secret.id, revision.revision));
                let fault = fault_of(revision, seen.as_ref()).and_then(|_| self.fault_now(secret, revision));
                match fault {
                    None => report.counts.bytes += u64::from(revision.size),
                    Some(fault) => {
                        wrong += 1;
                        if wrong <= MOST {
                            report.problem(subject(secret), format!("revision {}: {fault}", revision.revision));
                        }
                    }
                }
            }
        }
        if wrong > MOST {
            report.problem("secrets", format!("{} more revisions are broken", wrong - MOST));
        }
        let (mut orphans, mut bytes) = (0, 0);
        for ((id, revision), seen) in values {
            // What a writer dropped since it was seen is gone by now.
            let there = |chunk| {
                let key = record::value_key(id, revision, chunk);
                self.store.get(Table::Value, &key).is_ok_and(|found| found.is_some())
            };
            if seen.first.is_some_and(there) {
                orphans += 1;
                bytes += seen.bytes;
            }
        }
        if orphans > 0 {
            report.problem(
                "values",
                format!("{orphans} values ({bytes} bytes) belong to no secret whose metadata can be read"),
            );
        }
    }

    /// What is wrong with a revision now; nothing when the secret has changed since, or the revision is whole.
    fn fault_now(&self, secret: &SecretRecord, revision: &RevisionRecord) -> Option<String> {
        let tag = self.keyring.name_tag(&secret.namespace, &secret.key);
        loop {
            let before = self.store.get(Table::Metadata, &tag).ok()?;
            let fault = self.read_revision(secret.id, revision);
            if self.store.get(Table::Metadata, &tag).ok()? != before {
                continue;
            }
            let plain = self.keyring.decrypt_record(Table::Metadata, &tag, &before?).ok()?;
            let now: SecretRecord = record::decode(&plain).ok()?;
            let kept = now.id == secret.id && now.revisions.iter().any(|kept| kept.revision == revision.revision);
            return fault.filter(|_| kept);
        }
    }

    fn read_revision(&self, id: SecretId, revision: &RevisionRecord) -> Option<String> {
        let mut seen = Seen::default();
        for (chunk, key) in revision.chunk_keys(id).enumerate() {
            match self.store.get(Table::Value, &key) {
                Ok(Some(bytes)) => {
                    seen.chunks += 1;
                    match self.keyring.decrypt_record(Table::Value, &key, &bytes) {
                        Ok(plain) => seen.bytes += plain.len() as u64,
                        Err(error) => seen.broken.push(format!("chunk {chunk}: {error}")),
                    }
                }
                Ok(None) => seen.broken.push(format!("chunk {chunk}: the record is missing")),
                Err(error) => seen.broken.push(format!("chunk {chunk}: {error}")),
            }
        }
        fault_of(revision, Some(&seen))
    }
}

impl RecordsReport {
    fn problem(&mut self, subject: impl Into<String>, message: String) {
        self.findings.push(CheckFinding::new(Severity::Problem, Topic::Records, subject, message));
    }

    fn tables(&mut self, reports: &[crate::store::TableReport]) {
        for report in reports.iter().filter(|report| !report.intact) {
            self.problem("store", super::open::describe(report));
        }
    }
}

fn subject(secret: &SecretRecord) -> String {
    format!("secret {}/{}", secret.namespace, secret.key)
}

/// What is wrong with what was seen of a revision.
fn fault_of(revision: &RevisionRecord, seen: Option<&Seen>) -> Option<String> {
    let Some(seen) = seen else { return Some("its value is missing".to_owned()) };
    let chunks = chunks_of(revision.size as usize);
    if let Some(first) = seen.broken.first() {
        let more = seen.broken.len() - 1;
        return Some(if more == 0 { first.clone() } else { format!("{first} (and {more} more)") });
    }
    if seen.chunks != chunks {
        return Some(format!("it has {} of {chunks} records", seen.chunks));
    }
    if seen.bytes != u64::from(revision.size) {
        return Some(format!("it has {} bytes, and its metadata says {}", seen.bytes, revision.size));
    }
    None
}

/// Takes a value record's key apart: the secret, the revision and the chunk.
fn parse_value_key(key: &[u8]) -> Option<(SecretId, u64, u32)> {
    let (id, rest) = key.split_first_chunk::<16>()?;
    let (revision, rest) = rest.split_first_chunk::<8>()?;
    let chunk: [u8; 4] = rest.try_into().ok()?;
    Some((Uuid::from_bytes(*id), u64::from_be_bytes(*revision), u32::from_be_bytes(chunk)))
}
