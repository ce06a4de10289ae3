//! The daemon as a service: its units, its stop, its restarts.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::machine::Machine;

/// "`systemd-analyze verify` is clean (its warnings too) and the security score is checked in CI against the bar."
#[test]
fn the_units_are_clean_and_the_daemon_is_locked_in() {
    let Some(machine) = Machine::installed() else { return };
    for (arguments, directory) in [("", "system"), ("--user", "user")] {
        let units = machine.ok(&format!("ls /usr/lib/systemd/{directory}/hushd*"));
        // A template is verified by an instance.
        let units = units.replace("@.service", "@1.service").replace('\n', " ");
        let output = machine.run(&format!("XDG_RUNTIME_DIR=/run systemd-analyze verify --man=no {arguments} {units}"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.is_empty(), "{directory}: {said}");
    }
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/system/hushd.service");
    let mut analyze = Command::new("systemd-analyze");
    let output =
        analyze.args(["security", "--offline=true", "--threshold=8", "--no-pager"]).arg(unit).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    eprintln!("{}", said.lines().last().unwrap());
    // The daemon's own protections hold within those of the unit, and it sees who asks.
    let status = machine.ok("hushd status --json");
    assert!(!status.contains("\"holds\": false"), "{status}");
    assert!(status.contains("\"units\": true") && status.contains("\"users\": true"), "{status}");
    // TCP is inherited: the unit itself could not make the socket.
    machine.ok("curl -sf http://127.0.0.1:4874/api/health");
}

/// "clean stop within 2 s, state intact after `systemctl kill --kill-who=main -s KILL`"
#[test]
fn it_stops_in_time_starts_with_the_next_client_and_survives_a_kill() {
    let Some(machine) = Machine::installed() else { return };
    for _ in 0..3 {
        let begun = Instant::now();
        machine.ok("systemctl stop hushd.service");
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert_eq!(machine.ok("hushd --namespace shop/prod get DB_PASSWORD"), "first-value");
    }
    let before = machine.ok("systemctl show -P MainPID hushd.service");
    machine.ok("systemctl kill --kill-who=main -s KILL hushd.service");
    assert_eq!(machine.ok("hushd --namespace shop/prod get DB_PASSWORD"), "first-value");
    assert_ne!(machine.ok("systemctl show -P MainPID hushd.service"), before);
    machine.ok("systemctl reload hushd.service");
    assert_eq!(machine.ok("systemctl is-active hushd.service"), "active");
    // One that hangs is found out by the watchdog.
    machine.write("/etc/systemd/system/hushd.service.d/dog.conf", "[Service]\nWatchdogSec=2\n");
    machine.ok("systemctl daemon-reload; systemctl restart hushd.service; sleep 5; systemctl is-active hushd.service");
    let cursor = machine.cursor();
    machine.ok("systemctl kill --kill-who=main -s STOP hushd.service");
    machine.wait(&format!("journalctl --after-cursor='{cursor}' -u hushd.service | grep -qi 'watchdog timeout'"));
    assert_eq!(machine.ok("hushd --namespace shop/prod get DB_PASSWORD"), "first-value");
}

/// "`systemctl restart` under load with no failed request on the inherited sockets"
#[test]
fn a_restart_under_load_loses_no_request() {
    let Some(machine) = Machine::installed() else { return };
    machine.configure("[[credential]]\nunit = \"shop.service\"\nid = \"db\"\nsecret = \"shop/prod/DB_PASSWORD\"");
    machine.add_unit("shop.service", &["db"], "");
    let url = "'http://x/api/secrets/DB_PASSWORD?namespace=shop/prod'";
    let ask = format!(
        "for i in $(seq 150); do curl -sf --max-time 20 --unix-socket /run/hushd/hushd.sock {url} | grep -q first-value \
         || echo failed; done"
    );
    let health = "for i in $(seq 150); do curl -sf --max-time 20 http://127.0.0.1:4874/api/health >/dev/null || echo failed; done";
    let units = "for i in $(seq 20); do systemctl start shop.service || echo failed; done";
    thread::scope(|scope| {
        let load: Vec<_> = [&*ask, &*ask, health, units].map(|load| scope.spawn(|| machine.ok(load))).into();
        for _ in 0..4 {
            thread::sleep(Duration::from_millis(700));
            machine.ok("systemctl restart hushd.service");
        }
        for load in load {
            assert_eq!(load.join().unwrap(), "");
        }
    });
}
