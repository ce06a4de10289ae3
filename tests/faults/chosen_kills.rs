//! kill -9 at chosen system calls: each of those that `init` makes on files, and some while serving, each time followed
//! by a power cut.

use serde_json::json;

use crate::disk;
use crate::harness::api::secret;
use crate::harness::http::{Connection, Request};
use crate::harness::{Daemon, cli};
use crate::load::Load;
use crate::machine::Machine;
use crate::needs::{self, Numbers};
use crate::strace;

/// What changes files. A slash begins a regular expression: which call of a family is made depends on the processor.
const CALLS: [&str; 9] =
    ["fdatasync", "fsync", "pwrite64", "write", "sync_file_range", "ftruncate", "/^rename", "/^unlink", "/^mkdir"];

fn met() -> bool {
    needs::met(&disk::PROGRAMS) && needs::met(&["strace"])
}

/// "kill -9 … at chosen moments (`fdatasync`, `pwrite64`, `rename`)" under writers.
#[test]
fn no_acknowledged_operation_is_lost_by_a_kill_at_a_chosen_call() {
    if !met() {
        return;
    }
    let mut numbers = Numbers::new();
    let mut load = Load::new(16);
    let mut machine = Machine::new(1024);
    let mut struck = Vec::new();
    for call in CALLS {
        for nth in [1, 2, 3, 7, 30] {
            let fault = format!("{call}:signal=KILL:when={nth}");
            let serve = Daemon::command(&machine.vault.sandbox);
            let serve = strace::wrap(&machine.vault.sandbox, &serve, &fault);
            match Daemon::launch(&machine.vault.sandbox, serve) {
                Ok(daemon) => {
                    let hit = !load.write_until(&daemon.unix(), &machine.vault, &mut numbers, 100, || {
                        daemon.signal(rustix::process::Signal::KILL);
                    });
                    struck.extend(hit.then_some(call));
                    machine.disk.cut_power();
                    daemon.kill();
                }
                Err(failure) => {
                    assert_eq!(failure.code, -1, "{fault}: {failure:?}");
                    struck.push(call);
                    machine.disk.cut_power();
                }
            }
            machine.disk.restore_power();
            machine.must_start();
            load.compare(machine.daemon(), &machine.vault);
            machine.stop();
        }
    }
    eprintln!("struck at {struck:?}");
    for call in ["fdatasync", "pwrite64", "sync_file_range"] {
        // The later ones may not come within so few operations: writers that share a flush share its calls.
        assert!(struck.iter().filter(|each| **each == call).count() >= 2, "{call} among {struck:?}");
    }
    load.figures.conclude("kills at chosen system calls, each with a power cut");
}

/// "interrupted at any point it leaves no vault or a whole one, and can be begun again"
#[test]
fn an_init_that_is_killed_at_any_call_can_be_begun_again() {
    if !met() {
        return;
    }
    let mut kills = 0;
    for call in CALLS {
        let mut nth = 1;
        while killed_at(call, nth) {
            nth += 1;
            kills += 1;
        }
    }
    eprintln!("{kills}: kills in the middle of init, each with a power cut");
    assert!(kills >= 15, "{kills}");
}

/// Kills `hushd init` at a call of each thread's and looks what it left. Whether there was such a call.
fn killed_at(call: &str, nth: u32) -> bool {
    let mut machine = Machine::empty(256);
    let fault = format!("{call}:signal=KILL:when={nth}");
    let init = strace::wrap(&machine.vault.sandbox, &machine.vault.init_command(&[]), &fault);
    let output = cli::run(&mut { init }, b"");
    if output.code == 0 {
        return false;
    }
    assert_eq!(output.code, -1, "{fault}: {output:?}");
    machine.cut_power();
    if let Err(failure) = machine.start() {
        assert!([66, 78].contains(&failure.code), "{fault}: {failure:?}");
        assert!(
            failure.stderr.contains("hushd: hint: ") && failure.stderr.contains("hushd init"),
            "{fault}: {failure:?}"
        );
        machine.vault.try_init(&[]).exits(0);
        // What is acknowledged by init is durable too.
        machine.cut_power();
        machine.must_start();
    } else {
        let again = machine.vault.try_init(&[]);
        assert!(again.code != 0 && again.stderr.contains("already"), "{fault}: {again:?}");
    }
    works(&machine, &fault);
    machine.stop();
    true
}

/// The vault takes the keys that init was given, and writes.
fn works(machine: &Machine, fault: &str) {
    let mut connection = Connection::open(&machine.daemon().unix()).unwrap();
    let headers = vec![
        ("Authorization".to_owned(), format!("Bearer {}", machine.vault.api_key)),
        ("Content-Type".to_owned(), "application/json".to_owned()),
    ];
    let body = Some(json!({"key": "A", "value": "1"}).to_string().into_bytes());
    let post = Request { method: "POST".to_owned(), target: "/api/secrets".to_owned(), headers: headers.clone(), body };
    assert_eq!(connection.send(&post).unwrap().status, 201, "{fault}");
    let get = Request { method: "GET".to_owned(), target: secret("A"), headers, body: None };
    assert_eq!(connection.send(&get).unwrap().status, 200, "{fault}");
}
