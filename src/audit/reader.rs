//! Reading the trail: backwards by pages for people, forwards for whoever follows it.
//!
//! Invariants: what is broken is passed over here, and told by [`verify`](crate::audit::verify()); memory holds one segment
//! and one page; no call reads more than a bounded part of the trail, and a page says where the next one begins.

use std::path::Path;

use crate::audit::entry::{Action, Entry, Numbered};
use crate::audit::frame::Header;
use crate::audit::segment::SegmentFile;
use crate::audit::walk::{Segment, Step};
use crate::audit::{AuditError, Trail, segment};
use crate::clock::Timestamp;
use crate::crypto::AuditKeys;

/// Segments that one call reads at most.
const MOST_SEGMENTS: usize = 8;

/// Which entries are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Whose principal, unit or executable is this.
    pub actor: Option<String>,
    /// That did this.
    pub action: Option<Action>,
    /// In this namespace.
    pub namespace: Option<String>,
    /// To this secret.
    pub key: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// Some entries, and where to go on.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Numbered>,
    /// What the next call takes; none at the end.
    pub next: Option<u64>,
}

impl Filter {
    /// Whether an entry is wanted.
    pub fn matches(&self, entry: &Entry) -> bool {
        let same =
            |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|text| found == Some(text));
        let actor = self.actor.as_deref().is_none_or(|wanted| {
            let actor = &entry.actor;
            &*actor.principal == wanted
                || actor.unit.as_deref() == Some(wanted)
                || actor.executable.as_deref() == Some(wanted)
        });
        actor
            && self.action.is_none_or(|wanted| entry.action == wanted)
            && same(&self.namespace, entry.namespace.as_deref())
            && same(&self.key, entry.key.as_deref())
            && self.since.is_none_or(|since| entry.time >= since.as_millis())
            && self.until.is_none_or(|until| entry.time < until.as_millis())
    }
}

impl Trail {
    /// The newest entries before the one numbered `before` (of all, where none is named), the newest first.
    ///
    /// # Errors
    /// [`AuditError::Io`].
    pub fn newest(&self, filter: &Filter, before: Option<u64>, limit: usize) -> Result<Page, AuditError> {
        let before = before.unwrap_or(u64::MAX);
        let (dir, keys) = self.place();
        let mut page = Page::default();
        let mut read = 0;
        let mut oldest = before;
        for file in segment::list(dir)?.iter().rev() {
            let Some(header) = header(&file.path, keys).filter(|header| header.first < before) else { continue };
            if read == MOST_SEGMENTS {
                page.next = Some(oldest);
                return Ok(page);
            }
            read += 1;
            let mut found = Vec::new();
            entries_of(file, keys, &mut |numbered| {
                if numbered.sequence < before && filter.matches(&numbered.entry) {
                    found.push(numbered);
                }
            })?;
            oldest = header.first;
            for numbered in found.into_iter().rev() {
                if page.entries.len() == limit {
                    page.next = page.entries.last().map(|last| last.sequence);
                    return Ok(page);
                }
                page.entries.push(numbered);
            }
            if filter.since.is_some_and(|since| header.created < since.as_millis()) {
                break;
            }
        }
        Ok(page)
    }

    /// The entries after the one numbered `after`, the oldest first. Its `next` is the last entry that was looked at.
    ///
    /// # Errors
    /// [`AuditError::Io`].
    pub fn following(&self, filter: &Filter, after: u64, limit: usize) -> Result<Page, AuditError> {
        let (dir, keys) = self.place();
        let mut page = Page { entries: Vec::new(), next: Some(after) };
        let segments = segment::list(dir)?;
        let starts: Vec<Option<u64>> =
            segments.iter().map(|file| header(&file.path, keys).map(|header| header.first)).collect();
        // From the last segment on that begins at or before what is wanted.
        let from = starts.iter().rposition(|first| first.is_some_and(|first| first <= after + 1)).unwrap_or(0);
        for file in segments.iter().skip(from).take(MOST_SEGMENTS) {
            entries_of(file, keys, &mut |numbered| {
                if numbered.sequence > after && page.entries.len() < limit {
                    page.next = page.next.max(Some(numbered.sequence));
                    if filter.matches(&numbered.entry) {
                        page.entries.push(numbered);
                    }
                }
            })?;
            if page.entries.len() >= limit {
                break;
            }
        }
        Ok(page)
    }
}

/// When a segment was begun.
pub(super) fn created(path: &Path, keys: &AuditKeys) -> Option<Timestamp> {
    header(path, keys).map(|header| Timestamp::from_millis(header.created))
}

fn header(path: &Path, keys: &AuditKeys) -> Option<Header> {
    use std::io::Read as _;
    let mut bytes = Vec::with_capacity(super::frame::HEADER_LENGTH);
    let file = std::fs::File::open(path).ok()?;
    file.take(super::frame::HEADER_LENGTH as u64).read_to_end(&mut bytes).ok()?;
    Header::decode(&bytes, keys).map(|(header, _)| header)
}

fn entries_of(file: &SegmentFile, keys: &AuditKeys, visit: &mut dyn FnMut(Numbered)) -> Result<(), AuditError> {
    let read = match Segment::read(&file.path, keys) {
        Ok(Some(read)) => read,
        Ok(None) => return Ok(()),
        // It was dropped meanwhile.
        Err(AuditError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for step in read.walk(keys, 0) {
        if let Step::Frame(_, frame) = step {
            for (sequence, entry) in (frame.first..).zip(frame.entries) {
                visit(Numbered { sequence, entry });
            }
        }
    }
    Ok(())
}
