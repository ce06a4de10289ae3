//! The engine on disk: sled, made durable, checked and kept from panicking. The only folder that names sled.
//!
//! Invariants: all tables are in one tree, so that a batch is atomic, under keys that start with the table's tag; values
//! are the caller's records and nothing else; the sealed head is a record of that tree, written with every commit.
//! It encrypts nothing and knows no keys.

mod committer;
mod compact;
mod engine;
mod files;
mod group;
mod head_copy;
mod panics;
mod reserve;
mod scans;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use compact::Compacted;
pub use engine::ROOM as MIN_FREE;

use std::fmt;
use std::fs::File;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{RwLock, RwLockWriteGuard};

use crate::paths::forget_unwritten;
use crate::store::sled_engine::committer::Committer;
use crate::store::sled_engine::engine::{Engine, from_sled, open_sled, pause};
use crate::store::sled_engine::files::PrivateUmask;
use crate::store::sled_engine::group::{Prepared, disk_key};
use crate::store::sled_engine::panics::contained;
use crate::store::{
    Batch, Head, HeadSeal, Health, Latch, Pending, Store, StoreError, Table, TableReport, VisitLoaded, VisitRecord,
};

/// Records after which a load lets a commit pass, and bytes of them.
const PIECE: usize = 256;
const PIECE_BYTES: usize = 1024 * 1024;

/// How often a reopening waits for those who still read, and for how many milliseconds.
const TRIES: u32 = 20;
const MOMENTS: u32 = 20;

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
    dir: PathBuf,
    options: SledOptions,
    seal: Arc<dyn HeadSeal>,
    state: RwLock<State>,
}

/// Whether sled is open.
enum State {
    /// It is.
    Open(Arc<Running>),
    /// It was closed to be opened anew, which has failed so far.
    Down {
        cause: Latch,
        /// What was acknowledged before.
        acknowledged: Head,
    },
}

/// An open engine with its threads.
struct Running {
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
        Self::create_shared(dir, options, Arc::from(seal))
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
        Self::open_shared(dir, options, Arc::from(seal))
    }

    /// The same, with a seal that others use too and a umask that is set.
    fn create_shared(dir: &Path, options: SledOptions, seal: Arc<dyn HeadSeal>) -> Result<Self, StoreError> {
        files::create_directory(dir)?;
        let db = open_sled(dir, options.cache_capacity)?;
        let engine = Engine::create(db, dir, Arc::clone(&seal))?;
        reserve::fill(dir);
        Self::start(dir, options, seal, engine)
    }

    /// The same, with a seal that others use too and a umask that is set.
    fn open_shared(dir: &Path, options: SledOptions, seal: Arc<dyn HeadSeal>) -> Result<Self, StoreError> {
        let engine = resume(dir, options, &seal)?;
        Self::start(dir, options, seal, engine)
    }

    fn start(dir: &Path, options: SledOptions, seal: Arc<dyn HeadSeal>, engine: Engine) -> Result<Self, StoreError> {
        let state = RwLock::new(State::Open(Arc::new(Running::start(engine)?)));
        Ok(Self { dir: dir.to_owned(), options, seal, state })
    }

    /// The head of what is visible now.
    pub fn head(&self) -> Head {
        match &*self.state.read() {
            State::Open(running) => running.engine.head.read().clone(),
            State::Down { acknowledged, .. } => acknowledged.clone(),
        }
    }

    /// The engine, which stays open as long as this is held.
    fn running(&self) -> Result<Arc<Running>, StoreError> {
        match &*self.state.read() {
            State::Open(running) => Ok(Arc::clone(running)),
            State::Down { .. } => Err(StoreError::Closed),
        }
    }

    /// Waits until nobody uses the engine, and keeps everybody from beginning to.
    fn alone(&self) -> Result<RwLockWriteGuard<'_, State>, StoreError> {
        for _ in 0..TRIES {
            let state = self.state.write();
            for _ in 0..MOMENTS {
                match &*state {
                    // Who reads one record is done at once. Who loads all may need the lock that is held here.
                    State::Open(running) if Arc::strong_count(running) > 1 => pause(),
                    State::Open(_) | State::Down { .. } => return Ok(state),
                }
            }
            drop(state);
            (0..4 * MOMENTS).for_each(|_| pause());
        }
        Err(StoreError::InUse { path: self.dir.clone() })
    }
}

/// Opens sled in the directory of a store.
fn resume(dir: &Path, options: SledOptions, seal: &Arc<dyn HeadSeal>) -> Result<Engine, StoreError> {
    files::require(dir)?;
    reserve::use_if_needed(dir)?;
    forget_unwritten(dir)?;
    // Before sled, which takes each for a snapshot and a torn one for damage; not where another process writes one.
    if files::unlocked(&File::open(dir.join(files::DATA))?) {
        files::remove(&files::unfinished_snapshots(dir)?);
    }
    let db = open_sled(dir, options.cache_capacity)?;
    let engine = Engine::resume(db, dir, Arc::clone(seal))?;
    reserve::fill(dir);
    Ok(engine)
}

