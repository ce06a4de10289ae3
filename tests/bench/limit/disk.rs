//! The limit of a durable write: plain appends to one file, each followed by `fdatasync`.
//!
//! Two readings of it. **Shared**: every thread appends and syncs at will, and the kernel lets concurrent syncs share the
//! work; this is the best that plain system calls give at a concurrency, and so it is the limit. **Serial**: append and
//! sync under a mutex, what a program without group commit gets; it is shown beside it.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use crate::measure::Sample;
use crate::{Result, stopwatch};

/// Bytes of an append: about what hushd stores for a value and its metadata.
pub const RECORD: usize = 1024;

/// How concurrent appends are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Not at all: the file is open for appending.
    Shared,
    /// By a mutex around append and sync.
    Serial,
}

/// Appends and syncs from `writers` threads for a while.
pub fn append(directory: &Path, reading: Reading, writers: usize, window: Duration) -> Result<Sample> {
    let path = directory.join("appended");
    let file = OpenOptions::new().create(true).append(true).open(&path)?;
    let mutex = Mutex::new(());
    let started = stopwatch::now();
    let outcomes: Vec<std::io::Result<Vec<u32>>> = std::thread::scope(|scope| {
        let one = |number: usize| {
            let (file, mutex) = (&file, &mutex);
            scope.spawn(move || {
                let mut latencies = Vec::new();
                while started.elapsed() < window {
                    let begun = stopwatch::now();
                    let record = [u8::try_from(number % 251).unwrap_or_default(); RECORD];
                    let guard = (reading == Reading::Serial).then(|| mutex.lock());
                    append_one(file, &record)?;
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

fn append_one(mut file: &File, record: &[u8]) -> std::io::Result<()> {
    file.write_all(record)?;
    Ok(rustix::fs::fdatasync(file)?)
}
