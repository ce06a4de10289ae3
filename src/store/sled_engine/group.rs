//! A group: the batches that share one commit, merged.
//!
//! Invariants: a batch is admitted whole or leaves no trace; its conditions see the batches admitted before it; for each
//! key there is at most one write in the end. It reads the store through a function it is given and never writes.

use std::collections::HashMap;

use crate::store::sled_engine::scans::Scan;
use crate::store::{Batch, Expected, Fingerprint, Head, HeadSeal, Operation, StoreError, Table};

/// A batch as the committer takes it: with keys as on disk, and with the digests of its records.
#[derive(Debug)]
pub(super) struct Prepared {
    conditions: Vec<(Vec<u8>, Expected)>,
    changes: Vec<Change>,
    /// Bytes of its keys and records.
    pub(super) bytes: usize,
}

#[derive(Debug)]
struct Change {
    table: Table,
    disk_key: Vec<u8>,
    after: Option<Entry>,
}

/// A record with its digest.
#[derive(Debug)]
struct Entry {
    record: Vec<u8>,
    digest: [u8; 32],
}

/// The batches admitted so far, merged.
#[derive(Debug, Default)]
pub(super) struct Group {
    slots: HashMap<Vec<u8>, Slot>,
    bytes: usize,
}

#[derive(Debug)]
struct Slot {
    table: Table,
    /// Digest of the record in the store.
    before: Option<[u8; 32]>,
    /// The record that the group leaves.
    after: Option<Entry>,
}

/// The key on disk: the table's tag, then the caller's key.
pub(super) fn disk_key(table: Table, key: &[u8]) -> Vec<u8> {
    let mut disk_key = Vec::with_capacity(1 + key.len());
    disk_key.push(table.tag());
    disk_key.extend_from_slice(key);
    disk_key
}

impl Prepared {
    /// Prepares a batch that was checked, on the caller's thread: the digests are the costly part.
    pub(super) fn new(batch: Batch, seal: &dyn HeadSeal) -> Self {
        let mut prepared = Self { conditions: Vec::new(), changes: Vec::new(), bytes: 0 };
        for condition in batch.conditions {
            prepared.conditions.push((disk_key(condition.table, &condition.key), condition.expected));
        }
        for operation in batch.operations {
            let change = match operation {
                Operation::Put { table, key, record } => {
                    let digest = seal.digest(table, &key, &record);
                    Change { table, disk_key: disk_key(table, &key), after: Some(Entry { record, digest }) }
                }
                Operation::Delete { table, key } => Change { table, disk_key: disk_key(table, &key), after: None },
            };
            prepared.bytes += change.disk_key.len() + change.after.as_ref().map_or(0, |entry| entry.record.len());
            prepared.changes.push(change);
        }
        prepared
    }
}

impl Group {
    /// Adds a batch when its conditions hold. `present` reads the store by the key on disk.
    ///
    /// # Errors
    /// [`StoreError::Conflict`], or what `present` answers; the group is then as it was.
    pub(super) fn admit<R: AsRef<[u8]>>(
        &mut self,
        batch: Prepared,
        seal: &dyn HeadSeal,
        present: impl Fn(&[u8]) -> Result<Option<R>, StoreError>,
    ) -> Result<(), StoreError> {
        for (disk_key, expected) in &batch.conditions {
            let fingerprint = match self.slots.get(disk_key) {
                Some(slot) => slot.after.as_ref().map(|entry| Fingerprint::of(&entry.record)),
                None => present(disk_key)?.map(|record| Fingerprint::of(record.as_ref())),
            };
            let holds = match expected {
                Expected::Absent => fingerprint.is_none(),
                Expected::Unchanged(expected) => fingerprint == Some(*expected),
            };
            if !holds {
                return Err(StoreError::Conflict);
            }
        }
        // All that can fail comes before the first change to the group.
        let mut befores = Vec::with_capacity(batch.changes.len());
        for change in &batch.changes {
            befores.push(match self.slots.get(&change.disk_key) {
                Some(slot) => slot.before,
                None => present(&change.disk_key)?
                    .map(|record| seal.digest(change.table, &change.disk_key[1..], record.as_ref())),
            });
        }
        for (Change { table, disk_key, after }, before) in batch.changes.into_iter().zip(befores) {
            self.slots.insert(disk_key, Slot { table, before, after });
        }
        self.bytes += batch.bytes;
        Ok(())
    }

    /// Whether the group leaves the store as it is.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.values().all(|slot| !slot.is_change())
    }

    /// Bytes of keys and records admitted.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The head after the group, for the head before it.
    pub(super) fn advance(&self, head: &Head) -> Head {
        let mut next = head.clone();
        for slot in self.slots.values() {
            let after = slot.after.as_ref().map(|entry| &entry.digest);
            next.change(slot.table, slot.before.as_ref(), after);
        }
        next.generation += 1;
        next
    }

    /// Keys that appear or vanish: those that can make sled's tree split or merge a node.
    pub(super) fn coming_and_going(&self) -> Vec<Vec<u8>> {
        let moved = self.slots.iter().filter(|(_, slot)| slot.before.is_some() != slot.after.is_some());
        moved.map(|(disk_key, _)| disk_key.clone()).collect()
    }

    /// The changes: a record to write, or `None` for one to remove.
    pub(super) fn changes(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let changes = self.slots.iter().filter(|(_, slot)| slot.is_change());
        changes.map(|(disk_key, slot)| (disk_key.as_slice(), slot.after.as_ref().map(|entry| entry.record.as_slice())))
    }

    /// Lets a scan that is under way know of the changes to records that it has passed.
    pub(super) fn tell(&self, scan: &mut Scan) {
        for (disk_key, slot) in &self.slots {
            if slot.table == scan.table && scan.passed.as_ref().is_some_and(|passed| disk_key <= passed) {
                scan.change(slot.before.as_ref(), slot.after.as_ref().map(|entry| &entry.digest));
            }
        }
    }
}

impl Slot {
    fn is_change(&self) -> bool {
        self.before != self.after.as_ref().map(|entry| entry.digest)
    }
}
