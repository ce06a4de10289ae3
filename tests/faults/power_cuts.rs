//! "Acknowledged means durable", "All or nothing": power cuts and kill -9 under concurrent writers, again and again.
//!
//! `HUSHD_TEST_POWER_CUTS` and `HUSHD_TEST_KILLS` say how often, `HUSHD_TEST_SEED` repeats a run.

use crate::disk;
use crate::load::Load;
use crate::machine::Machine;
use crate::needs::{self, Numbers, setting};

/// Size of the disk; the store is smaller, and so is what is really used.
const MEGABYTES: u64 = 4096;

/// What comes over the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The power is cut.
    PowerCut,
    /// The daemon is killed.
    Kill,
}

/// "200 power cuts …: 0 lost, 0 torn, every start clean."
#[test]
fn no_acknowledged_operation_is_lost_by_a_power_cut() {
    again_and_again(End::PowerCut, setting("HUSHD_TEST_POWER_CUTS", 5), "power cuts");
}

/// "… and 500 kills in a row"
#[test]
fn no_acknowledged_operation_is_lost_by_kill_9() {
    again_and_again(End::Kill, setting("HUSHD_TEST_KILLS", 5), "kills");
}

fn again_and_again(end: End, rounds: u64, what: &str) {
    if !needs::met(&disk::PROGRAMS) {
        return;
    }
    let mut numbers = Numbers::new();
    let mut load = Load::new(48);
    let mut machine = Machine::new(MEGABYTES);
    machine.must_start();
    for round in 0..rounds {
        // Over both transports in turn.
        let address = if round % 2 == 0 { machine.daemon().unix() } else { machine.daemon().tcp() };
        let until = match end {
            End::PowerCut => 100 + numbers.below(3800),
            End::Kill => 50 + numbers.below(700),
        };
        let (disk, daemon) = (&machine.disk, machine.daemon());
        let written = load.write_until(&address, &machine.vault, &mut numbers, until, || match end {
            End::PowerCut => disk.cut_power(),
            End::Kill => daemon.signal(rustix::process::Signal::KILL),
        });
        assert!(written, "the daemon has ended by itself: {}", daemon.log());
        machine.kill();
        if end == End::PowerCut {
            machine.disk.restore_power();
        }
        if let Err(failure) = machine.start() {
            eprintln!("round {round}: it did not start: {}", failure.stderr);
            load.figures.rounds += 1;
            load.forget();
            machine = Machine::new(MEGABYTES);
            machine.must_start();
        } else {
            load.compare(machine.daemon(), &machine.vault);
        }
    }
    machine.kill();
    load.figures.conclude(what);
}
