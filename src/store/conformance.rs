//! What every engine must do, run against each of them.
//!
//! A check is a function over a [`Subject`]: an engine and a way to get at its records behind its back.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Barrier;
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::store::sled_engine::testing::{self, Tampering};
use crate::store::test_support::TestSeal;
use crate::store::{
    Batch, Fingerprint, Health, Latch, MAX_KEY, MAX_RECORD, MemoryStore, SledOptions, SledStore, Store, StoreError,
    Table, TableReport,
};

/// An engine under test.
trait Subject: Sized {
    fn fresh() -> Self;
    fn store(&self) -> &dyn Store;
    /// Changes records without the store's knowledge, and gives the store as it is found after that.
    fn tampered(self, tampering: Tampering) -> Self;
    fn fail_next_commit(&self);
}

impl Subject for MemoryStore {
    fn fresh() -> Self {
        Self::new(Box::new(TestSeal([7; 32])))
    }

    fn store(&self) -> &dyn Store {
        self
    }

    fn tampered(self, tampering: Tampering) -> Self {
        self.tamper(|records| {
            for (table, key, record) in tampering {
                match record {
                    Some(record) => drop(records.insert((table, key), record)),
                    None => drop(records.remove(&(table, key))),
                }
            }
        });
        self
    }

    fn fail_next_commit(&self) {
        MemoryStore::fail_next_commit(self, StoreError::Full);
    }
}

struct OnDisk {
    store: SledStore,
    dir: TempDir,
}

impl Subject for OnDisk {
    fn fresh() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let seal = Box::new(TestSeal([7; 32]));
        Self { store: SledStore::create(&dir.path().join("store"), SledOptions::default(), seal).unwrap(), dir }
    }

    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn tampered(self, tampering: Tampering) -> Self {
        let Self { store, dir } = self;
        drop(store);
        let path = dir.path().join("store");
        testing::tamper(&path, tampering);
        let seal = Box::new(TestSeal([7; 32]));
        Self { store: SledStore::open(&path, SledOptions::default(), seal).unwrap(), dir }
    }

    fn fail_next_commit(&self) {
        testing::fail_next_sync(&self.store);
    }
}

