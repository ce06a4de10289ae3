//! What the kernel still shows of a file though the disk never took it.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::Advice;

/// Makes sure that what is read of the files in a directory from here on is what is on the disk.
///
/// After a sync that failed, the kernel keeps pages that it never wrote and takes them for clean: a log that is taken up
/// upon them would go on behind a gap, and lose what was acknowledged with the next power cut. So they are dropped, and the
/// log ends where it ends on the disk.
///
/// # Errors
/// When the directory or a file cannot be opened; that the disk does not take what was written is only logged.
pub fn forget_unwritten(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if !path.is_file() {
            continue;
        }
        let file = File::open(path)?;
        if let Err(error) = file.sync_data() {
            tracing::warn!(%error, "the disk did not take what was written before; what it holds is read again");
        }
        // Not every file system can, and then nothing changes.
        if let Err(error) = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed) {
            tracing::debug!(%error, "pages of a file could not be dropped");
        }
    }
    Ok(())
}
