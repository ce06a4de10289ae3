//! What lets a backup read old values while writers drop them: a writer that drops one copies its records aside first.
//!
//! Invariants: no deletion waits for a backup, so that purged is purged; what is copied are encrypted records, into a file
//! without a name that is gone with the process; it is at most what the backup still has to read. Where a copy fails the
//! writer goes on and the backup fails.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::model::SecretId;
use crate::store::{Store, Table};
use crate::vault::record::RevisionRecord;

/// The backups under way, and the writes.
#[derive(Debug)]
pub(in crate::vault) struct Pins(Mutex<State>);

#[derive(Debug)]
struct State {
    backups: Vec<Weak<Kept>>,
    /// Each write since the last pin holds a clone; when all are gone the receiver learns it.
    writing: mpsc::Sender<Infallible>,
    written: mpsc::Receiver<Infallible>,
    /// The same of the backups.
    reading: mpsc::Sender<Infallible>,
    read: mpsc::Receiver<Infallible>,
}

/// A write under way: it knows each backup that began before it, and a backup that begins now waits for it.
#[derive(Debug)]
pub(in crate::vault) struct Write {
    backups: Vec<Arc<Kept>>,
    _writing: mpsc::Sender<Infallible>,
}

/// The values that are kept aside for one backup.
#[derive(Debug)]
pub(super) struct Kept {
    directory: PathBuf,
    inner: Mutex<Inner>,
    _reading: mpsc::Sender<Infallible>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Up to which revision each secret that is still to be read is wanted; none: everything is.
    wanted: Option<HashMap<SecretId, u64>>,
    file: Option<File>,
    end: u64,
    places: HashMap<Vec<u8>, (u64, usize)>,
    failure: Option<io::Error>,
}

impl Pins {
    pub(in crate::vault) fn new() -> Self {
        let (writing, written) = mpsc::channel(1);
        let (reading, read) = mpsc::channel(1);
        Self(Mutex::new(State { backups: Vec::new(), writing, written, reading, read }))
    }

    /// Notes that a write begins. It must be held until the index shows the write.
    pub(in crate::vault) fn begin_write(&self) -> Write {
        let state = self.0.lock();
        Write { backups: state.backups.iter().filter_map(Weak::upgrade).collect(), _writing: state.writing.clone() }
    }

    /// From when this returns on, no value that the index shows is dropped without being kept. It waits for the writes
    /// that began before, and holds none up.
    pub(super) async fn pin(&self, directory: &Path) -> Arc<Kept> {
        let (kept, mut written) = {
            let mut state = self.0.lock();
            let reading = state.reading.clone();
            let kept = Arc::new(Kept { directory: directory.to_owned(), inner: Mutex::default(), _reading: reading });
            state.backups.retain(|backup| backup.strong_count() > 0);
            state.backups.push(Arc::downgrade(&kept));
            let (writing, written) = mpsc::channel(1);
            state.writing = writing;
            (kept, std::mem::replace(&mut state.written, written))
        };
        // Nothing is ever sent: this ends when the last clone of the sender is gone.
        let _none: Option<Infallible> = written.recv().await;
        kept
    }

    /// Waits until the backups that began before are over.
    pub(in crate::vault) async fn drained(&self) {
        let mut read = {
            let mut state = self.0.lock();
            let (reading, read) = mpsc::channel(1);
            state.reading = reading;
            std::mem::replace(&mut state.read, read)
        };
        let _none: Option<Infallible> = read.recv().await;
    }
}

impl Write {
    /// Keeps the records of a value that this write will drop.
    pub(in crate::vault) fn keep(&self, store: &dyn Store, id: SecretId, revision: &RevisionRecord) {
        for backup in &self.backups {
            backup.keep(store, id, revision);
        }
    }
}

impl Kept {
    /// Says what is still to be read, now that this is known.
    pub(super) fn want(&self, wanted: HashMap<SecretId, u64>) {
        self.inner.lock().wanted = Some(wanted);
    }

    /// A secret was read; nothing of it needs to be kept any more.
    pub(super) fn done(&self, id: SecretId) {
        if let Some(wanted) = &mut self.inner.lock().wanted {
            wanted.remove(&id);
        }
    }

    /// A record that was dropped from the store; none where it was not kept.
    pub(super) fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let inner = self.inner.lock();
        if let Some(failure) = &inner.failure {
            return Err(io::Error::new(failure.kind(), failure.to_string()));
        }
        let (Some(&(start, length)), Some(file)) = (inner.places.get(key), &inner.file) else { return Ok(None) };
        let mut record = vec![0; length];
        file.read_exact_at(&mut record, start)?;
        Ok(Some(record))
    }

    fn keep(&self, store: &dyn Store, id: SecretId, revision: &RevisionRecord) {
        let mut inner = self.inner.lock();
        let unwanted = |wanted: &HashMap<SecretId, u64>| wanted.get(&id).is_none_or(|last| *last < revision.revision);
        if inner.failure.is_some() || inner.wanted.as_ref().is_some_and(unwanted) {
            return;
        }
        if let Err(error) = inner.copy(&self.directory, store, id, revision) {
            tracing::warn!(%error, "a value that is replaced cannot be kept for the backup under way, which fails");
            inner.failure = Some(error);
        }
    }
}

impl Inner {
    fn copy(&mut self, directory: &Path, store: &dyn Store, id: SecretId, revision: &RevisionRecord) -> io::Result<()> {
        for key in revision.chunk_keys(id) {
            // One that is missing is damage, which the backup meets itself.
            let Some(record) = store.get(Table::Value, &key).map_err(io::Error::other)? else { continue };
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(tempfile::tempfile_in(directory)?),
            };
            file.write_all_at(&record, self.end)?;
            self.places.insert(key, (self.end, record.len()));
            self.end += record.len() as u64;
        }
        Ok(())
    }
}
