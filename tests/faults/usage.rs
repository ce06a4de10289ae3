//! What the daemon takes of the machine, and what this process may.

use std::fs;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};

/// What a process takes.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Bytes of memory.
    pub resident: u64,
    /// Open descriptors.
    pub descriptors: u64,
}

impl Usage {
    /// Of a process, now.
    pub fn of(pid: Pid) -> Self {
        let process = format!("/proc/{}", pid.as_raw_nonzero());
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let kilobytes: Option<u64> =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
        let descriptors = fs::read_dir(format!("{process}/fd")).unwrap().count() as u64;
        Self { resident: kilobytes.unwrap() * 1024, descriptors }
    }
}

/// Lets this process open as many files as the kernel lets it.
pub fn open_many_files() {
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum }).unwrap();
}
