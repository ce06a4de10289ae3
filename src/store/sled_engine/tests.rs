//! What only the engine on disk promises: durability, private files, damage found, one owner.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use tempfile::TempDir;

use super::engine::Fault;
use super::testing::{break_next_commit, open_bare};
use super::{SledOptions, SledStore};
use crate::store::test_support::TestSeal;
use crate::store::{Batch, HeadSeal, Health, Latch, Store, StoreError, Table};

fn seal() -> Box<dyn HeadSeal> {
    Box::new(TestSeal([7; 32]))
}

fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    (dir, path)
}

fn create(path: &Path) -> SledStore {
    SledStore::create(path, SledOptions::default(), seal()).unwrap()
}

fn try_open(path: &Path) -> Result<SledStore, StoreError> {
    SledStore::open(path, SledOptions::default(), seal())
}

fn damage(path: &Path) -> String {
    match try_open(path) {
        Err(StoreError::Damaged { message }) => message,
        other => panic!("not found to be damaged: {other:?}"),
    }
}

fn put(table: Table, key: &[u8], record: &[u8]) -> Batch {
    let mut batch = Batch::default();
    batch.put(table, key.to_vec(), record.to_vec());
    batch
}

fn intact(store: &SledStore) -> bool {
    store.load(&Table::ALL, &mut |_, _, _| {}).unwrap().iter().all(|report| report.intact)
}

/// A record that is not compressible and tells where it belongs.
fn record_of(number: u32, length: usize) -> Vec<u8> {
    let mut record = number.to_le_bytes().to_vec();
    record.extend((0..length).map(|index| u8::try_from((index * 7 + number as usize * 13) % 251).unwrap()));
    record
}

/// "When its pending answers `Ok` it survives": 64 writers at once, and the store opened again.
#[test]
fn what_was_acknowledged_is_there_after_reopening() {
    let (_dir, path) = place();
    let store = create(&path);
    let start = Barrier::new(64);
    thread::scope(|scope| {
        for writer in 0..64_u32 {
            let (store, start) = (&store, &start);
            scope.spawn(move || {
                start.wait();
                for round in 0..10_u32 {
                    let number = writer * 10 + round;
                    let mut batch = put(Table::Metadata, &number.to_be_bytes(), &record_of(number, 300));
                    batch.expect_absent(Table::Metadata, number.to_be_bytes().to_vec());
                    store.submit(batch).wait().unwrap();
                }
            });
        }
    });
    let head = store.head();
    assert!(head.generation < 640, "concurrent batches share commits");
    drop(store);
    let store = try_open(&path).unwrap();
    assert_eq!(store.head(), head);
    for number in 0..640_u32 {
        assert_eq!(store.get(Table::Metadata, &number.to_be_bytes()).unwrap().unwrap(), record_of(number, 300));
    }
    assert!(intact(&store));
    store.submit(put(Table::Metadata, b"more", b"")).wait().unwrap();
    assert_eq!(store.head().generation, head.generation + 1);
}

#[test]
fn values_on_disk_are_the_records_and_nothing_else() {
    let (_dir, path) = place();
    let store = create(&path);
    store.submit(put(Table::Value, b"key", b"the record")).wait().unwrap();
    drop(store);
    let db = open_bare(&path);
    let records: Vec<_> = db.iter().map(|record| record.unwrap()).collect();
    assert_eq!(db.tree_names().len(), 1, "a batch does not span trees");
    assert_eq!(records.iter().map(|(key, _)| key.as_ref()).collect::<Vec<_>>(), [b"h".as_slice(), b"vkey"]);
    assert_eq!(records[1].1.as_ref(), b"the record");
}

#[test]
fn batches_that_changed_nothing_are_not_committed() {
    let (_dir, path) = place();
    let store = create(&path);
    store.submit(put(Table::Vault, b"a", b"one")).wait().unwrap();
    let head = store.head();
    let mut refused = put(Table::Vault, b"b", b"two");
    refused.expect_absent(Table::Vault, b"a".to_vec());
    assert!(matches!(store.submit(refused).wait(), Err(StoreError::Conflict)));
    store.submit(put(Table::Vault, b"a", b"one")).wait().unwrap();
    store.submit(Batch::default()).wait().unwrap();
    assert_eq!(store.head(), head);
}

