//! Limits of the kernel's, and the end of a process that is busy: no descriptors, no memory, SIGTERM and SIGKILL with a
//! thousand requests in flight.

use std::fs;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use serde_json::json;

use crate::harness::api::secret;
use crate::harness::http::{Address, Connection};
use crate::harness::{Api, Daemon, Transport, Vault};
use crate::load::Load;
use crate::needs::{self, Numbers};
use crate::usage::{Usage, open_many_files};

/// Requests in flight.
const MANY: usize = 1000;

/// "too many open files … a daemon that recovers when the cause is gone"
#[test]
fn without_descriptors_connections_wait_and_those_that_are_there_go_on() {
    if !needs::met(&[]) {
        return;
    }
    for transport in [Transport::Unix, Transport::Tcp] {
        let api = Api::start(transport);
        let mut early = api.connect();
        let mut write = |key: &str| {
            let call = api.call("POST", "/api/secrets").json(json!({"key": key, "value": "1"}));
            early.send(&call.request()).unwrap().status
        };
        assert_eq!(write("BEFORE"), 201);
        let pid = api.daemon().pid();
        let before = limit(pid, Resource::Nofile, Usage::of(pid).descriptors + 8);
        let mut late: Vec<_> = (0..64).map(|_| api.connect()).collect();
        for connection in &mut late {
            connection.write(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        }
        assert_eq!(late[0].read("GET").unwrap().status, 200);
        for number in 0..50 {
            assert_eq!(write(&format!("MEANWHILE_{number}")), 201);
        }
        // The cause goes, one by one, and each that waited has its turn; no raised limit is needed.
        for mut connection in late.drain(..).skip(1) {
            assert_eq!(connection.read("GET").unwrap().status, 200);
        }
        assert_eq!(write("AFTER"), 201);
        api.create("NEW_CONNECTION", "1");
        prlimit(Some(pid), Resource::Nofile, before).unwrap();
        let log = api.daemon().log();
        assert!(log.contains("Too many open files"), "the log says why connections wait: {log}");
        let api = api.restart();
        assert_eq!(api.value("AFTER"), "1");
        assert_eq!(api.get("/api/secrets").json()["secrets"].as_array().unwrap().len(), 53);
        api.stop();
    }
}

/// "memory limit": whatever the process makes of it, what it acknowledged is there.
#[test]
fn without_memory_nothing_acknowledged_is_lost() {
    if !needs::met(&[]) {
        return;
    }
    let mut numbers = Numbers::new();
    let mut load = Load::new(16);
    let vault = Vault::init();
    for megabytes in [0, 1, 4, 16] {
        let daemon = Daemon::start(&vault);
        let pid = daemon.pid();
        load.write_until(&daemon.unix(), &vault, &mut numbers, 200, || {
            let size = fs::read_to_string(format!("/proc/{}/statm", pid.as_raw_nonzero())).unwrap();
            let pages: u64 = size.split(' ').next().unwrap().parse().unwrap();
            limit(pid, Resource::As, pages * 4096 + megabytes * 1024 * 1024);
            starve(&daemon.unix(), &vault);
            daemon.signal(Signal::KILL);
        });
        daemon.kill();
        let daemon = Daemon::start(&vault);
        load.compare(&daemon, &vault);
        daemon.stop_cleanly();
    }
    load.figures.conclude("daemons out of memory");
}

/// Asks for large values, of which the daemon keeps several copies at once, until it is gone or has had enough of them.
fn starve(address: &Address, vault: &Vault) {
    let body = json!({"key": "LARGE", "value": "x".repeat(1024 * 1024)}).to_string();
    let head = format!(
        "POST /api/secrets HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        vault.admin_token(),
        body.len()
    );
    let mut connections: Vec<_> = (0..32).map_while(|_| Connection::open(address).ok()).collect();
    for connection in &mut connections {
        if connection.write(head.as_bytes()).and_then(|()| connection.write(body.as_bytes())).is_err() {
            return;
        }
    }
    for mut connection in connections {
        drop(connection.read("POST"));
    }
}

/// "SIGTERM … while 1,000 requests are in flight": the daemon ends in order, and what it answered is there.
#[test]
fn sigterm_with_a_thousand_requests_in_flight_loses_nothing() {
    with_many_in_flight(Signal::TERM);
}

/// "… and SIGKILL".
#[test]
fn sigkill_with_a_thousand_requests_in_flight_loses_nothing() {
    with_many_in_flight(Signal::KILL);
}

fn with_many_in_flight(signal: Signal) {
    if !needs::met(&[]) {
        return;
    }
    open_many_files();
    let vault = Vault::init();
    let mut daemon = Daemon::start(&vault);
    let mut connections: Vec<_> = (0..MANY).map(|_| Connection::open(&daemon.unix()).unwrap()).collect();
    // Whoever gets an answer is known to the daemon.
    for connection in &mut connections {
        connection.write(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        assert_eq!(connection.read("GET").unwrap().status, 200);
    }
    for (number, connection) in connections.iter_mut().enumerate() {
        let body = json!({"key": format!("KEY_{number}"), "value": "x".repeat(number + 1)}).to_string();
        let request = format!(
            "POST /api/secrets HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            vault.admin_token(),
            body.len()
        );
        connection.write(request.as_bytes()).unwrap();
    }
    daemon.signal(signal);
    let answered: Vec<_> = connections.iter_mut().map(|connection| connection.read("POST").ok()).collect();
    let ended = daemon.wait();
    assert_eq!(ended.success(), signal == Signal::TERM, "{ended}: {}", daemon.log());
    drop(connections);
    let acknowledged = answered.iter().flatten().inspect(|answer| assert_eq!(answer.status, 201)).count();
    eprintln!("{signal:?} with {MANY} requests in flight: {acknowledged} were answered");
    if signal == Signal::TERM {
        assert!(acknowledged > 0, "requests in flight finish: {}", daemon.log());
    }
    let api = Api::serve(vault, Transport::Unix);
    assert_eq!(api.get("/api/status").is(200).json()["problems"], json!([]));
    for (number, answer) in answered.iter().enumerate() {
        let found = api.get(&secret(&format!("KEY_{number}")));
        // In an orderly end, one that is not answered was never begun: nobody is left in doubt.
        if answer.is_some() || signal == Signal::KILL && found.status != 404 {
            assert_eq!(found.is(200).json()["value"].as_str().unwrap().len(), number + 1);
        } else {
            found.is(404);
        }
    }
    api.stop();
}

/// Lowers a limit of a process and says what it was.
fn limit(pid: Pid, resource: Resource, current: u64) -> Rlimit {
    let maximum = prlimit(Some(pid), resource, Rlimit { current: Some(current), maximum: getrlimit(resource).maximum });
    maximum.unwrap()
}
