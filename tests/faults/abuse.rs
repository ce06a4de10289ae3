//! Clients that are many, slow, silent or mad: thousands of connections, requests of random bytes, sockets closed by half,
//! readers that never read.
//!
//! Invariants: while they are there others are answered, and the daemon takes no more memory than is stated for them; when
//! they are gone they are forgotten, and a second wave takes no more than the first.

use std::io::ErrorKind;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::api::secret;
use crate::harness::http::{Address, Connection};
use crate::harness::{Api, Daemon, Transport, Vault, until};
use crate::needs::{self, Numbers, setting};
use crate::usage::{Usage, open_many_files};

/// Connections that are open at once.
const CONNECTIONS: usize = 5_000;
/// Of them, those of clients that are slow.
const SLOW: usize = 1_000;
/// Clients that never read what they asked for.
const DEAF: u16 = 200;
/// Bytes that a connection may take, its buffers in both directions included.
const EACH: u64 = 24 * 1024;
/// Bytes that an answer may take which is sent piece by piece and not taken.
const PIECES: u64 = 192 * 1024;
/// Bytes that the daemon may take for other reasons meanwhile.
const SLACK: u64 = 24 * 1024 * 1024;

/// A daemon on which something was done already; none where these tests cannot run.
fn warm(config: &str) -> Option<Api> {
    if !needs::met(&[]) {
        return None;
    }
    open_many_files();
    let vault = Vault::init();
    std::fs::write(vault.sandbox.config().join("config.toml"), config).unwrap();
    let api = Api::adopt(Daemon::start(&vault), vault, Transport::Unix);
    api.create("CANARY", "1");
    others_are_answered(&api);
    Some(api)
}

fn usage(api: &Api) -> Usage {
    Usage::of(api.daemon().pid())
}

/// On connections of their own, over both kinds of socket.
#[track_caller]
fn others_are_answered(api: &Api) {
    for address in [api.daemon().unix(), api.daemon().tcp()] {
        for _ in 0..20 {
            let begun = Instant::now();
            let answer =
                Connection::open(&address).unwrap().send(&api.call("GET", &secret("CANARY")).request()).unwrap();
            assert_eq!(answer.status, 200);
            assert!(begun.elapsed() < Duration::from_secs(5), "others wait");
        }
    }
    api.put(&secret("CANARY"), json!({"value": "1"})).is(200);
}

/// Waits until the connections of the clients that have gone are closed.
#[track_caller]
fn they_are_forgotten(api: &Api, before: Usage) {
    until("they are forgotten", || usage(api).descriptors <= before.descriptors + 2);
    others_are_answered(api);
}

#[track_caller]
fn within(what: &str, before: Usage, after: Usage, bytes: u64) {
    let grown = after.resident.saturating_sub(before.resident);
    eprintln!("{what}: {} KiB more, at most {} KiB", grown / 1024, bytes / 1024);
    assert!(grown <= bytes, "{what}: {before:?} before, {after:?} after");
}

/// As many connections, half of them over each kind of socket.
fn connect(api: &Api, count: usize) -> Vec<Connection> {
    let addresses = [api.daemon().unix(), api.daemon().tcp()];
    addresses.iter().cycle().take(count).map(|address| Connection::open(address).unwrap()).collect()
}

/// "5,000 open connections"
#[test]
fn five_thousand_connections_are_served_and_forgotten() {
    let Some(api) = warm("[http]\nrequest-timeout-seconds = 300\n") else { return };
    let before = usage(&api);
    let mut waves = Vec::new();
    for wave in 1..=4 {
        let mut connections = connect(&api, CONNECTIONS);
        let request = api.call("GET", &secret("CANARY")).request();
        // Each first says a part, so that all are open when the first is answered.
        for connection in &mut connections {
            connection.write(b"GET /api/health HTTP/1.1\r\n").unwrap();
        }
        others_are_answered(&api);
        until("all are accepted", || usage(&api).descriptors >= CONNECTIONS as u64);
        for connection in &mut connections {
            connection.write(b"Host: localhost\r\n\r\n").unwrap();
            assert_eq!(connection.read("GET").unwrap().status, 200);
        }
        for connection in connections.iter_mut().rev().take(100) {
            assert_eq!(connection.send(&request).unwrap().status, 200);
        }
        waves.push(usage(&api));
        within(&format!("wave {wave} of {CONNECTIONS}"), before, waves[wave - 1], CONNECTIONS as u64 * EACH + SLACK);
        drop(connections);
        they_are_forgotten(&api, before);
    }
    // Which of the threads serves a connection is the kernel's choice, so that each has had its most only after the second.
    within("the last wave beside the second", waves[1], waves[3], SLACK / 2);
    api.stop();
}