/// sled moves large pages into files that it never syncs; segments are large enough that there are none.
#[test]
fn the_largest_records_stay_in_the_log() {
    let (_dir, path) = place();
    let store = create(&path);
    let large = |number: u32| record_of(number, crate::store::MAX_RECORD - 4);
    for first in (0..96_u32).step_by(16) {
        let mut batch = Batch::default();
        // Neighbours, and not in order, so that they fill the same leaves.
        (first..first + 16)
            .for_each(|number| batch.put(Table::Value, vec![(number * 37 % 96) as u8; 128], large(number)));
        store.submit(batch).wait().unwrap();
    }
    for round in 0..3_u32 {
        for key in 40..60_u8 {
            store.submit(put(Table::Value, &[key; 128], &large(u32::from(key) + round))).wait().unwrap();
        }
    }
    let mut fewer = Batch::default();
    (0..80_u8).filter(|key| key % 8 != 0).for_each(|key| fewer.delete(Table::Value, vec![key; 128]));
    store.submit(fewer).wait().unwrap();
    assert!(intact(&store));
    assert_eq!(fs::read_dir(path.join("blobs")).unwrap().count(), 0);
    assert!(store.size_on_disk().unwrap() > 4 << 20);
    drop(store);
    assert!(intact(&try_open(&path).unwrap()));
}

#[test]
fn files_are_born_private_whatever_the_umask_is() {
    let (_dir, path) = place();
    // The usual one, under which others could read: the other tests of this process have it too, and some of them refuse to
    // work where others can write.
    let before = rustix::process::umask(rustix::fs::Mode::WGRP | rustix::fs::Mode::WOTH);
    let store = create(&path);
    store.submit(put(Table::Value, b"key", &[1; 1000])).wait().unwrap();
    drop(store);
    drop(try_open(&path).unwrap());
    rustix::process::umask(before);
    let mut seen = Vec::new();
    let mut places = vec![path];
    while let Some(place) = places.pop() {
        let metadata = fs::symlink_metadata(&place).unwrap();
        let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(metadata.permissions().mode() & 0o7777, expected, "{}", place.display());
        if metadata.is_dir() {
            places.extend(fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()));
        }
        seen.push(place.file_name().unwrap().to_string_lossy().into_owned());
    }
    for name in ["db", "conf", "head", "blobs"] {
        assert!(seen.iter().any(|each| each == name), "{name} is among {seen:?}");
    }
    assert!(seen.iter().any(|each| each.starts_with("snap.")), "what is written at reopening is among {seen:?}");
}

#[test]
fn a_store_is_created_once_and_only_in_an_empty_place() {
    let (dir, path) = place();
    drop(create(&path));
    let head = try_open(&path).unwrap().head();
    let again = SledStore::create(&path, SledOptions::default(), seal());
    assert!(matches!(again, Err(StoreError::Exists { .. })));
    assert_eq!(try_open(&path).unwrap().head(), head);
    let file = dir.path().join("file");
    fs::copy(path.join("conf"), &file).unwrap();
    let at_file = SledStore::create(&file, SledOptions::default(), seal());
    assert!(matches!(at_file, Err(StoreError::Exists { .. })));
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    drop(create(&empty));
}

#[test]
fn a_store_has_one_owner() {
    let (_dir, path) = place();
    let store = create(&path);
    assert!(matches!(try_open(&path), Err(StoreError::InUse { path: at }) if at == path));
    store.submit(put(Table::Vault, b"a", b"one")).wait().unwrap();
    drop(store);
    // Free at once, without a wait.
    assert!(intact(&try_open(&path).unwrap()));
}

#[test]
fn a_missing_file_is_damage_and_not_an_empty_store() {
    for name in ["db", "conf", "head"] {
        let (_dir, path) = place();
        drop(create(&path));
        fs::remove_file(path.join(name)).unwrap();
        assert!(damage(&path).contains(name), "{name}");
        assert!(!path.join(name).exists(), "{name} is not created anew");
    }
    let (_dir, path) = place();
    assert!(damage(&path).contains("missing"));
    assert!(!path.exists());
}

