//! Guessing: who presents wrong credentials again and again has to wait.
//!
//! Invariants: nobody's wrong guesses keep anybody else out. On the Unix socket the kernel says whose they are, so a user who
//! has to wait is not even looked at. Over TCP everybody on the machine looks the same, so a credential is always looked at
//! and a right one always passes: only the answer to wrong ones changes. (Keys are 256 random bits; what the limit saves
//! there is work and noise.) A right credential forgives nothing, or whoever has one could go on guessing at another.
//! What is remembered has a bound, and nothing is written to the store.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Timestamp;

/// Wrong credentials that cost nothing yet: after a rotation there may be a few programs with the old key.
const FREE: u32 = 30;
/// How long the first wait is; each wrong credential after it doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// How long a wait is at most.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// How long after the last wrong credential all is forgotten.
const FORGOTTEN: Duration = Duration::from_mins(10);
/// How many guessers are remembered at most.
const REMEMBERED: usize = 4096;

/// Who presents credentials, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guesser {
    /// This user, on the Unix socket.
    User(u32),
    /// Anybody on this machine: over TCP, or where the kernel did not say.
    Anybody,
}

/// Counts wrong credentials.
#[derive(Debug, Default)]
pub struct Guessing(Mutex<HashMap<Guesser, Record>>);

#[derive(Clone, Copy, Debug)]
struct Record {
    wrong: u32,
    last: Timestamp,
    waits_until: Timestamp,
}

impl Guessing {
    /// Whether a credential is to be looked at; otherwise how long its sender has to wait.
    ///
    /// # Errors
    /// How long.
    pub fn may_try(&self, guesser: Guesser, now: Timestamp) -> Result<(), Duration> {
        match guesser {
            Guesser::User(_) => self.wait(guesser, now).map_or(Ok(()), Err),
            Guesser::Anybody => Ok(()),
        }
    }

    /// Notes a wrong credential. Says how long its sender has to wait, where he had to wait already.
    pub fn was_wrong(&self, guesser: Guesser, now: Timestamp) -> Option<Duration> {
        let mut records = self.0.lock();
        if records.len() >= REMEMBERED && !records.contains_key(&guesser) {
            make_room(&mut records, now);
        }
        let record = records.entry(guesser).or_insert(Record { wrong: 0, last: now, waits_until: now });
        if let Some(wait) = record.wait(now) {
            // Otherwise whoever asks all the time would never be let go.
            return Some(wait);
        }
        if record.is_forgotten(now) {
            record.wrong = 0;
        }
        record.wrong = record.wrong.saturating_add(1);
        record.last = now;
        if let Some(beyond) = record.wrong.checked_sub(FREE) {
            let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(beyond)).min(LONGEST_WAIT);
            record.waits_until = now.plus(wait);
            tracing::warn!(?guesser, wrong = record.wrong, ?wait, "too many wrong credentials");
        }
        None
    }

    fn wait(&self, guesser: Guesser, now: Timestamp) -> Option<Duration> {
        self.0.lock().get(&guesser).and_then(|record| record.wait(now))
    }
}

impl Record {
    fn wait(&self, now: Timestamp) -> Option<Duration> {
        // A clock that was set back must not make it longer than it can be.
        let wait = self.waits_until.since(now).min(LONGEST_WAIT);
        (self.last <= now && !wait.is_zero()).then_some(wait)
    }

    fn is_forgotten(&self, now: Timestamp) -> bool {
        self.last > now || self.last.plus(FORGOTTEN) <= now
    }
}

/// Drops what is forgotten, and where that is nothing the one that has been quiet for the longest time.
fn make_room(records: &mut HashMap<Guesser, Record>, now: Timestamp) {
    records.retain(|_, record| !record.is_forgotten(now));
    if records.len() >= REMEMBERED
        && let Some(quiet) = records.iter().min_by_key(|(_, record)| record.last).map(|(guesser, _)| *guesser)
    {
        records.remove(&quiet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const ALICE: Guesser = Guesser::User(1000);
    const BOB: Guesser = Guesser::User(1001);

    fn after(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
    }

    fn wrong(guessing: &Guessing, guesser: Guesser, times: u32) {
        for _ in 0..times {
            assert_eq!(guessing.was_wrong(guesser, NOW), None);
        }
    }

    #[test]
    fn whoever_guesses_waits_longer_each_time_and_nobody_else_does() {
        let guessing = Guessing::default();
        wrong(&guessing, ALICE, FREE - 1);
        assert_eq!(guessing.may_try(ALICE, NOW), Ok(()));
        wrong(&guessing, ALICE, 1);
        let mut now = NOW;
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let wait = Duration::from_secs(seconds);
            assert_eq!(guessing.may_try(ALICE, now), Err(wait));
            assert_eq!(guessing.may_try(BOB, now), Ok(()));
            assert_eq!(guessing.may_try(Guesser::Anybody, now), Ok(()));
            // Whoever does not wait does not make it longer.
            assert_eq!(guessing.was_wrong(ALICE, now), Some(wait));
            now = now.plus(wait);
            assert_eq!(guessing.may_try(ALICE, now), Ok(()), "after {seconds} s");
            assert_eq!(guessing.was_wrong(ALICE, now), None);
        }
        assert_eq!(guessing.may_try(ALICE, now.plus(LONGEST_WAIT)), Ok(()));
    }

    #[test]
    fn over_tcp_every_credential_is_looked_at() {
        let guessing = Guessing::default();
        wrong(&guessing, Guesser::Anybody, FREE);
        assert_eq!(guessing.was_wrong(Guesser::Anybody, NOW), Some(FIRST_WAIT));
        assert_eq!(guessing.may_try(Guesser::Anybody, NOW), Ok(()));
    }

    #[test]
    fn a_quiet_time_is_forgiven_and_so_is_a_clock_that_was_set_back() {
        let guessing = Guessing::default();
        wrong(&guessing, ALICE, FREE);
        assert_eq!(guessing.may_try(ALICE, Timestamp::from_millis(0)), Ok(()));
        let later = NOW.plus(FORGOTTEN);
        assert_eq!(guessing.was_wrong(ALICE, later), None);
        assert_eq!(guessing.may_try(ALICE, later), Ok(()), "it was the first one again");
        assert_eq!(guessing.was_wrong(ALICE, after(1)), None);
        assert_eq!(guessing.may_try(ALICE, after(1)), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_the_newest_guessers_are_remembered() {
        let guessing = Guessing::default();
        for user in 0..20_000 {
            guessing.was_wrong(Guesser::User(user), NOW.plus(Duration::from_millis(user.into())));
        }
        // Whoever is known already takes nobody's place.
        guessing.was_wrong(Guesser::User(19_999), after(20));
        let records = guessing.0.lock();
        assert_eq!(records.len(), REMEMBERED);
        assert!(records.contains_key(&Guesser::User(19_999)) && !records.contains_key(&Guesser::User(0)));
    }
}
