//! The engine on disk: sled, made durable, checked and kept from panicking. The only folder that names sled.
//!
//! Invariants: all tables are in one tree, so that a batch is atomic, under keys that start with the table's tag; values
//! are the caller's records and nothing else; the sealed head is a record of that tree, written with every commit.
//! It encrypts nothing and knows no keys.

mod committer;
mod engine;
mod files;
mod group;
mod head_copy;
mod panics;
mod reserve;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use crate::store::sled_engine::committer::Committer;
use crate::store::sled_engine::engine::{Engine, from_sled, open_sled};
use crate::store::sled_engine::files::PrivateUmask;
use crate::store::sled_engine::group::{Prepared, disk_key};
use crate::store::sled_engine::panics::contained;
use crate::store::{
    Batch, Head, HeadSeal, Health, Pending, Store, StoreError, Table, TableHead, TableReport, VisitLoaded, VisitRecord,
};

/// How sled is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SledOptions {
    /// Bytes of records that sled keeps in memory.
    pub cache_capacity: u64,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self { cache_capacity: 16 * 1024 * 1024 }
    }
}

/// A store in a directory of its own.
///
/// Dropping it commits and answers all that was submitted, then closes the files.
pub struct SledStore {
    /// Before the engine, so that it ends first.
    committer: Committer,
    engine: Arc<Engine>,
}

impl SledStore {
    /// Creates an empty store, durably, in a directory that is missing or empty.
    ///
    /// Directories are born 0700 and files 0600; for that the process's umask is 077 meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the directory holds anything, [`StoreError::Full`], [`StoreError::Io`]. What was
    /// created until then stays, and does not open.
    pub fn create(dir: &Path, options: SledOptions, seal: Box<dyn HeadSeal>) -> Result<Self, StoreError> {
        let _private = PrivateUmask::set();
        files::create_directory(dir)?;
        let db = open_sled(dir, options.cache_capacity)?;
        let engine = Engine::create(db, dir, seal)?;
        reserve::fill(dir);
        Self::start(engine)
    }

    /// Opens the store in a directory. As with [`SledStore::create`] the umask is 077 meanwhile.
    ///
    /// Only [`Store::load`] finds out whether all records are there.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when files are missing or broken, when the head is not authentic or when the newest
    /// commits are lost, [`StoreError::InUse`] when another process (or another store of this one) has it open,
    /// [`StoreError::Full`], [`StoreError::Io`].
    pub fn open(dir: &Path, options: SledOptions, seal: Box<dyn HeadSeal>) -> Result<Self, StoreError> {
        let _private = PrivateUmask::set();
        files::require(dir)?;
        reserve::use_if_needed(dir)?;
        files::forget_unwritten(dir)?;
        let db = open_sled(dir, options.cache_capacity)?;
        let engine = Engine::resume(db, dir, seal)?;
        reserve::fill(dir);
        Self::start(engine)
    }

    /// The head of what is visible now.
    pub fn head(&self) -> Head {
        self.engine.head.read().clone()
    }

    fn start(engine: Engine) -> Result<Self, StoreError> {
        let engine = Arc::new(engine);
        Ok(Self { committer: Committer::start(&engine)?, engine })
    }

    /// Visits a table's records with the keys as the caller knows them.
    fn visit(&self, table: Table, visit: VisitRecord<'_>) -> Result<(), StoreError> {
        let mut records = self.engine.db()?.scan_prefix(disk_key(table, &[]));
        while let Some(next) = contained("reading", || records.next())? {
            let (disk_key, record) = next.map_err(from_sled)?;
            if visit(&disk_key[1..], &record).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for SledStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledStore").field("health", &self.health()).finish_non_exhaustive()
    }
}

impl Store for SledStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.engine.present(&disk_key(table, key))?.map(|record| record.to_vec()))
    }

    fn scan(&self, table: Table, visit: VisitRecord<'_>) -> Result<(), StoreError> {
        self.visit(table, visit)
    }

    fn load(&self, tables: &[Table], visit: VisitLoaded<'_>) -> Result<Vec<TableReport>, StoreError> {
        let mut reports = Vec::with_capacity(tables.len());
        for &table in tables {
            // Held for the whole table, so that head and records are of the same commit.
            let head = self.engine.head.read();
            let expected = head.table(table).ok_or_else(|| StoreError::refused("the head is not loaded"))?;
            let mut found = TableHead::default();
            self.visit(table, &mut |key, record| {
                found.add(&self.engine.seal.digest(table, key, record));
                visit(table, key, record);
                ControlFlow::Continue(())
            })?;
            reports.push(TableReport::compare(table, expected, &found));
        }
        Ok(reports)
    }

    fn submit(&self, batch: Batch) -> Pending {
        if let Err(error) = batch.check() {
            return Pending::ready(Err(error));
        }
        if self.engine.is_latched() {
            return Pending::ready(Err(StoreError::ReadOnly));
        }
        self.committer.submit(Prepared::new(batch, &*self.engine.seal))
    }

    fn health(&self) -> Health {
        if self.engine.is_latched() { Health::Latched } else { Health::Writable }
    }

    fn size_on_disk(&self) -> Result<u64, StoreError> {
        let db = self.engine.db()?;
        contained("measuring", || db.size_on_disk())?.map_err(from_sled)
    }
}
