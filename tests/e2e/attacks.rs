//! What happened to others, tried here: the rows of the table in `SECURITY.md` that no other module has a test for.
//!
//! Invariants: each attack is made as a stranger would make it, over the real socket; afterwards the daemon serves whoever has a
//! right to it. Each row of the table names tests that exist.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::json;

use crate::harness::api::secret;
use crate::harness::{Api, Daemon, Transport, Vault};

over_both!(
    a_second_request_cannot_be_smuggled_in_a_body,
    a_path_leads_nowhere_but_where_it_says,
    a_compressed_body_is_not_unpacked,
    a_flood_of_headers_is_refused_and_nobody_else_waits,
    whoever_ends_his_side_is_answered_and_hung_up_on,
);

const SECURITY: &str = include_str!("../../SECURITY.md");

/// The bytes of a request with these headers and this body.
fn raw(api: &Api, head: &str, body: &str) -> Vec<u8> {
    let token = api.vault.admin_token();
    format!("{head}\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{body}").into_bytes()
}

/// Where two programs disagree about where a body ends, the rest of it is a request of the attacker's: here every
/// disagreement is an error, after which the connection is closed.
fn a_second_request_cannot_be_smuggled_in_a_body(api: &Api) {
    api.create("STAYS", "1");
    let inner = String::from_utf8(raw(api, "DELETE /api/secrets/STAYS HTTP/1.1", "\r\n")).unwrap();
    let length = inner.len();
    for lengths in [
        format!("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}"),
        format!("Content-Length: {length}\r\nContent-Length: 0\r\n\r\n{inner}"),
        format!("Content-Length: 0, {length}\r\n\r\n{inner}"),
        format!("Content-Length: +0\r\n\r\n{inner}"),
        format!("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{inner}"),
        format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{inner}"),
        format!("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{inner}"),
        format!("Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}{inner}0\r\n\r\n"),
        format!("Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{{}}\r\n0\r\n\r\n{inner}"),
    ] {
        let head = "POST /api/secrets/STAYS/verify HTTP/1.1";
        let mut connection = api.connect();
        connection.write(&raw(api, head, &format!("Content-Type: application/json\r\n{lengths}"))).unwrap();
        let first = connection.read("POST");
        if let Ok(answer) = &first {
            assert!((400..500).contains(&answer.status), "{lengths:?}: {answer:?}");
        }
        // Whatever comes after it, it is no success of the second.
        if let Ok(second) = connection.read("DELETE") {
            assert!((400..500).contains(&second.status), "{lengths:?}: {second:?}");
        }
        assert_eq!(api.value("STAYS"), "1", "{lengths:?}");
    }
}

/// `..` and its encodings reach nothing that the scope of a token does not (CVE-2026-3605).
fn a_path_leads_nowhere_but_where_it_says(api: &Api) {
    api.create("OTHER", "value-of-another");
    let answer = api.post("/api/tokens", json!({"scope": ["read default/MINE"], "ttlSeconds": 60})).is(201).json();
    let token = answer["token"].as_str().unwrap();
    api.create("MINE", "value-of-mine");
    api.bare("GET", &secret("MINE")).bearer(token).send().is(200);
    for path in [
        "/api/secrets/MINE/../OTHER",
        "/api/secrets/MINE/%2e%2e/OTHER",
        "/api/secrets/MINE%2f..%2fOTHER",
        "/api/secrets/MINE/..%2fOTHER",
        "/api/secrets/MINE%00OTHER",
        "/api/secrets/MINE;/../OTHER",
        "/api/secrets//OTHER",
        "/api/secrets/./OTHER",
        "//api/secrets/OTHER",
        "/api/secrets/%4fTHER",
        "/api/secrets/MINE?namespace=default&key=OTHER",
        "/api/secrets/MINE?namespace=default/../default",
        "/api/environment?keys=MINE,OTHER",
        "/api/environment?keys=MINE%2cOTHER",
        "http://localhost/api/secrets/OTHER",
    ] {
        let request = api.bare("GET", path).bearer(token).request();
        let answer = api.connect().send(&request).unwrap();
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!text.contains("value-of-another"), "{path}: {text}");
        let own = answer.status == 200 && text.contains("value-of-mine");
        assert!(own || (400..500).contains(&answer.status), "{path}: {} {text}", answer.status);
    }
}

/// A few bytes that unpack to gigabytes are not unpacked: no encoding of a body is known here.
fn a_compressed_body_is_not_unpacked(api: &Api) {
    api.create("A", "1");
    for encoding in ["gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip"] {
        let call = api.call("PUT", &secret("A")).header("Content-Encoding", encoding);
        let answer =
            call.header("Content-Type", "application/json").body(b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec()).send();
        answer.is(415);
        // Nor is one taken for what it is not.
        api.call("PUT", &secret("A")).header("Content-Encoding", encoding).json(json!({"value": "2"})).send().is(415);
    }
    assert_eq!(api.value("A"), "1");
}

