//! sled itself: how it is opened, read and written, and what its errors mean.
//!
//! Invariants: one tree, no timer of sled's own, no `flush_async` (seven at once deadlock for ever); a commit is
//! applied, flushed and then synced through a descriptor of our own, because sled's flush does not sync on Linux;
//! after a failure to write, nothing more is written and no sync is tried again.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use sled::IVec;

use crate::clock::Stopwatch;
use crate::store::sled_engine::files::{self, DATA};
use crate::store::sled_engine::group::{Group, disk_key};
use crate::store::sled_engine::head_copy::HeadCopy;
use crate::store::sled_engine::panics::contained;
use crate::store::sled_engine::scans::Scans;
use crate::store::{Head, HeadSeal, Latch, StoreError, Table};

/// Bytes of a segment of sled's log; on disk, so it never changes.
///
/// A page over a quarter of a segment is moved to a file that sled never syncs. Pages are leaves of up to 17 records
/// (20 before a split), so that with records of 72 KiB only segments of at least 6 MiB keep everything in the log.
pub(super) const SEGMENT: usize = 8 * 1024 * 1024;

/// Free space that a commit must find, beside four times its own size: the segments that it may have to begin.
pub const ROOM: u64 = 3 * SEGMENT as u64;

/// An open sled database, its head, and what was learnt about its health.
pub(super) struct Engine {
    /// Taken out when it is closed.
    db: Option<sled::Db>,
    /// For syncing. Opened before the first write, so that it sees each error of writing back.
    data: File,
    copy: HeadCopy,
    pub(super) seal: Arc<dyn HeadSeal>,
    /// The head of what is visible. Locked for writing while a commit is applied, for reading while a piece of a table is loaded.
    pub(super) head: RwLock<Head>,
    pub(super) scans: Scans,
    latched: OnceLock<Latch>,
    /// Whether sled was left as it is, so that only the end of the process frees its files.
    abandoned: AtomicBool,
    /// What the commit under way is at, and since when.
    step: Mutex<Option<(&'static str, Stopwatch)>>,
    /// The head of the last commit that was answered as durable.
    acknowledged: Mutex<Head>,
    #[cfg(test)]
    pub(super) fault: Mutex<Option<Fault>>,
}

/// What a test breaks in the next commit.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The file system is full before anything was written.
    NoRoom,
    /// sled panics while it applies.
    ApplyPanics,
    /// The sync fails so.
    SyncFails(rustix::io::Errno),
}

/// Opens sled at `dir` on a thread of its own, which takes along what a panic leaves in its thread-locals.
pub(super) fn open_sled(dir: &Path, cache_capacity: u64) -> Result<sled::Db, StoreError> {
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(cache_capacity)
        .segment_size(SEGMENT)
        .mode(sled::Mode::LowSpace)
        .flush_every_ms(None);
    let opening = thread::Builder::new()
        .name("store-open".to_owned())
        .spawn(move || contained("opening", move || config.open()))?;
    let opened = opening.join().map_err(|_| StoreError::damaged("sled panicked while opening"))?;
    opened?.map_err(|error| match error {
        sled::Error::Io(cause) if cause.to_string().starts_with("could not acquire lock") => {
            StoreError::InUse { path: dir.to_owned() }
        }
        other @ (sled::Error::Io(_)
        | sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_)
        | sled::Error::Corruption { .. }) => from_sled(other),
    })
}

impl Engine {
    /// Puts a new store's first head into an empty database, durably.
    pub(super) fn create(db: sled::Db, dir: &Path, seal: Arc<dyn HeadSeal>) -> Result<Self, StoreError> {
        let head = Head::default();
        let sealed = seal.seal(&head.encode());
        let data = File::open(dir.join(DATA))?;
        contained("creating", || {
            db.insert(disk_key(Table::Head, &[]), sealed.as_slice())?;
            db.flush()
        })?
        .map_err(from_sled)?;
        let copy = HeadCopy::create(dir, &sealed)?;
        files::sync_created(dir)?;
        Ok(Self::new(db, data, copy, seal, head))
    }

