//! What the process counts of its own doing, to be read by a monitoring system.
//!
//! Invariants: counting is one atomic addition, takes no lock and no memory; a count only grows while the process lives,
//! also over a seal and an unseal. Nothing here knows a name, a value or a caller, nor how counts are written.

mod histogram;
mod process;

pub use histogram::{Histogram, Observed};
pub use process::Process;

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that grows. It has a cache line of its own, so that threads which count different things do not wait for
/// each other.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Counter(AtomicU64);

impl Counter {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Zero.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Sets it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// One more.
    pub fn rise(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One fewer.
    pub fn fall(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// What it is.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All that is counted beside requests, which are counted where they are routed.
#[derive(Debug)]
pub struct Counts {
    /// Values that were given out.
    pub reveals: Counter,
    /// Reads that met a record that is missing, broken or not authentic.
    pub damaged_reads: Counter,
    /// Requests that the policy refused.
    pub refusals: Counter,
    /// Requests over TCP that a foreign web page may have made.
    pub foreign_requests: Counter,
    /// Requests without a credential that needed one.
    pub authentication_missing: Counter,
    /// Tokens that are not ours.
    pub authentication_token: Counter,
    /// API keys that are not ours.
    pub authentication_key: Counter,
    /// Tokens past their time.
    pub authentication_expired: Counter,
    /// Batches that were committed together.
    pub commit_group: Histogram,
    /// How long a commit took, in nanoseconds: from the first write to the end of the sync.
    pub commit_latency: Histogram,
    /// Commits that failed.
    pub commit_failures: Counter,
    /// Events that were published.
    pub events: Counter,
    /// Readers of events that were dropped because they were too slow.
    pub slow_readers: Counter,
    /// Readers of events that are connected.
    pub event_readers: Gauge,
    /// When the last backup was sent whole, in milliseconds since the Unix epoch; 0: never since the start.
    pub backup_sent: Gauge,
    /// Backups that were begun and not sent whole.
    pub backup_failures: Counter,
    /// Rendered files that were written.
    pub renders: Counter,
    /// Files that could not be rendered, and commands that failed after one was.
    pub render_failures: Counter,
}

/// The process's counts. There is one process, so there is one of them.
pub static COUNTS: Counts = Counts {
    reveals: Counter::new(),
    damaged_reads: Counter::new(),
    refusals: Counter::new(),
    foreign_requests: Counter::new(),
    authentication_missing: Counter::new(),
    authentication_token: Counter::new(),
    authentication_key: Counter::new(),
    authentication_expired: Counter::new(),
    commit_group: Histogram::of_sizes(),
    commit_latency: Histogram::of_nanoseconds(),
    commit_failures: Counter::new(),
    events: Counter::new(),
    slow_readers: Counter::new(),
    event_readers: Gauge::new(),
    backup_sent: Gauge::new(),
    backup_failures: Counter::new(),
    renders: Counter::new(),
    render_failures: Counter::new(),
};
