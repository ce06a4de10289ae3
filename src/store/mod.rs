//! Bytes at rest: tables of records, changed by atomic batches with conditions.
//!
//! Invariants: a batch is applied whole or not at all; when its [`Pending`] answers `Ok` it survives kill -9 and a power
//! cut; a record is never silently lost: what was loaded is compared with an authenticated head.
//! It knows nothing of secrets, encryption or names, and nothing in the trait assumes one process.

mod batch;
mod error;
mod head;
mod memory;
mod sled_engine;

#[cfg(test)]
mod conformance;
#[cfg(test)]
pub(crate) mod test_support;

#[cfg(test)]
pub(crate) use sled_engine::testing::fail_next_sync;

pub use batch::{Batch, Condition, Expected, Fingerprint, Operation, Pending};
pub use error::{Latch, StoreError};
pub use head::{Head, HeadSeal, TableHead};
pub use memory::MemoryStore;
pub use sled_engine::{Compacted, MIN_FREE, SledOptions, SledStore};

use std::ops::ControlFlow;

/// Longest key in bytes.
pub const MAX_KEY: usize = 128;
/// Largest record in bytes.
pub const MAX_RECORD: usize = 72 * 1024;

/// Called with a record's key and bytes, until it breaks.
pub type VisitRecord<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;
/// Called with a record's table, key and bytes.
pub type VisitLoaded<'a> = &'a mut dyn FnMut(Table, &[u8], &[u8]);

/// A kind of record. The number is part of the on-disk format and never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// The authenticated head; the engine's own, not to be written by callers.
    Head = b'h',
    /// One record for the vault itself.
    Vault = b'i',
    /// Digests of the vault's API keys.
    ApiKey = b'k',
    /// Metadata of secrets, one record each.
    Metadata = b'm',
    /// Values of secrets, one record a chunk. The only table that is not read when the store is loaded.
    Value = b'v',
}

impl Table {
    /// The tables that callers write, in the order in which they are loaded.
    pub const ALL: [Self; 4] = [Self::Vault, Self::ApiKey, Self::Metadata, Self::Value];

    /// The byte that starts the table's keys on disk, and that stands for it in associated data.
    pub const fn tag(self) -> u8 {
        self as u8
    }
}

/// What the load found out about one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableReport {
    /// Which table.
    pub table: Table,
    /// Records that the head says there are.
    pub expected: u64,
    /// Records that were found.
    pub found: u64,
    /// Whether the records found are exactly those that the head vouches for.
    pub intact: bool,
}

impl TableReport {
    /// Compares what the head says of a table with what was found there.
    pub(crate) fn compare(table: Table, expected: &TableHead, found: &TableHead) -> Self {
        Self { table, expected: expected.count, found: found.count, intact: expected == found }
    }
}

/// Whether a store takes writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Writable,
    /// It would, but the disk has no room: writes are refused until it has, and nothing needs to be reopened.
    Full,
    /// A write failed; it is read-only until it has been reopened.
    Latched(Latch),
}

/// A store of records.
///
/// Keys are at most [`MAX_KEY`] bytes, records at most [`MAX_RECORD`] (so that an engine never has to treat one as a
/// large object).
pub trait Store: Send + Sync + std::fmt::Debug {
    /// The record at `key`, as it was last committed. A change whose [`Pending`] has not answered yet may be seen.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the disk cannot be read, [`StoreError::Damaged`] when the engine finds its files broken.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits every record of one table in the order of their keys, until `visit` breaks.
    ///
    /// # Errors
    /// As [`Store::get`].
    fn scan(&self, table: Table, visit: VisitRecord<'_>) -> Result<(), StoreError>;

    /// Visits every record of `tables` and compares what was found with the head: records that were lost, added,
    /// changed or put back to an older state make their table's report say so. [`Table::Head`] is refused.
    ///
    /// Changes go on meanwhile, between two visits: a record that changes behind the visitor is not visited again, but
    /// counted right. One waits for a few visits at most, and `visit` must not wait for one.
    ///
    /// # Errors
    /// As [`Store::get`]. A table that is not intact is no error here: the report says it.
    fn load(&self, tables: &[Table], visit: VisitLoaded<'_>) -> Result<Vec<TableReport>, StoreError>;

    /// Hands a batch to the engine. Concurrent batches share one flush; each is applied after those handed in before it.
    ///
    /// The answer is durable: `Ok` means that the batch survives a power cut, an error that nothing of it was applied
    /// or, after [`StoreError::Io`] and [`StoreError::Full`], that it may be found or missing whole after a restart.
    fn submit(&self, batch: Batch) -> Pending;

    /// Whether the store takes writes.
    fn health(&self) -> Health;

    /// Opens the store anew after a failed write, when writing works again. Blocks until it is done; nothing happens to
    /// a store that takes writes.
    ///
    /// What is there afterwards is what is on the disk: all that was acknowledged, which is verified by the head, and each
    /// batch that was answered with an error whole or not at all. Whatever was remembered of the records before has to be
    /// loaded again. A write or a sync that failed is never tried again.
    ///
    /// # Errors
    /// [`StoreError::Full`] and [`StoreError::Io`] when writing does not work yet, [`StoreError::InUse`] while a long scan
    /// is under way: the store is as it was. [`StoreError::Damaged`] when something acknowledged is lost, or when only the
    /// end of the process can clear away the old engine.
    fn reopen(&self) -> Result<(), StoreError>;

    /// Seals the head anew wherever the store keeps it beside its records, durably: from then on nothing of it depends on
    /// an older key of the seal. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Full`], [`StoreError::ReadOnly`].
    fn refresh_head(&self) -> Result<(), StoreError>;

    /// Bytes that the store takes on disk; 0 for one that has no disk.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    fn size_on_disk(&self) -> Result<u64, StoreError>;
}
