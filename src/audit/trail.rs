//! The trail that is being written: who wants something recorded meets here.
//!
//! Invariants: when [`Trail::record`] says `Ok` the entries are in the kernel's hands, and survive kill -9; entries that
//! come while another write is under way share the next one; a trail that cannot be written says so to everybody, and
//! opens itself again when it can. It knows no policy, and nothing of what is recorded but its encoding.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;

use crate::audit::entry::{Action, Entry, Outcome};
use crate::audit::resume::{Resumed, resume};
use crate::audit::writer::{Shape, Writer};
use crate::audit::{Anchor, AuditError, Mark, Report, segment, verify};
use crate::clock::Clock;
use crate::crypto::AuditKeys;
use crate::paths::{ensure_private_dir, forget_unwritten};

/// Entries of one call that share a frame at most.
const TOGETHER: usize = 64;
/// Bytes of entries that wait for one write at most.
const WAITING: usize = 256 * 1024;

/// The limits of a trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrailOptions {
    /// Bytes of a segment.
    pub segment_size: u64,
    /// Bytes of all of it, with the space that is set aside.
    pub max_size: u64,
    /// How long entries are kept.
    pub max_age: Duration,
}

impl Default for TrailOptions {
    fn default() -> Self {
        Self { segment_size: 8 << 20, max_size: 256 << 20, max_age: Duration::from_hours(24 * 400) }
    }
}

/// What a trail counts, for metrics.
#[derive(Debug, Default)]
pub struct Counters {
    /// Entries that were written.
    pub entries: AtomicU64,
    /// Entries that could not be written.
    pub failures: AtomicU64,
    /// Entries of changes that are in the vault's outbox and not in the trail yet.
    pub queue: AtomicU64,
    /// Entries that a slow or failing export has not taken yet.
    pub export_lag: AtomicU64,
}

/// A trail.
#[derive(Debug)]
pub struct Trail {
    dir: PathBuf,
    keys: AuditKeys,
    clock: Arc<dyn Clock>,
    options: TrailOptions,
    queue: Mutex<Queue>,
    state: Mutex<State>,
    /// What it counts.
    pub counters: Counters,
}

#[derive(Debug, Default)]
struct Queue {
    plain: Vec<u8>,
    count: u64,
    answer: Answer,
}

/// How the entries that share a write fared; nothing before they were written.
type Answer = Arc<OnceLock<Result<(), AuditError>>>;

#[derive(Debug)]
enum State {
    Open(Box<Writer>),
    Down(Arc<str>),
}

/// What was written, up to a position.
#[derive(Debug)]
#[must_use = "it is on the disk only after it was synced"]
pub struct Unsynced {
    file: Arc<File>,
    mark: Mark,
}

/// What was found when a trail was opened.
#[derive(Debug, Default)]
pub struct Opened {
    /// What is not as it was written, each in a sentence.
    pub broken: Vec<String>,
    /// The changes whose entries stand after the vault's mark.
    pub changes: HashSet<[u8; 16]>,
}

impl Trail {
    /// A trail in `dir` that is not open yet.
    pub fn new(dir: &Path, keys: AuditKeys, clock: Arc<dyn Clock>, options: TrailOptions) -> Self {
        Self {
            dir: dir.to_owned(),
            keys,
            clock,
            options,
            queue: Mutex::default(),
            state: Mutex::new(State::Down("it was not opened yet".into())),
            counters: Counters::default(),
        }
    }

    /// Takes the trail up where it ends; `mark` is what the vault remembers of it.
    ///
    /// # Errors
    /// [`AuditError`] when it cannot be written; it can be tried again.
    pub fn open(&self, mark: Option<&Mark>) -> Result<Opened, AuditError> {
        let mut state = self.state.lock();
        let opened = self.begin(mark);
        match opened {
            Ok((mut writer, opened, entries)) => {
                for entry in &entries {
                    let plain = encode(std::slice::from_ref(entry))?;
                    writer.append(&self.keys, self.shape(), &plain, 1, entry.time)?;
                    self.counters.entries.fetch_add(1, Ordering::Relaxed);
                }
                *state = State::Open(Box::new(writer));
                Ok(opened)
            }
            Err(error) => {
                *state = State::Down(full_text(&error).into());
                Err(error)
            }
        }
    }

