//! A long time of mixed work with faults in between, each answer held against a model; and what it must not cost.
//!
//! Invariants: every answer is explained by some order of the operations that were under way (`history`), over kills, power
//! cuts, syncs that fail and disks that fill; outside of a fault every request is answered. The last third is one daemon's,
//! whose memory, descriptors and disk must not grow. `HUSHD_TEST_SOAK` says how many seconds it takes.

mod history;
mod work;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use serde_json::json;

use crate::disk;
use crate::harness::Daemon;
use crate::machine::Machine;
use crate::needs::{self, Numbers, setting};
use crate::strace::Fault;
use crate::usage::Usage;
use work::{Calm, Work};

/// Size of the disk.
const MEGABYTES: u64 = 256;
/// The trail has a budget of its own, which an hour fills many times.
const CONFIG: &str = "[audit]\nmax-size = 2097152\nsegment-size = 262144\n";
/// Longest pause between faults.
const PAUSE: Duration = Duration::from_secs(12);
/// Resident bytes by which a daemon may grow once it is warm: one tenth, and this for what is only now in use.
const MEMORY: u64 = 8 * 1024 * 1024;
/// Descriptors beyond those of the warm daemon.
const DESCRIPTORS: u64 = 8;
/// Bytes of the vault's directory, the two megabytes of the trail included, for the few kilobytes of live secrets.
const DISK: u64 = 96 * 1024 * 1024;

/// What comes over the machine, or is asked of it beside the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// kill -9.
    Kill,
    /// The power is cut.
    PowerCut,
    /// The daemon is stopped in order and started again.
    Restart,
    /// A sync fails once; the daemon mends itself.
    FailingSync,
    /// The disk is full for a while; the daemon mends itself.
    FullDisk,
    /// A backup is taken.
    Backup,
    /// The data key is rotated, and all records are encrypted again.
    DataKey,
    /// The audit trail is verified.
    Verify,
}

/// "mixed work with faults, checking every answer against a model …; no growth of memory, descriptors or disk"
#[test]
fn every_answer_makes_sense_over_a_long_time_and_many_faults() {
    use Event::{Backup, DataKey, FailingSync, FullDisk, Kill, PowerCut, Restart, Verify};
    if !needs::met(&[&disk::PROGRAMS[..], &["strace"]].concat()) {
        return;
    }
    let long = Duration::from_secs(setting("HUSHD_TEST_SOAK", 45));
    let pause = PAUSE.min(long / 20);
    let mut numbers = Numbers::new();
    let mut machine = Machine::new(MEGABYTES);
    fs::write(machine.vault.sandbox.config().join("config.toml"), CONFIG).unwrap();
    // On the disk, or the first power cut takes it, and the trail has the usual room.
    rustix::fs::syncfs(fs::File::open(machine.disk.root()).unwrap()).unwrap();
    machine.must_start();
    let work = Work::new(&machine);
    let mut figures = Vec::new();
    thread::scope(|scope| {
        // Whatever fails here, the clients end.
        let _ended = work.until_dropped();
        work.start(scope, &mut numbers);
        let begin = Instant::now();
        let all = [Kill, PowerCut, Restart, FailingSync, FullDisk, Backup, DataKey, Verify];
        let first = all.into_iter().cycle().skip(usize::try_from(numbers.below(8)).unwrap());
        for event in first.take_while(|_| begin.elapsed() < long * 2 / 3) {
            thread::sleep(pause);
            work.nothing_is_wrong(machine.daemon());
            figures.push(event);
            happens(event, &mut machine, &work);
        }
        let mut growth = Growth::default();
        for event in [FailingSync, Backup, DataKey, FullDisk, Verify].into_iter().cycle() {
            let until = Instant::now() + pause;
            while Instant::now() < until {
                thread::sleep(Duration::from_millis(250));
                growth.look(machine.daemon().pid(), &machine.vault.sandbox.data());
            }
            work.nothing_is_wrong(machine.daemon());
            if begin.elapsed() > long {
                break;
            }
            figures.push(event);
            happens(event, &mut machine, &work);
        }
        growth.conclude();
    });
    let count = |event| figures.iter().filter(|happened| **happened == event).count();
    eprintln!(
        "{} operations in {} s, each answer explained; {}",
        work.operations.load(Ordering::SeqCst),
        long.as_secs(),
        [Kill, PowerCut, Restart, FailingSync, FullDisk, Backup, DataKey, Verify]
            .map(|event| format!("{event:?} {}", count(event)))
            .join(", ")
    );
    machine.stop();
}