    /// Takes up a database, when its head is authentic and no older than the copy beside it.
    pub(super) fn resume(db: sled::Db, dir: &Path, seal: Arc<dyn HeadSeal>) -> Result<Self, StoreError> {
        let data = File::open(dir.join(DATA))?;
        let sealed = contained("reading", || db.get(disk_key(Table::Head, &[])))?.map_err(from_sled)?;
        let sealed = sealed.ok_or_else(|| StoreError::damaged("its head is missing"))?;
        let head = Head::unseal(&sealed, &*seal)?;
        let (copy, witness) = HeadCopy::open(dir, &*seal)?;
        if head.generation < witness.generation {
            let lost = witness.generation - head.generation;
            return Err(StoreError::damaged(format!("its newest {lost} commits are lost")));
        }
        if head.generation == witness.generation && head != witness {
            return Err(StoreError::damaged("its two heads contradict each other"));
        }
        // After a kill the newest commits may be in the page cache alone; the copy must not be ahead of the disk.
        data.sync_data()?;
        files::sync_directory(dir)?;
        copy.write(head.generation, &sealed)?;
        Ok(Self::new(db, data, copy, seal, head))
    }

    fn new(db: sled::Db, data: File, copy: HeadCopy, seal: Arc<dyn HeadSeal>, head: Head) -> Self {
        Self {
            db: Some(db),
            data,
            copy,
            seal,
            acknowledged: Mutex::new(head.clone()),
            head: RwLock::new(head),
            scans: Scans::default(),
            latched: OnceLock::new(),
            abandoned: AtomicBool::new(false),
            step: Mutex::default(),
            #[cfg(test)]
            fault: Mutex::default(),
        }
    }

    /// The open database.
    pub(super) fn db(&self) -> Result<&sled::Db, StoreError> {
        self.db.as_ref().ok_or(StoreError::Closed)
    }

    /// The record at a key on disk.
    pub(super) fn present(&self, disk_key: &[u8]) -> Result<Option<IVec>, StoreError> {
        let db = self.db()?;
        contained("reading", || db.get(disk_key))?.map_err(from_sled)
    }

    /// What a write has failed of.
    pub(super) fn latched(&self) -> Option<Latch> {
        self.latched.get().copied()
    }

    /// Whether the files stay in use until the process ends.
    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    /// The head of the last commit that was answered as durable.
    pub(super) fn acknowledged(&self) -> Head {
        self.acknowledged.lock().clone()
    }

    /// Writes the copy of the head anew in all its slots, and to the disk.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Full`], [`StoreError::ReadOnly`].
    pub(super) fn refresh_copies(&self) -> Result<(), StoreError> {
        if let Some(cause) = self.latched() {
            return Err(StoreError::ReadOnly { cause });
        }
        // A commit that overtakes this leaves one slot a generation behind, which is only a weaker witness.
        let head = self.acknowledged();
        let sealed = self.seal.seal(&head.encode());
        self.copy.write_all(&sealed)?;
        self.copy.sync()
    }

    /// Whether a small commit finds room.
    pub(super) fn has_room(&self) -> bool {
        files::has_room(&self.data, ROOM).unwrap_or(true)
    }

    /// Makes a group visible and durable.
    ///
    /// # Errors
    /// Any error but a [`StoreError::Full`] found beforehand latches the engine.
    pub(super) fn commit(&self, group: &Group) -> Result<(), StoreError> {
        self.require_room(group.bytes())?;
        let result = self.write(group);
        *self.step.lock() = None;
        if let Err(error) = &result {
            let _first = self.latched.set(error.latch());
            tracing::error!(%error, "a write failed: the store is read-only until it has been reopened");
        }
        result
    }

    /// A disk that is nearly full is noticed before sled meets it: this error needs no reopening.
    fn require_room(&self, bytes: usize) -> Result<(), StoreError> {
        #[cfg(test)]
        if self.strikes(|fault| fault == Fault::NoRoom).is_some() {
            return Err(StoreError::Full);
        }
        let needed = ROOM.saturating_add((bytes as u64).saturating_mul(4));
        if files::has_room(&self.data, needed)? { Ok(()) } else { Err(StoreError::Full) }
    }

    fn write(&self, group: &Group) -> Result<(), StoreError> {
        let next = group.advance(&self.head.read());
        let sealed = self.seal.seal(&next.encode());
        let settling = group.coming_and_going();
        let mut batch = sled::Batch::default();
        for (disk_key, record) in group.changes() {
            match record {
                Some(record) => batch.insert(disk_key, record),
                None => batch.remove(disk_key),
            }
        }
        batch.insert(disk_key(Table::Head, &[]), sealed.as_slice());
        let generation = next.generation;
        self.begin("applying it");
        self.apply(batch, group, next.clone())?;
        self.settle(&settling)?;
        self.flush()?;
        self.begin("writing the copy of its head");
        self.copy.write(generation, &sealed)?;
        *self.acknowledged.lock() = next;
        Ok(())
    }