/// "1,000 slow ones": they send a byte now and then, of a head or of a body, and are hung up on.
#[test]
fn a_thousand_slow_clients_keep_nobody_waiting() {
    let Some(api) = warm("[http]\nrequest-timeout-seconds = 2\n") else { return };
    let before = usage(&api);
    let mut slow = connect(&api, SLOW);
    let head = b"POST /api/secrets HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let authorised = format!("Authorization: Bearer {}\r\nContent-Length: 100000\r\n\r\n", api.vault.admin_token());
    for (number, connection) in slow.iter_mut().enumerate() {
        connection.write(head).unwrap();
        // Over either kind of socket some never end the head, and some never the body.
        if number % 4 < 2 {
            connection.write(authorised.as_bytes()).unwrap();
        }
    }
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(6) {
        for connection in &mut slow {
            // The daemon may have hung up.
            connection.write(b"x").ok();
        }
        others_are_answered(&api);
    }
    within("slow clients", before, usage(&api), SLOW as u64 * EACH + SLACK);
    for (number, connection) in slow.iter_mut().enumerate() {
        let answer = connection.read("POST").ok().map(|answer| answer.status);
        assert!(matches!(answer, None | Some(400 | 408)), "{number}: {answer:?}");
        let hung_up =
            connection.read_to_end().map_or_else(|error| error.kind() == ErrorKind::ConnectionReset, |_| true);
        assert!(hung_up, "{number} is still connected");
    }
    they_are_forgotten(&api, before);
    api.stop();
}

