//! What a trail is taken up with: where it ends, and whether it ends where the vault says.
//!
//! Invariants: an end that a kill or a power cut tore is cut off, and never taken for tampering; anything else that is not
//! as it was written stays as it is, as evidence, and is told. Nothing before the vault's mark is ever cut off.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::audit::frame::{HEADER_LENGTH, Link};
use crate::audit::walk::{Segment, Step};
use crate::audit::{AuditError, segment};
use crate::crypto::AuditKeys;

/// What the vault remembers of its trail: a position that is on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The oldest segment that is kept.
    pub first_segment: u64,
    /// The segment of the position.
    pub segment: u64,
    /// Its byte in the segment.
    pub offset: u64,
    /// The last entry before it.
    pub sequence: u64,
    /// The link of the frame before it.
    pub link: Link,
    /// The last entry that was exported.
    pub exported: u64,
    /// Whether the trail was closed there: then nothing stands behind it, not even what is torn.
    pub closed: bool,
}

impl Mark {
    /// Whether what a kill or a power cut may have torn can stand at a byte of a segment.
    pub(super) fn allows_torn(&self, segment: u64, offset: u64) -> bool {
        segment > self.segment || (segment == self.segment && offset >= self.offset && !self.closed)
    }
}

/// Where the trail goes on.
#[derive(Debug, Default)]
pub(super) struct Resumed {
    pub(super) next_segment: u64,
    pub(super) next_sequence: u64,
    pub(super) previous: Link,
    /// Bytes of a torn end that were cut off.
    pub(super) torn: u64,
    /// What is not as it was written.
    pub(super) broken: Vec<String>,
    /// The changes whose entries stand after the mark.
    pub(super) changes: HashSet<[u8; 16]>,
}

/// Finds the end of the trail in `dir`, and cuts off what was torn.
pub(super) fn resume(dir: &Path, keys: &AuditKeys, mark: Option<&Mark>) -> Result<Resumed, AuditError> {
    let none = Mark { first_segment: 1, ..Mark::default() };
    let mark = mark.unwrap_or(&none);
    let segments = segment::list(dir)?;
    let mut resumed = Resumed {
        next_segment: mark.segment + 1,
        next_sequence: mark.sequence + 1,
        previous: mark.link,
        ..Resumed::default()
    };
    let mut met = mark.sequence == 0;
    let last = segments.last().map(|segment| segment.number);
    for file in segments.iter().filter(|file| file.number >= mark.segment) {
        resumed.next_segment = file.number + 1;
        let Some(read) = Segment::read(&file.path, keys)? else {
            resumed.broken.push(format!("segment {}: its header was changed", file.number));
            continue;
        };
        let mut link = read.link;
        if file.number > mark.segment && read.header.previous != resumed.previous {
            resumed.broken.push(format!("segment {}: it does not stand behind the one before it", file.number));
        }
        resumed.next_sequence = resumed.next_sequence.max(read.header.first);
        if file.number == mark.segment && read.link == mark.link && mark.offset == HEADER_LENGTH as u64 {
            met = true;
        }
        let here = |offset: u64| file.number > mark.segment || offset >= mark.offset;
        for step in read.walk(keys, 0) {
            match step {
                Step::Frame(offset, frame) => {
                    let end = (offset + frame.length) as u64;
                    if file.number == mark.segment && end == mark.offset && frame.link == mark.link {
                        met = true;
                    }
                    if frame.previous != link {
                        resumed.broken.push(format!("segment {}: byte {offset}: not in its place", file.number));
                    }
                    link = frame.link;
                    resumed.next_sequence = frame.first + frame.entries.len() as u64;
                    if here(end) {
                        resumed.changes.extend(frame.entries.iter().filter_map(|entry| entry.change));
                    }
                }
                Step::Broken(offset, _)
                    if last == Some(file.number)
                        && mark.allows_torn(file.number, offset as u64)
                        && read.is_torn(offset) =>
                {
                    resumed.torn = (read.bytes.len() - offset) as u64;
                    cut(&file.path, offset as u64)?;
                    break;
                }
                Step::Broken(offset, _) => {
                    resumed.broken.push(format!("segment {}: byte {offset}: changed", file.number));
                }
            }
        }
        resumed.previous = link;
        if last == Some(file.number) && resumed.torn == 0 {
            give_back(&file.path, read.bytes.len() as u64);
        }
    }
    if !met {
        resumed.broken.push(format!("entry {} and what stood before it are not where they were", mark.sequence));
        resumed.next_sequence = resumed.next_sequence.max(mark.sequence + 1);
    }
    Ok(resumed)
}

/// Gives back the space that was set aside for a segment whose writer was killed: nobody writes to it again, and on a full
/// disk the next segment has no other space.
fn give_back(path: &Path, length: u64) {
    if let Err(error) = cut(path, length) {
        tracing::warn!(%error, "the space that was set aside for the audit trail cannot be given back");
    }
}

fn cut(path: &Path, length: u64) -> Result<(), AuditError> {
    let file = OpenOptions::new().write(true).open(path).map_err(AuditError::io("cut off a torn entry"))?;
    file.set_len(length).and_then(|()| file.sync_all()).map_err(AuditError::io("cut off a torn entry"))
}
