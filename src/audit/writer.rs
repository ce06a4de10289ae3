//! The end of the trail: encrypts entries, chains them, and hands them to the kernel.
//!
//! Invariants: a number is used once for a segment, also when the write failed; a write that failed leaves no part behind,
//! or ends the writer; a segment is on the disk before the next one begins, so that only the last one can be torn.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::audit::frame::{self, FRAME_HEAD, HEADER_LENGTH, Header, Link};
use crate::audit::{AuditError, Mark, segment};
use crate::crypto::{AuditKeys, SegmentCipher};

/// How segments are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Bytes of a segment.
    pub(super) size: u64,
    /// The longest that one is written to.
    pub(super) age: Duration,
}

/// Writes into one segment after the other.
pub(super) struct Writer {
    dir: PathBuf,
    path: PathBuf,
    file: Arc<File>,
    inode: (u64, u64),
    cipher: SegmentCipher,
    segment: u64,
    created: i64,
    /// The number of the next frame.
    number: u32,
    offset: u64,
    link: Link,
    next: u64,
    /// When it was last looked whether the file is in its place.
    looked: i64,
    /// Whether something was written that may not be on the disk.
    pub(super) unsynced: bool,
}

impl Writer {
    /// Begins a segment behind everything that there is.
    pub(super) fn begin(
        dir: &Path,
        keys: &AuditKeys,
        shape: Shape,
        (segment, first, previous): (u64, u64, Link),
        now: i64,
    ) -> Result<Self, AuditError> {
        let salt = keys.new_salt().map_err(|error| AuditError::Entry { what: error.to_string().into() })?;
        let header = Header { segment, created: now, first, previous, salt };
        let (file, link) = segment::create(dir, &header, keys, shape.size)?;
        Ok(Self {
            dir: dir.to_owned(),
            path: segment::path(dir, segment),
            inode: segment::inode(&file)?,
            file: Arc::new(file),
            cipher: keys.segment(&salt),
            segment,
            created: now,
            number: 0,
            offset: HEADER_LENGTH as u64,
            link,
            next: first,
            looked: i64::MIN,
            unsynced: true,
        })
    }

    /// Writes entries that are encoded one after the other. Gives the sequence number of the first.
    pub(super) fn append(
        &mut self,
        keys: &AuditKeys,
        shape: Shape,
        plain: &[u8],
        count: u64,
        now: i64,
    ) -> Result<u64, AuditError> {
        // That it is there is looked at each time, that its directory can be written once in a millisecond.
        if self.looked != now {
            self.require_place()?;
            self.looked = now;
        } else if !segment::is_same(&self.path, self.inode) {
            return Err(AuditError::Gone);
        }
        let length = (FRAME_HEAD + plain.len() + crate::crypto::AUDIT_TAG_LENGTH) as u64;
        let aged = now.saturating_sub(self.created) > i64::try_from(shape.age.as_millis()).unwrap_or(i64::MAX);
        let begun = self.offset > HEADER_LENGTH as u64;
        if begun && (self.offset + length > shape.size || aged || self.number == u32::MAX) {
            self.rotate(keys, shape, now)?;
        }
        let number = self.number;
        self.number = self.number.wrapping_add(1);
        let (frame, link) = frame::seal(keys, &self.cipher, number, self.next, &self.link, plain)
            .map_err(|error| AuditError::Entry { what: error.to_string().into() })?;
        if let Err(error) = self.file.write_all_at(&frame, self.offset) {
            let error = AuditError::io("write the audit trail")(error);
            // A part of it may stand there, and nothing may stand behind that.
            let dropped = self.file.set_len(self.offset);
            return Err(match dropped {
                Ok(()) => error,
                Err(_) => AuditError::Gone,
            });
        }
        let first = self.next;
        self.offset += frame.len() as u64;
        self.link = link;
        self.next += count;
        self.unsynced = true;
        Ok(first)
    }

    /// Whether the file is still at its place.
    pub(super) fn require_place(&self) -> Result<(), AuditError> {
        if segment::is_in_place(&self.dir, &self.path, self.inode) { Ok(()) } else { Err(AuditError::Gone) }
    }

    fn rotate(&mut self, keys: &AuditKeys, shape: Shape, now: i64) -> Result<(), AuditError> {
        self.close()?;
        *self = Self::begin(&self.dir, keys, shape, (self.segment + 1, self.next, self.link), now)?;
        Ok(())
    }

    /// Brings the segment to the disk, and gives back the space that it did not need.
    pub(super) fn close(&self) -> Result<(), AuditError> {
        let closed = self.file.set_len(self.offset).and_then(|()| self.file.sync_all());
        closed.map_err(AuditError::io("bring the audit trail to the disk"))
    }

    /// The file, to be brought to the disk, and the position that is on the disk then.
    pub(super) fn position(&self) -> (Arc<File>, Mark) {
        let mark = Mark {
            first_segment: 0,
            segment: self.segment,
            offset: self.offset,
            sequence: self.next - 1,
            link: self.link,
            exported: 0,
            closed: false,
        };
        (Arc::clone(&self.file), mark)
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("segment", &self.segment).field("offset", &self.offset).finish_non_exhaustive()
    }
}