#[test]
fn an_emptied_or_foreign_database_is_damage() {
    let (_dir, path) = place();
    drop(create(&path));
    let file = OpenOptions::new().write(true).open(path.join("db")).unwrap();
    file.set_len(0).unwrap();
    assert!(damage(&path).contains("empty"));

    let (_other_dir, other) = place();
    drop(SledStore::create(&other, SledOptions::default(), Box::new(TestSeal([8; 32]))).unwrap());
    assert!(damage(&other).contains("not authentic"));

    let (_bare_dir, bare) = place();
    drop(open_bare(&bare));
    assert!(damage(&bare).contains("missing"), "sled without a head of ours");
}

/// sled takes the end of its log for torn when it is damaged, and goes back to an older state that agrees with itself.
#[test]
fn a_store_that_went_back_in_time_is_damage() {
    let (dir, path) = place();
    let store = create(&path);
    store.submit(put(Table::Vault, b"a", b"one")).wait().unwrap();
    drop(store);
    let older = dir.path().join("older");
    copy(&path, &older);
    let store = try_open(&path).unwrap();
    for _ in 0..3 {
        store.submit(put(Table::Vault, b"a", b"two")).wait().unwrap();
        store.submit(put(Table::Vault, b"a", b"three")).wait().unwrap();
    }
    drop(store);
    assert!(try_open(&older).is_ok(), "a whole copy is a store");
    fs::copy(path.join("head"), older.join("head")).unwrap();
    assert!(damage(&older).contains("newest 6 commits are lost"), "{}", damage(&older));
}

/// "Damage is found, not served": a flipped bit is an error, a report that is not intact, or harmless.
#[test]
fn a_flipped_bit_never_gives_an_intact_store_with_other_records() {
    // One segment of sled's log, where damage cuts off the end of the log; and some, where it hits single pages too.
    let small = flip_bits(24, 400, 200);
    assert!(small.refused > 0, "{small:?}");
    let large = flip_bits(16, 500, 40_000);
    assert!(large.refused > 0 && large.found_by_load + large.harmless > 0, "{large:?}");
}

/// How trials ended.
#[derive(Debug, Default)]
struct Trials {
    refused: u32,
    found_by_load: u32,
    harmless: u32,
}

/// Flips a bit in each of `trials` copies of a store and opens it.
fn flip_bits(trials: u32, records: u32, length: usize) -> Trials {
    let (dir, path) = place();
    let store = create(&path);
    for first in (0..records).step_by(20) {
        let mut batch = Batch::default();
        for number in first..first + 20 {
            batch.put(Table::Metadata, number.to_be_bytes().to_vec(), record_of(number, length));
        }
        store.submit(batch).wait().unwrap();
    }
    drop(store);
    let log = fs::read(path.join("db")).unwrap();
    let used = log.iter().rposition(|byte| *byte != 0).unwrap();
    // A linear congruential generator: the same trials every time.
    let mut state = 3_u64;
    let mut below = |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % limit
    };
    let mut ended = Trials::default();
    for trial in 0..trials {
        let copied = dir.path().join("copy");
        copy(&path, &copied);
        // Every fourth one near the end of the log, where sled goes back in time.
        let at = if trial % 4 == 0 { used - below(3000) } else { below(used) };
        let file = OpenOptions::new().write(true).open(copied.join("db")).unwrap();
        file.write_all_at(&[log[at] ^ (1 << below(8))], at as u64).unwrap();
        match try_open(&copied) {
            Ok(store) => {
                let mut found = Vec::new();
                let load = store.load(&Table::ALL, &mut |_, key, record| found.push((key.to_vec(), record.to_vec())));
                if load.is_ok_and(|reports| reports.iter().all(|report| report.intact)) {
                    let written = (0..records).map(|number| (number.to_be_bytes().to_vec(), record_of(number, length)));
                    assert!(found.into_iter().eq(written), "trial {trial}, byte {at}");
                    ended.harmless += 1;
                } else {
                    ended.found_by_load += 1;
                }
            }
            Err(StoreError::Damaged { .. }) => ended.refused += 1,
            Err(other) => panic!("trial {trial}, byte {at}: {other}"),
        }
        fs::remove_dir_all(&copied).unwrap();
    }
    ended
}