/// More headers, or longer ones, than a request has are refused before they are kept.
fn a_flood_of_headers_is_refused_and_nobody_else_waits(api: &Api) {
    api.create("A", "1");
    let many = (0..10_000).map(|number| format!("X-Flood-{number}: {number}\r\n")).collect::<Vec<_>>().concat();
    let long = format!("X-Flood: {}\r\n", "x".repeat(8 << 20));
    for flood in [many, long] {
        let mut connection = api.connect();
        let written = connection.write(&raw(api, "GET /api/secrets/A HTTP/1.1", &format!("{flood}\r\n")));
        let begun = Instant::now();
        assert_eq!(api.value("A"), "1");
        assert!(begun.elapsed() < Duration::from_secs(5), "others wait");
        match connection.read("GET") {
            Ok(answer) => assert!((400..500).contains(&answer.status), "{answer:?}"),
            Err(error) => drop((written, error)),
        }
    }
}

/// A socket closed by half still takes the answer.
fn whoever_ends_his_side_is_answered_and_hung_up_on(api: &Api) {
    api.create("A", "1");
    for (end, status) in [("\r\n", "200"), ("X-Cut: ", "")] {
        let sent = raw(api, "GET /api/secrets/A HTTP/1.1", end);
        let mut connection = api.connect();
        connection.write(&sent).unwrap();
        connection.end_writing().unwrap();
        let answer = String::from_utf8(connection.read_to_end().unwrap()).unwrap();
        let found = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap_or_default();
        assert!(found == status || status.is_empty() && found.starts_with('4'), "{answer}");
    }
}

/// Whoever sends a byte now and then, or none, is hung up on; nobody else waits for him.
#[test]
fn a_slow_client_is_hung_up_on() {
    let vault = Vault::init();
    fs::write(vault.sandbox.config().join("config.toml"), "[http]\nrequest-timeout-seconds = 1\n").unwrap();
    let api = Api::adopt(Daemon::start(&vault), vault, Transport::Tcp);
    api.create("A", "1");
    let mut slow: Vec<_> = (0..200).map(|_| api.connect()).collect();
    for (number, connection) in slow.iter_mut().enumerate() {
        let begun = &b"GET /api/secrets/A HTTP/1.1\r\nHost: localhost\r\nX-Slow: 1"[..number % 50];
        connection.write(begun).unwrap();
    }
    for _ in 0..20 {
        assert_eq!(api.value("A"), "1");
    }
    let begun = Instant::now();
    for connection in &mut slow {
        // A 408 that nobody asked for may come first.
        drop(connection.read("GET"));
        assert!(connection.is_closed());
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    api.stop();
}

/// Who says how much he will send, and does not, is told so after half a minute, and hung up on.
#[test]
fn a_body_that_does_not_come_is_given_up() {
    let api = Api::start(Transport::Tcp);
    api.create("A", "1");
    let mut slow: Vec<_> = (0..10).map(|_| api.connect()).collect();
    let headers = "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"value\":";
    for connection in &mut slow {
        connection.write(&raw(&api, "PUT /api/secrets/A HTTP/1.1", headers)).unwrap();
    }
    for connection in &mut slow {
        let answer = connection.read("PUT").unwrap();
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(answer.status == 400 && text.contains("did not arrive in time"), "{}: {text}", answer.status);
        assert!(connection.is_closed());
    }
    assert_eq!(api.value("A"), "1");
    api.stop();
}

/// No way to give a value, a token or a passphrase as an argument, where every user of the machine and the shell's history
/// would have it.
#[test]
fn no_option_takes_a_secret_as_an_argument() {
    let help = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cmd/help")).unwrap();
    let option = Regex::new(r"(?m)^ +(?:-\w, )?--([a-z-]+) <([A-Z_]+)>").unwrap();
    let mut seen = 0;
    for file in help {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        for found in option.captures_iter(&text) {
            seen += 1;
            let (name, what) = (&found[1], &found[2]);
            let secret = ["token", "passphrase", "password", "value", "secret", "api-key"]
                .iter()
                .any(|word| name.contains(word));
            assert!(!secret || what == "FILE" || what == "HOURS", "--{name} <{what}>");
        }
    }
    assert!(seen > 200, "{seen}");
    let api = Api::start(Transport::Unix);
    let output = api.vault.sandbox.run(&["set", "KEY", "a-value-as-argument"]);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(!output.stderr.contains("a-value-as-argument"), "{output:?}");
    api.stop();
}

/// "each with the test of ours that shows it cannot happen here"
#[test]
fn each_row_of_the_known_attacks_names_tests_that_exist() {
    let (_, section) = SECURITY.split_once("\n## What happened to others\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows: Vec<&str> =
        section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what ")).collect();
    assert!(rows.len() >= 20, "{}", rows.len());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = Regex::new(r"`([a-z_0-9/]+\.rs)::([a-z_0-9]+)`").unwrap();
    for row in rows {
        let tests: Vec<_> = named.captures_iter(row.rsplit('|').nth(1).unwrap()).collect();
        assert!(!tests.is_empty(), "no test: {row}");
        for test in tests {
            let file = fs::read_to_string(root.join(&test[1])).unwrap_or_else(|error| panic!("{}: {error}", &test[1]));
            assert!(file.contains(&format!("fn {}(", &test[2])), "no {} in {}", &test[2], &test[1]);
        }
    }
}
