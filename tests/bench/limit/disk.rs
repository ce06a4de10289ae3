//! The limit of a durable write: plain appends to one file, each followed by `fdatasync`.
//!
//! Three readings of it. **Prepared**: every thread writes the next record into space that was zeroed beforehand, as hushd's
//! engine has it, and syncs at will. **Growing**: the same, but the file grows, so that each sync also waits for the file
//! system's journal. **Serial**: growing, append and sync under a mutex, what a program without group commit gets.
//!
//! Neither of the first two is always the faster: the journal lets many writers share a commit, and it is shared with all
//! other programs, so that on a busy machine growing fell to a tenth while ours stayed. The limit is the faster of the
//! two in each round.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::measure::Sample;
use crate::{Result, stopwatch};

/// Bytes of an append: about what hushd stores for a value and its metadata.
pub const RECORD: usize = 1024;
/// Records that a prepared file has room for.
const SLOTS: u64 = 16 * 1024;

/// How concurrent appends are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Not at all: each has its own place in a file of zeros.
    Prepared,
    /// Not at all: the file is open for appending.
    Growing,
    /// By a mutex around append and sync.
    Serial,
}

/// Appends and syncs from `writers` threads for a while.
pub fn append(directory: &Path, reading: Reading, writers: usize, window: Duration) -> Result<Sample> {
    let path = directory.join("appended");
    let prepared = reading == Reading::Prepared;
    let file = OpenOptions::new().create(true).append(!prepared).write(true).open(&path)?;
    if prepared {
        (&file).write_all(&vec![0; RECORD * 16 * 1024])?;
    }
    file.sync_all()?;
    let next = AtomicU64::new(0);
    let mutex = Mutex::new(());
    let started = stopwatch::now();
    let outcomes: Vec<std::io::Result<Vec<u32>>> = std::thread::scope(|scope| {
        let one = |number: usize| {
            let (file, mutex, next) = (&file, &mutex, &next);
            scope.spawn(move || {
                let mut latencies = Vec::new();
                while started.elapsed() < window {
                    let begun = stopwatch::now();
                    let record = [u8::try_from(number % 251).unwrap_or_default(); RECORD];
                    let guard = (reading == Reading::Serial).then(|| mutex.lock());
                    if prepared {
                        // Round and round, should the space not do.
                        file.write_all_at(&record, next.fetch_add(1, Ordering::Relaxed) % SLOTS * RECORD as u64)?;
                    } else {
                        let mut file = file;
                        file.write_all(&record)?;
                    }
                    rustix::fs::fdatasync(file)?;
                    drop(guard);
                    latencies.push(u32::try_from(begun.elapsed().as_nanos()).unwrap_or(u32::MAX));
                }
                Ok(latencies)
            })
        };
        let threads: Vec<_> = (0..writers).map(one).collect();
        let lost = || Err(std::io::Error::other("a writing thread panicked"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| lost())).collect()
    });
    let elapsed = started.elapsed();
    std::fs::remove_file(path)?;
    let latencies = outcomes.into_iter().collect::<std::io::Result<Vec<_>>>()?;
    Ok(Sample::new(latencies.concat(), elapsed, 0))
}