/// Copies a closed store.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("blobs")).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).filter(|entry| entry.is_file()) {
        fs::copy(&entry, to.join(entry.file_name().unwrap())).unwrap();
    }
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_until_it_is_reopened() {
    for (errno, full) in [(Errno::IO, false), (Errno::NOSPC, true)] {
        let (_dir, path) = place();
        let store = create(&path);
        store.submit(put(Table::Vault, b"a", b"one")).wait().unwrap();
        break_next_commit(&store, Fault::SyncFails(errno));
        let pending: Vec<_> = (0..20_u8).map(|key| store.submit(put(Table::Vault, &[key], b"unsure"))).collect();
        let errors: Vec<_> = pending.into_iter().map(|each| each.wait().unwrap_err()).collect();
        assert!(if full { matches!(errors[0], StoreError::Full) } else { matches!(errors[0], StoreError::Io { .. }) });
        let latch = if full { Latch::Full } else { Latch::Io };
        assert_eq!(store.health(), Health::Latched(latch));
        let refused = store.submit(put(Table::Vault, b"b", b"")).wait();
        assert!(matches!(refused, Err(StoreError::ReadOnly { cause }) if cause == latch));
        assert_eq!(store.get(Table::Vault, b"a").unwrap().unwrap(), b"one");
        drop(store);
        let store = try_open(&path).unwrap();
        assert!(intact(&store), "whole or missing");
        assert_eq!(store.get(Table::Vault, b"a").unwrap().unwrap(), b"one");
        store.submit(put(Table::Vault, b"b", b"two")).wait().unwrap();
    }
}

#[test]
fn a_disk_without_room_is_noticed_in_time_and_needs_no_reopening() {
    let (_dir, path) = place();
    let store = create(&path);
    break_next_commit(&store, Fault::NoRoom);
    assert!(matches!(store.submit(put(Table::Vault, b"a", b"one")).wait(), Err(StoreError::Full)));
    assert_eq!(store.get(Table::Vault, b"a").unwrap(), None);
    assert_eq!(store.health(), Health::Writable);
    store.submit(put(Table::Vault, b"a", b"one")).wait().unwrap();
    assert!(intact(&store));
}

#[test]
fn a_panic_of_sleds_while_committing_is_damage_and_latches() {
    let (_dir, path) = place();
    let store = create(&path);
    store.submit(put(Table::Vault, b"a", b"one")).wait().unwrap();
    break_next_commit(&store, Fault::ApplyPanics);
    assert!(matches!(store.submit(put(Table::Vault, b"a", b"two")).wait(), Err(StoreError::Damaged { .. })));
    assert_eq!(store.health(), Health::Latched(Latch::Damaged));
    let refused = store.submit(put(Table::Vault, b"a", b"two")).wait();
    assert!(matches!(refused, Err(StoreError::ReadOnly { cause: Latch::Damaged })));
    assert!(matches!(store.reopen(), Err(StoreError::Damaged { .. })), "half a batch is never flushed");
    assert_eq!(store.get(Table::Vault, b"a").unwrap().unwrap(), b"one", "it is read on");
    assert_eq!(store.get(Table::Vault, b"a").unwrap().unwrap(), b"one");
}

#[test]
fn a_store_that_closes_answers_all_that_was_submitted() {
    let (_dir, path) = place();
    let store = create(&path);
    let pending: Vec<_> =
        (0..3000_u32).map(|number| store.submit(put(Table::Value, &number.to_be_bytes(), &[1; 50]))).collect();
    let (closed, watch) = mpsc::channel();
    let closing = thread::spawn(move || {
        drop(store);
        closed.send(()).unwrap();
    });
    watch.recv_timeout(Duration::from_mins(1)).expect("it closes while answers are outstanding");
    closing.join().unwrap();
    assert!(pending.into_iter().all(|each| each.wait().is_ok()));
    let store = try_open(&path).unwrap();
    let report = store.load(&[Table::Value], &mut |_, _, _| {}).unwrap()[0];
    assert!(report.intact && report.found == 3000);
}

/// A report compares records and head of one commit, also while others write.
#[test]
fn a_load_among_writers_is_intact() {
    let (_dir, path) = place();
    let store = create(&path);
    thread::scope(|scope| {
        for writer in 0..4_u8 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..50_u8 {
                    store.submit(put(Table::Metadata, &[writer, round], &[round; 100])).wait().unwrap();
                }
            });
        }
        for _ in 0..50 {
            assert!(intact(&store));
        }
    });
}

