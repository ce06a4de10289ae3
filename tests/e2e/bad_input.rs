//! "Bad input": each gets a 4xx of the contract and changes nothing; "a client's mistake is never a 5xx".

use serde_json::Value;

use crate::harness::api::{Call, secret};
use crate::harness::{Answer, Api};

over_both!(
    malformed_bodies_are_400,
    nested_bodies_are_400,
    oversized_bodies_are_413,
    nobody_waits_for_a_body_that_does_not_come,
    malformed_http_is_4xx,
    odd_targets_are_4xx,
);

/// What the daemon must still say after all the nonsense.
struct Before {
    metadata: Value,
}

impl Before {
    fn new(api: &Api) -> Self {
        api.create("A", "1");
        api.value("A");
        Self { metadata: Self::metadata(api) }
    }

    #[track_caller]
    fn is_unchanged(&self, api: &Api) {
        let list = api.get("/api/secrets").is(200).json();
        assert_eq!(list["secrets"].as_array().unwrap().len(), 1, "{list}");
        assert_eq!(Self::metadata(api), self.metadata);
        assert_eq!(api.value("A"), "1");
    }

    /// All but the time of the last reading.
    #[track_caller]
    fn metadata(api: &Api) -> Value {
        let mut metadata = api.metadata("A");
        assert!(metadata.as_object_mut().unwrap().remove("lastUsedAt").is_some());
        metadata
    }
}

/// Each call that takes a body.
fn with_body(api: &Api, body: &[u8]) -> [Call; 7] {
    [
        ("POST", "/api/secrets"),
        ("PUT", "/api/secrets/A"),
        ("POST", "/api/secrets/A/rollback"),
        ("POST", "/api/secrets/A/verify"),
        ("POST", "/api/secrets/api-key/rotate"),
        ("POST", "/api/secrets/anon-key/rotate"),
        ("POST", "/api/tokens"),
    ]
    .map(|(method, path)| api.call(method, path).raw_json(body))
}

fn malformed_bodies_are_400(api: &Api) {
    let before = Before::new(api);
    let control = b"{\"value\": \"a\x01b\"}";
    for body in [
        &b"{"[..],
        b"}",
        b"{]",
        b"{\"value\"",
        b"{\"value\":",
        b"{\"value\":\"",
        b"{\"value\":\"2\"",
        b"{\"value\":\"2\",}",
        b"{value: \"2\"}",
        b"{'value': '2'}",
        b"{\"value\": \"2\"} {\"value\": \"3\"}",
        b"{\"value\": \"2\"}x",
        b"{\"value\": \"\\x\"}",
        b"{\"value\": \"\\u12\"}",
        b"{\"value\": NaN}",
        b"// comment\n{}",
        b"[]",
        b"\"text\"",
        b"17",
        b"true",
        b" ",
        b"\0",
        b"\xff\xfe{\0}\0",
        control,
    ] {
        for call in with_body(api, body) {
            let blank = body == b" ";
            let answer = call.send();
            // Nothing but a blank is as good as no body, where that may be left out.
            assert!(answer.status == 400 || blank && answer.status == 200, "{body:?}: {answer:?}");
        }
    }
    before.is_unchanged(api);
}

/// "deeply nested": neither a panic nor a stack that overflows.
fn nested_bodies_are_400(api: &Api) {
    let before = Before::new(api);
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        // One hundred is what a parser of JSON would still take.
        for depth in [100, 1_000, 10_000, 100_000] {
            let (opened, closed) = (open.repeat(depth), close.repeat(depth));
            for body in [
                format!("{opened}1{closed}"),
                opened.clone(),
                format!("{{\"value\": {opened}1{closed}}}"),
                format!("{{\"unknown\": {opened}1{closed}, \"value\": \"2\"}}"),
            ] {
                for call in with_body(api, body.as_bytes()) {
                    let answer = call.send();
                    let is_refused = answer.status == 400 || depth > 10_000 && answer.status == 413;
                    assert!(is_refused, "{depth} times {open}: {answer:?}");
                }
            }
        }
    }
    before.is_unchanged(api);
}