/// "100,000 requests with random bytes"
#[test]
fn random_bytes_are_no_5xx_and_change_nothing() {
    let Some(api) = warm("[http]\nrequest-timeout-seconds = 2\n") else { return };
    api.create("OTHER", "2");
    // Whatever comes out of its requests, whoever may only read changes nothing.
    let scope = json!({"scope": ["read default/*", "list default/*"], "ttlSeconds": 3600});
    let token = api.post("/api/tokens", scope).is(201).json()["token"].as_str().unwrap().to_owned();
    let list = || {
        let mut list = api.get("/api/secrets").is(200).json();
        for secret in list["secrets"].as_array_mut().unwrap() {
            secret["lastUsedAt"].take();
        }
        list
    };
    let (before, listed) = (usage(&api), list());
    let count = setting("HUSHD_TEST_RANDOM", 100_000);
    let mut numbers = Numbers::new();
    let answers: Vec<[u64; 10]> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                // TCP has not enough ports for all of them.
                let address = if thread == 0 { api.daemon().tcp() } else { api.daemon().unix() };
                let (token, mut numbers) = (&token, numbers.branch());
                scope.spawn(move || {
                    let mut answers = [0; 10];
                    for _ in 0..count / 8 {
                        send_random(&address, token, &mut numbers, &mut answers);
                    }
                    answers
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let sum = |class: usize| answers.iter().map(|answers| answers[class]).sum::<u64>();
    eprintln!("{count} requests: {} without an answer, 2xx {}, 4xx {}", sum(0), sum(2), sum(4));
    assert!(sum(2) > count / 100 && sum(4) > count / 10, "they are neither all right nor all wrong");
    within("random bytes", before, usage(&api), SLACK);
    let log = api.daemon().log();
    assert!(!log.contains("ERROR"), "what is no HTTP fills the log");
    // Who was mistaken for a guesser is heard again.
    until("nobody has to wait", || {
        [api.daemon().unix(), api.daemon().tcp()].iter().all(|address| {
            let ask = api.call("GET", "/api/status").request();
            Connection::open(address).unwrap().send(&ask).unwrap().status != 429
        })
    });
    assert_eq!(list(), listed, "something was changed");
    assert_eq!(api.value("OTHER"), "2");
    they_are_forgotten(&api, before);
    api.stop();
}

/// Sends a request that was changed at random, or plain noise, and counts what is answered by its first digit.
fn send_random(address: &Address, token: &str, numbers: &mut Numbers, answers: &mut [u64; 10]) {
    let heads = [
        "GET /api/secrets/OTHER HTTP/1.1",
        "GET /api/secrets?namespace=default HTTP/1.1",
        "GET /api/environment?keys=OTHER,CANARY&partial=true HTTP/1.1",
        "POST /api/secrets HTTP/1.1",
        "PUT /api/secrets/OTHER?namespace=default HTTP/1.1",
        "DELETE /api/secrets/OTHER?purge=true HTTP/1.1",
        "POST /api/tokens HTTP/1.1",
        "GET /api/audit?limit=3 HTTP/1.1",
        "HEAD /api/status HTTP/1.1",
    ];
    let index = |numbers: &mut Numbers, length: usize| usize::try_from(numbers.below(length.max(1) as u64)).unwrap();
    let byte = |numbers: &mut Numbers| u8::try_from(numbers.below(256)).unwrap();
    let bytes = if numbers.below(8) == 0 {
        (0..numbers.below(2_000)).map(|_| byte(numbers)).collect()
    } else {
        let body = r#"{"key":"RANDOM","value":"x","ttlSeconds":60,"scope":["read default/*"]}"#;
        let length = if numbers.below(2) == 0 {
            format!("Content-Length: {}\r\n\r\n{body}", body.len())
        } else {
            format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
        };
        let whole = format!(
            "{}\r\nHost: localhost\r\nAuthorization: Bearer TOKEN\r\nContent-Type: application/json\r\n{length}",
            heads[index(numbers, heads.len())]
        )
        .into_bytes();
        // A token that was changed is a guess, and after some of them nothing else would be looked at; and over the Unix
        // socket, whoever shows none is this user, who may do everything.
        let changed = loop {
            let mut bytes = whole.clone();
            for _ in 0..numbers.below(5) {
                if bytes.is_empty() {
                    break;
                }
                let at = index(numbers, bytes.len());
                let end = (at + index(numbers, 40)).min(bytes.len());
                match numbers.below(5) {
                    0 => bytes[at] = byte(numbers),
                    1 => bytes.insert(at, byte(numbers)),
                    2 => drop(bytes.drain(at..end)),
                    3 => bytes.extend_from_within(at..end),
                    _ => bytes.truncate(at + 1),
                }
            }
            let text = lossy(&bytes);
            let head = text.find("\n\r\n").into_iter().chain(text.find("\n\n")).min().map(|end| &text[..=end]);
            if head.is_none_or(|head| head.contains("\r\nAuthorization: Bearer TOKEN\r\n")) {
                break bytes;
            }
        };
        match changed.windows(5).position(|part| part == b"TOKEN") {
            Some(at) => [&changed[..at], token.as_bytes(), &changed[at + 5..]].concat(),
            None => changed,
        }
    };
    let mut connection = Connection::open(address).unwrap();
    // The daemon may have hung up before it has read all, which takes the answer with it.
    let sent = connection.write(&bytes).and_then(|()| connection.end_writing());
    let answer = match connection.read_to_end() {
        Ok(answer) => answer,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{:?} {sent:?}", lossy(&bytes));
            Vec::new()
        }
    };
    let class = answer.strip_prefix(b"HTTP/1.").and_then(|rest| Some(usize::from(rest.get(2)? - b'0')));
    assert!(
        class.is_none_or(|class| matches!(class, 1 | 2 | 4)),
        "{:?} was answered {:?}",
        lossy(&bytes),
        lossy(&answer)
    );
    assert!(!lossy(&answer).contains("HTTP/1.1 5"), "{:?} was answered {:?}", lossy(&bytes), lossy(&answer));
    answers[class.unwrap_or(0)] += 1;
}

fn lossy(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// "half-closed sockets": who has asked and ends his side is answered; who ends it in the middle, or goes, is forgotten.
#[test]
fn sockets_closed_by_half_are_answered_or_forgotten() {
    let Some(api) = warm("[http]\nrequest-timeout-seconds = 5\n") else { return };
    let before = usage(&api);
    let authorised = format!("Host: localhost\r\nAuthorization: Bearer {}\r\n", api.vault.admin_token());
    let body = r#"{"value":"1"}"#;
    let update = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    let (get, put) =
        (format!("GET {} HTTP/1.1\r\n", secret("CANARY")), format!("PUT {} HTTP/1.1\r\n", secret("CANARY")));
    let whole = [format!("{get}{authorised}\r\n"), format!("{put}{authorised}{update}{body}")];
    let halves = [
        String::new(),
        "G".to_owned(),
        get.clone(),
        format!("{get}{authorised}"),
        format!("{put}{authorised}{update}"),
        format!("{put}{authorised}{update}{}", &body[..5]),
    ];
    let mut open = Vec::new();
    for (number, mut connection) in connect(&api, 1_200).into_iter().enumerate() {
        let sent = if number % 4 < 2 { &whole[number / 4 % 2] } else { &halves[number / 4 % 6] };
        connection.write(sent.as_bytes()).unwrap();
        connection.end_writing().unwrap();
        open.push((number, connection));
    }
    others_are_answered(&api);
    for (number, connection) in &mut open {
        let answer = connection.read_to_end();
        if *number % 4 < 2 {
            let answer = answer.unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 200 "), "{number}: {}", lossy(&answer));
        } else {
            let answer = answer.unwrap_or_default();
            assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{number}: {}", lossy(&answer));
        }
    }
    they_are_forgotten(&api, before);
    drop(open);
    within("half-closed", before, usage(&api), 1_200 * EACH + SLACK);
    api.stop();
}

/// "a reader of events that never reads": it keeps neither the writers waiting nor the other readers, nor what it misses.
#[test]
fn readers_of_events_that_never_read_cost_nobody_anything() {
    let Some(api) = warm("") else { return };
    let readers = || {
        let answer = api.connect().send(&api.call("GET", "/metrics").request()).unwrap();
        lossy(&answer.body)
            .lines()
            .find_map(|line| line.strip_prefix("hushd_event_readers ")?.parse::<f64>().ok())
            .unwrap()
    };
    let before = usage(&api);
    let ask = api.call("GET", "/api/events").request();
    let mut deaf = connect(&api, DEAF.into());
    for connection in &mut deaf {
        assert_eq!(connection.begin(&ask).unwrap().0, 200);
    }
    let mut reader = api.connect();
    assert_eq!(reader.begin(&ask).unwrap().0, 200);
    assert!(readers() > f64::from(DEAF), "they are not readers");
    let changes: u64 = 3_000;
    // About 400 bytes each: more than the kernel keeps for whoever does not read.
    let name = format!("/api/secrets/{}", "N".repeat(250));
    api.create(&name["/api/secrets/".len()..], "0");
    let seen = thread::scope(|scope| {
        let seen = scope.spawn(|| {
            let mut text = String::new();
            let wanted = format!("\"revision\":{}", changes + 1);
            let mut seen = 0;
            while !text.contains(&wanted) {
                let whole = text.rfind("\n\n").map_or(0, |at| at + 2);
                seen += text.drain(..whole).as_str().matches("event: updated").count() as u64;
                text.push_str(&String::from_utf8(reader.chunk().unwrap().unwrap()).unwrap());
            }
            seen + text.matches("event: updated").count() as u64
        });
        let mut connection = api.connect();
        for number in 0..changes {
            let call = api.call("PUT", &name).json(json!({"value": format!("{number}")}));
            assert_eq!(connection.send(&call.request()).unwrap().status, 200);
        }
        seen.join().unwrap()
    });
    assert_eq!(seen, changes, "who reads is told of each");
    others_are_answered(&api);
    // What is kept of events is kept once, whoever reads them.
    within("deaf readers of events", before, usage(&api), u64::from(DEAF) * PIECES + 2 * SLACK);
    drop((deaf, reader));
    they_are_forgotten(&api, before);
    until("no reader is counted", || readers() <= 0.0);
    api.stop();
}

/// A list is a stream: who asks for a long one and does not take it costs a piece of it.
#[test]
fn lists_that_nobody_takes_are_not_made() {
    let Some(api) = warm("") else { return };
    let secrets: u64 = 3_000;
    let mut connection = api.connect();
    for number in 1..secrets {
        let call = api.call("POST", "/api/secrets").json(json!({"key": format!("{number:0>250}"), "value": "x"}));
        assert_eq!(connection.send(&call.request()).unwrap().status, 201);
    }
    let ask = api.call("GET", "/api/secrets").request();
    let whole = connection.send(&ask).unwrap().body;
    assert!(whole.len() > 1_400_000, "{}", whole.len());
    let before = usage(&api);
    let mut deaf = connect(&api, DEAF.into());
    for connection in &mut deaf {
        assert_eq!(connection.begin(&ask).unwrap().0, 200);
    }
    others_are_answered(&api);
    within("lists that nobody takes", before, usage(&api), u64::from(DEAF) * PIECES + SLACK);
    // What was begun is whole where it is taken, and ends where the vault is sealed.
    let rest = |connection: &mut Connection| {
        let mut text = Vec::new();
        while let Some(piece) = connection.chunk()? {
            text.extend(piece);
        }
        std::io::Result::Ok(text)
    };
    let text = rest(&mut deaf[0]).unwrap();
    assert_eq!(text.len(), whole.len());
    api.post("/api/seal", json!({})).is(200);
    let sealed = rest(&mut deaf[2]);
    assert!(sealed.is_err(), "a list was ended after the seal: {} bytes", sealed.unwrap().len());
    drop(deaf);
    api.stop();
}
