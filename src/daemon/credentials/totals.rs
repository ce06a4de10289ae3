//! How much a unit was given at one start: systemd refuses the credentials of a unit that are over 1 MiB together.
//!
//! Invariant: memory is bounded; what is too old to be of a start that still goes on is forgotten.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::daemon::credentials::frame::LONGEST;

/// How long after its first credential a start is remembered.
const REMEMBERED: Duration = Duration::from_mins(5);
/// Starts that are remembered at most.
const STARTS: usize = 4096;

/// The process that loads the credentials of a unit: its number, and when it began.
type Loader = (i32, u64);

/// What each start was given.
#[derive(Debug, Default)]
pub(super) struct Totals(HashMap<Loader, Start>);

#[derive(Debug)]
struct Start {
    begun: Timestamp,
    /// Bytes by id, the id's own among them, as systemd counts.
    given: HashMap<String, usize>,
}

impl Totals {
    /// Whether this process may have so many bytes under this id too; then they are counted.
    pub(super) fn allow(&mut self, loader: Loader, id: &str, size: usize, now: Timestamp) -> bool {
        self.0.retain(|_, start| now < start.begun.plus(REMEMBERED));
        if self.0.len() >= STARTS && !self.0.contains_key(&loader) {
            self.0.clear();
        }
        let start = self.0.entry(loader).or_insert_with(|| Start { begun: now, given: HashMap::new() });
        let others: usize = start.given.iter().filter(|(other, _)| *other != id).map(|(_, size)| size).sum();
        let size = id.len().saturating_add(size);
        if others.saturating_add(size) > LONGEST {
            return false;
        }
        start.given.insert(id.to_owned(), size);
        true
    }
}

/// The process of this number, with the time of its start (proc_pid_stat(5)), which no other of the same number has.
pub(super) fn loader(pid: i32) -> Option<Loader> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let began = stat.rsplit_once(") ")?.1.split(' ').nth(19)?;
    Some((pid, began.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_gets_a_mebibyte_in_all_and_the_next_one_again() {
        let (mut totals, now) = (Totals::default(), Timestamp::from_millis(0));
        let half = LONGEST / 2;
        assert!(totals.allow((7, 1), "a", half, now) && totals.allow((7, 1), "b", half - 2, now));
        assert!(!totals.allow((7, 1), "c", 1, now));
        // Asked for once more because the daemon was restarted, it counts once.
        assert!(totals.allow((7, 1), "a", half, now));
        assert!(totals.allow((7, 2), "a", LONGEST - 1, now) && !totals.allow((7, 3), "a", LONGEST, now));
        assert!(totals.allow((7, 1), "c", 1, now.plus(REMEMBERED)));
        assert!(totals.0.len() == 1);
    }

    #[test]
    fn a_process_is_known_by_its_start_too() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(loader(pid).is_some_and(|(number, start)| number == pid && start > 0));
        assert_eq!(loader(i32::MAX), None);
    }
}
