//! The vault's side of the audit trail: what is recorded of each verb, and the outbox that ties a change to its entry.
//!
//! Invariants: a value leaves only after its entry was written, unless its namespace is configured as best effort, and then
//! the gap is recorded as soon as the trail can be written; the entry of a change is in the change's own batch; an entry
//! leaves the outbox only after it is on the disk in the trail, together with the mark that says so.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::audit::{Action, Actor, AuditError, Consumers, Entry, Mark, Outcome, Refusals, Trail, TrailOptions};
use crate::auth::{Caller, Peer};
use crate::config::AuditScope;
use crate::model::{Key, Namespace, RequestId};
use crate::store::{Batch, StoreError, Table};
use crate::vault::commit::{crypto, store as store_error, undecodable};
use crate::vault::{AuditCounts, Permit, Vault, VaultError, record};

/// Where the mark is, in [`Table::Vault`].
const MARK: &[u8] = b"audit";
/// How the keys of the outbox begin.
const OUTBOX: &[u8] = b"outbox/";
/// Changes that may wait for a trail that cannot be written.
const MOST_WAITING: usize = 4096;

/// What is asked of the trail.
#[derive(Clone, Debug, Default)]
pub struct AuditRules {
    /// What is revealed only to who says why.
    pub require_reason: Vec<AuditScope>,
    /// What is revealed also when it cannot be recorded.
    pub best_effort: Vec<AuditScope>,
}

/// An open vault's trail.
#[derive(Debug)]
pub(super) struct Audit {
    trail: Arc<Trail>,
    rules: AuditRules,
    refusals: Refusals,
    pub(super) consumers: Mutex<Consumers>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What the vault has stored.
    mark: Option<Mark>,
    /// The oldest segment that is to be kept, from 1 on, which the next mark says.
    keep_from: u64,
    /// Changes that are durable, and whose entries are not in the trail yet.
    waiting: Vec<Entry>,
    /// Changes whose entries are in the trail, and still in the outbox.
    written: Vec<[u8; 16]>,
    /// Reveals that could not be recorded.
    gap: Option<(i64, u32)>,
    /// What was found broken when the trail was opened.
    broken: Vec<String>,
}

impl Vault {
    /// The trail in numbers.
    pub(super) fn audit_counts(&self) -> Option<AuditCounts> {
        let counters = &self.audit.get()?.trail.counters;
        Some(AuditCounts {
            entries: counters.entries.load(Ordering::Relaxed),
            failures: counters.failures.load(Ordering::Relaxed),
            queue: counters.queue.load(Ordering::Relaxed),
        })
    }

    /// Opens the trail in `dir`, and completes what a crash left undone. Without this call nothing is recorded: for
    /// scratch vaults and verbs that reveal nothing. A trail that cannot be opened is tried again by
    /// [`Vault::tend_trail`], and nothing is revealed until then.
    ///
    /// # Errors
    /// [`VaultError::Store`] when the outbox cannot be read.
    pub fn open_trail(&self, dir: &Path, options: TrailOptions, rules: AuditRules) -> Result<(), VaultError> {
        let keys = self.keyring.audit_keys();
        let trail = Arc::new(Trail::new(dir, keys, Arc::clone(&self.clock), options));
        let mark = self.read_mark()?;
        let keep_from = mark.map_or(1, |mark| mark.first_segment.max(1));
        let state = Mutex::new(State { mark, keep_from, ..State::default() });
        let audit = Audit { trail, rules, refusals: Refusals::default(), consumers: Mutex::default(), state };
        let audit = self.audit.get_or_init(|| audit);
        if let Err(error) = self.take_up(audit) {
            tracing::error!(%error, "the audit trail cannot be written: nothing is revealed");
        }
        Ok(())
    }

    /// The trail, for who reads it.
    pub fn trail(&self) -> Option<&Arc<Trail>> {
        self.audit.get().map(|audit| &audit.trail)
    }

    /// What the vault remembers of its trail.
    pub fn trail_mark(&self) -> Option<Mark> {
        self.audit.get().and_then(|audit| audit.state.lock().mark)
    }

    /// The last entry that was exported.
    pub fn exported(&self) -> u64 {
        self.trail_mark().map_or(0, |mark| mark.exported)
    }

