//! Automatic snapshots: a backup from time to time, each proven by a drill before it gets its name.
//!
//! Invariants: a file under a snapshot's name was restored and compared; older ones are dropped only after a newer one is
//! there; one that fails is told in the status and tried again. It drops nothing that it did not make.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::api::BackupStatus;
use crate::auth::Caller;
use crate::clock::Timestamp;
use crate::config::{BackupConfig, Interval};
use crate::crypto::{Identities, Recipient};
use crate::daemon::{DaemonError, restore};
use crate::http::SnapshotReport;
use crate::model::Progress;
use crate::paths::{PrivateFile, ensure_private_dir};
use crate::vault::Vault;
use crate::vault::backup::Snapshot;

/// How long a snapshot that failed is not tried again, at most.
const AGAIN: Duration = Duration::from_mins(10);
/// How often the clock is looked at: it may be set, and the machine may sleep.
const GLANCE: Duration = Duration::from_mins(1);
const PREFIX: &str = "hushd-";
const SUFFIX: &str = ".age";

/// Takes snapshots.
pub(super) struct Snapshots {
    every: Interval,
    keep: usize,
    place: Arc<Place>,
    vault: Arc<Vault>,
    report: SnapshotReport,
}

/// Where snapshots go, and what opens them.
struct Place {
    directory: PathBuf,
    identities: Identities,
}

/// Why there is no snapshot.
#[derive(Debug)]
struct Failure {
    problem: String,
    /// Whether it was written, and did not restore.
    in_drill: bool,
}

impl Failure {
    fn of(error: &dyn std::error::Error) -> Self {
        Self { problem: describe(error), in_drill: false }
    }
}

/// Gets the place of snapshots ready where they are wanted, and gives the report that is kept up to date.
///
/// # Errors
/// When the directory cannot be used.
pub(super) fn prepare(config: &BackupConfig) -> Result<SnapshotReport, DaemonError> {
    let report = SnapshotReport::default();
    let Some(every) = &config.every else { return Ok(report) };
    ensure_private_dir(&config.directory)?;
    clear_leftovers(&config.directory);
    let existing = list(&config.directory)?;
    *report.write() = Some(BackupStatus {
        every: every.to_string(),
        last_at: existing.last().map(|(at, _)| *at),
        last_drill_passed: existing.last().map(|_| true),
        last_drill_at: existing.last().map(|(at, _)| *at),
        kept: existing.len() as u64,
        problem: None,
    });
    Ok(report)
}

impl Snapshots {
    /// Gets ready to take them of an open vault, where they are wanted.
    pub(super) fn new(
        config: &BackupConfig,
        vault: &Arc<Vault>,
        identities: Option<Identities>,
        report: &SnapshotReport,
    ) -> Option<Self> {
        let (every, identities) = (config.every.clone()?, identities?);
        let place = Place { directory: config.directory.clone(), identities };
        let (place, vault) = (Arc::new(place), Arc::clone(vault));
        Some(Self { every, keep: config.keep, place, vault, report: Arc::clone(report) })
    }

    /// Takes one whenever it is time, for ever.
    pub(super) async fn take(self) {
        let mut due = self.last().map_or(self.vault.clock().now(), |last| last.plus(self.every.duration()));
        loop {
            let now = self.vault.clock().now();
            if now < due {
                tokio::time::sleep(due.since(now).min(GLANCE)).await;
                continue;
            }
            let interval = match self.take_one().await {
                Ok(at) => {
                    tracing::info!(%at, "a snapshot was taken and proven to restore");
                    self.every.duration()
                }
                Err(Failure { problem, in_drill }) => {
                    tracing::error!(problem, "no snapshot could be taken");
                    if let Some(status) = &mut *self.report.write() {
                        if in_drill {
                            status.last_drill_passed = Some(false);
                            status.last_drill_at = Some(self.vault.clock().now());
                        }
                        status.problem = Some(problem);
                    }
                    self.every.duration().min(AGAIN)
                }
            };
            due = now.plus(interval);
        }
    }

    fn last(&self) -> Option<Timestamp> {
        self.report.read().as_ref().and_then(|status| status.last_at)
    }

    async fn take_one(&self) -> Result<Timestamp, Failure> {
        let snapshot =
            self.vault.snapshot(&Caller::vault(), &self.place.directory).await.map_err(|error| Failure::of(&error))?;
        let (place, keep) = (Arc::clone(&self.place), self.keep);
        // Held to the end, so that sealing waits for it: the drill has keys and values in memory.
        let vault = Arc::clone(&self.vault);
        let (done, answer) = oneshot::channel();
        // Not a thread of the runtime, which would wait for it when the daemon stops.
        let thread = std::thread::Builder::new().name("snapshot".to_owned());
        let spawned = thread.spawn(move || {
            let taken = place.write(snapshot, &vault.recipients()).and_then(|at| {
                let kept = prune(&place.directory, keep).map_err(|error| Failure::of(&error))?;
                Ok((at, kept))
            });
            drop((place, vault));
            drop(done.send(taken));
        });
        drop(spawned.map_err(|error| Failure::of(&error))?);
        let (at, kept) = answer.await.map_err(|error| Failure::of(&error))??;
        if let Some(status) = &mut *self.report.write() {
            status.last_at = Some(at);
            status.last_drill_passed = Some(true);
            status.last_drill_at = Some(self.vault.clock().now());
            status.kept = kept;
            status.problem = None;
        }
        Ok(at)
    }
}

