//! A disk that fills: writes are refused, all else goes on, and when there is space again so do writes.

use std::fs;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};
use serde_json::{Value, json};

use crate::disk;
use crate::harness::api::secret;
use crate::harness::http::{Connection, Request, Response};
use crate::machine::Machine;
use crate::needs;

/// Bytes of the values that fill the disk.
const LENGTH: usize = 500_000;

/// "writes answer 507 `STORAGE_FULL`, reads go on, the daemon stays up; when space is back it recovers without being
/// restarted, nothing lost; a start on a full disk works".
#[test]
fn a_full_disk_refuses_writes_and_nothing_else() {
    if !needs::met(&disk::PROGRAMS) {
        return;
    }
    let mut machine = Machine::new(160);
    machine.must_start();
    let ballast = [machine.disk.root().join("ballast"), machine.disk.root().join("more")];
    take_space(&ballast[0], 56 * 1024 * 1024);
    let mut count = 0;
    while put(&machine, count).status == 201 {
        count += 1;
    }
    assert!(count > 3, "{count}");
    is_refused(put(&machine, count), count);
    take_space(&ballast[1], u64::MAX);
    is_refused(put(&machine, count), count);
    reads_go_on(&machine, count);
    let log = machine.daemon().log();
    assert!(log.contains("no space left on the disk"), "{log}");

    // Also a daemon that is started now serves what is there, after an end in order and after a kill.
    machine.stop();
    machine.must_start();
    is_refused(put(&machine, count), count);
    reads_go_on(&machine, count);
    machine.kill();
    machine.must_start();
    is_refused(put(&machine, count), count);
    reads_go_on(&machine, count);

    // Space is back, and the daemon is the same.
    for file in &ballast {
        fs::remove_file(file).unwrap();
    }
    // On the disk too, or the power cut would bring the ballast back.
    fs::File::open(ballast[0].parent().unwrap()).unwrap().sync_all().unwrap();
    assert_eq!(put(&machine, count).status, 201);
    assert_eq!(call(&machine, "GET", "/api/ready", None).status, 200);
    machine.cut_power();
    machine.must_start();
    reads_go_on(&machine, count + 1);
    let status = json(&call(&machine, "GET", "/api/status", None));
    assert_eq!((&status["problems"], &status["writable"]), (&json!([]), &json!(true)), "{status}");
    machine.stop();
}

/// What a person sees.
#[track_caller]
fn is_refused(answer: Response, number: u64) {
    let expected = json!({
        "error": "STORAGE_FULL",
        "message": format!("Failed to create secret: FILL_{number}"),
        "statusCode": 507,
        "nextActions": "Free space on the disk of the vault; the daemon takes writes again as soon as there is some",
    });
    assert_eq!((answer.status, json(&answer)), (507, expected));
}

#[track_caller]
fn reads_go_on(machine: &Machine, count: u64) {
    for number in 0..count {
        let answer = call(machine, "GET", &secret(&format!("FILL_{number}")), None);
        assert_eq!((answer.status, &json(&answer)["value"]), (200, &json!(value(number))), "{number}");
    }
    let list = json(&call(machine, "GET", "/api/secrets", None));
    assert_eq!(list["secrets"].as_array().unwrap().len() as u64, count);
}

fn put(machine: &Machine, number: u64) -> Response {
    let body = json!({"key": format!("FILL_{number}"), "value": value(number)});
    call(machine, "POST", "/api/secrets", Some(body))
}

fn value(number: u64) -> String {
    format!("{number} {}", "x".repeat(LENGTH))
}

fn call(machine: &Machine, method: &str, target: &str, body: Option<Value>) -> Response {
    let mut headers = vec![("Authorization".to_owned(), format!("Bearer {}", machine.vault.admin_token()))];
    if body.is_some() {
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    }
    let body = body.map(|body| body.to_string().into_bytes());
    let request = Request { method: method.to_owned(), target: target.to_owned(), headers, body };
    Connection::open(&machine.daemon().unix()).unwrap().send(&request).unwrap()
}

fn json(answer: &Response) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

/// Takes that much space on a disk, or all there is.
pub fn take_space(file: &Path, bytes: u64) {
    let ballast = fs::File::create(file).unwrap();
    let (mut taken, mut step) = (0, 1024 * 1024);
    while taken < bytes && step >= 1024 {
        match fallocate(&ballast, FallocateFlags::empty(), taken, step) {
            Ok(()) => taken += step,
            Err(_) => step /= 2,
        }
    }
    rustix::fs::syncfs(&ballast).unwrap();
}
