//! Scans under way: what each has counted, kept right while others write.
//!
//! Invariant: what a scan has counted is at every moment the sum over the records up to where it is, as they are now; so
//! it can stop between two pieces, let a commit pass, and still be compared with the head in the end.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::store::{Table, TableHead};

/// One scan.
#[derive(Debug)]
pub(super) struct Scan {
    /// Of which table.
    pub(super) table: Table,
    /// The key on disk of the last record that was counted.
    pub(super) passed: Option<Vec<u8>>,
    found: TableHead,
}

impl Scan {
    /// Takes in that a record changed after it was counted.
    pub(super) fn change(&mut self, before: Option<&[u8; 32]>, after: Option<&[u8; 32]>) {
        if let Some(digest) = before {
            self.found.remove(digest);
        }
        if let Some(digest) = after {
            self.found.add(digest);
        }
    }
}

/// All scans under way.
#[derive(Debug, Default)]
pub(super) struct Scans(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    open: HashMap<u64, Scan>,
}

/// One scan's place among them, given up when it is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    scans: &'a Scans,
    number: u64,
}

impl Scans {
    /// Begins a scan.
    pub(super) fn begin(&self, table: Table) -> Place<'_> {
        let mut state = self.0.lock();
        state.next += 1;
        let number = state.next;
        state.open.insert(number, Scan { table, passed: None, found: TableHead::default() });
        Place { scans: self, number }
    }

    /// Tells all of them of a commit.
    pub(super) fn tell(&self, mut tell: impl FnMut(&mut Scan)) {
        self.0.lock().open.values_mut().for_each(&mut tell);
    }
}

impl Place<'_> {
    /// Counts records in and moves on to the key on disk of the last of them. Says what was counted so far.
    pub(super) fn advance(&self, digests: &[[u8; 32]], passed: Option<Vec<u8>>) -> TableHead {
        let mut state = self.scans.0.lock();
        let Some(scan) = state.open.get_mut(&self.number) else { return TableHead::default() };
        for digest in digests {
            scan.found.add(digest);
        }
        if passed.is_some() {
            scan.passed = passed;
        }
        scan.found
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.scans.0.lock().open.remove(&self.number);
    }
}
