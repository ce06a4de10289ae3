//! What the kernel says of the process (proc_pid_stat(5)): files, memory, threads, time.
//!
//! Invariant: what cannot be read is left out, never guessed.

use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// The process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// How many may be open.
    pub max_fds: Option<u64>,
    /// Bytes of memory that are resident.
    pub resident_bytes: Option<u64>,
    /// Bytes of address space.
    pub virtual_bytes: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Seconds of processor time.
    pub cpu_seconds: Option<f64>,
    /// When it started, in seconds since the Unix epoch.
    pub start_seconds: Option<f64>,
}

impl Process {
    /// Looks.
    pub fn look() -> Self {
        let mut process =
            Self { open_fds: open_fds(), max_fds: getrlimit(Resource::Nofile).current, ..Self::default() };
        if let Ok(stat) = fs::read_to_string("/proc/self/stat") {
            let boot = fs::read_to_string("/proc/stat").ok().as_deref().and_then(boot_seconds);
            process.read(&stat, boot);
        }
        process
    }

    #[expect(clippy::cast_precision_loss, reason = "ticks and seconds are far below 2^52")]
    fn read(&mut self, stat: &str, boot: Option<u64>) {
        // The second field is the name in parentheses, which may hold anything.
        let Some((_, fields)) = stat.rsplit_once(") ") else { return };
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        // proc_pid_stat(5) counts from 1, and the first one here is its third.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let ticks = clock_ticks_per_second().max(1) as f64;
        self.cpu_seconds = field(14).zip(field(15)).map(|(user, system)| (user + system) as f64 / ticks);
        self.threads = field(20);
        self.start_seconds = field(22).zip(boot).map(|(start, boot)| boot as f64 + start as f64 / ticks);
        self.virtual_bytes = field(23);
        self.resident_bytes = field(24).map(|pages| pages.saturating_mul(page_size() as u64));
    }
}

fn open_fds() -> Option<u64> {
    // One of them is the directory that is being read.
    Some((fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}

fn boot_seconds(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_the_kernel_says() {
        let mut process = Process::default();
        let stat = "1 (a ) b) S 2 3 4 5 6 7 8 9 10 11 100 50 14 15 16 17 9 19 200 4096 3 x";
        process.read(stat, boot_seconds("cpu 1 2\nbtime 1000\n"));
        let ticks = f64::from(u32::try_from(clock_ticks_per_second()).unwrap());
        assert_eq!(process.cpu_seconds, Some(150.0 / ticks));
        assert_eq!(process.threads, Some(9));
        assert_eq!(process.start_seconds, Some(1000.0 + 200.0 / ticks));
        assert_eq!(process.virtual_bytes, Some(4096));
        assert_eq!(process.resident_bytes, Some(3 * page_size() as u64));
        process.read("nonsense", None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn it_finds_itself() {
        let process = Process::look();
        assert!(process.open_fds.unwrap() >= 3 && process.resident_bytes.unwrap() > 0, "{process:?}");
        assert!(process.threads.unwrap() >= 1 && process.start_seconds.unwrap() > 1e9, "{process:?}");
    }
}
