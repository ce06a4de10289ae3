//! What the process does to keep its memory and its files to itself.
//!
//! Invariant: nothing of it stops the daemon where the kernel lacks it; what does not hold is logged.

use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit, umask};

/// Gives every file and directory that is created from here on to its owner alone, whatever the umask was.
pub fn private_umask() {
    umask(Mode::from_raw_mode(0o077));
}

/// Keeps the process's memory out of core dumps and away from other processes of the same user (prctl(2),
/// `PR_SET_DUMPABLE`), and lets it have as many files open as the system allows.
pub(super) fn harden() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "the process can be dumped");
    }
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        tracing::warn!(%error, "core dumps are not switched off");
    }
    let files = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum }) {
        tracing::warn!(%error, "the limit of open files is not raised");
    }
}
