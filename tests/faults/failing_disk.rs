//! A disk that fails: system calls on the files of the store answer an error, once or for good.

use std::thread;

use serde_json::json;

use crate::disk;
use crate::harness::api::secret;
use crate::harness::{Answer, Api, Transport};
use crate::load::Load;
use crate::machine::Machine;
use crate::needs::{self, Numbers};
use crate::strace::Fault;
use crate::usage::Usage;

/// Writers that are in flight when the disk fails.
const WRITERS: usize = 16;

/// "EIO from fsync …: the write in flight is answered as failed, the engine latches, `ready` turns 503, the log says why".
#[test]
fn a_sync_that_fails_for_good_makes_the_store_read_only() {
    latches("fdatasync:error=EIO");
}

/// "an fsync that failed is never taken as having worked by trying again": the next one would.
#[test]
fn a_sync_that_fails_once_is_not_tried_again() {
    latches("fdatasync:error=EIO:when=1");
}

#[test]
fn a_write_that_fails_for_good_makes_the_store_read_only() {
    latches("pwrite64:error=EIO");
}

#[test]
fn a_write_that_fails_once_is_not_tried_again() {
    latches("pwrite64:error=EIO:when=1");
}

#[test]
fn a_flush_that_fails_once_is_not_tried_again() {
    latches("sync_file_range:error=EIO:when=1");
}