    /// Remembers what was exported; it is stored with the next position.
    pub fn note_exported(&self, sequence: u64) {
        if let Some(audit) = self.audit.get() {
            audit.state.lock().mark.get_or_insert_default().exported = sequence;
        }
    }

    /// Stores what was exported, at the end.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn store_exported(&self) -> Result<(), VaultError> {
        match (self.audit.get(), self.trail_mark()) {
            (Some(audit), Some(mark)) if mark.exported > 0 => self.note_position(audit, mark, Vec::new()),
            (_, _) => Ok(()),
        }
    }

    /// What is wrong with the trail: why it cannot be written, and what was changed in it.
    pub(super) fn trail_problems(&self) -> (Option<String>, Vec<String>) {
        let Some(audit) = self.audit.get() else { return (None, Vec::new()) };
        let down = audit
            .trail
            .problem()
            .map(|_| "the audit trail cannot be written: nothing is revealed until it can; see the log".to_owned());
        let state = audit.state.lock();
        let broken = state.broken.iter().map(|what| format!("the audit trail was tampered with: {what}"));
        (down, broken.collect())
    }

    /// Whether what is revealed can be recorded.
    pub fn is_recording(&self) -> bool {
        self.audit.get().is_none_or(|audit| audit.trail.is_writable())
    }

    /// Records reveals before the values leave, together with those of the other requests at hand.
    pub(super) async fn record_reveals(&self, entries: &[Entry]) -> Result<(), VaultError> {
        let Some(audit) = self.audit.get() else { return Ok(()) };
        match audit.trail.record_together(entries).await {
            Ok(()) => Ok(()),
            Err(error) => self.excuse(audit, entries, error),
        }
    }

    /// Records something before it happens.
    pub(super) fn record_at_once(&self, entry: Entry) -> Result<(), VaultError> {
        let Some(audit) = self.audit.get() else { return Ok(()) };
        let entries = [entry];
        audit.trail.record(&entries).or_else(|error| self.excuse(audit, &entries, error))
    }

    /// Lets what could not be recorded happen where it is configured so, and remembers the gap.
    fn excuse(&self, audit: &Audit, entries: &[Entry], error: AuditError) -> Result<(), VaultError> {
        let excused = entries.iter().all(|entry| {
            let (namespace, key) = (entry.namespace.as_deref().unwrap_or(""), entry.key.as_deref().unwrap_or(""));
            audit.rules.best_effort.iter().any(|scope| scope.covers(namespace, key))
        });
        if !excused {
            return Err(VaultError::Unrecorded { source: error });
        }
        let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        let mut state = audit.state.lock();
        let (_, missing) = state.gap.get_or_insert((self.clock.now().as_millis(), 0));
        *missing = missing.saturating_add(count);
        Ok(())
    }

    /// The entry of something that `caller` was allowed to do.
    pub(super) fn entry(&self, caller: &Caller, permit: &Permit, action: Action) -> Entry {
        let rule = Some(permit.rule().to_string().into());
        Entry { rule, ..self.bare_entry(caller, action, Outcome::Done) }
    }

    fn bare_entry(&self, caller: &Caller, action: Action, outcome: Outcome) -> Entry {
        let actor = actor(caller.principal.to_string().into(), caller.peer.as_deref());
        let request_id = match &caller.request_id {
            RequestId::None => None,
            RequestId::Sent(id) => Some(Arc::clone(id)),
            RequestId::Made(_) => Some(caller.request_id.to_string().into()),
        };
        let reason = caller.reason.clone();
        Entry { request_id, reason, ..Entry::new(self.clock.now().as_millis(), actor, action, outcome) }
    }

    /// The entry of the reveal of one secret.
    pub(super) fn reveal_entry(
        &self,
        caller: &Caller,
        permit: &Permit,
        (namespace, key): (&Namespace, &Key),
        revision: u64,
    ) -> Entry {
        let entry = self.entry(caller, permit, Action::Reveal);
        Entry { revision: Some(revision), ..of_secret(entry, namespace, Some(key)) }
    }

    /// Refuses who says no reason for what is only revealed to who does.
    pub(super) fn require_reason(&self, caller: &Caller, namespace: &Namespace, key: &Key) -> Result<(), VaultError> {
        let Some(audit) = self.audit.get() else { return Ok(()) };
        let scopes = &audit.rules.require_reason;
        if caller.reason.is_some() || !scopes.iter().any(|scope| scope.covers(namespace.as_str(), key.as_str())) {
            return Ok(());
        }
        self.refused(caller, Action::Reveal, Some(namespace), Some(key), "audit.require-reason");
        Err(VaultError::Forbidden {
            message: format!("A reason is required to read {key} in {namespace}"),
            next: Some("Say why: send the header X-Reason, or set HUSHD_REASON for the command line"),
        })
    }

    /// Records that something was done that reveals no value and changes nothing. One that cannot be recorded is an error.
    pub(super) fn record_use(
        &self,
        caller: &Caller,
        permit: &Permit,
        action: Action,
        namespace: Option<&Namespace>,
        key: Option<&Key>,
    ) -> Result<(), VaultError> {
        if self.audit.get().is_none() {
            return Ok(());
        }
        let entry = self.entry(caller, permit, action);
        self.record_at_once(match namespace {
            Some(namespace) => of_secret(entry, namespace, key),
            None => entry,
        })
    }

    /// Records a refusal, together with its repeats.
    pub(super) fn refused(
        &self,
        caller: &Caller,
        action: Action,
        namespace: Option<&Namespace>,
        key: Option<&Key>,
        rule: &str,
    ) {
        let entry = Entry { rule: Some(rule.into()), ..self.bare_entry(caller, action, Outcome::Refused) };
        self.note_refusal(match namespace {
            Some(namespace) => of_secret(entry, namespace, key),
            None => entry,
        });
    }

    /// Records that nobody was recognised, together with its repeats.
    pub(super) fn unrecognised(&self, peer: Option<&Peer>, why: &str) {
        let actor = actor("".into(), peer);
        let entry = Entry::new(self.clock.now().as_millis(), actor, Action::Authenticate, Outcome::Refused);
        self.note_refusal(Entry { rule: Some(why.into()), ..entry });
    }

    fn note_refusal(&self, entry: Entry) {
        let Some(audit) = self.audit.get() else { return };
        if let Some(entry) = audit.refusals.note(entry)
            && let Err(error) = audit.trail.record(&[entry])
        {
            tracing::warn!(%error, "a refusal was not recorded");
        }
    }

    /// Hands a change to the store together with its entry, which is then appended to the trail.
    pub(super) async fn submit_recorded(&self, verb: &str, mut batch: Batch, entry: Entry) -> Result<(), VaultError> {
        let Some(audit) = self.audit.get() else { return self.submit(verb, batch).await };
        if audit.state.lock().waiting.len() >= MOST_WAITING {
            let reason = audit.trail.problem().unwrap_or_default();
            return Err(VaultError::Unrecorded { source: AuditError::Down { reason: reason.into() } });
        }
        let id = uuid::Uuid::new_v4().into_bytes();
        let entry = Entry { change: Some(id), ..entry };
        let plain = record::encode(&entry).map_err(|error| undecodable(verb, error))?;
        let key = outbox_key(&id);
        let bytes = self.keyring.encrypt_record(Table::Vault, &key, &plain).map_err(|source| crypto(verb, source))?;
        batch.put(Table::Vault, key, bytes);
        self.submit(verb, batch).await?;
        {
            let mut state = audit.state.lock();
            let same = |other: &Entry| other.change == Some(id);
            // The store may have been reopened meanwhile, and the outbox been read anew.
            if !state.written.contains(&id) && !state.waiting.iter().any(same) {
                state.waiting.push(entry);
            }
        }
        audit.append_waiting();
        Ok(())
    }

    /// What is done for the trail about once a second. Blocks: not for a thread of the runtime.
    ///
    /// # Errors
    /// [`VaultError::Unrecorded`] and [`VaultError::Store`], after which it is simply called again.
    pub fn tend_trail(&self) -> Result<(), VaultError> {
        let Some(audit) = self.audit.get() else { return Ok(()) };
        if !audit.trail.is_writable() {
            self.take_up(audit)?;
        }
        audit.flush(self.clock.now().as_millis(), false)?;
        self.sync_trail(audit)
    }

    /// Brings the trail to the disk, then remembers where it ends.
    fn sync_trail(&self, audit: &Audit) -> Result<(), VaultError> {
        // Taken together, while no change is recorded: one that stands before the mark and stays in the outbox would be
        // taken for one that is missing, and recorded once more.
        let (written, unsynced) = {
            let mut state = audit.state.lock();
            let Some(unsynced) = audit.trail.unsynced().map_err(unrecorded)? else { return Ok(()) };
            (std::mem::take(&mut state.written), unsynced)
        };
        match audit.trail.sync(unsynced) {
            Ok(position) => self.note_position(audit, position, written),
            Err(error) => {
                audit.state.lock().written.extend(written);
                Err(unrecorded(error))
            }
        }
    }

    /// Drops what is too old or too much of the trail. Blocks as [`Vault::tend_trail`].
    ///
    /// # Errors
    /// As [`Vault::tend_trail`].
    pub fn trim_trail(&self) -> Result<(), VaultError> {
        let Some(audit) = self.audit.get().filter(|audit| audit.trail.problem().is_none()) else { return Ok(()) };
        let first = audit.trail.first_to_keep().map_err(unrecorded)?;
        if first > audit.state.lock().keep_from {
            let text = format!("segments before {first} were dropped");
            let entry = Entry::own(self.clock.now().as_millis(), Action::Trim, text);
            audit.trail.record(&[entry]).map_err(unrecorded)?;
            audit.state.lock().keep_from = first;
            self.tend_trail()?;
        }
        // Not before the vault has stored that they are to go: whoever is killed in between would find them missing.
        let stored = audit.state.lock().mark.map_or(0, |mark| mark.first_segment);
        audit.trail.drop_before(first.min(stored)).map_err(unrecorded)?;
        audit.trail.set_aside();
        Ok(())
    }

    /// Ends the trail in order, because the daemon stops or the vault is sealed. Blocks as [`Vault::tend_trail`].
    ///
    /// # Errors
    /// As [`Vault::tend_trail`].
    pub fn close_trail(&self, action: Action) -> Result<(), VaultError> {
        let Some(audit) = self.audit.get() else { return Ok(()) };
        audit.flush(self.clock.now().as_millis(), true)?;
        let position = audit.trail.close(action).map_err(unrecorded)?;
        let written = std::mem::take(&mut audit.state.lock().written);
        position.map_or(Ok(()), |position| self.note_position(audit, position, written))
    }

    /// Opens the trail (again), and appends what the outbox holds and the trail does not.
    fn take_up(&self, audit: &Audit) -> Result<(), VaultError> {
        let mark = audit.state.lock().mark;
        let opened = audit.trail.open(mark.as_ref()).map_err(unrecorded)?;
        for what in &opened.broken {
            tracing::error!(what, "the audit trail is not as it was written: see hushd audit verify");
        }
        {
            let mut state = audit.state.lock();
            state.broken.extend(opened.broken);
            state.broken.truncate(16);
        }
        self.read_outbox(audit, &opened.changes)?;
        audit.append_waiting();
        self.sync_trail(audit)
    }

    /// After the store was opened anew: what was in doubt is there, or not.
    pub(super) fn reread_outbox(&self) {
        if let Some(audit) = self.audit.get() {
            let known = audit.state.lock().written.iter().copied().collect();
            if let Err(error) = self.read_outbox(audit, &known) {
                tracing::error!(%error, "the outbox of the audit trail cannot be read");
            }
            audit.append_waiting();
        }
    }

    fn read_outbox(&self, audit: &Audit, in_trail: &HashSet<[u8; 16]>) -> Result<(), VaultError> {
        let failed = |source| store_error("read the audit outbox", source);
        let (mut waiting, mut written) = (Vec::new(), Vec::new());
        let scanned = self.store.scan(Table::Vault, &mut |key, bytes| {
            let Some(id) = key.strip_prefix(OUTBOX).and_then(|id| <[u8; 16]>::try_from(id).ok()) else {
                return ControlFlow::Continue(());
            };
            if in_trail.contains(&id) {
                written.push(id);
                return ControlFlow::Continue(());
            }
            let plain = self.keyring.decrypt_record(Table::Vault, key, bytes).ok();
            if let Some(entry) = plain.and_then(|plain| record::decode::<Entry>(&plain).ok()) {
                waiting.push(entry);
            } else {
                tracing::error!("an entry in the outbox of the audit trail cannot be read");
            }
            ControlFlow::Continue(())
        });
        scanned.map_err(failed)?;
        waiting.sort_by_key(|entry: &Entry| entry.time);
        let mut state = audit.state.lock();
        state.written = written;
        state.waiting = waiting;
        Ok(())
    }

    pub(super) fn read_mark(&self) -> Result<Option<Mark>, VaultError> {
        let failed = |source: StoreError| store_error("read the mark of the audit trail", source);
        let Some(bytes) = self.store.get(Table::Vault, MARK).map_err(failed)? else { return Ok(None) };
        let unreadable = |what: String| VaultError::Internal { verb: "open the audit trail".to_owned(), detail: what };
        let plain =
            self.keyring.decrypt_record(Table::Vault, MARK, &bytes).map_err(|error| unreadable(error.to_string()))?;
        record::decode(&plain).map(Some).map_err(|error| unreadable(error.to_string()))
    }

    /// Remembers a position of the trail that is on the disk, and clears the outbox of what stands before it.
    fn note_position(&self, audit: &Audit, position: Mark, written: Vec<[u8; 16]>) -> Result<(), VaultError> {
        let verb = "remember the audit trail";
        let (exported, first_segment) = {
            let state = audit.state.lock();
            (state.mark.map_or(0, |mark| mark.exported), state.keep_from)
        };
        let mark = Mark { first_segment, exported, ..position };
        let mut batch = Batch::default();
        for id in &written {
            batch.delete(Table::Vault, outbox_key(id));
        }
        let plain = record::encode(&mark).map_err(|error| undecodable(verb, error))?;
        let bytes = self.keyring.encrypt_record(Table::Vault, MARK, &plain).map_err(|source| crypto(verb, source))?;
        batch.put(Table::Vault, MARK.to_vec(), bytes);
        let noted =
            self.hand_over(verb, batch).and_then(|pending| pending.wait().map_err(|source| store_error(verb, source)));
        let mut state = audit.state.lock();
        match noted {
            Ok(()) => {
                // What was exported since is not forgotten.
                let exported = state.mark.map_or(0, |now| now.exported);
                state.mark = Some(Mark { exported: exported.max(mark.exported), ..mark });
            }
            Err(_) => state.written.extend(written),
        }
        audit.trail.counters.queue.store((state.waiting.len() + state.written.len()) as u64, Ordering::Relaxed);
        noted
    }
}

