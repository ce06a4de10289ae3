//! Kills while units start: what a unit has is whole, or it fails.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::machine::{Machine, wait_for};
use crate::needs;

const BIG: &str = "[[credential]]\nunit = \"big.service\"\nid = \"big\"\nsecret = \"shop/prod/BIG\"";

fn machine() -> Option<Machine> {
    let machine = Machine::installed()?;
    machine.configure(BIG);
    machine.ok("head -c 1000000 /dev/zero | tr '\\0' x | hushd --namespace shop/prod set BIG 2>&1");
    machine.add_unit("big.service", &["big"], "");
    Some(machine)
}

/// The process that holds the only connection.
fn front(machine: &Machine) -> String {
    wait_for("the connection to be held", || {
        let found = machine.ok("systemctl show -P MainPID 'hushd-credentials@*.service'");
        found.lines().find(|pid| !matches!(*pid, "" | "0")).map(str::to_owned)
    })
}

/// "a daemon killed in the middle of the answer … make the unit **fail** with a journal line that says why"
#[test]
fn a_daemon_that_is_killed_in_the_middle_of_its_answer_makes_the_unit_fail() {
    let Some(machine) = machine() else { return };
    let cursor = machine.cursor();
    machine.ok("systemctl kill --kill-who=main -s STOP hushd.service; systemctl start --no-block big.service");
    let front = front(&machine);
    // It has asked, and does not read: the daemon's answer is longer than what fits between the two.
    thread::sleep(Duration::from_millis(500));
    machine.ok(&format!("kill -STOP {front}; systemctl kill --kill-who=main -s CONT hushd.service"));
    machine
        .wait(&format!("journalctl -q --after-cursor='{cursor}' -u hushd.service | grep -q 'got the credential big'"));
    thread::sleep(Duration::from_millis(500));
    machine.ok(&format!("systemctl kill --kill-who=main -s KILL hushd.service; kill -CONT {front}"));
    machine.wait("systemctl is-failed big.service");
    assert_eq!(machine.ok("systemctl show -P ExecMainStatus big.service"), "243");
    assert!(machine.since(&cursor).contains("in the middle of its answer"), "{}", machine.since(&cursor));
    machine.ok("systemctl start big.service");
    assert_eq!(machine.got("big.service", "big").len(), 1_000_000);
}

/// The process that holds a connection may be killed too, stopped, or not even start.
#[test]
fn whoever_holds_the_connection_may_end_at_any_time() {
    let Some(machine) = machine() else { return };
    for signal in ["KILL", "TERM", "ABRT"] {
        machine.ok("systemctl kill --kill-who=main -s STOP hushd.service; systemctl start --no-block big.service");
        let front = front(&machine);
        machine.ok(&format!("kill -{signal} {front}"));
        machine.wait("systemctl is-failed big.service");
        assert_eq!(machine.ok("systemctl show -P ExecMainStatus big.service"), "243", "{signal}");
        machine.ok("systemctl kill --kill-who=main -s CONT hushd.service; systemctl reset-failed big.service");
    }
    machine.ok("mv /usr/bin/hushd /usr/bin/hushd.away");
    machine.fails("big.service");
    machine.ok("mv /usr/bin/hushd.away /usr/bin/hushd; systemctl start big.service");
    assert_eq!(machine.got("big.service", "big").len(), 1_000_000);
}

/// "never an empty or partial credential in 1,000 starts under kill -9"; `HUSHD_TEST_STARTS` says how many.
#[test]
fn under_kill_9_a_credential_is_never_empty_and_never_partial() {
    let Some(machine) = machine() else { return };
    let (starts, mut numbers) = (needs::setting("HUSHD_TEST_STARTS", 50), needs::Numbers::new());
    let (done, mut pauses) = (AtomicBool::new(false), numbers.branch());
    let (mut whole, mut failed, begun) = (0, 0, Instant::now());
    thread::scope(|scope| {
        let kills = scope.spawn(|| {
            let mut kills = 0;
            while !done.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(20 + pauses.below(900)));
                let who = if pauses.below(4) == 0 { "hushd-credentials@*.service" } else { "hushd.service" };
                kills += u64::from(machine.try_run(&format!("systemctl kill --kill-who=main -s KILL '{who}'")));
            }
            kills
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..starts {
                machine.ok("rm -rf /run/got");
                if machine.try_run("systemctl start big.service") {
                    let got = machine.got("big.service", "big");
                    assert_eq!((got.len(), got.trim_matches('x')), (1_000_000, ""), "partial or empty");
                    whole += 1;
                } else {
                    assert_eq!(machine.ok("systemctl show -P ExecMainStatus big.service"), "243");
                    failed += 1;
                }
            }
        }));
        done.store(true, Ordering::Relaxed);
        let kills = kills.join().unwrap();
        eprintln!("{starts} starts, {kills} kills in {:?}: {whole} whole, {failed} failed", begun.elapsed());
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
    assert!(whole > 0, "not one came through");
}
