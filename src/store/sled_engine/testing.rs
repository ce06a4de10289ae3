//! What tests do to a store on disk that nobody else may.

use std::path::Path;

use rustix::io::Errno;

use crate::store::sled_engine::SledStore;
use crate::store::sled_engine::engine::{Fault, open_sled};
use crate::store::sled_engine::group::disk_key;
use crate::store::{StoreError, Table};

/// What is put in place of a record, by table and key; `None` removes it.
pub(crate) type Tampering = Vec<(Table, Vec<u8>, Option<Vec<u8>>)>;

/// Opens sled itself, without the store around it; waits while sled's threads still hold the lock.
pub(crate) fn open_bare(dir: &Path) -> sled::Db {
    loop {
        match open_sled(dir, 1 << 20) {
            Ok(db) => return db,
            Err(StoreError::InUse { .. }) => std::thread::yield_now(),
            Err(other) => panic!("{other}"),
        }
    }
}

/// Changes records in a closed store.
pub(crate) fn tamper(dir: &Path, tampering: Tampering) {
    let db = open_bare(dir);
    for (table, key, record) in tampering {
        match record {
            Some(record) => drop(db.insert(disk_key(table, &key), record).unwrap()),
            None => drop(db.remove(disk_key(table, &key)).unwrap()),
        }
    }
    db.flush().unwrap();
    drop(db);
    // The lock is given up when sled's threads are done.
    drop(open_bare(dir));
}

/// Breaks the next commit.
pub(super) fn break_next_commit(store: &SledStore, fault: Fault) {
    *store.running().unwrap().engine.fault.lock() = Some(fault);
}

/// Lets the next commit's sync find the disk full.
pub(crate) fn fail_next_sync(store: &SledStore) {
    break_next_commit(store, Fault::SyncFails(Errno::NOSPC));
}