macro_rules! conformance {
    ($($check:ident)*) => {
        mod memory {
            $(#[test] fn $check() { super::$check::<crate::store::MemoryStore>(); })*
        }
        mod sled {
            $(#[test] fn $check() { super::$check::<super::OnDisk>(); })*
        }
    };
}

conformance! {
    what_is_put_is_got_and_what_is_deleted_is_gone
    tables_are_apart_and_scanned_in_order
    a_batch_is_applied_whole_or_not_at_all
    conditions_see_what_was_submitted_before
    of_many_creators_of_one_key_one_succeeds
    the_last_operation_on_a_key_wins
    limits_are_kept
    the_head_is_not_for_callers
    an_empty_store_and_a_used_one_load_intact
    a_lost_record_is_found
    an_added_record_is_found
    a_changed_record_is_found
    a_record_put_back_to_an_older_state_is_found
    records_that_changed_places_are_found
    damage_is_not_healed_by_later_writes
    after_a_failed_write_it_is_read_only
    a_reopened_store_takes_writes_and_has_all_that_was_acknowledged
    it_behaves_like_a_map
}

fn put(table: Table, key: &[u8], record: &[u8]) -> Batch {
    let mut batch = Batch::default();
    batch.put(table, key.to_vec(), record.to_vec());
    batch
}

fn delete(table: Table, key: &[u8]) -> Batch {
    let mut batch = Batch::default();
    batch.delete(table, key.to_vec());
    batch
}

fn write(store: &dyn Store, batch: Batch) {
    store.submit(batch).wait().unwrap();
}

fn records(store: &dyn Store, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut records = Vec::new();
    let mut keep = |key: &[u8], record: &[u8]| {
        records.push((key.to_vec(), record.to_vec()));
        ControlFlow::Continue(())
    };
    store.scan(table, &mut keep).unwrap();
    records
}

fn load(store: &dyn Store) -> Vec<TableReport> {
    store.load(&Table::ALL, &mut |_, _, _| {}).unwrap()
}

/// The report of the metadata; all other tables have to be intact.
fn metadata_report(store: &dyn Store) -> TableReport {
    let reports = load(store);
    for report in &reports {
        assert!(report.table == Table::Metadata || report.intact, "{report:?}");
    }
    reports.into_iter().find(|report| report.table == Table::Metadata).unwrap()
}

/// A store with records `a`, `b` and `c` in two tables.
fn filled<S: Subject>() -> S {
    let subject = S::fresh();
    for key in [b"a", b"b", b"c"] {
        let mut batch = put(Table::Metadata, key, &[b"record of ".as_slice(), key].concat());
        batch.put(Table::Value, key.to_vec(), vec![1; 100]);
        write(subject.store(), batch);
    }
    subject
}

fn what_is_put_is_got_and_what_is_deleted_is_gone<S: Subject>() {
    let subject = S::fresh();
    let store = subject.store();
    assert_eq!(store.get(Table::Metadata, b"a").unwrap(), None);
    write(store, put(Table::Metadata, b"a", b"one"));
    assert_eq!(store.get(Table::Metadata, b"a").unwrap().unwrap(), b"one");
    write(store, put(Table::Metadata, b"a", b"one"));
    write(store, put(Table::Metadata, b"a", b"two"));
    assert_eq!(store.get(Table::Metadata, b"a").unwrap().unwrap(), b"two");
    write(store, delete(Table::Metadata, b"a"));
    write(store, delete(Table::Metadata, b"a"));
    assert_eq!(store.get(Table::Metadata, b"a").unwrap(), None);
    write(store, put(Table::Metadata, b"", b""));
    assert_eq!(store.get(Table::Metadata, b"").unwrap().unwrap(), b"");
    assert_eq!(store.health(), Health::Writable);
}

fn tables_are_apart_and_scanned_in_order<S: Subject>() {
    let subject = S::fresh();
    let store = subject.store();
    for table in Table::ALL {
        for key in [[2, 0], [0, 9], [255, 255], [1, 1]] {
            write(store, put(table, &key, &[table.tag()]));
        }
    }
    write(store, delete(Table::ApiKey, &[1, 1]));
    for table in Table::ALL {
        let keys: Vec<Vec<u8>> = records(store, table).into_iter().map(|(key, _)| key).collect();
        let expected: &[[u8; 2]] = match table {
            Table::ApiKey => &[[0, 9], [2, 0], [255, 255]],
            Table::Head | Table::Vault | Table::Metadata | Table::Value => &[[0, 9], [1, 1], [2, 0], [255, 255]],
        };
        assert_eq!(keys, expected);
        assert!(records(store, table).iter().all(|(_, record)| record == &[table.tag()]));
    }
    let mut visited = 0;
    let mut once = |_: &[u8], _: &[u8]| {
        visited += 1;
        ControlFlow::Break(())
    };
    store.scan(Table::Value, &mut once).unwrap();
    assert_eq!(visited, 1);
}

fn a_batch_is_applied_whole_or_not_at_all<S: Subject>() {
    let subject = filled::<S>();
    let store = subject.store();
    let mut batch = put(Table::Metadata, b"d", b"new");
    batch.put(Table::Metadata, b"a".to_vec(), b"changed".to_vec());
    batch.delete(Table::Value, b"b".to_vec());
    batch.expect_unchanged(Table::Metadata, b"a".to_vec(), Fingerprint::of(b"record of a"));
    let mut refused = batch.clone();
    refused.expect_absent(Table::Value, b"c".to_vec());
    let before = (records(store, Table::Metadata), records(store, Table::Value));
    assert!(matches!(store.submit(refused).wait(), Err(StoreError::Conflict)));
    assert_eq!((records(store, Table::Metadata), records(store, Table::Value)), before);
    write(store, batch.clone());
    assert_eq!(store.get(Table::Metadata, b"d").unwrap().unwrap(), b"new");
    assert_eq!(store.get(Table::Metadata, b"a").unwrap().unwrap(), b"changed");
    assert_eq!(store.get(Table::Value, b"b").unwrap(), None);
    assert!(matches!(store.submit(batch).wait(), Err(StoreError::Conflict)), "its condition was used up");
    assert!(load(store).iter().all(|report| report.intact));
}

fn conditions_see_what_was_submitted_before<S: Subject>() {
    let subject = S::fresh();
    let store = subject.store();
    // Not waited for in between, so that an engine may put all of them into one commit.
    let mut create = put(Table::Metadata, b"a", b"one");
    create.expect_absent(Table::Metadata, b"a".to_vec());
    let mut change = put(Table::Metadata, b"a", b"two");
    change.expect_unchanged(Table::Metadata, b"a".to_vec(), Fingerprint::of(b"one"));
    let mut remove = delete(Table::Metadata, b"a");
    remove.expect_unchanged(Table::Metadata, b"a".to_vec(), Fingerprint::of(b"two"));
    let batches = [create.clone(), create.clone(), change.clone(), change, remove.clone(), remove, create];
    let pending: Vec<_> = batches.into_iter().map(|batch| store.submit(batch)).collect();
    let answers: Vec<bool> = pending.into_iter().map(|each| each.wait().is_ok()).collect();
    assert_eq!(answers, [true, false, true, false, true, false, true]);
    assert_eq!(records(store, Table::Metadata), [(b"a".to_vec(), b"one".to_vec())]);
    assert_eq!(metadata_report(store).found, 1);
    assert!(metadata_report(store).intact);
}

fn of_many_creators_of_one_key_one_succeeds<S: Subject>() {
    let subject = S::fresh();
    let store = subject.store();
    let start = Barrier::new(16);
    let created = thread::scope(|scope| {
        let creators: Vec<_> = (0..16_u8)
            .map(|number| {
                let start = &start;
                scope.spawn(move || {
                    let mut batch = put(Table::Metadata, b"a", &[number]);
                    batch.expect_absent(Table::Metadata, b"a".to_vec());
                    start.wait();
                    match store.submit(batch).wait() {
                        Ok(()) => Some(number),
                        Err(StoreError::Conflict) => None,
                        Err(other) => panic!("{other}"),
                    }
                })
            })
            .collect();
        creators.into_iter().filter_map(|creator| creator.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(created.len(), 1);
    assert_eq!(store.get(Table::Metadata, b"a").unwrap().unwrap(), created);
}

fn the_last_operation_on_a_key_wins<S: Subject>() {
    let subject = S::fresh();
    let store = subject.store();
    let mut batch = put(Table::Metadata, b"a", b"one");
    batch.delete(Table::Metadata, b"a".to_vec());
    batch.put(Table::Metadata, b"a".to_vec(), b"two".to_vec());
    batch.put(Table::Metadata, b"b".to_vec(), b"three".to_vec());
    batch.delete(Table::Metadata, b"b".to_vec());
    write(store, batch);
    assert_eq!(records(store, Table::Metadata), [(b"a".to_vec(), b"two".to_vec())]);
    assert!(metadata_report(store).intact);
}

fn limits_are_kept<S: Subject>() {
    let subject = S::fresh();
    let store = subject.store();
    let (key, record) = (vec![1; MAX_KEY], vec![2; MAX_RECORD]);
    write(store, put(Table::Value, &key, &record));
    assert_eq!(store.get(Table::Value, &key).unwrap().unwrap(), record);
    let long = vec![1; MAX_KEY + 1];
    let mut condition = Batch::default();
    condition.expect_absent(Table::Value, long.clone());
    let mut half = put(Table::Value, b"small", b"small");
    half.put(Table::Value, b"large".to_vec(), vec![2; MAX_RECORD + 1]);
    for batch in [put(Table::Value, &long, b""), delete(Table::Value, &long), condition, half] {
        assert!(matches!(store.submit(batch).wait(), Err(StoreError::TooLarge { .. })));
    }
    assert_eq!(records(store, Table::Value).len(), 1);
    assert_eq!(store.health(), Health::Writable);
}

fn the_head_is_not_for_callers<S: Subject>() {
    let subject = filled::<S>();
    let store = subject.store();
    for batch in [put(Table::Head, b"", b"mine"), put(Table::Head, b"x", b""), delete(Table::Head, b"")] {
        assert!(matches!(store.submit(batch).wait(), Err(StoreError::Io { .. })));
    }
    assert!(store.load(&[Table::Head], &mut |_, _, _| {}).is_err());
    assert_eq!(records(store, Table::Head).len(), 1, "it is a record as others are, so that a dump has it");
    assert!(load(store).iter().all(|report| report.intact));
}

fn an_empty_store_and_a_used_one_load_intact<S: Subject>() {
    let subject = S::fresh();
    assert!(load(subject.store()).iter().all(|report| report.intact && report.found == 0 && report.expected == 0));
    let subject = filled::<S>();
    let mut visited = Vec::new();
    let mut keep = |table: Table, key: &[u8], record: &[u8]| visited.push((table, key.to_vec(), record.len()));
    let reports = subject.store().load(&[Table::Value, Table::Vault], &mut keep).unwrap();
    let intact = |table, count| TableReport { table, expected: count, found: count, intact: true };
    assert_eq!(reports, [intact(Table::Value, 3), intact(Table::Vault, 0)]);
    let expected = [b"a", b"b", b"c"].map(|key| (Table::Value, key.to_vec(), 100));
    assert_eq!(visited, expected);
}

fn a_lost_record_is_found<S: Subject>() {
    let subject = filled::<S>().tampered(vec![(Table::Metadata, b"b".to_vec(), None)]);
    let report = metadata_report(subject.store());
    assert_eq!((report.expected, report.found, report.intact), (3, 2, false));
}

fn an_added_record_is_found<S: Subject>() {
    let subject = filled::<S>().tampered(vec![(Table::Metadata, b"d".to_vec(), Some(b"forged".to_vec()))]);
    let report = metadata_report(subject.store());
    assert_eq!((report.expected, report.found, report.intact), (3, 4, false));
}

fn a_changed_record_is_found<S: Subject>() {
    let subject = filled::<S>().tampered(vec![(Table::Metadata, b"b".to_vec(), Some(b"record of B".to_vec()))]);
    let report = metadata_report(subject.store());
    assert_eq!((report.expected, report.found, report.intact), (3, 3, false));
}

fn a_record_put_back_to_an_older_state_is_found<S: Subject>() {
    let subject = filled::<S>();
    write(subject.store(), put(Table::Metadata, b"b", b"newer record of b"));
    assert!(metadata_report(subject.store()).intact);
    let subject = subject.tampered(vec![(Table::Metadata, b"b".to_vec(), Some(b"record of b".to_vec()))]);
    assert!(!metadata_report(subject.store()).intact);
}

fn records_that_changed_places_are_found<S: Subject>() {
    let subject = filled::<S>().tampered(vec![
        (Table::Metadata, b"a".to_vec(), Some(b"record of b".to_vec())),
        (Table::Metadata, b"b".to_vec(), Some(b"record of a".to_vec())),
    ]);
    assert!(!metadata_report(subject.store()).intact);
}

fn damage_is_not_healed_by_later_writes<S: Subject>() {
    let subject = filled::<S>().tampered(vec![(Table::Metadata, b"b".to_vec(), None)]);
    write(subject.store(), put(Table::Metadata, b"b", b"a new beginning"));
    write(subject.store(), delete(Table::Metadata, b"a"));
    assert!(!metadata_report(subject.store()).intact);
}

fn after_a_failed_write_it_is_read_only<S: Subject>() {
    let subject = filled::<S>();
    let store = subject.store();
    subject.fail_next_commit();
    assert!(matches!(store.submit(put(Table::Metadata, b"d", b"lost")).wait(), Err(StoreError::Full)));
    assert_eq!(store.health(), Health::Latched(Latch::Full));
    for _ in 0..2 {
        assert!(matches!(
            store.submit(put(Table::Metadata, b"e", b"")).wait(),
            Err(StoreError::ReadOnly { cause: Latch::Full })
        ));
    }
    assert_eq!(store.get(Table::Metadata, b"e").unwrap(), None);
    assert_eq!(store.get(Table::Metadata, b"a").unwrap().unwrap(), b"record of a");
    assert_eq!(records(store, Table::Value).len(), 3);
}

fn a_reopened_store_takes_writes_and_has_all_that_was_acknowledged<S: Subject>() {
    let subject = filled::<S>();
    let store = subject.store();
    store.reopen().unwrap();
    subject.fail_next_commit();
    store.submit(put(Table::Metadata, b"d", b"in doubt")).wait().unwrap_err();
    store.reopen().unwrap();
    assert_eq!(store.health(), Health::Writable);
    assert!(load(store).iter().all(|report| report.intact));
    assert_eq!(records(store, Table::Value).len(), 3);
    let doubtful = store.get(Table::Metadata, b"d").unwrap();
    assert!(doubtful.is_none_or(|record| record == b"in doubt"));
    write(store, put(Table::Metadata, b"d", b"new"));
    assert!(load(store).iter().all(|report| report.intact));
}

/// What is done to the store and to the map at once.
#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8, Vec<u8>),
    Delete(u8, u8),
    ExpectAbsent(u8, u8),
    ExpectUnchanged(u8, u8, Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    let record = || vec(0..2_u8, 0..2);
    prop_oneof![
        4 => (0..4_u8, 0..12_u8, record()).prop_map(|(table, key, record)| Step::Put(table, key, record)),
        2 => (0..4_u8, 0..12_u8).prop_map(|(table, key)| Step::Delete(table, key)),
        1 => (0..4_u8, 0..12_u8).prop_map(|(table, key)| Step::ExpectAbsent(table, key)),
        1 => (0..4_u8, 0..12_u8, record()).prop_map(|(table, key, record)| Step::ExpectUnchanged(table, key, record)),
    ]
}

type Model = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// Applies the steps as one batch to the map, and gives the batch and whether its conditions held.
fn model(map: &mut Model, steps: &[Step]) -> (Batch, bool) {
    let place = |table: u8, key: u8| (Table::ALL[usize::from(table)], vec![key]);
    let mut batch = Batch::default();
    let mut after = map.clone();
    let mut holds = true;
    for step in steps {
        match step {
            Step::Put(table, key, record) => {
                let (table, key) = place(*table, *key);
                batch.put(table, key.clone(), record.clone());
                after.insert((table, key), record.clone());
            }
            Step::Delete(table, key) => {
                let (table, key) = place(*table, *key);
                batch.delete(table, key.clone());
                after.remove(&(table, key));
            }
            Step::ExpectAbsent(table, key) => {
                let (table, key) = place(*table, *key);
                holds &= !map.contains_key(&(table, key.clone()));
                batch.expect_absent(table, key);
            }
            Step::ExpectUnchanged(table, key, record) => {
                let (table, key) = place(*table, *key);
                holds &= map.get(&(table, key.clone())) == Some(record);
                batch.expect_unchanged(table, key, Fingerprint::of(record));
            }
        }
    }
    if holds {
        *map = after;
    }
    (batch, holds)
}

fn it_behaves_like_a_map<S: Subject>() {
    // Opening a store on disk is slow; the runs share one and are long instead of many.
    let config = ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(batches in vec(vec(step(), 0..12), 1..60))| {
        let subject = S::fresh();
        let store = subject.store();
        let mut map = Model::new();
        let mut pending = Vec::new();
        for steps in &batches {
            let (batch, holds) = model(&mut map, steps);
            pending.push((store.submit(batch), holds));
        }
        for (pending, holds) in pending {
            match pending.wait() {
                Ok(()) => prop_assert!(holds),
                Err(StoreError::Conflict) => prop_assert!(!holds),
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
        for table in Table::ALL {
            let of_table = map.iter().filter(|((each, _), _)| *each == table);
            let expected: Vec<_> = of_table.map(|((_, key), record)| (key.clone(), record.clone())).collect();
            prop_assert_eq!(records(store, table), expected);
        }
        prop_assert!(load(store).iter().all(|report| report.intact));
    });
}
