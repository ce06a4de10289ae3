//! The files of the trail: segments, and the space that is set aside for the next one.
//!
//! Invariants: a segment has its name only when its header is on the disk; the space of a segment is allocated beyond its
//! end (fallocate(2), `FALLOC_FL_KEEP_SIZE`), so that a file is as long as what was written into it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

use crate::audit::AuditError;
use crate::audit::frame::{Header, Link};
use crate::crypto::AuditKeys;

const RESERVE: &str = "reserve";
const ENDING: &str = ".seg";
/// Least space in bytes that is worth being set aside.
const LEAST: u64 = 64 * 1024;

/// A segment's file.
#[derive(Clone, Debug)]
pub(super) struct SegmentFile {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    /// Bytes that it takes of the budget.
    pub(super) size: u64,
}

/// The segments that there are, the oldest first.
pub(super) fn list(dir: &Path) -> Result<Vec<SegmentFile>, AuditError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(AuditError::io("list the audit trail")(error)),
    };
    let mut segments = Vec::new();
    for entry in entries {
        let entry = entry.map_err(AuditError::io("list the audit trail"))?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(ENDING)).and_then(|number| number.parse().ok());
        if let Some(number) = number {
            let metadata = entry.metadata().map_err(AuditError::io("look at the audit trail"))?;
            segments.push(SegmentFile { number, path: entry.path(), size: metadata.len().max(4096) });
        }
    }
    segments.sort_by_key(|segment| segment.number);
    Ok(segments)
}

/// Where a segment is.
pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}{ENDING}"))
}

/// Begins a segment, durably, in the space that was set aside or in new space.
///
/// Gives its file and the link that its first frame stands behind.
pub(super) fn create(dir: &Path, header: &Header, keys: &AuditKeys, size: u64) -> Result<(File, Link), AuditError> {
    let doing = "begin a segment of the audit trail";
    let (bytes, link) = header.encode(keys);
    let file = reserve(dir, size)?;
    file.write_all_at(&bytes, 0).and_then(|()| file.sync_all()).map_err(AuditError::io(doing))?;
    let target = path(dir, header.segment);
    if target.exists() {
        return Err(AuditError::io(doing)(io::ErrorKind::AlreadyExists.into()));
    }
    fs::rename(dir.join(RESERVE), target).and_then(|()| sync_dir(dir)).map_err(AuditError::io(doing))?;
    Ok((file, link))
}

/// Sets the space of a segment aside, or as much of it as there is, and opens it.
pub(super) fn reserve(dir: &Path, size: u64) -> Result<File, AuditError> {
    let doing = "set space aside for the audit trail";
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true).mode(0o600);
    let file = options.open(dir.join(RESERVE)).map_err(AuditError::io(doing))?;
    let metadata = file.metadata().map_err(AuditError::io(doing))?;
    if metadata.len() > 0 {
        file.set_len(0).map_err(AuditError::io(doing))?;
    }
    let mut room = size;
    loop {
        match fallocate(&file, FallocateFlags::KEEP_SIZE, 0, room) {
            // Not every file system can; there a full disk is met when it is written to.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => return Ok(file),
            // A part of it keeps the host at work on a full disk for as long as it lasts.
            Err(rustix::io::Errno::NOSPC) if room > LEAST => room = (room / 2).max(LEAST),
            Err(error) => return Err(AuditError::io(doing)(error.into())),
        }
    }
}

/// Whether the file that is written is still the one at its path, in a directory that can be written.
pub(super) fn is_in_place(dir: &Path, path: &Path, inode: (u64, u64)) -> bool {
    let writable = rustix::fs::access(dir, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok();
    writable && is_same(path, inode)
}

/// Whether the file at a path is this one.
pub(super) fn is_same(path: &Path, inode: (u64, u64)) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == inode)
}

pub(super) fn inode(file: &File) -> Result<(u64, u64), AuditError> {
    let metadata = file.metadata().map_err(AuditError::io("look at the audit trail"))?;
    Ok((metadata.dev(), metadata.ino()))
}

pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
