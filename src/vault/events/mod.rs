//! Events: what changed, for those who watch. Kept in memory, the newest ones only.
//!
//! Invariants: an event is published after its change is durable, and while the secret's lock is held, so that the events of
//! one secret are in the order of its changes; each has the number after the one before it; memory is bounded by the
//! backlog, and a reader holds a position and no queue. No value is ever in one.

mod expiry;

pub(super) use expiry::Expiry;
pub use expiry::Warning;

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::api::EventKind;
use crate::clock::Timestamp;
use crate::metrics::COUNTS;
use crate::model::{Key, Namespace};
use crate::vault::Vault;
use crate::vault::index::Entry;

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A secret.
    Secret {
        /// How.
        kind: EventKind,
        /// Its namespace.
        namespace: Namespace,
        /// Its name.
        key: Key,
        /// Its newest revision.
        revision: u64,
        /// When.
        at: Timestamp,
        /// When it expires, where that is what the event is about.
        expires_at: Option<Timestamp>,
        /// The warning that is due.
        within: Option<Arc<str>>,
    },
    /// One of the vault's own keys was rotated.
    Rotated {
        /// Which.
        key: &'static str,
        /// When.
        at: Timestamp,
    },
}

/// A place in the stream of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Which opening of the vault numbered the events.
    epoch: u64,
    /// The number of the next event.
    next: u64,
}

impl std::fmt::Display for Position {
    /// As a client keeps it (`Last-Event-ID`): the number of the newest event that is before this place.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}-{}", self.epoch, self.next - 1)
    }
}

impl std::str::FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (epoch, last) = text.split_once('-').ok_or(())?;
        let plain = epoch.len() == 16 && last.bytes().all(|byte| byte.is_ascii_digit());
        let last = last.parse::<u64>().ok().filter(|last| plain && *last < u64::MAX).ok_or(())?;
        Ok(Self { epoch: u64::from_str_radix(epoch, 16).map_err(|_| ())?, next: last + 1 })
    }
}

/// What is at a position.
#[derive(Debug)]
pub enum Found {
    /// These, each with the position after it; none when there are no more yet.
    Events(Vec<(Position, Arc<Event>)>),
    /// It is older than what is kept.
    Gone,
    /// What was read may not be what is there; it goes on at this position.
    Renewed(Position),
    /// The vault's life is over, and no more will come.
    Ended(&'static str),
}

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Where it asked for.
    At(Position),
    /// At the end, because what it asked for was numbered before the vault was opened.
    Restarted(Position),
    /// At the end, because what it asked for is older than what is kept.
    TooOld(Position),
}

/// The newest events.
#[derive(Debug)]
pub struct Events {
    backlog: usize,
    ring: Mutex<Ring>,
    newest: watch::Sender<u64>,
}

#[derive(Debug)]
struct Ring {
    epoch: u64,
    /// The number of the next event.
    next: u64,
    events: VecDeque<Arc<Event>>,
    ended: Option<&'static str>,
}

impl Events {
    /// None yet; as many as `backlog` will be kept.
    pub(super) fn new(backlog: usize) -> Arc<Self> {
        let ring = Ring { epoch: new_epoch(), next: 1, events: VecDeque::new(), ended: None };
        Arc::new(Self { backlog: backlog.max(1), ring: Mutex::new(ring), newest: watch::Sender::new(0) })
    }

    pub(super) fn publish(&self, event: Event) {
        COUNTS.events.increment();
        let number = {
            let mut ring = self.ring.lock();
            if ring.events.len() >= self.backlog {
                ring.events.pop_front();
            }
            ring.events.push_back(Arc::new(event));
            ring.next += 1;
            ring.next
        };
        self.newest.send_replace(number);
    }

    /// Ends all streams, for a reason that their readers are told.
    pub fn end(&self, reason: &'static str) {
        self.ring.lock().ended = Some(reason);
        self.newest.send_modify(|_| {});
    }

    /// Begins anew, after changes that nobody can tell one by one.
    pub(super) fn renew(&self) {
        let mut ring = self.ring.lock();
        ring.epoch = new_epoch();
        ring.next = 1;
        ring.events.clear();
        drop(ring);
        self.newest.send_modify(|_| {});
    }

    /// Where a reader begins that has seen everything before `wanted`, or that wants what is new.
    pub fn begin(&self, wanted: Option<Position>) -> Begin {
        let ring = self.ring.lock();
        let end = ring.end();
        match wanted {
            None => Begin::At(end),
            Some(wanted) if wanted.epoch != ring.epoch || wanted.next > ring.next => Begin::Restarted(end),
            Some(wanted) if wanted.next < ring.first() => Begin::TooOld(end),
            Some(wanted) => Begin::At(wanted),
        }
    }

    /// What is at a position, at most `most` of it.
    pub fn read(&self, position: Position, most: usize) -> Found {
        let ring = self.ring.lock();
        if position.epoch != ring.epoch {
            return Found::Renewed(ring.end());
        }
        if position.next < ring.first() {
            return Found::Gone;
        }
        let from = usize::try_from(position.next - ring.first()).unwrap_or(usize::MAX);
        let numbered = (position.next..).zip(ring.events.iter().skip(from).take(most));
        let after = |number| Position { epoch: ring.epoch, next: number + 1 };
        let events: Vec<_> = numbered.map(|(number, event)| (after(number), Arc::clone(event))).collect();
        match ring.ended {
            Some(reason) if events.is_empty() => Found::Ended(reason),
            Some(_) | None => Found::Events(events),
        }
    }

    /// Tells of each event after this call that there is one.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }
}

impl Ring {
    /// The place after the newest event.
    fn end(&self) -> Position {
        Position { epoch: self.epoch, next: self.next }
    }

    /// The number of the oldest event that is kept.
    fn first(&self) -> u64 {
        self.next - self.events.len() as u64
    }
}

fn new_epoch() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}

impl Vault {
    /// The newest events.
    pub fn events(&self) -> &Arc<Events> {
        &self.events
    }

    /// Publishes what became of a secret. The caller holds its lock.
    pub(super) fn publish_change(&self, old: Option<&Entry>, new: &Entry, now: Timestamp) {
        let was = old.is_some_and(|old| old.is_readable(now));
        let kind = match (was, new.is_readable(now)) {
            (false, true) => EventKind::Created,
            _ if !new.record.is_active && old.is_some_and(|old| old.record.is_active) => EventKind::Deleted,
            _ => EventKind::Updated,
        };
        self.publish(kind, new, now);
        if new.record.expires_at.is_some() {
            self.expiry.changed.notify_one();
        }
    }

    /// Publishes that a secret was purged. The caller holds its lock.
    pub(super) fn publish_purge(&self, old: &Entry) {
        self.publish(EventKind::Deleted, old, self.clock.now());
    }

    fn publish(&self, kind: EventKind, entry: &Entry, at: Timestamp) {
        self.events.publish(Event::Secret {
            kind,
            namespace: entry.record.namespace.clone(),
            key: entry.record.key.clone(),
            revision: entry.revision(),
            at,
            expires_at: None,
            within: None,
        });
    }

    /// Publishes that one of the vault's own keys was rotated.
    pub(super) fn publish_rotation(&self, key: &'static str) {
        self.events.publish(Event::Rotated { key, at: self.clock.now() });
    }
}

#[cfg(test)]
mod tests;
