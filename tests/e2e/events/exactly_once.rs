//! "resumed after a reconnect without a gap or a double": thousands of events under concurrent writers, read over connections
//! that break at random.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use serde_json::json;

use super::stream::Stream;
use crate::harness::{Api, Transport, api::secret};

const WRITERS: u64 = 16;

/// Every event exactly once and in order; `HUSHD_TEST_EVENTS=10000` for the full number.
#[test]
fn every_event_comes_once_and_in_order_over_connections_that_break() {
    let wanted = std::env::var("HUSHD_TEST_EVENTS").map_or(2000, |text| text.parse().unwrap());
    let each: u64 = wanted / WRITERS;
    let mut seed = u64::from(std::process::id());
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let api = Api::start(Transport::Tcp);
    let mut stream = Stream::open(&api, "/api/events", None);
    let (mut revisions, mut ids, mut breaks) = (BTreeMap::<String, Vec<u64>>::new(), BTreeSet::new(), 0);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let api = &api;
            scope.spawn(move || {
                let key = format!("K{writer}");
                api.create(&key, "x");
                let mut connection = api.connect();
                for _ in 1..each {
                    let call = api.call("PUT", &secret(&key)).json(json!({"value": "y"}));
                    assert_eq!(connection.send(&call.request()).unwrap().status, 200);
                }
            });
        }
        let mut until_break = 1 + random(100);
        while (ids.len() as u64) < each * WRITERS {
            let event = stream.next().unwrap();
            let (kind, key, revision) = event.told();
            assert_eq!(kind, if revision == 1 { "created" } else { "updated" }, "{event:?}");
            revisions.entry(key.to_owned()).or_default().push(revision);
            assert!(ids.insert(event.id.clone()), "{event:?} came twice");
            until_break -= 1;
            if until_break == 0 {
                // What was sent and not read is lost with the connection.
                stream = Stream::open(&api, "/api/events", Some(&event.id));
                until_break = 1 + random(100);
                breaks += 1;
            }
        }
    });
    let all: Vec<u64> = (1..=each).collect();
    assert_eq!(revisions.len() as u64, WRITERS);
    for (key, found) in &revisions {
        assert_eq!(*found, all, "{key}");
    }
    assert!(breaks > 10, "{breaks}");
    eprintln!("{} events over {} connections: none twice, none missing", ids.len(), breaks + 1);
    api.stop();
}
