//! Rewrites a store without what sled keeps of deleted records, and puts the new one in the old one's place.
//!
//! Invariants: the new store is whole, on disk and held against the old one's head before one rename exchanges the two;
//! killed at any point there is the old store or the new one under the name, never neither and never a part.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::store::sled_engine::files::{self, PrivateUmask};
use crate::store::sled_engine::{SledOptions, SledStore};
use crate::store::{Batch, HeadSeal, Store, StoreError, Table};

/// Bytes of records that are written at once.
const BATCH: usize = 2 * 1024 * 1024;

/// What a compaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes that the store took before.
    pub before: u64,
    /// Bytes that it takes now.
    pub after: u64,
}

impl SledStore {
    /// Rewrites the store in a directory, which nobody has open. It needs room for the new one beside the old one.
    ///
    /// # Errors
    /// As [`SledStore::open`]; [`StoreError::Damaged`] also when records are lost or changed, for a copy would hide that;
    /// [`StoreError::Full`]. The old store is in its place then.
    pub fn compact(dir: &Path, options: SledOptions, seal: Box<dyn HeadSeal>) -> Result<Compacted, StoreError> {
        let _private = PrivateUmask::set();
        let seal: Arc<dyn HeadSeal> = Arc::from(seal);
        Self::remove_leftover(dir)?;
        let fresh = beside(dir);
        let done = rewrite(dir, &fresh, options, &seal).and_then(|done| exchange(dir, &fresh).map(|()| done));
        // The old store by now, or what there is of a new one that was given up.
        Self::remove_leftover(dir)?;
        done
    }

    /// Removes what a compaction left that was killed; the store itself is not touched.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove_leftover(dir: &Path) -> Result<(), StoreError> {
        match fs::remove_dir_all(beside(dir)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Where the new store is made.
fn beside(dir: &Path) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    dir.with_file_name(name)
}

fn rewrite(dir: &Path, fresh: &Path, options: SledOptions, seal: &Arc<dyn HeadSeal>) -> Result<Compacted, StoreError> {
    let old = SledStore::open_shared(dir, options, Arc::clone(seal))?;
    let new = SledStore::create_shared(fresh, options, Arc::clone(seal))?;
    copy(&old, &new)?;
    if old.head().tables != new.head().tables {
        return Err(StoreError::damaged("the rewritten store is not the same"));
    }
    let done = Compacted { before: old.size_on_disk()?, after: new.size_on_disk()? };
    drop(new);
    // What counts is what can be read back.
    let written = SledStore::open_shared(fresh, options, Arc::clone(seal))?;
    intact(&written.load(&Table::ALL, &mut |_, _, _| {})?)?;
    drop(written);
    files::sync_all_in(fresh)?;
    Ok(done)
}

fn copy(old: &SledStore, new: &SledStore) -> Result<(), StoreError> {
    let (mut batch, mut bytes, mut written) = (Batch::default(), 0, Ok(()));
    let reports = old.load(&Table::ALL, &mut |table, key, record| {
        batch.put(table, key.to_vec(), record.to_vec());
        bytes += key.len() + record.len();
        if bytes >= BATCH && written.is_ok() {
            written = new.submit(std::mem::take(&mut batch)).wait();
            bytes = 0;
        }
    })?;
    written?;
    new.submit(batch).wait()?;
    intact(&reports)
}

fn intact(reports: &[crate::store::TableReport]) -> Result<(), StoreError> {
    match reports.iter().find(|report| !report.intact) {
        None => Ok(()),
        Some(report) => Err(StoreError::damaged(format!(
            "{} of {} records of table {} were found, or not the right ones",
            report.found,
            report.expected,
            char::from(report.table.tag())
        ))),
    }
}

/// Makes the two change places, in one step (renameat2(2), `RENAME_EXCHANGE`).
fn exchange(dir: &Path, fresh: &Path) -> Result<(), StoreError> {
    renameat_with(CWD, fresh, CWD, dir, RenameFlags::EXCHANGE).map_err(io::Error::from)?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => files::sync_directory(parent),
        _ => files::sync_directory(Path::new(".")),
    }
}
