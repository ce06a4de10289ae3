//! Looks at what lies on disk.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

/// Everything below a directory, the directory itself among it.
///
/// A file that the daemon removes meanwhile is left out.
pub fn tree(directory: &Path) -> Vec<(PathBuf, Metadata)> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_path_buf()];
    while let Some(path) = waiting.pop() {
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        found.push((path, metadata));
    }
    found
}

/// All files below a directory with their content, in the order of their paths.
pub fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = tree(directory).into_iter().filter(|(_, metadata)| metadata.is_file());
    let mut files: Vec<_> = files.filter_map(|(path, _)| Some((path.clone(), fs::read(path).ok()?))).collect();
    files.sort();
    files
}

/// Whether these bytes are among those.
pub fn holds(content: &[u8], marker: &[u8]) -> bool {
    content.windows(marker.len()).any(|window| window == marker)
}

/// Copies a directory with all that is in it, modes included.
pub fn copy(from: &Path, to: &Path) {
    for (path, metadata) in tree(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        if metadata.is_dir() {
            fs::create_dir_all(&target).unwrap();
            fs::set_permissions(&target, metadata.permissions()).unwrap();
        } else if metadata.is_file() {
            fs::copy(&path, &target).unwrap();
        }
    }
}
