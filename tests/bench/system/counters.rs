//! What the kernel counts of a process (proc(5)).

use std::fs;

use crate::Result;

/// Microseconds in a clock tick: the kernel reports 100 a second on every architecture (`USER_HZ`).
const TICK_MICROS: u64 = 10_000;

/// What a process has used until now.
#[derive(Clone, Copy, Debug)]
pub struct Counters {
    /// Time on a processor, user and system, in microseconds; in steps of a clock tick.
    pub cpu_micros: u64,
    /// Times that one of its threads fell asleep, which is as often as one was woken.
    pub wakeups: u64,
    /// Memory that is resident, in bytes.
    pub resident: u64,
}

impl Counters {
    /// Reads them for a process.
    pub fn of(pid: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The program's name may hold anything; what follows its last parenthesis does not.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let field = |index: usize| fields.split_whitespace().nth(index).and_then(|text| text.parse::<u64>().ok());
        let (Some(user), Some(system)) = (field(11), field(12)) else {
            return Err(format!("/proc/{pid}/stat makes no sense").into());
        };
        let mut wakeups = 0;
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread that has ended meanwhile counts no more.
            let Ok(status) = fs::read_to_string(thread?.path().join("status")) else { continue };
            wakeups += number(&status, "voluntary_ctxt_switches:").unwrap_or(0);
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let resident = number(&status, "VmRSS:").ok_or("no VmRSS in the status of the process")? * 1024;
        Ok(Self { cpu_micros: (user + system) * TICK_MICROS, wakeups, resident })
    }
}

/// The most memory that was ever resident in a process, in bytes.
pub fn peak_memory(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(number(&status, "VmHWM:").ok_or("no VmHWM in the status of the process")? * 1024)
}

fn number(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}
