//! Who read which revision of a secret last, learnt from the trail when it is first asked for.
//!
//! Invariants: nothing is done for it when a secret is read; what is remembered is bounded, and of too many the one who
//! read longest ago is forgotten; it knows as much as the trail still holds.

use std::collections::HashMap;
use std::sync::Arc;

use crate::audit::entry::{Action, Actor, Entry, Outcome};
use crate::audit::{AuditError, Filter, Trail};

/// Consumers of one secret that are remembered.
const MOST_OF_ONE: usize = 256;
/// Consumers that are remembered in all.
const MOST: usize = 200_000;
/// Entries that are read at a time.
const AT_ONCE: usize = 16 * 1024;

/// Somebody who reads a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// Who; without a process, since each start of a program has its own.
    pub actor: Actor,
    /// The revision that was read last.
    pub revision: u64,
    /// When, in milliseconds since the Unix epoch.
    pub time: i64,
    /// How often, as far as the trail goes back.
    pub reads: u64,
}

type Secret = (Arc<str>, Arc<str>);

/// All who read secrets.
#[derive(Debug, Default)]
pub struct Consumers {
    /// The last entry that was taken in.
    seen: u64,
    count: usize,
    of: HashMap<Secret, Vec<Consumer>>,
}

impl Consumers {
    /// Who read a secret, the last one first, after taking in what the trail has got since the last time.
    ///
    /// # Errors
    /// [`AuditError::Io`].
    pub fn of(&mut self, trail: &Trail, namespace: &str, key: &str) -> Result<Vec<Consumer>, AuditError> {
        let filter = Filter { action: Some(Action::Reveal), ..Filter::default() };
        loop {
            let page = trail.following(&filter, self.seen, AT_ONCE)?;
            page.entries.iter().for_each(|numbered| self.take_in(&numbered.entry));
            match page.next {
                Some(next) if next > self.seen => self.seen = next,
                _ => break,
            }
        }
        let mut found = self.of.get(&(namespace.into(), key.into())).cloned().unwrap_or_default();
        found.sort_by_key(|consumer| std::cmp::Reverse(consumer.time));
        Ok(found)
    }

    fn take_in(&mut self, entry: &Entry) {
        let (Some(namespace), Some(key), Some(revision), Outcome::Done) =
            (&entry.namespace, &entry.key, entry.revision, entry.outcome)
        else {
            return;
        };
        let actor = Actor { pid: None, ..entry.actor.clone() };
        let of = self.of.entry((Arc::clone(namespace), Arc::clone(key))).or_default();
        if let Some(known) = of.iter_mut().find(|known| known.actor == actor) {
            known.reads += 1;
            if entry.time >= known.time {
                known.time = entry.time;
                known.revision = revision;
            }
            return;
        }
        of.push(Consumer { actor, revision, time: entry.time, reads: 1 });
        self.count += 1;
        if of.len() > MOST_OF_ONE || self.count > MOST {
            let oldest = of.iter().enumerate().min_by_key(|(_, consumer)| consumer.time).map(|(index, _)| index);
            if let Some(oldest) = oldest {
                of.swap_remove(oldest);
                self.count -= 1;
            }
        }
    }
}