impl Audit {
    /// Appends the entries of changes that are durable.
    fn append_waiting(&self) {
        let mut state = self.state.lock();
        while !state.waiting.is_empty() {
            if let Err(error) = self.trail.record(&state.waiting[..1]) {
                tracing::warn!(%error, "the entry of a change waits in the outbox for the audit trail");
                return;
            }
            let entry = state.waiting.remove(0);
            state.written.extend(entry.change);
        }
    }

    /// Writes what waits: changes, gaps, and repeats of refusals.
    fn flush(&self, now: i64, at_once: bool) -> Result<(), VaultError> {
        self.append_waiting();
        let gap = self.state.lock().gap.take();
        if let Some((since, count)) = gap {
            let since = crate::clock::Timestamp::from_millis(since);
            let text = format!("reveals since {since} were not recorded");
            let entry = Entry { count, outcome: Outcome::Failed, ..Entry::own(now, Action::Gap, text) };
            if let Err(error) = self.trail.record(&[entry]) {
                let mut state = self.state.lock();
                let missing = state.gap.map_or(0, |(_, count)| count);
                state.gap = Some((since.as_millis(), count.saturating_add(missing)));
                return Err(unrecorded(error));
            }
        }
        self.trail.record(&self.refusals.flush(now, at_once)).map_err(unrecorded)
    }
}

/// Says which secret, or which namespace, an entry is about.
pub(super) fn of_secret(entry: Entry, namespace: &Namespace, key: Option<&Key>) -> Entry {
    Entry { namespace: Some(namespace.as_str().into()), key: key.map(|key| key.as_str().into()), ..entry }
}

fn actor(principal: Arc<str>, peer: Option<&Peer>) -> Actor {
    Actor {
        principal,
        uid: peer.map(|peer| peer.uid),
        pid: peer.and_then(|peer| peer.pid),
        unit: peer.and_then(|peer| Some(peer.unit.as_ref()?.to_string().into())),
        executable: peer.and_then(|peer| peer.program.clone()),
    }
}

fn outbox_key(id: &[u8; 16]) -> Vec<u8> {
    [OUTBOX, id].concat()
}

fn unrecorded(source: AuditError) -> VaultError {
    VaultError::Unrecorded { source }
}
