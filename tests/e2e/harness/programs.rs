//! Programs that a test needs beside the one that it tests.

use std::path::{Path, PathBuf};

/// Where a program is; `None` where it is not installed, which with `CI` set is a failure.
pub fn find(program: &str) -> Option<PathBuf> {
    // Debian's own first: a version manager's python does not know Debian's packages.
    let path = format!("/usr/bin:{}", std::env::var("PATH").unwrap_or_default());
    let found = path.split(':').map(|directory| Path::new(directory).join(program)).find(|path| path.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "with CI set nothing is skipped: {program} is not installed");
        eprintln!("skipped: {program} is not installed");
    }
    found
}
