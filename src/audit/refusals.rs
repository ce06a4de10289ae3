//! Refusals and failed authentications: the first of a kind is recorded at once, repeats within a window share an entry.
//!
//! Invariants: memory and disk that a window can cost are bounded, whatever is sent; every refusal is counted in some entry.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::audit::entry::{Action, Actor, Entry, Outcome};

/// Milliseconds of a window.
const WINDOW: i64 = 60_000;
/// Kinds that are told apart in a window.
const KINDS: usize = 256;

/// What makes two refusals the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    principal: Arc<str>,
    uid: Option<u32>,
    action: Action,
    outcome: Outcome,
    namespace: Option<Arc<str>>,
    key: Option<Arc<str>>,
    rule: Option<Arc<str>>,
}

/// The refusals of the present window.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    begun: i64,
    repeats: HashMap<Kind, Entry>,
}

impl Refusals {
    /// Takes a refusal in. Gives it back when it is to be recorded now.
    pub fn note(&self, entry: Entry) -> Option<Entry> {
        let mut window = self.0.lock();
        if window.repeats.is_empty() {
            window.begun = entry.time;
        }
        let mut kind = Kind {
            principal: Arc::clone(&entry.actor.principal),
            uid: entry.actor.uid,
            action: entry.action,
            outcome: entry.outcome,
            namespace: entry.namespace.clone(),
            key: entry.key.clone(),
            rule: entry.rule.clone(),
        };
        let mut counted = Entry { count: 0, request_id: None, ..entry.clone() };
        let mut first = true;
        if window.repeats.len() >= KINDS && !window.repeats.contains_key(&kind) {
            let several: Arc<str> = "(several)".into();
            kind = Kind { principal: Arc::clone(&several), uid: None, namespace: None, key: None, rule: None, ..kind };
            let actor = Actor { principal: several, ..Actor::default() };
            counted = Entry { count: 0, rule: None, ..Entry::new(entry.time, actor, entry.action, entry.outcome) };
            first = false;
        }
        match window.repeats.entry(kind) {
            std::collections::hash_map::Entry::Vacant(place) => {
                counted.count = u32::from(!first);
                place.insert(counted);
                first.then_some(entry)
            }
            std::collections::hash_map::Entry::Occupied(mut place) => {
                let repeats = place.get_mut();
                repeats.count = repeats.count.saturating_add(1);
                repeats.time = entry.time;
                None
            }
        }
    }

    /// Gives the entries of the repeats of a window that is over at `now`, or of any window when `at_once`.
    pub fn flush(&self, now: i64, at_once: bool) -> Vec<Entry> {
        let mut window = self.0.lock();
        if !at_once && now.saturating_sub(window.begun) < WINDOW {
            return Vec::new();
        }
        let mut entries: Vec<Entry> = window.repeats.drain().map(|(_, entry)| entry).collect();
        entries.retain(|entry| entry.count > 0);
        entries.sort_by_key(|entry| entry.time);
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(key: &str, time: i64) -> Entry {
        let actor = Actor { principal: "token:a".into(), ..Actor::default() };
        Entry { key: Some(key.into()), ..Entry::new(time, actor, Action::Reveal, Outcome::Refused) }
    }

    #[test]
    fn repeats_share_an_entry_with_their_count_and_none_is_lost() {
        let refusals = Refusals::default();
        assert!(refusals.note(refused("A", 0)).is_some());
        assert!((1..=9).all(|time| refusals.note(refused("A", time)).is_none()));
        assert_eq!(refusals.flush(10, false), []);
        let repeats = refusals.flush(WINDOW, false);
        assert_eq!((repeats.len(), repeats[0].count, repeats[0].time), (1, 9, 9));
        assert!(refusals.note(refused("A", WINDOW)).is_some(), "a new window begins");
    }

    #[test]
    fn names_that_are_made_up_cost_a_bounded_number_of_entries() {
        let refusals = Refusals::default();
        let at_once = (0..10_000).filter(|number| refusals.note(refused(&format!("K{number}"), 0)).is_some()).count();
        let later = refusals.flush(WINDOW, false);
        assert_eq!((at_once, later.len()), (KINDS, 1));
        assert_eq!(at_once as u64 + later.iter().map(|entry| u64::from(entry.count)).sum::<u64>(), 10_000);
    }
}
