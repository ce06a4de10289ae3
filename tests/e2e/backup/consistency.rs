//! "one consistent point in time, without stopping writers"

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use serde_json::{Value, json};

use super::{age, lines, metadata, restore, verify};
use crate::harness::api::secret;
use crate::harness::{Api, Transport};

const WRITERS: usize = 64;

/// Each of 64 writers counts in two secrets, the second only after the first was answered. A backup that began before and
/// is read only after every old revision was dropped shows each pair as it was at one instant, with all its revisions.
///
/// `HUSHD_BACKUP_SECRETS=100000` does it with so many more secrets.
#[test]
fn a_backup_under_64_writers_is_of_one_instant() {
    let Some(age) = age() else { return };
    let more = std::env::var("HUSHD_BACKUP_SECRETS").map_or(40, |number| number.parse::<usize>().unwrap());
    let api = Api::start(Transport::Unix);
    // They come first, and are more than fits between the daemon and a client that does not read.
    fill(&api, more);
    for writer in 0..WRITERS {
        for name in ["A", "B"] {
            api.create(&format!("{name}_{writer}"), "1");
        }
    }
    let (stop, counts) = (AtomicBool::new(false), [const { AtomicU64::new(1) }; WRITERS]);
    let path = api.vault.sandbox.path("backup.age");
    thread::scope(|scope| {
        for (writer, count) in counts.iter().enumerate() {
            let (api, stop) = (&api, &stop);
            scope.spawn(move || {
                let mut connection = api.connect();
                for number in 2.. {
                    for name in ["A", "B"] {
                        let call = api.call("PUT", &secret(&format!("{name}_{writer}")));
                        let request = call.json(json!({"value": number.to_string()})).request();
                        assert_eq!(connection.send(&request).unwrap().status, 200);
                    }
                    count.store(number, Ordering::SeqCst);
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                }
            });
        }
        all_reach(&counts, 12);
        let before = counts.each_ref().map(|count| count.load(Ordering::SeqCst));
        let mut connection = api.connect();
        let call = api.call("GET", "/api/backup").request();
        let token = &call.headers[0].1;
        connection
            .write(format!("GET /api/backup HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\n\r\n").as_bytes())
            .unwrap();
        // Not a byte is read until every revision that the backup shows was dropped.
        let newest = counts.iter().map(|count| count.load(Ordering::SeqCst)).max().unwrap();
        all_reach(&counts, newest + 15);
        let response = connection.read("GET").unwrap();
        assert_eq!(response.status, 200);
        stop.store(true, Ordering::SeqCst);
        std::fs::write(&path, &response.body).unwrap();
        let lines = lines(age, &api.vault, &path);
        for (writer, before) in before.iter().enumerate() {
            let [a, b] = ["A", "B"].map(|name| newest_of(&lines, &format!("{name}_{writer}")));
            assert!(a == b || a == b + 1, "writer {writer}: A is {a} and B is {b}");
            assert!(b >= *before, "writer {writer}: {before} was answered before the backup began, and B is {b}");
            assert!(a <= newest + 15, "writer {writer}: A is {a}, which came after the backup began");
        }
    });
    verify(&api.vault, &path).exits(0);
    let vault = api.stop();
    let restored = Api::serve(restore(&vault, &path), Transport::Unix);
    let total =
        metadata(&restored).as_array().unwrap().iter().map(|list| list[0]["total"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(total, (more + 2 * WRITERS) as u64);
    restored.stop();
}

/// The number in the newest revision; the others must count up to it.
fn newest_of(lines: &[Value], key: &str) -> u64 {
    let line = lines.iter().find(|line| line["key"] == key).unwrap();
    let revisions = line["revisions"].as_array().unwrap();
    assert_eq!(revisions.len(), 10, "{key}");
    for revision in revisions {
        assert_eq!(revision["value"], revision["revision"].as_u64().unwrap().to_string(), "{key}");
    }
    revisions[9]["revision"].as_u64().unwrap()
}

fn all_reach(counts: &[AtomicU64], number: u64) {
    while counts.iter().any(|count| count.load(Ordering::SeqCst) < number) {
        thread::yield_now();
    }
}

/// Writes so many secrets into a namespace that comes before the others: 40 large ones, the rest small.
fn fill(api: &Api, number: usize) {
    thread::scope(|scope| {
        for part in 0..WRITERS {
            scope.spawn(move || {
                let mut connection = api.connect();
                for index in (part..number).step_by(WRITERS) {
                    let value = if index < 40 { "x".repeat(256 * 1024) } else { format!("value {index}") };
                    let body = json!({"key": format!("KEY_{index}"), "value": value});
                    let request = api.call("POST", "/api/secrets?namespace=a").json(body).request();
                    assert_eq!(connection.send(&request).unwrap().status, 201);
                }
            });
        }
    });
}