fn latches(fault: &str) {
    if !needs::met(&["strace"]) {
        return;
    }
    let api = Api::start(Transport::Unix);
    api.create("BEFORE", "1");
    let failing = Fault::inject(api.daemon().pid(), fault);
    let answers: Vec<_> = thread::scope(|scope| {
        let write = |number: usize| {
            let api = &api;
            move || api.post("/api/secrets", json!({"key": format!("KEY_{number}"), "value": "1"}))
        };
        let writers: Vec<_> = (0..WRITERS).map(|number| scope.spawn(write(number))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    for (number, answer) in answers.into_iter().enumerate() {
        is_failed(answer, &format!("Failed to create secret: KEY_{number}"));
    }
    // Nor is any other write tried, for as long as nothing was reopened.
    is_failed(api.put(&secret("BEFORE"), json!({"value": "2"})), "Failed to update secret: BEFORE");
    is_failed(api.delete(&secret("BEFORE")), "Failed to delete secret: BEFORE");
    is_failed(api.post("/api/secrets/api-key/rotate", json!({})), "Failed to rotate the API key");
    api.get("/api/ready").fails(503, "INTERNAL_ERROR", "The vault is not ready: it takes no writes");
    let status = api.get("/api/status").is(200).json();
    let problem = "a write failed because the disk failed; the vault is read-only until writing works again";
    assert_eq!((&status["writable"], &status["problems"]), (&json!(false), &json!([problem])));
    let log = api.daemon().log();
    let reason = "a write failed: the store is read-only until it has been reopened";
    assert!(log.contains(reason) && log.contains("Input/output error"), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    // Reads go on; where the fault hits the trail as well they are refused: nothing is revealed unrecorded.
    let read = api.get(&secret("BEFORE"));
    if fault.starts_with("pwrite64") && read.status == 503 {
        assert!(read.json()["message"].as_str().unwrap().contains("audit trail cannot be written"), "{read:?}");
    } else {
        assert_eq!(read.is(200).json()["value"], json!("1"));
        api.get("/api/secrets").is(200);
    }

    // The disk is well again, and the daemon notices by itself.
    drop(failing);
    becomes_ready(&api);
    let log = api.daemon().log();
    assert!(log.contains("the store was reopened and takes writes again"), "{log}");
    let status = api.get("/api/status").is(200).json();
    assert_eq!((&status["writable"], &status["problems"]), (&json!(true), &json!([])));
    assert_eq!(api.value("BEFORE"), "1");
    for number in 0..WRITERS {
        let key = format!("KEY_{number}");
        let answer = api.get(&secret(&key));
        assert!(answer.status == 404 || answer.json()["value"] == "1", "whole or missing: {answer:?}");
    }
    api.put(&secret("BEFORE"), json!({"value": "2"})).is(200);
    let api = api.restart();
    assert_eq!(api.value("BEFORE"), "2");
    api.stop();
}

/// "the daemon mends itself": any number of times, without taking more memory each time.
#[test]
fn a_store_that_is_reopened_again_and_again_takes_no_more_memory() {
    const GROWTH: u64 = 6 * 1024 * 1024;
    if !needs::met(&["strace"]) {
        return;
    }
    let api = Api::start(Transport::Unix);
    api.create("A", "1");
    let resident: Vec<u64> = (0..8)
        .map(|_| {
            let failing = Fault::inject(api.daemon().pid(), "fdatasync:error=EIO:when=1");
            thread::scope(|scope| {
                for _ in 0..WRITERS {
                    scope.spawn(|| api.put(&secret("A"), json!({"value": "2"})));
                }
            });
            drop(failing);
            becomes_ready(&api);
            thread::scope(|scope| {
                for _ in 0..WRITERS {
                    scope.spawn(|| api.put(&secret("A"), json!({"value": "3"})).is(200));
                }
            });
            Usage::of(api.daemon().pid()).resident
        })
        .collect();
    assert!(resident[7] < resident[0] + GROWTH, "{resident:?}");
    api.stop();
}

/// A disk that does not answer is no failed disk: the write waits, the log says for what, and it is acknowledged in the end.
#[test]
fn a_sync_that_takes_long_is_told_and_waited_for() {
    if !needs::met(&["strace"]) {
        return;
    }
    let api = Api::start(Transport::Unix);
    let slow = Fault::inject(api.daemon().pid(), "fdatasync:delay_enter=9000000:when=1");
    api.create("SLOW", "1");
    drop(slow);
    let log = api.daemon().log();
    let told = "a commit takes long: the disk is slow, or hangs step=\"bringing it to the disk\"";
    assert!(log.contains(told), "{log}");
    assert_eq!(api.value("SLOW"), "1");
    api.get("/api/ready").is(200);
    api.stop();
}

/// What is being purged is there until it is durable that it is not, and then it was never damaged.
#[test]
fn a_read_beside_a_purge_waits_for_its_end() {
    if !needs::met(&["strace"]) {
        return;
    }
    let api = Api::start(Transport::Unix);
    api.create("GOING", "1");
    let slow = Fault::inject(api.daemon().pid(), "fdatasync:delay_enter=1000000:when=1");
    thread::scope(|scope| {
        let purge = scope.spawn(|| api.delete(&format!("{}?purge=true", secret("GOING"))));
        thread::sleep(std::time::Duration::from_millis(300));
        let read = scope.spawn(|| api.get(&secret("GOING")));
        let named = scope.spawn(|| api.get("/api/environment?keys=GOING"));
        let verified = scope.spawn(|| api.post(&format!("{}/verify", secret("GOING")), json!({"value": "1"})));
        // Meanwhile nobody else waits.
        api.get("/api/secrets").is(200);
        for answer in [read, named, verified] {
            answer.join().unwrap().fails(404, "NOT_FOUND", "Secret not found: GOING");
        }
        purge.join().unwrap().is(200);
    });
    drop(slow);
    assert_eq!(api.get("/api/status").json()["problems"], json!([]));
    api.stop();
}

/// "an fsync that failed is never taken as having worked": after it the kernel takes pages for written that are not, so
/// that a daemon which reads them again from memory would build on what a power cut takes away.
#[test]
fn what_a_failed_sync_left_in_memory_is_not_built_upon() {
    if !needs::met(&disk::PROGRAMS) {
        return;
    }
    let mut numbers = Numbers::new();
    let mut load = Load::new(16);
    let mut machine = Machine::new(200);
    for round in 0..4 {
        machine.must_start();
        machine.disk.fail_where_unwritten();
        load.write_until_failing(&machine.daemon().unix(), &machine.vault, &mut numbers);
        let log = machine.daemon().log();
        assert!(log.contains("a write failed: the store is read-only"), "{log}");
        machine.disk.mend();
        if round % 2 == 0 {
            machine.stop();
        } else {
            machine.kill();
        }
        machine.must_start();
        load.compare(machine.daemon(), &machine.vault);
        let (daemon, disk) = (machine.daemon(), &machine.disk);
        assert!(load.write_until(&daemon.unix(), &machine.vault, &mut numbers, 300, || disk.cut_power()));
        machine.kill();
        machine.disk.restore_power();
        machine.must_start();
        load.compare(machine.daemon(), &machine.vault);
        machine.kill();
    }
    load.figures.conclude("starts after a medium that failed and was mended");
}

/// Waits until the daemon, which is not restarted, takes writes again.
#[track_caller]
fn becomes_ready(api: &Api) {
    let started = std::time::Instant::now();
    while api.get("/api/ready").status != 200 {
        assert!(started.elapsed() < std::time::Duration::from_mins(1), "it does not recover: {}", api.daemon().log());
        thread::sleep(std::time::Duration::from_millis(100));
    }
}

/// What a person sees.
#[track_caller]
fn is_failed(answer: Answer, message: &str) {
    let id = answer.header("x-request-id").unwrap().to_owned();
    let answer = answer.fails(500, "INTERNAL_ERROR", message);
    let expected = format!(
        "See the daemon's log and the state of the disk; the daemon tries by itself whether it works again (request {id})"
    );
    assert_eq!(answer.json()["nextActions"], json!(expected), "{answer:?}");
}
