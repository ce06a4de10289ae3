//! Space that is set aside, so that a store opens on a disk that others have filled.
//!
//! sled writes when it is opened: zeroes to the end of the segment that it was in, and a snapshot. Without room for them
//! it does not open, and secrets could not even be read.
//!
//! Invariants: the file is there whenever there is room for it; it holds nothing, so losing it harms nobody. It is no
//! room for commits: those ask for more than this.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};

use crate::store::StoreError;
use crate::store::sled_engine::engine::SEGMENT;
use crate::store::sled_engine::files;

const NAME: &str = "reserve";
/// A segment, and a snapshot of a store with millions of records.
const SIZE: u64 = SEGMENT as u64 + 8 * 1024 * 1024;
/// What is worth keeping when there is not room for all of it.
const LEAST: u64 = 64 * 1024;

/// Gives the space back when the disk is so full that it is needed.
///
/// # Errors
/// [`StoreError::Io`].
pub(super) fn use_if_needed(dir: &Path) -> Result<(), StoreError> {
    if files::has_room(&fs::File::open(dir)?, SIZE)? {
        return Ok(());
    }
    match fs::remove_file(dir.join(NAME)) {
        Ok(()) => tracing::warn!("the disk is full: the space that was set aside is used to open the store"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Sets the space aside, or what there is of it. A store without it works too, so failures are only logged.
pub(super) fn fill(dir: &Path) {
    let mut size = SIZE;
    while let Err(error) = allocate(dir, size) {
        size /= 2;
        if error.kind() != io::ErrorKind::StorageFull || size < LEAST {
            tracing::warn!(%error, "no space could be set aside for opening the store on a full disk");
            break;
        }
    }
}

fn allocate(dir: &Path, size: u64) -> io::Result<()> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(dir.join(NAME))?;
    // What is allocated already stays so.
    Ok(fallocate(&file, FallocateFlags::empty(), 0, size)?)
}