/// A load lets commits pass between its pieces, and still agrees with the head of its end.
#[test]
fn a_load_in_pieces_counts_what_changes_before_and_behind_it() {
    let (_dir, path) = place();
    let store = create(&path);
    let mut batch = Batch::default();
    (0..1500_u32).for_each(|number| batch.put(Table::Metadata, number.to_be_bytes().to_vec(), record_of(number, 40)));
    store.submit(batch).wait().unwrap();
    let generation = store.head().generation;
    thread::scope(|scope| {
        for writer in 0..4_u32 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..100_u32 {
                    let number = (writer * 389 + round * 271) % 3000;
                    let mut batch = put(Table::Metadata, &number.to_be_bytes(), &record_of(round, 50));
                    batch.delete(Table::Metadata, (2999 - number).to_be_bytes().to_vec());
                    store.submit(batch).wait().unwrap();
                }
            });
        }
        for _ in 0..30 {
            assert!(intact(&store));
        }
    });
    assert!(intact(&store) && store.head().generation > generation);
}

/// After a failed write the store is opened anew in place: what was acknowledged is there, what was in doubt is whole or
/// missing, readers go on meanwhile, and nothing is lost by doing it again and again.
#[test]
fn a_latched_store_is_reopened_in_place() {
    let (_dir, path) = place();
    let store = create(&path);
    for round in 0..4_u8 {
        let acknowledged = [round, 1];
        store.submit(put(Table::Vault, &acknowledged, b"acknowledged")).wait().unwrap();
        break_next_commit(&store, Fault::SyncFails(if round % 2 == 0 { Errno::IO } else { Errno::NOSPC }));
        let mut doubtful = put(Table::Vault, &[round, 2], b"in doubt");
        doubtful.put(Table::Metadata, vec![round, 3], b"in doubt".to_vec());
        store.submit(doubtful).wait().unwrap_err();
        let done = std::sync::atomic::AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        assert_eq!(store.get(Table::Vault, &acknowledged).unwrap().unwrap(), b"acknowledged");
                    }
                });
            }
            let reopened = store.reopen();
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            reopened.unwrap();
        });
        assert_eq!(store.health(), Health::Writable);
        assert!(intact(&store));
        let first = store.get(Table::Vault, &[round, 2]).unwrap();
        assert_eq!(first, store.get(Table::Metadata, &[round, 3]).unwrap(), "whole or missing");
    }
    store.submit(put(Table::Vault, b"more", b"")).wait().unwrap();
    drop(store);
    let store = try_open(&path).unwrap();
    for round in 0..4_u8 {
        assert!(store.get(Table::Vault, &[round, 1]).unwrap().is_some());
    }
    assert!(intact(&store));
}

/// "re-verifying head and index against what was acknowledged"
#[test]
fn a_reopening_that_finds_less_than_was_acknowledged_is_damage() {
    let (dir, path) = place();
    let store = create(&path);
    store.submit(put(Table::Vault, b"a", b"one")).wait().unwrap();
    let older = dir.path().join("older");
    copy(&path, &older);
    store.submit(put(Table::Vault, b"a", b"two")).wait().unwrap();
    break_next_commit(&store, Fault::SyncFails(Errno::IO));
    store.submit(put(Table::Vault, b"a", b"three")).wait().unwrap_err();
    // Both heads went back together, as on a disk that kept nothing of the last commits.
    for name in ["db", "head"] {
        fs::copy(older.join(name), path.join(name)).unwrap();
    }
    let error = store.reopen().unwrap_err();
    assert!(matches!(&error, StoreError::Damaged { message } if message.contains("lost")), "{error}");
    assert_eq!(store.health(), Health::Latched(Latch::Damaged));
    assert!(matches!(store.submit(put(Table::Vault, b"b", b"")).wait(), Err(StoreError::ReadOnly { .. })));
    assert!(store.get(Table::Vault, b"a").is_err(), "an older state is not served as the present one");
}

#[test]
fn what_a_killed_sled_left_of_its_snapshots_is_removed_by_whoever_owns_the_store() {
    let (_dir, path) = place();
    let store = create(&path);
    store.submit(put(Table::Vault, b"a", b"one")).wait().unwrap();
    let left = path.join("snap.00000000000000AB.generating");
    fs::copy(path.join("conf"), &left).unwrap();
    try_open(&path).unwrap_err();
    assert!(left.exists(), "whoever does not own the store removes nothing");
    drop(store);
    let store = try_open(&path).unwrap();
    assert!(!left.exists());
    assert_eq!(store.get(Table::Vault, b"a").unwrap().unwrap(), b"one");
    assert!(intact(&store));
}
