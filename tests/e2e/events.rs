//! "`GET /api/events` (SSE, `Last-Event-ID`, heartbeats, bounded memory with a slow reader dropped and told)".

mod browser;
mod exactly_once;
pub mod stream;
mod watch;

use std::fs;
use std::thread;

use serde_json::json;

use crate::harness::{Api, Transport, Vault, api::secret, cli, programs};
use stream::{Event, Stream};

over_both!(changes_are_told_and_values_are_not, only_what_may_be_listed_is_told);

fn told(events: &[Event]) -> Vec<(&str, &str, u64)> {
    events.iter().map(Event::told).collect()
}

/// A vault whose daemon has this configuration.
fn configured(config: &str) -> Api {
    let vault = Vault::init();
    fs::write(vault.sandbox.config().join("config.toml"), config).unwrap();
    Api::serve(vault, Transport::Unix)
}

fn changes_are_told_and_values_are_not(api: &Api) {
    let mut stream = Stream::open(api, "/api/events", None);
    api.create("A", "first-value-1");
    api.put(&secret("A"), json!({"value": "second-value-2"})).is(200);
    api.put(&secret("A"), json!({"isReserved": true})).is(200);
    api.put(&secret("A"), json!({"isReserved": false})).is(200);
    api.delete(&secret("A")).is(200);
    api.delete(&secret("A")).is(200);
    api.put(&secret("A"), json!({"isActive": true})).is(200);
    api.post("/api/secrets/A/rollback", json!({"revision": 1})).is(200);
    api.delete("/api/secrets/A?purge=true").is(200);
    api.post("/api/secrets?namespace=shop", json!({"key": "B", "value": "third-value-3"})).is(201);
    api.post("/api/secrets/api-key/rotate", json!({})).is(200);
    api.anon_key();
    let events = stream.take(11);
    let expected = [
        ("created", "A", 1),
        ("updated", "A", 2),
        ("updated", "A", 2),
        ("updated", "A", 2),
        ("deleted", "A", 2),
        ("created", "A", 2),
        ("updated", "A", 3),
        ("deleted", "A", 3),
        ("created", "B", 1),
        ("rotated", "api-key", 0),
        ("rotated", "anon-key", 0),
    ];
    assert_eq!(told(&events), expected);
    assert_eq!(events[0].data["namespace"], "default");
    assert_eq!(events[8].data["namespace"], "shop");
    assert!(!format!("{events:?}").contains("-value-"), "{events:?}");
    // One who was away since the second event gets what came after it, and one namespace where that is asked for.
    let mut later = Stream::open(api, "/api/events", Some(&events[1].id));
    assert_eq!(later.take(9), events[2..]);
    let mut shop = Stream::open(api, "/api/events?namespace=shop", Some(&events[1].id));
    api.put("/api/secrets/B?namespace=shop", json!({"value": "x"})).is(200);
    assert_eq!(told(&shop.take(2)), [("created", "B", 1), ("updated", "B", 2)]);
}

fn only_what_may_be_listed_is_told(api: &Api) {
    assert_eq!(Stream::connect(api, "/api/events", None, "ik_wrong").err(), Some(401));
    assert_eq!(Stream::connect(api, "/api/events", None, &api.anon_key()).err(), Some(403));
    let token = api.post("/api/tokens", json!({"admin": true, "ttlSeconds": 1})).is(201).json();
    let token = token["token"].as_str().unwrap();
    let mut stream = Stream::connect(api, "/api/events", None, token).unwrap();
    api.create("BEFORE", "x");
    assert_eq!(told(&stream.take(1)), [("created", "BEFORE", 1)]);
    while api.bare("GET", "/api/status").bearer(token).send().status == 200 {
        thread::yield_now();
    }
    api.create("AFTER", "x");
    let end = stream.next().unwrap();
    assert_eq!((&end.data["type"], &end.data["reason"]), (&json!("end"), &json!("credential")));
    assert_eq!(stream.next(), None);
    for id in ["1", "x-1", "0000000000000001-x"] {
        api.call("GET", "/api/events").header("Last-Event-ID", id).send().refuses(400, "INVALID_INPUT");
    }
    api.call("GET", "/api/events?namespace=%20").send().refuses(400, "INVALID_INPUT");
}

