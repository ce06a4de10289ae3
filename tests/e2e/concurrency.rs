//! "Writes to one key are serial": many clients at once, each on a connection of its own.

use std::sync::Barrier;
use std::thread;

use serde_json::{Value, json};

use crate::harness::api::{Call, secret};
use crate::harness::http::Response;
use crate::harness::{Api, Transport};

over_both!(
    of_16_parallel_creates_exactly_one_is_201,
    of_64_parallel_updates_with_if_match_exactly_one_is_200,
    parallel_updates_without_a_precondition_all_succeed,
    parallel_deletions_and_revivals_leave_one_state,
);

/// Sends the calls at the same moment and gathers their answers.
fn together(api: &Api, calls: Vec<Call>) -> Vec<Response> {
    let barrier = Barrier::new(calls.len());
    thread::scope(|scope| {
        let calls: Vec<_> = calls
            .into_iter()
            .map(|call| {
                let barrier = &barrier;
                let mut connection = api.connect();
                scope.spawn(move || {
                    barrier.wait();
                    connection.send(&call.request()).unwrap()
                })
            })
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    })
}

fn count(answers: &[Response], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

fn of_16_parallel_creates_exactly_one_is_201(api: &Api) {
    for round in 0..4 {
        let key = format!("KEY_{round}");
        let create =
            |n: usize| api.call("POST", "/api/secrets").json(json!({"key": key, "value": format!("value {n}")}));
        let answers = together(api, (0..16).map(create).collect());
        assert_eq!((count(&answers, 201), count(&answers, 409)), (1, 15), "{answers:?}");
        let winner = answers.iter().position(|answer| answer.status == 201).unwrap();
        assert_eq!(api.value(&key), format!("value {winner}"));
        assert_eq!(api.metadata(&key)["revision"], json!(1));
    }
}

fn of_64_parallel_updates_with_if_match_exactly_one_is_200(api: &Api) {
    api.create("A", "1");
    for revision in 1..4 {
        let update = |n: usize| {
            let call = api.call("PUT", &secret("A")).header("If-Match", &format!("\"{revision}\""));
            call.json(json!({"value": format!("value {n}")}))
        };
        let answers = together(api, (0..64).map(update).collect());
        assert_eq!((count(&answers, 200), count(&answers, 412)), (1, 63), "{answers:?}");
        let winner = answers.iter().position(|answer| answer.status == 200).unwrap();
        assert_eq!(api.value("A"), format!("value {winner}"));
        assert_eq!(api.metadata("A")["revision"], json!(revision + 1));
    }
}

fn parallel_updates_without_a_precondition_all_succeed(api: &Api) {
    api.create("A", "first");
    let update = |n: usize| api.call("PUT", &secret("A")).json(json!({"value": format!("value {n}")}));
    let answers = together(api, (0..32).map(update).collect());
    assert_eq!(count(&answers, 200), 32, "{answers:?}");
    // Each made a revision of its own, and the last of them is the value.
    let mut revisions: Vec<u64> = answers.iter().map(revision).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (2..=33).collect::<Vec<_>>());
    let last = answers.iter().position(|answer| revision(answer) == 33).unwrap();
    assert_eq!(api.value("A"), format!("value {last}"));
}

fn revision(answer: &Response) -> u64 {
    let etag = answer.headers.iter().find(|(name, _)| name == "etag").unwrap();
    etag.1.trim_matches('"').parse().unwrap()
}

fn parallel_deletions_and_revivals_leave_one_state(api: &Api) {
    let id = api.create("A", "first");
    for _ in 0..4 {
        let call = |n: usize| match n % 2 {
            0 => api.call("DELETE", &secret("A")),
            _ => api.call("POST", "/api/secrets").json(json!({"key": "A", "value": format!("value {n}")})),
        };
        let answers = together(api, (0..16).map(call).collect());
        assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 201 | 409)), "{answers:?}");
        let metadata = api.metadata("A");
        assert_eq!(metadata["id"], json!(id));
        let status = api.get(&secret("A")).status;
        assert_eq!(status, if metadata["isActive"] == json!(true) { 200 } else { 404 });
        api.put(&secret("A"), json!({"isActive": true})).is(200);
    }
}

/// "of parallel rotations each succeeds in turn"
///
/// The peer of the Unix socket rotates: a key would be an old one after the first of them.
#[test]
fn of_8_parallel_rotations_each_succeeds_in_turn() {
    let api = Api::start(Transport::Unix);
    for path in ["/api/secrets/api-key/rotate", "/api/secrets/anon-key/rotate"] {
        let rotate = |_| api.bare("POST", path).json(json!({"gracePeriodHours": 24}));
        let answers = together(&api, (0..8).map(rotate).collect());
        assert_eq!(count(&answers, 200), 8, "{answers:?}");
        let mut keys: Vec<String> = answers.iter().map(new_key).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 8, "each made a key of its own");

        let status = |key: &String| api.bare("GET", "/api/secrets").bearer(key).send().status;
        if path.contains("anon") {
            assert!(keys.iter().all(|key| status(key) == 403));
            continue;
        }
        assert!(keys.iter().all(|key| status(key) == 200), "the old ones are in their grace period");
        let can_mint = |key: &&String| {
            let call = api.bare("POST", "/api/tokens").bearer(key.as_str());
            call.json(json!({"admin": true, "ttlSeconds": 60})).send().status == 201
        };
        assert_eq!(keys.iter().filter(can_mint).count(), 1, "exactly one is the current key");
        let can_rotate = |key: &&String| api.bare("POST", path).bearer(key.as_str()).send().status == 200;
        assert_eq!(keys.iter().filter(can_rotate).count(), 1, "exactly one is the current key");
    }
    api.stop();
}

fn new_key(answer: &Response) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    body.get("apiKey").or_else(|| body.get("anonKey")).and_then(Value::as_str).unwrap().to_owned()
}
