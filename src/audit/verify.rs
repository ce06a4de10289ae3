//! Verifies the whole trail: finds every entry that was changed, removed, put elsewhere, doubled or cut off.
//!
//! Invariants: it changes nothing and decrypts everything; a torn end beyond the vault's mark is told and is no fault; a
//! segment that the daemon writes meanwhile is read up to where it is whole.

use std::path::Path;

use crate::api::{AuditFault, VerifyAuditResponse};
use crate::audit::frame::{HEADER_LENGTH, Link};
use crate::audit::resume::Mark;
use crate::audit::walk::{Segment, Step};
use crate::audit::{AuditError, segment};
use crate::crypto::AuditKeys;

/// A position that was told outside of the vault: after the entry of this number, the chain's digest was this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The last entry.
    pub sequence: u64,
    /// The digest.
    pub link: Link,
}

/// The text is not an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an anchor as hushd tells them: NUMBER:64 hexadecimal digits")]
pub struct InvalidAnchor;

impl std::fmt::Display for Anchor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:", self.sequence)?;
        self.link.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for Anchor {
    type Err = InvalidAnchor;

    /// Reads `SEQUENCE:DIGEST`; also from a whole line, of which it is a word.
    fn from_str(text: &str) -> Result<Self, InvalidAnchor> {
        let word = |word: &str| {
            let (sequence, digest) = word.split_once(':')?;
            let sequence = sequence.parse().ok()?;
            let mut link = [0; 32];
            if digest.len() != 64 || !digest.is_ascii() {
                return None;
            }
            for (byte, place) in link.iter_mut().zip(0..) {
                *byte = u8::from_str_radix(digest.get(2 * place..2 * place + 2)?, 16).ok()?;
            }
            Some(Self { sequence, link })
        };
        text.split_ascii_whitespace().find_map(word).ok_or(InvalidAnchor)
    }
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// In which segment.
    pub segment: u64,
    /// At which byte of it.
    pub offset: u64,
    /// The last entry that stands before it.
    pub after: u64,
    /// What is wrong.
    pub what: String,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Segments that were read.
    pub segments: u64,
    /// Entries that stand as they were written.
    pub entries: u64,
    /// The oldest of them.
    pub first: Option<u64>,
    /// The newest of them.
    pub last: Option<u64>,
    /// Bytes of a torn end, which the next start cuts off.
    pub torn: u64,
    /// Anchors that were found in the chain.
    pub anchors: u64,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

impl Report {
    /// The report as the API shows it.
    pub fn to_api(&self) -> VerifyAuditResponse {
        let fault = |fault: &Fault| AuditFault {
            segment: fault.segment,
            offset: fault.offset,
            after: fault.after,
            message: fault.what.clone(),
        };
        VerifyAuditResponse {
            ok: self.faults.is_empty(),
            segments: self.segments,
            entries: self.entries,
            first: self.first,
            last: self.last,
            torn_bytes: self.torn,
            anchors: self.anchors,
            faults: self.faults.iter().map(fault).collect(),
        }
    }
}

/// Verifies the trail in `dir` against what the vault remembers of it and what was told outside.
///
/// # Errors
/// [`AuditError::Io`] when a file cannot be read.
pub fn verify(dir: &Path, keys: &AuditKeys, mark: Option<&Mark>, anchors: &[Anchor]) -> Result<Report, AuditError> {
    let mut report = Report::default();
    let mut wanted: Vec<Anchor> = anchors.to_vec();
    if let Some(mark) = mark.filter(|mark| mark.sequence > 0) {
        wanted.push(Anchor { sequence: mark.sequence, link: mark.link });
    }
    let segments = segment::list(dir)?;
    let kept = |number: u64| mark.is_none_or(|mark| number >= mark.first_segment);
    let mut expected = mark.map(|mark| mark.first_segment).filter(|first| *first > 0);
    let mut before: Option<Link> = None;
    let (mut met_mark, mut last) = (mark.is_none_or(|mark| mark.sequence == 0), 0_u64);
    let newest = segments.last().map(|file| file.number);
    for file in segments.iter().filter(|file| kept(file.number)) {
        report.segments += 1;
        let mut fault = |offset: usize, after: u64, what: String| {
            report.faults.push(Fault { segment: file.number, offset: offset as u64, after, what });
        };
        if expected.is_some_and(|expected| expected != file.number) {
            fault(0, last, format!("segment {} is missing", expected.unwrap_or_default()));
            before = None;
        }
        expected = Some(file.number + 1);
        let Some(read) = Segment::read(&file.path, keys)? else {
            fault(0, last, "the header of the segment was changed".to_owned());
            before = None;
            continue;
        };
        if read.header.segment != file.number {
            fault(0, last, format!("this is segment {} under another name", read.header.segment));
        }
        if before.is_some_and(|before| before != read.header.previous) {
            fault(0, last, "entries at the end of the segment before are cut off or changed".to_owned());
        }
        let mut next = (last > 0).then_some(last + 1);
        if next.is_some_and(|next| next != read.header.first) {
            let what = missing(last, read.header.first);
            fault(0, last, what);
        }
        next = Some(read.header.first);
        let mut link = Some(read.link);
        anchors_met(&mut wanted, read.header.first.saturating_sub(1), &read.link, &mut report.anchors);
        if mark.is_some_and(|mark| mark.segment == file.number && mark.offset == HEADER_LENGTH as u64) {
            met_mark |= mark.is_some_and(|mark| mark.link == read.link);
        }
        let mut fault = |offset: usize, after: u64, what: String| {
            report.faults.push(Fault { segment: file.number, offset: offset as u64, after, what });
        };
        for step in read.walk(keys, 0) {
            match step {
                Step::Frame(offset, frame) => {
                    if link.is_some_and(|link| link != frame.previous) || next.is_some_and(|next| next != frame.first) {
                        let what = match frame.first.cmp(&next.unwrap_or(frame.first)) {
                            std::cmp::Ordering::Greater => missing(next.unwrap_or(1) - 1, frame.first),
                            std::cmp::Ordering::Less => {
                                format!("entry {} stands there twice, or in the wrong place", frame.first)
                            }
                            std::cmp::Ordering::Equal => "what stood before was changed".to_owned(),
                        };
                        fault(offset, last, what);
                    }
                    let end = frame.first + frame.entries.len() as u64;
                    report.entries += frame.entries.len() as u64;
                    report.first.get_or_insert(frame.first);
                    last = end - 1;
                    link = Some(frame.link);
                    next = Some(end);
                    anchors_met(&mut wanted, last, &frame.link, &mut report.anchors);
                    met_mark |= mark.is_some_and(|mark| mark.link == frame.link && mark.sequence == last);
                }
                Step::Broken(offset, end) => {
                    let after_mark = mark.is_none_or(|mark| mark.allows_torn(file.number, offset as u64));
                    if newest == Some(file.number) && after_mark && read.is_torn(offset) {
                        report.torn = (read.bytes.len() - offset) as u64;
                        break;
                    }
                    fault(offset, last, format!("{} bytes are not as they were written", end - offset));
                    // What comes next stands behind something that nobody knows: told once.
                    link = None;
                    next = None;
                }
            }
        }
        before = link;
    }
    report.last = (last > 0).then_some(last);
    let end = segments.last().map_or(0, |file| file.number);
    if !met_mark && let Some(mark) = mark {
        let what = format!("entry {} and what stood before it are cut off or changed", mark.sequence);
        report.faults.push(Fault { segment: mark.segment, offset: mark.offset, after: last, what });
        wanted.retain(|anchor| anchor.sequence != mark.sequence);
    }
    for anchor in wanted {
        // One that was dropped with its segment says nothing any more.
        if report.first.is_some_and(|first| anchor.sequence + 1 >= first) || report.entries == 0 {
            let what = format!("entry {} is not the one that an anchor names: cut off or changed", anchor.sequence);
            report.faults.push(Fault { segment: end, offset: 0, after: last, what });
        }
    }
    Ok(report)
}

fn missing(last: u64, next: u64) -> String {
    match next.checked_sub(last + 1) {
        Some(0) | None => format!("entry {next} stands there twice, or in the wrong place"),
        Some(1) => format!("entry {} is missing", last + 1),
        Some(_) => format!("entries {} to {} are missing", last + 1, next - 1),
    }
}

fn anchors_met(wanted: &mut Vec<Anchor>, sequence: u64, link: &Link, met: &mut u64) {
    let before = wanted.len();
    wanted.retain(|anchor| !(anchor.sequence == sequence && anchor.link == *link));
    *met += (before - wanted.len()) as u64;
}
