//! Walks over the frames of one segment, past what is broken.
//!
//! Invariant: every byte of the segment is either in a frame that opens or in a piece that is told as broken.

use std::path::Path;

use crate::audit::AuditError;
use crate::audit::frame::{self, Frame, HEADER_LENGTH, Header, Link};
use crate::crypto::{AuditKeys, SegmentCipher};

/// What is next in a segment.
#[derive(Debug)]
pub(super) enum Step {
    /// A frame that opens, at this offset.
    Frame(usize, Frame),
    /// Bytes that are no frame of this segment, from here up to there.
    Broken(usize, usize),
}

/// A segment in memory.
pub(super) struct Segment {
    pub(super) header: Header,
    /// The link that the first frame stands behind.
    pub(super) link: Link,
    pub(super) bytes: Vec<u8>,
    cipher: SegmentCipher,
}

impl Segment {
    /// Reads a segment's file; the error in the inner result is that its header is not authentic.
    pub(super) fn read(path: &Path, keys: &AuditKeys) -> Result<Option<Self>, AuditError> {
        let bytes = std::fs::read(path).map_err(AuditError::io("read the audit trail"))?;
        Ok(Header::decode(&bytes, keys).map(|(header, link)| {
            let cipher = keys.segment(&header.salt);
            Self { header, link, bytes, cipher }
        }))
    }

    /// Walks over its frames, from `offset` on.
    pub(super) fn walk<'a>(&'a self, keys: &'a AuditKeys, offset: usize) -> Walk<'a> {
        Walk { segment: self, keys, offset: offset.max(HEADER_LENGTH) }
    }

    /// Whether what begins at `offset` looks like writes that a kill or a power cut cut short: the file ends within the
    /// frame, or a sector of it was never written from some byte on.
    pub(super) fn is_torn(&self, offset: usize) -> bool {
        const SECTOR: usize = 512;
        const ZEROS: usize = 16;
        let rest = &self.bytes[offset.min(self.bytes.len())..];
        let written = frame::magic_written(rest);
        if rest[written..].iter().take(frame::FRAME_HEAD).any(|byte| *byte != 0) && written < rest.len().min(4) {
            return false;
        }
        let end = match frame::stated_length(rest) {
            Some(length) if length > rest.len() => return true,
            Some(length) => offset + length,
            None if rest.len() < frame::FRAME_HEAD => return true,
            None => offset + frame::FRAME_HEAD,
        };
        let mut sector = offset;
        while sector < end {
            let next = ((sector / SECTOR + 1) * SECTOR).min(self.bytes.len());
            let zeros = self.bytes[sector..next].iter().rev().take_while(|byte| **byte == 0).count();
            if zeros >= ZEROS && next - zeros < end {
                return true;
            }
            sector = next.max(sector + 1);
        }
        false
    }
}

/// See [`Segment::walk`].
pub(super) struct Walk<'a> {
    segment: &'a Segment,
    keys: &'a AuditKeys,
    offset: usize,
}

impl Iterator for Walk<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let bytes = &self.segment.bytes;
        let start = self.offset;
        if start >= bytes.len() {
            return None;
        }
        if let Some(frame) = frame::open(self.keys, &self.segment.cipher, &bytes[start..]) {
            self.offset = start + frame.length;
            return Some(Step::Frame(start, frame));
        }
        let mut end = start;
        while let Some(step) = frame::next_magic(&bytes[end..]) {
            end += step;
            if frame::open(self.keys, &self.segment.cipher, &bytes[end..]).is_some() {
                self.offset = end;
                return Some(Step::Broken(start, end));
            }
        }
        self.offset = bytes.len();
        Some(Step::Broken(start, bytes.len()))
    }
}