    fn begin(&self, mark: Option<&Mark>) -> Result<(Writer, Opened, Vec<Entry>), AuditError> {
        ensure_private_dir(&self.dir).map_err(|error| AuditError::Down { reason: error.to_string().into() })?;
        forget_unwritten(&self.dir).map_err(AuditError::io("read the audit trail"))?;
        let Resumed { next_segment, next_sequence, previous, torn, broken, changes } =
            resume(&self.dir, &self.keys, mark)?;
        let now = self.clock.now().as_millis();
        let writer = Writer::begin(&self.dir, &self.keys, self.shape(), (next_segment, next_sequence, previous), now)?;
        self.set_aside();
        let mut entries = Vec::new();
        if torn > 0 {
            entries.push(Entry::own(now, Action::Torn, format!("{torn} bytes of a torn end were cut off")));
        }
        for problem in &broken {
            entries.push(Entry { outcome: Outcome::Failed, ..Entry::own(now, Action::Broken, problem.as_str()) });
        }
        entries.push(Entry::own(now, Action::Start, concat!("hushd ", env!("CARGO_PKG_VERSION"))));
        Ok((writer, Opened { broken, changes }, entries))
    }

    /// Records entries, all of them or none. When it says `Ok` they survive the end of this process.
    ///
    /// # Errors
    /// [`AuditError`] when they could not be written.
    pub fn record(&self, entries: &[Entry]) -> Result<(), AuditError> {
        entries.chunks(TOGETHER).try_for_each(|together| self.finish(&self.join(together)?))
    }

    /// Records entries as [`Trail::record`] does, after the other requests that this thread has at hand have had their turn:
    /// theirs share the write. Within a runtime only.
    ///
    /// # Errors
    /// As [`Trail::record`].
    pub async fn record_together(&self, entries: &[Entry]) -> Result<(), AuditError> {
        for together in entries.chunks(TOGETHER) {
            let answer = self.join(together)?;
            // Not `yield_now`: a server that polls a request twice in one turn would end that at once.
            drop(tokio::spawn(async {}).await);
            self.finish(&answer)?;
        }
        Ok(())
    }

    /// Takes a place in the queue. Who does not come back for it has its entries written with the next ones.
    fn join(&self, entries: &[Entry]) -> Result<Answer, AuditError> {
        let plain = encode(entries)?;
        loop {
            let mut queue = self.queue.lock();
            if queue.plain.len() <= WAITING {
                queue.plain.extend_from_slice(&plain);
                queue.count += entries.len() as u64;
                return Ok(Arc::clone(&queue.answer));
            }
            drop(queue);
            self.write_waiting(&mut self.state.lock());
        }
    }

    /// Sees to it that what joined the queue is written.
    fn finish(&self, answer: &Answer) -> Result<(), AuditError> {
        if answer.get().is_none() {
            let mut state = self.state.lock();
            // Whoever had the writer before may have written these with its own.
            if answer.get().is_none() {
                self.write_waiting(&mut state);
            }
        }
        answer.get().cloned().unwrap_or(Err(AuditError::Gone))
    }

    fn write_waiting(&self, state: &mut State) {
        let Queue { plain, count, answer } = std::mem::take(&mut *self.queue.lock());
        let written = match state {
            State::Open(writer) if count > 0 => {
                let now = self.clock.now().as_millis();
                let written = writer.append(&self.keys, self.shape(), &plain, count, now).map(|_| ());
                if let Err(AuditError::Gone) = &written {
                    *state = State::Down("its files were moved or removed, or cannot be written".into());
                }
                written
            }
            State::Open(_) => Ok(()),
            State::Down(reason) => Err(AuditError::Down { reason: Arc::clone(reason) }),
        };
        let counter = if written.is_ok() { &self.counters.entries } else { &self.counters.failures };
        counter.fetch_add(count, Ordering::Relaxed);
        let _first = answer.set(written);
    }

    /// What was written up to here, to be brought to the disk; nothing where nothing was since the last time.
    ///
    /// # Errors
    /// [`AuditError::Down`].
    pub fn unsynced(&self) -> Result<Option<Unsynced>, AuditError> {
        match &mut *self.state.lock() {
            State::Open(writer) if writer.unsynced => {
                writer.unsynced = false;
                let (file, mark) = writer.position();
                Ok(Some(Unsynced { file, mark }))
            }
            State::Open(_) => Ok(None),
            State::Down(reason) => Err(AuditError::Down { reason: Arc::clone(reason) }),
        }
    }

