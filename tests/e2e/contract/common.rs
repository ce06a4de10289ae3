//! "Common to every answer": errors, times, bodies and the order of checks.
//!
//! What holds for each answer alone (shape of an error, headers) is checked by the harness on every answer of every test.

use serde_json::{Value, json};

use crate::harness::api::secret;
use crate::harness::http::Connection;
use crate::harness::{Answer, Api, jwt, now, time_in};

over_both!(
    each_code_comes_with_its_status,
    next_actions_is_present_wherever_there_is_something_to_do,
    a_message_never_holds_a_value_a_token_or_a_path,
    times_are_rfc_3339_utc_with_milliseconds,
    input_times_take_any_offset,
    other_input_times_are_400,
    unknown_fields_are_ignored,
    a_wrong_type_is_400_and_names_the_field,
    bodies_take_any_charset_that_means_utf_8,
    other_bodies_are_415,
    get_and_delete_with_a_content_type_and_no_body_are_fine,
    authentication_comes_before_the_body_is_read,
    forwarding_headers_are_ignored,
);

/// "Codes: `INVALID_INPUT` 400, `AUTH_INVALID_CREDENTIALS` 401, …"
fn each_code_comes_with_its_status(api: &Api) {
    api.create("TAKEN", "1");
    api.put(&secret("TAKEN"), json!({"isReserved": true})).is(200);
    let expired = jwt::hs256(&api.vault.jwt_secret, &jwt::claims(json!({"exp": now() - 3600})));
    let too_long = json!({"key": "LONG", "value": "x".repeat((1 << 20) + 1)});
    for (call, status, code) in [
        (api.call("POST", "/api/secrets").json(json!({})), 400, "INVALID_INPUT"),
        (api.call("GET", "/api/secrets").bearer("no.such.token"), 401, "AUTH_INVALID_CREDENTIALS"),
        (api.bare("GET", "/api/secrets").header("x-api-key", "ik_wrong"), 401, "AUTH_INVALID_API_KEY"),
        (api.call("GET", "/api/secrets").bearer(&expired), 401, "AUTH_TOKEN_EXPIRED"),
        (api.call("DELETE", "/api/secrets/TAKEN"), 403, "FORBIDDEN"),
        (api.call("GET", "/api/secrets/UNKNOWN"), 404, "NOT_FOUND"),
        (api.call("PATCH", "/api/secrets/TAKEN"), 405, "METHOD_NOT_ALLOWED"),
        (api.call("POST", "/api/secrets").json(json!({"key": "TAKEN", "value": "2"})), 409, "SECRET_ALREADY_EXISTS"),
        (
            api.call("PUT", "/api/secrets/TAKEN").header("If-Match", "\"77\"").json(json!({"value": "2"})),
            412,
            "PRECONDITION_FAILED",
        ),
        (api.call("POST", "/api/secrets").json(too_long), 413, "PAYLOAD_TOO_LARGE"),
        (
            api.call("PUT", "/api/secrets/TAKEN").header("Content-Type", "text/plain").body("x"),
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
    ] {
        call.send().refuses(status, code);
    }
    assert_eq!(api.value("TAKEN"), "1");
}

/// "`nextActions` tells the reader what to do and is present wherever there is something to do."
fn next_actions_is_present_wherever_there_is_something_to_do(api: &Api) {
    api.create("TAKEN", "1");
    api.put(&secret("TAKEN"), json!({"isReserved": true})).is(200);
    for answer in [
        api.bare("GET", "/api/secrets").header("Authorization", "Bearer x").send().is(401),
        api.get("/api/secrets/lower").is(400),
        api.get("/api/secrets/UNKNOWN").is(404),
        api.post("/api/secrets", json!({"key": "TAKEN", "value": "2"})).is(409),
        api.delete("/api/secrets/TAKEN").is(403),
        api.call("PUT", "/api/secrets/TAKEN").header("If-Match", "\"9\"").json(json!({"value": ""})).send().is(412),
    ] {
        assert!(answer.json()["nextActions"].is_string(), "{answer:?}");
    }
}

/// "A message never holds a value, a token or a path of the machine."
fn a_message_never_holds_a_value_a_token_or_a_path(api: &Api) {
    const MARKER: &str = "sk_live_marker";
    api.create("TAKEN", "1");
    let forged = format!("{MARKER}.{MARKER}.{MARKER}");
    let signed = jwt::hs256(MARKER, &jwt::admin_claims());
    let at_root = api.vault.sandbox.path("").display().to_string();
    let json = |method: &str, path: &str, body: Value| api.call(method, path).json(body);
    let raw = |body: String| api.call("PUT", "/api/secrets/TAKEN").raw_json(body);
    for call in [
        json("POST", "/api/secrets", json!({"key": "TAKEN", "value": MARKER})),
        json("POST", "/api/secrets", json!({"key": "lower", "value": MARKER})),
        json("POST", "/api/secrets", json!({"key": "NEW", "value": [MARKER]})),
        json("POST", "/api/secrets", json!({"key": "NEW", "value": MARKER, "expiresAt": MARKER})),
        json("POST", "/api/secrets", json!({"key": "NEW", "value": MARKER, "isReserved": MARKER})),
        json("POST", "/api/secrets", json!({"key": "NEW", "value": MARKER.repeat(100_000)})),
        json("PUT", "/api/secrets/TAKEN", json!({"value": {MARKER: MARKER}})),
        json("PUT", "/api/secrets/TAKEN", json!({"value": MARKER, "isActive": MARKER})),
        json("PUT", "/api/secrets/UNKNOWN", json!({"value": MARKER})),
        json("PUT", "/api/secrets/TAKEN", json!(MARKER)),
        json("POST", "/api/secrets/TAKEN/verify", json!({"value": [MARKER]})),
        raw(format!("{{\"value\": \"{MARKER}")),
        raw(format!("{{\"value\": \"{MARKER}\", \"value\": \"{MARKER}\"}}")),
        raw(format!("{{\"value\": \"{MARKER}\"}} {MARKER}")),
        raw(format!("{{\"value\": {MARKER}}}")),
        api.call("GET", "/api/secrets").bearer(&forged),
        api.call("GET", "/api/secrets").bearer(&signed),
        api.call("GET", "/api/secrets").bearer(&format!("ik_{MARKER}")),
        api.call("GET", "/api/secrets").header("x-api-key", MARKER),
    ] {
        let answer = call.send();
        assert!((400..500).contains(&answer.status), "{answer:?}");
        let text = format!("{:?}{}", answer.headers, String::from_utf8_lossy(&answer.body));
        assert!(!text.contains("marker") && !text.contains(&at_root) && !text.contains(&signed), "{answer:?}");
    }
    assert!(!api.daemon().log().contains("marker"), "not in the log either: {}", api.daemon().log());
}

/// "Times are RFC 3339 UTC with milliseconds: `2026-07-15T12:00:00.000Z`."
fn times_are_rfc_3339_utc_with_milliseconds(api: &Api) {
    api.create("A", "1");
    api.put(&secret("A"), json!({"expiresAt": "2036-07-15T14:00:00.5+02:00"})).is(200);
    api.value("A");
    let metadata = api.metadata("A");
    assert_eq!(metadata["expiresAt"], "2036-07-15T12:00:00.500Z");
    for time in [
        &metadata["createdAt"],
        &metadata["updatedAt"],
        &metadata["lastUsedAt"],
        &api.get("/api/health").json()["timestamp"],
        &api.post("/api/secrets/anon-key/rotate", json!({})).json()["oldKeyExpiresAt"],
        &api.get("/api/secrets/A/revisions").json()["revisions"][0]["createdAt"],
    ] {
        let text = time.as_str().unwrap();
        let shape: String = text.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
        assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{text}");
    }
}

/// "Input times: RFC 3339 with any offset"
fn input_times_take_any_offset(api: &Api) {
    api.create("A", "1");
    for (text, stored) in [
        ("2036-07-15T12:00:00Z", "2036-07-15T12:00:00.000Z"),
        ("2036-07-15T12:00:00.123456789Z", "2036-07-15T12:00:00.123Z"),
        ("2036-07-15T12:00:00+05:30", "2036-07-15T06:30:00.000Z"),
        ("2036-07-15T12:00:00.25-08:00", "2036-07-15T20:00:00.250Z"),
        ("2036-07-15T12:00:00+00:00", "2036-07-15T12:00:00.000Z"),
        ("2036-07-15t12:00:00z", "2036-07-15T12:00:00.000Z"),
    ] {
        api.put(&secret("A"), json!({"expiresAt": text})).is(200);
        assert_eq!(api.metadata("A")["expiresAt"], stored, "{text}");
    }
}

/// "anything else (a number, a bare date, "Jan 1") is 400."
fn other_input_times_are_400(api: &Api) {
    api.create("A", "1");
    for time in [
        json!(0),
        json!(1_784_116_800),
        json!(1.5),
        json!("1784116800"),
        json!("2036-07-15"),
        json!("Jan 1"),
        json!(""),
        json!("tomorrow"),
        json!("2036-07-15T12:00:00"),
        json!("2036-13-15T12:00:00Z"),
        json!("2036-02-30T12:00:00Z"),
        json!("2036-07-15T25:00:00Z"),
        json!(true),
        json!([]),
        json!({"time": "2036-07-15T12:00:00Z"}),
    ] {
        let update = api.put(&secret("A"), json!({"expiresAt": time}));
        assert!(update.refuses(400, "INVALID_INPUT").message().contains("expiresAt"), "{time}");
        let create = api.post("/api/secrets", json!({"key": "B", "value": "1", "expiresAt": time}));
        assert!(create.refuses(400, "INVALID_INPUT").message().contains("expiresAt"), "{time}");
    }
    assert_eq!(api.metadata("A")["expiresAt"], Value::Null);
    api.get("/api/secrets/B").is(404);
}

/// "Unknown fields in a body are ignored (older and newer clients mix)"
fn unknown_fields_are_ignored(api: &Api) {
    let more = |body: Value| {
        let mut body = body;
        body["color"] = json!({"nested": [1, null, "x"]});
        body["Value"] = json!(7);
        body
    };
    api.post("/api/secrets", more(json!({"key": "A", "value": "1"}))).is(201);
    api.put(&secret("A"), more(json!({"value": "2"}))).is(200);
    api.post("/api/secrets/A/rollback", more(json!({"revision": 1}))).is(200);
    let verified = api.post("/api/secrets/A/verify", more(json!({"value": "1"}))).is(200);
    assert_eq!(verified.json(), json!({"matches": true}));
    api.post("/api/secrets/anon-key/rotate", more(json!({"gracePeriodHours": 1}))).is(200);
    api.post("/api/secrets/api-key/rotate", more(json!({"gracePeriodHours": 1}))).is(200);
    api.post("/api/tokens", more(json!({"admin": true, "ttlSeconds": 60}))).is(201);
}

/// "a wrong type is 400 and names the field."
fn a_wrong_type_is_400_and_names_the_field(api: &Api) {
    api.create("A", "1");
    let before = api.metadata("A");
    let cases: [(&str, &str, Value, &str, &[Value]); 11] = [
        ("POST", "/api/secrets", json!({"value": "1"}), "key", &[json!(1), json!(true), json!([]), json!({})]),
        ("POST", "/api/secrets", json!({"key": "B"}), "value", &[json!(1), json!(false), json!(["x"]), json!({})]),
        (
            "POST",
            "/api/secrets",
            json!({"key": "B", "value": "1"}),
            "isReserved",
            &[json!("true"), json!(1), json!(null)],
        ),
        ("PUT", "/api/secrets/A", json!({}), "value", &[json!(1), json!(null), json!(["x"]), json!({"a": "b"})]),
        ("PUT", "/api/secrets/A", json!({"value": "2"}), "isActive", &[json!("false"), json!(0), json!(null)]),
        ("PUT", "/api/secrets/A", json!({"value": "2"}), "isReserved", &[json!("true"), json!(1), json!(null)]),
        ("PUT", "/api/secrets/A", json!({"value": "2"}), "expiresAt", &[json!(5), json!(true), json!([])]),
        ("POST", "/api/secrets/A/verify", json!({}), "value", &[json!(1), json!(null), json!([])]),
        ("POST", "/api/secrets/A/rollback", json!({}), "revision", &[json!("1"), json!(-1), json!(1.5), json!(null)]),
        ("POST", "/api/tokens", json!({"ttlSeconds": 60}), "admin", &[json!("true"), json!(1), json!(null)]),
        ("POST", "/api/tokens", json!({"admin": true}), "ttlSeconds", &[json!("60"), json!(1.5), json!(null)]),
    ];
    for (method, path, body, field, wrong) in cases {
        for value in wrong {
            let mut body = body.clone();
            body[field] = value.clone();
            let answer = api.call(method, path).json(body).send().refuses(400, "INVALID_INPUT");
            assert!(answer.message().contains(field), "{value} {answer:?}");
        }
    }
    for body in [json!([]), json!(["2"]), json!("2"), json!(2), json!(true), json!(null)] {
        api.put(&secret("A"), body.clone()).refuses(400, "INVALID_INPUT");
        api.post("/api/secrets", body).refuses(400, "INVALID_INPUT");
    }
    assert_eq!(api.metadata("A"), before, "nothing was changed");
}

/// "Bodies: `application/json` with any charset parameter that means UTF-8"
fn bodies_take_any_charset_that_means_utf_8(api: &Api) {
    api.create("A", "1");
    for (number, content_type) in [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/json; charset=\"utf-8\"",
        "Application/JSON; Charset=Utf-8",
        "application/json ; charset=utf8",
    ]
    .into_iter()
    .enumerate()
    {
        let value = format!("ü{number}");
        let call = api.call("PUT", "/api/secrets/A").header("Content-Type", content_type);
        let answer = call.body(json!({"value": value}).to_string()).send();
        assert_eq!(answer.status, 200, "{content_type}: {answer:?}");
        assert_eq!(api.value("A"), value);
    }
}

/// Whatever else a body is said to be, or when nothing is said, it is 415: also one that is compressed.
fn other_bodies_are_415(api: &Api) {
    api.create("A", "1");
    let body = json!({"key": "B", "value": "2"}).to_string();
    for (method, path) in [
        ("POST", "/api/secrets"),
        ("PUT", "/api/secrets/A"),
        ("POST", "/api/secrets/A/verify"),
        ("POST", "/api/secrets/anon-key/rotate"),
        ("POST", "/api/secrets/api-key/rotate"),
    ] {
        let call = || api.call(method, path).body(body.clone());
        call().send().refuses(415, "UNSUPPORTED_MEDIA_TYPE");
        for content_type in [
            "text/plain",
            "text/json",
            "application/x-www-form-urlencoded",
            "application/json; charset=iso-8859-1",
            "application/json; charset=utf-16",
            "application/jsonp",
            "json",
            "",
        ] {
            call().header("Content-Type", content_type).send().refuses(415, "UNSUPPORTED_MEDIA_TYPE");
        }
        for encoding in ["gzip", "deflate", "br", "zstd", "unknown"] {
            let call = call().header("Content-Type", "application/json").header("Content-Encoding", encoding);
            call.send().refuses(415, "UNSUPPORTED_MEDIA_TYPE");
        }
    }
    assert_eq!(api.value("A"), "1");
    api.get("/api/secrets/B").is(404);
}

/// "a GET or DELETE that carries `Content-Type: application/json` and no body is fine (the original's clients send that)."
fn get_and_delete_with_a_content_type_and_no_body_are_fine(api: &Api) {
    api.create("A", "1");
    for (method, path) in [("GET", "/api/secrets"), ("GET", "/api/secrets/A"), ("DELETE", "/api/secrets/A")] {
        let call = || api.call(method, path).header("Content-Type", "application/json");
        call().send().is(200);
        if method == "GET" {
            call().header("Content-Length", "0").send().is(200);
        }
    }
}

/// "Authentication comes before the body is read."
fn authentication_comes_before_the_body_is_read(api: &Api) {
    // A body that never comes is not waited for.
    let mut connection: Connection = api.connect();
    let head = "POST /api/secrets HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer x\r\n\
                Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n";
    connection.write(head.as_bytes()).unwrap();
    Answer::new("POST".to_owned(), connection.read("POST").unwrap()).refuses(401, "AUTH_INVALID_CREDENTIALS");
    // And what is wrong with the body is not said to strangers.
    for call in [
        api.bare("POST", "/api/secrets").raw_json("{"),
        api.bare("POST", "/api/secrets").body("not JSON at all"),
        api.bare("PUT", "/api/secrets/A").raw_json("x".repeat(3 << 20)),
    ] {
        call.bearer("x").send().is(401);
    }
}

/// "`X-Forwarded-For` and the like are ignored: there is no proxy."
fn forwarding_headers_are_ignored(api: &Api) {
    let spoofed = |call: crate::harness::api::Call| {
        call.header("X-Forwarded-For", "203.0.113.7")
            .header("X-Real-IP", "203.0.113.7")
            .header("Forwarded", "for=203.0.113.7;host=evil.example;proto=https")
            .header("X-Forwarded-Host", "evil.example")
            .header("X-Forwarded-Proto", "https")
            .header("X-HTTP-Method-Override", "DELETE")
    };
    let expires = time_in(3600);
    let body = json!({"key": "A", "value": "1", "expiresAt": expires});
    spoofed(api.call("POST", "/api/secrets").json(body)).send().is(201);
    spoofed(api.call("GET", "/api/secrets/A")).send().is(200);
    spoofed(api.call("GET", "/api/secrets").bearer("x")).send().is(401);
    assert_eq!(api.value("A"), "1");
}
