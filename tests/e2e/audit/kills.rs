//! "A test kills the daemon (kill -9) 200 times under concurrent reads: every value that a client received has its entry
//! in the trail." `HUSHD_TEST_KILLS` says how often.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde_json::json;

use super::{following, is_whole};
use crate::harness::api::secret;
use crate::harness::http::{Address, Connection, Request};
use crate::harness::{Api, Transport, Vault, setting};

const READERS: usize = 8;

#[test]
fn every_value_that_a_client_received_has_its_entry_after_kill_9() {
    let mut vault = Vault::init();
    let mut after = 0;
    let (mut received, mut changed) = (0, 0);
    for round in 0..setting("HUSHD_TEST_KILLS", 5) {
        let api = Api::serve(vault, if round % 2 == 0 { Transport::Unix } else { Transport::Tcp });
        if round == 0 {
            api.create("READ", "a value");
            api.create("WRITTEN", "a value");
        }
        let (address, token) = (api.address(), api.vault.admin_token());
        let count = AtomicU64::new(0);
        let until = 20 + round * 37 % 400;
        let (killed, reads, writes) = thread::scope(|scope| {
            let readers: Vec<_> = (0..READERS)
                .map(|reader| {
                    let (address, token, count) = (&address, &token, &count);
                    scope.spawn(move || read(address, token, &format!("{round}-{reader}"), count))
                })
                .collect();
            let (address, token, count) = (&address, &token, &count);
            let writer = scope.spawn(move || write(address, token, &format!("{round}-w"), count));
            while count.load(Ordering::Relaxed) < until {
                thread::yield_now();
            }
            let killed = api.kill();
            let reads: Vec<String> = readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect();
            (killed, reads, writer.join().unwrap())
        });
        let api = Api::serve(killed, Transport::Unix);
        // No false alarm, neither of the vault nor of who verifies.
        is_whole(&api);
        assert_eq!(api.get("/api/status").is(200).json()["problems"], json!([]));
        let entries = following(&api, after);
        after = entries.last().unwrap()["sequence"].as_u64().unwrap();
        let ids = |action: &str| -> Vec<String> {
            let of = entries.iter().filter(|entry| entry["action"] == action);
            of.map(|entry| entry["requestId"].as_str().unwrap().to_owned()).collect()
        };
        let recorded: HashSet<String> = ids("reveal").into_iter().collect();
        for id in &reads {
            assert!(recorded.contains(id), "the value of request {id} was received and is not in the trail");
        }
        let updates = ids("update");
        let recorded: HashSet<&String> = updates.iter().collect();
        assert_eq!(recorded.len(), updates.len(), "a change stands in the trail twice");
        for id in &writes {
            assert!(recorded.contains(id), "the change of request {id} was acknowledged and is not in the trail");
        }
        // A change without an entry, or an entry without a change, would part these.
        let revision = api.metadata("WRITTEN")["revision"].as_u64().unwrap();
        changed += updates.len() as u64;
        assert_eq!(revision, 1 + changed);
        received += reads.len();
        vault = api.stop();
    }
    eprintln!("{received} values received, {changed} changes, each with its entry");
}

/// Reads until the daemon is gone. Gives the requests whose value arrived.
fn read(address: &Address, token: &str, name: &str, count: &AtomicU64) -> Vec<String> {
    let mut received = Vec::new();
    let Ok(mut connection) = Connection::open(address) else { return received };
    for number in 0_u64.. {
        let id = format!("{name}-{number}");
        let request = request("GET", &secret("READ"), token, &id, Vec::new());
        match connection.send(&request) {
            Ok(answer) if answer.status == 200 => received.push(id),
            Ok(answer) => panic!("{}", answer.status),
            Err(_) => break,
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
    received
}

/// Changes a secret until the daemon is gone. Gives the requests that were acknowledged.
fn write(address: &Address, token: &str, name: &str, count: &AtomicU64) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let Ok(mut connection) = Connection::open(address) else { return acknowledged };
    for number in 0_u64.. {
        let id = format!("{name}-{number}");
        let body = json!({"value": format!("the value that {id} wrote")}).to_string().into_bytes();
        match connection.send(&request("PUT", &secret("WRITTEN"), token, &id, body)) {
            Ok(answer) if answer.status == 200 => acknowledged.push(id),
            Ok(answer) => panic!("{}", answer.status),
            Err(_) => break,
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}

fn request(method: &str, target: &str, token: &str, id: &str, body: Vec<u8>) -> Request {
    let mut headers =
        vec![("Authorization".to_owned(), format!("Bearer {token}")), ("X-Request-Id".to_owned(), id.to_owned())];
    if !body.is_empty() {
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    }
    Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
        body: Some(body).filter(|body| !body.is_empty()),
    }
}