/// "only what the caller may see": the scope decides, and a token that is revoked sees no more.
#[test]
fn a_narrow_token_sees_its_part_until_it_is_revoked() {
    let api = Api::start(Transport::Unix);
    let made = api.post("/api/tokens", json!({"scope": ["list shop/**"], "ttlSeconds": 600})).is(201).json();
    let (token, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    let mut stream = Stream::connect(&api, "/api/events", None, token).unwrap();
    api.create("ELSEWHERE", "x");
    api.anon_key();
    api.post("/api/secrets?namespace=shop/dev", json!({"key": "HERE", "value": "x"})).is(201);
    assert_eq!(told(&stream.take(1)), [("created", "HERE", 1)]);
    api.delete(&format!("/api/tokens/{id}")).is(200);
    api.put("/api/secrets/HERE?namespace=shop/dev", json!({"value": "y"})).is(200);
    let end = stream.next().unwrap();
    assert_eq!((&end.data["type"], &end.data["reason"]), (&json!("end"), &json!("credential")));
    api.stop();
}

#[test]
fn streams_end_when_the_vault_is_sealed() {
    let api = Api::start(Transport::Unix);
    let mut stream = Stream::open(&api, "/api/events", None);
    api.create("A", "x");
    api.post("/api/seal", json!({})).is(200);
    assert_eq!(told(&stream.take(1)), [("created", "A", 1)]);
    let end = stream.next().unwrap();
    assert_eq!((&end.data["type"], &end.data["reason"]), (&json!("end"), &json!("sealed")));
    assert_eq!(stream.next(), None);
    // Numbers go on: whoever the daemon runs as learns that it is sealed.
    let request = api.bare("GET", "/metrics").request();
    let text = String::from_utf8(api.connect().send(&request).unwrap().body).unwrap();
    assert!(text.contains("\nhushd_sealed 1.0\n") && !text.contains("hushd_secrets{"), "{text}");
    api.stop();
}

#[test]
fn a_reader_that_may_have_missed_something_is_told() {
    let api = configured("[events]\nbacklog = 4\n");
    api.create("A", "x");
    let mut stream = Stream::open(&api, "/api/events", None);
    let begin = stream.last.clone();
    for _ in 0..4 {
        api.put(&secret("A"), json!({"value": "y"})).is(200);
    }
    let events = stream.take(4);
    assert_eq!(Stream::open(&api, "/api/events", Some(&begin)).take(4), events);
    api.put(&secret("A"), json!({"value": "z"})).is(200);
    let reset = |api: &Api, id: &str, reason: &str| {
        let mut stream = Stream::open(api, "/api/events", Some(id));
        let event = stream.next().unwrap();
        assert_eq!((&event.data["type"], &event.data["reason"]), (&json!("reset"), &json!(reason)));
        stream
    };
    reset(&api, &begin, "backlog");
    let api = api.restart();
    let mut stream = reset(&api, &events[3].id, "restarted");
    api.put(&secret("A"), json!({"value": "new"})).is(200);
    assert_eq!(told(&stream.take(1)), [("updated", "A", 7)]);
    api.stop();
}

/// "bounded memory with a slow reader dropped and told"
#[test]
fn a_slow_reader_is_dropped_and_told() {
    let api = configured("[events]\nbacklog = 16\n");
    let mut slow = Stream::open(&api, "/api/events", None);
    // Long names fill what the kernel keeps for a reader sooner.
    let keys: Vec<String> = (0..8).map(|worker| format!("{worker}{}", "K".repeat(254))).collect();
    thread::scope(|scope| {
        for key in &keys {
            let api = &api;
            scope.spawn(move || {
                let mut connection = api.connect();
                api.create(key, "x");
                for _ in 0..250 {
                    let call = api.call("PUT", &secret(key)).json(json!({"value": "y"}));
                    assert_eq!(connection.send(&call.request()).unwrap().status, 200);
                }
            });
        }
    });
    let mut count = 0;
    let end = loop {
        let event = slow.next().unwrap();
        if event.data["type"] == "end" {
            break event;
        }
        count += 1;
    };
    assert_eq!(end.data["reason"], "slow", "after {count}");
    assert!(count < 2008, "{count}");
    assert_eq!(slow.next(), None);
    assert!(api.daemon().log().contains("a reader of events was dropped"));
    // Coming back it is told that it missed something.
    let mut back = Stream::open(&api, "/api/events", Some(&slow.last));
    assert_eq!(back.next().unwrap().data["type"], "reset");
    api.stop();
}

#[test]
fn streams_end_when_the_daemon_stops() {
    let api = Api::start(Transport::Tcp);
    let streams: Vec<_> = (0..20).map(|_| Stream::open(&api, "/api/events", None)).collect();
    api.stop();
    for mut stream in streams {
        let end = stream.next().unwrap();
        assert_eq!((&end.data["type"], &end.data["reason"]), (&json!("end"), &json!("stopping")));
        assert_eq!(stream.next(), None);
    }
}

/// "expiry warnings ahead of time (`[expiry] warn = ["14d","1d"]`) as events, log lines and metrics"
#[test]
fn expiry_is_told_ahead_and_when_it_comes() {
    let api = configured("[expiry]\nwarn = [\"2h\", \"1h\"]\n");
    let mut stream = Stream::open(&api, "/api/events", None);
    let id = api.create("SHORTLIVED", "x");
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_millis(1500);
    api.put(&secret("SHORTLIVED"), json!({"expiresAt": at.to_string()})).is(200);
    let events = stream.take(4);
    let kinds: Vec<_> = events.iter().map(|event| event.data["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["created", "updated", "expiring", "expired"]);
    assert_eq!((&events[2].data["within"], &events[2].data["key"]), (&json!("1h"), &json!("SHORTLIVED")));
    assert_eq!(events[2].data["expiresAt"], events[3].data["expiresAt"]);
    api.get(&secret("SHORTLIVED")).is(404);
    let log = api.daemon().log();
    assert!(log.contains("a secret expires soon") && log.contains("a secret expired") && log.contains(&id), "{log}");
    assert!(!log.contains("SHORTLIVED"), "{log}");
    // Given more time it is told anew; what was over before the daemon started is no news.
    api.put(&secret("SHORTLIVED"), json!({"expiresAt": "2999-01-01T00:00:00Z"})).is(200);
    assert_eq!(told(&stream.take(1)), [("created", "SHORTLIVED", 1)]);
    api.put(&secret("SHORTLIVED"), json!({"expiresAt": "2020-01-01T00:00:00Z"})).is(200);
    assert_eq!(told(&stream.take(2)), [("updated", "SHORTLIVED", 1), ("expired", "SHORTLIVED", 1)]);
    let api = api.restart();
    let mut stream = Stream::open(&api, "/api/events", None);
    api.create("OTHER", "x");
    assert_eq!(told(&stream.take(1)), [("created", "OTHER", 1)]);
    api.stop();
}

#[test]
fn curl_reads_the_stream() {
    let Some(curl) = programs::find("curl") else { return };
    let api = Api::start(Transport::Unix);
    let begin = Stream::open(&api, "/api/events", None).last;
    for number in 0..3 {
        api.create(&format!("K{number}"), "x");
    }
    let script = format!(
        "{} -sN --unix-socket {} -H 'Last-Event-ID: {begin}' http://localhost/api/events | grep -m3 ^data:",
        curl.display(),
        api.daemon().socket.display()
    );
    let mut shell = api.vault.sandbox.command(std::path::Path::new("/bin/sh"));
    // curl ends when the daemon does; what matters is what was read until then.
    let read = thread::scope(|scope| {
        let reading = scope.spawn(|| cli::run(shell.args(["-c", &script]), b""));
        let mut watching = Stream::open(&api, "/api/events", Some(&begin));
        watching.take(3);
        while !reading.is_finished() {
            // A pipe that was closed is noticed when the next event is written to it.
            api.put(&secret("K0"), json!({"value": "x"})).is(200);
        }
        reading.join().unwrap()
    });
    let keys: Vec<String> = read
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line.strip_prefix("data: ").unwrap()).unwrap())
        .map(|event| event["key"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(keys, ["K0", "K1", "K2"]);
    api.stop();
}