impl Place {
    /// Writes a snapshot, holds the drill, and only then gives it its name.
    fn write(&self, snapshot: Snapshot, recipients: &[Recipient]) -> Result<Timestamp, Failure> {
        let at = snapshot.created_at();
        let path = self.directory.join(name(at));
        let file = PrivateFile::create(&path).map_err(|error| Failure::of(&error))?;
        let file = snapshot.write(recipients, recipients, file).map_err(|error| Failure::of(&error))?;
        restore::drill(file.partial_path(), &self.identities, Some(&self.directory), &Progress::none())
            .map_err(|error| Failure { in_drill: true, ..Failure::of(&error) })?;
        file.keep().map_err(|error| Failure::of(&error))?;
        Ok(at)
    }
}

/// Drops all but the newest. Says how many there are then.
fn prune(directory: &Path, keep: usize) -> Result<u64, DaemonError> {
    let snapshots = list(directory)?;
    let too_many = snapshots.len().saturating_sub(keep);
    for (_, path) in &snapshots[..too_many] {
        fs::remove_file(path).map_err(DaemonError::io(format!("remove {}", path.display())))?;
    }
    Ok((snapshots.len() - too_many) as u64)
}

/// The snapshots that there are, the oldest first.
fn list(directory: &Path) -> Result<Vec<(Timestamp, PathBuf)>, DaemonError> {
    let failed = || DaemonError::io(format!("list {}", directory.display()));
    let mut snapshots = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        if let Some(at) = entry.file_name().to_str().and_then(moment) {
            snapshots.push((at, entry.path()));
        }
    }
    snapshots.sort();
    Ok(snapshots)
}

/// Clears away what a daemon left that was killed while it took a snapshot.
fn clear_leftovers(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(".hushd-")) {
            let path = entry.path();
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            if let Err(error) = removed {
                tracing::warn!(%error, path = %path.display(), "what an interrupted snapshot left cannot be removed");
            }
        }
    }
}

/// `hushd-20260715T120000000Z.age`.
fn name(at: Timestamp) -> String {
    let text: String = at.to_string().chars().filter(|character| !matches!(character, '-' | ':' | '.')).collect();
    format!("{PREFIX}{text}{SUFFIX}")
}

/// The moment in a snapshot's name; none where it is no snapshot's.
fn moment(file_name: &str) -> Option<Timestamp> {
    let text = file_name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    if text.len() != 19 || !text.is_ascii() {
        return None;
    }
    let part = |from: usize, to: usize| &text[from..to];
    let (date, time) = ((part(0, 4), part(4, 6), part(6, 8)), (part(9, 11), part(11, 13), part(13, 15)));
    let text = format!("{}-{}-{}T{}:{}:{}.{}Z", date.0, date.1, date.2, time.0, time.1, time.2, part(15, 18));
    text.parse().ok().filter(|at| name(*at) == file_name)
}

/// An error with its causes.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
            // The process has confined itself to the directories that there were when it started.
            text.push_str("; where the directory was made anew, restart the daemon");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::write_private_new;

    #[test]
    fn a_name_tells_the_moment_and_other_files_are_left_alone() {
        let at = Timestamp::from_millis(1_784_116_800_123);
        assert_eq!(name(at), "hushd-20260715T120000123Z.age");
        assert_eq!(moment(&name(at)), Some(at));
        for other in ["hushd-.age", "hushd-20260715T120000123Z", "hushd-20261315T120000123Z.age", "hushd-my own.age"] {
            assert_eq!(moment(other), None, "{other}");
        }
    }

    #[test]
    fn the_newest_are_kept_and_what_is_no_snapshot_stays() {
        let directory = tempfile::tempdir().unwrap();
        let at = |number: i64| Timestamp::from_millis(1_784_116_800_000 + number);
        for number in 0..5 {
            write_private_new(&directory.path().join(name(at(number))), b"").unwrap();
        }
        write_private_new(&directory.path().join("hushd-mine.age"), b"").unwrap();
        assert_eq!(prune(directory.path(), 2).unwrap(), 2);
        let left: Vec<_> = list(directory.path()).unwrap().into_iter().map(|(at, _)| at).collect();
        assert_eq!(left, [at(3), at(4)]);
        assert!(directory.path().join("hushd-mine.age").exists());
    }
}