/// Lets something happen, and waits until all is well again.
fn happens(event: Event, machine: &mut Machine, work: &Work) {
    match event {
        Event::Kill | Event::PowerCut | Event::Restart => {
            work.disturb();
            match event {
                Event::Restart => machine.stop(),
                Event::PowerCut => machine.cut_power(),
                Event::Kill | Event::FailingSync | Event::FullDisk | Event::Backup | Event::DataKey | Event::Verify => {
                    machine.kill();
                }
            }
            // Nothing of the old daemon's is under way when the new one starts.
            work.wait_until_all_have_stopped();
            machine.must_start();
            work.served_at(machine.daemon());
            is_well(machine.daemon(), work);
        }
        Event::FailingSync => {
            work.disturb();
            let fault = Fault::inject(machine.daemon().pid(), "fdatasync:error=EIO:when=1");
            thread::sleep(Duration::from_millis(500));
            drop(fault);
            is_well(machine.daemon(), work);
        }
        Event::FullDisk => {
            work.disturb();
            let ballast = machine.disk.root().join("ballast");
            crate::full_disk::take_space(&ballast, u64::MAX);
            thread::sleep(Duration::from_millis(500));
            fs::remove_file(&ballast).unwrap();
            is_well(machine.daemon(), work);
        }
        Event::Backup => {
            let backup = work.get("/api/backup");
            assert!(backup.body.starts_with(b"age-encryption.org/v1\n"), "{}", backup.status);
        }
        Event::DataKey => work.post("/api/rotate/data-key"),
        Event::Verify => {
            let verified: serde_json::Value = serde_json::from_slice(&work.get("/api/audit/verify").body).unwrap();
            assert_eq!(verified["ok"], json!(true), "{verified}");
        }
    }
}

/// Waits until the daemon takes writes again, settles what got no answer, and lets the work go on.
#[track_caller]
fn is_well(daemon: &Daemon, work: &Work) {
    let started = Instant::now();
    while work.ready() != 200 {
        assert!(started.elapsed() < Duration::from_mins(1), "it does not recover: {}", daemon.log());
        thread::sleep(Duration::from_millis(100));
    }
    work.calm(Calm::Settled);
}

/// Memory, descriptors and disk of one daemon over its time.
#[derive(Debug, Default)]
struct Growth(Vec<[u64; 3]>);

impl Growth {
    fn look(&mut self, pid: Pid, data: &Path) {
        let usage = Usage::of(pid);
        self.0.push([usage.resident, usage.descriptors, size(data)]);
    }

    /// Compares the second quarter, when all has been used once, with the last.
    #[track_caller]
    fn conclude(&self) {
        let most =
            |samples: &[[u64; 3]]| [0, 1, 2].map(|what| samples.iter().map(|sample| sample[what]).max().unwrap());
        let quarter = self.0.len() / 4;
        let (warm, last) = (most(&self.0[quarter..2 * quarter]), most(&self.0[3 * quarter..]));
        let megabytes = |bytes: u64| bytes / 1024 / 1024;
        eprintln!(
            "one daemon, from its second quarter to its last: memory {} to {} MiB, descriptors {} to {}, disk {} to {} MiB",
            megabytes(warm[0]),
            megabytes(last[0]),
            warm[1],
            last[1],
            megabytes(warm[2]),
            megabytes(last[2])
        );
        assert!(last[0] <= warm[0] + warm[0] / 10 + MEMORY, "memory grows: {:?}", self.0);
        assert!(last[1] <= warm[1] + DESCRIPTORS, "descriptors grow: {:?}", self.0);
        assert!(last[2] <= DISK, "the disk grows: {:?}", self.0);
    }
}

/// Bytes that a directory takes on the disk. What goes while it is looked at is not there.
fn size(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let entries = entries.filter_map(Result::ok).filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)));
    entries.map(|(path, metadata)| if metadata.is_dir() { size(&path) } else { metadata.blocks() * 512 }).sum()
}