/// Opens it after a failed write: from the disk, and only with all that was acknowledged.
fn resume_after(
    dir: &Path,
    options: SledOptions,
    seal: &Arc<dyn HeadSeal>,
    acknowledged: &Head,
) -> Result<Running, StoreError> {
    let engine = resume(dir, options, seal)?;
    let head = engine.head.read().clone();
    if head.generation < acknowledged.generation {
        let lost = acknowledged.generation - head.generation;
        return Err(StoreError::damaged(format!("its newest {lost} commits are lost")));
    }
    if head.generation == acknowledged.generation && head != *acknowledged {
        return Err(StoreError::damaged("it is not what was acknowledged"));
    }
    Running::start(engine)
}

impl Running {
    fn start(engine: Engine) -> Result<Self, StoreError> {
        let engine = Arc::new(engine);
        Ok(Self { committer: Committer::start(&engine)?, engine })
    }

    /// Loads one table piece by piece, so that commits pass in between.
    fn load_table(&self, table: Table, visit: VisitLoaded<'_>) -> Result<TableReport, StoreError> {
        let scan = self.engine.scans.begin(table);
        let mut start = Bound::Included(disk_key(table, &[]));
        let end = Bound::Excluded(vec![table.tag() + 1]);
        loop {
            // Held for a piece, so that its records and what the scan has counted are of the same commit.
            let head = self.engine.head.read();
            let expected = head.table(table).ok_or_else(|| StoreError::refused("the head is not loaded"))?;
            let mut records = self.engine.db()?.range((start.clone(), end.clone()));
            let mut digests = Vec::with_capacity(PIECE);
            let (mut bytes, mut last) = (0, None);
            while digests.len() < PIECE
                && bytes < PIECE_BYTES
                && let Some(next) = contained("reading", || records.next())?
            {
                let (disk_key, record) = next.map_err(from_sled)?;
                digests.push(self.engine.seal.digest(table, &disk_key[1..], &record));
                visit(table, &disk_key[1..], &record);
                bytes += record.len();
                last = Some(disk_key);
            }
            let found = scan.advance(&digests, last.as_ref().map(|last| last.to_vec()));
            match last {
                Some(last) => start = Bound::Excluded(last.to_vec()),
                None => return Ok(TableReport::compare(table, expected, &found)),
            }
        }
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
        Ok(self.running()?.engine.present(&disk_key(table, key))?.map(|record| record.to_vec()))
    }

    fn scan(&self, table: Table, visit: VisitRecord<'_>) -> Result<(), StoreError> {
        self.running()?.visit(table, visit)
    }

    fn load(&self, tables: &[Table], visit: VisitLoaded<'_>) -> Result<Vec<TableReport>, StoreError> {
        let running = self.running()?;
        tables.iter().map(|&table| running.load_table(table, visit)).collect()
    }

    fn submit(&self, batch: Batch) -> Pending {
        if let Err(error) = batch.check() {
            return Pending::ready(Err(error));
        }
        let cause = match &*self.state.read() {
            State::Open(running) => running.engine.latched(),
            State::Down { cause, .. } => Some(*cause),
        };
        if let Some(cause) = cause {
            return Pending::ready(Err(StoreError::ReadOnly { cause }));
        }
        match self.running() {
            Ok(running) => running.committer.submit(Prepared::new(batch, &*self.seal)),
            Err(error) => Pending::ready(Err(error)),
        }
    }

    fn health(&self) -> Health {
        match &*self.state.read() {
            State::Open(running) => match running.engine.latched() {
                Some(cause) => Health::Latched(cause),
                None if running.engine.has_room() => Health::Writable,
                None => Health::Full,
            },
            State::Down { cause, .. } => Health::Latched(*cause),
        }
    }

    fn reopen(&self) -> Result<(), StoreError> {
        if !matches!(self.health(), Health::Latched(_)) {
            return Ok(());
        }
        if self.running().is_ok_and(|running| running.engine.is_abandoned()) {
            return Err(StoreError::damaged("sled failed while it wrote; the daemon has to be restarted"));
        }
        let _private = PrivateUmask::set();
        files::probe(&self.dir)?;
        if !files::has_room(&File::open(&self.dir)?, MIN_FREE)? {
            return Err(StoreError::Full);
        }
        let mut state = self.alone()?;
        let (cause, acknowledged) = match &*state {
            State::Open(running) => (running.engine.latched().unwrap_or(Latch::Io), running.engine.acknowledged()),
            State::Down { cause, acknowledged } => (*cause, acknowledged.clone()),
        };
        // Closes the old engine before the new one is opened.
        *state = State::Down { cause, acknowledged: acknowledged.clone() };
        match resume_after(&self.dir, self.options, &self.seal, &acknowledged) {
            Ok(running) => {
                *state = State::Open(Arc::new(running));
                Ok(())
            }
            Err(error) => {
                *state = State::Down { cause: error.latch(), acknowledged };
                Err(error)
            }
        }
    }

    fn refresh_head(&self) -> Result<(), StoreError> {
        self.running()?.engine.refresh_copies()
    }

    fn size_on_disk(&self) -> Result<u64, StoreError> {
        let running = self.running()?;
        let db = running.engine.db()?;
        contained("measuring", || db.size_on_disk())?.map_err(from_sled)
    }
}
