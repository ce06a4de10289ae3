//! A store in memory: the twin of the engine on disk, for tests and for the suite that both must pass.
//!
//! Invariants: it keeps the trait's promises except durability; a batch is applied and answered inside
//! [`Store::submit`]. It is written apart from the engine on disk, so that one checks the other.

use std::collections::BTreeMap;

use parking_lot::RwLock;

use crate::store::{
    Batch, Expected, Fingerprint, Head, HeadSeal, Health, Latch, Operation, Pending, Store, StoreError, Table,
    TableHead, TableReport, VisitLoaded, VisitRecord,
};

type Records = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// A store that is gone with the process.
#[derive(Debug)]
pub struct MemoryStore {
    seal: Box<dyn HeadSeal>,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    records: Records,
    head: Head,
    latched: Option<Latch>,
    next_failure: Option<StoreError>,
}

impl MemoryStore {
    /// An empty store whose head is kept with `seal`.
    pub fn new(seal: Box<dyn HeadSeal>) -> Self {
        let store = Self { seal, state: RwLock::default() };
        store.state.write().seal_head(&*store.seal);
        store
    }

    /// Makes the next commit fail with `error`, after which the store is read-only: a full or failing disk, for tests.
    pub fn fail_next_commit(&self, error: StoreError) {
        self.state.write().next_failure = Some(error);
    }

    /// Changes records behind the store's back.
    #[cfg(test)]
    pub(crate) fn tamper(&self, change: impl FnOnce(&mut Records)) {
        change(&mut self.state.write().records);
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        batch.check()?;
        let mut state = self.state.write();
        if let Some(cause) = state.latched {
            return Err(StoreError::ReadOnly { cause });
        }
        for condition in batch.conditions {
            let present = state.records.get(&(condition.table, condition.key)).map(|record| Fingerprint::of(record));
            let holds = match condition.expected {
                Expected::Absent => present.is_none(),
                Expected::Unchanged(fingerprint) => present == Some(fingerprint),
            };
            if !holds {
                return Err(StoreError::Conflict);
            }
        }
        if let Some(error) = state.next_failure.take() {
            state.latched = Some(error.latch());
            return Err(error);
        }
        for operation in batch.operations {
            let (table, key, after) = match operation {
                Operation::Put { table, key, record } => (table, key, Some(record)),
                Operation::Delete { table, key } => (table, key, None),
            };
            let digest = |record: &Vec<u8>| self.seal.digest(table, &key, record);
            let place = (table, key.clone());
            let before = state.records.get(&place).map(digest);
            state.head.change(table, before.as_ref(), after.as_ref().map(digest).as_ref());
            match after {
                Some(record) => drop(state.records.insert(place, record)),
                None => drop(state.records.remove(&place)),
            }
        }
        state.head.generation += 1;
        state.seal_head(&*self.seal);
        Ok(())
    }
}

impl State {
    fn seal_head(&mut self, seal: &dyn HeadSeal) {
        let sealed = seal.seal(&self.head.encode());
        self.records.insert((Table::Head, Vec::new()), sealed);
    }

    fn table(&self, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
        let records = self.records.range((table, Vec::new())..);
        let of_table = records.take_while(|((each, _), _)| *each == table);
        of_table.map(|((_, key), record)| (key.clone(), record.clone())).collect()
    }
}

impl Store for MemoryStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.state.read().records.get(&(table, key.to_vec())).cloned())
    }

    fn scan(&self, table: Table, visit: VisitRecord<'_>) -> Result<(), StoreError> {
        // A copy, so that `visit` may call the store.
        let records = self.state.read().table(table);
        for (key, record) in records {
            if visit(&key, &record).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn load(&self, tables: &[Table], visit: VisitLoaded<'_>) -> Result<Vec<TableReport>, StoreError> {
        let mut reports = Vec::with_capacity(tables.len());
        for &table in tables {
            let (records, expected) = {
                let state = self.state.read();
                let expected = state.head.table(table).copied();
                (state.table(table), expected.ok_or_else(|| StoreError::refused("the head is not loaded"))?)
            };
            let mut found = TableHead::default();
            for (key, record) in records {
                found.add(&self.seal.digest(table, &key, &record));
                visit(table, &key, &record);
            }
            reports.push(TableReport::compare(table, &expected, &found));
        }
        Ok(reports)
    }

    fn submit(&self, batch: Batch) -> Pending {
        Pending::ready(self.commit(batch))
    }

    fn health(&self) -> Health {
        self.state.read().latched.map_or(Health::Writable, Health::Latched)
    }

    fn reopen(&self) -> Result<(), StoreError> {
        self.state.write().latched = None;
        Ok(())
    }

    fn refresh_head(&self) -> Result<(), StoreError> {
        self.state.write().seal_head(&*self.seal);
        Ok(())
    }

    fn size_on_disk(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}