/// "oversized": over the limit of a body it is 413, told by its length or found while it is read.
fn oversized_bodies_are_413(api: &Api) {
    let before = Before::new(api);
    let padding = " ".repeat(16 << 20);
    for body in [format!("{{\"value\": \"2\"{padding}}}"), format!("{{\"value\": \"{padding}\"}}")] {
        let call = api.call("PUT", &secret("A")).raw_json(body);
        call.send().refuses(413, "PAYLOAD_TOO_LARGE");
    }
    let head = |length: &str| {
        let token = api.vault.admin_token();
        format!(
            "PUT /api/secrets/A HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\n{length}\r\n\r\n"
        )
    };
    // Announced: refused before a byte of it has come.
    let mut connection = api.connect();
    connection.write(head("Content-Length: 1099511627776").as_bytes()).unwrap();
    let answer = Answer::new("PUT".to_owned(), connection.read("PUT").unwrap());
    answer.refuses(413, "PAYLOAD_TOO_LARGE");
    // Not announced: refused while it comes.
    let mut connection = api.connect();
    connection.write(head("Transfer-Encoding: chunked").as_bytes()).unwrap();
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, " ".repeat(1 << 20));
    for _ in 0..16 {
        // It may close before it has read all.
        connection.write(chunk.as_bytes()).ok();
    }
    if let Ok(response) = connection.read("PUT") {
        Answer::new("PUT".to_owned(), response).refuses(413, "PAYLOAD_TOO_LARGE");
    }
    before.is_unchanged(api);
}

/// Others are served while somebody keeps a request half sent.
fn nobody_waits_for_a_body_that_does_not_come(api: &Api) {
    let before = Before::new(api);
    let token = api.vault.admin_token();
    let half = format!(
        "PUT /api/secrets/A HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{\"value\":"
    );
    let slow: Vec<_> = (0..20)
        .map(|n| {
            let mut connection = api.connect();
            let bytes = if n % 2 == 0 { half.as_bytes() } else { b"GET /api/sec" };
            connection.write(bytes).unwrap();
            connection
        })
        .collect();
    assert_eq!(api.value("A"), "1");
    drop(slow);
    before.is_unchanged(api);
}

/// Bytes that are no HTTP get a 4xx or a closed connection, and the daemon lives.
fn malformed_http_is_4xx(api: &Api) {
    let before = Before::new(api);
    let token = api.vault.admin_token();
    let put = |headers: &str, body: &str| {
        format!(
            "PUT /api/secrets/A HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\n{headers}\r\n\r\n{body}"
        )
    };
    let update = "{\"value\":\"smuggled\"}";
    for bytes in [
        "\r\n\r\n\r\n\r\n".to_owned(),
        "x\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        "GET /api/secrets\r\n\r\n".to_owned(),
        "GET /api/secrets HTTP/9.9\r\nHost: localhost\r\n\r\n".to_owned(),
        "GET /api/secrets HTTP/1.1\r\nHost : localhost\r\n\r\n".to_owned(),
        "GET /api/secrets HTTP/1.1\r\nno colon\r\n\r\n".to_owned(),
        "GET /api/se crets HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        "GET /api/secrets/\u{202e}A HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        "G\0T /api/secrets HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(300_000)),
        format!("GET /api/secrets HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "a".repeat(300_000)),
        format!("GET /api/secrets HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(5000)),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}".repeat(20) + "\r\n\r\n",
        put("Content-Length: -1", ""),
        put("Content-Length: x", ""),
        put("Content-Length: 99999999999999999999999", ""),
        put("Content-Length: 5\r\nContent-Length: 20", update),
        put("Content-Length: 5\r\nTransfer-Encoding: chunked", "14\r\n{\"value\":\"smuggled\"}\r\n0\r\n\r\n"),
        put("Transfer-Encoding: chunked", "zz\r\n{}\r\n0\r\n\r\n"),
        put("Transfer-Encoding: gzip", update),
    ] {
        let mut connection = api.connect();
        connection.write(bytes.as_bytes()).ok();
        if let Ok(response) = connection.read("GET") {
            let shown: String = bytes.chars().take(80).collect();
            assert!((400..500).contains(&response.status), "{shown:?} got {}", response.status);
        }
    }
    before.is_unchanged(api);
}

fn odd_targets_are_4xx(api: &Api) {
    let before = Before::new(api);
    for target in [
        "/api/secrets/../../etc/passwd",
        "/api/secrets/..%2F..%2Fetc%2Fpasswd",
        "/api/secrets//A",
        "//api/secrets",
        "/api/secrets/%",
        "/api/secrets/%zz",
        "/api/secrets/%ff%fe",
        "/api/secrets/A%",
        "/api/secrets/A;x=1",
        "/api/secrets/A?namespace=%ff",
        "/api/secrets/A?namespace=a&namespace=..",
        "/api/environment?keys=%ff",
        "/api/environment?keys=%00",
        "*",
        "/?",
    ] {
        for method in ["GET", "DELETE"] {
            let answer = api.call(method, target).send();
            assert!((400..500).contains(&answer.status), "{method} {answer:?}");
        }
    }
    before.is_unchanged(api);
}
