//! The thread that tells the trail to others: anchors of its head, and exports of its entries.
//!
//! Invariants: the trail itself is the queue, so that a consumer that is slow, or gone for a day, costs no memory and makes
//! nobody wait; entries that were dropped before it took them are told to it as a gap; after a crash it may get entries
//! again, with the same numbers. A sealed vault's trail is told nothing of.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Weak};
use std::thread::{JoinHandle, park_timeout};
use std::time::Duration;

use crate::audit::{Anchor, Filter, JOURNAL, Outlet, Trail};
use crate::clock::Timestamp;
use crate::config::{AuditConfig, AuditExport};
use crate::vault::Vault;

/// How often it is looked for more.
const GLANCE: Duration = Duration::from_secs(1);
/// Entries that are told at once.
const AT_ONCE: usize = 512;
/// How long the daemon's end waits for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// The thread.
#[derive(Debug)]
pub(super) struct Telling {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    ended: Receiver<()>,
}

struct Teller {
    vault: Weak<Vault>,
    anchors: Vec<Outlet>,
    every: Duration,
    exports: Vec<Outlet>,
    /// The last anchor that was told, and when.
    told: (u64, Option<Timestamp>),
    complained: bool,
}

impl Telling {
    /// Begins to tell what the configuration says.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(super) fn begin(config: &AuditConfig, vault: &Arc<Vault>) -> std::io::Result<Self> {
        let mut anchors = Vec::new();
        if Path::new(JOURNAL).exists() {
            anchors.push(Outlet::Journal(JOURNAL.into()));
        }
        anchors.extend(config.anchor_file.clone().map(Outlet::File));
        if !config.anchor_command.is_empty() {
            anchors.push(Outlet::program(&config.anchor_command));
        }
        let mut exports: Vec<Outlet> = match &config.export {
            Some(AuditExport::Journald) => vec![Outlet::Journal(JOURNAL.into())],
            Some(AuditExport::File(path)) => vec![Outlet::File(path.clone())],
            None => Vec::new(),
        };
        if !config.export_command.is_empty() {
            exports.push(Outlet::program(&config.export_command));
        }
        let every = config.anchor_every.duration();
        let vault = Arc::downgrade(vault);
        let mut teller = Teller { vault, anchors, every, exports, told: (0, None), complained: false };
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, ended) = sync_channel(1);
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("audit-export".to_owned()).spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                teller.tell(false);
                park_timeout(GLANCE);
            }
            teller.tell(true);
            teller.exports.iter_mut().chain(&mut teller.anchors).for_each(Outlet::finish);
            // Fails only when nobody waits any more.
            sender.send(()).ok();
        })?;
        Ok(Self { stop, thread, ended })
    }

    /// Tells what is left, and ends. One that does not take it is not waited for.
    pub(super) fn end(self) {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        if self.ended.recv_timeout(PATIENCE).is_err() {
            tracing::warn!("what the audit trail is exported to did not take all of it in time");
        }
    }
}

impl Teller {
    fn tell(&mut self, last: bool) {
        let Some(vault) = self.vault.upgrade() else { return };
        self.anchor(&vault, last);
        let Some(trail) = vault.trail().filter(|_| !self.exports.is_empty()) else { return };
        let result = self.export(&vault, trail);
        if let (Err(error), false) = (&result, self.complained) {
            tracing::warn!(%error, "the audit trail cannot be exported; what is missing is sent when it can be");
        }
        self.complained = result.is_err();
    }

    fn anchor(&mut self, vault: &Vault, last: bool) {
        let Some(mark) = vault.trail_mark() else { return };
        let now = vault.clock().now();
        let (sequence, at) = self.told;
        let due = last || at.is_none_or(|at| now.since(at) >= self.every);
        if mark.sequence == sequence || !due || self.anchors.is_empty() {
            return;
        }
        let anchor = Anchor { sequence: mark.sequence, link: mark.link };
        let line = [format!("hushd-audit {} {now} {anchor}", vault.id())];
        for outlet in &mut self.anchors {
            let written = outlet.write(&line);
            // Each anchor is a run of its own.
            outlet.finish();
            if let Err(error) = written {
                tracing::warn!(%error, "an anchor of the audit trail could not be told");
            }
        }
        self.told = (mark.sequence, Some(now));
    }

    fn export(&mut self, vault: &Vault, trail: &Trail) -> Result<(), String> {
        loop {
            let after = vault.exported();
            let newest = trail.last().or_else(|| vault.trail_mark().map(|mark| mark.sequence)).unwrap_or(0);
            trail.counters.export_lag.store(newest.saturating_sub(after), Ordering::Relaxed);
            if newest <= after {
                return Ok(());
            }
            let page = trail.following(&Filter::default(), after, AT_ONCE).map_err(|error| error.to_string())?;
            let Some(last) = page.entries.last().map(|numbered| numbered.sequence) else { return Ok(()) };
            let mut lines = Vec::with_capacity(page.entries.len());
            let mut expected = after + 1;
            for numbered in &page.entries {
                if numbered.sequence > expected {
                    let (from, to) = (expected, numbered.sequence - 1);
                    lines.push(serde_json::json!({ "gap": { "from": from, "to": to } }).to_string());
                }
                expected = numbered.sequence + 1;
                lines.push(serde_json::to_string(&numbered.to_api()).map_err(|error| error.to_string())?);
            }
            for outlet in &mut self.exports {
                outlet.write(&lines).map_err(|error| error.to_string())?;
            }
            vault.note_exported(last);
        }
    }
}
