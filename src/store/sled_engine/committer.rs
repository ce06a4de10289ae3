//! The one thread that writes: it takes the batches that wait, commits them together, and answers.
//!
//! Invariants: batches are applied in the order of submission; an answer is given when it is durable and not before;
//! every submitted batch is answered, also while the store closes. It never waits for a caller.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock::Stopwatch;
use crate::metrics::COUNTS;
use crate::store::sled_engine::engine::Engine;
use crate::store::sled_engine::group::{Group, Prepared};
use crate::store::{Pending, StoreError};

/// Most batches in a group.
const MOST_BATCHES: usize = 1024;
/// Bytes of records after which a group is closed.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// How long an expected batch is waited for: those answered together tend to come back together, and a group of all
/// is worth more than two, the first of which has one batch.
const STRAGGLER: Duration = Duration::from_micros(50);
/// How often a flush that takes long is looked after.
const ROUND: Duration = Duration::from_secs(1);
/// How long a step of a commit may take before the log says so.
const SLOW: Duration = Duration::from_secs(5);

/// The committer's thread, and the watchman beside it.
#[derive(Debug)]
pub(super) struct Committer {
    queue: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    watch: Option<Sender<()>>,
    watchman: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Job {
    batch: Prepared,
    answer: oneshot::Sender<Result<(), StoreError>>,
}

impl Committer {
    /// Starts the threads.
    ///
    /// # Errors
    /// [`StoreError::Io`] when there are too many.
    pub(super) fn start(engine: &Arc<Engine>) -> Result<Self, StoreError> {
        let (queue, jobs) = mpsc::channel();
        let (watch, end) = mpsc::channel();
        // Built first, so that a failure half-way ends the thread that was started.
        let mut committer = Self { queue: Some(queue), thread: None, watch: Some(watch), watchman: None };
        let for_writing = Arc::clone(engine);
        let writing = move || run(&for_writing, &jobs);
        committer.thread = Some(thread::Builder::new().name("store-commit".to_owned()).spawn(writing)?);
        let for_watching = Arc::clone(engine);
        let watching = move || watch_over(&for_watching, &end);
        committer.watchman = Some(thread::Builder::new().name("store-watch".to_owned()).spawn(watching)?);
        Ok(committer)
    }

    /// Hands a batch to the thread.
    pub(super) fn submit(&self, batch: Prepared) -> Pending {
        let (answer, pending) = Pending::channel();
        if let Some(queue) = &self.queue {
            // A job that comes back is dropped with its end of the answer, which reads as closed.
            drop(queue.send(Job { batch, answer }));
        }
        pending
    }
}

impl Drop for Committer {
    /// Commits and answers all that was submitted, then ends the threads.
    fn drop(&mut self) {
        self.queue = None;
        join(self.thread.take());
        self.watch = None;
        join(self.watchman.take());
    }
}

fn join(thread: Option<JoinHandle<()>>) {
    if thread.is_some_and(|thread| thread.join().is_err()) {
        tracing::error!("a thread of the store panicked");
    }
}

fn run(engine: &Engine, jobs: &Receiver<Job>) {
    let mut last = 1;
    while let Ok(first) = jobs.recv() {
        let group = gather(first, jobs, last);
        last = group.len();
        process(engine, group);
    }
}

/// Takes what waits; and, when fewer wait than came the last time, what comes within a moment.
fn gather(first: Job, jobs: &Receiver<Job>, expected: usize) -> Vec<Job> {
    let mut bytes = first.batch.bytes;
    let mut group = vec![first];
    while group.len() < MOST_BATCHES && bytes < MOST_BYTES {
        let next = match jobs.try_recv() {
            Ok(job) => Some(job),
            Err(_) if group.len() < expected => jobs.recv_timeout(STRAGGLER).ok(),
            Err(_) => None,
        };
        let Some(job) = next else { break };
        bytes += job.batch.bytes;
        group.push(job);
    }
    group
}

fn process(engine: &Engine, jobs: Vec<Job>) {
    let mut group = Group::default();
    let mut admitted = Vec::with_capacity(jobs.len());
    for Job { batch, answer } in jobs {
        let admission = if let Some(cause) = engine.latched() {
            Err(StoreError::ReadOnly { cause })
        } else {
            group.admit(batch, &*engine.seal, |disk_key| engine.present(disk_key))
        };
        match admission {
            Ok(()) => admitted.push(answer),
            Err(error) => reply(answer, Err(error)),
        }
    }
    let result = if group.is_empty() { Ok(()) } else { commit(engine, &group, admitted.len() as u64) };
    for answer in admitted {
        reply(answer, result.clone());
    }
}

fn commit(engine: &Engine, group: &Group, batches: u64) -> Result<(), StoreError> {
    let stopwatch = Stopwatch::start();
    let result = engine.commit(group);
    COUNTS.commit_latency.observe_duration(stopwatch.elapsed());
    COUNTS.commit_group.observe(batches);
    if result.is_err() {
        COUNTS.commit_failures.increment();
    }
    result
}

fn reply(answer: oneshot::Sender<Result<(), StoreError>>, result: Result<(), StoreError>) {
    // Nobody has to wait for an answer.
    drop(answer.send(result));
}

fn watch_over(engine: &Engine, end: &Receiver<()>) {
    let mut told = Duration::ZERO;
    while let Err(RecvTimeoutError::Timeout) = end.recv_timeout(ROUND) {
        engine.nudge();
        match engine.lingers(SLOW) {
            // At five seconds, at ten, at twenty: who waits for an answer wants to know what for.
            Some((step, taken)) if taken >= 2 * told => {
                tracing::warn!(step, seconds = taken.as_secs(), "a commit takes long: the disk is slow, or hangs");
                told = taken;
            }
            Some(_) => {}
            None => told = Duration::ZERO,
        }
    }
}