    fn apply(&self, batch: sled::Batch, group: &Group, next: Head) -> Result<(), StoreError> {
        let db = self.db()?;
        let mut head = self.head.write();
        let applied = contained("writing", || {
            #[cfg(test)]
            assert!(self.strikes(|fault| fault == Fault::ApplyPanics).is_none(), "a test's fault");
            db.apply_batch(batch)
        });
        match applied {
            Ok(Ok(())) => {
                self.scans.tell(|scan| group.tell(scan));
                *head = next;
                Ok(())
            }
            Ok(Err(error)) => {
                // Half of the batch may be in sled's buffers. With an error of writing noted, sled writes no more by
                // itself; without one it would flush them when dropped.
                if db.context.global_error().is_ok() {
                    self.abandon(db);
                }
                Err(from_sled(error))
            }
            Err(panic) => {
                self.abandon(db);
                Err(panic)
            }
        }
    }

    /// Lets the tree split and merge its nodes now, while it can be written: sled does so when a node is next visited,
    /// and reading such a node fails once writing has.
    fn settle(&self, keys: &[Vec<u8>]) -> Result<(), StoreError> {
        for key in keys {
            self.present(key)?;
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        let db = self.db()?;
        self.begin("flushing it");
        contained("flushing", || db.flush())?.map_err(from_sled)?;
        self.begin("bringing it to the disk");
        #[cfg(test)]
        if let Some(Fault::SyncFails(errno)) = self.strikes(|fault| matches!(fault, Fault::SyncFails(_))) {
            return Err(io::Error::from(errno).into());
        }
        #[cfg(not(hushd_no_fdatasync))]
        rustix::fs::fdatasync(&self.data).map_err(io::Error::from)?;
        Ok(())
    }

    fn begin(&self, step: &'static str) {
        *self.step.lock() = Some((step, Stopwatch::start()));
    }

    /// What the commit under way is at, where that takes longer than `limit`, and how long it has taken.
    pub(super) fn lingers(&self, limit: Duration) -> Option<(&'static str, Duration)> {
        let (step, since) = (*self.step.lock())?;
        Some((step, since.elapsed())).filter(|(_, taken)| *taken > limit)
    }

    /// Wakes a flush that sled left waiting: an error of writing that it notes last is told to nobody.
    pub(super) fn nudge(&self) {
        if let Some(db) = &self.db
            && db.context.global_error().is_err()
        {
            // It fails at once, and waking the others is what it does before.
            drop(contained("flushing", || db.flush()));
        }
    }

    /// Leaves sled as it is until the process ends, so that it never flushes a batch that was applied by half.
    fn abandon(&self, db: &sled::Db) {
        self.abandoned.store(true, Ordering::Release);
        Box::leak(Box::new(db.clone()));
    }

    #[cfg(test)]
    fn strikes(&self, which: impl FnOnce(Fault) -> bool) -> Option<Fault> {
        let mut fault = self.fault.lock();
        if fault.is_some_and(which) { fault.take() } else { None }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let Some(db) = self.db.take() else { return };
        if let Err(error) = contained("closing", || drop(db)) {
            tracing::error!(%error, "the store was not closed well");
        }
        if let Err(error) = self.copy.sync() {
            tracing::warn!(%error, "the copy of the head was not synced");
        }
        // A thread of sled's may hold the lock for a moment longer, or for seconds on a machine that is short of time; whoever
        // closed the store may want to open it again. What was abandoned holds it for good.
        for _ in 0..5_000 {
            if self.is_abandoned() || files::unlocked(&self.data) {
                break;
            }
            pause();
        }
    }
}

/// Waits for a moment.
#[expect(clippy::disallowed_methods, reason = "sled gives no event for the end of its threads' work")]
pub(super) fn pause() {
    thread::sleep(Duration::from_millis(1));
}

/// What an error of sled's means.
pub(super) fn from_sled(error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(cause) => from_sled_io(cause),
        sled::Error::Corruption { at, .. } => StoreError::damaged(format!("sled found corruption at {at:?}")),
        sled::Error::CollectionNotFound(_) => StoreError::damaged("sled's tree is missing"),
        sled::Error::Unsupported(why) => StoreError::damaged(format!("sled does not support it: {why}")),
        sled::Error::ReportableBug(what) => StoreError::damaged(format!("sled failed: {what}")),
    }
}

fn from_sled_io(cause: io::Error) -> StoreError {
    let text = cause.to_string();
    if matches!(cause.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) {
        // A log that ends too early, or that holds what is no log.
        StoreError::damaged(text)
    } else if text.contains("No space left") || text.contains("StorageFull") {
        StoreError::Full
    } else {
        cause.into()
    }
}