    /// Brings what was written to the disk. Gives the position that is there then.
    ///
    /// # Errors
    /// [`AuditError`] when the disk does not take it; then the trail is down until it has been opened again.
    pub fn sync(&self, unsynced: Unsynced) -> Result<Mark, AuditError> {
        let Unsynced { file, mark } = unsynced;
        #[cfg(not(hushd_no_fdatasync))]
        if let Err(error) = file.sync_data() {
            *self.state.lock() = State::Down(format!("the disk failed: {error}").into());
            return Err(AuditError::io("bring the audit trail to the disk")(error));
        }
        Ok(mark)
    }

    /// Looks whether the trail can be written. A trail whose files are gone is down from here on.
    pub fn is_writable(&self) -> bool {
        let mut state = self.state.lock();
        if let State::Open(writer) = &*state
            && writer.require_place().is_err()
        {
            *state = State::Down("its files were moved or removed, or cannot be written".into());
        }
        matches!(&*state, State::Open(_))
    }

    /// Why the trail cannot be written; nothing while it can.
    pub fn problem(&self) -> Option<String> {
        match &*self.state.lock() {
            State::Open(_) => None,
            State::Down(reason) => Some(reason.to_string()),
        }
    }

    /// Ends the trail in order: a last entry, everything on the disk, unused space given back.
    ///
    /// # Errors
    /// [`AuditError`] when the disk does not take it.
    pub fn close(&self, action: Action) -> Result<Option<Mark>, AuditError> {
        self.record(&[Entry::own(self.clock.now().as_millis(), action, "")])?;
        let mut state = self.state.lock();
        let State::Open(writer) = &*state else { return Ok(None) };
        writer.close()?;
        let (_, mark) = writer.position();
        *state = State::Down("it was closed".into());
        Ok(Some(Mark { closed: true, ..mark }))
    }

    /// The oldest segment that is to be kept, by size and age.
    ///
    /// # Errors
    /// [`AuditError::Io`] when the directory cannot be read.
    pub fn first_to_keep(&self) -> Result<u64, AuditError> {
        let segments = segment::list(&self.dir)?;
        let budget = self.options.max_size.saturating_sub(2 * self.options.segment_size);
        let now = self.clock.now();
        let (mut kept, mut first) = (0_u64, segments.last().map_or(1, |segment| segment.number));
        for (index, file) in segments.iter().enumerate().rev().skip(1) {
            kept += file.size;
            // Its newest entry is as old as the segment after it.
            let newest = crate::audit::reader::created(&segments[index + 1].path, &self.keys);
            let aged = newest.is_some_and(|newest| now.since(newest) > self.options.max_age);
            if kept > budget || aged {
                break;
            }
            first = file.number;
        }
        Ok(first)
    }

    /// Drops the segments before `first`, after the vault has taken note of it.
    ///
    /// # Errors
    /// [`AuditError::Io`].
    pub fn drop_before(&self, first: u64) -> Result<(), AuditError> {
        for file in segment::list(&self.dir)?.iter().filter(|file| file.number < first) {
            std::fs::remove_file(&file.path).map_err(AuditError::io("drop an old segment of the audit trail"))?;
        }
        Ok(())
    }

    /// Sets the space of the next segment aside. Without it the trail goes on as long as the disk has room.
    pub fn set_aside(&self) {
        if let Err(error) = segment::reserve(&self.dir, self.options.segment_size) {
            tracing::warn!(error = full_text(&error), "no space could be set aside for the audit trail");
        }
    }

    /// Verifies all of it, up to what is written while it does.
    ///
    /// # Errors
    /// [`AuditError::Io`].
    pub fn verify(&self, mark: Option<&Mark>, anchors: &[Anchor]) -> Result<Report, AuditError> {
        verify(&self.dir, &self.keys, mark, anchors)
    }

    /// Where the trail is, for readers.
    pub(super) fn place(&self) -> (&Path, &AuditKeys) {
        (&self.dir, &self.keys)
    }

    /// The last entry that was written; 0 where there is none.
    pub fn last(&self) -> Option<u64> {
        match &*self.state.lock() {
            State::Open(writer) => Some(writer.position().1.sequence),
            State::Down(_) => None,
        }
    }

    fn shape(&self) -> Shape {
        // A segment of its own for each tenth of the time makes age a matter of whole segments.
        Shape { size: self.options.segment_size, age: (self.options.max_age / 10).max(Duration::from_hours(1)) }
    }
}

fn encode(entries: &[Entry]) -> Result<Vec<u8>, AuditError> {
    let plain = Vec::with_capacity(192 * entries.len());
    entries
        .iter()
        .try_fold(plain, |plain, entry| postcard::to_extend(entry, plain))
        .map_err(|error| AuditError::Entry { what: error.to_string().into() })
}

fn full_text(error: &AuditError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
